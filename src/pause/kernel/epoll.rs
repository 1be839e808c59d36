//! Waiting for events.

use super::{Fd, O_CLOEXEC, Result, brief, call, number, opened};

#[derive(Clone, Copy, Default)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
pub struct Event {
    pub events: u32,
    pub token: u64,
}

pub const EPOLLIN: u32 = 1;
pub const EPOLLOUT: u32 = 4;

/// One epoll.
pub struct Epoll(Fd);

impl Epoll {
    pub fn new() -> Result<Epoll> {
        opened(brief(number::EPOLL_CREATE1, O_CLOEXEC as usize, 0, 0)).map(Epoll)
    }

    pub fn add(&self, fd: i32, events: u32, token: u64) -> Result<()> {
        self.control(1, fd, events, token)
    }

    pub fn change(&self, fd: i32, events: u32, token: u64) -> Result<()> {
        self.control(3, fd, events, token)
    }

    /// Before it is closed: a child that is just being made may hold a copy, which would keep the events coming.
    pub fn remove(&self, fd: i32) {
        let _ = self.control(2, fd, 0, 0);
    }

    fn control(&self, what: usize, fd: i32, events: u32, token: u64) -> Result<()> {
        let event = Event { events, token };
        let pointer = &raw const event as usize;
        call(
            number::EPOLL_CTL,
            [self.0.raw() as usize, what, fd as usize, pointer, 0, 0],
        )
        .map(drop)
    }

    /// How many events there are, at least one unless a signal came in between.
    pub fn wait(&self, events: &mut [Event]) -> usize {
        let (pointer, room) = (events.as_mut_ptr() as usize, events.len());
        call(
            number::EPOLL_PWAIT,
            [self.0.raw() as usize, pointer, room, usize::MAX, 0, 8],
        )
        .unwrap_or(0)
    }
}
