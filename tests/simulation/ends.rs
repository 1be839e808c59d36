//! What must hold when a container is ended, and while it runs.

use podlife::lifecycle::{ContainerIndex, Hook, ProbeKind, Signal};

use super::check::{Checker, Result};
use super::life::{Role, S};
use super::world::{Proc, World};

impl World {
    pub(crate) fn check_signal(&mut self, index: usize, attempt: u32, signal: Signal) -> Result {
        let at = self.at();
        let Some(proc) = self.procs.get(&(index, attempt)) else {
            return Ok(());
        };
        if !proc.is_alive() {
            return Ok(());
        }
        let strict = self.life.options.strict_deadline.is_some();
        match signal {
            Signal::Stop => {
                self.checks.told_to_end(index, attempt);
                self.check_sidecar_turn(index, attempt)?;
                let late = strict && self.checks.epoch > 0;
                let skipped = !late
                    && self.life.specs[index].pre_stop
                    && self.life.grace.is_none_or(|grace| grace > 0)
                    && !self.checks.containers[index]
                        .hook_done
                        .contains(&(attempt, true));
                if skipped {
                    return self.breaks(
                        Checker::HookSkipped,
                        format!("preStop of {index}.{attempt}"),
                    );
                }
                Ok(())
            }
            Signal::Kill => {
                let stray = self.checks.containers[index].stray.contains(&attempt);
                match proc.stop_sent {
                    _ if stray || self.checks.forced => Ok(()),
                    // One total deadline that passed while nobody was there leaves no time between the two.
                    None if strict && self.checks.epoch > 0 => Ok(()),
                    None => self.breaks(Checker::TermBeforeKill, format!("{index}.{attempt}")),
                    Some(sent) if !strict && at < sent + 2 * S => self.breaks(
                        Checker::TermBeforeKill,
                        format!("{index}.{attempt} had no two seconds"),
                    ),
                    Some(_) => Ok(()),
                }
            }
        }
    }

    pub(crate) fn check_sidecar_turn(&mut self, index: usize, attempt: u32) -> Result {
        let Some(ending) = self.checks.ending else {
            return Ok(());
        };
        let watched = &self.checks.containers[index];
        let exempt = watched.is_own_kill(attempt)
            || self.checks.forced
            || self.life.options.strict_deadline.is_some();
        let is_sidecar = self.life.specs[index].role == Role::Sidecar;
        // A Node that comes back late catches up; what it had decided before stands.
        if !is_sidecar || exempt || self.at() >= ending.by || self.checks.restored_at > ending.since
        {
            return Ok(());
        }
        let regular = |at: usize| self.life.specs[at].role == Role::Regular;
        match self
            .procs
            .iter()
            .find(|((at, _), proc)| regular(*at) && proc.is_alive())
        {
            Some(((at, _), _)) => self.breaks(
                Checker::SidecarsOutlive,
                format!("sidecar {index} is told to end before {at}"),
            ),
            None => Ok(()),
        }
    }

    /// By now, whoever was told to end must have been killed.
    pub(crate) fn check_time(&mut self) -> Result {
        let at = self.at();
        let slack = S / 2;
        for ((index, attempt), proc) in self.procs.iter().filter(|(_, proc)| proc.is_alive()) {
            self.check_probes_run(*index, *attempt, proc.started_at)?;
            self.check_definition(*index, *attempt, proc)?;
            if proc.kill_sent.is_some() {
                continue;
            }
            let own = self.checks.containers[*index].is_own_kill(*attempt);
            let ending = self.checks.ending;
            let grace = match ending {
                Some(ending) if !own => ending.first.max(2),
                ending => self
                    .life
                    .container_grace(*index)
                    .max(ending.map_or(0, |ending| ending.first)),
            };
            let by_stop = proc.stop_sent.map(|sent| sent + grace * S);
            // A kill that was not written begins anew with the next process.
            let by_end = ending.map(|ending| ending.by.max(proc.anew + ending.grace * S) + 4 * S);
            let Some(by) = by_stop.into_iter().chain(by_end).min() else {
                continue;
            };
            // A Node that comes back late runs the hook and sends the stop signal first, each with the least there is.
            let by = by.max(self.checks.restored_at + 4 * S) + slack;
            if at > by {
                let late = (at - by) as f64 / S as f64;
                return self.breaks(
                    Checker::KillDeadline,
                    format!("{index}.{attempt} lives {late:.3} s too long"),
                );
            }
        }
        Ok(())
    }

    /// What runs of another image than the manifest's is ended.
    fn check_definition(&self, index: usize, attempt: u32, proc: &Proc) -> Result {
        let (spec, watched) = (&self.life.specs[index], &self.checks.containers[index]);
        let waits = match spec.role {
            Role::Regular => false,
            // Until its startup probe has succeeded nothing else is asked about it.
            Role::Sidecar => spec.startup.is_some(),
            Role::Init | Role::Ephemeral => true,
        };
        let hooked = watched.hook_done.contains(&(attempt, true));
        let ends = proc.end_turn.is_some() || proc.stop_sent.is_some() || hooked;
        let ends = ends || self.checks.ending.is_some() || watched.stray.contains(&attempt);
        if proc.image == spec.image || waits || ends {
            return Ok(());
        }
        // A postStart hook that runs is waited for.
        let hook = u64::from(spec.post_start) * 40 * S;
        let since = watched.changed_at.max(proc.started_at);
        let by = since.max(self.checks.restored_at) + hook + S;
        if self.at() > by {
            let text = format!(
                "{index}.{attempt} runs image {}, not {}",
                proc.image, spec.image
            );
            return self.breaks(Checker::Definition, text);
        }
        Ok(())
    }

    /// A container with a liveness probe is probed, in every attempt.
    pub(crate) fn check_probes_run(&self, index: usize, attempt: u32, started: u64) -> Result {
        let spec = &self.life.specs[index];
        let Some(probe) = spec.liveness else {
            return Ok(());
        };
        let quiet = spec.startup.is_some() || spec.post_start || self.checks.ending.is_some();
        let proc = &self.procs[&(index, attempt)];
        let watched = &self.checks.containers[index];
        let own = watched.is_own_kill(attempt);
        if quiet
            || own
            || proc.stop_sent.is_some()
            || watched.stray.contains(&attempt)
            || proc.image != spec.image
        {
            return Ok(());
        }
        let due = started.max(self.checks.restored_at) + (probe.delay + 5) * S;
        let seen = watched
            .probed
            .get(&ProbeKind::Liveness)
            .is_some_and(|(of, _)| *of == attempt);
        if self.at() > due && !seen {
            return self.breaks(
                Checker::ProbesRun,
                format!("{index}.{attempt} was never probed"),
            );
        }
        Ok(())
    }

    pub(crate) fn check_hook(&mut self, index: usize, attempt: u32, hook: Hook) -> Result {
        let is_stop = hook == Hook::PreStop;
        if is_stop {
            self.checks.told_to_end(index, attempt);
        }
        self.checks.containers[index]
            .hook_done
            .insert((attempt, is_stop));
        if !self
            .checks
            .hooks
            .insert((index, attempt, is_stop, self.checks.epoch))
        {
            return self.breaks(Checker::HookTwice, format!("{hook:?} of {index}.{attempt}"));
        }
        Ok(())
    }

    pub(crate) fn check_probe(
        &mut self,
        ticket: u64,
        index: usize,
        attempt: u32,
        kind: ProbeKind,
    ) -> Result {
        let at = self.at();
        self.checks.probes.insert(ticket, (index, attempt, kind));
        self.checks.containers[index]
            .probed
            .insert(kind, (attempt, at));
        Ok(())
    }

    pub(crate) fn check_acknowledge(&mut self, container: ContainerIndex, attempt: u32) -> Result {
        if self.on_disk_in_doubt(container.as_usize(), attempt) != Some(false) {
            let text = format!("{}.{attempt}", container.as_usize());
            return self.breaks(Checker::AcknowledgeBeforePersist, text);
        }
        Ok(())
    }

    pub(crate) fn check_remove(&mut self, index: usize, attempt: u32) -> Result {
        match self.procs.get(&(index, attempt)) {
            Some(proc) if proc.is_alive() => {
                self.breaks(Checker::RemovesLive, format!("{index}.{attempt}"))
            }
            _ => Ok(()),
        }
    }

    /// An exit is known to pause: does it ask for more?
    pub(crate) fn note_exit(&mut self, index: usize, code: i32) {
        self.checks.restart_all |= self.life.specs[index].restart_all_on == Some(code);
    }
}
