//! The connection: requests in, reports out.

use crate::channel::{self, Received};
use crate::entry::{Entry, State, Unsent};
use crate::kernel::{self, EPOLLIN, EPOLLOUT, Errno, Fd, Result};
use crate::wire::{Key, MESSAGE_SIZE, Report, Request};

use super::start::Wanted;
use super::{CONNECTION, Pause, or_end};

/// The most requests served before others get their turn.
const REQUESTS_A_ROUND: usize = 16;

impl Pause {
    /// Sends what is owed, as far as there is room.
    pub(super) fn flush(&mut self) {
        let blocked = matches!(self.send_owed(), Err(Errno::EAGAIN));
        if let Some(connection) = self.connection.as_ref().filter(|_| blocked != self.blocked) {
            let events = if blocked { EPOLLOUT } else { EPOLLIN };
            or_end(self.epoll.change(connection.raw(), events, CONNECTION));
        }
        self.blocked = blocked;
        self.entries.sweep(Entry::is_done);
    }

    fn send_owed(&mut self) -> Result<()> {
        let Some(connection) = &self.connection else {
            return Ok(());
        };
        if let Some((report, fd)) = &self.answer {
            send(connection, report, fd.as_ref().map(Fd::raw))?;
            self.answer = None;
        }
        for entry in self.entries.iter_mut() {
            while let Some((bit, report, fd)) = entry.owed() {
                send(connection, &report, fd)?;
                entry.unsent.remove(bit);
            }
        }
        if self.listing {
            send(connection, &Report::Listed, None)?;
            self.listing = false;
        }
        Ok(())
    }

    /// The newest connection wins; what the old one was owed, the new one asks for.
    pub(super) fn accept(&mut self) {
        let Some(Ok(connection)) = self
            .given
            .listener
            .as_ref()
            .map(|listener| kernel::accept(listener.raw()))
        else {
            return;
        };
        self.disconnect();
        if self
            .epoll
            .add(connection.raw(), EPOLLIN, CONNECTION)
            .is_ok()
        {
            self.connection = Some(connection);
        }
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.epoll.remove(connection.raw());
        }
        self.answer = None;
        self.listing = false;
        self.blocked = false;
    }

    pub(super) fn requests(&mut self) {
        for _ in 0..REQUESTS_A_ROUND {
            // An answer must have room before there can be another.
            if self.answer.is_some() && self.send_owed().is_err() {
                return;
            }
            let Some(connection) = &self.connection else {
                return;
            };
            let mut bytes = [0; MESSAGE_SIZE];
            match channel::receive(connection.raw(), &mut bytes) {
                Ok((0, _)) => return self.hang_up(),
                Ok((size, received)) => match Request::decode(&bytes[..size]) {
                    Ok(request) => self.serve(request, received),
                    Err(_) => self.refuse(0, Key::default(), Errno::EPROTO),
                },
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Err(Errno::EPROTO) => self.refuse(0, Key::default(), Errno::EPROTO),
                Err(_) => return self.hang_up(),
            }
        }
    }

    /// An embedder that was killed before it asked for anything may not have written down that there is a pause: the next
    /// one would not look for us, and we would hold nothing for ever.
    fn hang_up(&mut self) {
        if self.given.embedder.is_some() || self.given.listener.is_none() || !self.used {
            self.end();
        }
        self.disconnect();
    }

    fn refuse(&mut self, request: u32, key: Key, errno: Errno) {
        self.answer = Some((
            Report::Refused {
                request,
                key,
                errno: errno.0,
            },
            None,
        ));
    }

    fn serve(&mut self, request: Request, received: Received) {
        let (kind, key) = (request.kind(), request.key());
        let done = match request {
            Request::Start {
                key,
                join,
                carried,
                log_size,
            } => {
                let wanted = Wanted {
                    key,
                    join,
                    carried,
                    log_size,
                };
                self.start(wanted, received)
            }
            Request::Signal { key, signal } => self.signal(key, signal),
            Request::Socket {
                ticket,
                family,
                kind,
            } => {
                self.answer = Some(match kernel::socket(family, kind) {
                    Ok(socket) => (Report::Socket { ticket, errno: 0 }, Some(socket)),
                    Err(errno) => (
                        Report::Socket {
                            ticket,
                            errno: errno.0,
                        },
                        None,
                    ),
                });
                Ok(())
            }
            Request::Acknowledge { key } => self.acknowledge(key),
            Request::List => {
                self.entries.iter_mut().for_each(Entry::owe_all);
                self.listing = true;
                Ok(())
            }
            Request::Rotate { key } => self.rotate(key, received),
            Request::Quit => self.end(),
            Request::Attach {
                ticket,
                key,
                carried,
                once,
            } => {
                let attached = self.attach(key, carried, once, received);
                let (errno, input) = attached.map_or_else(|errno| (errno.0, None), |fd| (0, fd));
                self.answer = Some((Report::Attached { ticket, errno }, input));
                Ok(())
            }
        };
        if let Err(errno) = done {
            self.refuse(kind, key, errno);
        }
    }

    fn signal(&mut self, key: Key, signal: u32) -> Result<()> {
        let entry = self.entry(key).ok_or(Errno::ESRCH)?;
        let process = entry.alive().ok_or(Errno::ESRCH)?;
        kernel::pidfd_send_signal(process.raw(), signal)
    }

    fn acknowledge(&mut self, key: Key) -> Result<()> {
        let entry = self.entry(key).ok_or(Errno::ESRCH)?;
        if !matches!(entry.state, State::Failed(_) | State::Exited { .. }) {
            return Err(Errno::EINVAL);
        }
        entry.state = State::Acknowledged;
        entry
            .unsent
            .remove(Unsent::STARTED | Unsent::FAILED | Unsent::EXITED);
        Ok(())
    }
}

fn send(connection: &Fd, report: &Report, fd: Option<i32>) -> Result<()> {
    let done = match fd {
        Some(fd) => channel::send(connection.raw(), &report.encode(), &[fd]),
        None => channel::send(connection.raw(), &report.encode(), &[]),
    };
    match done {
        Err(Errno::EAGAIN) => Err(Errno::EAGAIN),
        // The other end is gone; the hang-up says so in its turn.
        _ => Ok(()),
    }
}
