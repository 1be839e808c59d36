//! When the record is written: before what needs it, and soon for the rest.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::fault::Fault;
use super::input::Persisted;
use super::machine::PodMachine;
use super::output::{Action, Change, Output, Ticket};
use super::timer::{Due, PodTimer};

/// How long what changed may wait for a write that something else asks for; also how soon a failed write is tried again.
const SOON: Duration = Duration::from_secs(1);

/// How the record differs from what was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Dirty {
    Clean,
    /// In what can be found out again, or is only shown.
    Soon,
    /// In what must survive.
    Now,
}

/// How writing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Store {
    Well,
    /// The last write failed; the next is due when the timer says so.
    Failed,
    /// The timer said so.
    Retrying,
}

impl PodMachine {
    /// Asks for a write if something waits for one. At most once an input.
    pub(super) fn write(&mut self) {
        if self.outbox.is_writing() || self.store == Store::Failed {
            return;
        }
        let timer = Due::Pod(PodTimer::Persist);
        if self.outbox.is_urgent() || self.dirty == Dirty::Now {
            self.timers.disarm(timer);
            self.dirty = Dirty::Clean;
            self.record.saved = self.now;
            self.writing_end = self.record.ending.is_some();
            self.outbox.persist();
        } else if self.dirty == Dirty::Soon && self.timers.at(timer).is_none() {
            self.timers.arm(timer, self.now.mono + SOON);
        }
    }

    /// The second is over.
    pub(super) fn write_is_due(&mut self) {
        if self.dirty == Dirty::Soon {
            self.dirty = Dirty::Now;
        }
        if self.store == Store::Failed {
            self.store = Store::Retrying;
        }
    }

    /// The answer to a write. Only the pod's end looks at it.
    pub(super) fn persisted(&mut self, persisted: Persisted) -> bool {
        if !self.outbox.is_writing() {
            return false;
        }
        let success = persisted == Persisted::Written;
        self.outbox.written(success);
        self.accepted |= success;
        self.end_written |= success && self.writing_end;
        let before = self.store;
        if success {
            self.store = Store::Well;
        } else {
            self.store = Store::Failed;
            self.dirty = Dirty::Now;
            self.timers
                .arm(Due::Pod(PodTimer::Persist), self.now.mono + SOON);
        }
        match (before, self.store) {
            (Store::Well, Store::Failed) => self.notify(Change::StoreFailed),
            (Store::Retrying, Store::Well) => self.notify(Change::StoreRecovered),
            _ => {}
        }
        self.record.ending.is_some() && !self.record.ended
    }

    /// What changed must survive.
    pub(super) fn must_write(&mut self) {
        self.dirty = Dirty::Now;
    }

    /// What changed may ride along.
    pub(super) fn may_write(&mut self) {
        self.dirty = self.dirty.max(Dirty::Soon);
    }

    pub(super) fn notify(&mut self, change: Change) {
        self.outbox.push(Output::Notify(change));
    }

    /// Does this once its number is on record: now, if it was reserved before.
    pub(super) fn perform_numbered(&mut self, action: Action, is_reserved: bool) -> Ticket {
        if is_reserved && self.accepted {
            self.outbox.perform(action)
        } else {
            self.perform_written(action)
        }
    }

    /// Does this when the record, as it is now, is written.
    pub(super) fn perform_written(&mut self, action: Action) -> Ticket {
        if self.injected(Fault::PerformBeforePersist) {
            return self.outbox.perform(action);
        }
        self.outbox.perform_written(action)
    }
}
