//! What a caller does with a running container: programs beside it, its own streams, its ports, its files.

mod attach;
mod copy;
mod exec;
mod forward;
mod inside;
mod link;
mod port_forward;
mod streams;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};

pub use copy::{Copied, Copy};
pub(crate) use exec::Held;
pub(crate) use forward::Forward;
pub(crate) use inside::{Ends, Kin};
pub(crate) use link::{End, Link};
pub use port_forward::PortForward;
pub use streams::{Exec, ExecUser, Streams, TerminalSize};

use super::PodId;
use super::handle::Inbox;
use super::logs::Stream;
use crate::linux::process::{Exit, poll_timeout};
use crate::{Error, Result};

/// A program that runs inside a container ([`Node::exec`](crate::Node::exec)), or the container's own
/// ([`Node::attach`](crate::Node::attach)), held by its streams.
///
/// Reading and writing never block, and do without the Node: a session may be used by another thread than the one that drives
/// it. [`AsFd`] gives one descriptor, readable when there is something to read, when there is room again after a write that
/// found none, and when it [ended](Session::end).
///
/// Dropping it before its end kills a program that was run with all that came of it, and leaves an attached container as it
/// is.
///
/// ```no_run
/// use podlife::node::{Exec, Stream};
/// # let mut node = podlife::Node::ephemeral()?;
/// # let pod = node.find("default", "web").unwrap().id();
/// let session = node.exec(pod, "web", Exec::new(["cat"]).stdin())?;
/// session.write(b"hello\n")?;
/// session.close_stdin();
/// let mut buffer = [0; 4096];
/// while session.end().is_none() {
///     node.turn_or(&session, None)?;
///     while let Ok(count @ 1..) = session.read(Stream::Stdout, &mut buffer) {
///         print!("{}", String::from_utf8_lossy(&buffer[..count]));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    link: Arc<Link>,
    id: SessionId,
    inbox: Arc<Inbox>,
}

/// Names a session in its Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId {
    pub(crate) pod: PodId,
    pub(crate) number: u64,
}

impl Session {
    pub(super) fn new(link: Arc<Link>, id: SessionId, inbox: Arc<Inbox>) -> Session {
        Session { link, id, inbox }
    }

    /// What the program printed. 0: nothing more comes of that stream. [`io::ErrorKind::WouldBlock`]: nothing is there now.
    ///
    /// A program's children may hold its streams open after its [end](Session::end): what is there at the end is all that it
    /// printed itself.
    ///
    /// What an attached container prints while nobody reads is lost beyond about 64 KiB; a line in the stream says how much.
    /// Its log has it all the same.
    pub fn read(&self, stream: Stream, buffer: &mut [u8]) -> io::Result<usize> {
        self.link.read(stream, buffer)
    }

    /// Writes to the program's standard input, as much as there is room for. [`io::ErrorKind::BrokenPipe`]: it does not read
    /// any more, or the session has no standard input. Never raises SIGPIPE.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.link.write(bytes)
    }

    /// Ends the program's standard input, unless that is a terminal or there are others who write to it.
    pub fn close_stdin(&self) {
        self.link.close_stdin();
    }

    /// Says how large the terminal is now; the program gets SIGWINCH.
    ///
    /// # Errors
    /// [`Kind::Conflict`](crate::Kind::Conflict): there is no terminal, or it is not there yet.
    pub fn resize(&self, size: TerminalSize) -> Result<()> {
        self.link.resize(size)
    }

    /// How it ended. `None` while it runs.
    ///
    /// `Some(Err(_))`: the program could not be started, or the Node or the pod has gone.
    pub fn end(&self) -> Option<Result<Exit>> {
        self.link.end().map(|end| match end {
            End::Exit(exit) => Ok(exit),
            End::Failed(kind, why) => Err(Error::new(kind, "run it in the container", why)),
        })
    }

    /// Blocks until its descriptor is readable, at most `timeout` (`None`: for ever): false if it is not. For a thread that
    /// does not drive the Node; the one that does has [`Node::turn_or`](crate::Node::turn_or).
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        match poll(
            &mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)],
            poll_timeout(timeout),
        ) {
            Ok(count) => Ok(count > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(errno) => Err(Error::os("wait for a session", errno as i32)),
        }
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.inbox.let_go(self.id);
    }
}

/// A session moves between threads.
const _: () = {
    const fn send<T: Send + Sync>() {}
    send::<Session>();
};
