//! Messages with descriptors, over a socket. Never blocks but where it says so.

use core::mem::MaybeUninit;

use crate::kernel::{self, Errno, Fd, Message, Result};
use crate::wire::{DESCRIPTORS_MAX, MESSAGE_SIZE};

/// `struct cmsghdr` and the descriptors behind it.
#[repr(C)]
struct Control {
    size: usize,
    level: i32,
    kind: i32,
    fds: [i32; DESCRIPTORS_MAX],
}

const CONTROL_HEADER: usize = 16;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// The descriptors that came with a message, to be taken out one by one; what is left is closed.
pub struct Received {
    fds: [Option<Fd>; DESCRIPTORS_MAX],
    count: usize,
}

impl Received {
    pub fn none() -> Received {
        Received {
            fds: [const { None }; DESCRIPTORS_MAX],
            count: 0,
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn take(&mut self, index: usize) -> Option<Fd> {
        self.fds.get_mut(index)?.take()
    }

    /// Those from `index` on that have not been taken.
    pub fn from(&self, index: usize) -> impl Iterator<Item = i32> + Clone {
        self.fds
            .iter()
            .take(self.count)
            .skip(index)
            .flatten()
            .map(Fd::raw)
    }
}

/// Sends one message; `EAGAIN` if the other side does not listen now.
pub fn send(socket: i32, bytes: &[u8; MESSAGE_SIZE], fds: &[i32]) -> Result<()> {
    let mut control = Control {
        size: CONTROL_HEADER + 4 * fds.len(),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        fds: [0; DESCRIPTORS_MAX],
    };
    for (place, fd) in control.fds.iter_mut().zip(fds) {
        *place = *fd;
    }
    let piece = [bytes.as_ptr() as usize, MESSAGE_SIZE];
    let message = Message {
        name: 0,
        name_size: 0,
        pieces: &piece,
        piece_count: 1,
        control: (&raw mut control).cast(),
        control_size: if fds.is_empty() {
            0
        } else {
            control.size.next_multiple_of(8)
        },
        flags: 0,
    };
    // SAFETY: one piece of the size that is said, and a control message that fits its place.
    unsafe { kernel::sendmsg(socket, &message) }.map(drop)
}

/// Receives one message: how long it is, and its descriptors. 0: the other end is closed.
pub fn receive(socket: i32, bytes: &mut [u8; MESSAGE_SIZE]) -> Result<(usize, Received)> {
    let mut control = MaybeUninit::<Control>::zeroed();
    let piece = [bytes.as_mut_ptr() as usize, MESSAGE_SIZE];
    let mut message = Message {
        name: 0,
        name_size: 0,
        pieces: &piece,
        piece_count: 1,
        control: control.as_mut_ptr().cast(),
        control_size: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: one piece of the size that is said, and room for a control message of the size that is said.
    let size = unsafe { kernel::recvmsg(socket, &mut message) }?;
    // SAFETY: plain numbers, zero or written by the kernel.
    let control = unsafe { control.assume_init() };
    let mut received = Received::none();
    if message.control_size >= CONTROL_HEADER
        && (control.level, control.kind) == (SOL_SOCKET, SCM_RIGHTS)
    {
        received.count = control
            .size
            .saturating_sub(CONTROL_HEADER)
            .min(4 * DESCRIPTORS_MAX)
            / 4;
        for (place, fd) in received.fds.iter_mut().zip(&control.fds[..received.count]) {
            *place = Some(Fd::own(*fd));
        }
    }
    // A message of another size is not ours, and descriptors that found no room are lost: both are answered, not used.
    if message.flags & (kernel::MSG_CTRUNC | kernel::MSG_TRUNC) != 0 {
        return Err(Errno::EPROTO);
    }
    Ok((size, received))
}
