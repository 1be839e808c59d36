//! The pod's status, as it follows from the facts and from the status before.

use super::machine::PodMachine;
use super::output::{Change, ContainerChange};
use super::rules::status::terminate::{has_initialized, terminate};
use super::rules::status::{Projection, is_terminal, project};

impl PodMachine {
    /// Brings the status up to date, in place, and tells what changed in it.
    pub(super) fn publish(&mut self) {
        let mut status = std::mem::take(&mut self.record.status);
        let initialized = self
            .record
            .ended
            .then(|| has_initialized(&self.shape, &status));
        // As its JSON has it: a status that is read back is the one that was written.
        let wall = self.now.wall.whole_second();
        let projection = project(
            &mut status,
            &self.shape,
            &self.facts(),
            |index| self.seen(index),
            wall,
        );
        if let Some(initialized) = initialized {
            terminate(&mut status, &self.shape, initialized);
        }
        self.record.status = status;
        self.decide(&projection);
        let resources = self.show_resources();
        if resources || !projection.is_empty() {
            self.may_write();
            self.tell_changes(&projection);
        }
    }

    /// A phase that is terminal stays decided until it can be published.
    fn decide(&mut self, projection: &Projection) {
        if self.record.decided.is_none() && is_terminal(&projection.phase) {
            self.record.decided = Some(projection.phase.clone());
            self.must_write();
            if self.record.ending.is_none() {
                self.finish();
            }
        }
    }

    fn tell_changes(&mut self, projection: &Projection) {
        if projection.phase_changed {
            self.notify(Change::Phase);
        }
        for place in 0..self.record.status.conditions.len().min(32) {
            if projection.conditions & (1 << place) != 0 {
                self.notify(Change::Condition(u8::try_from(place).unwrap_or(u8::MAX)));
            }
        }
        for index in 0..self.containers.len().min(64) {
            if projection.readiness & (1 << index) != 0 {
                let ready = self.shows_ready(index);
                self.tell(index, ContainerChange::Ready(ready));
            }
        }
    }

    pub(super) fn shows_ready(&self, index: usize) -> bool {
        let (status, name) = (&self.record.status, &self.shape.containers[index].name);
        let mut all = status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses);
        all.any(|shown| shown.name == **name && shown.ready)
    }
}
