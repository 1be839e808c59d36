//! From facts to actions: what the planner sees, and what is done about what it says.

use super::fault::Fault;
use super::machine::PodMachine;
use super::output::KillReason;
use super::record::Kill;
use super::rules::condition::{holds, restarting_all};
use super::rules::facts::{Flight, PodFacts, Seen, Then};
use super::rules::plan::{Plan, plan};
use super::rules::shape::Policy;
use super::state::State;
use crate::model::ConditionType;

impl PodMachine {
    /// Plans and acts until nothing more is to be done now, and publishes what that comes to.
    pub(super) fn settle(&mut self) {
        // Each round does something that the next one sees as done; a pod has no more to do at once than this.
        for _ in 0..4 + 4 * self.containers.len() {
            let acted = match (&self.record.ending, self.record.ended) {
                (None, _) => self.follow_plan(),
                (Some(_), false) => self.follow_end(),
                (Some(_), true) => self.follow_ended(),
            };
            self.publish();
            if !acted {
                break;
            }
        }
    }

    /// What is known of a container, as the rules read it.
    pub(super) fn seen(&self, index: usize) -> Seen<'_> {
        let (record, live) = (&self.record.containers[index], &self.containers[index]);
        Seen {
            attempts: &record.attempts,
            results: live.probes.results,
            start_error: record.start_error.as_ref(),
            flight: self.flight(index),
            owed: record.owed,
        }
    }

    /// Whether that is what was published.
    fn is_restarting_all(&self) -> bool {
        self.shape.can_restart_all
            && holds(
                &self.record.status.conditions,
                &ConditionType::AllContainersRestarting,
            )
    }

    fn flight(&self, index: usize) -> Option<Flight> {
        if self.fault == Fault::NoMask {
            return None;
        }
        match self.containers[index].state {
            State::Inspecting | State::Pulling | State::Starting => Some(Flight::Starting),
            State::PostStart => Some(Flight::PostStart),
            state if state.is_ending() => Some(self.flight_of_kill(index)),
            _ => None,
        }
    }

    /// A kill whose verdict is left to the restart policy keeps the pod alive if that may start the container again.
    fn flight_of_kill(&self, index: usize) -> Flight {
        let never = self.shape.containers[index].policy == Policy::Never;
        match self.record.containers[index].kill.as_deref() {
            Some(Kill {
                reason: KillReason::RestartAll,
                ..
            }) => Flight::Resetting,
            Some(Kill {
                then: Some(then), ..
            }) => Flight::Killing(*then),
            _ if never => Flight::Killing(Then::Stay),
            _ => Flight::Killing(Then::Start),
        }
    }

    pub(super) fn facts(&self) -> PodFacts<'_> {
        PodFacts {
            sandboxes: self.record.sandbox.newest.as_slice(),
            deleted: self.record.deleted,
            terminal: self.record.ended,
            eviction: self.record.eviction.as_ref(),
            decided: self.record.decided.as_ref(),
            resizing: self.record.resizing.as_deref(),
        }
    }

    fn follow_plan(&mut self) -> bool {
        if self.record.rebuild {
            return self.follow_rebuild();
        }
        let mut todo = std::mem::take(&mut self.plan);
        let was = self.is_restarting_all();
        let all = restarting_all(&self.shape, |index| self.seen(index), was);
        plan(
            &self.shape,
            &self.facts(),
            |index| self.seen(index),
            all,
            &mut todo,
        );
        let acted = self.apply(&todo);
        self.plan = todo;
        acted
    }

    fn apply(&mut self, todo: &Plan) -> bool {
        if todo.kill_pod {
            match todo.create_sandbox {
                Some(_) => self.begin_rebuild(todo),
                None => self.finish(),
            }
            return true;
        }
        let mut acted = self.drop_removed();
        acted |= self.follow_resize();
        for kill in &todo.kill {
            if self.containers[kill.container].state.is_alive()
                && self.record.containers[kill.container].kill.is_none()
            {
                self.kill(kill.container, kill.reason, Some(kill.then));
                acted = true;
            }
        }
        if !todo.reset.is_empty() {
            return self.reset(todo) || acted;
        }
        for index in &todo.start {
            acted |= self.start(*index);
        }
        acted
    }

    /// All containers restart in place: everything ends, then every record goes at once, and the pod begins anew.
    fn reset(&mut self, todo: &Plan) -> bool {
        let mut acted = false;
        for reset in &todo.reset {
            let index = reset.container;
            if self.containers[index].state.is_alive()
                && self.record.containers[index].kill.is_none()
            {
                self.kill(index, KillReason::RestartAll, None);
                acted = true;
            }
        }
        let all: Vec<usize> = self
            .shape
            .init
            .iter()
            .chain(&self.shape.regular)
            .copied()
            .collect();
        for index in &all {
            acted |= self.cancel_start(*index);
        }
        if all
            .iter()
            .any(|index| self.containers[*index].state != State::Waiting)
        {
            return acted;
        }
        for index in all {
            self.record.containers[index].forget();
            self.record.containers[index].owed = None;
            self.remove_remains(index);
        }
        self.must_write();
        true
    }
}
