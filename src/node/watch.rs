//! Events for other threads.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::handle::lock;
use super::{Event, EventKind};

/// So many events a [`Watch`] holds for a reader that does not come.
const WATCH_MAX: usize = 4096;

/// Events as they happen, for another thread; see [`NodeHandle::watch`](super::NodeHandle::watch). It ends when the Node is gone.
#[derive(Debug)]
pub struct Watch(pub(super) Arc<WatchQueue>);

/// Between the Node, who pushes, and a [`Watch`], which pops.
#[derive(Debug, Default)]
pub(super) struct WatchQueue {
    state: Mutex<WatchState>,
    pushed: Condvar,
}

#[derive(Debug, Default)]
struct WatchState {
    events: VecDeque<Event>,
    /// Dropped because nobody read them.
    missed: u64,
    ended: bool,
}

impl WatchQueue {
    /// False when nobody watches any more.
    pub(super) fn push(self: &Arc<Self>, event: Event) -> bool {
        let mut state = lock(&self.state);
        if state.events.len() == WATCH_MAX {
            state.events.pop_front();
            state.missed += 1;
        }
        state.events.push_back(event);
        self.pushed.notify_one();
        Arc::strong_count(self) > 1
    }

    pub(super) fn end(&self) {
        lock(&self.state).ended = true;
        self.pushed.notify_all();
    }
}

impl Watch {
    /// The next event, if one comes in time.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Event> {
        let empty = |state: &mut WatchState| state.events.is_empty() && !state.ended;
        let (mut state, _) = self
            .0
            .pushed
            .wait_timeout_while(lock(&self.0.state), timeout, empty)
            .unwrap_or_else(PoisonError::into_inner);
        state.pop()
    }
}

impl WatchState {
    fn pop(&mut self) -> Option<Event> {
        let event = self.events.front()?;
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            missed => Some(Event {
                kind: EventKind::Lagged { missed },
                ..event.clone()
            }),
        }
    }
}

/// Blocks until the next event; none when the Node is gone.
impl Iterator for Watch {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let empty = |state: &mut WatchState| state.events.is_empty() && !state.ended;
        let guard = self.0.pushed.wait_while(lock(&self.0.state), empty);
        guard.unwrap_or_else(PoisonError::into_inner).pop()
    }
}
