//! What is on record, and what the statuses show, is what the world saw.

use podlife::lifecycle::{Attempt, AttemptState, ContainerIndex, Exit, Record};
use podlife::model::{ContainerState, ContainerStatus};

use super::check::{Checker, Result};
use super::life::{Policy, S};
use super::world::{Proc, World};

/// What a container's status showed last: of which attempt, and whether that had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    attempt: u32,
    state: Stage,
    restart_count: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    Terminated,
}

impl World {
    /// Every attempt on record was asked for and is recorded as it went; everything that lives is on record.
    pub(crate) fn check_records(&self, record: &Record) -> Result {
        for (index, container) in record.containers().iter().enumerate() {
            for attempt in container.attempts() {
                if !self.is_explained(index, attempt) {
                    let proc = self.procs.get(&(index, attempt.number));
                    let text = format!("{index}: {attempt:?}, but {proc:?}");
                    return self.breaks(Checker::RecordExplained, text);
                }
            }
        }
        for ((index, attempt), _) in self.procs.iter().filter(|(_, proc)| proc.is_alive()) {
            let name = (ContainerIndex(*index as u16), *attempt);
            let is_stray = self.checks.containers[*index].stray.contains(attempt);
            if !is_stray && !record.in_doubt().any(|doubt| doubt == name) {
                let text = format!("{index}.{attempt} lives, and is not on record");
                return self.breaks(Checker::RecordExplained, text);
            }
        }
        Ok(())
    }

    fn is_explained(&self, index: usize, attempt: &Attempt) -> bool {
        let Some(image) = self.asked.get(&(index, attempt.number)) else {
            return false;
        };
        let image = format!("example.org/{}:{image}", self.life.specs[index].name);
        let proc = self.procs.get(&(index, attempt.number));
        let of_proc = |proc: &Proc| proc.sandbox == attempt.sandbox;
        *attempt.image == image
            && proc.is_none_or(of_proc)
            && match (&attempt.state, proc) {
                (AttemptState::Running { started }, Some(proc)) => {
                    started.wall == proc.started.wall
                }
                (AttemptState::Exited(exit), Some(proc)) => {
                    is_exit_of(exit, proc) || (proc.lost && is_unknown(exit))
                }
                (AttemptState::Exited(exit), None) => exit.code == 128 || is_unknown(exit),
                _ => false,
            }
    }

    /// A status goes the ways that there are: attempts only forward, an end to another attempt or to waiting for one, and
    /// where nothing may run twice nowhere.
    pub(crate) fn check_steps(&mut self, index: usize, status: &ContainerStatus) -> Result {
        let number = status.container_id.as_deref().and_then(number_of);
        let (Some(attempt), Some(state)) = (number, status.state.as_ref()) else {
            return Ok(());
        };
        let now = Shown {
            attempt,
            state: stage_of(state),
            restart_count: status.restart_count,
        };
        let before = self.checks.containers[index].shown.replace(now);
        let Some(before) = before.filter(|before| *before != now) else {
            return Ok(());
        };
        self.check_shown_times(index, attempt, state)?;
        let last = status
            .last_state
            .as_ref()
            .and_then(|last| last.terminated.as_ref());
        let ended = last.and_then(|last| number_of(last.container_id.as_deref()?));
        let goes_on = match (before.state, now.state) {
            _ if now.attempt > before.attempt => {
                now.restart_count > before.restart_count && !self.is_once(index)
            }
            _ if now.attempt < before.attempt => false,
            (Stage::Terminated, Stage::Waiting) if self.is_once(index) => false,
            // It has ended, and the next try is waited for.
            (_, Stage::Waiting) => ended == Some(attempt),
            (Stage::Terminated | Stage::Waiting, Stage::Running) => false,
            _ => true,
        };
        if goes_on {
            return Ok(());
        }
        let text = format!("{index}: {before:?} became {now:?}");
        self.breaks(Checker::StatusTransition, text)
    }

    /// Whether this container runs once, whatever comes of it.
    fn is_once(&self, index: usize) -> bool {
        if self.checks.containers[index].wished {
            return false;
        }
        let spec = &self.life.specs[index];
        let never = spec.policy == Policy::Never && self.life.policy == Policy::Never;
        never && spec.restart_on.is_none() && spec.image == 0 && !self.checks.restart_all
    }

    fn check_shown_times(&self, index: usize, attempt: u32, state: &ContainerState) -> Result {
        let (Some(running), Some(proc)) = (&state.running, self.procs.get(&(index, attempt)))
        else {
            return Ok(());
        };
        let second = proc.started.wall.as_nanos().div_euclid(S as i64);
        let shown = running.started_at.map(|at| at.as_nanos());
        if shown == Some(second * S as i64) {
            return Ok(());
        }
        let text = format!("{index}.{attempt} shows {:?}", running.started_at);
        self.breaks(Checker::StatusTransition, text)
    }
}

fn is_exit_of(exit: &Exit, proc: &Proc) -> bool {
    proc.exit.as_ref().is_some_and(|seen| {
        (exit.code, exit.signal, exit.finished.wall) == (seen.code, seen.signal, seen.finished.wall)
    })
}

fn is_unknown(exit: &Exit) -> bool {
    (exit.code, &*exit.reason) == (137, "ContainerStatusUnknown")
}

fn number_of(id: &str) -> Option<u32> {
    id.rsplit('/').next()?.parse().ok()
}

fn stage_of(state: &ContainerState) -> Stage {
    match (&state.running, &state.terminated) {
        (Some(_), _) => Stage::Running,
        (_, Some(_)) => Stage::Terminated,
        _ => Stage::Waiting,
    }
}
