//! What a Session and the Node share: the descriptors, and how it ended.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::TerminalSize;
use crate::linux::process::Exit;
use crate::linux::sys::{pipe, terminal};
use crate::node::Stream;
use crate::{Error, Kind, Result};

/// Both sides' view of one session. The Node puts descriptors in and says how it ended; the rest is the caller's, who reads and
/// writes without the Node.
pub(crate) struct Link {
    /// Readable when the caller has something to do.
    epoll: Epoll,
    ended: EventFd,
    state: Mutex<State>,
}

struct State {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Standard input, or the terminal, is on its way.
    coming: bool,
    /// A write found no room: the caller waits for some.
    full: bool,
    end: Option<End>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// The program ended.
    Exit(Exit),
    /// It never ran, or was cut off.
    Failed(Kind, String),
}

impl Link {
    pub(crate) fn new() -> Result<Link> {
        let failed = |errno: Errno| {
            let error = Error::os("open a session", errno as i32);
            error.cure("raise RLIMIT_NOFILE")
        };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        let ended = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let ended = ended.map_err(failed)?;
        epoll
            .add(&ended, EpollEvent::new(EpollFlags::EPOLLIN, 0))
            .map_err(failed)?;
        Ok(Link {
            epoll,
            ended,
            state: Mutex::new(State {
                stdin: None,
                stdout: None,
                stderr: None,
                coming: false,
                full: false,
                end: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain data: whoever panicked while holding it left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here comes what the program prints. The descriptor does not block.
    pub(crate) fn set_output(&self, stream: Stream, fd: OwnedFd) -> Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, 0);
        self.epoll
            .add(&fd, event)
            .map_err(|errno| Error::os("open a session", errno as i32))?;
        *self.state().output(stream) = Some(fd);
        Ok(())
    }

    /// What is written goes here. The descriptor does not block.
    pub(crate) fn set_input(&self, fd: Option<OwnedFd>) {
        let mut state = self.state();
        state.coming = false;
        state.stdin = fd;
        if state.full {
            self.watch_room(&mut state);
        }
    }

    /// Standard input, or a terminal, comes later.
    pub(crate) fn expect_input(&self) {
        self.state().coming = true;
    }

    /// Only the first end counts.
    pub(crate) fn finish(&self, end: End) {
        let mut state = self.state();
        state.coming = false;
        state.end.get_or_insert(end);
        let _ = self.ended.write(1);
    }

    pub(super) fn end(&self) -> Option<End> {
        self.state().end.clone()
    }

    pub(super) fn read(&self, stream: Stream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        let awaited = state.coming && stream == Stream::Stdout;
        let slot = state.output(stream);
        let Some(fd) = slot else {
            return match awaited {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => Ok(0),
            };
        };
        match nix::unistd::read(&*fd, buffer) {
            Ok(count @ 1..) => Ok(count),
            Err(Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            Err(Errno::EINTR) => Err(io::ErrorKind::Interrupted.into()),
            Ok(0) if buffer.is_empty() => Ok(0),
            // A terminal that nobody has open any more fails to be read.
            Ok(_) | Err(_) => {
                let _ = self.epoll.delete(&*fd);
                *slot = None;
                Ok(0)
            }
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        let Some(fd) = &state.stdin else {
            if state.coming {
                state.full = true;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        match pipe::write(fd, bytes) {
            Ok(count) => {
                self.forget_room(&mut state);
                Ok(count)
            }
            Err(Errno::EAGAIN) => {
                state.full = true;
                self.watch_room(&mut state);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(Errno::EINTR) => Err(io::ErrorKind::Interrupted.into()),
            Err(errno) => {
                self.close_stdin_of(&mut state);
                Err(errno.into())
            }
        }
    }

    pub(super) fn close_stdin(&self) {
        let mut state = self.state();
        state.coming = false;
        self.close_stdin_of(&mut state);
    }

    pub(super) fn resize(&self, size: TerminalSize) -> Result<()> {
        let attempt = "resize the terminal of a session";
        let state = self.state();
        let Some(fd) = &state.stdin else {
            return Err(Error::new(Kind::Conflict, attempt, "it has none (yet)"));
        };
        terminal::resize(fd.as_fd(), size.rows, size.columns).map_err(|errno| match errno {
            Errno::ENOTTY => Error::new(Kind::Conflict, attempt, "it has none"),
            errno => Error::os(attempt, errno as i32),
        })
    }

    fn close_stdin_of(&self, state: &mut State) {
        self.forget_room(state);
        state.stdin = None;
    }

    fn watch_room(&self, state: &mut State) {
        if let Some(fd) = &state.stdin {
            // It is there already if it was waited for before.
            let _ = self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLOUT, 0));
        }
    }

    fn forget_room(&self, state: &mut State) {
        if let Some(fd) = state.stdin.as_ref().filter(|_| state.full) {
            let _ = self.epoll.delete(fd);
        }
        state.full = false;
    }
}

impl State {
    fn output(&mut self, stream: Stream) -> &mut Option<OwnedFd> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
