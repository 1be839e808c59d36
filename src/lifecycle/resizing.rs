//! Resources that change while the pod lives: asked for, granted, applied; and containers that are restarted, for that or
//! because somebody wants it.
//!
//! What is granted is on record before a cgroup is written, and what a container has only after: so a crash in between
//! applies it again, which changes nothing.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::fault::Fault;
use super::input::{Failure, Outcome};
use super::machine::{PodMachine, RETRY};
use super::output::{Action, Change, KillReason, Output, ResizeChange, ResizeStep as Step, Ticket};
use super::record::ContainerRecord;
use super::rules::facts::Then;
use super::rules::resize::{Allocation, Feasibility, Resize, Resizing, resize};
use super::rules::shape::Role;
use super::rules::status::resources::show;
use super::state::State;
use super::timer::{Due, PodTimer};
use crate::model::{ContainerStatus, Pod, ResourceRequirements};

const RETRY_TIMER: Due = Due::Pod(PodTimer::Resize);

/// What is being done about the pod's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ResizeStep {
    Idle,
    Allocating(Ticket),
    Applying(Ticket),
}

impl PodMachine {
    /// The manifest is another one than what was granted may be from.
    pub(super) fn look_at_resources(&mut self) {
        if self.injected_if_wanted(Fault::ResizeForgotten) {
            for (record, view) in self
                .record
                .containers
                .iter_mut()
                .zip(&self.shape.containers)
            {
                record.allocated = view.resources.clone();
                record.applied = view.resources.clone();
            }
        }
        if let ResizeStep::Allocating(ticket) = self.resize {
            self.outbox.push(Output::Cancel(ticket));
            self.resize = ResizeStep::Idle;
        }
        self.timers.disarm(RETRY_TIMER);
        let wanted = self.is_resize_wanted();
        match &mut self.record.resizing {
            Some(resizing) => resizing.refused = None,
            None if wanted => self.record.resizing = Some(Box::default()),
            None => {}
        }
    }

    fn injected_if_wanted(&mut self, fault: Fault) -> bool {
        self.is_resize_wanted() && self.injected(fault)
    }

    /// Containers came or went, so the pod's own limits change.
    pub(super) fn resize_pod(&mut self) {
        self.record.resizing.get_or_insert_default().due = true;
    }

    /// Nothing is resized in a pod that ends.
    pub(super) fn forget_resize(&mut self) {
        self.record.resizing = None;
        self.resize = ResizeStep::Idle;
        self.timers.disarm(RETRY_TIMER);
    }

    /// The manifest wants something else than was granted.
    fn is_resize_wanted(&self) -> bool {
        let differs = |index: usize| {
            self.shape.containers[index].resources != self.record.containers[index].allocated
        };
        self.shape.listed().any(differs)
    }

    /// One step of a resize. Says whether something was done.
    pub(super) fn follow_resize(&mut self) -> bool {
        let Some(resizing) = self.record.resizing.as_deref() else {
            return false;
        };
        let (due, never) = (resizing.due, is_refused(resizing, Feasibility::Infeasible));
        let restarted = self.restart_resized();
        if self.resize != ResizeStep::Idle || self.timers.at(RETRY_TIMER).is_some() {
            return restarted;
        }
        if !never && self.is_resize_wanted() {
            let ticket = self.outbox.perform(Action::Resize {
                step: Step::Allocate,
            });
            self.resize = ResizeStep::Allocating(ticket);
        } else if due || self.any_running(Resize::InPlace) {
            let ticket = self.perform_written(Action::Resize { step: Step::Apply });
            self.resize = ResizeStep::Applying(ticket);
            self.mark_resized();
        } else {
            return self.complete_resize() || restarted;
        }
        true
    }

    /// Whoever starts from now on may be missed.
    fn mark_resized(&mut self) {
        for index in 0..self.containers.len() {
            let written =
                self.containers[index].state.is_alive() && self.resize_of(index) == Resize::InPlace;
            self.containers[index].resizing = written.then(|| self.newest(index));
        }
    }

    /// What is granted and needs a restart.
    fn restart_resized(&mut self) -> bool {
        let mut acted = false;
        for index in 0..self.containers.len() {
            let runs = self.containers[index].state.is_alive() && self.is_listed(index);
            let kill = self.record.containers[index].kill.is_none();
            if runs && kill && self.resize_of(index) == Resize::Restart {
                self.kill(index, KillReason::Resize, Some(Then::Start));
                acted = true;
            }
        }
        acted
    }

    fn complete_resize(&mut self) -> bool {
        let under_way = |index: usize| {
            let owed = self.record.containers[index].owed == Some(Then::Start);
            let state = self.containers[index].state;
            // One that is being started has what was granted when that was asked for.
            let runs = state.is_alive() || state == State::Starting;
            (runs || owed) && self.resize_of(index) != Resize::Nothing
        };
        if self.shape.listed().any(under_way) {
            return false;
        }
        let Some(resizing) = &mut self.record.resizing else {
            return false;
        };
        let completed = std::mem::take(&mut resizing.granted);
        let over = resizing.refused.is_none();
        if over {
            self.record.resizing = None;
        }
        if completed {
            self.notify(Change::Resize(ResizeChange::Completed));
        }
        if completed || over {
            self.must_write();
        }
        completed
    }

    /// The answer to a resize; `None` if the ticket is not of one.
    pub(super) fn resize_done(&mut self, ticket: Ticket, outcome: &Outcome) -> Option<bool> {
        let step = self.resize;
        if step != ResizeStep::Allocating(ticket) && step != ResizeStep::Applying(ticket) {
            return None;
        }
        self.resize = ResizeStep::Idle;
        match (step, outcome) {
            (ResizeStep::Allocating(_), Outcome::Done) => self.grant(),
            (ResizeStep::Allocating(_), refusal) => self.refuse(refusal),
            (_, Outcome::Done) => self.applied(),
            (_, failure) => self.not_applied(failure),
        }
        Some(true)
    }

    fn grant(&mut self) {
        for index in self.shape.listed().collect::<Vec<_>>() {
            let wanted = self.shape.containers[index].resources.clone();
            if self.record.containers[index].allocated != wanted {
                self.record.containers[index].allocated = wanted;
                self.forget_back_off(index);
            }
        }
        self.record.resizing = Some(Box::new(Resizing {
            refused: None,
            granted: true,
            due: true,
            error: None,
        }));
        self.must_write();
        self.notify(Change::Resize(ResizeChange::Started));
    }

    fn refuse(&mut self, outcome: &Outcome) {
        let (reason, why) = reason_of(outcome);
        let feasibility = match reason {
            "Infeasible" => Feasibility::Infeasible,
            _ => Feasibility::Deferred,
        };
        let resizing = self.record.resizing.get_or_insert_default();
        let is_new = !is_refused(resizing, feasibility);
        resizing.refused = Some((feasibility, why));
        if feasibility == Feasibility::Deferred {
            self.timers.arm(RETRY_TIMER, self.now.mono + RETRY);
        }
        self.must_write();
        if is_new {
            self.notify(Change::Resize(match feasibility {
                Feasibility::Infeasible => ResizeChange::Infeasible,
                _ => ResizeChange::Deferred,
            }));
        }
    }

    /// Those that were written: the others are started with it.
    fn applied(&mut self) {
        for index in 0..self.containers.len() {
            let written = self.containers[index].resizing.take();
            if written == Some(self.newest(index)) && self.containers[index].state.is_alive() {
                let record = &mut self.record.containers[index];
                record.applied = record.allocated.clone();
            }
        }
        if let Some(resizing) = &mut self.record.resizing {
            resizing.due = false;
            resizing.error = None;
        }
        self.must_write();
    }

    fn not_applied(&mut self, outcome: &Outcome) {
        let (_, why) = reason_of(outcome);
        let Some(resizing) = &mut self.record.resizing else {
            return;
        };
        let is_new = resizing.error.replace(why.clone()) != Some(why);
        self.timers.arm(RETRY_TIMER, self.now.mono + RETRY);
        self.may_write();
        if is_new {
            self.notify(Change::Resize(ResizeChange::Error));
        }
    }

    fn any_running(&self, needs: Resize) -> bool {
        let is_one = |index: usize| {
            self.containers[index].state.is_alive() && self.resize_of(index) == needs
        };
        self.shape.listed().any(is_one)
    }

    /// What its newest attempt does about what is allocated.
    fn resize_of(&self, index: usize) -> Resize {
        self.record.containers[index].resize(&self.shape.containers[index])
    }

    /// Brings the resources in the status up to date.
    pub(super) fn show_resources(&mut self) -> bool {
        let mut changed = false;
        for index in self.shape.listed().collect::<Vec<_>>() {
            let record = &self.record.containers[index];
            let (Some(allocated), Some(said)) = (&record.allocated, said(&self.pod, &record.name))
            else {
                continue;
            };
            let shown = match self.containers[index].state.is_alive() {
                true => record.applied.as_deref().copied().unwrap_or_default(),
                false => **allocated,
            };
            let view = &self.shape.containers[index];
            let status = &mut self.record.status;
            let list: &mut Vec<ContainerStatus> = match view.role {
                Role::Init | Role::Sidecar => &mut status.init_container_statuses,
                Role::Regular => &mut status.container_statuses,
                Role::Ephemeral => continue,
            };
            if let Some(status) = list.get_mut(usize::from(view.slot)) {
                changed |= show(status, said, allocated, &shown);
            }
        }
        changed
    }

    /// Ends containers to start them again.
    pub(super) fn restart(&mut self, only: Option<usize>) -> bool {
        if self.record.ending.is_some() || self.record.rebuild {
            return false;
        }
        let restarts = |index: &usize| {
            let role = self.shape.containers[*index].role;
            matches!(role, Role::Regular | Role::Sidecar) && only.is_none_or(|only| only == *index)
        };
        let all: Vec<usize> = self.shape.listed().filter(restarts).collect();
        for index in all {
            let state = self.containers[index].state;
            match &mut self.record.containers[index].kill {
                Some(kill) => kill.then = Some(Then::Start),
                None if state.is_alive() => {
                    self.kill(index, KillReason::Restart, Some(Then::Start));
                }
                None if state == State::Waiting => self.start_again(index),
                None => {}
            }
        }
        self.must_write();
        true
    }

    /// It has ended; what held it back is forgotten.
    fn start_again(&mut self, index: usize) {
        self.forget_back_off(index);
        let record = &mut self.record.containers[index];
        if !record.attempts.is_empty() {
            record.owed = Some(Then::Start);
        }
    }
}

impl ContainerRecord {
    /// What its newest attempt, if it runs, does about what is allocated.
    pub(super) fn resize(&self, view: &super::rules::shape::ContainerView) -> Resize {
        let of = |allocation: &Option<Arc<Allocation>>| {
            allocation.as_deref().copied().unwrap_or_default()
        };
        resize(view.restarts, &of(&self.allocated), &of(&self.applied))
    }
}

fn is_refused(resizing: &Resizing, how: Feasibility) -> bool {
    resizing
        .refused
        .as_ref()
        .is_some_and(|(feasibility, _)| *feasibility == how)
}

fn reason_of(outcome: &Outcome) -> (&str, Arc<str>) {
    match outcome {
        Outcome::Failed(Failure { reason, message }) => (reason, message.clone()),
        _ => ("", "the driver's answer does not fit the action".into()),
    }
}

/// What the manifest says of a container's resources.
fn said<'p>(pod: &'p Pod, name: &str) -> Option<&'p ResourceRequirements> {
    let mut all = pod.spec.init_containers.iter().chain(&pod.spec.containers);
    all.find(|container| container.name == name)?
        .resources
        .as_ref()
}
