//! Calls of i386 that make other calls: `socketcall(2)`, `ipc(2)`.

use super::syscalls::{self, Call};
use super::{Comparison, Condition};

/// One number for many calls. The first argument says which; of those of `socketcall` a filter sees only where they are in memory.
pub(super) struct Multiplexer {
    pub(super) name: &'static str,
    /// The first argument's bits that say which call it is. `ipc` has a version in the others.
    mask: u64,
    calls: &'static [(u64, &'static str)],
}

impl Multiplexer {
    /// The calls, each with the condition under which it is the one that is made.
    pub(super) fn calls(&self) -> impl Iterator<Item = (Call, Condition)> {
        self.calls.iter().filter_map(|(value, name)| {
            let is = Condition {
                argument: 0,
                comparison: Comparison::MaskedEq(self.mask),
                value: *value,
            };
            Some((syscalls::find(name)?, is))
        })
    }
}

/// The call that can make this one.
pub(super) fn of(call: &Call) -> Option<Call> {
    let makes = |by: &&Multiplexer| by.calls.iter().any(|(_, name)| *name == call.name);
    let by = MULTIPLEXERS.iter().find(makes)?;
    syscalls::find(by.name)
}

/// By the constants of `linux/net.h` and `linux/ipc.h`.
pub(super) const MULTIPLEXERS: [Multiplexer; 2] = [
    Multiplexer {
        name: "socketcall",
        mask: 0xffff_ffff,
        calls: &[
            (1, "socket"),
            (2, "bind"),
            (3, "connect"),
            (4, "listen"),
            (5, "accept"),
            (6, "getsockname"),
            (7, "getpeername"),
            (8, "socketpair"),
            (9, "send"),
            (10, "recv"),
            (11, "sendto"),
            (12, "recvfrom"),
            (13, "shutdown"),
            (14, "setsockopt"),
            (15, "getsockopt"),
            (16, "sendmsg"),
            (17, "recvmsg"),
            (18, "accept4"),
            (19, "recvmmsg"),
            (20, "sendmmsg"),
        ],
    },
    Multiplexer {
        name: "ipc",
        mask: 0xffff,
        calls: &[
            (1, "semop"),
            (2, "semget"),
            (3, "semctl"),
            (4, "semtimedop"),
            (11, "msgsnd"),
            (12, "msgrcv"),
            (13, "msgget"),
            (14, "msgctl"),
            (21, "shmat"),
            (22, "shmdt"),
            (23, "shmget"),
            (24, "shmctl"),
        ],
    },
];
