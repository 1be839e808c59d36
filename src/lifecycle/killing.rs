//! One container's way from "it is to end" to ended: preStop hook, its turn, stop signal, SIGKILL.
//!
//! Each stage has a deadline, and every stage's deadline is on record from the moment it is set, so a Node that comes
//! back after a crash goes on where the last one stopped. Nothing in here waits for a write: a full disk keeps nobody
//! alive.

use std::time::Duration;

use super::fault::Fault;
use super::input::Outcome;
use super::machine::{PodMachine, whole_seconds};
use super::output::{Action, ContainerChange, Hook, KillReason, Signal};
use super::probing::ENDED_BY_KILL;
use super::record::{Kill, Stage};
use super::rules::facts::Then;
use super::rules::grace::{Budget, MINIMUM_GRACE, container_grace};
use super::rules::order::waits_for;
use super::state::State;
use super::timer::{ContainerTimer, Due};
use crate::time::Mono;

/// A process that outlives SIGKILL hangs in the kernel; it is sent again this often.
const KILL_AGAIN: Duration = Duration::from_secs(10);

/// A kill as it is decided.
#[derive(Clone, Copy, Debug)]
struct Decision {
    reason: KillReason,
    then: Option<Then>,
    /// Seconds.
    grace: i64,
    strict: Option<Mono>,
    force: bool,
}

impl PodMachine {
    /// Ends a running container, for a reason of its own. `then` is what is owed when it has ended; `None` leaves that to
    /// its restart policy.
    pub(super) fn kill(&mut self, index: usize, reason: KillReason, then: Option<Then>) {
        let grace = container_grace(&self.shape, &self.shape.containers[index], reason, None);
        let strict = self
            .options
            .strict_deadline
            .map(|total| self.now.mono + total);
        self.begin_kill(
            index,
            Decision {
                reason,
                then,
                grace,
                strict,
                force: false,
            },
        );
    }

    /// Ends a container with the whole pod.
    pub(super) fn kill_with_pod(&mut self, index: usize, reason: KillReason) {
        let ending = self.record.ending.as_ref();
        let pod = ending.map(|ending| ending.grace);
        let grace = container_grace(&self.shape, &self.shape.containers[index], reason, pod);
        let strict = match ending {
            Some(ending) => ending.strict,
            None => self
                .options
                .strict_deadline
                .map(|total| self.now.mono + total),
        };
        let force = ending.is_some_and(|ending| ending.force);
        self.begin_kill(
            index,
            Decision {
                reason,
                then: None,
                grace,
                strict,
                force,
            },
        );
    }

    fn begin_kill(&mut self, index: usize, decision: Decision) {
        let Decision {
            reason,
            then,
            grace,
            strict,
            force,
        } = decision;
        self.cancel_step(index);
        let grace = if self.injected(Fault::DeadlineDoubled) {
            grace * 2
        } else {
            grace
        };
        let now = self.now.mono;
        self.record.containers[index].kill = Some(Box::new(Kill {
            reason,
            then,
            stage: Stage::PreStop,
            since: now,
            until: now,
            left: grace,
            strict,
        }));
        self.tell(index, ContainerChange::Killing(reason));
        self.end_probes(index, ENDED_BY_KILL);
        self.must_write();
        if force {
            self.enter(index, Stage::Kill);
        } else if self.shape.containers[index].pre_stop && grace > 0 {
            self.enter(index, Stage::PreStop);
        } else {
            self.after_pre_stop(index);
        }
    }

    /// The hook is over, or there is none: others first, if they must end before.
    fn after_pre_stop(&mut self, index: usize) {
        let waits = self.is_in_order(index);
        self.enter(index, if waits { Stage::InOrder } else { Stage::Stop });
    }

    /// Whether it has to wait for others: only when the whole pod ends.
    fn is_in_order(&mut self, index: usize) -> bool {
        let Some(kill) = &self.record.containers[index].kill else {
            return false;
        };
        let whole_pod = self.record.ending.is_some() || self.record.rebuild;
        if !whole_pod || kill.left <= 0 {
            return false;
        }
        let waits = waits_for(&self.shape, index, |other| self.is_alive(other))
            .next()
            .is_some();
        waits && !self.injected(Fault::SidecarEndedFirst)
    }

    fn is_alive(&self, index: usize) -> bool {
        self.containers[index].state.is_alive() || self.containers[index].state == State::Starting
    }

    /// Enters a stage: its deadline, its action.
    fn enter(&mut self, index: usize, stage: Stage) {
        let now = self.now.mono;
        let Some(kill) = &mut self.record.containers[index].kill else {
            return;
        };
        kill.stage = stage;
        kill.since = now;
        kill.until = now + stage_span(stage, kill.left);
        if let Some(strict) = kill.strict {
            kill.until = kill.until.min(strict_until(stage, strict, now));
        }
        if stage == Stage::Kill {
            kill.until = now + KILL_AGAIN;
        }
        let until = kill.until;
        self.set_state(index, state_of(stage));
        self.timers
            .arm(Due::Container(index, ContainerTimer::Step), until);
        self.must_write();
        self.perform_stage(index, stage);
    }

    /// What a stage does: again, too, after a crash.
    pub(super) fn perform_stage(&mut self, index: usize, stage: Stage) {
        let (container, attempt) = (self.name(index), self.newest(index));
        match stage {
            Stage::PreStop => {
                let ticket = self.outbox.perform(Action::Hook {
                    container,
                    attempt,
                    hook: Hook::PreStop,
                });
                self.wait_for(index, ticket);
            }
            Stage::InOrder => {}
            Stage::Stop => {
                self.outbox.perform(Action::Signal {
                    container,
                    attempt,
                    signal: Signal::Stop,
                });
            }
            Stage::Kill => {
                self.outbox.perform(Action::Signal {
                    container,
                    attempt,
                    signal: Signal::Kill,
                });
            }
        }
    }

    pub(super) fn pre_stop_done(&mut self, index: usize, outcome: Outcome) {
        if outcome != Outcome::Done {
            self.tell(index, ContainerChange::HookFailed(Hook::PreStop));
        }
        if self.injected(Fault::HookTwice) {
            return self.perform_stage(index, Stage::PreStop);
        }
        self.use_up(index);
        self.after_pre_stop(index);
    }

    /// A stage took its time.
    pub(super) fn step_over(&mut self, index: usize) -> bool {
        match self.record.containers[index]
            .kill
            .as_ref()
            .map(|kill| kill.stage)
        {
            None => return false,
            Some(Stage::PreStop) => {
                self.cancel_step(index);
                self.tell(index, ContainerChange::HookFailed(Hook::PreStop));
                self.use_up(index);
                self.after_pre_stop(index);
            }
            Some(Stage::InOrder) => {
                self.use_up(index);
                self.enter(index, Stage::Stop);
            }
            Some(Stage::Stop) => {
                self.tell(index, ContainerChange::Killed);
                self.enter(index, Stage::Kill);
            }
            Some(Stage::Kill) => self.enter_again(index),
        }
        true
    }

    fn enter_again(&mut self, index: usize) {
        self.timers.arm(
            Due::Container(index, ContainerTimer::Step),
            self.now.mono + KILL_AGAIN,
        );
        self.perform_stage(index, Stage::Kill);
    }

    /// Those whose turn has come.
    pub(super) fn follow_order(&mut self) -> bool {
        let mut acted = false;
        for index in 0..self.containers.len() {
            if self.containers[index].state == State::InOrder && !self.is_in_order(index) {
                self.use_up(index);
                self.enter(index, Stage::Stop);
                acted = true;
            }
        }
        acted
    }

    /// Whole seconds that a stage used are gone from the grace period, as the kubelet counts.
    fn use_up(&mut self, index: usize) {
        let now = self.now.mono;
        if let Some(kill) = &mut self.record.containers[index].kill {
            let mut budget = Budget::new(kill.left);
            budget.spend(now - kill.since);
            kill.left = budget.remaining();
        }
    }

    /// The pod's grace period shrank: what is under way ends by it, counted from now.
    pub(super) fn hasten(&mut self, index: usize, grace: i64, strict: Option<Mono>, force: bool) {
        let now = self.now.mono;
        let Some(kill) = &mut self.record.containers[index].kill else {
            return;
        };
        let mut budget = Budget::new(kill.left);
        budget.spend(now - kill.since);
        // What was used before it shrank was not of this.
        if grace < budget.remaining() {
            (kill.left, kill.since) = (grace, now);
        }
        kill.strict = [kill.strict, strict].into_iter().flatten().min();
        kill.then = None;
        let stage = kill.stage;
        if stage == Stage::Kill {
            return;
        }
        if force {
            return self.enter(index, Stage::Kill);
        }
        let mut until = kill.until.min(now + stage_span(stage, grace));
        if let Some(strict) = kill.strict {
            until = until.min(strict_until(stage, strict, now));
        }
        kill.until = until;
        self.timers
            .arm(Due::Container(index, ContainerTimer::Step), until);
        self.must_write();
    }
}

/// How long a stage may take with this much of the grace period left.
fn stage_span(stage: Stage, left: i64) -> Duration {
    let budget = Budget::new(left);
    match stage {
        Stage::PreStop | Stage::InOrder => whole_seconds(budget.remaining()),
        Stage::Stop => whole_seconds(budget.kill_after()),
        Stage::Kill => KILL_AGAIN,
    }
}

/// With one deadline for all, the stages before the stop signal leave half of what is left, at most two seconds, to it.
fn strict_until(stage: Stage, strict: Mono, now: Mono) -> Mono {
    let left = strict - now;
    match stage {
        Stage::PreStop | Stage::InOrder => {
            now + left.saturating_sub(whole_seconds(MINIMUM_GRACE).min(left / 2))
        }
        Stage::Stop | Stage::Kill => strict,
    }
}

pub(super) fn state_of(stage: Stage) -> State {
    match stage {
        Stage::PreStop => State::PreStop,
        Stage::InOrder => State::InOrder,
        Stage::Stop => State::Stopping,
        Stage::Kill => State::Killing,
    }
}
