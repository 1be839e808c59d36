//! Programs of eBPF that a cgroup asks: `bpf(2)` with `BPF_PROG_LOAD` and `BPF_PROG_ATTACH`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

const PROG_LOAD: i64 = 5;
const PROG_ATTACH: i64 = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Programs of groups above and of others are asked too; all must agree.
const F_ALLOW_MULTI: u32 = 2;

/// `struct bpf_insn`, on a little-endian processor.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// The destination in the lower four bits, the source in the upper.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// `union bpf_attr`, as far as `BPF_PROG_LOAD` of Linux 4.15 reads it.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The same for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Has the kernel check a program that is asked for each use of a device. Linux 4.15.
pub(crate) fn load_device(instructions: &[Instruction], license: &CStr) -> Result<OwnedFd, Errno> {
    let attr = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"podlife_devices\0",
    };
    // SAFETY: `attr` is as long as is said and lives for the call; it points to `count` instructions and to a text that ends
    // with a zero, which the caller lends for as long.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attr, size_of::<Load>()) };
    let fd = Errno::result(done)?;
    // SAFETY: the kernel just gave us this descriptor (close-on-exec), nobody else owns it. Descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Has a cgroup ask it. Linux 4.15.
pub(crate) fn attach_device(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>) -> Result<(), Errno> {
    let attr = Attach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: CGROUP_DEVICE,
        flags: F_ALLOW_MULTI,
    };
    // SAFETY: both descriptors are borrowed; `attr` is as long as is said and lives for the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_ATTACH,
            &raw const attr,
            size_of::<Attach>(),
        )
    };
    Errno::result(done).map(drop)
}
