//! A cgroup of a test's own, and processes in it.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use podlife::cgroup::{Cgroup, Delegation};

pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A cgroup that is destroyed, and seen gone, when the test ends.
pub(crate) struct Scratch(pub(crate) Cgroup);

impl Scratch {
    /// `None`, with a line that says why, where no cgroups can be made.
    pub(crate) fn new(test: &str) -> Option<Scratch> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        match Delegation::find().unwrap() {
            Delegation::Granted(root) => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                // An ephemeral Node of another test would sweep it away if it were named like one of its own.
                let name = format!("test-podlife-{}-{number}", std::process::id());
                Some(Scratch(root.create(&name).unwrap()))
            }
            Delegation::Missing(missing) => {
                println!("skipped: {test}: {missing}");
                None
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let gone = self.0.destroy(LONG);
        if !std::thread::panicking() {
            gone.unwrap();
            assert!(
                !self.0.path().exists(),
                "{} is left behind",
                self.0.path().display()
            );
        }
    }
}

/// A shell that enters `group` and then runs `script`; it has entered when this returns.
pub(crate) fn run_in(group: &Cgroup, script: &str) -> Child {
    let line = format!("echo 0 > \"$0/cgroup.procs\" && echo here && {{ {script}; }}");
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .arg(group.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut here = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut here).unwrap();
    child
}
