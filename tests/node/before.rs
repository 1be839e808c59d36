//! What a test found, and must leave as it was.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use podlife::node::{Node, NodeOptions};

/// Tests that run pods run one after another: each looks at all processes, mounts and cgroups.
static ALONE: Mutex<()> = Mutex::new(());
/// Names of the cgroups of all Nodes that were there when something was compared.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Compared with what is there when it is dropped.
pub(crate) struct Before {
    found: Found,
    _alone: MutexGuard<'static, ()>,
}

struct Found {
    processes: BTreeSet<String>,
    descriptors: BTreeSet<String>,
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

/// Opens a Node, and remembers by what its processes and cgroups are known.
pub(crate) fn open(options: NodeOptions) -> Node {
    let node = options.open().unwrap();
    roots();
    node
}

pub(crate) fn ephemeral() -> Node {
    open(Node::options())
}

impl Before {
    /// Waits until no process is left, though cgroups may be.
    pub(crate) fn no_process(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while !processes().is_subset(&self.found.processes) {
            assert!(Instant::now() < until, "left behind: {:?}", processes());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn now() -> Before {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Before {
            found: Found::now(),
            _alone: alone,
        }
    }
}

impl Before {
    fn check(&self) {
        if std::thread::panicking() {
            return;
        }
        let found = self.found.lines();
        // What was killed takes the kernel a moment.
        let until = Instant::now() + Duration::from_secs(60);
        // What is gone was another's: a test's that is not alone, or a program's of the same user.
        let new = || Found::now().lines().difference(&found).cloned().collect();
        let mut left: Vec<String> = new();
        while !left.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
            left = new();
        }
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        self.check();
    }
}

impl Found {
    fn lines(&self) -> BTreeSet<String> {
        let sets = [
            &self.processes,
            &self.descriptors,
            &self.mounts,
            &self.cgroups,
            &self.namespaces,
        ];
        sets.into_iter().flatten().cloned().collect()
    }

    fn now() -> Found {
        Found {
            processes: processes(),
            descriptors: descriptors(),
            mounts: mounts(),
            cgroups: cgroups(),
            namespaces: namespaces(),
        }
    }
}

/// Those that this process had made: it is the only one that makes cgroups with these names, and where there are none the
/// user is its own.
fn processes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let own: BTreeSet<u64> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for pid in own {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = read("status");
        let line = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        if line("State:").starts_with('Z') {
            continue; // dead: whose child it was will reap it, sooner or later
        }
        let pause = line("Name:").starts_with("podlife-pause") || line("NSpid:").contains('\t');
        if pause && is_ours(&line("Uid:"), &read("cgroup")) {
            found.insert(format!(
                "process {pid} {} of {}",
                line("Name:"),
                line("PPid:")
            ));
        }
    }
    found
}

/// Other tests may run pods on the same machine at the same time.
fn is_ours(uids: &str, cgroup: &str) -> bool {
    let uid = nix::unistd::geteuid();
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"));
    match (uid.is_root(), podlife::cgroup::Hierarchy::find().unwrap()) {
        (true, Some(hierarchy)) => {
            let place = hierarchy.mount.join(path.unwrap_or_default());
            roots().iter().any(|root| place.starts_with(root))
        }
        (true, None) => false,
        (false, _) => uids.split_whitespace().next() == Some(&uid.to_string()),
    }
}

/// The cgroups of Nodes of this process: they hold them open.
fn roots() -> BTreeSet<String> {
    let descriptors = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let names = targets.filter_map(|target| target.to_str().map(str::to_owned));
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.extend(
        names.filter(|name| name.starts_with("/sys/fs/cgroup") && name.contains("/podlife")),
    );
    seen.clone()
}

fn descriptors() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        // One that another test's thread has closed meanwhile is not open.
        if let Ok(target) = std::fs::read_link(entry.path()) {
            let name = entry.file_name();
            found.insert(format!("{} {}", name.to_string_lossy(), target.display()));
        }
    }
    // The one that lists them.
    found.retain(|line| !line.ends_with("/fd"));
    found
}

/// Those where a pod could have made them: below the tests' own files, or over another. Elsewhere others may mount, too.
fn mounts() -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    let mut found = BTreeSet::new();
    for mount in podlife::linux::mount::mounts().unwrap() {
        let own = mount.target.starts_with(std::env::temp_dir());
        if own || !targets.insert(mount.target.clone()) {
            found.insert(format!("mount {mount:?}"));
        }
    }
    found
}

fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    roots()
        .iter()
        .for_each(|root| collect(Path::new(root), &mut found));
    found
}

fn collect(directory: &Path, found: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    found.insert(format!("cgroup {}", directory.display()));
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        collect(&entry.path(), found);
    }
}

fn namespaces() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc/self/ns").unwrap().flatten();
    entries
        .map(|entry| {
            std::fs::read_link(entry.path())
                .unwrap()
                .display()
                .to_string()
        })
        .collect()
}
