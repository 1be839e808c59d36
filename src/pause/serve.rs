//! Pause's main loop: requests in, reports out, children reaped. It blocks on its epoll and on nothing else.

use crate::channel::{self, Received};
use crate::child::Child;
use crate::entry::{Entries, Entry, Output, State, Unsent};
use crate::kernel::{self, CLONE_NEWPID, EPOLLIN, EPOLLOUT, Epoll, Errno, Event, Fd, Result};
use crate::logger;
use crate::walk;
use crate::wire::{Carried, Failure, Key, MESSAGE_SIZE, Report, Request};

const CHILDREN: u64 = 1;
const CONNECTION: u64 = 2;
const LISTENER: u64 = 3;
const EMBEDDER: u64 = 4;
const LOGGER: u64 = 5;
/// From here on: progress of the entry with this index.
const PROGRESS: u64 = 16;

/// The most requests served before others get their turn.
const REQUESTS_A_ROUND: usize = 16;

pub struct Pause {
    epoll: Epoll,
    children: Fd,
    own: Fd,
    connection: Option<Fd>,
    listener: Option<Fd>,
    embedder: Option<Fd>,
    logger: Option<logger::Client>,
    entries: Entries,
    /// An answer that found no room; while it waits, no further request is read.
    answer: Option<(Report, Option<Fd>)>,
    listing: bool,
    /// Are we waiting for room?
    blocked: bool,
}

/// Without a connection to say so there is nobody to tell: the pod ends.
fn or_end<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|_| kernel::exit(1))
}

impl Pause {
    pub fn new(connection: Fd, listener: Option<Fd>, embedder: Option<Fd>) -> Pause {
        let epoll = or_end(Epoll::new());
        let children = or_end(kernel::child_signals());
        or_end(epoll.add(children.raw(), EPOLLIN, CHILDREN));
        or_end(epoll.add(connection.raw(), EPOLLIN, CONNECTION));
        if let Some(listener) = &listener {
            or_end(kernel::non_blocking(listener.raw()));
            or_end(kernel::listen(listener.raw()));
            or_end(epoll.add(listener.raw(), EPOLLIN, LISTENER));
        }
        if let Some(embedder) = &embedder {
            or_end(epoll.add(embedder.raw(), EPOLLIN, EMBEDDER));
        }
        Pause {
            epoll,
            children,
            own: or_end(kernel::pidfd_open(kernel::own_pid())),
            connection: Some(connection),
            listener,
            embedder,
            logger: None,
            entries: Entries::new(),
            answer: Some((Report::Ready { at: kernel::now() }, None)),
            listing: false,
            blocked: false,
        }
    }

    pub fn run(mut self) -> ! {
        let mut events = [Event::default(); 16];
        loop {
            self.flush();
            let count = self.epoll.wait(&mut events);
            for event in &events[..count] {
                self.turn(event.token);
            }
        }
    }

    fn turn(&mut self, token: u64) {
        match token {
            CHILDREN => self.reap(),
            CONNECTION => self.requests(),
            LISTENER => self.accept(),
            EMBEDDER => self.end(),
            LOGGER => self.hear_logger(),
            progress => self.progress((progress - PROGRESS) as usize),
        }
    }

    /// As PID 1 our end is everybody's. Outside of their namespace we can only kill those we made.
    fn end(&mut self) -> ! {
        for entry in self.entries.iter_mut().filter(|entry| entry.pid != 0) {
            let _ = kernel::pidfd_send_signal(entry.pidfd.raw(), 9);
        }
        kernel::exit(0)
    }

    // The connection.

    /// Sends what is owed, as far as there is room.
    fn flush(&mut self) {
        let blocked = matches!(self.send_owed(), Err(Errno::EAGAIN));
        if let Some(connection) = self.connection.as_ref().filter(|_| blocked != self.blocked) {
            let events = if blocked { EPOLLOUT } else { EPOLLIN };
            or_end(self.epoll.change(connection.raw(), events, CONNECTION));
        }
        self.blocked = blocked;
        self.entries.sweep();
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
    fn accept(&mut self) {
        let Some(Ok(connection)) = self
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

    fn requests(&mut self) {
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

    fn hang_up(&mut self) {
        if self.embedder.is_some() || self.listener.is_none() {
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
            Request::Start { key, join, carried } => self.start(key, join, carried, received),
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
        };
        if let Err(errno) = done {
            self.refuse(kind, key, errno);
        }
    }

    fn signal(&mut self, key: Key, signal: u32) -> Result<()> {
        let entry = self
            .entries
            .of_key(key)
            .filter(|entry| entry.is_alive())
            .ok_or(Errno::ESRCH)?;
        kernel::pidfd_send_signal(entry.pidfd.raw(), signal)
    }

    fn acknowledge(&mut self, key: Key) -> Result<()> {
        let entry = self.entries.of_key(key).ok_or(Errno::ESRCH)?;
        if !matches!(entry.state, State::Failed(_) | State::Exited { .. }) {
            return Err(Errno::EINVAL);
        }
        entry.state = State::Acknowledged;
        entry
            .unsent
            .remove(Unsent::STARTED | Unsent::FAILED | Unsent::EXITED);
        Ok(())
    }

    // Starting.

    fn start(
        &mut self,
        key: Key,
        join: Option<Key>,
        carried: Carried,
        mut received: Received,
    ) -> Result<()> {
        if self.entries.of_key(key).is_some() {
            return Err(Errno::EEXIST);
        }
        let index = self.entries.vacant().ok_or(Errno::EAGAIN)?;
        let (progress, report) = kernel::pipe()?;
        self.epoll
            .add(progress.raw(), EPOLLIN, PROGRESS + index as u64)?;
        match self.fork(key, join, carried, &mut received, &report) {
            Ok((pid, pidfd, output)) => {
                self.entries.put(
                    index,
                    Entry {
                        key,
                        state: State::Starting,
                        pid,
                        pidfd,
                        progress: Some(progress),
                        ready: false,
                        started: Default::default(),
                        output,
                        unsent: Unsent::default(),
                    },
                );
            }
            Err(failure) => {
                self.epoll.remove(progress.raw());
                // There is nothing to remember it by but the failure; the pipe stands in for the pidfd.
                self.entries.put(
                    index,
                    Entry {
                        key,
                        state: State::Failed(failure),
                        pid: 0,
                        pidfd: progress,
                        progress: None,
                        ready: false,
                        started: Default::default(),
                        output: Output::Ended,
                        unsent: Unsent::default(),
                    },
                );
                if let Some(entry) = self.entries.at(index) {
                    entry.unsent.add(Unsent::FAILED);
                }
            }
        }
        Ok(())
    }

    fn fork(
        &mut self,
        key: Key,
        join: Option<Key>,
        carried: Carried,
        received: &mut Received,
        report: &Fd,
    ) -> core::result::Result<(i32, Fd, Output), Failure> {
        let failed = |step| {
            move |errno: Errno| Failure {
                step,
                errno: errno.0,
            }
        };
        let plan = carried
            .position(Carried::PLAN)
            .and_then(|at| received.take(at))
            .ok_or(Errno::EBADF);
        let plan = plan.map_err(failed(Failure::PLAN))?;
        let header = walk::header(plan.raw()).map_err(failed(Failure::PLAN))?;
        if carried.count() + header.handles as usize != received.count() {
            return Err(failed(Failure::PLAN)(Errno::EBADF));
        }
        let target = self
            .target(join, header.join)
            .map_err(failed(Failure::JOIN))?;
        let carry =
            |received: &mut Received, bit| carried.position(bit).and_then(|at| received.take(at));
        let log = self
            .log(key, carried, carry(received, Carried::LOG))
            .map_err(failed(Failure::STREAMS))?;
        let output = if log.iter().any(Option::is_some) {
            Output::Open
        } else {
            Output::Ended
        };
        let [log_stdout, log_stderr] = log;
        let streams = [
            carry(received, Carried::STDIN),
            log_stdout.or_else(|| carry(received, Carried::STDOUT)),
            log_stderr.or_else(|| carry(received, Carried::STDERR)),
        ];
        let cgroup = carry(received, Carried::CGROUP);
        let procs = carry(received, Carried::PROCS);
        let made = self.clone_into(
            target.filter(|(_, kinds)| kinds & CLONE_NEWPID != 0),
            header.new,
            cgroup.as_ref(),
        );
        match made.map_err(failed(Failure::CLONE))? {
            Some((pid, pidfd)) => Ok((pid, pidfd, output)),
            None => Child {
                report: report.raw(),
                plan: plan.raw(),
                target,
                procs: procs.as_ref().map(Fd::raw),
                streams: [0, 1, 2].map(|stream: usize| streams[stream].as_ref().map(Fd::raw)),
                handles: received.from(carried.count()),
            }
            .run(),
        }
    }

    /// The process to join, by a descriptor of ours, and the namespaces to take over.
    fn target(&mut self, join: Option<Key>, namespaces: u32) -> Result<Option<(i32, u32)>> {
        if namespaces == 0 {
            return Ok(None);
        }
        let entry = join
            .and_then(|key| self.entries.of_key(key))
            .ok_or(Errno::ESRCH)?;
        if entry.state != State::Running {
            Err(Errno::ESRCH)
        } else {
            Ok(Some((entry.pidfd.raw(), namespaces)))
        }
    }

    /// A child's PID namespace is that of its parent's children: ours is switched for the moment of the clone, and
    /// switched back whatever became of it.
    fn clone_into(
        &self,
        target: Option<(i32, u32)>,
        new: u32,
        cgroup: Option<&Fd>,
    ) -> Result<Option<(i32, Fd)>> {
        if let Some((target, _)) = target {
            kernel::setns(target, CLONE_NEWPID)?;
        }
        let made = kernel::fork(new, cgroup.map(Fd::raw));
        let in_child = matches!(made, Ok(None));
        if target.is_some() && !in_child {
            or_end(kernel::setns(self.own.raw(), CLONE_NEWPID));
        }
        made
    }

    /// Reads how far a starting child came. The pipe's end is the moment of its `execve`, or of its death.
    fn progress(&mut self, index: usize) {
        let Some(entry) = self.entries.at(index) else {
            return;
        };
        let Some(progress) = &entry.progress else {
            return;
        };
        let mut bytes = [0; 8];
        let failure = match kernel::read(progress.raw(), &mut bytes) {
            Ok(8) if bytes == [0; 8] => {
                entry.ready = true;
                return;
            }
            Ok(8) => {
                let word = |at: usize| {
                    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
                };
                Some(Failure {
                    step: word(0),
                    errno: word(4) as i32,
                })
            }
            Err(Errno::EINTR | Errno::EAGAIN) => return,
            _ if entry.ready => None,
            _ => Some(Failure {
                step: Failure::DIED,
                errno: Errno::EINTR.0,
            }),
        };
        self.epoll.remove(progress.raw());
        entry.progress = None;
        match failure {
            None => {
                entry.started = kernel::now();
                entry.state = State::Running;
                entry.unsent.add(Unsent::STARTED);
            }
            Some(failure) => {
                entry.state = State::Failed(failure);
                entry.unsent.add(Unsent::FAILED);
            }
        }
    }

    // Ending.

    fn reap(&mut self) {
        let mut signals = [0; 128];
        while kernel::read(self.children.raw(), &mut signals).is_ok() {}
        while let Some((pid, status)) = kernel::reap() {
            match self.entries.index_of_pid(pid) {
                Some(index) => self.reaped(index, status),
                None if self.logger.as_ref().is_some_and(|logger| logger.pid == pid) => {
                    self.lose_logger()
                }
                None => {}
            }
        }
    }

    fn reaped(&mut self, index: usize, status: i32) {
        // Its pipe may hold the start that comes before the end; nobody writes to it any more, so this ends.
        while self
            .entries
            .at(index)
            .is_some_and(|entry| entry.progress.is_some())
        {
            self.progress(index);
        }
        let Some(entry) = self.entries.at(index) else {
            return;
        };
        entry.pid = 0;
        if entry.state == State::Running {
            entry.state = State::Exited {
                status,
                ended: kernel::now(),
            };
            entry.unsent.add(Unsent::EXITED);
        }
    }

    // Output.

    /// Pipes to the logger for the streams that go to the log; the logger is made when it is first needed.
    fn log(&mut self, key: Key, carried: Carried, file: Option<Fd>) -> Result<[Option<Fd>; 2]> {
        let bits = [Carried::LOG_STDOUT, Carried::LOG_STDERR];
        if !bits.iter().any(|bit| carried.has(*bit)) {
            return Ok([None, None]);
        }
        let file = file.ok_or(Errno::EBADF)?;
        if self.logger.is_none() {
            let logger = logger::Client::start()?;
            self.epoll.add(logger.socket.raw(), EPOLLIN, LOGGER)?;
            self.logger = Some(logger);
        }
        let logger = self.logger.as_ref().ok_or(Errno::EPIPE)?;
        logger.copy(key, bits.map(|bit| carried.has(bit)), &file)
    }

    fn rotate(&mut self, key: Key, mut received: Received) -> Result<()> {
        let file = received.take(0).ok_or(Errno::EBADF)?;
        let entry = self
            .entries
            .of_key(key)
            .filter(|entry| entry.output == Output::Open)
            .ok_or(Errno::ESRCH)?;
        self.logger
            .as_ref()
            .ok_or(Errno::EPIPE)?
            .rotate(entry.key, &file)
    }

    fn hear_logger(&mut self) {
        let Some(logger) = &self.logger else { return };
        let mut bytes = [0; MESSAGE_SIZE];
        let heard = match channel::receive(logger.socket.raw(), &mut bytes) {
            Ok((size, _)) => Report::decode(&bytes[..size]),
            Err(_) => return,
        };
        match heard {
            Ok(Report::OutputEnded { key }) => self.output_ended(key),
            Ok(Report::Rotated { key }) => {
                if let Some(entry) = self.entries.of_key(key) {
                    entry.unsent.add(Unsent::ROTATED);
                }
            }
            _ => self.lose_logger(),
        }
    }

    fn output_ended(&mut self, key: Key) {
        if let Some(entry) = self
            .entries
            .of_key(key)
            .filter(|entry| entry.output == Output::Open)
        {
            entry.output = Output::Ended;
            entry.unsent.add(Unsent::OUTPUT_ENDED);
        }
    }

    /// It was killed: what was in its pipes is lost, those who write to them get SIGPIPE; the next start makes another.
    fn lose_logger(&mut self) {
        let Some(logger) = self.logger.take() else {
            return;
        };
        self.epoll.remove(logger.socket.raw());
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.output == Output::Open)
        {
            entry.output = Output::Ended;
            entry.unsent.add(Unsent::OUTPUT_ENDED);
        }
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
