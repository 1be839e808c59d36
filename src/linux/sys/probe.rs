//! Is a system call there? Each is called with arguments that it refuses before it does anything.
#![allow(unsafe_code)]

use nix::errno::Errno;

/// Anything but ENOSYS means that the kernel has it. (A seccomp filter around this program may say ENOSYS or EPERM, too.)
fn is_there(result: i64) -> bool {
    !matches!(Errno::result(result), Err(Errno::ENOSYS | Errno::EPERM))
}

pub(crate) fn clone3() -> bool {
    // SAFETY: a structure of size 0 is refused with EINVAL before it is read.
    is_there(unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0) })
}

pub(crate) fn openat2() -> bool {
    let null = std::ptr::null::<u8>();
    // SAFETY: a structure of size 0 is refused with EINVAL before it or the path is read.
    is_there(unsafe { libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, null, null, 0) })
}

pub(crate) fn close_range() -> bool {
    // SAFETY: a last descriptor below the first is refused with EINVAL; nothing is closed.
    is_there(unsafe { libc::syscall(libc::SYS_close_range, 1, 0, 0) })
}

pub(crate) fn open_tree() -> bool {
    let null = std::ptr::null::<u8>();
    // SAFETY: unknown flags are refused with EINVAL before the path is read.
    is_there(unsafe { libc::syscall(libc::SYS_open_tree, -1, null, u32::MAX) })
}

pub(crate) fn mount_setattr() -> bool {
    let null = std::ptr::null::<u8>();
    // SAFETY: unknown flags are refused with EINVAL before the path or the structure is read.
    is_there(unsafe { libc::syscall(libc::SYS_mount_setattr, -1, null, u32::MAX, null, 0) })
}

pub(crate) fn landlock() -> bool {
    let null = std::ptr::null::<u8>();
    // SAFETY: asks for the version (flag 1); no structure is read.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, null, 0, 1) >= 0 }
}
