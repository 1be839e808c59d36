//! Known ways out of a container, one test each, named for the hole. Each shows the hole open first, with the guard left out,
//! or says why it cannot; what it proves stands in the manual's page on security.

mod binary;
mod cgroup;
mod descriptors;
mod links;
mod memory;
mod proc;
mod users;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use podlife::linux::Capabilities;
use podlife::linux::pause::plan::{Plan, Step};

use crate::sandbox::{host_container, host_with, root_with};

/// In a test that runs itself inside a container: it is the attacker.
const ATTACKER: &str = "PODLIFE_TEST_ATTACKER";

/// A container in which this program runs the named test, as an attacker with these capabilities.
fn attacker(test: &str, set: Capabilities) -> Plan {
    let program = std::fs::File::open("/proc/self/exe").unwrap();
    let mut plan = Plan::new(host_container().namespaces());
    let from = plan.hand_over(OwnedFd::from(program));
    let path = PathBuf::from("/tmp/attacker");
    let copied = host_with([Step::Copy {
        from,
        path,
        mode: 0o755,
    }]);
    plan.extend(copied.steps().iter().cloned());
    plan.drop_to(&root_with(set));
    let words = ["/tmp/attacker", test, "--exact", "--nocapture"];
    let environment = ["PATH=/usr/bin:/bin".to_owned(), format!("{ATTACKER}=1")];
    plan.execute(words, environment).unwrap();
    plan
}

fn is_attacker() -> bool {
    std::env::var_os(ATTACKER).is_some()
}

/// A directory of the host that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("podlife-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}
