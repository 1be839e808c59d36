//! `SOCK_SEQPACKET` sockets that carry descriptors: `unix(7)`. Never blocks, never raises SIGPIPE.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    bind as bind_to, connect as connect_to, recvmsg, sendmsg, socket, socketpair,
};

/// Two connected ends.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
}

/// A socket bound to `path`, mode 0600. It does not listen yet: who listens is whom `SO_PEERPIDFD` names.
pub(crate) fn bind(path: &Path) -> Result<OwnedFd, Errno> {
    let fd = unconnected()?;
    // The mode of the file to come: no moment in which others may connect, and no umask of the embedder's touched.
    nix::sys::stat::fchmod(&fd, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
    let (_directory, short) = shorten(path)?;
    bind_to(fd.as_raw_fd(), &UnixAddr::new(&short)?)?;
    Ok(fd)
}

/// Connects to `path`.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let fd = unconnected()?;
    let (_directory, short) = shorten(path)?;
    connect_to(fd.as_raw_fd(), &UnixAddr::new(&short)?)?;
    Ok(fd)
}

/// The pidfd of the process that listened, or made the pair. Linux 6.5.
pub(crate) fn peer(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const SO_PEERPIDFD: i32 = 77;
    let mut pidfd: RawFd = -1;
    let mut size = size_of::<RawFd>() as libc::socklen_t;
    let pointer = (&raw mut pidfd).cast();
    // SAFETY: the buffer and its size live for the call, and fit what is asked for.
    Errno::result(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            pointer,
            &mut size,
        )
    })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// Sends one message with descriptors.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[RawFd]) -> Result<(), Errno> {
    let rights = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        control,
        flags,
        None,
    )
    .map(drop)
}

/// Receives one message: its size and descriptors. `None`: there is none now. Size 0: the other end is closed.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> Result<Option<(usize, Vec<OwnedFd>)>, Errno> {
    let mut control = nix::cmsg_space!([RawFd; 4]);
    let mut pieces = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(Errno::ECONNRESET) => return Ok(Some((0, Vec::new()))),
        Err(errno) => return Err(errno),
    };
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            // SAFETY: the kernel has just put these into our table, nobody else owns them.
            fds.extend(
                received
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok(Some((message.bytes, fds)))
}

fn unconnected() -> Result<OwnedFd, Errno> {
    socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
}

/// `sun_path` holds 108 bytes: a longer path is taken through a descriptor of its directory, which must stay open.
fn shorten(path: &Path) -> Result<(Option<OwnedFd>, PathBuf), Errno> {
    if path.as_os_str().len() < 100 {
        return Ok((None, path.to_owned()));
    }
    let name = path.file_name().ok_or(Errno::EINVAL)?;
    let directory = path.parent().ok_or(Errno::EINVAL)?;
    let directory = CString::new(directory.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    use nix::fcntl::{OFlag, open};
    let fd = open(
        directory.as_c_str(),
        OFlag::O_PATH | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    let short = Path::new("/proc/self/fd")
        .join(fd.as_raw_fd().to_string())
        .join(name);
    Ok((Some(fd), short))
}
