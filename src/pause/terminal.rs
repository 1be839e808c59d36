//! A new terminal, made where the process's own `/dev/pts` is.

use crate::channel;
use crate::files::Root;
use crate::kernel::{self, Errno, Result};
use crate::wire::MESSAGE_SIZE;

/// `/dev/ptmx` and its like.
const PTMX: (u32, u32) = (5, 2);

/// Makes it the standard streams and the controlling terminal, and sends its other end to pause.
pub fn open([rows, columns, uid]: [u64; 3], report: Option<i32>) -> Result<()> {
    let flags = kernel::O_RDWR | kernel::O_NOCTTY | kernel::O_NONBLOCK;
    let other = Root::OWN.open(c"/dev/pts/ptmx".into(), flags, 0)?;
    // A container that runs already may have put something else there.
    if kernel::device(other.raw())? != PTMX {
        return Err(Errno::ENXIO);
    }
    kernel::unlock_terminal(other.raw())?;
    kernel::resize_terminal(other.raw(), rows as u16, columns as u16)?;
    let own = kernel::terminal_peer(other.raw())?;
    if uid != 0 {
        const SAME: u32 = u32::MAX;
        kernel::fchown(own.raw(), uid as u32, SAME)?;
    }
    for stream in 0..3 {
        kernel::dup3(own.raw(), stream, 0)?;
    }
    kernel::take_terminal()?;
    let pause = report.ok_or(Errno::EBADF)?;
    channel::send(pause, &[0; MESSAGE_SIZE], &[other.raw()])
}
