//! What must hold of what is told and shown.

use podlife::lifecycle::{Cause, Change, ContainerChange, KillReason};
use podlife::model::{ContainerStatus, Phase, PodStatus};
use podlife::time::Wall;

use super::check::{Checker, Result};
use super::life::{Policy, Role, S};
use super::world::World;

impl World {
    pub(crate) fn check_change(&mut self, change: Change) -> Result {
        let at = self.at();
        match change {
            Change::Terminating(cause) => {
                let grace = self.life.grace.unwrap_or(30).max(1);
                if cause == Cause::Finished {
                    self.check_verdicts()?;
                    self.check_finished()?;
                }
                if self.checks.ending.is_none() {
                    self.checks.end(at, 0, grace);
                }
                Ok(())
            }
            Change::Container {
                container,
                attempt,
                change,
            } => {
                let watched = &mut self.checks.containers[container.as_usize()];
                let proc = self.procs.get_mut(&(container.as_usize(), attempt));
                if let (ContainerChange::Killing(_), Some(proc)) = (change, proc) {
                    proc.end_turn.get_or_insert(self.turn);
                }
                match change {
                    ContainerChange::Killing(KillReason::PodEnds) => {}
                    ContainerChange::Killing(reason) => watched.own_kill = Some((attempt, reason)),
                    ContainerChange::Stray => {
                        let strays = self
                            .procs
                            .keys()
                            .filter(|(at, _)| *at == container.as_usize());
                        watched.stray.extend(strays.map(|(_, attempt)| *attempt));
                    }
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A pod is not finished while a restart is owed to a container whose probe failed.
    pub(crate) fn check_verdicts(&mut self) -> Result {
        for (index, watched) in self.checks.containers.iter().enumerate() {
            let Some((attempt, reason)) = watched.own_kill else {
                continue;
            };
            let by_probe = matches!(reason, KillReason::Liveness | KillReason::Startup);
            let spec = &self.life.specs[index];
            let owed = by_probe && spec.policy != Policy::Never && spec.role == Role::Regular;
            let newest = self.newest(index).map(|(attempt, _)| attempt);
            let later = watched.run_error.is_some() || watched.lost || self.checks.restart_all;
            if owed && newest == Some(attempt) && !later {
                return self.breaks(
                    Checker::VerdictKept,
                    format!("{index}.{attempt} was owed a restart"),
                );
            }
        }
        Ok(())
    }

    /// A pod is not finished while one of its regular containers is to be started again.
    pub(crate) fn check_finished(&mut self) -> Result {
        let newest_code = |index: usize| {
            let (_, newest) = self.newest(index)?;
            let failed = self.checks.containers[index].run_error > newest.ended_at;
            if failed {
                Some(128)
            } else {
                newest.exit.as_ref().map(|exit| exit.code)
            }
        };
        let mut inits =
            (0..self.life.specs.len()).filter(|index| self.life.specs[*index].role == Role::Init);
        if inits.any(|index| newest_code(index) != Some(0)) {
            return Ok(());
        }
        for (index, spec) in self.life.specs.iter().enumerate() {
            let watched = &self.checks.containers[index];
            if spec.role != Role::Regular || watched.lost || watched.own_kill.is_some() {
                continue;
            }
            let again = match (newest_code(index), spec.policy) {
                // A failed probe ends it for good.
                (None, policy) => policy != Policy::Never,
                (Some(_), Policy::Always) => true,
                (Some(code), Policy::OnFailure) => code != 0,
                (Some(_), Policy::Never) => false,
            };
            if again {
                return self.breaks(Checker::FinishedEarly, format!("{index} is to run"));
            }
        }
        Ok(())
    }

    pub(crate) fn check_published(&mut self, status: &PodStatus) -> Result {
        self.check_phase(status)?;
        self.check_conditions(status)?;
        for (index, spec) in self.life.specs.iter().enumerate() {
            let list = match spec.role {
                Role::Regular => &status.container_statuses,
                Role::Init | Role::Sidecar => &status.init_container_statuses,
                Role::Ephemeral => &status.ephemeral_container_statuses,
            };
            let Some(shown) = list.iter().find(|shown| shown.name == spec.name) else {
                continue;
            };
            if shown.restart_count < self.checks.containers[index].shown_count {
                return self.breaks(
                    Checker::RestartCount,
                    format!("{index} shows {}", shown.restart_count),
                );
            }
            self.check_ready(index, shown)?;
            self.check_resources(index, shown)?;
        }
        for index in 0..self.life.specs.len() {
            let name = &self.life.specs[index].name;
            let mut all = status
                .container_statuses
                .iter()
                .chain(&status.init_container_statuses);
            if let Some(shown) = all.find(|shown| shown.name == *name) {
                self.checks.containers[index].shown_count = shown.restart_count;
                self.check_steps(index, shown)?;
            }
        }
        Ok(())
    }

    pub(crate) fn check_ready(&self, index: usize, shown: &ContainerStatus) -> Result {
        let Some(probe) = self.life.specs[index].readiness else {
            return Ok(());
        };
        if !shown.ready {
            return Ok(());
        }
        let (attempt, successes, failures) = self.checks.containers[index].readiness;
        let newest = self.newest(index).map(|(attempt, _)| attempt);
        if Some(attempt) != newest || successes == 0 || failures >= probe.failure {
            let text = format!(
                "{index} is ready; attempt {newest:?}, {successes} successes, {failures} failures of {attempt}"
            );
            return self.breaks(Checker::Readiness, text);
        }
        Ok(())
    }

    pub(crate) fn check_phase(&mut self, status: &PodStatus) -> Result {
        let is_terminal = matches!(status.phase, Some(Phase::Succeeded | Phase::Failed));
        if let Some(before) = &self.checks.shown_terminal
            && status.phase.as_ref() != Some(before)
        {
            return self.breaks(
                Checker::TerminalLeft,
                format!("{before} became {:?}", status.phase),
            );
        }
        if is_terminal && self.checks.shown_terminal.is_none() {
            if let Some(((index, attempt), _)) = self.procs.iter().find(|(_, proc)| proc.is_alive())
            {
                return self.breaks(Checker::TerminalWhileAlive, format!("{index}.{attempt}"));
            }
            self.checks.terminal = status.phase.clone();
            self.checks.shown_terminal = status.phase.clone();
        }
        match (self.checks.start_time, status.start_time) {
            (Some(before), Some(now))
                if before.as_nanos() / S as i64 != now.as_nanos() / S as i64 =>
            {
                self.breaks(Checker::StatusTransition, "startTime changed")
            }
            (Some(_), None) => self.breaks(Checker::StatusTransition, "startTime went"),
            (_, now) => {
                self.checks.start_time = now;
                Ok(())
            }
        }
    }

    pub(crate) fn check_conditions(&mut self, status: &PodStatus) -> Result {
        // One that went and comes again is another one.
        if self.checks.conditions.len() > status.conditions.len() {
            let is_there = |name: &String| {
                let mut types = status.conditions.iter().map(|one| one.type_.to_string());
                types.any(|type_| type_ == *name)
            };
            self.checks.conditions.retain(|name, _| is_there(name));
        }
        for condition in &status.conditions {
            let name = condition.type_.to_string();
            let now = (condition.status.clone(), condition.last_transition_time);
            let whole = |at: Option<Wall>| at.map(|at| at.as_nanos() / S as i64);
            if let Some(before) = self.checks.conditions.get(&name)
                && before.0 == now.0
                && whole(before.1) != whole(now.1)
            {
                return self.breaks(
                    Checker::StatusTransition,
                    format!("{name}: the time changed, not the status"),
                );
            }
            if self.checks.conditions.get(&name) != Some(&now) {
                self.checks.conditions.insert(name, now);
            }
        }
        Ok(())
    }
}
