//! One pod's own events: what is said again is counted, so that what was said once is not pushed out by it.

use std::collections::VecDeque;

use super::Event;
use crate::time::Now;

/// So many different things are kept of what is said of one pod.
const KEPT: usize = 64;

/// An event, and how often it was said: a row of the Events table of `kubectl describe`.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSeries {
    /// The newest; those before had the same type, reason and message.
    pub event: Event,
    /// When the first was.
    pub first: Now,
    /// How many there were.
    pub count: u32,
}

/// A pod's events, the one that was said last at the end.
#[derive(Debug, Default)]
pub(crate) struct PodEvents(VecDeque<EventSeries>);

impl PodEvents {
    /// Takes note of an event.
    pub(crate) fn push(&mut self, event: Event) {
        let (first, count) = match self.before(&event) {
            Some(before) => (before.first, before.count.saturating_add(1)),
            None => (event.at, 1),
        };
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(EventSeries {
            event,
            first,
            count,
        });
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &EventSeries> {
        self.0.iter()
    }

    /// Takes out what said the same.
    fn before(&mut self, event: &Event) -> Option<EventSeries> {
        let kind = std::mem::discriminant(&event.kind);
        let is_same = |series: &EventSeries| {
            let said = &series.event;
            std::mem::discriminant(&said.kind) == kind
                && (said.event_type(), said.reason()) == (event.event_type(), event.reason())
                && said.message() == event.message()
        };
        let place = self.0.iter().position(is_same)?;
        self.0.remove(place)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lifecycle::Cause;
    use crate::node::event::{Cursor, EventKind, PodName};

    fn event(seconds: u64, kind: EventKind) -> Event {
        Event {
            cursor: Cursor::START,
            at: Now::default().after(Duration::from_secs(seconds)),
            pod: "0f0e7d3c-6a5b-4c8d-9e0f-123456789abc".parse().unwrap(),
            name: PodName {
                namespace: "default".into(),
                name: "a".into(),
            },
            kind,
        }
    }

    #[test]
    fn what_is_said_again_is_counted_and_moves_to_the_end() {
        let mut events = PodEvents::default();
        events.push(event(1, EventKind::FailedMount("no disk".into())));
        events.push(event(2, EventKind::Terminating(Cause::Evicted)));
        events.push(event(3, EventKind::FailedMount("no disk".into())));
        let all: Vec<_> = events.all().collect();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[1].count, all[1].first),
            (2, event(1, EventKind::Created).at)
        );
        assert_eq!(all[1].event.at, event(3, EventKind::Created).at);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for_and_the_oldest_goes_first() {
        let mut events = PodEvents::default();
        for at in 0..KEPT as u64 + 3 {
            events.push(event(at, EventKind::FailedMount(format!("{at}").into())));
        }
        assert_eq!(events.all().count(), KEPT);
        let oldest = events.all().next().unwrap();
        assert_eq!(oldest.event.message(), "3");
    }
}
