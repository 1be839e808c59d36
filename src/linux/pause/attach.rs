//! Taking part in what a process of the pod says and hears.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::connection::Connection;
use super::wire::{self, Carried, Key};
use crate::Result;

/// How to take part in what a process says and hears.
#[derive(Clone, Copy, Debug)]
pub struct Attach<'a> {
    /// Comes back in the answer.
    pub ticket: u32,
    /// Which process.
    pub key: Key,
    /// The writing end of a pipe, non-blocking, that gets a copy of what goes from its standard output, or its terminal, to
    /// its log from now on. What finds no room is lost, and the loss is said there.
    pub stdout: Option<BorrowedFd<'a>>,
    /// The same for standard error.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Pause does not keep the end that it gives out.
    pub once: bool,
}

impl Connection {
    pub(super) fn attach(&self, attach: &Attach<'_>) -> Result<()> {
        let streams = [
            (Carried::STDOUT, attach.stdout),
            (Carried::STDERR, attach.stderr),
        ];
        let streams = streams
            .iter()
            .filter_map(|(bit, fd)| Some((bit, fd.as_ref()?)));
        let carried = Carried(streams.clone().map(|(bit, _)| bit).sum());
        let fds: Vec<_> = streams.map(|(_, fd)| fd.as_raw_fd()).collect();
        let Attach {
            ticket, key, once, ..
        } = *attach;
        self.send_raw(
            &wire::Request::Attach {
                ticket,
                key,
                carried,
                once,
            },
            &fds,
        )
    }
}
