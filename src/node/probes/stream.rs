//! What is said goes over a connection as it is, or over TLS in it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{MsgFlags, recv, send};

use super::http::Request;
use crate::linux::reactor::Interest;

/// Why there is no https in a build without TLS, and the cure.
pub(crate) const NO_TLS: &str =
    "this build has no TLS: https needs the feature `tls` of the crate podlife";
/// So much is read in one go.
const PIECE: usize = 16 << 10;

/// What bytes are sent and received over.
#[derive(Debug)]
pub(super) enum Stream {
    /// The connection itself.
    Plain,
    /// TLS in it.
    #[cfg(feature = "tls")]
    Tls(Box<super::tls::Tls>),
}

/// Why it does not go on now.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// Until the socket is ready for this.
    Wait(Interest),
    /// For good: what should speak TLS speaks HTTP without it.
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "without TLS it cannot be")
    )]
    PlainHttp,
    /// For good, and why.
    Failed(String),
}

impl Stream {
    /// For a connection that is new. `Err` says why there can be none.
    pub(super) fn new(request: &Request) -> Result<Stream, String> {
        match request.https {
            false => Ok(Stream::Plain),
            true => Stream::tls(&request.host),
        }
    }

    #[cfg(feature = "tls")]
    fn tls(host: &str) -> Result<Stream, String> {
        let tls = super::tls::Tls::new(host)?;
        Ok(Stream::Tls(Box::new(tls)))
    }

    #[cfg(not(feature = "tls"))]
    fn tls(_: &str) -> Result<Stream, String> {
        Err(NO_TLS.into())
    }

    /// Sends all of it, without blocking. What was sent is taken away.
    pub(super) fn send(&mut self, wire: Wire<'_>, unsent: &mut Vec<u8>) -> Result<(), Stop> {
        match self {
            Stream::Plain => write_all(wire, unsent),
            #[cfg(feature = "tls")]
            Stream::Tls(tls) => tls.send(wire, unsent),
        }
    }

    /// What has come, without blocking: about 16 KiB at most, and nothing at the end.
    pub(super) fn receive(&mut self, mut wire: Wire<'_>) -> Result<Vec<u8>, Stop> {
        match self {
            Stream::Plain => {
                let mut piece = vec![0; PIECE];
                let count = wire.read(&mut piece).map_err(Stop::reading)?;
                piece.truncate(count);
                Ok(piece)
            }
            #[cfg(feature = "tls")]
            Stream::Tls(tls) => tls.receive(wire),
        }
    }
}

fn write_all(mut wire: Wire<'_>, unsent: &mut Vec<u8>) -> Result<(), Stop> {
    while !unsent.is_empty() {
        let count = wire.write(unsent).map_err(Stop::writing)?;
        unsent.drain(..count);
    }
    Ok(())
}

impl Stop {
    pub(super) fn reading(error: io::Error) -> Stop {
        Stop::of(error, Interest::Read)
    }

    pub(super) fn writing(error: io::Error) -> Stop {
        Stop::of(error, Interest::Write)
    }

    fn of(error: io::Error, interest: Interest) -> Stop {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Stop::Wait(interest),
            _ => Stop::Failed(match error.raw_os_error() {
                Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_owned(),
                None => error.to_string(),
            }),
        }
    }
}

/// A connected socket. It raises no SIGPIPE and never blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire<'s>(pub(super) BorrowedFd<'s>);

impl Read for Wire<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0.as_raw_fd(), piece, MsgFlags::MSG_DONTWAIT)?)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        Ok(send(self.0.as_raw_fd(), bytes, flags)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
