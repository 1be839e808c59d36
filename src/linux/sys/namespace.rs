//! Questions to a namespace: `ioctl_ns(2)`.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// The `CLONE_NEW*` flag of its kind. Linux 4.11.
pub(crate) fn kind(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    // SAFETY: takes no argument; the descriptor is borrowed for the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::NS_GET_NSTYPE) })
        .map(|flag| flag as u32)
}

/// The user namespace that owns it. Linux 4.9.
pub(crate) fn owner(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    related(fd, libc::NS_GET_USERNS)
}

/// The one it was made in: of a user or PID namespace. Linux 4.9.
pub(crate) fn parent(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    related(fd, libc::NS_GET_PARENT)
}

fn related(fd: BorrowedFd<'_>, question: libc::Ioctl) -> Result<OwnedFd, Errno> {
    // SAFETY: takes no argument; the descriptor is borrowed for the call.
    let found = Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), question) })?;
    // SAFETY: the kernel just gave us this descriptor (close-on-exec), nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(found) })
}
