//! Outputs on their way to the driver, and the barrier: what must be on record goes out only when it is.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use super::output::{Action, Output, Ticket};
use crate::time::Mono;

/// The queue of outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Outbox {
    ready: VecDeque<Output>,
    /// What the next write lets through.
    gated: Vec<(Ticket, Action)>,
    /// Some of it cannot wait for a write that something else asks for.
    urgent: bool,
    /// How many of them the write under way lets through; absent when none is.
    writing: Option<usize>,
    next_ticket: u64,
}

impl Outbox {
    /// Tickets count from the time: no two processes take up a pod in the same quarter of a millisecond, and none asks
    /// four billion things.
    pub(super) fn new(now: Mono) -> Outbox {
        let next_ticket = (now.as_nanos() >> 18) << 32;
        Outbox {
            ready: VecDeque::new(),
            gated: Vec::new(),
            urgent: false,
            writing: None,
            next_ticket,
        }
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    pub(super) fn push(&mut self, output: Output) {
        self.ready.push_back(output);
    }

    /// An action that is idempotent, or whose intent is on record already.
    pub(super) fn perform(&mut self, action: Action) -> Ticket {
        let ticket = self.ticket();
        self.ready.push_back(Output::Perform(ticket, action));
        ticket
    }

    /// An action that waits until the record as it is now has been written.
    pub(super) fn perform_written(&mut self, action: Action) -> Ticket {
        self.urgent = true;
        self.perform_with_next_write(action)
    }

    /// The same, but it asks for no write.
    pub(super) fn perform_with_next_write(&mut self, action: Action) -> Ticket {
        let ticket = self.ticket();
        self.gated.push((ticket, action));
        ticket
    }

    /// Forgets an action that is still here. Says whether it was.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> bool {
        let Some(place) = self.gated.iter().position(|(held, _)| *held == ticket) else {
            return false;
        };
        self.gated.remove(place);
        if let Some(count) = &mut self.writing {
            *count -= usize::from(place < *count);
        }
        true
    }

    /// Whether something cannot wait.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent && !self.gated.is_empty()
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// The write under way lets no more through than there is.
    pub(super) fn is_whole(&self) -> bool {
        self.writing.is_none_or(|count| count <= self.gated.len())
    }

    /// Asks for a write. It lets through what waits now, not what comes to wait later.
    pub(super) fn persist(&mut self) {
        self.writing = Some(self.gated.len());
        self.urgent = false;
        self.ready.push_front(Output::Persist);
    }

    /// The write is over. A failed one lets nothing through.
    pub(super) fn written(&mut self, success: bool) {
        let Some(count) = self.writing.take() else {
            return;
        };
        if success {
            let through = self
                .gated
                .drain(..count)
                .map(|(ticket, action)| Output::Perform(ticket, action));
            self.ready.extend(through);
        }
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }
}
