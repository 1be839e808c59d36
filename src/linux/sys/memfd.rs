//! Sealed files in memory: `memfd_create(2)`, `fcntl(2)` with `F_ADD_SEALS`.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file of exactly these bytes that nobody can change any more.
pub(crate) fn sealed(name: &CStr, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut left = bytes;
    while !left.is_empty() {
        let written = nix::unistd::write(&fd, left)?;
        left = &left[written..];
    }
    let all = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(all))?;
    Ok(fd)
}
