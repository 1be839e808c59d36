//! The Node's end of a pause: requests out, reports in, descriptors with both. Nothing in here blocks.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

use super::attach::Attach;
use super::plan::Plan;
use super::spawn::Pause;
use super::wire::{self, At, Carried, Failure, Key, MESSAGE_SIZE};
use crate::linux::process::{Exit, Identity, Process, Signal};
use crate::linux::sys::{memfd, pidfd, socket};
use crate::time::{Mono, Now, Wall};
use crate::{Error, Kind, Result};

/// A connection to one pause process.
///
/// [`AsFd`] gives the socket: readable when [`Connection::receive`] has something. Dropping it ends an ephemeral pod and
/// leaves any other as it is.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Its name from now on; never one that pause still remembers.
    pub key: Key,
    /// Whose namespaces to take over, if the plan joins any ([`Plan::inside`], [`Plan::joining`]).
    pub target: Option<Key>,
    /// What to do. Keep it: [`Plan::explain`] needs it when the start fails.
    pub plan: &'a Plan,
    /// Which cgroup to be in from the first instruction on.
    pub cgroup: Cgroup<'a>,
    /// Standard input.
    pub stdin: Input<'a>,
    /// Standard output.
    pub stdout: Output<'a>,
    /// Standard error.
    pub stderr: Output<'a>,
    /// The log file of an [`Output::Log`] or of the terminal, opened for appending.
    pub log: Option<BorrowedFd<'a>>,
    /// After so many bytes in the log file comes [`Report::LogFull`], again and again; 0 is never.
    pub log_size: u64,
    /// The plan opens a terminal for all three streams ([`Step::Terminal`](super::plan::Step::Terminal)), which pause keeps
    /// the other end of.
    pub terminal: bool,
}

impl<'a> Start<'a> {
    /// A start with nothing on its standard streams, in pause's own cgroup.
    pub fn new(key: Key, plan: &'a Plan) -> Start<'a> {
        Start {
            key,
            target: None,
            plan,
            cgroup: Cgroup::Inherit,
            stdin: Input::Null,
            stdout: Output::Null,
            stderr: Output::Null,
            log: None,
            log_size: 0,
            terminal: false,
        }
    }
}

/// How a process gets into its cgroup.
#[derive(Clone, Copy, Debug, Default)]
pub enum Cgroup<'a> {
    /// Stays in pause's.
    #[default]
    Inherit,
    /// `CLONE_INTO_CGROUP` with this directory.
    Into(BorrowedFd<'a>),
    /// Writes itself to this open `cgroup.procs`: for a pause whose user namespace does not own the cgroup.
    Procs(BorrowedFd<'a>),
}

/// Standard input of a process.
#[derive(Clone, Copy, Debug, Default)]
pub enum Input<'a> {
    /// `/dev/null`.
    #[default]
    Null,
    /// This descriptor.
    Fd(BorrowedFd<'a>),
    /// A pipe whose other end pause keeps, for [`Request::Attach`].
    Kept,
}

/// Standard output or error of a process.
#[derive(Clone, Copy, Debug, Default)]
pub enum Output<'a> {
    /// `/dev/null`.
    #[default]
    Null,
    /// A pipe, copied to the log file in CRI format.
    Log,
    /// This descriptor.
    Fd(BorrowedFd<'a>),
}

/// What to ask of pause.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Make a process; answered by [`Report::Started`] or [`Report::StartFailed`].
    Start(Start<'a>),
    /// Send a signal. Answered only if it cannot be sent.
    Signal(Key, Signal),
    /// Make a socket of `family` and `kind` in the pod's network namespace; answered by [`Report::Socket`].
    Socket {
        /// Comes back in the answer.
        ticket: u32,
        /// `libc::AF_INET` and such.
        family: i32,
        /// `libc::SOCK_STREAM` and such; `SOCK_NONBLOCK` may be added. Always close-on-exec.
        kind: i32,
    },
    /// Forget an exit or a failed start.
    Acknowledge(Key),
    /// Report all that is remembered: each running process, each exit, each failed start; then [`Report::Listed`].
    List,
    /// Go on in this log file; answered by [`Report::Rotated`].
    Rotate(Key, BorrowedFd<'a>),
    /// End, and with it the pod's PID namespace.
    Quit,
    /// Take part in what a running process says and hears; answered by [`Report::Attached`].
    Attach(Attach<'a>),
}

/// What pause told.
#[derive(Debug)]
pub enum Report {
    /// The sandbox stands; starts are taken. Sent once, to the first connection.
    Ready {
        /// Since when.
        at: Now,
    },
    /// A step of the sandbox's own plan failed, and pause has ended.
    SetUpFailed(Failure),
    /// The program runs.
    Started {
        /// Which.
        key: Key,
        /// The process.
        process: Process,
        /// When its `execve` was done.
        at: Now,
    },
    /// No program ran. Remembered until acknowledged.
    StartFailed {
        /// Which.
        key: Key,
        /// For [`Plan::explain`].
        failure: Failure,
    },
    /// The process ended. Remembered until acknowledged.
    Exited {
        /// Which.
        key: Key,
        /// How.
        exit: Exit,
        /// When it had started.
        started: Now,
        /// When it ended.
        ended: Now,
    },
    /// All output of that process is in its log file.
    OutputEnded {
        /// Which.
        key: Key,
        /// False: the logger was killed, and what it had not written is lost.
        complete: bool,
    },
    /// So many bytes as the start said are in the log file, or came since this was told last.
    LogFull(Key),
    /// The old log file is complete and closed.
    Rotated(Key),
    /// A socket in the pod's network namespace.
    Socket {
        /// The request's.
        ticket: u32,
        /// The socket, or the errno.
        socket: std::result::Result<OwnedFd, i32>,
    },
    /// What was asked for is attached.
    Attached {
        /// The request's.
        ticket: u32,
        /// The writing end of standard input, or the terminal's other end, if there is one; or the errno.
        input: std::result::Result<Option<OwnedFd>, i32>,
    },
    /// The end of a list.
    Listed,
    /// A request could not be done.
    Refused {
        /// What was asked.
        request: Asked,
        /// The key it named.
        key: Key,
        /// Why.
        errno: i32,
    },
    /// Pause has ended, or a newer connection has taken this one's place. Nothing more comes.
    Closed,
}

/// What a request asks, for [`Report::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// [`Request::Start`]. There is no process of that key, unless there was one before.
    Start,
    /// [`Request::Signal`].
    Signal,
    /// [`Request::Acknowledge`].
    Acknowledge,
    /// [`Request::Rotate`].
    Rotate,
    /// Another, or none that pause knows.
    Other,
}

impl Connection {
    pub(super) fn over(socket: OwnedFd) -> Connection {
        Connection { socket }
    }

    /// Connects again to the pause process that listens at `path`, however long that is, and makes sure that it is
    /// `pause` and nobody else. The connection it had before is closed.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if nobody listens there, [`Kind::Conflict`] if it is another process.
    pub fn reconnect(path: &Path, pause: &Identity) -> Result<Pause> {
        let found = Connection::find(path)?;
        if found.process.identity()?.as_ref() != Some(pause) {
            let attempt = format!("reconnect to the pod's pause process at {}", path.display());
            return Err(Error::new(
                Kind::Conflict,
                attempt,
                "another process listens there",
            ));
        }
        Ok(found)
    }

    /// Connects to whatever pause process listens at `path`: for one whose embedder was killed before it could write down
    /// which process it is. That it is one is vouched for by the mode of the directory alone.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if nobody listens there.
    pub fn find(path: &Path) -> Result<Pause> {
        let attempt = || format!("reconnect to the pod's pause process at {}", path.display());
        let socket = socket::connect(path).map_err(|errno| match errno {
            Errno::ECONNREFUSED => Error::new(Kind::NotFound, attempt(), "it has ended"),
            errno => Error::os(attempt(), errno as i32),
        })?;
        let process = peer(&socket).map_err(|errno| Error::os(attempt(), errno as i32))?;
        Ok(Pause {
            process,
            connection: Connection { socket },
        })
    }

    /// Asks. `Err` means that nothing was sent.
    ///
    /// # Errors
    /// [`Kind::Exhausted`] if pause's queue is full (try again when the socket is writable), [`Kind::NotFound`] if pause
    /// is gone.
    pub fn send(&mut self, request: &Request<'_>) -> Result<()> {
        let none = |request: wire::Request| self.send_raw(&request, &[]);
        match *request {
            Request::Start(ref start) => self.start(start),
            Request::Signal(key, signal) => none(wire::Request::Signal {
                key,
                signal: signal.number() as u32,
            }),
            Request::Socket {
                ticket,
                family,
                kind,
            } => none(wire::Request::Socket {
                ticket,
                family: family as u32,
                kind: kind as u32,
            }),
            Request::Acknowledge(key) => none(wire::Request::Acknowledge { key }),
            Request::List => none(wire::Request::List),
            Request::Rotate(key, log) => {
                self.send_raw(&wire::Request::Rotate { key }, &[log.as_raw_fd()])
            }
            Request::Quit => none(wire::Request::Quit),
            Request::Attach(ref attach) => self.attach(attach),
        }
    }

    /// The next report, if there is one now.
    ///
    /// # Errors
    /// [`Kind::Protocol`] if pause said something that makes no sense.
    pub fn receive(&mut self) -> Result<Option<Report>> {
        let failed = |errno: Errno| Error::os("hear from the pod's pause process", errno as i32);
        let mut bytes = [0; MESSAGE_SIZE];
        let Some((size, fds)) = socket::receive(self.socket.as_fd(), &mut bytes).map_err(failed)?
        else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(Report::Closed));
        }
        let nonsense = || {
            Error::new(
                Kind::Protocol,
                "hear from the pod's pause process",
                "it speaks another protocol",
            )
        };
        let report = wire::Report::decode(&bytes[..size]).map_err(|_| nonsense())?;
        translate(report, fds.into_iter().next())
            .map(Some)
            .ok_or_else(nonsense)
    }

    fn start(&self, start: &Start<'_>) -> Result<()> {
        let failed = |errno: Errno| Error::os("hand a plan to pause", errno as i32);
        let plan = memfd::sealed(c"podlife-plan", &start.plan.encode()?).map_err(failed)?;
        let mut carried = Carried(Carried::PLAN);
        let mut fds = vec![plan.as_raw_fd()];
        let mut carry = |bit, fd: Option<BorrowedFd<'_>>| {
            carried.0 |= bit;
            fds.extend(fd.map(|fd| fd.as_raw_fd()));
        };
        match start.cgroup {
            Cgroup::Inherit => {}
            Cgroup::Into(fd) => carry(Carried::CGROUP, Some(fd)),
            Cgroup::Procs(fd) => carry(Carried::PROCS, Some(fd)),
        }
        match start.stdin {
            Input::Null => {}
            Input::Fd(fd) => carry(Carried::STDIN, Some(fd)),
            Input::Kept => carry(Carried::KEPT_STDIN, None),
        }
        if start.terminal {
            carry(Carried::TERMINAL, None);
        }
        for (output, own, log) in [
            (start.stdout, Carried::STDOUT, Carried::LOG_STDOUT),
            (start.stderr, Carried::STDERR, Carried::LOG_STDERR),
        ] {
            match output {
                Output::Null => {}
                Output::Fd(fd) => carry(own, Some(fd)),
                Output::Log => carry(log, None),
            }
        }
        if let Some(log) = start.log {
            carry(Carried::LOG, Some(log));
        }
        fds.extend(start.plan.handles().map(|fd| fd.as_raw_fd()));
        self.send_raw(
            &wire::Request::Start {
                key: start.key,
                join: start.target,
                carried,
                log_size: start.log_size,
            },
            &fds,
        )
    }

    pub(super) fn send_raw(&self, request: &wire::Request, fds: &[RawFd]) -> Result<()> {
        socket::send(self.socket.as_fd(), &request.encode(), fds).map_err(|errno| {
            let error = Error::os("ask the pod's pause process", errno as i32);
            match errno {
                Errno::EPIPE | Errno::ECONNRESET => error.as_kind(Kind::NotFound),
                _ => error,
            }
        })
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<At> for Now {
    fn from(at: At) -> Now {
        Now {
            mono: Mono::from_nanos(at.mono),
            wall: Wall::from_nanos(at.wall),
        }
    }
}

/// Whoever called `listen`. Linux 6.5 has a pidfd of it; before that there is its number, which is enough as the caller
/// compares what it finds with the identity that was written down.
fn peer(socket: &OwnedFd) -> Result<Process, Errno> {
    match socket::peer(socket.as_fd()) {
        Err(Errno::ENOPROTOOPT) => {
            let listener = getsockopt(socket, PeerCredentials)?.pid();
            pidfd::open(listener).map(Process::from)
        }
        found => found.map(Process::from),
    }
}

fn translate(report: wire::Report, fd: Option<OwnedFd>) -> Option<Report> {
    Some(match report {
        wire::Report::Ready { at } => Report::Ready { at: at.into() },
        wire::Report::SetUpFailed { failure } => Report::SetUpFailed(failure),
        wire::Report::Started { key, at } => Report::Started {
            key,
            process: fd?.into(),
            at: at.into(),
        },
        wire::Report::StartFailed { key, failure } => Report::StartFailed { key, failure },
        wire::Report::Exited {
            key,
            status,
            started,
            ended,
        } => Report::Exited {
            key,
            exit: exit(status)?,
            started: started.into(),
            ended: ended.into(),
        },
        wire::Report::OutputEnded { key, complete } => Report::OutputEnded { key, complete },
        wire::Report::LogFull { key } => Report::LogFull(key),
        wire::Report::Rotated { key } => Report::Rotated(key),
        wire::Report::Socket { ticket, errno: 0 } => Report::Socket {
            ticket,
            socket: Ok(fd?),
        },
        wire::Report::Socket { ticket, errno } => Report::Socket {
            ticket,
            socket: Err(errno),
        },
        wire::Report::Attached { ticket, errno } => Report::Attached {
            ticket,
            input: if errno == 0 { Ok(fd) } else { Err(errno) },
        },
        wire::Report::Listed => Report::Listed,
        wire::Report::Refused {
            request,
            key,
            errno,
        } => Report::Refused {
            request: asked(request),
            key,
            errno,
        },
    })
}

/// From `wait`'s status word.
fn exit(status: i32) -> Option<Exit> {
    match status & 0x7f {
        0 => Some(Exit::Code((status >> 8) as u8)),
        signal => Signal::new(signal).map(Exit::Signal),
    }
}

fn asked(kind: u32) -> Asked {
    match kind {
        1 => Asked::Start,
        2 => Asked::Signal,
        4 => Asked::Acknowledge,
        6 => Asked::Rotate,
        _ => Asked::Other,
    }
}
