//! Files by path.

use super::{Result, Text, brief, call, number};

pub fn mkdirat(directory: i32, name: Text<'_>, mode: u32) -> Result<()> {
    brief(
        number::MKDIRAT,
        directory as usize,
        name.pointer(),
        mode as usize,
    )
    .map(drop)
}

pub fn mknodat(directory: i32, name: Text<'_>, mode: u32, device: u64) -> Result<()> {
    let arguments = [
        directory as usize,
        name.pointer(),
        mode as usize,
        device as usize,
        0,
        0,
    ];
    call(number::MKNODAT, arguments).map(drop)
}

pub fn symlinkat(to: Text<'_>, directory: i32, name: Text<'_>) -> Result<()> {
    brief(
        number::SYMLINKAT,
        to.pointer(),
        directory as usize,
        name.pointer(),
    )
    .map(drop)
}

pub fn chdir(path: Text<'_>) -> Result<()> {
    brief(number::CHDIR, path.pointer(), 0, 0).map(drop)
}

/// Whether the working directory is below the root: a descriptor that came from elsewhere may have led out.
#[inline(never)]
pub fn is_at_home() -> Result<bool> {
    let mut path = [0u8; 4096];
    brief(number::GETCWD, path.as_mut_ptr() as usize, path.len(), 0)?;
    // Otherwise the kernel says "(unreachable)" first.
    Ok(path[0] == b'/')
}

pub fn fchdir(fd: i32) -> Result<()> {
    brief(number::FCHDIR, fd as usize, 0, 0).map(drop)
}
