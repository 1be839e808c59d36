//! The pod's end: everything told to end, the sandbox stopped, what it held released, and forgotten.

use std::time::Duration;

use super::fault::Fault;
use super::input::{Deletion, Eviction, Outcome};
use super::machine::{PodMachine, RETRY, SandboxStep};
use super::output::{Action, Cause, Change, KillReason};
use super::record::{ContainerRecord, Ending};
use super::rules::grace::pod_grace;
use super::state::State;
use super::store::Store;
use super::timer::{ContainerTimer, Due, PodTimer};
use crate::model::PodStatus;

/// What a deletion that names no grace period gets if the spec names none either: the API's default.
const DEFAULT_GRACE: i64 = 30;

impl PodMachine {
    pub(super) fn delete(&mut self, how: Deletion) -> bool {
        self.record.deleted = true;
        self.must_write();
        let spec = self.shape.termination_grace;
        let deletion = how.grace.map(seconds_up).or(spec).unwrap_or(DEFAULT_GRACE);
        let current = self.record.ending.as_ref().map(|ending| ending.grace);
        let grace = pod_grace(current, Some(deletion), None, spec);
        self.begin_end(Cause::Deleted, grace, how);
        true
    }

    pub(super) fn evict(&mut self, eviction: Eviction) -> bool {
        if self.record.ending.is_some() {
            return false;
        }
        let grace = pod_grace(
            None,
            None,
            eviction.grace.map(seconds_up),
            self.shape.termination_grace,
        );
        self.record.eviction = Some(eviction);
        self.begin_end(Cause::Evicted, grace, Deletion::default());
        true
    }

    pub(super) fn deadline_exceeded(&mut self) -> bool {
        if self.record.ending.is_some() {
            return false;
        }
        self.record.eviction = Some(Eviction {
            reason: "DeadlineExceeded".into(),
            message: "Pod was active on the node longer than the specified deadline".into(),
            grace: None,
        });
        let grace = pod_grace(None, None, None, self.shape.termination_grace);
        self.begin_end(Cause::Deadline, grace, Deletion::default());
        true
    }

    /// Nothing is left to do for it.
    pub(super) fn finish(&mut self) {
        let grace = pod_grace(None, None, None, self.shape.termination_grace);
        self.begin_end(Cause::Finished, grace, Deletion::default());
    }

    /// Ends the pod; if it is ending already, in less time.
    fn begin_end(&mut self, cause: Cause, grace: i64, how: Deletion) {
        let strict = how.strict_deadline.or(self.options.strict_deadline);
        let strict = strict.map(|total| self.now.mono + total);
        self.must_write();
        if let Some(ending) = &mut self.record.ending {
            let shorter = grace < ending.grace
                || (how.force && !ending.force)
                || how.strict_deadline.is_some();
            ending.grace = ending.grace.min(grace);
            ending.force |= how.force;
            ending.strict = [ending.strict, strict].into_iter().flatten().min();
            if shorter {
                self.hasten_all();
            }
            return;
        }
        self.record.ending = Some(Ending {
            cause,
            grace,
            force: how.force,
            strict,
        });
        self.record.rebuild = false;
        self.forget_resize();
        self.notify(Change::Terminating(cause));
        self.timers.disarm(Due::Pod(PodTimer::ActiveDeadline));
        self.timers.disarm(Due::Pod(PodTimer::Retry));
        for index in 0..self.containers.len() {
            self.record.containers[index].owed = None;
            self.timers
                .disarm(Due::Container(index, ContainerTimer::Retry));
        }
        self.hasten_all();
    }

    /// Kills that began before the pod's end did get no more time than it has.
    fn hasten_all(&mut self) {
        let Some(Ending {
            grace,
            force,
            strict,
            ..
        }) = self.record.ending.clone()
        else {
            return;
        };
        for index in 0..self.containers.len() {
            self.hasten(index, grace, strict, force);
        }
    }

    /// Tells everything that runs to end. Says whether anything is left, and whether anything was done.
    pub(super) fn wind_down(&mut self, reason: KillReason) -> (bool, bool) {
        let mut acted = false;
        for index in 0..self.containers.len() {
            acted |= self.cancel_start(index);
            if self.containers[index].state.is_alive()
                && self.record.containers[index].kill.is_none()
            {
                self.kill_with_pod(index, reason);
                acted = true;
            }
        }
        acted |= self.follow_order();
        let left = self
            .containers
            .iter()
            .any(|live| live.state != State::Waiting);
        (left, acted)
    }

    /// One step of the pod's end.
    pub(super) fn follow_end(&mut self) -> bool {
        let (left, acted) = self.wind_down(KillReason::PodEnds);
        if left || self.sandbox != SandboxStep::Idle {
            return acted;
        }
        if self.has_sandbox() {
            return self.stop_sandbox() || acted;
        }
        // Nobody sees the end of a pod that a crash could bring back to life; unless it cannot be written.
        if !self.end_written && self.store == Store::Well {
            return acted;
        }
        self.record.ended = true;
        self.must_write();
        self.notify(Change::Terminated);
        true
    }

    /// Nothing runs any more.
    pub(super) fn follow_ended(&mut self) -> bool {
        if !self.record.torn_down {
            return self.begin_teardown();
        }
        if !self.record.deleted {
            let again = self.injected(Fault::TerminalLeft);
            if again {
                self.begin_again();
            }
            return again;
        }
        self.gone = true;
        self.timers.disarm_all();
        self.notify(Change::Deleted);
        false
    }

    /// What must never be done.
    fn begin_again(&mut self) {
        self.record.ending = None;
        self.record.ended = false;
        self.record.decided = None;
        self.record.status = PodStatus::default();
        self.record
            .containers
            .iter_mut()
            .for_each(ContainerRecord::forget);
    }

    fn begin_teardown(&mut self) -> bool {
        if self.teardown.is_some() || self.timers.at(Due::Pod(PodTimer::Retry)).is_some() {
            return false;
        }
        // Who is to be forgotten is not kept because a disk is full.
        let ticket = match self.record.deleted {
            true => self.outbox.perform(Action::Teardown),
            false => self.perform_written(Action::Teardown),
        };
        self.teardown = Some(ticket);
        true
    }

    pub(super) fn torn_down(&mut self, outcome: Outcome) -> bool {
        self.teardown = None;
        if outcome == Outcome::Done {
            self.record.torn_down = true;
            for container in &mut self.record.containers {
                container.remains.clear();
            }
            self.must_write();
        } else {
            self.timers
                .arm(Due::Pod(PodTimer::Retry), self.now.mono + RETRY);
        }
        true
    }
}

fn seconds_up(span: Duration) -> i64 {
    let up = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    i64::try_from(up).unwrap_or(i64::MAX)
}
