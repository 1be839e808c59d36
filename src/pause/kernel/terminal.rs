//! Terminals.

use super::{Fd, O_CLOEXEC, O_NOCTTY, O_RDWR, Result, brief, number, opened};

/// Makes standard input the controlling terminal of the session.
pub fn take_terminal() -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    brief(number::IOCTL, 0, TIOCSCTTY, 0).map(drop)
}

/// Lets its other end be opened.
pub fn unlock_terminal(fd: i32) -> Result<()> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    let locked = 0i32;
    brief(
        number::IOCTL,
        fd as usize,
        TIOCSPTLCK,
        &raw const locked as usize,
    )
    .map(drop)
}

pub fn resize_terminal(fd: i32, rows: u16, columns: u16) -> Result<()> {
    const TIOCSWINSZ: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    brief(
        number::IOCTL,
        fd as usize,
        TIOCSWINSZ,
        size.as_ptr() as usize,
    )
    .map(drop)
}

/// The end that programs see, without a path to it.
pub fn terminal_peer(fd: i32) -> Result<Fd> {
    const TIOCGPTPEER: usize = 0x5441;
    let flags = (O_RDWR | O_NOCTTY | O_CLOEXEC) as usize;
    opened(brief(number::IOCTL, fd as usize, TIOCGPTPEER, flags))
}
