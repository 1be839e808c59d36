//! Signals and processes.

use core::ffi::CStr;

use super::{Errno, Fd, O_CLOEXEC, O_NONBLOCK, Result, Text, brief, call, number, opened};

const SIG_SETMASK: usize = 2;
const SIGCHLD: u64 = 17;

fn set_mask(mask: u64) -> Result<()> {
    call(
        number::RT_SIGPROCMASK,
        [SIG_SETMASK, &raw const mask as usize, 0, 8, 0, 0],
    )
    .map(drop)
}

pub fn block_all_signals() -> Result<()> {
    set_mask(u64::MAX)
}

pub fn block_no_signal() -> Result<()> {
    set_mask(0)
}

pub fn default_dispositions() {
    let default = [0u64; 4];
    for signal in 1..=64 {
        let _ = call(
            number::RT_SIGACTION,
            [signal, default.as_ptr() as usize, 0, 8, 0, 0],
        );
    }
}

/// Readable when a child has ended.
pub fn child_signals() -> Result<Fd> {
    let mask = 1u64 << (SIGCHLD - 1);
    let flags = (O_NONBLOCK | O_CLOEXEC) as usize;
    opened(call(
        number::SIGNALFD4,
        [usize::MAX, &raw const mask as usize, 8, flags, 0, 0],
    ))
}

/// Waits for a child to end; all signals must be blocked.
pub fn wait_for_child_signal() {
    let mask = 1u64 << (SIGCHLD - 1);
    let _ = call(
        number::RT_SIGTIMEDWAIT,
        [&raw const mask as usize, 0, 0, 8, 0, 0],
    );
}

/// One child that has ended: its number and its status word.
pub fn reap() -> Option<(i32, i32)> {
    const WNOHANG: usize = 1;
    const WALL: usize = 0x4000_0000;
    let mut status = 0i32;
    match call(
        number::WAIT4,
        [
            usize::MAX,
            &raw mut status as usize,
            WNOHANG | WALL,
            0,
            0,
            0,
        ],
    ) {
        Ok(pid) if pid > 0 => Some((pid as i32, status)),
        _ => None,
    }
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
pub const CLONE_NEWPID: u32 = 0x2000_0000;

/// Forks, with a copy of our memory. `None` in the child.
pub fn fork(namespaces: u32, cgroup: Option<i32>) -> Result<Option<(i32, Fd)>> {
    let mut pidfd = -1i32;
    let mut arguments = [0u64; 11];
    arguments[0] = u64::from(namespaces) | CLONE_PIDFD;
    arguments[1] = &raw mut pidfd as u64;
    arguments[4] = SIGCHLD;
    if let Some(cgroup) = cgroup {
        arguments[0] |= CLONE_INTO_CGROUP;
        arguments[10] = cgroup as u64;
    }
    match brief(
        number::CLONE3,
        arguments.as_ptr() as usize,
        size_of_val(&arguments),
        0,
    )? {
        0 => Ok(None),
        pid => Ok(Some((pid as i32, Fd(pidfd)))),
    }
}

pub fn yield_now() {
    let _ = brief(number::SCHED_YIELD, 0, 0, 0);
}

pub fn own_pid() -> i32 {
    brief(number::GETPID, 0, 0, 0).map_or(0, |pid| pid as i32)
}

pub fn pidfd_open(pid: i32) -> Result<Fd> {
    opened(brief(number::PIDFD_OPEN, pid as usize, 0, 0))
}

pub fn pidfd_send_signal(pidfd: i32, signal: u32) -> Result<()> {
    call(
        number::PIDFD_SEND_SIGNAL,
        [pidfd as usize, signal as usize, 0, 0, 0, 0],
    )
    .map(drop)
}

pub fn setns(fd: i32, namespaces: u32) -> Result<()> {
    brief(number::SETNS, fd as usize, namespaces as usize, 0).map(drop)
}

pub fn unshare(namespaces: u32) -> Result<()> {
    brief(number::UNSHARE, namespaces as usize, 0, 0).map(drop)
}

pub fn setsid() -> Result<()> {
    brief(number::SETSID, 0, 0, 0).map(drop)
}

pub fn umask(mask: u32) {
    let _ = brief(number::UMASK, mask as usize, 0, 0);
}

pub fn execve(path: Text<'_>, argv: &[usize], env: &[usize]) -> Errno {
    let done = brief(
        number::EXECVE,
        path.pointer(),
        argv.as_ptr() as usize,
        env.as_ptr() as usize,
    );
    done.err().unwrap_or(Errno::ENOEXEC)
}

pub fn prctl(option: usize, a: usize, b: usize) -> Result<usize> {
    call(number::PRCTL, [option, a, b, 0, 0, 0])
}

pub fn set_dumpable(yes: bool) -> Result<()> {
    const PR_SET_DUMPABLE: usize = 4;
    prctl(PR_SET_DUMPABLE, usize::from(yes), 0).map(drop)
}

pub fn set_name(name: &CStr) -> Result<()> {
    const PR_SET_NAME: usize = 15;
    prctl(PR_SET_NAME, name.as_ptr() as usize, 0).map(drop)
}

pub fn prlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = [soft, hard];
    call(
        number::PRLIMIT64,
        [0, resource as usize, limit.as_ptr() as usize, 0, 0, 0],
    )
    .map(drop)
}

/// The ordinary scheduling policy, with this nice value.
pub fn nice(value: i32) -> Result<()> {
    const SCHED_OTHER: usize = 0;
    let priority = 0i32;
    brief(
        number::SCHED_SETSCHEDULER,
        0,
        SCHED_OTHER,
        &raw const priority as usize,
    )?;
    brief(number::SETPRIORITY, 0, 0, value as usize).map(drop)
}

#[inline(never)]
pub fn all_processors() -> Result<()> {
    let all = [u64::MAX; 128];
    brief(
        number::SCHED_SETAFFINITY,
        0,
        size_of_val(&all),
        all.as_ptr() as usize,
    )
    .map(drop)
}

pub fn sethostname(name: &[u8]) -> Result<()> {
    brief(number::SETHOSTNAME, name.as_ptr() as usize, name.len(), 0).map(drop)
}

pub fn setdomainname(name: &[u8]) -> Result<()> {
    brief(number::SETDOMAINNAME, name.as_ptr() as usize, name.len(), 0).map(drop)
}
