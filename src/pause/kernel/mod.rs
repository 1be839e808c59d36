//! The kernel as functions: every system call pause makes, with descriptors that close themselves.

mod credentials;
mod descriptor;
mod epoll;
mod memory;
mod mount;
mod path;
mod process;
mod socket;
mod terminal;

use core::ffi::CStr;

use crate::numbers as number;
use crate::raw;

pub use credentials::*;
pub use descriptor::*;
pub use epoll::*;
pub use memory::*;
pub use mount::*;
pub use path::*;
pub use process::*;
pub use socket::*;
pub use terminal::*;

/// What the kernel said when it said no.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

pub type Result<T> = core::result::Result<T, Errno>;

impl Errno {
    pub const EPERM: Errno = Errno(1);
    pub const ENOENT: Errno = Errno(2);
    pub const ESRCH: Errno = Errno(3);
    pub const EINTR: Errno = Errno(4);
    pub const ENXIO: Errno = Errno(6);
    pub const ENOEXEC: Errno = Errno(8);
    pub const EBADF: Errno = Errno(9);
    pub const EAGAIN: Errno = Errno(11);
    pub const EACCES: Errno = Errno(13);
    pub const EEXIST: Errno = Errno(17);
    pub const EXDEV: Errno = Errno(18);
    pub const ENOTDIR: Errno = Errno(20);
    pub const EINVAL: Errno = Errno(22);
    pub const EPIPE: Errno = Errno(32);
    pub const ENAMETOOLONG: Errno = Errno(36);
    pub const EPROTO: Errno = Errno(71);
    pub const ECONNRESET: Errno = Errno(104);
}

const AT_EMPTY_PATH: usize = 0x1000;

/// A descriptor that is ours to close.
pub struct Fd(i32);

impl Fd {
    pub fn own(fd: i32) -> Fd {
        Fd(fd)
    }

    pub fn raw(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        let _ = call(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]);
    }
}

/// A string with its NUL, wherever it lies.
#[derive(Clone, Copy)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// `None` if the last byte is not the only NUL.
    pub fn new(bytes_with_nul: &'a [u8]) -> Option<Text<'a>> {
        let end = bytes_with_nul.iter().position(|byte| *byte == 0)?;
        (end + 1 == bytes_with_nul.len()).then_some(Text(bytes_with_nul))
    }

    pub fn bytes(self) -> &'a [u8] {
        &self.0[..self.0.len() - 1]
    }

    /// What follows `prefix`, if it begins with that.
    pub fn after(self, prefix: &[u8]) -> Option<Text<'a>> {
        self.0.strip_prefix(prefix).map(Text)
    }

    fn pointer(self) -> usize {
        self.0.as_ptr() as usize
    }
}

impl<'a> From<&'a CStr> for Text<'a> {
    fn from(text: &'a CStr) -> Text<'a> {
        Text(text.to_bytes_with_nul())
    }
}

/// The one door. Every wrapper below passes pointers that live for the call and sizes that fit them.
fn call(number: usize, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: see above; calls that change our own memory map are only made through `map` and `unmap`.
    let result = unsafe { raw::syscall(number, arguments) };
    if (-4095..0).contains(&result) {
        Err(Errno(-result as i32))
    } else {
        Ok(result as usize)
    }
}

/// With three arguments or fewer.
fn brief(number: usize, a: usize, b: usize, c: usize) -> Result<usize> {
    call(number, [a, b, c, 0, 0, 0])
}

fn opened(result: Result<usize>) -> Result<Fd> {
    result.map(|fd| Fd(fd as i32))
}

pub fn exit(code: i32) -> ! {
    loop {
        let _ = brief(number::EXIT_GROUP, code as usize, 0, 0);
    }
}

/// The bytes of argument `index`, from the block the kernel starts a program with; empty if there is none.
pub fn argument(block: *const usize, index: usize) -> &'static [u8] {
    // SAFETY: the kernel's layout: the count, then as many pointers to strings that live as long as the program.
    unsafe {
        if index >= *block {
            return &[];
        }
        CStr::from_ptr(*block.add(1 + index) as *const _).to_bytes()
    }
}
