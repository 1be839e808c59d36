//! Stopping and ending what lives in a cgroup, and removing it.

use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Cgroup;
use crate::linux::Clock;
use crate::linux::process::{Process, Signal};
use crate::{Error, Kind, Result};

/// Without `cgroup.kill`, how often to look again for processes that were forked meanwhile.
const SWEEPS: usize = 1000;

impl Cgroup {
    /// Stops everything in it and below. It takes effect soon: [`State::frozen`](super::State::frozen) tells when. A frozen
    /// process can be killed. Linux 5.2.
    pub fn freeze(&self) -> Result<()> {
        self.set_frozen("1")
    }

    /// Lets everything go on.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen("0")
    }

    fn set_frozen(&self, text: &str) -> Result<()> {
        self.write_raw("cgroup.freeze", text).map_err(|errno| {
            let error = Error::os(
                format!("freeze or thaw {}", self.path().display()),
                errno as i32,
            );
            if errno == Errno::ENOENT {
                error.as_kind(Kind::Unsupported).cure("it needs Linux 5.2")
            } else {
                error
            }
        })
    }

    /// Sends SIGKILL to everything in it and below, forks in flight included. It is done when the group is no longer
    /// [populated](super::State::populated).
    ///
    /// Linux 5.14 does this in one step. Before that it is done here, process by process through pidfds, with the
    /// group frozen meanwhile so that nothing can fork away.
    pub fn kill(&self) -> Result<()> {
        match self.write_raw("cgroup.kill", "1") {
            Ok(()) => Ok(()),
            Err(Errno::ENOENT) => self.kill_each(),
            Err(errno) => Err(Error::os(
                format!("kill everything in {}", self.path().display()),
                errno as i32,
            )),
        }
    }

    /// What [`Cgroup::kill`] does below Linux 5.14.
    fn kill_each(&self) -> Result<()> {
        let frozen = self.freeze().is_ok();
        let swept = self.sweep();
        if frozen {
            self.thaw()?;
        }
        swept
    }

    fn sweep(&self) -> Result<()> {
        let mut killed = std::collections::BTreeSet::new();
        for _ in 0..SWEEPS {
            let found = self.processes_below()?;
            let fresh: Vec<_> = found
                .into_iter()
                .filter(|pid| !killed.contains(pid))
                .collect();
            if fresh.is_empty() {
                return Ok(());
            }
            let held: Vec<_> = fresh
                .iter()
                .filter_map(|pid| Some((*pid, Process::open(*pid).ok()?)))
                .collect();
            // Only those that are still listed now that they are held are surely the ones we mean.
            let still = self.processes_below()?;
            for (pid, process) in held.into_iter().filter(|(pid, _)| still.contains(pid)) {
                process.signal(Signal::KILL)?;
                killed.insert(pid);
            }
        }
        let attempt = format!("kill everything in {}", self.path().display());
        Err(Error::new(
            Kind::Timeout,
            attempt,
            "it forks faster than it can be killed",
        )
        .cure("use Linux 5.14 or later"))
    }

    fn processes_below(&self) -> Result<Vec<u32>> {
        let mut found = self.processes()?;
        for child in self.children()? {
            found.extend(self.child(child)?.processes_below()?);
        }
        Ok(found)
    }

    /// Removes this cgroup if it is empty. [`Kind::Conflict`]: a process lives in it, or it has children. That it is gone
    /// already is no error.
    pub fn remove(&self) -> Result<()> {
        let attempt = || format!("remove the cgroup {}", self.path().display());
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // Through its own parent, so that it is this directory's place, not whatever lies at the path now.
        let removed = openat(self.dir(), "..", flags, Mode::empty())
            .and_then(|parent| unlinkat(parent, self.name(), UnlinkatFlags::RemoveDir));
        match removed {
            Ok(()) | Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
            Err(Errno::EBUSY | Errno::ENOTEMPTY) => {
                let why = "it has processes or children";
                Err(Error::new(Kind::Conflict, attempt(), why)
                    .cure("kill what lives in it and wait until it is gone"))
            }
            Err(errno) => Err(Error::os(attempt(), errno as i32)),
        }
    }

    /// Removes this cgroup and everything below it, from the bottom up, without killing anything.
    pub fn remove_tree(&self) -> Result<()> {
        for child in self.children()? {
            match self.child(&child) {
                Ok(child) => child.remove_tree()?,
                Err(error) if error.kind() == Kind::NotFound => {} // somebody else removed it
                Err(error) => return Err(error),
            }
        }
        self.remove()
    }

    /// Kills everything in it, waits until it is gone, and removes the tree. [`Kind::Timeout`] after `timeout`: a process
    /// is stuck in the kernel (state D), most often on a file system; calling again goes on from there.
    pub fn destroy(&self, timeout: Duration) -> Result<()> {
        let until = Clock::mono() + timeout;
        let events = match self.events() {
            Ok(events) => events,
            Err(error) if error.kind() == Kind::NotFound => return self.remove_tree(), // gone, or the top of the tree
            Err(error) => return Err(error),
        };
        loop {
            if events.state()?.populated {
                self.kill()?;
                let left = until - Clock::mono();
                if events.wait(left, |state| !state.populated)?.populated {
                    return Err(self.stuck());
                }
            }
            match self.remove_tree() {
                // Somebody came in between the wait and the removal.
                Err(error) if error.kind() == Kind::Conflict && Clock::mono() < until => {}
                done => return done,
            }
        }
    }

    fn stuck(&self) -> Error {
        let pids = self.processes_below().unwrap_or_default();
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        let attempt = format!("empty the cgroup {}", self.path().display());
        Error::new(
            Kind::Timeout,
            attempt,
            format!("killed, but not gone yet: {}", pids.join(", ")),
        )
        .cure("see what they wait for: /proc/<pid>/stack, /proc/<pid>/wchan")
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::linux::cgroup::Delegation;

    /// The way of old kernels, which the kernel tests never take on a new one.
    #[test]
    fn without_cgroup_kill_a_forking_tree_is_killed_all_the_same() {
        let root = match Delegation::find().unwrap() {
            Delegation::Granted(root) => root,
            Delegation::Missing(missing) => return println!("skipped: kill one by one: {missing}"),
        };
        let group = root
            .create(&format!("podlife-unit-{}", std::process::id()))
            .unwrap();
        let inner = group.create("inner").unwrap();
        let script = "echo 0 > $0/cgroup.procs; while :; do (sleep 600 &) ; sleep 0.001; done";
        let mut shell = Command::new("sh");
        let shell = shell
            .args(["-c", script])
            .arg(inner.path())
            .stderr(Stdio::null());
        let mut children: Vec<_> = (0..5).map(|_| shell.spawn().unwrap()).collect();
        let (long, events) = (Duration::from_secs(30), group.events().unwrap());
        while inner.processes().unwrap().len() < 20 {
            std::thread::yield_now();
        }
        group.kill_each().unwrap();
        let state = events.wait(long, |state| !state.populated).unwrap();
        children
            .iter_mut()
            .for_each(|child| drop(child.kill().and_then(|()| child.wait())));
        group.destroy(long).unwrap();
        assert!(!state.populated && !state.frozen && !group.path().exists());
    }
}
