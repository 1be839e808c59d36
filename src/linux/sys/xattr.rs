//! Extended attributes: `getxattr(2)`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// The attribute's value, if it fits `buffer`.
pub(crate) fn read<'b>(
    fd: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Errno> {
    let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the name ends with a zero, and the kernel writes at most `length` bytes into the buffer.
    let count = unsafe { libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), start, length) };
    let count = Errno::result(count)? as usize;
    Ok(&buffer[..count])
}
