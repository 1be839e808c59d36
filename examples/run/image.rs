//! The images that a manifest may name.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

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
    let program = File::open("/proc/self/exe")?;
    let size = loaded(&program)?;
    let memfd = memfd_create("demo", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut copy = File::from(memfd);
    io::copy(&mut program.take(size), &mut copy)?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SEAL;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(copy.into())
}

/// Where the last segment of a 64-bit ELF file ends. Behind it there is only what debuggers read, most of a debug build,
/// and it would count against the containers' memory limits.
fn loaded(program: &File) -> io::Result<u64> {
    let mut header = [0; 64];
    program.read_exact_at(&mut header, 0)?;
    let [table, size, count] = [0x20..0x28, 0x36..0x38, 0x38..0x3a].map(|at| number(&header[at]));
    let mut end = 0;
    for index in 0..count {
        let mut segment = [0; 56];
        program.read_exact_at(&mut segment, table + index * size)?;
        end = end.max(number(&segment[8..16]) + number(&segment[32..40]));
    }
    Ok(end)
}

/// The ELF files of this machine have its own byte order.
fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let at = if cfg!(target_endian = "little") {
        0
    } else {
        8 - bytes.len()
    };
    word[at..at + bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(word)
}
