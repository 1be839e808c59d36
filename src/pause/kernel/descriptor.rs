//! Descriptors.

use super::{AT_EMPTY_PATH, Fd, Result, Text, brief, call, number, opened};

pub const AT_FDCWD: i32 = -100;
pub const O_PATH: u64 = 0o10000000;
pub const O_CLOEXEC: u64 = 0o2000000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: u64 = 0o400000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: u64 = 0o100000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: u64 = 0o200000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: u64 = 0o40000;
pub const O_WRONLY: u64 = 1;
pub const O_RDWR: u64 = 2;
pub const O_NOCTTY: u64 = 0o400;
pub const O_CREAT: u64 = 0o100;
pub const O_TRUNC: u64 = 0o1000;
pub const O_NONBLOCK: u64 = 0o4000;
pub const RESOLVE_NO_XDEV: u64 = 0x01;
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub const RESOLVE_BENEATH: u64 = 0x08;
pub const RESOLVE_IN_ROOT: u64 = 0x10;

pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    brief(
        number::READ,
        fd as usize,
        buffer.as_mut_ptr() as usize,
        buffer.len(),
    )
}

pub fn pread(fd: i32, buffer: &mut [u8], offset: usize) -> Result<usize> {
    call(
        number::PREAD64,
        [
            fd as usize,
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            offset,
            0,
            0,
        ],
    )
}

pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    brief(
        number::WRITE,
        fd as usize,
        bytes.as_ptr() as usize,
        bytes.len(),
    )
}

pub fn openat2(directory: i32, path: Text<'_>, flags: u64, mode: u32, resolve: u64) -> Result<Fd> {
    let how = [flags | O_CLOEXEC, u64::from(mode), resolve];
    let arguments = [
        directory as usize,
        path.pointer(),
        how.as_ptr() as usize,
        size_of_val(&how),
        0,
        0,
    ];
    opened(call(number::OPENAT2, arguments))
}

pub fn dup3(from: i32, to: i32, flags: u64) -> Result<()> {
    brief(number::DUP3, from as usize, to as usize, flags as usize).map(drop)
}

/// A copy that nobody owns yet, not below `least`.
pub fn duplicate_above(fd: i32, least: i32) -> Result<i32> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    brief(number::FCNTL, fd as usize, F_DUPFD_CLOEXEC, least as usize).map(|fd| fd as i32)
}

pub fn duplicate(fd: i32) -> Result<Fd> {
    duplicate_above(fd, 3).map(Fd)
}

pub fn close_on_exec(fd: i32) -> Result<()> {
    const F_SETFD: usize = 2;
    const FD_CLOEXEC: usize = 1;
    brief(number::FCNTL, fd as usize, F_SETFD, FD_CLOEXEC).map(drop)
}

pub fn non_blocking(fd: i32) -> Result<()> {
    const F_SETFL: usize = 4;
    brief(number::FCNTL, fd as usize, F_SETFL, O_NONBLOCK as usize).map(drop)
}

/// Closes it and all above.
pub fn close_from(fd: i32) {
    let _ = brief(number::CLOSE_RANGE, fd as usize, u32::MAX as usize, 0);
}

/// The reading and the writing end.
pub fn pipe() -> Result<(Fd, Fd)> {
    let mut ends = [0i32; 2];
    brief(
        number::PIPE2,
        ends.as_mut_ptr() as usize,
        O_CLOEXEC as usize,
        0,
    )?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// Gives the file of a descriptor an owner.
pub fn fchown(fd: i32, uid: u32, gid: u32) -> Result<()> {
    brief(number::FCHOWN, fd as usize, uid as usize, gid as usize).map(drop)
}

pub fn fchmod(fd: i32, mode: u32) -> Result<()> {
    brief(number::FCHMOD, fd as usize, mode as usize, 0).map(drop)
}

/// Major and minor number of the device it is.
pub fn device(fd: i32) -> Result<(u32, u32)> {
    // stx_rdev_major and stx_rdev_minor are the two halves of the seventeenth 64-bit word.
    let numbers = statx(fd)?[16];
    Ok((numbers as u32, (numbers >> 32) as u32))
}

/// `struct statx`: type, permissions and device.
fn statx(fd: i32) -> Result<[u64; 32]> {
    const STATX_TYPE_AND_MODE: usize = 3;
    let mut answer = [0u64; 32];
    let pointer = answer.as_mut_ptr() as usize;
    call(
        number::STATX,
        [
            fd as usize,
            c"".as_ptr() as usize,
            AT_EMPTY_PATH,
            STATX_TYPE_AND_MODE,
            pointer,
            0,
        ],
    )?;
    Ok(answer)
}

/// Type and permission bits.
pub fn mode(fd: i32) -> Result<u32> {
    // stx_mode is the upper half of the fourth 64-bit word.
    Ok((statx(fd)?[3] >> 32) as u32 & 0xffff)
}

/// Is it `/dev/null`, whatever its path?
pub fn is_null(fd: i32) -> Result<bool> {
    Ok(mode(fd)? & 0o170000 == 0o020000 && device(fd)? == (1, 3))
}

pub fn is_directory(fd: i32) -> Result<bool> {
    Ok(mode(fd)? & 0o170000 == 0o040000)
}

/// Is it a proc file system?
pub fn is_proc(fd: i32) -> Result<bool> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let mut answer = [0u64; 15];
    brief(
        number::FSTATFS,
        fd as usize,
        answer.as_mut_ptr() as usize,
        0,
    )?;
    Ok(answer[0] == PROC_SUPER_MAGIC)
}
