//! What the Node and pause say to each other: fixed messages over a `SOCK_SEQPACKET` socket, descriptors beside them.
//!
//! This file is compiled twice, into the library and into the freestanding program. It is pure: no allocation, no
//! system call. A message is sixteen 32-bit little-endian words; which descriptors travel with a [`Request::Start`] is
//! in its [`Carried`] bits, in the order of the bits, the plan's own handles last.

#[path = "words.rs"]
mod words;

use words::Words;

/// Bytes of one message.
pub const MESSAGE_SIZE: usize = 64;
/// The most descriptors one message carries.
pub const DESCRIPTORS_MAX: usize = 64;

/// Names a process for as long as its pod lives, across embedders: (container, attempt, exec).
///
/// The container's own process has `exec` 0; probes, hooks and sessions inside it count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Index of the container in the pod, whatever order the Node gave them.
    pub container: u32,
    /// The container's attempt: unique, never used again.
    pub attempt: u32,
    /// 0 for the container itself.
    pub exec: u32,
}

impl Key {
    /// The container's own process.
    pub const fn container(container: u32, attempt: u32) -> Key {
        Key {
            container,
            attempt,
            exec: 0,
        }
    }

    /// A process run inside it.
    #[must_use]
    pub const fn exec(self, exec: u32) -> Key {
        Key { exec, ..self }
    }
}

/// A moment as pause read it on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub mono: u64,
    /// `CLOCK_REALTIME`, nanoseconds since 1970.
    pub wall: i64,
}

/// Which step of a plan failed, and how. [`Plan::explain`](super::plan::Plan::explain) makes a sentence of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Index into the plan's steps, or one of the stages around the plan ([`Failure::CLONE`] and its siblings).
    pub step: u32,
    /// What the kernel said.
    pub errno: i32,
}

impl Failure {
    /// Making the process: clone with its namespaces and its cgroup.
    pub const CLONE: u32 = u32::MAX;
    /// Joining the namespaces of the target.
    pub const JOIN: u32 = u32::MAX - 1;
    /// Entering the cgroup through `cgroup.procs`.
    pub const CGROUP: u32 = u32::MAX - 2;
    /// Arranging descriptors, pipes and standard streams.
    pub const STREAMS: u32 = u32::MAX - 3;
    /// Reading the plan: it is cut off or says what pause does not know.
    pub const PLAN: u32 = u32::MAX - 4;
    /// The process was killed before the plan was done.
    pub const DIED: u32 = u32::MAX - 5;
    /// Pause itself, before any step: its descriptors and signals.
    pub const PAUSE: u32 = u32::MAX - 6;
    /// Before there was a process: pause cannot take on another.
    pub const ENTRY: u32 = u32::MAX - 7;

    pub(crate) const fn died() -> Failure {
        Failure {
            step: Failure::DIED,
            errno: 4,
        }
    }

    /// As a child tells it to pause: eight bytes, never all zero.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.step) << 32 | u64::from(self.errno as u32)).to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Failure {
        let both = u64::from_le_bytes(bytes);
        Failure {
            step: (both >> 32) as u32,
            errno: both as u32 as i32,
        }
    }
}

/// The descriptors that travel with a start, one bit each; they are sent in the order of the bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried(pub u32);

impl Carried {
    /// The flat plan; always there.
    pub const PLAN: u32 = 1;
    /// A cgroup directory, for `CLONE_INTO_CGROUP`.
    pub const CGROUP: u32 = 1 << 1;
    /// An open `cgroup.procs`, where pause's user namespace does not own the cgroup.
    pub const PROCS: u32 = 1 << 2;
    /// Standard input.
    pub const STDIN: u32 = 1 << 3;
    /// Standard output.
    pub const STDOUT: u32 = 1 << 4;
    /// Standard error.
    pub const STDERR: u32 = 1 << 5;
    /// The log file.
    pub const LOG: u32 = 1 << 6;
    /// No descriptor: standard output goes to the log.
    pub const LOG_STDOUT: u32 = 1 << 8;
    /// No descriptor: standard error goes to the log.
    pub const LOG_STDERR: u32 = 1 << 9;
    /// No descriptor: standard input is a pipe whose other end pause keeps, for [`Request::Attach`].
    pub const KEPT_STDIN: u32 = 1 << 10;
    /// No descriptor: the plan opens a terminal for all three; pause keeps its other end, and the log has what it shows.
    pub const TERMINAL: u32 = 1 << 11;

    const DESCRIPTORS: u32 = 0xff;

    /// Is this bit set?
    pub const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// How many descriptors come before the plan's own handles.
    pub const fn count(self) -> usize {
        (self.0 & Self::DESCRIPTORS).count_ones() as usize
    }

    /// Where the descriptor of this bit stands among those received.
    pub const fn position(self, bit: u32) -> Option<usize> {
        if self.has(bit) {
            Some((self.0 & Self::DESCRIPTORS & (bit - 1)).count_ones() as usize)
        } else {
            None
        }
    }
}

/// What the Node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Make a process and walk its plan.
    Start {
        /// Its name from now on.
        key: Key,
        /// Whose namespaces it joins, if the plan says that it joins any.
        join: Option<Key>,
        /// What travels along.
        carried: Carried,
        /// After so many bytes in the log file comes [`Report::LogFull`]; 0 is never.
        log_size: u64,
    },
    /// Send a signal to a process that was started.
    Signal {
        /// Which.
        key: Key,
        /// The signal's number.
        signal: u32,
    },
    /// Make a socket in the pod's network namespace.
    Socket {
        /// Comes back in the answer.
        ticket: u32,
        /// `AF_INET` and such.
        family: u32,
        /// `SOCK_STREAM` and such.
        kind: u32,
    },
    /// Forget an exit, or a failed start: the Node has written it down.
    Acknowledge {
        /// Which.
        key: Key,
    },
    /// Report everything remembered, then [`Report::Listed`].
    List,
    /// Go on in the log file that travels along.
    Rotate {
        /// Whose log.
        key: Key,
    },
    /// End: the pod's PID namespace ends with pause.
    Quit,
    /// Give out what pause keeps of a process's standard input or terminal, and copy to the writing ends that travel along
    /// what it prints to its log from now on.
    Attach {
        /// Comes back in the answer.
        ticket: u32,
        /// To which process.
        key: Key,
        /// [`Carried::STDOUT`] and [`Carried::STDERR`].
        carried: Carried,
        /// Pause lets go of its own end: when whoever asks closes it, the process sees the end of its input.
        once: bool,
    },
}

/// What pause tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The sandbox's own plan is done; starts are taken.
    Ready {
        /// When.
        at: At,
    },
    /// A step of the sandbox's own plan failed; pause ends.
    SetUpFailed {
        /// Which.
        failure: Failure,
    },
    /// The program runs. Its pidfd travels along.
    Started {
        /// Which.
        key: Key,
        /// When its `execve` was done.
        at: At,
    },
    /// There is no process of that key. Remembered until acknowledged.
    StartFailed {
        /// Which.
        key: Key,
        /// Why.
        failure: Failure,
    },
    /// The process ended. Remembered until acknowledged.
    Exited {
        /// Which.
        key: Key,
        /// As `waitid` gives it: `(si_code, si_status)` put together like `wait`'s status word.
        status: i32,
        /// When it had started.
        started: At,
        /// When pause reaped it.
        ended: At,
    },
    /// Both pipes of that key reached their end and all of it was handed to the log file.
    OutputEnded {
        /// Which.
        key: Key,
        /// False: the logger was killed, and what it had not written is lost.
        complete: bool,
    },
    /// So many bytes as the start said were written to the log file since it was begun, or since this was told last.
    LogFull {
        /// Whose.
        key: Key,
    },
    /// The old log file is complete and closed.
    Rotated {
        /// Which.
        key: Key,
    },
    /// The socket asked for travels along, or `errno` says why not.
    Socket {
        /// The request's.
        ticket: u32,
        /// 0 if the socket is there.
        errno: i32,
    },
    /// The end of what [`Request::List`] asked.
    Listed,
    /// A request was not understood or cannot be done.
    Refused {
        /// The request's kind number.
        request: u32,
        /// The key it named.
        key: Key,
        /// Why.
        errno: i32,
    },
    /// What was asked for is attached. The end that pause keeps, if it keeps one, travels along.
    Attached {
        /// The request's.
        ticket: u32,
        /// 0 if it was done.
        errno: i32,
    },
}

/// Not a message of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Request {
    /// The number of its kind, for [`Report::Refused`].
    pub const fn kind(&self) -> u32 {
        match self {
            Request::Start { .. } => 1,
            Request::Signal { .. } => 2,
            Request::Socket { .. } => 3,
            Request::Acknowledge { .. } => 4,
            Request::List => 5,
            Request::Rotate { .. } => 6,
            Request::Quit => 7,
            Request::Attach { .. } => 8,
        }
    }

    /// The key it names, if any.
    pub const fn key(&self) -> Key {
        match *self {
            Request::Start { key, .. }
            | Request::Signal { key, .. }
            | Request::Acknowledge { key }
            | Request::Rotate { key }
            | Request::Attach { key, .. } => key,
            Request::Socket { .. } | Request::List | Request::Quit => Key::container(0, 0),
        }
    }

    /// As bytes.
    pub fn encode(&self) -> [u8; MESSAGE_SIZE] {
        let words = Words::new(self.kind(), self.key());
        match *self {
            Request::Start {
                join,
                carried,
                log_size,
                ..
            } => {
                let mut words = words.with(0, carried.0).with(1, u32::from(join.is_some()));
                words.put_key(Words::BODY + 2, join.unwrap_or_default());
                words.put_long(Words::BODY + 5, log_size);
                words
            }
            Request::Signal { signal, .. } => words.with(0, signal),
            Request::Socket {
                ticket,
                family,
                kind,
            } => words.with(0, ticket).with(1, family).with(2, kind),
            Request::Attach {
                ticket,
                carried,
                once,
                ..
            } => words
                .with(0, ticket)
                .with(1, carried.0)
                .with(2, u32::from(once)),
            Request::Acknowledge { .. }
            | Request::List
            | Request::Rotate { .. }
            | Request::Quit => words,
        }
        .encode()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Request, Malformed> {
        let (kind, words) = Words::decode(bytes)?;
        let key = words.key(Words::KEY);
        Ok(match kind {
            1 => Request::Start {
                key,
                join: (words.word(1) != 0).then(|| words.key(Words::BODY + 2)),
                carried: Carried(words.word(0)),
                log_size: words.long(5),
            },
            2 => Request::Signal {
                key,
                signal: words.word(0),
            },
            3 => Request::Socket {
                ticket: words.word(0),
                family: words.word(1),
                kind: words.word(2),
            },
            4 => Request::Acknowledge { key },
            5 => Request::List,
            6 => Request::Rotate { key },
            7 => Request::Quit,
            8 => Request::Attach {
                ticket: words.word(0),
                key,
                carried: Carried(words.word(1)),
                once: words.word(2) != 0,
            },
            _ => return Err(Malformed),
        })
    }
}

impl Report {
    /// As bytes.
    pub fn encode(&self) -> [u8; MESSAGE_SIZE] {
        let none = Key::container(0, 0);
        let failed = |kind, key, failure: Failure| {
            Words::new(kind, key)
                .with(0, failure.step)
                .with(1, failure.errno as u32)
        };
        match *self {
            Report::Ready { at } => Words::new(1, none).with_moment(0, at),
            Report::SetUpFailed { failure } => failed(2, none, failure),
            Report::Started { key, at } => Words::new(3, key).with_moment(0, at),
            Report::StartFailed { key, failure } => failed(4, key, failure),
            Report::Exited {
                key,
                status,
                started,
                ended,
            } => Words::new(5, key)
                .with_moment(0, started)
                .with_moment(4, ended)
                .with(8, status as u32),
            Report::OutputEnded { key, complete } => {
                Words::new(6, key).with(0, u32::from(complete))
            }
            Report::Rotated { key } => Words::new(7, key),
            Report::Socket { ticket, errno } => {
                Words::new(8, none).with(0, ticket).with(1, errno as u32)
            }
            Report::Listed => Words::new(9, none),
            Report::LogFull { key } => Words::new(11, key),
            Report::Refused {
                request,
                key,
                errno,
            } => Words::new(10, key).with(0, request).with(1, errno as u32),
            Report::Attached { ticket, errno } => {
                Words::new(12, none).with(0, ticket).with(1, errno as u32)
            }
        }
        .encode()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Report, Malformed> {
        let (kind, words) = Words::decode(bytes)?;
        let key = words.key(Words::KEY);
        Ok(match kind {
            1 => Report::Ready {
                at: words.moment(0),
            },
            2 => Report::SetUpFailed {
                failure: words.failure(),
            },
            3 => Report::Started {
                key,
                at: words.moment(0),
            },
            4 => Report::StartFailed {
                key,
                failure: words.failure(),
            },
            5 => Report::Exited {
                key,
                status: words.word(8) as i32,
                started: words.moment(0),
                ended: words.moment(4),
            },
            6 => Report::OutputEnded {
                key,
                complete: words.word(0) != 0,
            },
            7 => Report::Rotated { key },
            8 => Report::Socket {
                ticket: words.word(0),
                errno: words.word(1) as i32,
            },
            9 => Report::Listed,
            10 => Report::Refused {
                request: words.word(0),
                key,
                errno: words.word(1) as i32,
            },
            11 => Report::LogFull { key },
            12 => Report::Attached {
                ticket: words.word(0),
                errno: words.word(1) as i32,
            },
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Key> {
        any::<[u32; 3]>().prop_map(|[container, attempt, exec]| Key {
            container,
            attempt,
            exec,
        })
    }

    fn at() -> impl Strategy<Value = At> {
        any::<(u64, i64)>().prop_map(|(mono, wall)| At { mono, wall })
    }

    fn failure() -> impl Strategy<Value = Failure> {
        any::<(u32, i32)>().prop_map(|(step, errno)| Failure { step, errno })
    }

    fn request() -> impl Strategy<Value = Request> {
        let start = (key(), proptest::option::of(key()), any::<(u32, u64)>());
        prop_oneof![
            start.prop_map(|(key, join, (carried, log_size))| Request::Start {
                key,
                join,
                carried: Carried(carried),
                log_size
            }),
            (key(), any::<u32>()).prop_map(|(key, signal)| Request::Signal { key, signal }),
            any::<[u32; 3]>().prop_map(|[ticket, family, kind]| Request::Socket {
                ticket,
                family,
                kind
            }),
            key().prop_map(|key| Request::Acknowledge { key }),
            Just(Request::List),
            key().prop_map(|key| Request::Rotate { key }),
            Just(Request::Quit),
            (key(), any::<[u32; 2]>(), any::<bool>()).prop_map(|(key, [ticket, carried], once)| {
                Request::Attach {
                    ticket,
                    key,
                    carried: Carried(carried),
                    once,
                }
            }),
        ]
    }

    fn report() -> impl Strategy<Value = Report> {
        let exited = (key(), any::<i32>(), at(), at());
        prop_oneof![
            at().prop_map(|at| Report::Ready { at }),
            failure().prop_map(|failure| Report::SetUpFailed { failure }),
            (key(), at()).prop_map(|(key, at)| Report::Started { key, at }),
            (key(), failure()).prop_map(|(key, failure)| Report::StartFailed { key, failure }),
            exited.prop_map(|(key, status, started, ended)| Report::Exited {
                key,
                status,
                started,
                ended
            }),
            (key(), any::<bool>())
                .prop_map(|(key, complete)| Report::OutputEnded { key, complete }),
            key().prop_map(|key| Report::Rotated { key }),
            key().prop_map(|key| Report::LogFull { key }),
            any::<(u32, i32)>().prop_map(|(ticket, errno)| Report::Socket { ticket, errno }),
            any::<(u32, i32)>().prop_map(|(ticket, errno)| Report::Attached { ticket, errno }),
            Just(Report::Listed),
            (any::<u32>(), key(), any::<i32>()).prop_map(|(request, key, errno)| Report::Refused {
                request,
                key,
                errno
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_message_comes_back_as_it_was(request in request(), report in report(), failure in failure()) {
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
            prop_assert_eq!(Report::decode(&report.encode()), Ok(report));
            prop_assert_eq!(Failure::from_bytes(failure.to_bytes()), failure);
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let of_another_size = bytes.len() != MESSAGE_SIZE;
            prop_assert!(!of_another_size || Request::decode(&bytes) == Err(Malformed));
            prop_assert!(!of_another_size || Report::decode(&bytes) == Err(Malformed));
        }

        #[test]
        fn descriptors_stand_in_the_order_of_their_bits(carried in any::<u32>()) {
            let carried = Carried(carried);
            let positions: Vec<_> = (0..8).filter_map(|bit| carried.position(1 << bit)).collect();
            prop_assert_eq!(positions, (0..carried.count()).collect::<Vec<_>>());
        }
    }
}
