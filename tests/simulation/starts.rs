//! What must hold when a container is started.

use super::check::{Checker, Result};
use super::life::{Policy, Role, S};
use super::world::{Proc, World};

impl World {
    /// The machine decided to start it.
    pub(crate) fn check_start(&mut self, index: usize, attempt: u32, count: u32) -> Result {
        if let Some(phase) = &self.checks.terminal {
            return self.breaks(
                Checker::StartAfterTerminal,
                format!("{index}.{attempt} in phase {phase}"),
            );
        }
        if self.ending_since().is_some() {
            return self.breaks(Checker::StartAfterEnd, format!("{index}.{attempt}"));
        }
        if self.on_disk_in_doubt(index, attempt) != Some(true) {
            return self.breaks(Checker::PerformBeforePersist, format!("{index}.{attempt}"));
        }
        if self.life.specs[index].removed {
            return self.breaks(
                Checker::StartAfterEnd,
                format!("{index}.{attempt} was removed"),
            );
        }
        if self.life.specs[index].role == Role::Ephemeral {
            return self.check_once(index);
        }
        self.check_init_order(index)?;
        self.check_policy(index)?;
        self.check_back_off(index)?;
        self.check_count(index, attempt, count)
    }

    /// An ephemeral container never runs twice.
    fn check_once(&self, index: usize) -> Result {
        match self.newest(index) {
            Some((attempt, _)) if !self.checks.containers[index].lost => self.breaks(
                Checker::RestartPolicy,
                format!("ephemeral {index} ran already, as {attempt}"),
            ),
            _ => Ok(()),
        }
    }

    pub(crate) fn sandbox_now(&self) -> Option<u32> {
        self.sandboxes
            .iter()
            .find(|(_, alive)| **alive)
            .map(|(attempt, _)| *attempt)
    }

    pub(crate) fn check_init_order(&mut self, index: usize) -> Result {
        let Some(sandbox) = self.sandbox_now() else {
            return Ok(());
        };
        let own = self.life.specs[index].role;
        for (other, spec) in self.life.specs.iter().enumerate() {
            let mut here = self
                .procs
                .iter()
                .filter(|((at, _), proc)| *at == other && proc.sandbox == sandbox);
            let is_before = own == Role::Regular || other < index;
            let (ok, what) = match spec.role {
                Role::Init if other == index => (true, ""),
                Role::Init if is_before => {
                    let done = here
                        .clone()
                        .any(|(_, proc)| proc.exit.as_ref().is_some_and(|exit| exit.code == 0));
                    (
                        done && !here.any(|(_, proc)| proc.is_alive()),
                        "is not done",
                    )
                }
                Role::Init => (
                    !here.any(|(_, proc)| proc.is_alive()) || own == Role::Sidecar,
                    "runs",
                ),
                Role::Sidecar if spec.added || spec.removed => (true, ""),
                Role::Sidecar if is_before && other != index => {
                    (here.next().is_some(), "was not started")
                }
                _ => (true, ""),
            };
            if !ok {
                return self.breaks(
                    Checker::InitOrder,
                    format!("{index} starts, but {other} {what}"),
                );
            }
        }
        Ok(())
    }

    pub(crate) fn newest(&self, index: usize) -> Option<(u32, &Proc)> {
        let (key, proc) = self.procs.range((index, 0)..(index + 1, 0)).next_back()?;
        Some((key.1, proc))
    }

    pub(crate) fn check_policy(&mut self, index: usize) -> Result {
        let spec = &self.life.specs[index];
        let watched = &self.checks.containers[index];
        let Some((attempt, newest)) = self.newest(index) else {
            return Ok(());
        };
        let code = match (&newest.exit, watched.run_error) {
            (Some(_), Some(error)) if Some(error) >= newest.ended_at => 128,
            (Some(exit), _) => exit.code,
            (None, _) => return Ok(()), // TwoLiveAttempts tells when it takes effect
        };
        let by_policy = match spec.policy {
            Policy::Always => true,
            Policy::OnFailure => code != 0,
            Policy::Never => false,
        };
        let by_rule = spec.restart_on == Some(code) || spec.restart_all_on == Some(code);
        let own = watched.is_own_kill(attempt);
        let told = newest.stop_sent.is_some() || watched.hook_done.contains(&(attempt, true));
        let by_kill = (own || told) && spec.policy != Policy::Never;
        let anew = Some(newest.sandbox) != self.sandbox_now();
        if anew && self.life.policy == Policy::Never && !self.checks.restart_all {
            let text = format!("{index} starts in another sandbox; {attempt} ran before");
            return self.breaks(Checker::RestartPolicy, text);
        }
        let forgotten = watched.lost && self.life.store_fails > 0;
        if forgotten
            || by_policy
            || by_rule
            || by_kill
            || watched.wished
            || anew
            || newest.image != spec.image
            || self.checks.restart_all
        {
            return Ok(());
        }
        let text = format!("{index} starts after {attempt} exited with {code}; killed: {own}");
        self.breaks(Checker::RestartPolicy, text)
    }

    pub(crate) fn check_back_off(&mut self, index: usize) -> Result {
        let at = self.at();
        let ended = self
            .newest(index)
            .and_then(|(_, proc)| Some((proc.ended_at?, proc.sandbox)));
        let anew = ended.is_some_and(|(_, sandbox)| Some(sandbox) != self.sandbox_now());
        let restart_all = self.checks.restart_all;
        let is_init = self.life.specs[index].role != Role::Regular;
        let lost = self.newest(index).is_some_and(|(_, proc)| proc.lost);
        let watched = &mut self.checks.containers[index];
        let ended = ended.map(|(ended, _)| ended).max(watched.run_error);
        let Some(ended) = ended else {
            watched.started = Some((0, at));
            return Ok(());
        };
        let (_, before) = watched.started.unwrap_or((0, ended));
        let ran = ended.saturating_sub(before);
        let window = watched.window;
        let counts = window > 0 && ran < 540 * S;
        watched.started = Some((0, at));
        if watched.lost || lost || std::mem::take(&mut watched.granted) {
            watched.window = 0; // the machine may never have heard of it
            return Ok(());
        }
        // No record of the end is left, so none is asked about.
        if restart_all || (anew && is_init) {
            return Ok(());
        }
        watched.window = if window == 0 || ran >= 540 * S {
            10 * S
        } else {
            (2 * window).min(300 * S)
        };
        if counts && at - ended.min(at) < window {
            let text = format!(
                "{index} starts {:.3} s after its end, not {}",
                (at - ended) as f64 / S as f64,
                window / S
            );
            return self.breaks(Checker::BackOff, text);
        }
        Ok(())
    }

    pub(crate) fn check_count(&mut self, index: usize, attempt: u32, count: u32) -> Result {
        let watched = &mut self.checks.containers[index];
        watched.lost = false;
        let Some((earlier, before)) = watched.count.replace((attempt, count)) else {
            return Ok(());
        };
        let ran = self.procs.contains_key(&(index, earlier));
        let least = before + u32::from(ran);
        if count < least {
            return self.breaks(
                Checker::RestartCount,
                format!("{index}.{attempt} counts {count}, and {earlier} had {before}"),
            );
        }
        Ok(())
    }

    /// It runs.
    pub(crate) fn check_begin(&mut self, index: usize, attempt: u32) -> Result {
        if self.procs.contains_key(&(index, attempt)) {
            return self.breaks(Checker::AttemptStartedTwice, format!("{index}.{attempt}"));
        }
        let other = self
            .procs
            .iter()
            .find(|((at, _), proc)| *at == index && proc.is_alive());
        if let Some(((_, other), _)) = other {
            return self.breaks(
                Checker::TwoLiveAttempts,
                format!("{index}.{attempt} beside {other}"),
            );
        }
        Ok(())
    }
}
