//! The Node's conveniences: loops over its turns, until something has happened.

use std::collections::BTreeMap;
use std::time::Duration;

use super::command::{Delete, Exec, Output, Until};
use super::node::{Node, unknown};
use super::work::WorkId;
use super::{Event, PodId, Turn};
use crate::linux::Clock;
use crate::model::{ConditionStatus, ConditionType, Phase, PodCondition, PodStatus};
use crate::time::Mono;
use crate::{Error, Kind, Result};

impl Node {
    /// Drives until the pod has come so far.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::PodFailed`] if the pod ended in another way; [`Kind::NotFound`].
    pub fn wait(&mut self, id: PodId, until: Until, timeout: Duration) -> Result<PodStatus> {
        let deadline = Clock::mono() + timeout;
        let mut last = None;
        loop {
            match self.pods.get(&id).map(|resident| resident.machine.status()) {
                None if until == Until::Deleted => return Ok(last.unwrap_or_default()),
                None if last.is_none() => return Err(unknown("wait for", id)),
                None => return Err(self.ended("it was deleted", until, id)),
                Some(status) => {
                    if let Some(done) = reached(status, until) {
                        let status = status.clone();
                        return done
                            .map(|()| status)
                            .map_err(|why| self.ended(why, until, id));
                    }
                    if until == Until::Deleted {
                        last = Some(status.clone());
                    } else {
                        last.get_or_insert_default();
                    }
                }
            }
            self.turn_before(deadline, || format!("see the pod {until:?} in {timeout:?}"))?;
        }
    }

    /// Drives until `done` says so of an event; it is asked of each new one.
    ///
    /// # Errors
    /// [`Kind::Timeout`].
    pub fn run_until(
        &mut self,
        timeout: Duration,
        mut done: impl FnMut(&Node, &Event) -> bool,
    ) -> Result<()> {
        let deadline = Clock::mono() + timeout;
        loop {
            while let Some(event) = self.next_event() {
                if done(self, &event) {
                    return Ok(());
                }
            }
            self.turn_before(deadline, || {
                format!("see what was waited for in {timeout:?}")
            })?;
        }
    }

    /// Runs a command in a running container, to its end.
    ///
    /// # Errors
    /// There is no such pod or container, or it does not run; [`Kind::Timeout`], and then the command is killed. A command that
    /// exits with another code than 0 is no error.
    pub fn output(
        &mut self,
        id: PodId,
        container: &str,
        command: Exec,
        timeout: Duration,
    ) -> Result<Output> {
        let deadline = Clock::mono() + timeout;
        self.sessions += 1;
        let session = WorkId::Session(self.sessions);
        let resident = self
            .pods
            .get_mut(&id)
            .ok_or_else(|| unknown("run a command in", id))?;
        resident.begin_session(&mut self.host, session, container, command.command)?;
        loop {
            let gone = || {
                Error::new(
                    Kind::Conflict,
                    "run a command in the container",
                    "the container ended",
                )
            };
            let resident = self.pods.get_mut(&id).ok_or_else(gone)?;
            if let Some(output) = resident.outputs.remove(&session) {
                return Ok(output);
            }
            if !resident.work.contains_key(&session) {
                return Err(gone());
            }
            let turned = self.turn_before(deadline, || {
                format!("see the end of the command in {timeout:?}")
            });
            if let (Err(error), Some(resident)) = (turned, self.pods.get_mut(&id)) {
                resident.cancel(&mut self.host, session);
                return Err(error);
            }
        }
    }

    /// Deletes all pods, and drives until nothing is left of them: gracefully, in order of priority, inside one deadline, at
    /// which what is left is killed.
    ///
    /// # Errors
    /// [`Kind::Timeout`] if even killing them took more than ten seconds.
    pub fn drain(&mut self, total: Duration) -> Result<()> {
        let deadline = Clock::mono() + total;
        let mut waves = BTreeMap::<_, Vec<_>>::new();
        for resident in self.pods.values() {
            waves
                .entry(resident.pod.spec.priority.unwrap_or(0))
                .or_default()
                .push(resident.id);
        }
        for wave in waves.values() {
            let left = deadline - Clock::mono();
            let how = Delete {
                strict_deadline: Some(left),
                ..Delete::default()
            };
            wave.iter().try_for_each(|id| self.delete(*id, how))?;
            while wave.iter().any(|id| self.pods.contains_key(id)) && Clock::mono() < deadline {
                self.turn(Some(deadline - Clock::mono()))?;
            }
        }
        let left: Vec<_> = self.pods.keys().copied().collect();
        left.into_iter()
            .try_for_each(|id| self.delete(id, Delete::now()))?;
        let deadline = Clock::mono().max(deadline) + Duration::from_secs(10);
        while !self.pods.is_empty() {
            self.turn_before(deadline, || "see the end of all pods".to_owned())?;
        }
        Ok(())
    }

    /// One turn that ends at the deadline. After it, it is an error.
    fn turn_before(&mut self, deadline: Mono, what: impl Fn() -> String) -> Result<Turn> {
        if self.closing {
            return Err(Error::new(
                Kind::NodeClosed,
                what(),
                "a handle asked the Node to stop",
            ));
        }
        let left = deadline - Clock::mono();
        if left.is_zero() {
            return Err(Error::new(Kind::Timeout, what(), "the time is up"));
        }
        self.turn(Some(left))
    }

    fn ended(&self, why: &str, until: Until, id: PodId) -> Error {
        let name = self
            .pods
            .get(&id)
            .map_or_else(|| id.to_string(), |resident| resident.name.to_string());
        Error::new(
            Kind::PodFailed,
            format!("see the pod {name} {until:?}"),
            why.to_owned(),
        )
    }
}

/// Whether a pod has come so far; `Err` if it never will.
fn reached(status: &PodStatus, until: Until) -> Option<Result<(), &'static str>> {
    let ready = |condition: &PodCondition| {
        condition.type_ == ConditionType::Ready && condition.status == ConditionStatus::True
    };
    match (until, &status.phase) {
        (Until::Deleted, _) => None,
        (Until::Ready, _) if status.conditions.iter().any(ready) => Some(Ok(())),
        (Until::Finished, Some(Phase::Succeeded)) => Some(Ok(())),
        (_, Some(Phase::Failed)) => Some(Err("it failed")),
        (Until::Ready, Some(Phase::Succeeded)) => Some(Err("it ended")),
        _ => None,
    }
}
