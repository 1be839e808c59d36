//! A pod whose manifest changes while it lives.

use std::sync::Arc;

use super::machine::{Live, PodMachine, set_periods, whole_seconds};
use super::output::KillReason;
use super::rules::facts::Then;
use super::rules::status::is_kubelets;
use super::rules::status::merge::replace_or_append;
use super::state::State;
use super::timer::{ContainerTimer, Due, PodTimer};
use crate::model::{Pod, PodCondition, Valid};
use crate::time::Wall;

impl PodMachine {
    /// Takes over a changed manifest: images, resources, added and removed containers, the active deadline. What may
    /// change is the model's business.
    pub(super) fn update(&mut self, pod: Valid<Pod>) -> bool {
        let before: Vec<Arc<str>> = self
            .shape
            .containers
            .iter()
            .map(|view| view.image.clone())
            .collect();
        let listed = self.limited();
        self.shape.amend(&pod);
        for (index, image) in before.iter().enumerate() {
            if self.shape.containers[index].image != *image {
                self.forget_back_off(index);
                self.cancel_start(index);
            }
        }
        set_periods(&mut self.shape, &self.options);
        self.pod = pod;
        for index in self.record.containers.len()..self.shape.containers.len() {
            let view = &self.shape.containers[index];
            self.record.add(view);
            self.containers.push(Live::new(&self.pod, view));
            self.timers.add_container();
        }
        for (live, view) in self.containers.iter_mut().zip(&self.shape.containers) {
            live.look_again(&self.pod, view);
        }
        if self.record.ending.is_none() {
            self.look_at_resources();
            if self.limited() != listed {
                self.resize_pod();
            }
            let deadline = self.shape.active_deadline;
            self.record.active_deadline =
                deadline.map(|span| self.record.created.mono + whole_seconds(span));
            self.timers.disarm(Due::Pod(PodTimer::ActiveDeadline));
            self.begin_life();
        }
        self.must_write();
        true
    }

    /// Whose limits are parts of the pod's.
    fn limited(&self) -> Vec<usize> {
        self.shape
            .init
            .iter()
            .chain(&self.shape.regular)
            .copied()
            .collect()
    }

    /// Another image is another thing to try.
    pub(super) fn forget_back_off(&mut self, index: usize) {
        let record = &mut self.record.containers[index];
        record.crash = None;
        record.pull = None;
        self.timers
            .disarm(Due::Container(index, ContainerTimer::Retry));
    }

    /// A condition that belongs to somebody else.
    pub(super) fn set_condition(&mut self, mut condition: PodCondition) -> bool {
        if is_kubelets(&condition.type_) {
            return false;
        }
        let conditions = &mut self.record.status.conditions;
        let before = conditions.iter().find(|old| old.type_ == condition.type_);
        condition.last_transition_time =
            match before.filter(|old| old.status == condition.status) {
                Some(old) => old.last_transition_time,
                None => condition.last_transition_time.or(Some(self.now.wall)),
            }
            .map(Wall::whole_second);
        if before == Some(&condition) {
            return false;
        }
        replace_or_append(conditions, condition);
        self.must_write();
        true
    }

    /// Containers that are no longer in the manifest end.
    pub(super) fn drop_removed(&mut self) -> bool {
        let mut acted = false;
        for index in 0..self.containers.len() {
            if self.is_listed(index) {
                continue;
            }
            acted |= self.cancel_start(index);
            if self.containers[index].state.is_alive()
                && self.record.containers[index].kill.is_none()
            {
                self.kill(index, KillReason::Removed, Some(Then::Stay));
                acted = true;
            }
            if self.containers[index].state == State::Waiting {
                self.record.containers[index].forget();
                self.remove_remains(index);
            }
        }
        acted
    }
}
