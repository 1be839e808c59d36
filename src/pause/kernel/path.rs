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

pub fn fchdir(fd: i32) -> Result<()> {
    brief(number::FCHDIR, fd as usize, 0, 0).map(drop)
}
