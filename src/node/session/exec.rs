//! Programs that a caller runs in a container.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::{End, Ends, Exec, Link, Session, SessionId, Streams};
use crate::lifecycle::{self, AttemptState, ContainerIndex};
use crate::linux::Signal;
use crate::linux::pause::{self, Attach, Key, Plan, Request};
use crate::linux::process::Exit;
use crate::node::PodId;
use crate::node::host::Host;
use crate::node::logs::Stream;
use crate::node::lower::Inside;
use crate::node::node::{Node, unknown};
use crate::node::resident::Resident;
use crate::node::work::explain;
use crate::{Error, Kind, Result};

/// The Node's end of a session.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) key: Key,
    pub(super) link: Arc<Link>,
    /// Of a program that was run; none of a container that is attached to.
    pub(super) plan: Option<Plan>,
    pub(super) streams: Streams,
    /// Pause will answer this with the session's input.
    pub(super) ticket: Option<u32>,
    /// It has ended, but its terminal is not here yet.
    pub(super) end: Option<End>,
}

impl Node {
    /// Runs a program in a running container. What it comes to is the [`Session`]'s to tell, also that there is no such program.
    ///
    /// # Errors
    /// There is no such pod or container, or it does not run.
    pub fn exec(&mut self, id: PodId, container: &str, command: Exec) -> Result<Session> {
        let session = self.session(id);
        let resident = self.pods.get_mut(&id);
        let resident = resident.ok_or_else(|| unknown("run a command in", id))?;
        let link = resident.begin_session(&mut self.host, session.number, container, &command)?;
        Ok(Session::new(link, session, self.inbox.clone()))
    }

    pub(super) fn session(&mut self, pod: PodId) -> SessionId {
        self.sessions += 1;
        SessionId {
            pod,
            number: self.sessions,
        }
    }

    /// Nobody has the session any more.
    pub(in crate::node) fn end_session(&mut self, id: SessionId) {
        if let Some(resident) = self.pods.get_mut(&id.pod) {
            resident.end_session(&mut self.host, id.number);
        }
    }
}

impl Resident {
    fn begin_session(
        &mut self,
        host: &mut Host,
        number: u64,
        container: &str,
        command: &Exec,
    ) -> Result<Arc<Link>> {
        let attempt = format!("run a command in the container {container}");
        let (index, run) = self.running(container, &attempt)?;
        let link = Arc::new(Link::new()?);
        let mut theirs = Theirs::default();
        let terminal = command.streams.terminal;
        match terminal {
            Some(_) => link.expect_input(),
            None => theirs = Theirs::open(&link, command.streams)?,
        }
        let program = Inside {
            argv: &command.command,
            env: &command.env,
            directory: command.directory.as_deref(),
            user: command.user,
            terminal,
            subreaper: false,
        };
        let (key, plan) = self.start_inside(host, index, run, &program, theirs.ends())?;
        let held = Held {
            key,
            link: link.clone(),
            plan: Some(plan),
            streams: command.streams,
            ticket: terminal.map(|_| self.ticket()),
            end: None,
        };
        self.sessions.insert(number, held);
        Ok(link)
    }

    /// The attempt of a container that runs.
    pub(super) fn running(
        &self,
        container: &str,
        attempted: &str,
    ) -> Result<(ContainerIndex, u32)> {
        let refused = |kind, why: &str| Error::new(kind, attempted, why);
        let record = self.machine.record();
        let index = record
            .index(container)
            .ok_or_else(|| refused(Kind::NotFound, "the pod has no such container"))?;
        let newest = record
            .container(index)
            .and_then(|record| record.attempts().first());
        match newest.map(|attempt| (&attempt.state, attempt.number)) {
            Some((AttemptState::Running { .. }, attempt)) => Ok((index, attempt)),
            Some((AttemptState::Exited(_), _)) => Err(refused(Kind::Conflict, "it has ended")),
            _ => Err(refused(Kind::Conflict, "it is not running")),
        }
    }

    /// The program runs: its terminal is there.
    pub(super) fn ask_terminal(&mut self, key: Key) {
        let held = self.sessions.values().find(|held| held.key == key);
        if let Some(ticket) = held.and_then(|held| held.ticket) {
            self.ask(&Request::Attach(Attach {
                ticket,
                key,
                stdout: None,
                stderr: None,
                once: true,
            }));
        }
    }

    /// Pause has answered for a session's input.
    pub(in crate::node) fn attached(&mut self, ticket: u32, input: Result<Option<OwnedFd>, i32>) {
        let is_it = |held: &&mut Held| held.ticket == Some(ticket);
        let Some(held) = self.sessions.values_mut().find(is_it) else {
            return;
        };
        held.ticket = None;
        let connected = match input {
            Ok(input) => held.connect(input),
            Err(errno) => Err(Error::os("attach to it", errno)),
        };
        if let Err(error) = connected {
            held.link
                .finish(End::Failed(error.kind(), error.to_string()));
        }
        if let Some(end) = held.end.take() {
            held.link.finish(end);
        }
        self.sessions.retain(|_, held| !held.is_over());
    }

    /// A session's program could not be started.
    pub(in crate::node) fn session_failed(&mut self, key: Key, failure: pause::Failure) {
        let explain = |held: &mut Held| {
            held.ticket = None;
            let why = held.plan.as_ref().map(|plan| explain(plan, failure));
            End::Failed(Kind::of_errno(failure.errno), why.unwrap_or_default())
        };
        self.finish_sessions(key, explain);
    }

    /// The process of these sessions has ended.
    pub(in crate::node) fn finish_sessions(&mut self, key: Key, how: impl Fn(&mut Held) -> End) {
        for held in self.sessions.values_mut().filter(|held| held.key == key) {
            let end = how(held);
            match held.ticket {
                Some(_) => held.end = Some(end),
                None => held.link.finish(end),
            }
        }
        self.sessions.retain(|_, held| !held.is_over());
    }

    /// Those who have attached to a container that has ended.
    pub(in crate::node) fn finish_attached(&mut self, key: Key, exit: &lifecycle::Exit) {
        let signal = exit.signal.and_then(Signal::new);
        let exit = signal.map_or(Exit::Code(exit.code as u8), Exit::Signal);
        self.finish_sessions(key, |_| End::Exit(exit));
    }

    fn end_session(&mut self, host: &mut Host, number: u64) {
        if let Some(held) = self
            .sessions
            .remove(&number)
            .filter(|held| held.key.exec > 0)
        {
            self.kill_exec(host, held.key);
        }
    }
}

impl Held {
    /// The terminal of a program is both what it prints and what it reads; that of a container has the size of who came last.
    fn connect(&self, input: Option<OwnedFd>) -> Result<()> {
        let terminal = input.as_ref().filter(|_| self.plan.is_some());
        if let Some(terminal) = terminal {
            let output = terminal.try_clone();
            let output = output.map_err(|why| Error::io("open a session", why))?;
            self.link.set_output(Stream::Stdout, output)?;
        }
        let wanted = self.streams.stdin || self.streams.terminal.is_some();
        self.link.set_input(input.filter(|_| wanted));
        match self.streams.terminal {
            Some(size) if self.plan.is_none() => self.link.resize(size),
            _ => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.link.end().is_some()
    }
}

/// It cannot be served any more: the pod or the Node is gone.
impl Drop for Held {
    fn drop(&mut self) {
        let end = self.end.take();
        self.link.finish(end.unwrap_or_else(|| {
            End::Failed(Kind::Conflict, "its pod, or the Node, is gone".into())
        }));
    }
}

/// The ends of the pipes that the program gets.
#[derive(Default)]
pub(super) struct Theirs {
    stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

impl Theirs {
    /// New pipes, whose other ends go to the session.
    fn open(link: &Link, streams: Streams) -> Result<Theirs> {
        let mut theirs = Theirs::default();
        if streams.stdin {
            let (reader, writer) = pipe()?;
            do_not_block(&writer)?;
            link.set_input(Some(writer));
            theirs.stdin = Some(reader);
        }
        theirs.open_output(link, streams)?;
        Ok(theirs)
    }

    pub(super) fn open_output(&mut self, link: &Link, streams: Streams) -> Result<()> {
        let outputs = [
            (streams.stdout, Stream::Stdout, &mut self.stdout),
            (streams.stderr, Stream::Stderr, &mut self.stderr),
        ];
        for (wanted, stream, end) in outputs {
            if wanted {
                let (reader, writer) = pipe()?;
                do_not_block(&reader)?;
                link.set_output(stream, reader)?;
                *end = Some(writer);
            }
        }
        Ok(())
    }

    fn ends(&self) -> Ends<'_> {
        Ends {
            stdin: self.stdin.as_ref().map(AsFd::as_fd),
            stdout: self.stdout.as_ref().map(AsFd::as_fd),
            stderr: self.stderr.as_ref().map(AsFd::as_fd),
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
        .map_err(|errno| Error::os("make a pipe", errno as i32).cure("raise RLIMIT_NOFILE"))
}

pub(super) fn do_not_block(fd: &OwnedFd) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map(drop)
        .map_err(|errno| Error::os("make a pipe", errno as i32))
}
