//! pidfds: `pidfd_open(2)`, `pidfd_send_signal(2)` and `waitid(2)` with `P_PIDFD`.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// A descriptor of the thread-group leader `pid`; always close-on-exec. Linux 5.3.
pub(crate) fn open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes two integers and returns a new descriptor or an error.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it. Descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends `signal` (0: only asks whether it could). Linux 5.1.
pub(crate) fn send_signal(fd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is borrowed for the call; a null siginfo is allowed.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, info, 0)
    })
    .map(drop)
}

/// `si_code` and `si_status` of the process, if `options` found it in a state asked for. Linux 5.4.
///
/// Not nix's: that one cannot tell a death by a realtime signal.
pub(crate) fn wait(fd: BorrowedFd<'_>, options: i32) -> Result<Option<(i32, i32)>, Errno> {
    // SAFETY: siginfo_t is plain data, for which all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is borrowed and `info` lives for the call.
    let done = unsafe {
        libc::waitid(
            libc::P_PIDFD,
            fd.as_raw_fd() as libc::id_t,
            &mut info,
            options,
        )
    };
    Errno::result(done)?;
    // SAFETY: waitid has filled in the SIGCHLD members, or left the zeroes when there was nothing to tell.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then_some((info.si_code, status)))
}
