//! Processes by descriptor: no signal ever reaches, and no wait ever takes, a process that was not meant.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::statfs::FsType;
use serde::{Deserialize, Serialize};

use super::sys::pidfd;
use crate::{Error, Kind, Result};

pub use super::signal::Signal;

/// A process, held by a pidfd: it stays *this* process when its number is used again.
///
/// [`AsFd`] gives the pidfd, which becomes readable when the process has ended; add it to a
/// [`Reactor`](crate::linux::Reactor). Dropping a `Process` does nothing to the process.
///
/// Linux 5.4; no privilege to open one, that of `kill(2)` to send a signal. `pidfd_open(2)`.
///
/// ```
/// use podlife::linux::process::{Exit, Process, Signal};
/// use std::time::Duration;
///
/// let child = std::process::Command::new("sleep").arg("60").spawn()?;
/// let process = Process::open(child.id())?;
/// assert_eq!(process.pid()?, Some(child.id()));
///
/// process.signal(Signal::KILL)?;
/// assert!(process.wait(Some(Duration::from_secs(5)))?);
/// assert_eq!(process.reap()?, Some(Exit::Signal(Signal::KILL)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Process(OwnedFd);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It called `exit` with this code.
    Code(u8),
    /// This signal killed it.
    Signal(Signal),
}

impl Exit {
    /// One number for both, as shells and Kubernetes have it: 128 + n for signal n.
    pub fn code(self) -> i32 {
        match self {
            Exit::Code(code) => i32::from(code),
            Exit::Signal(signal) => 128 + signal.number(),
        }
    }
}

impl Process {
    /// The process that has this number now, in the caller's PID namespace.
    pub fn open(pid: u32) -> Result<Process> {
        let attempt = || format!("open the process {pid}");
        // A number beyond i32 is nobody's; and 0 would be refused by the kernel in less clear words.
        let number = i32::try_from(pid).ok().filter(|number| *number > 0);
        let Some(number) = number else {
            return Err(Error::new(
                Kind::NotFound,
                attempt(),
                "no process can have this number",
            ));
        };
        pidfd::open(number)
            .map(Process)
            .map_err(|errno| Error::os(attempt(), errno as i32))
    }

    /// The caller's own process.
    pub fn own() -> Result<Process> {
        Process::open(std::process::id())
    }

    /// Its number in the caller's PID namespace; `None` once it has been waited for.
    pub fn pid(&self) -> Result<Option<u32>> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fdinfo/{}", self.0.as_raw_fd());
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::io("ask a pidfd for its process", error))?;
        let number = text.lines().find_map(|line| line.strip_prefix("Pid:"));
        Ok(number
            .and_then(|number| number.trim().parse().ok())
            .filter(|pid| *pid != 0))
    }

    /// Sends `signal`. `false`: the process has ended already.
    pub fn signal(&self, signal: Signal) -> Result<bool> {
        match pidfd::send_signal(self.as_fd(), signal.number()) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(Error::os(
                format!("send {signal} to a process"),
                errno as i32,
            )),
        }
    }

    /// Waits until the process has ended, whoever's child it is, for at most `timeout` (`None`: for ever). `false`: it
    /// is still there. Takes no exit status from anyone.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let until = timeout.map(|timeout| super::Clock::mono() + timeout);
        loop {
            let left = until.map(|until| until - super::Clock::mono());
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match nix::poll::poll(&mut fds, poll_timeout(left)) {
                Ok(0) if left.is_none_or(|left| !left.is_zero()) => {}
                Ok(count) => return Ok(count > 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::os("wait for a process", errno as i32)),
            }
        }
    }

    /// Is it still running? A process that has ended but was not waited for by its parent is not.
    pub fn is_running(&self) -> Result<bool> {
        self.wait(Some(Duration::ZERO)).map(|ended| !ended)
    }

    /// Takes the exit status of this one child, without blocking. `None`: it still runs, it is not the caller's child, or
    /// somebody has taken the status already (a `waitpid(-1)` elsewhere in the program, or `SIGCHLD` ignored).
    pub fn reap(&self) -> Result<Option<Exit>> {
        match pidfd::wait(self.as_fd(), libc::WEXITED | libc::WNOHANG | libc::__WALL) {
            Ok(Some((libc::CLD_EXITED, code))) => Ok(Some(Exit::Code(code as u8))),
            Ok(Some((_, signal))) => Ok(Signal::new(signal).map(Exit::Signal)),
            Ok(None) | Err(Errno::ECHILD) => Ok(None),
            Err(errno) => Err(Error::os("take the exit status of a child", errno as i32)),
        }
    }

    /// What tells this process from all others, to be written down. `None`: it has ended and was waited for.
    pub fn identity(&self) -> Result<Option<Identity>> {
        let Some(pid) = self.pid()? else {
            return Ok(None);
        };
        let start = start_time(pid);
        // Only if the process still has its number now was it the one that /proc told of.
        if pidfd::send_signal(self.as_fd(), 0) == Err(Errno::ESRCH) {
            return Ok(None);
        }
        Ok(Some(Identity {
            boot: BootId::current()?,
            pid,
            start: start?,
            inode: self.inode()?,
        }))
    }

    /// Below Linux 6.9 all pidfds share one inode, on another file system: that is no identity.
    fn inode(&self) -> Result<Option<u64>> {
        const PIDFS: FsType = FsType(0x5049_4446);
        let failed = |errno: Errno| Error::os("look at a pidfd", errno as i32);
        let kind = nix::sys::statfs::fstatfs(&self.0)
            .map_err(failed)?
            .filesystem_type();
        if kind != PIDFS {
            return Ok(None);
        }
        Ok(Some(nix::sys::stat::fstat(&self.0).map_err(failed)?.st_ino))
    }
}

/// A pidfd made elsewhere: by `clone3`, or received over a socket (`SO_PEERPIDFD`, `SCM_PIDFD`, `SCM_RIGHTS`).
impl From<OwnedFd> for Process {
    fn from(fd: OwnedFd) -> Process {
        Process(fd)
    }
}

impl From<Process> for OwnedFd {
    fn from(process: Process) -> OwnedFd {
        process.0
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A process as it is written down: enough to find it again, and never another in its place.
///
/// ```
/// use podlife::linux::process::Process;
///
/// let identity = Process::own()?.identity()?.unwrap();
/// assert!(identity.open()?.is_some());
///
/// let mut other = identity.clone();
/// other.start += 1;
/// assert!(other.open()?.is_none());
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The boot it belongs to.
    pub boot: BootId,
    /// Its number in the PID namespace of the one who wrote this.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`, `proc_pid_stat(5)`.
    pub start: u64,
    /// The inode of its pidfd, unique for a boot. Linux 6.9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
}

impl Identity {
    /// The process, if it is there still; it may have ended without having been waited for.
    pub fn open(&self) -> Result<Option<Process>> {
        let process = match Process::open(self.pid) {
            Ok(process) => process,
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // The kernel may have been updated between: an inode counts only where both have one.
        let found = process.identity()?;
        let same = found.is_some_and(|found| {
            let inodes = self
                .inode
                .zip(found.inode)
                .is_none_or(|(ours, theirs)| ours == theirs);
            inodes && (&found.boot, found.start) == (&self.boot, self.start)
        });
        Ok(same.then_some(process))
    }
}

/// Which boot of the machine: `/proc/sys/kernel/random/boot_id`, new at each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(Box<str>);

impl BootId {
    /// The boot that is running.
    pub fn current() -> Result<BootId> {
        let path = "/proc/sys/kernel/random/boot_id";
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io(format!("read {path}"), error).cure("mount /proc"))?;
        text.trim().parse()
    }
}

/// 36 characters, as the kernel writes it.
impl FromStr for BootId {
    type Err = Error;

    fn from_str(text: &str) -> Result<BootId> {
        let plausible = text.len() == 36
            && text
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !plausible {
            return Err(Error::new(
                Kind::Invalid,
                format!("read the boot id {text:?}"),
                "it is not a UUID",
            ));
        }
        Ok(BootId(text.into()))
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn start_time(pid: u32) -> Result<u64> {
    let attempt = || format!("read /proc/{pid}/stat");
    let number =
        i32::try_from(pid).map_err(|error| Error::caused(Kind::NotFound, attempt(), error))?;
    let stat = procfs::process::Process::new(number).and_then(|process| process.stat());
    stat.map(|stat| stat.starttime).map_err(|error| {
        Error::caused(Kind::NotFound, attempt(), error)
            .cure("mount /proc, without hidepid for this user")
    })
}

/// Rounded up, so that a wait never ends before its time.
pub(crate) fn poll_timeout(left: Option<Duration>) -> PollTimeout {
    let Some(left) = left else {
        return PollTimeout::NONE;
    };
    let millis = left.as_nanos().div_ceil(1_000_000);
    i32::try_from(millis)
        .ok()
        .and_then(|millis| PollTimeout::try_from(millis).ok())
        .unwrap_or(PollTimeout::MAX)
}
