//! A connection being made: a tcpSocket probe by itself, the first half of an httpGet one.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, connect, getsockopt, sockopt};

/// Starts connecting a non-blocking socket: true if it is connected at once.
pub(crate) fn start(socket: impl AsFd, address: SocketAddr) -> Result<bool, Errno> {
    match connect(socket.as_fd().as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => Ok(true),
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// How the connection went, once the socket is writable.
pub(crate) fn finish(socket: impl AsFd) -> Result<(), Errno> {
    match getsockopt(&socket, sockopt::SocketError)? {
        0 => Ok(()),
        errno => Err(Errno::from_raw(errno)),
    }
}

/// As Go words a failed dial.
pub(crate) fn failed(address: SocketAddr, errno: Errno) -> String {
    format!(
        "dial tcp {address}: connect: {}",
        errno.desc().to_lowercase()
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

    use super::*;
    use crate::linux::reactor::{Interest, Reactor, Token};

    fn connected(address: SocketAddr) -> Result<(), Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        if start(&socket, address)? {
            return Ok(());
        }
        let mut reactor = Reactor::new().unwrap();
        reactor.add(&socket, Interest::Write, Token(1)).unwrap();
        reactor.wait(None, &mut Vec::new()).unwrap();
        finish(&socket)
    }

    #[test]
    fn a_listener_is_reached_and_its_absence_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(connected(address), Ok(()));
        drop(listener);
        assert_eq!(connected(address), Err(Errno::ECONNREFUSED));
        let text = failed(address, Errno::ECONNREFUSED);
        assert_eq!(
            text,
            format!("dial tcp {address}: connect: connection refused")
        );
    }
}
