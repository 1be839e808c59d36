//! The images that a manifest may name.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use podlife::Error;
use podlife::node::{NodeOptions, Rootfs};

use crate::args::Options;

/// Adds `podlife.local/demo` and what `--image` names; `podlife.local/host` is always there.
pub(crate) fn add(mut node: NodeOptions, options: &Options) -> podlife::Result<NodeOptions> {
    let program = own_program().map_err(|why| Error::io("copy this program into memory", why))?;
    node = node.rootfs(
        "podlife.local/demo",
        Rootfs::host().program("/run/demo", program),
    );
    for (name, path) in &options.images {
        node = node.rootfs(name, Rootfs::directory(path));
    }
    if let Some(path) = &options.state {
        node = node.state(path);
    }
    Ok(node)
}

/// This executable, sealed in memory: the user a pod runs as may not reach the folder it lies in.
fn own_program() -> io::Result<OwnedFd> {
    let memfd = memfd_create("demo", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut copy = File::from(memfd);
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SEAL;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(copy.into())
}
