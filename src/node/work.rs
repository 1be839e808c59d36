//! Probes and hooks under way: what pause or a socket will answer.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;

use super::PodId;
use super::host::{Host, Watched};
use super::probes::talk::Talk;
use super::probes::{Step, Verdict, tcp};
use crate::lifecycle::{ContainerIndex, Failure, Finding, Hook, Outcome, ProbeKind, Ticket};
use crate::linux::pause::plan::Step as PlanStep;
use crate::linux::pause::{self, Key, Plan};
use crate::linux::reactor::{Interest, Token};

/// Names something under way in one pod, which its machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkId(pub(super) Ticket);

/// Something under way.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) task: Task,
    pub(super) doing: Doing,
}

/// What is to be done, and for the how-many-th time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) container: ContainerIndex,
    pub(super) attempt: u32,
    pub(super) purpose: Purpose,
    pub(super) tries: u8,
}

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Probe(ProbeKind),
    Hook(Hook),
}

/// How it is done.
#[derive(Debug)]
pub(super) enum Doing {
    /// A process in the container.
    Exec(Exec),
    /// A connection into the pod's network.
    Net(Net),
    /// Nothing: a hook that sleeps.
    Sleep,
}

/// A process in a container.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) key: Key,
    /// Standard output and error.
    pub(super) output: Pipe,
    pub(super) plan: Plan,
}

impl Exec {
    /// What it printed, as a sentence of an event.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.bytes)
            .trim_end()
            .to_owned()
    }

    /// How it ended, with what it printed.
    pub(super) fn told(&self, end: &str) -> String {
        match self.text() {
            text if text.is_empty() => end.to_owned(),
            text => format!("{end}: {text}"),
        }
    }

    /// Why it could not be started.
    pub(super) fn explain(&self, failure: pause::Failure) -> String {
        explain(&self.plan, failure)
    }
}

/// Why a plan failed; a program that cannot be executed in the words that people know.
pub(super) fn explain(plan: &Plan, failure: pause::Failure) -> String {
    if let Some(PlanStep::Exec { argv, .. }) = plan.steps().get(failure.step as usize) {
        let program = argv
            .first()
            .map(|program| program.to_string_lossy())
            .unwrap_or_default();
        match failure.errno {
            libc::ENOENT if program.contains('/') => {
                return format!("exec: \"{program}\": stat {program}: no such file or directory");
            }
            libc::ENOENT => {
                return format!("exec: \"{program}\": executable file not found in $PATH");
            }
            libc::EACCES => return format!("exec: \"{program}\": permission denied"),
            libc::ENOEXEC => return format!("exec: \"{program}\": exec format error"),
            _ => {}
        }
    }
    plan.explain(failure).to_string()
}

/// The Node's end of a pipe from a process.
#[derive(Debug)]
pub(super) struct Pipe {
    fd: Option<(OwnedFd, Token)>,
    bytes: Vec<u8>,
    most: usize,
}

/// A connection, and what is said over it.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) address: SocketAddr,
    talk: Talk,
    /// Names it towards pause, until that has made the socket.
    pub(super) socket_ticket: u32,
    socket: Option<(OwnedFd, Token)>,
    connected: bool,
}

/// How far a connection got.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    /// The descriptor will say.
    Wait,
    /// A new socket is needed.
    Socket,
    /// Finished.
    Done(Verdict),
}

impl Pipe {
    /// A pipe whose write end goes to a process; what comes beyond `most` bytes is thrown away.
    pub(super) fn open(
        host: &mut Host,
        pod: PodId,
        id: WorkId,
        most: usize,
    ) -> crate::Result<(Pipe, OwnedFd)> {
        let flags = nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK;
        let (ours, theirs) = nix::unistd::pipe2(flags)
            .map_err(|errno| crate::Error::os("make a pipe", errno as i32))?;
        // Non-blocking is for our end only; the program expects an ordinary one.
        nix::fcntl::fcntl(
            &theirs,
            nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty()),
        )
        .map_err(|errno| crate::Error::os("make a pipe", errno as i32))?;
        let token = host.watch(&ours, Interest::Read, Watched::Work(pod, id))?;
        Ok((
            Pipe {
                fd: Some((ours, token)),
                bytes: Vec::new(),
                most,
            },
            theirs,
        ))
    }

    /// Takes what is there, at most 64 KiB at once. At its end the pipe is closed.
    pub(super) fn read(&mut self, host: &mut Host) {
        let mut piece = [0; 16 << 10];
        for _ in 0..4 {
            let Some((fd, _)) = &self.fd else { return };
            match nix::unistd::read(fd, &mut piece) {
                Ok(count @ 1..) => {
                    let room = self.most.saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&piece[..count.min(room)]);
                }
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Ok(0) | Err(_) => self.close(host),
            }
        }
    }

    pub(super) fn close(&mut self, host: &mut Host) {
        if let Some((fd, token)) = self.fd.take() {
            host.unwatch(&fd, token);
        }
    }
}

impl Net {
    /// Waits for its socket.
    pub(super) fn new(address: SocketAddr, talk: Talk) -> Net {
        Net {
            address,
            talk,
            socket_ticket: 0,
            socket: None,
            connected: false,
        }
    }

    /// `AF_INET` or `AF_INET6`.
    pub(super) fn family(&self) -> i32 {
        match self.address {
            SocketAddr::V4(_) => libc::AF_INET,
            SocketAddr::V6(_) => libc::AF_INET6,
        }
    }

    /// The socket is here: connects it.
    pub(super) fn begin(
        &mut self,
        host: &mut Host,
        pod: PodId,
        id: WorkId,
        socket: OwnedFd,
    ) -> Progress {
        self.close(host);
        match tcp::start(&socket, self.address) {
            Err(errno) => return self.failed(errno),
            Ok(connected) => self.connected = connected,
        }
        match host.watch(&socket, Interest::Write, Watched::Work(pod, id)) {
            Ok(token) => self.socket = Some((socket, token)),
            Err(error) => return Progress::Done(Verdict::Unknown(error.to_string())),
        }
        Progress::Wait
    }

    /// The socket is ready for something.
    pub(super) fn advance(&mut self, host: &mut Host) -> Progress {
        let Some((socket, token)) = &self.socket else {
            return Progress::Wait;
        };
        if !self.connected {
            match tcp::finish(socket) {
                Ok(()) => self.connected = true,
                Err(errno) => return self.failed(errno),
            }
        }
        match self.talk.step(socket) {
            Step::Wait(interest) => match host.reactor.modify(socket, interest, *token) {
                Ok(()) => Progress::Wait,
                Err(error) => Progress::Done(Verdict::Unknown(error.to_string())),
            },
            Step::Reconnect(port) => {
                self.address.set_port(port);
                Progress::Socket
            }
            Step::Done(verdict) => Progress::Done(verdict),
        }
    }

    pub(super) fn close(&mut self, host: &mut Host) {
        if let Some((fd, token)) = self.socket.take() {
            host.unwatch(&fd, token);
        }
    }

    /// What is said when it took too long.
    pub(super) fn timed_out(&self) -> String {
        self.talk.timed_out(self.address)
    }

    fn failed(&self, errno: Errno) -> Progress {
        Progress::Done(Verdict::Failure(self.talk.unconnected(self.address, errno)))
    }
}

impl Work {
    /// Lets go of its descriptors.
    pub(super) fn close(&mut self, host: &mut Host) {
        match &mut self.doing {
            Doing::Exec(exec) => exec.output.close(host),
            Doing::Net(net) => net.close(host),
            Doing::Sleep => {}
        }
    }
}

impl Task {
    /// The kubelet makes a probe up to three times, one right after the other, until it can be made; a hook once.
    pub(super) fn may_try_again(self) -> bool {
        const PROBE_TRIES: u8 = 3;
        matches!(self.purpose, Purpose::Probe(_)) && self.tries < PROBE_TRIES
    }

    /// What its end means to the machine.
    pub(super) fn outcome(self, verdict: &Verdict) -> Outcome {
        match (self.purpose, verdict) {
            (Purpose::Probe(_), Verdict::Success) => Outcome::Probe(Finding::Success),
            (Purpose::Probe(_), Verdict::Warning(_)) => Outcome::Probe(Finding::Warning),
            (Purpose::Probe(_), Verdict::Failure(_)) => Outcome::Probe(Finding::Failure),
            (Purpose::Hook(_), Verdict::Success | Verdict::Warning(_)) => Outcome::Done,
            (Purpose::Hook(hook), Verdict::Failure(why) | Verdict::Unknown(why)) => {
                let reason = match hook {
                    Hook::PostStart => "FailedPostStartHook",
                    Hook::PreStop => "FailedPreStopHook",
                };
                Outcome::Failed(Failure::new(reason, Arc::from(why.as_str())))
            }
            (Purpose::Probe(_), Verdict::Unknown(why)) => {
                Outcome::Failed(Failure::new("Unknown", Arc::from(why.as_str())))
            }
        }
    }
}
