//! What must hold, whatever happens. The checkers know the spec and what the world saw; they do not ask the machine.

use std::collections::{BTreeMap, BTreeSet};

use podlife::lifecycle::{
    Cause, Change, ContainerChange, ContainerIndex, Deletion, Hook, KillReason, ProbeKind, Record,
    Signal,
};
use podlife::model::{ConditionStatus, ContainerStatus, Phase, PodStatus};
use podlife::time::Wall;

use super::life::{Life, Policy, Role, S};
use super::world::World;

/// What a checker looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Checker {
    AttemptStartedTwice,
    TwoLiveAttempts,
    TwoSandboxes,
    SandboxForgotten,
    PerformBeforePersist,
    AcknowledgeBeforePersist,
    ExitLost,
    LeftAlive,
    StopsLiveSandbox,
    RemovesLive,
    StartAfterTerminal,
    StartAfterEnd,
    InitOrder,
    SidecarsOutlive,
    TermBeforeKill,
    KillDeadline,
    HookTwice,
    HookSkipped,
    RestartPolicy,
    BackOff,
    RestartCount,
    VerdictKept,
    Readiness,
    ProbesRun,
    TerminalLeft,
    TerminalWhileAlive,
    StatusTransition,
    LateTicket,
    Replay,
    Stuck,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) checker: Checker,
    pub(crate) text: String,
}

type Result = std::result::Result<(), Broken>;

/// What the checkers remember.
#[derive(Debug)]
pub(crate) struct Checks {
    containers: Vec<Watched>,
    /// Since when the pod is to end, and by when that must be over.
    ending: Option<Ending>,
    deletion: Option<u64>,
    forced: bool,
    terminal: Option<Phase>,
    /// The same, as this process showed it.
    shown_terminal: Option<Phase>,
    start_time: Option<Wall>,
    conditions: BTreeMap<String, (ConditionStatus, Option<Wall>)>,
    restored_at: u64,
    epoch: u64,
    /// Some exit asked for a restart of all.
    restart_all: bool,
    probes: BTreeMap<u64, (usize, u32, ProbeKind)>,
    hooks: BTreeSet<(usize, u32, bool, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    since: u64,
    /// The grace period in force, and when that one began.
    grace: u64,
    /// What was in force at first.
    first: u64,
    by: u64,
}

#[derive(Clone, Debug, Default)]
struct Watched {
    /// Started last, when, with which count.
    started: Option<(u32, u64)>,
    count: Option<(u32, u32)>,
    /// The newest end: attempt, when; -1 for a start that came to nothing.
    run_error: Option<u64>,
    window: u64,
    /// Killed for a reason of its own: the attempt.
    own_kill: Option<(u32, KillReason)>,
    /// The same, before a crash: perhaps forgotten since.
    was_own_kill: Option<u32>,
    stray: BTreeSet<u32>,
    definition_changed: bool,
    lost: bool,
    shown_count: i32,
    readiness: (u32, u64, u64),
    probed: BTreeMap<ProbeKind, (u32, u64)>,
    hook_done: BTreeSet<(u32, bool)>,
}

impl Checks {
    pub(crate) fn new(containers: usize) -> Checks {
        Checks {
            containers: vec![Watched::default(); containers],
            ending: None,
            deletion: None,
            forced: false,
            terminal: None,
            shown_terminal: None,
            start_time: None,
            conditions: BTreeMap::new(),
            restored_at: 0,
            epoch: 0,
            restart_all: false,
            probes: BTreeMap::new(),
            hooks: BTreeSet::new(),
        }
    }

    pub(crate) fn delete(&mut self, at: u64, deletion: &Deletion, life: &Life) {
        self.deletion.get_or_insert(at);
        self.forced |= deletion.force;
        let grace = deletion
            .grace
            .map_or(life.grace.unwrap_or(30), |grace| grace.as_secs())
            .max(1);
        self.end(at, grace);
    }

    pub(crate) fn evict(&mut self, at: u64, life: &Life) {
        if self.ending.is_none() {
            self.end(at, life.grace.unwrap_or(30).max(1));
        }
    }

    fn end(&mut self, at: u64, grace: u64) {
        let by = at + grace * S;
        match &mut self.ending {
            None => {
                self.ending = Some(Ending {
                    since: at,
                    grace,
                    first: grace,
                    by,
                })
            }
            Some(ending) if grace < ending.grace => {
                ending.grace = grace;
                ending.by = ending.by.min(by);
            }
            Some(_) => {}
        }
    }

    pub(crate) fn deletion_asked(&self) -> bool {
        self.deletion.is_some()
    }

    pub(crate) fn definition_changed(&mut self, index: usize) {
        if index == self.containers.len() {
            self.containers.push(Watched::default());
        }
        self.containers[index].definition_changed = true;
    }

    pub(crate) fn lost(&mut self) {
        for watched in &mut self.containers {
            watched.lost = true;
        }
    }

    pub(crate) fn rebooted(&mut self) {
        for watched in &mut self.containers {
            watched.window = 0;
        }
    }

    /// A crash: what only the machine's memory knew is gone, and so is what nobody was promised.
    pub(crate) fn restored(&mut self, at: u64, record: Option<&Record>, store_fails: bool) {
        self.restored_at = at;
        self.epoch += 1;
        self.probes.clear();
        self.conditions.clear();
        self.start_time = record.and_then(|record| record.status().start_time);
        self.shown_terminal = None;
        for watched in &mut self.containers {
            watched.was_own_kill = watched
                .own_kill
                .take()
                .map(|(attempt, _)| attempt)
                .or(watched.was_own_kill);
            // What could not be written, or was not yet, is not held against the next process.
            if watched.run_error.take().is_some() || store_fails {
                watched.window = 0;
            }
            watched.readiness.2 = 0;
            watched.shown_count = 0;
        }
        if record.is_none_or(|record| record.cause().is_none()) {
            self.ending = None;
            // Shown because it could not be written, and forgotten for the same reason.
            self.terminal = self.terminal.take().filter(|_| !store_fails);
            self.forced = false;
        }
    }

    pub(crate) fn run_error(&mut self, index: usize, at: u64) {
        self.containers[index].run_error = Some(at);
    }

    /// The answer to a probe is handed over; none for a run that was cancelled.
    pub(crate) fn probe_answered(&mut self, ticket: u64, success: Option<bool>) {
        let Some((index, attempt, kind)) = self.probes.remove(&ticket) else {
            return;
        };
        let readiness = &mut self.containers[index].readiness;
        if kind != ProbeKind::Readiness {
            return;
        }
        if readiness.0 != attempt {
            *readiness = (attempt, 0, 0);
        }
        match success {
            Some(true) => (readiness.1, readiness.2) = (readiness.1 + 1, 0),
            Some(false) => readiness.2 += 1,
            None => {}
        }
    }
}

impl World {
    fn breaks(&self, checker: Checker, text: impl Into<String>) -> Result {
        Err(self.broken(checker, text.into()))
    }

    fn ending_since(&self) -> Option<u64> {
        self.checks.ending.map(|ending| ending.since)
    }

    fn on_disk_in_doubt(&self, index: usize, attempt: u32) -> Option<bool> {
        let record = self.disk.as_ref()?;
        let name = ContainerIndex(index as u16);
        Some(record.in_doubt().any(|doubt| doubt == (name, attempt)))
    }

    // Sandboxes.

    pub(crate) fn check_create_sandbox(&mut self, attempt: u32) -> Result {
        if let Some((other, _)) = self.sandboxes.iter().find(|(_, alive)| **alive) {
            return self.breaks(
                Checker::TwoSandboxes,
                format!("{attempt} is made while {other} lives"),
            );
        }
        if self.sandboxes.contains_key(&attempt) {
            return self.breaks(Checker::TwoSandboxes, format!("{attempt} is made twice"));
        }
        if self.disk.as_ref().and_then(Record::sandbox_in_doubt) != Some(attempt) {
            return self.breaks(Checker::PerformBeforePersist, format!("sandbox {attempt}"));
        }
        Ok(())
    }

    pub(crate) fn check_stop_sandbox(&mut self, attempt: u32) -> Result {
        for ((index, number), proc) in self
            .procs
            .iter()
            .filter(|(_, proc)| proc.sandbox == attempt)
        {
            if proc.is_alive() {
                return self.breaks(
                    Checker::StopsLiveSandbox,
                    format!("{index}.{number} lives in it"),
                );
            }
            let known = self.on_disk_in_doubt(*index, *number) == Some(false);
            let matters =
                self.sandboxes.get(&attempt) == Some(&true) && self.checks.deletion.is_none();
            if matters && !known && !proc.acknowledged {
                return self.breaks(Checker::ExitLost, format!("of {index}.{number}"));
            }
        }
        Ok(())
    }

    pub(crate) fn check_teardown(&mut self) -> Result {
        self.check_end()
    }

    pub(crate) fn check_end(&mut self) -> Result {
        if let Some(((index, attempt), _)) = self.procs.iter().find(|(_, proc)| proc.is_alive()) {
            return self.breaks(Checker::LeftAlive, format!("{index}.{attempt}"));
        }
        if let Some((attempt, _)) = self.sandboxes.iter().find(|(_, alive)| **alive) {
            return self.breaks(Checker::LeftAlive, format!("sandbox {attempt}"));
        }
        Ok(())
    }

    pub(crate) fn check_nothing_exists(&mut self) -> Result {
        if self.procs.is_empty() && self.sandboxes.is_empty() {
            return Ok(());
        }
        self.breaks(
            Checker::PerformBeforePersist,
            "something exists of a pod that was never written",
        )
    }

    // Starts.

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
        self.check_init_order(index)?;
        self.check_policy(index)?;
        self.check_back_off(index)?;
        self.check_count(index, attempt, count)
    }

    fn sandbox_now(&self) -> Option<u32> {
        self.sandboxes
            .iter()
            .find(|(_, alive)| **alive)
            .map(|(attempt, _)| *attempt)
    }

    fn check_init_order(&mut self, index: usize) -> Result {
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

    fn newest(&self, index: usize) -> Option<(u32, &super::world::Proc)> {
        let (key, proc) = self.procs.range((index, 0)..(index + 1, 0)).next_back()?;
        Some((key.1, proc))
    }

    fn check_policy(&mut self, index: usize) -> Result {
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
        let own = watched.own_kill.is_some_and(|(of, _)| of == attempt);
        let by_kill = (own || newest.stop_sent.is_some()) && spec.policy != Policy::Never;
        let anew = Some(newest.sandbox) != self.sandbox_now();
        if by_policy
            || by_rule
            || by_kill
            || anew
            || watched.definition_changed
            || self.checks.restart_all
        {
            return Ok(());
        }
        let text = format!("{index} starts after {attempt} exited with {code}; killed: {own}");
        self.breaks(Checker::RestartPolicy, text)
    }

    fn check_back_off(&mut self, index: usize) -> Result {
        let at = self.at();
        let ended = self
            .newest(index)
            .and_then(|(_, proc)| Some((proc.ended_at?, proc.sandbox)));
        let anew = ended.is_some_and(|(_, sandbox)| Some(sandbox) != self.sandbox_now());
        let restart_all = self.checks.restart_all;
        let is_init = self.life.specs[index].role != Role::Regular;
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
        if watched.lost {
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

    fn check_count(&mut self, index: usize, attempt: u32, count: u32) -> Result {
        let watched = &mut self.checks.containers[index];
        let before = watched.count.replace((attempt, count));
        let lost = std::mem::take(&mut watched.lost);
        let Some((earlier, before)) = before.filter(|_| !lost) else {
            return Ok(());
        };
        let least = before + u32::from(self.procs.contains_key(&(index, earlier)));
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

    // Ends.

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
                self.check_sidecar_turn(index, attempt)?;
                let skipped = self.life.specs[index].pre_stop
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

    fn check_sidecar_turn(&mut self, index: usize, attempt: u32) -> Result {
        let Some(ending) = self.checks.ending else {
            return Ok(());
        };
        let watched = &self.checks.containers[index];
        let own_kill = watched.own_kill.is_some_and(|(of, _)| of == attempt)
            || watched.was_own_kill == Some(attempt);
        let exempt = own_kill || self.checks.forced || self.life.options.strict_deadline.is_some();
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
            if proc.kill_sent.is_some() {
                continue;
            }
            let own = self.checks.containers[*index].own_kill.is_some();
            let ending = self.checks.ending;
            let grace = match ending {
                Some(ending) if !own => ending.first.max(2),
                ending => self
                    .life
                    .container_grace(*index)
                    .max(ending.map_or(0, |ending| ending.grace)),
            };
            let by_stop = proc.stop_sent.map(|sent| sent + grace * S);
            let by_end =
                ending.map(|ending| ending.by.max(proc.started_at + ending.grace * S) + 4 * S);
            let Some(by) = by_stop.into_iter().chain(by_end).min() else {
                continue;
            };
            // A Node that comes back late sends the stop signal first, and then gives the least there is.
            let by = by.max(self.checks.restored_at + 2 * S) + slack;
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

    /// A container with a liveness probe is probed, in every attempt.
    fn check_probes_run(&self, index: usize, attempt: u32, started: u64) -> Result {
        let spec = &self.life.specs[index];
        let Some(probe) = spec.liveness else {
            return Ok(());
        };
        let quiet = spec.startup.is_some() || spec.post_start || self.checks.ending.is_some();
        let proc = &self.procs[&(index, attempt)];
        let watched = &self.checks.containers[index];
        let own = watched.own_kill.is_some_and(|(of, _)| of == attempt);
        if quiet
            || own
            || proc.stop_sent.is_some()
            || watched.stray.contains(&attempt)
            || watched.definition_changed
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

    // What is told and shown.

    pub(crate) fn check_change(&mut self, change: Change) -> Result {
        let at = self.at();
        match change {
            Change::Terminating(cause) => {
                let grace = self.life.grace.unwrap_or(30).max(1);
                if cause == Cause::Finished {
                    self.check_verdicts()?;
                }
                if self.checks.ending.is_none() {
                    self.checks.end(at, grace);
                }
                Ok(())
            }
            Change::Container {
                container,
                attempt,
                change,
            } => {
                let watched = &mut self.checks.containers[container.as_usize()];
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
    fn check_verdicts(&mut self) -> Result {
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

    pub(crate) fn check_published(&mut self, status: &PodStatus) -> Result {
        self.check_phase(status)?;
        self.check_conditions(status)?;
        for (index, spec) in self.life.specs.iter().enumerate() {
            let list = match spec.role {
                Role::Regular => &status.container_statuses,
                Role::Init | Role::Sidecar => &status.init_container_statuses,
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
        }
        for (index, spec) in self.life.specs.iter().enumerate() {
            let mut all = status
                .container_statuses
                .iter()
                .chain(&status.init_container_statuses);
            if let Some(shown) = all.find(|shown| shown.name == spec.name) {
                self.checks.containers[index].shown_count = shown.restart_count;
            }
        }
        Ok(())
    }

    fn check_ready(&self, index: usize, shown: &ContainerStatus) -> Result {
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

    fn check_phase(&mut self, status: &PodStatus) -> Result {
        let is_terminal = matches!(status.phase, Some(Phase::Succeeded | Phase::Failed));
        if let Some(before) = &self.checks.shown_terminal {
            if status.phase.as_ref() != Some(before) {
                return self.breaks(
                    Checker::TerminalLeft,
                    format!("{before} became {:?}", status.phase),
                );
            }
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

    fn check_conditions(&mut self, status: &PodStatus) -> Result {
        for condition in &status.conditions {
            let name = condition.type_.to_string();
            let now = (condition.status.clone(), condition.last_transition_time);
            let whole = |at: Option<Wall>| at.map(|at| at.as_nanos() / S as i64);
            if let Some(before) = self.checks.conditions.get(&name) {
                if before.0 == now.0 && whole(before.1) != whole(now.1) {
                    return self.breaks(
                        Checker::StatusTransition,
                        format!("{name}: the time changed, not the status"),
                    );
                }
            }
            if self.checks.conditions.get(&name) != Some(&now) {
                self.checks.conditions.insert(name, now);
            }
        }
        Ok(())
    }
}
