//! The mount calls of Linux 5.2 and 5.12: `open_tree`, `move_mount`, `mount_setattr`, `fsopen`, `fsconfig`, `fsmount`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

const CLOEXEC: i64 = libc::O_CLOEXEC as i64;
pub(crate) const OPEN_TREE_CLONE: i64 = 1;
pub(crate) const AT_RECURSIVE: i64 = 0x8000;
const AT_EMPTY_PATH: i64 = 0x1000;
const MOVE_MOUNT_F_EMPTY_PATH: i64 = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: i64 = 0x40;

/// `struct mount_attr`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

/// What `fsconfig` does; the numbers are the kernel's.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub(crate) enum Config {
    SetFlag = 0,
    SetString = 1,
    Create = 6,
}

fn owned(result: i64) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(result)?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it. Descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Linux 5.2.
pub(crate) fn open_tree(dir: BorrowedFd<'_>, path: &CStr, flags: i64) -> Result<OwnedFd, Errno> {
    let flags = flags | CLOEXEC | if path.is_empty() { AT_EMPTY_PATH } else { 0 };
    // SAFETY: the descriptor is borrowed and the path ends with a zero.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// Attaches `tree` on the file that `target` is. Linux 5.2.
pub(crate) fn move_mount(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let (from, to) = (tree.as_raw_fd(), target.as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both descriptors are borrowed and the paths are empty constants.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            from,
            c"".as_ptr(),
            to,
            c"".as_ptr(),
            flags,
        )
    };
    Errno::result(done).map(drop)
}

/// Linux 5.12.
pub(crate) fn setattr(tree: BorrowedFd<'_>, flags: i64, attr: &Attr) -> Result<(), Errno> {
    let (fd, flags, size) = (tree.as_raw_fd(), flags | AT_EMPTY_PATH, size_of::<Attr>());
    // SAFETY: the descriptor is borrowed, the path an empty constant, and `attr` lives for the call and is `size` long.
    let done =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, attr, size) };
    Errno::result(done).map(drop)
}

/// Linux 5.2.
pub(crate) fn fsopen(kind: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: the name ends with a zero.
    owned(unsafe {
        libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1 /* FSOPEN_CLOEXEC */)
    })
}

/// Linux 5.2.
pub(crate) fn fsconfig(
    fs: BorrowedFd<'_>,
    what: Config,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> Result<(), Errno> {
    let (key, value) = (
        key.map_or(std::ptr::null(), CStr::as_ptr),
        value.map_or(std::ptr::null(), CStr::as_ptr),
    );
    // SAFETY: the descriptor is borrowed; key and value are null or end with a zero, as `what` wants them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            fs.as_raw_fd(),
            what as i64,
            key,
            value,
            0,
        )
    };
    Errno::result(done).map(drop)
}

/// Linux 5.2.
pub(crate) fn fsmount(fs: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: takes a borrowed descriptor and two integers.
    owned(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            fs.as_raw_fd(),
            1, /* FSMOUNT_CLOEXEC */
            attributes,
        )
    })
}
