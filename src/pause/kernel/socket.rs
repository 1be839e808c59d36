//! Sockets and messages with descriptors.

use super::{Fd, O_CLOEXEC, O_NONBLOCK, Result, brief, call, number, opened};

pub const SOCK_CLOEXEC: u32 = O_CLOEXEC as u32;

pub fn socket(family: u32, kind: u32) -> Result<Fd> {
    opened(brief(
        number::SOCKET,
        family as usize,
        (kind | SOCK_CLOEXEC) as usize,
        0,
    ))
}

pub fn seqpacket_pair() -> Result<(Fd, Fd)> {
    const AF_UNIX: usize = 1;
    const SOCK_SEQPACKET: usize = 5;
    let mut ends = [0i32; 2];
    let kind = SOCK_SEQPACKET | SOCK_CLOEXEC as usize;
    call(
        number::SOCKETPAIR,
        [AF_UNIX, kind, 0, ends.as_mut_ptr() as usize, 0, 0],
    )?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

pub fn listen(socket: i32) -> Result<()> {
    brief(number::LISTEN, socket as usize, 8, 0).map(drop)
}

pub fn accept(socket: i32) -> Result<Fd> {
    let flags = (O_CLOEXEC | O_NONBLOCK) as usize;
    opened(call(number::ACCEPT4, [socket as usize, 0, 0, flags, 0, 0]))
}

/// Sets `IFF_UP` on `lo`.
pub fn loopback_up() -> Result<()> {
    const AF_INET: u32 = 2;
    const SOCK_DGRAM: u32 = 2;
    const SIOCGIFFLAGS: usize = 0x8913;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u8 = 1;
    let socket = socket(AF_INET, SOCK_DGRAM)?;
    // struct ifreq: sixteen bytes of name, then the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    brief(
        number::IOCTL,
        socket.raw() as usize,
        SIOCGIFFLAGS,
        request.as_mut_ptr() as usize,
    )?;
    request[16] |= IFF_UP;
    brief(
        number::IOCTL,
        socket.raw() as usize,
        SIOCSIFFLAGS,
        request.as_ptr() as usize,
    )
    .map(drop)
}

/// `struct msghdr`.
#[repr(C)]
pub struct Message {
    pub name: usize,
    pub name_size: u32,
    pub pieces: *const [usize; 2],
    pub piece_count: usize,
    pub control: *mut u8,
    pub control_size: usize,
    pub flags: i32,
}

pub const MSG_CTRUNC: i32 = 0x8;
pub const MSG_TRUNC: i32 = 0x20;
const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;

/// # Safety
/// The message's pointers fit their sizes.
pub unsafe fn sendmsg(socket: i32, message: &Message) -> Result<usize> {
    let flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    brief(
        number::SENDMSG,
        socket as usize,
        message as *const Message as usize,
        flags,
    )
}

/// # Safety
/// The message's pointers fit their sizes.
pub unsafe fn recvmsg(socket: i32, message: &mut Message) -> Result<usize> {
    let flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    brief(
        number::RECVMSG,
        socket as usize,
        message as *mut Message as usize,
        flags,
    )
}
