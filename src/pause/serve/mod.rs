//! Pause's main loop: requests in, reports out, children reaped. It blocks on its epoll and on nothing else.

mod connection;
mod output;
mod start;

use crate::Given;
use crate::entry::{ENTRIES_MAX, Entry, State, Unsent};
use crate::kernel::{self, EPOLLIN, Epoll, Event, Fd, Result};
use crate::logger;
use crate::slots::Slots;
use crate::wire::{Failure, Key, Report};

const CHILDREN: u64 = 1;
const CONNECTION: u64 = 2;
const LISTENER: u64 = 3;
const EMBEDDER: u64 = 4;
const LOGGER: u64 = 5;
/// From here on: progress of the entry with this index.
const PROGRESS: u64 = 16;

const SIGKILL: u32 = 9;

pub struct Pause {
    epoll: Epoll,
    children: Fd,
    own: Fd,
    connection: Option<Fd>,
    given: Given,
    logger: Option<logger::Client>,
    entries: Slots<Entry>,
    /// An answer that found no room; while it waits, no further request is read.
    answer: Option<(Report, Option<Fd>)>,
    listing: bool,
    /// A process was asked for: from then on an embedder can know of us and come back.
    used: bool,
    /// Are we waiting for room?
    blocked: bool,
}

/// Without a connection to say so there is nobody to tell: the pod ends.
fn or_end<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|_| kernel::exit(1))
}

impl Pause {
    pub fn new(connection: Fd, given: Given) -> Pause {
        let epoll = or_end(Epoll::new());
        let children = or_end(kernel::child_signals());
        or_end(epoll.add(children.raw(), EPOLLIN, CHILDREN));
        or_end(epoll.add(connection.raw(), EPOLLIN, CONNECTION));
        if let Some(listener) = &given.listener {
            or_end(kernel::non_blocking(listener.raw()));
            or_end(kernel::listen(listener.raw()));
            or_end(epoll.add(listener.raw(), EPOLLIN, LISTENER));
        }
        if let Some(embedder) = &given.embedder {
            or_end(epoll.add(embedder.raw(), EPOLLIN, EMBEDDER));
        }
        Pause {
            epoll,
            children,
            own: or_end(kernel::pidfd_open(kernel::own_pid())),
            connection: Some(connection),
            given,
            logger: None,
            entries: or_end(Slots::new(ENTRIES_MAX)),
            answer: Some((Report::Ready { at: kernel::now() }, None)),
            listing: false,
            used: false,
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

    fn entry(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    fn turn(&mut self, token: u64) {
        match token {
            CHILDREN => self.reap(),
            CONNECTION => self.requests(),
            LISTENER => self.accept(),
            EMBEDDER => self.end(),
            LOGGER => self.hear_logger(),
            progress => while self.read_progress((progress - PROGRESS) as usize) {},
        }
    }

    /// As PID 1 our end is everybody's. Outside of their namespace we kill those we made, and the cgroup with all the rest.
    fn end(&mut self) -> ! {
        for process in self.entries.iter_mut().filter_map(|entry| entry.alive()) {
            let _ = kernel::pidfd_send_signal(process.raw(), SIGKILL);
        }
        if let Some(kill) = &self.given.kill {
            let _ = kernel::write(kill.raw(), b"1");
        }
        kernel::exit(0)
    }

    fn reap(&mut self) {
        let mut signals = [0; 128];
        while kernel::read(self.children.raw(), &mut signals).is_ok() {}
        while let Some((pid, status)) = kernel::reap() {
            match self.entries.position(|entry| entry.pid == pid) {
                Some(index) => self.reaped(index, status),
                None if self.logger.as_ref().is_some_and(|logger| logger.pid == pid) => {
                    self.lose_logger()
                }
                None => {}
            }
        }
    }

    fn reaped(&mut self, index: usize, status: i32) {
        // Its pipe may hold the start that comes before the end.
        while self.read_progress(index) {}
        let Some(entry) = self.entries.at(index) else {
            return;
        };
        entry.pid = 0;
        // An unread end of the pipe: whoever was forked at the same time may hold a copy for a moment.
        if let Some(progress) = entry.progress.take() {
            self.epoll.remove(progress.raw());
            if entry.ready {
                entry.run(kernel::now());
            }
        }
        match entry.state {
            State::Running => {
                let ended = kernel::now();
                entry.state = State::Exited { status, ended };
                entry.unsent.add(Unsent::EXITED);
            }
            State::Starting => entry.fail(Failure::died()),
            _ => {}
        }
    }
}
