//! The Node's conveniences: loops over its turns, until something has happened.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use super::command::{Output, Until};
use super::node::{Node, unknown};
use super::{Event, Exec, Pending, PodId, Session, Stream, Turn};
use crate::linux::Clock;
use crate::linux::process::poll_timeout;
use crate::model::{ConditionStatus, ConditionType, Phase, PodCondition, PodStatus};
use crate::time::Mono;
use crate::{Error, Kind, Result};

/// So much of each stream of a command is kept.
const OUTPUT_MAX: usize = 1 << 20;

impl Node {
    /// Drives until the pod has come so far.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::PodFailed`] if the pod ended in another way; [`Kind::NotFound`].
    pub fn wait(&mut self, id: PodId, until: Until, timeout: Duration) -> Result<PodStatus> {
        let deadline = Clock::mono() + timeout;
        let mut last = None;
        loop {
            match self.pods.get(&id).map(|resident| resident.machine.status()) {
                None if until == Until::Deleted => return Ok(last.unwrap_or_default()),
                None if last.is_none() => return Err(unknown("wait for", id)),
                None => return Err(self.ended("it was deleted", until, id)),
                Some(status) => {
                    if let Some(done) = reached(status, until) {
                        let status = status.clone();
                        return done
                            .map(|()| status)
                            .map_err(|why| self.ended(why, until, id));
                    }
                    if until == Until::Deleted {
                        last = Some(status.clone());
                    } else {
                        last.get_or_insert_default();
                    }
                }
            }
            self.turn_before(deadline, || format!("see the pod {until:?} in {timeout:?}"))?;
        }
    }

    /// Drives until `done` says so of an event; it is asked of each new one.
    ///
    /// # Errors
    /// [`Kind::Timeout`].
    pub fn run_until(
        &mut self,
        timeout: Duration,
        mut done: impl FnMut(&Node, &Event) -> bool,
    ) -> Result<()> {
        let deadline = Clock::mono() + timeout;
        loop {
            while let Some(event) = self.next_event() {
                if done(self, &event) {
                    return Ok(());
                }
            }
            self.turn_before(deadline, || {
                format!("see what was waited for in {timeout:?}")
            })?;
        }
    }

    /// Runs a command in a running container, to its end.
    ///
    /// # Errors
    /// There is no such pod or container, or it does not run; there is no such program; [`Kind::Timeout`], and then the command
    /// is killed with all that came of it. A command that exits with another code than 0 is no error.
    pub fn output(
        &mut self,
        id: PodId,
        container: &str,
        command: Exec,
        timeout: Duration,
    ) -> Result<Output> {
        let deadline = Clock::mono() + timeout;
        let session = self.exec(id, container, command)?;
        let mut output = Output::default();
        loop {
            // Asked before reading: all that it printed before its end is in the pipes.
            let end = session.end().transpose()?;
            take(&session, Stream::Stdout, &mut output.stdout)?;
            take(&session, Stream::Stderr, &mut output.stderr)?;
            if let Some(exit) = end {
                output.code = exit.code();
                return Ok(output);
            }
            let left = self.left(deadline, || {
                format!("see the end of the command in {timeout:?}")
            })?;
            self.turn_or(&session, Some(left))?;
        }
    }

    /// Drives until an answer is there: of [`forward`](Node::forward), say.
    ///
    /// # Errors
    /// The answer's; [`Kind::Timeout`].
    pub fn finish<T>(&mut self, mut pending: Pending<T>, timeout: Duration) -> Result<T> {
        let deadline = Clock::mono() + timeout;
        loop {
            if let Some(answer) = pending.try_take() {
                return answer;
            }
            self.turn_before(deadline, || format!("get an answer in {timeout:?}"))?;
        }
    }

    /// [`turn`](Node::turn), which also ends when `fd` is readable: a [`Session`]'s, say.
    ///
    /// # Errors
    /// As for `turn`.
    pub fn turn_or(&mut self, fd: impl AsFd, timeout: Option<Duration>) -> Result<Turn> {
        let turn = self.turn(Some(Duration::ZERO))?;
        if turn.progressed > 0 || turn.more {
            return Ok(turn);
        }
        let mut fds = [self.as_fd(), fd.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, poll_timeout(timeout)) {
            Ok(_) | Err(Errno::EINTR) => self.turn(Some(Duration::ZERO)),
            Err(errno) => Err(Error::os("wait for events", errno as i32)),
        }
    }

    /// One turn that ends at the deadline. After it, it is an error.
    pub(super) fn turn_before(
        &mut self,
        deadline: Mono,
        what: impl Fn() -> String,
    ) -> Result<Turn> {
        let left = self.left(deadline, what)?;
        self.turn(Some(left))
    }

    /// The time until the deadline. After it, it is an error.
    pub(super) fn left(&self, deadline: Mono, what: impl Fn() -> String) -> Result<Duration> {
        if self.closing {
            return Err(Error::new(
                Kind::NodeClosed,
                what(),
                "a handle asked the Node to stop",
            ));
        }
        let left = deadline - Clock::mono();
        if left.is_zero() {
            return Err(Error::new(Kind::Timeout, what(), "the time is up"));
        }
        Ok(left)
    }

    fn ended(&self, why: &str, until: Until, id: PodId) -> Error {
        let name = self
            .pods
            .get(&id)
            .map_or_else(|| id.to_string(), |resident| resident.name.to_string());
        Error::new(
            Kind::PodFailed,
            format!("see the pod {name} {until:?}"),
            why.to_owned(),
        )
    }
}

/// Reads what is there. Beyond [`OUTPUT_MAX`] it is thrown away.
fn take(session: &Session, stream: Stream, into: &mut Vec<u8>) -> Result<()> {
    let mut piece = [0; 16 << 10];
    // A pipe holds a mebibyte at most.
    for _ in 0..64 {
        match session.read(stream, &mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let room = OUTPUT_MAX.saturating_sub(into.len());
                into.extend_from_slice(&piece[..count.min(room)]);
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(Error::io("read what a command prints", why)),
        }
    }
    Ok(())
}

/// Whether a pod has come so far; `Err` if it never will.
fn reached(status: &PodStatus, until: Until) -> Option<Result<(), &'static str>> {
    let ready = |condition: &PodCondition| {
        condition.type_ == ConditionType::Ready && condition.status == ConditionStatus::True
    };
    match (until, &status.phase) {
        (Until::Deleted, _) => None,
        (Until::Ready, _) if status.conditions.iter().any(ready) => Some(Ok(())),
        (Until::Finished, Some(Phase::Succeeded)) => Some(Ok(())),
        (_, Some(Phase::Failed)) => Some(Err("it failed")),
        (Until::Ready, Some(Phase::Succeeded)) => Some(Err("it ended")),
        _ => None,
    }
}
