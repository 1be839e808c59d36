//! What has to do with the logger.

use crate::channel::{self, Received};
use crate::entry::{Entry, Output, State, Unsent};
use crate::kernel::{EPOLLIN, Errno, Fd, Result};
use crate::logger;
use crate::wire::{Carried, Key, MESSAGE_SIZE, Report};

use super::start::Wanted;
use super::{LOGGER, Pause};

const LOGGED: [u32; 2] = [Carried::LOG_STDOUT, Carried::LOG_STDERR];

impl Pause {
    /// There is a logger to ask from when it is first needed.
    pub(super) fn ensure_logger(&mut self, carried: Carried) -> Result<()> {
        if self.logger.is_none() && carried.has(Carried::LOG) {
            let logger = logger::Client::new()?;
            self.epoll.add(logger.socket.raw(), EPOLLIN, LOGGER)?;
            self.logger = Some(logger);
        }
        Ok(())
    }

    /// It runs after the process that needs it was made, so that this one need not wait for it.
    pub(super) fn start_logger(&mut self) -> Result<()> {
        let started = self.logger.as_mut().map_or(Ok(()), logger::Client::start);
        if started.is_err() {
            self.lose_logger();
        }
        started
    }

    /// Pipes to the logger for the streams that go to the log.
    pub(super) fn log(&mut self, wanted: Wanted, file: Option<Fd>) -> Result<[Option<Fd>; 2]> {
        let Wanted {
            key,
            carried,
            log_size,
            ..
        } = wanted;
        if !LOGGED.iter().any(|bit| carried.has(*bit)) {
            return Ok([None, None]);
        }
        let file = file.ok_or(Errno::EBADF)?;
        let logger = self.logger.as_ref().ok_or(Errno::EPIPE)?;
        logger.copy(key, LOGGED.map(|bit| carried.has(bit)), &file, log_size)
    }

    pub(super) fn rotate(&mut self, key: Key, mut received: Received) -> Result<()> {
        let file = received.take(0).ok_or(Errno::EBADF)?;
        let open = |entry: &mut Entry| entry.output == Output::Open;
        if !self.entry(key).is_some_and(open) {
            return Err(Errno::ESRCH);
        }
        self.logger.as_ref().ok_or(Errno::EPIPE)?.rotate(key, &file)
    }

    /// What is printed from now on goes to those writing ends too; what pause keeps of the input is given out.
    pub(super) fn attach(
        &mut self,
        key: Key,
        carried: Carried,
        once: bool,
        received: Received,
    ) -> Result<Option<Fd>> {
        let entry = self.entries.iter_mut().find(|entry| entry.key == key);
        let entry = entry.ok_or(Errno::ESRCH)?;
        if carried.count() != received.count() {
            return Err(Errno::EBADF);
        }
        if carried.count() > 0 {
            if (entry.state, entry.output) != (State::Running, Output::Open) {
                return Err(Errno::ESRCH);
            }
            let logger = self.logger.as_ref().ok_or(Errno::EPIPE)?;
            logger.attach(key, carried, &received)?;
        }
        entry.give_input(once)
    }

    pub(super) fn hear_logger(&mut self) {
        let Some(logger) = &self.logger else { return };
        let mut bytes = [0; MESSAGE_SIZE];
        let heard = match channel::receive(logger.socket.raw(), &mut bytes) {
            Ok((size, _)) => Report::decode(&bytes[..size]),
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(_) => return self.lose_logger(),
        };
        match heard {
            Ok(Report::OutputEnded { key, complete }) => self.output_ended(key, complete),
            Ok(Report::Rotated { key }) => {
                if let Some(entry) = self.entry(key) {
                    entry.unsent.add(Unsent::ROTATED);
                }
            }
            Ok(Report::LogFull { key }) => {
                if let Some(entry) = self.entry(key) {
                    entry.unsent.add(Unsent::LOG_FULL);
                }
            }
            _ => self.lose_logger(),
        }
    }

    fn output_ended(&mut self, key: Key, complete: bool) {
        if let Some(entry) = self.entry(key) {
            entry.end_output(complete);
        }
    }

    /// It was killed: what was in its pipes is lost, those who write to them get SIGPIPE; the next start makes another.
    pub(super) fn lose_logger(&mut self) {
        let Some(logger) = self.logger.take() else {
            return;
        };
        self.epoll.remove(logger.socket.raw());
        for entry in self.entries.iter_mut() {
            entry.end_output(false);
        }
    }
}
