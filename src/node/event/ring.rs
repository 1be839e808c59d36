//! The last events, so many and no more.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Event, EventKind, PodName};
use crate::node::PodId;
use crate::time::Now;

/// A place in a Node's sequence of events: how many came before it. It does not outlive the Node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Cursor(u64);

impl Cursor {
    /// Before the first event.
    pub const START: Cursor = Cursor(0);
}

/// The newest events, the oldest first. The oldest is dropped when there is no room.
#[derive(Debug)]
pub(crate) struct Ring {
    events: VecDeque<Event>,
    capacity: usize,
    /// Where the next event will stand.
    next: u64,
    /// Where [`Ring::pop`] goes on.
    read: u64,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Ring {
        Ring {
            events: VecDeque::new(),
            capacity: capacity.max(1),
            next: 0,
            read: 0,
        }
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, at: Now, pod: PodId, name: PodName, kind: EventKind) -> Event {
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.next += 1;
        let event = Event {
            cursor: Cursor(self.next),
            at,
            pod,
            name,
            kind,
        };
        self.events.push_back(event.clone());
        event
    }

    /// The next event that was not popped yet, or [`EventKind::Lagged`] in place of those that were dropped unread.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.after(Cursor(self.read)).next()?;
        self.read = event.cursor.0;
        Some(event)
    }

    /// The events behind a cursor.
    pub(crate) fn after(&self, cursor: Cursor) -> Events<'_> {
        Events {
            ring: self,
            at: cursor.0.min(self.next),
        }
    }

    /// How many have been dropped.
    fn dropped(&self) -> u64 {
        self.next - self.events.len() as u64
    }
}

/// Events behind a cursor, oldest first; see [`Node::events`](crate::Node::events).
#[derive(Clone, Debug)]
pub struct Events<'n> {
    ring: &'n Ring,
    at: u64,
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let dropped = self.ring.dropped();
        if self.at < dropped {
            let missed = dropped - self.at;
            self.at = dropped;
            let oldest = self.ring.events.front()?;
            return Some(Event {
                cursor: Cursor(dropped),
                kind: EventKind::Lagged { missed },
                ..oldest.clone()
            });
        }
        let event = self
            .ring
            .events
            .get(usize::try_from(self.at - dropped).ok()?)?;
        self.at += 1;
        Some(event.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &mut Ring) {
        let id = "0f0e7d3c-6a5b-4c8d-9e0f-123456789abc".parse().unwrap();
        let name = PodName {
            namespace: "default".into(),
            name: "a".into(),
        };
        ring.push(Now::default(), id, name, EventKind::Created);
    }

    #[test]
    fn what_is_not_read_in_time_is_counted() {
        let mut ring = Ring::new(3);
        for _ in 0..2 {
            push(&mut ring);
        }
        assert_eq!(ring.pop().unwrap().cursor, Cursor(1));
        for _ in 0..4 {
            push(&mut ring);
        }
        assert_eq!(ring.pop().unwrap().kind, EventKind::Lagged { missed: 2 });
        let rest: Vec<_> = std::iter::from_fn(|| ring.pop())
            .map(|event| event.cursor.0)
            .collect();
        assert_eq!(rest, [4, 5, 6]);
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn a_replay_does_not_disturb_the_reader() {
        let mut ring = Ring::new(3);
        for _ in 0..3 {
            push(&mut ring);
        }
        assert_eq!(ring.after(Cursor(2)).count(), 1);
        assert_eq!(ring.after(Cursor(3)).count(), 0);
        assert_eq!(ring.after(Cursor(99)).count(), 0);
        assert_eq!(ring.pop().unwrap().cursor, Cursor(1));
    }
}
