//! Descriptors that tell what happens in a cgroup.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags};
use nix::sys::stat::Mode;

use super::Cgroup;
use crate::linux::Clock;
use crate::linux::process::poll_timeout;
use crate::{Error, Kind, Result};

/// Whether anything lives in a cgroup, and whether it is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// There is a process in it or below it. A zombie does not count.
    pub populated: bool,
    /// Everything in it and below it stands still. Linux 5.2.
    pub frozen: bool,
}

/// `cgroup.events`, held open: reports a change as "priority" data.
///
/// In a [`Reactor`](crate::linux::Reactor) wait with [`Interest::Change`](crate::linux::reactor::Interest::Change);
/// with `poll(2)` wait for `POLLPRI` and nothing else, as the file is always readable. Until the first
/// [`Events::state`] it counts as changed, and a read makes it wait for the next change; so first watch, then read.
#[derive(Debug)]
pub struct Events {
    file: OwnedFd,
}

impl Cgroup {
    /// Watches this cgroup. The kernel's root cgroup has no events.
    pub fn events(&self) -> Result<Events> {
        Ok(Events {
            file: open(self, "cgroup.events")?,
        })
    }

    /// Whether anything lives in it.
    pub fn state(&self) -> Result<State> {
        self.events()?.state()
    }

    /// Watches the memory events. `None`: the memory controller is not available here.
    pub fn memory_events(&self) -> Result<Option<MemoryEvents>> {
        match open(self, "memory.events") {
            Ok(file) => Ok(Some(MemoryEvents { file })),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Events {
    /// What is true now.
    pub fn state(&self) -> Result<State> {
        let text = match pread(&self.file) {
            Ok(text) => text,
            // Removed: nothing lives there any more.
            Err(Errno::ENODEV) => {
                return Ok(State {
                    populated: false,
                    frozen: false,
                });
            }
            Err(errno) => return Err(Error::os("read cgroup.events", errno as i32)),
        };
        Ok(State {
            populated: count(&text, "populated") == 1,
            frozen: count(&text, "frozen") == 1,
        })
    }

    /// Waits until `done` says so of the state, at most for `timeout`, and gives the last state. The waiting is for
    /// events; the time only bounds it.
    pub fn wait(&self, timeout: Duration, done: impl Fn(State) -> bool) -> Result<State> {
        let until = Clock::mono() + timeout;
        loop {
            let state = self.state()?;
            let left = until - Clock::mono();
            if done(state) || left.is_zero() {
                return Ok(state);
            }
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLPRI)];
            match nix::poll::poll(&mut fds, poll_timeout(Some(left))) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::os("wait for a cgroup", errno as i32)),
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// How often memory ran short, since the cgroup was made, in it and below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OomCounts {
    /// Reclaimed although below its low boundary.
    pub low: u64,
    /// Slowed down, being over memory.high.
    pub high: u64,
    /// Was about to go over memory.max.
    pub max: u64,
    /// Out of memory: an allocation was about to fail, or a kill was considered.
    pub oom: u64,
    /// Processes killed.
    pub oom_kill: u64,
    /// Times that a whole group was killed (memory.oom.group). Linux 5.17; 0 before.
    pub oom_group_kill: u64,
}

/// `memory.events`, held open, so that an OOM verdict can be read when a process is found dead, whatever happens
/// around; only after the cgroup itself was removed is there nothing left to read. Changes are reported as those of [`Events`].
#[derive(Debug)]
pub struct MemoryEvents {
    file: OwnedFd,
}

impl MemoryEvents {
    /// The counts now. Read them before the cgroup is removed.
    pub fn counts(&self) -> Result<OomCounts> {
        let text = pread(&self.file).map_err(|errno| {
            let error = Error::os("read memory.events", errno as i32);
            if errno == Errno::ENODEV {
                error
                    .as_kind(Kind::NotFound)
                    .cure("read it before the cgroup is removed")
            } else {
                error
            }
        })?;
        Ok(OomCounts {
            low: count(&text, "low"),
            high: count(&text, "high"),
            max: count(&text, "max"),
            oom: count(&text, "oom"),
            oom_kill: count(&text, "oom_kill"),
            oom_group_kill: count(&text, "oom_group_kill"),
        })
    }
}

impl AsFd for MemoryEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(group: &Cgroup, file: &str) -> Result<OwnedFd> {
    let opened = openat(
        group.dir(),
        file,
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    );
    opened.map_err(|errno| {
        Error::os(
            format!("open {file} of {}", group.path().display()),
            errno as i32,
        )
    })
}

fn pread(file: &OwnedFd) -> Result<String, Errno> {
    let mut text = [0; 512];
    let count = nix::sys::uio::pread(file, &mut text, 0)?;
    Ok(String::from_utf8_lossy(&text[..count]).into_owned())
}

/// The number behind `key` in a flat keyed file; 0 if the kernel does not have the key.
pub(super) fn count(text: &str, key: &str) -> u64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}
