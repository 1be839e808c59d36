//! What follows when a container has ended: the fact, the verdict that was owed, the acknowledgement.

use super::attempt::{AttemptState, Exit};
use super::fault::Fault;
use super::machine::PodMachine;
use super::output::{Action, ContainerChange, Output, Signal, Ticket};
use super::probing::ALL;
use super::state::State;
use crate::time::Now;
use serde::{Deserialize, Serialize};

/// Leftovers that are being removed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Removal {
    pub(super) ticket: Ticket,
    container: usize,
    attempt: u32,
}

impl Removal {
    pub(super) fn container(&self) -> usize {
        self.container
    }
}

impl PodMachine {
    pub(super) fn exited(&mut self, index: usize, attempt: u32, exit: Box<Exit>) -> bool {
        let Some(record) = self.record.containers.get(index) else {
            return false;
        };
        let alive = record.alive().map(|alive| alive.number);
        if alive == Some(attempt) {
            self.ended(index, exit);
            self.acknowledge(index, attempt);
            return true;
        }
        if self.containers[index].state == State::Starting && record.settled == attempt {
            self.push_attempt(index, AttemptState::Exited(exit));
            self.tell(index, ContainerChange::Started);
            self.tell(index, ContainerChange::Exited);
            self.acknowledge(index, attempt);
            self.must_write();
            return true;
        }
        if !record.attempts.iter().any(|known| known.number == attempt) {
            self.discard(index, attempt);
        }
        false
    }

    /// How the newest attempt ended.
    pub(super) fn ended(&mut self, index: usize, exit: Box<Exit>) {
        self.cancel_step(index);
        self.end_probes(index, ALL);
        let injected = self.injected(Fault::VerdictRecomputed);
        let record = &mut self.record.containers[index];
        let verdict = record.kill.take().and_then(|kill| kill.then);
        if verdict.is_some() && !injected {
            record.owed = verdict;
        }
        record.post_start_due = false;
        if let Some(newest) = record.attempts.first_mut() {
            newest.state = AttemptState::Exited(exit);
        }
        self.set_state(index, State::Waiting);
        self.tell(index, ContainerChange::Exited);
        self.must_write();
    }

    /// It has ended, and nobody knows how.
    pub(super) fn lost(&mut self, index: usize) {
        let started = self.record.containers[index].running_since();
        self.ended(index, unknown_exit(started, self.now));
        self.tell(index, ContainerChange::Lost);
    }

    /// A start will never be answered: nobody heard of it yet, or who did is gone.
    pub(super) fn give_up_start(&mut self, index: usize) {
        if !self.cancel_start(index) {
            self.may_have_run(index);
        }
    }

    /// The attempt that was to be started is gone, and nobody can say whether it ran. It counts as one that did: a
    /// runtime has a record of whatever it made, and what must not run twice does not.
    pub(super) fn may_have_run(&mut self, index: usize) {
        let exit = unknown_exit(None, self.now);
        self.push_attempt(index, AttemptState::Exited(exit));
        self.tell(index, ContainerChange::Lost);
        self.must_write();
    }

    /// Pause may forget it once it is on record.
    pub(super) fn acknowledge(&mut self, index: usize, attempt: u32) {
        let action = Action::Acknowledge {
            container: self.name(index),
            attempt,
        };
        if self.injected(Fault::AcknowledgeBeforePersist) {
            self.outbox.perform(action);
        } else {
            self.perform_written(action);
        }
    }

    /// An attempt that nobody reckoned with has ended: there is nothing to keep of it.
    pub(super) fn discard(&mut self, index: usize, attempt: u32) {
        self.acknowledge(index, attempt);
        self.record.containers[index].remains.push(attempt);
        self.remove_remains(index);
        self.must_write();
    }

    /// An attempt that nobody reckoned with runs.
    pub(super) fn kill_stray(&mut self, index: usize, attempt: u32) {
        let container = self.name(index);
        self.outbox.perform(Action::Signal {
            container,
            attempt,
            signal: Signal::Kill,
        });
        self.tell(index, ContainerChange::Stray);
    }

    /// Has leftovers removed that are not being removed yet.
    pub(super) fn remove_remains(&mut self, index: usize) {
        for place in 0..self.record.containers[index].remains.len() {
            let attempt = self.record.containers[index].remains[place];
            let is_same =
                |removal: &Removal| (removal.container, removal.attempt) == (index, attempt);
            if !self.removals.iter().any(is_same) {
                let container = self.name(index);
                let action = Action::Remove { container, attempt };
                let ticket = self.outbox.perform_with_next_write(action);
                self.may_write();
                self.removals.push(Removal {
                    ticket,
                    container: index,
                    attempt,
                });
            }
        }
    }

    /// Leftovers are gone. Those that could not be removed are tried again by the teardown.
    pub(super) fn removed(&mut self, place: usize, success: bool) {
        let removal = self.removals.swap_remove(place);
        if success {
            let remains = &mut self.record.containers[removal.container].remains;
            remains.retain(|attempt| *attempt != removal.attempt);
            self.may_write();
        }
    }

    /// Cancels the hook that the container's state waits for.
    pub(super) fn cancel_step(&mut self, index: usize) {
        if let Some(ticket) = self.containers[index].ticket.take()
            && !self.outbox.withdraw(ticket)
        {
            self.outbox.push(Output::Cancel(ticket));
        }
    }
}

/// What the kubelet says of a container that it cannot find any more.
pub(super) fn unknown_exit(started: Option<Now>, now: Now) -> Box<Exit> {
    Box::new(Exit {
        code: 137,
        signal: None,
        reason: "ContainerStatusUnknown".into(),
        message: Some("The container could not be located when the pod was terminated".into()),
        started,
        finished: now,
    })
}
