//! Starting processes.

use crate::channel::{self, Received};
use crate::child::Child;
use crate::entry::{Entry, Output, State};
use crate::flat::Header;
use crate::kernel::{self, CLONE_NEWPID, Errno, Fd, Result};
use crate::walk;
use crate::wire::{Carried, Failure, Key, MESSAGE_SIZE};

use super::{PROGRESS, Pause, SIGKILL, or_end};

/// A process that the Node wants, as [`Request::Start`](crate::wire::Request::Start) says it.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub key: Key,
    pub join: Option<Key>,
    pub carried: Carried,
    pub log_size: u64,
}

impl Pause {
    pub(super) fn start(&mut self, wanted: Wanted, mut received: Received) -> Result<()> {
        let Wanted { key, carried, .. } = wanted;
        if self.entry(key).is_some() {
            return Err(Errno::EEXIST);
        }
        self.used = true;
        let index = self.entries.vacant().ok_or(Errno::EAGAIN)?;
        self.ensure_logger(carried)?;
        // Messages, not bytes: a terminal comes this way too. They are read when the other end is closed, which no interest
        // keeps from being told: until then nobody need be woken.
        let (progress, report) = kernel::seqpacket_pair()?;
        self.epoll.add(progress.raw(), 0, PROGRESS + index as u64)?;
        let made = self.fork(wanted, &mut received, report);
        if let Err(errno) = self.let_go(&made, &progress) {
            self.epoll.remove(progress.raw());
            return Err(errno);
        }
        if made.is_err() {
            self.epoll.remove(progress.raw());
        }
        self.entries.put(
            index,
            match made {
                Ok(made) => Entry {
                    input: made.input,
                    log: made.log,
                    ..Entry::starting(key, made.pid, made.pidfd, progress, made.output)
                },
                Err(failure) => Entry::failed(key, failure),
            },
        );
        Ok(())
    }

    /// The child executes its program when the logger runs: without one there shall be no program either.
    fn let_go(&mut self, made: &core::result::Result<Made, Failure>, progress: &Fd) -> Result<()> {
        let started = self.start_logger();
        if let Ok(made) = made {
            match started {
                Ok(()) => drop(kernel::write(progress.raw(), &[1])),
                Err(_) => drop(kernel::pidfd_send_signal(made.pidfd.raw(), SIGKILL)),
            }
        }
        started
    }

    fn fork(
        &mut self,
        wanted: Wanted,
        received: &mut Received,
        report: Fd,
    ) -> core::result::Result<Made, Failure> {
        let Wanted { join, carried, .. } = wanted;
        let failed = |step| {
            move |errno: Errno| Failure {
                step,
                errno: errno.0,
            }
        };
        let (plan, header) = plan(carried, received).map_err(failed(Failure::PLAN))?;
        let target = self
            .target(join, header.join)
            .map_err(failed(Failure::JOIN))?;
        let carry =
            |received: &mut Received, bit| carried.position(bit).and_then(|at| received.take(at));
        let mut log = carry(received, Carried::LOG);
        let shown = [Carried::LOG_STDOUT, Carried::LOG_STDERR, Carried::TERMINAL];
        let output = if log.is_some() && shown.iter().any(|bit| carried.has(*bit)) {
            Output::Open
        } else {
            Output::Ended
        };
        let [log_stdout, log_stderr] = if carried.has(Carried::TERMINAL) {
            [None, None]
        } else {
            self.log(wanted, log.take())
                .map_err(failed(Failure::STREAMS))?
        };
        let (kept_stdin, input) = kept_stdin(carried).map_err(failed(Failure::STREAMS))?;
        let streams = [
            kept_stdin.or_else(|| carry(received, Carried::STDIN)),
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
            Some((pid, pidfd)) => Ok(Made {
                pid,
                pidfd,
                output,
                input,
                log: log.map(|log| (log, wanted.log_size)),
            }),
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
        let entry = join.and_then(|key| self.entry(key));
        let entry = entry
            .filter(|entry| entry.state == State::Running)
            .ok_or(Errno::ESRCH)?;
        let process = entry.alive().ok_or(Errno::ESRCH)?;
        Ok(Some((process.raw(), namespaces)))
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

    /// Reads how far a starting child came; true if there may be more. The end is the moment of its `execve`, or of its
    /// death.
    pub(super) fn read_progress(&mut self, index: usize) -> bool {
        let Some(entry) = self.entries.at(index) else {
            return false;
        };
        let Some(progress) = &entry.progress else {
            return false;
        };
        let mut bytes = [0; MESSAGE_SIZE];
        let failure = match channel::receive(progress.raw(), &mut bytes) {
            Ok((MESSAGE_SIZE, mut received)) => {
                self.take_terminal(index, received.take(0));
                return true;
            }
            Ok((8, _)) if bytes[..8] == [0; 8] => {
                entry.ready = true;
                return true;
            }
            Ok((8, _)) => {
                let mut failure = [0; 8];
                failure.copy_from_slice(&bytes[..8]);
                Some(Failure::from_bytes(failure))
            }
            // It was closed with our word unread; what it said before is still there.
            Err(Errno::EINTR | Errno::ECONNRESET) => return true,
            Err(Errno::EAGAIN) => return false,
            _ if entry.ready => None,
            _ => Some(Failure::died()),
        };
        self.epoll.remove(progress.raw());
        entry.progress = None;
        match failure {
            None => entry.run(kernel::now()),
            Some(failure) => entry.fail(failure),
        }
        false
    }

    /// The other end of the terminal that a child has opened: kept for those who attach, shown in the log.
    fn take_terminal(&mut self, index: usize, terminal: Option<Fd>) {
        let Some(entry) = self.entries.at(index) else {
            return;
        };
        if let (Some(terminal), Some((file, size))) = (&terminal, entry.log.take()) {
            let logger = self.logger.as_ref().ok_or(Errno::EPIPE);
            let copied = logger.and_then(|logger| logger.show(entry.key, terminal, &file, size));
            if copied.is_err() {
                entry.end_output(false);
            }
        }
        entry.input = terminal;
    }
}

/// A child that was forked.
struct Made {
    pid: i32,
    pidfd: Fd,
    output: Output,
    input: Option<Fd>,
    log: Option<(Fd, u64)>,
}

/// The plan, with all the handles it says it has.
fn plan(carried: Carried, received: &mut Received) -> Result<(Fd, Header)> {
    let plan = carried
        .position(Carried::PLAN)
        .and_then(|at| received.take(at))
        .ok_or(Errno::EBADF)?;
    let header = walk::header(plan.raw())?;
    match carried.count() + header.handles as usize == received.count() {
        true => Ok((plan, header)),
        false => Err(Errno::EBADF),
    }
}

/// A pipe for standard input: the child's end, and the one that is kept.
fn kept_stdin(carried: Carried) -> Result<(Option<Fd>, Option<Fd>)> {
    if !carried.has(Carried::KEPT_STDIN) {
        return Ok((None, None));
    }
    let (reader, writer) = kernel::pipe()?;
    kernel::non_blocking(writer.raw())?;
    Ok((Some(reader), Some(writer)))
}
