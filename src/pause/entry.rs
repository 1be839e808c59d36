//! What pause remembers of each process: until the Node has acknowledged its end, and its output is in the log.

use crate::kernel::{self, Fd};
use crate::wire::{At, Failure, Key, Report};

/// How many processes pause remembers at a time.
pub const ENTRIES_MAX: usize = 128;

/// One process.
pub struct Entry {
    pub key: Key,
    pub state: State,
    /// In pause's PID namespace; 0 once reaped.
    pub pid: i32,
    /// Kept until acknowledged, for the report of the start. `None` if there never was a process.
    pub pidfd: Option<Fd>,
    /// Where the child says how far it came, while it starts.
    pub progress: Option<Fd>,
    pub ready: bool,
    pub started: At,
    pub output: Output,
    /// The other end of its standard input or terminal, for those who attach.
    pub input: Option<Fd>,
    /// Where the output goes once there is a terminal.
    pub log: Option<(Fd, u64)>,
    /// What the connection has not been told yet.
    pub unsent: Unsent,
}

/// How far it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Starting,
    Running,
    Failed(Failure),
    Exited {
        status: i32,
        ended: At,
    },
    /// The Node knows of the end; only the logger still works on its output.
    Acknowledged,
}

/// What became of its output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// None goes to a log, or all of it has.
    Ended,
    /// The logger copies it.
    Open,
    /// The logger died over it.
    Lost,
}

/// Reports not sent yet, one bit each, in the order they are sent.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsent(u8);

impl Unsent {
    pub const STARTED: u8 = 1;
    pub const FAILED: u8 = 2;
    pub const EXITED: u8 = 4;
    pub const OUTPUT_ENDED: u8 = 8;
    pub const ROTATED: u8 = 16;
    pub const LOG_FULL: u8 = 32;

    pub fn add(&mut self, bit: u8) {
        self.0 |= bit;
    }

    pub fn remove(&mut self, bit: u8) {
        self.0 &= !bit;
    }

    fn first(self) -> Option<u8> {
        (self.0 != 0).then(|| self.0 & self.0.wrapping_neg())
    }
}

impl Entry {
    pub fn starting(key: Key, pid: i32, pidfd: Fd, progress: Fd, output: Output) -> Entry {
        Entry {
            key,
            state: State::Starting,
            pid,
            pidfd: Some(pidfd),
            progress: Some(progress),
            ready: false,
            started: At::default(),
            output,
            input: None,
            log: None,
            unsent: Unsent::default(),
        }
    }

    /// Of a process that never was.
    pub fn failed(key: Key, failure: Failure) -> Entry {
        let mut unsent = Unsent::default();
        unsent.add(Unsent::FAILED);
        Entry {
            key,
            state: State::Failed(failure),
            pid: 0,
            pidfd: None,
            progress: None,
            ready: false,
            started: At::default(),
            output: Output::Ended,
            input: None,
            log: None,
            unsent,
        }
    }

    pub fn run(&mut self, now: At) {
        self.started = now;
        self.state = State::Running;
        self.unsent.add(Unsent::STARTED);
        self.end_unbegun();
    }

    pub fn fail(&mut self, failure: Failure) {
        self.state = State::Failed(failure);
        self.unsent.add(Unsent::FAILED);
        self.input = None;
        self.end_unbegun();
    }

    /// A log that waits for a terminal which does not come.
    fn end_unbegun(&mut self) {
        if self.log.take().is_some() {
            self.end_output(true);
        }
    }

    /// What whoever attaches writes to. With `once` it is theirs alone.
    pub fn give_input(&mut self, once: bool) -> kernel::Result<Option<Fd>> {
        match (&self.input, once) {
            (None, _) => Ok(None),
            (Some(_), true) => Ok(self.input.take()),
            (Some(input), false) => kernel::duplicate(input.raw()).map(Some),
        }
    }

    pub fn end_output(&mut self, complete: bool) {
        if self.output == Output::Open {
            self.output = if complete {
                Output::Ended
            } else {
                Output::Lost
            };
            self.unsent.add(Unsent::OUTPUT_ENDED);
        }
    }

    /// A process to signal or to join.
    pub fn alive(&self) -> Option<&Fd> {
        self.pidfd
            .as_ref()
            .filter(|_| self.pid != 0 && self.state != State::Acknowledged)
    }

    /// The next report the connection is owed: its bit, and the descriptor that goes with it.
    pub fn owed(&self) -> Option<(u8, Report, Option<i32>)> {
        let bit = self.unsent.first()?;
        let (key, started) = (self.key, self.started);
        let mut fd = None;
        let report = match (bit, self.state) {
            (Unsent::STARTED, _) => {
                fd = self.pidfd.as_ref().map(Fd::raw);
                Report::Started { key, at: started }
            }
            (Unsent::FAILED, State::Failed(failure)) => Report::StartFailed { key, failure },
            (Unsent::EXITED, State::Exited { status, ended }) => Report::Exited {
                key,
                status,
                started,
                ended,
            },
            (Unsent::ROTATED, _) => Report::Rotated { key },
            (Unsent::LOG_FULL, _) => Report::LogFull { key },
            _ => Report::OutputEnded {
                key,
                complete: self.output != Output::Lost,
            },
        };
        Some((bit, report, fd))
    }

    /// Owes everything that is remembered again.
    pub fn owe_all(&mut self) {
        self.unsent.add(match self.state {
            State::Starting | State::Acknowledged => 0,
            State::Running => Unsent::STARTED,
            State::Failed(_) => Unsent::FAILED,
            State::Exited { .. } => Unsent::EXITED,
        });
    }

    /// Nothing is left to tell or to wait for.
    pub fn is_done(&self) -> bool {
        self.state == State::Acknowledged
            && self.output != Output::Open
            && self.unsent == Unsent::default()
    }
}
