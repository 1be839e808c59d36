//! Sealed files in memory: `memfd_create(2)`, `fcntl(2)` with `F_ADD_SEALS`.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

const FLAGS: MFdFlags = MFdFlags::MFD_CLOEXEC.union(MFdFlags::MFD_ALLOW_SEALING);

/// A file of exactly these bytes that nobody can change any more.
pub(crate) fn sealed(name: &CStr, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    seal(memfd_create(name, FLAGS)?, bytes)
}

/// The same, to be executed.
pub(crate) fn program(name: &CStr, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    // Linux 6.3, where the sysctl vm.memfd_noexec may demand that it is said.
    const MFD_EXEC: MFdFlags = MFdFlags::from_bits_retain(0x10);
    match memfd_create(name, FLAGS | MFD_EXEC) {
        Err(Errno::EINVAL) => seal(memfd_create(name, FLAGS)?, bytes),
        made => seal(made?, bytes),
    }
}

fn seal(fd: OwnedFd, bytes: &[u8]) -> Result<OwnedFd, Errno> {
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
