//! One container's way from "a start is due" to running: back-off, image, start, postStart hook.

use super::attempt::{Attempt, AttemptState, Exit};
use super::fault::Fault;
use super::input::{Failure, Outcome};
use super::machine::{PodMachine, RETRY};
use super::output::{Action, ContainerChange, Hook, ImageStep, KillReason, Output};
use super::rules::backoff::go_text;
use super::rules::image_pull::{self, Step};
use super::state::State;
use super::timer::{ContainerTimer, Due, PodTimer};
use crate::time::Now;

impl PodMachine {
    /// A start is due. Says whether something was done about it: a container that waits for another try, or for the one
    /// before it, is left alone.
    pub(super) fn start(&mut self, index: usize) -> bool {
        if self.containers[index].state == State::Starting && self.injected(Fault::NoMask) {
            return self.start_another(index);
        }
        let waits = self.timers.at(retry(index)).is_some();
        if self.containers[index].state != State::Waiting || waits {
            return false;
        }
        if !self.options.start_together
            && self.containers.iter().any(|live| live.state.is_starting())
        {
            return false;
        }
        if !self.holds_back(index) {
            self.set_state(index, State::Inspecting);
            self.image(index, ImageStep::Inspect);
        }
        true
    }

    /// What a planner without a mask does.
    fn start_another(&mut self, index: usize) -> bool {
        let container = self.name(index);
        let record = &mut self.record.containers[index];
        let (attempt, restart_count) = (record.reserved, record.next_count);
        record.reserved += 1;
        self.perform_written(Action::Start {
            container,
            attempt,
            restart_count,
        });
        false
    }

    /// Crash-loop back-off, by the newest exit.
    fn holds_back(&mut self, index: usize) -> bool {
        let curve = self.options.crash_back_off;
        let record = &mut self.record.containers[index];
        let Some(finished) = record.attempts.iter().find_map(finished) else {
            return false;
        };
        if let Some(window) = curve.holds(record.crash, finished, self.now.mono) {
            let failure = Failure::new("CrashLoopBackOff", self.crash_text(index, window));
            self.not_started(index, failure, ContainerChange::BackOff(window));
            self.timers.arm(retry(index), finished + window);
            return true;
        }
        record.crash = Some(curve.next(record.crash, finished, self.now.mono));
        false
    }

    fn image(&mut self, index: usize, step: ImageStep) {
        let ticket = self.outbox.perform(Action::Image {
            container: self.name(index),
            step,
        });
        self.wait_for(index, ticket);
    }

    pub(super) fn inspected(&mut self, index: usize, outcome: Outcome) {
        let present = match outcome {
            Outcome::Done => true,
            Outcome::Absent => false,
            other => {
                return self.start_later(
                    index,
                    failure(other, "ImageInspectError"),
                    ContainerChange::PullFailed,
                );
            }
        };
        match image_pull::next(self.containers[index].pull, present) {
            Step::Start => {
                self.tell(index, ContainerChange::Pulled { fetched: None });
                self.perform_start(index);
            }
            Step::Pull => self.pull(index),
            Step::Refuse => {
                let image = &self.shape.containers[index].image;
                let text =
                    format!("Container image {image:?} is not present with pull policy of Never");
                self.start_later(
                    index,
                    Failure::new("ErrImageNeverPull", text),
                    ContainerChange::PullFailed,
                );
            }
        }
    }

    fn pull(&mut self, index: usize) {
        let entry = self.record.containers[index].pull;
        let held = entry.and_then(|entry| {
            let window =
                self.options
                    .pull_back_off
                    .holds(Some(entry), entry.updated, self.now.mono)?;
            Some((window, entry.updated + window))
        });
        if let Some((window, until)) = held {
            let text = format!(
                "Back-off pulling image {:?}",
                &*self.shape.containers[index].image
            );
            self.not_started(
                index,
                Failure::new("ImagePullBackOff", text),
                ContainerChange::PullBackOff(window),
            );
            self.timers.arm(retry(index), until);
            return;
        }
        self.set_state(index, State::Pulling);
        self.tell(index, ContainerChange::Pulling);
        self.image(index, ImageStep::Pull);
    }

    pub(super) fn pulled(&mut self, index: usize, outcome: Outcome) {
        if outcome == Outcome::Done {
            let took = self.now.mono - self.containers[index].since;
            self.record.containers[index].pull = None;
            self.tell(
                index,
                ContainerChange::Pulled {
                    fetched: Some(took),
                },
            );
            return self.perform_start(index);
        }
        let entry = &mut self.record.containers[index].pull;
        *entry = Some(
            self.options
                .pull_back_off
                .next(*entry, self.now.mono, self.now.mono),
        );
        self.start_later(
            index,
            failure(outcome, "ErrImagePull"),
            ContainerChange::PullFailed,
        );
    }

    /// The intent is on record before the start is performed. A number that was reserved with an earlier write needs no
    /// other.
    fn perform_start(&mut self, index: usize) {
        self.set_state(index, State::Starting);
        if self.injected(Fault::RestartCountReset) {
            self.record.containers[index].next_count = 0;
        }
        let container = self.name(index);
        let image = &self.shape.containers[index].image;
        let record = &mut self.record.containers[index];
        record.applied = record.allocated.clone();
        let action = Action::Start {
            container,
            attempt: record.settled,
            restart_count: record.next_count,
        };
        let is_reserved = record.settled < record.reserved && record.next_image == *image;
        record.next_image = image.clone();
        record.reserved = record.reserved.max(record.settled + 1);
        let ticket = self.perform_numbered(action, is_reserved);
        self.wait_for(index, ticket);
    }

    pub(super) fn start_done(&mut self, index: usize, outcome: Outcome) {
        match outcome {
            Outcome::Started { at } => self.started(index, at),
            Outcome::Failed(failure) if failure.reason == "RunContainerError" => {
                self.push_attempt(index, AttemptState::Exited(start_error(&failure, self.now)));
                self.remember_failure(index, failure, ContainerChange::StartFailed);
                self.must_write();
            }
            other => {
                self.record.containers[index].settled += 1;
                self.start_later(
                    index,
                    failure(other, "CreateContainerError"),
                    ContainerChange::StartFailed,
                );
            }
        }
    }

    fn started(&mut self, index: usize, at: Now) {
        self.push_attempt(index, AttemptState::Running { started: at });
        let hook = self.shape.containers[index].post_start;
        self.record.containers[index].post_start_due = hook;
        self.tell(index, ContainerChange::Started);
        if hook {
            self.set_state(index, State::PostStart);
            self.perform_post_start(index);
        } else {
            self.set_state(index, State::Running);
            self.begin_probes(index);
        }
        self.may_write();
    }

    pub(super) fn perform_post_start(&mut self, index: usize) {
        let hook = Hook::PostStart;
        let action = Action::Hook {
            container: self.name(index),
            attempt: self.newest(index),
            hook,
        };
        let ticket = self.perform_written(action);
        self.wait_for(index, ticket);
    }

    pub(super) fn post_start_done(&mut self, index: usize, outcome: Outcome) {
        self.record.containers[index].post_start_due = false;
        self.may_write();
        if outcome == Outcome::Done {
            self.set_state(index, State::Running);
            return self.begin_probes(index);
        }
        self.tell(index, ContainerChange::HookFailed(Hook::PostStart));
        let text = failure(outcome, "PostStartHookError").message;
        self.record.containers[index].start_error = Some(Failure::new("PostStartHookError", text));
        self.kill(index, KillReason::PostStart, None);
    }

    /// The start does not come about now, and is no longer wanted, or wanted otherwise.
    pub(super) fn cancel_start(&mut self, index: usize) -> bool {
        let live = &mut self.containers[index];
        let withdrawn = match (live.state, live.ticket) {
            (State::Inspecting | State::Pulling, Some(ticket)) => {
                self.outbox.push(Output::Cancel(ticket));
                true
            }
            // It waits for its intent to be written: nobody has heard of it yet.
            (State::Starting, Some(ticket)) => self.outbox.withdraw(ticket),
            _ => false,
        };
        if withdrawn {
            self.set_state(index, State::Waiting);
        }
        withdrawn
    }

    /// What failed for lack of something beside the pod need not wait for its next try.
    pub(super) fn retry(&mut self) -> bool {
        self.timers.disarm(Due::Pod(PodTimer::Retry));
        for index in 0..self.containers.len() {
            let error = self.record.containers[index].start_error.as_ref();
            if error.is_some_and(|error| error.reason == "CreateContainerConfigError") {
                self.timers.disarm(retry(index));
            }
        }
        true
    }

    /// Not now, but later; nothing else holds the next try back.
    fn start_later(&mut self, index: usize, failure: Failure, change: ContainerChange) {
        self.not_started(index, failure, change);
        self.timers.arm(retry(index), self.now.mono + RETRY);
    }

    fn not_started(&mut self, index: usize, failure: Failure, change: ContainerChange) {
        if self.containers[index].state != State::Waiting {
            self.set_state(index, State::Waiting);
        }
        self.remember_failure(index, failure, change);
    }

    fn remember_failure(&mut self, index: usize, failure: Failure, change: ContainerChange) {
        self.record.containers[index].start_error = Some(failure);
        self.tell(index, change);
        self.may_write();
    }

    /// The number that was settled last becomes an attempt.
    pub(super) fn push_attempt(&mut self, index: usize, state: AttemptState) {
        if matches!(state, AttemptState::Exited(_)) {
            self.set_state(index, State::Waiting);
        }
        self.containers[index].probes.forget();
        let sandbox = self
            .record
            .sandbox
            .newest
            .as_ref()
            .map_or(0, |sandbox| sandbox.attempt);
        let record = &mut self.record.containers[index];
        let restart_count = record.next_count;
        let (number, created) = (record.settled, self.now);
        let image = record.next_image.clone();
        record.push(Attempt {
            number,
            sandbox,
            restart_count,
            created,
            image,
            state,
        });
        record.owed = None;
        record.start_error = None;
        self.remove_remains(index);
    }

    fn crash_text(&self, index: usize, window: std::time::Duration) -> String {
        let meta = &self.pod.metadata;
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!(
            "back-off {} restarting failed container={} pod={}_{}({})",
            go_text(window),
            self.shape.containers[index].name,
            part(&meta.name),
            part(&meta.namespace),
            part(&meta.uid),
        )
    }
}

fn retry(index: usize) -> Due {
    Due::Container(index, ContainerTimer::Retry)
}

fn finished(attempt: &Attempt) -> Option<crate::time::Mono> {
    match &attempt.state {
        AttemptState::Exited(exit) => Some(exit.finished.mono),
        _ => None,
    }
}

/// The failure an answer tells of; one that makes no sense is a failure too.
fn failure(outcome: Outcome, reason: &'static str) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        _ => Failure::new(reason, "the driver's answer does not fit the action"),
    }
}

/// The record a runtime leaves of a container whose program could not be run.
fn start_error(failure: &Failure, now: Now) -> Box<Exit> {
    Box::new(Exit {
        code: 128,
        signal: None,
        reason: "StartError".into(),
        message: Some(failure.message.clone()),
        started: None,
        finished: now,
    })
}
