//! A process and all that came of it, ended where there is no cgroup to end them by.

use std::collections::VecDeque;

use super::Signal;
use super::process::Process;

/// After so many rounds the process itself is killed all the same: what outruns them is more than can be done about.
const ROUNDS_MAX: u32 = 1000;

/// A process that takes in the orphans among its descendants (`PR_SET_CHILD_SUBREAPER`), being killed with all of them.
///
/// It is stopped first, so that it neither ends nor forks: as long as it lives, whoever was orphaned is its child, whatever
/// session it has made for itself. It is killed when nothing lives below it any more. Linux 3.5, with `CONFIG_PROC_CHILDREN`;
/// without that only the process itself is killed.
#[derive(Debug)]
pub(crate) struct Descendants {
    root: Process,
    rounds: u32,
    /// Rounds in a row that found nothing alive. One is not enough: a process may move while it is looked for.
    quiet: u32,
}

impl Descendants {
    pub(crate) fn of(root: Process) -> Descendants {
        Descendants {
            root,
            rounds: 0,
            quiet: 0,
        }
    }

    /// Kills what is there now. True when it is over; otherwise it is to be called again in a moment.
    pub(crate) fn kill(&mut self) -> bool {
        // Each time, for somebody may have it go on.
        let Ok(true) = self.root.signal(Signal::STOP) else {
            return true;
        };
        let Ok(Some(pid)) = self.root.pid() else {
            return true;
        };
        self.rounds += 1;
        match kill_below(pid) {
            0 => self.quiet += 1,
            _ => self.quiet = 0,
        }
        if self.quiet < 2 && self.rounds < ROUNDS_MAX {
            return false;
        }
        // That it has ended meanwhile is as well.
        let _ = self.root.signal(Signal::KILL);
        true
    }
}

/// How many were alive.
fn kill_below(root: u32) -> usize {
    let mut parents = VecDeque::from([root]);
    let mut living = 0;
    while let Some(parent) = parents.pop_front() {
        for child in children(parent) {
            // The descriptor first: what is found by its number afterwards is this process, or it has ended.
            let Ok(process) = Process::open(child) else {
                continue;
            };
            if is_alive_below(child, [parent, root]) {
                living += 1;
                parents.push_back(child);
                let _ = process.signal(Signal::KILL);
            }
        }
    }
    living
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let numbers = |list: String| -> Vec<u32> {
        list.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    };
    lists.flat_map(numbers).collect()
}

/// Its parent may have ended a moment ago, and it is the root's child since.
fn is_alive_below(pid: u32, parents: [u32; 2]) -> bool {
    let stat = i32::try_from(pid).ok().and_then(|pid| {
        procfs::process::Process::new(pid)
            .and_then(|process| process.stat())
            .ok()
    });
    stat.is_some_and(|stat| {
        let parent = u32::try_from(stat.ppid).unwrap_or_default();
        !['Z', 'X'].contains(&stat.state) && parents.contains(&parent)
    })
}
