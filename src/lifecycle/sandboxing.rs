//! The sandbox: made, lost, stopped, made anew.

use super::attempt::{Sandbox, SandboxState};
use super::input::Outcome;
use super::machine::{PodMachine, RETRY, SandboxStep};
use super::output::{Action, Change, KillReason, SandboxChange};
use super::rules::facts::Then;
use super::rules::plan::Plan;
use super::state::State;
use super::timer::{Due, PodTimer};

impl PodMachine {
    /// The planner wants another sandbox. What is then to be started is decided now, with the records of before.
    pub(super) fn begin_rebuild(&mut self, plan: &Plan) {
        self.record.rebuild = true;
        if let Some(sandbox) = self.record.sandbox.newest.as_ref() {
            let (attempt, change) = (sandbox.attempt, SandboxChange::Changed);
            self.notify(Change::Sandbox { attempt, change });
        }
        for index in 0..self.containers.len() {
            let record = &mut self.record.containers[index];
            let listed = plan.start.contains(&index) && !record.attempts.is_empty();
            record.owed = listed.then_some(Then::Start);
        }
        self.must_write();
    }

    /// One step of it: everything ends, the old sandbox goes, a new one comes.
    pub(super) fn follow_rebuild(&mut self) -> bool {
        let (left, acted) = self.wind_down(KillReason::Sandbox);
        if left || self.sandbox != SandboxStep::Idle {
            return acted;
        }
        if self.has_sandbox() {
            return self.stop_sandbox() || acted;
        }
        self.create_sandbox() || acted
    }

    /// Whether something of a sandbox is left.
    pub(super) fn has_sandbox(&self) -> bool {
        self.record.sandbox.newest.is_some() && !self.record.sandbox.released
    }

    fn create_sandbox(&mut self) -> bool {
        if self.timers.at(Due::Pod(PodTimer::Retry)).is_some() {
            return false;
        }
        // Init containers run anew, as if they had never run.
        for index in self.shape.init.clone() {
            self.record.containers[index].forget();
            self.record.containers[index].owed = None;
            self.remove_remains(index);
        }
        let sandbox = &mut self.record.sandbox;
        let action = Action::CreateSandbox {
            attempt: sandbox.settled,
        };
        let is_reserved = sandbox.settled < sandbox.reserved;
        sandbox.reserved = sandbox.reserved.max(sandbox.settled + 1);
        let ticket = self.perform_numbered(action, is_reserved);
        self.sandbox = SandboxStep::Creating(ticket);
        true
    }

    pub(super) fn sandbox_created(&mut self, outcome: Outcome) -> bool {
        self.sandbox = SandboxStep::Idle;
        let attempt = self.record.sandbox.settled;
        self.record.sandbox.settled += 1;
        self.may_write();
        let change = if let Outcome::Sandbox { ip } = outcome {
            self.adopt_sandbox(attempt, ip);
            SandboxChange::Created
        } else {
            self.timers
                .arm(Due::Pod(PodTimer::Retry), self.now.mono + RETRY);
            SandboxChange::Failed
        };
        self.notify(Change::Sandbox { attempt, change });
        true
    }

    /// This sandbox stands.
    pub(super) fn adopt_sandbox(&mut self, attempt: u32, ip: Option<Box<str>>) {
        let (network, created) = (self.shape.network, self.now);
        self.record.sandbox.newest = Some(Sandbox {
            attempt,
            state: SandboxState::Ready,
            network,
            ip,
            created,
        });
        self.record.sandbox.released = false;
        self.record.rebuild = false;
    }

    /// Every container has ended, and how is on record before their sandbox forgets it.
    pub(super) fn stop_sandbox(&mut self) -> bool {
        if self.timers.at(Due::Pod(PodTimer::Retry)).is_some() {
            return false;
        }
        let Some(sandbox) = &mut self.record.sandbox.newest else {
            return false;
        };
        sandbox.state = SandboxState::NotReady;
        let action = Action::StopSandbox {
            attempt: sandbox.attempt,
        };
        let ticket = match self.record.deleted {
            true => self.outbox.perform(action),
            false => self.perform_written(action),
        };
        self.sandbox = SandboxStep::Stopping(ticket);
        true
    }

    pub(super) fn sandbox_stopped(&mut self, outcome: Outcome) -> bool {
        self.sandbox = SandboxStep::Idle;
        let Some(attempt) = self
            .record
            .sandbox
            .newest
            .as_ref()
            .map(|sandbox| sandbox.attempt)
        else {
            return false;
        };
        if outcome == Outcome::Done {
            self.record.sandbox.released = true;
            self.notify(Change::Sandbox {
                attempt,
                change: SandboxChange::Stopped,
            });
            self.may_write();
        } else {
            self.timers
                .arm(Due::Pod(PodTimer::Retry), self.now.mono + RETRY);
        }
        true
    }

    /// Pause is gone, and with it all that ran and all that it knew.
    pub(super) fn sandbox_lost(&mut self, attempt: u32) -> bool {
        let Some(sandbox) = &mut self.record.sandbox.newest else {
            return false;
        };
        if sandbox.attempt != attempt || self.record.sandbox.released {
            return false;
        }
        sandbox.state = SandboxState::NotReady;
        for index in 0..self.containers.len() {
            self.lose(index);
        }
        self.must_write();
        true
    }

    /// Whatever of this container lived, or was about to, is gone, and how it ended is not known.
    fn lose(&mut self, index: usize) {
        let state = self.containers[index].state;
        if state.is_alive() {
            self.lost(index);
        } else if state == State::Starting {
            self.give_up_start(index);
        }
    }
}
