//! What must hold, whatever happens. The checkers know the spec and what the world saw; they do not ask the machine.

use std::collections::{BTreeMap, BTreeSet};

use podlife::lifecycle::{ContainerIndex, Deletion, KillReason, ProbeKind, Record};
use podlife::model::{ConditionStatus, Phase};
use podlife::time::Wall;

use super::facts::Shown;
use super::life::{Life, S};
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
    Definition,
    BackOff,
    RestartCount,
    VerdictKept,
    FinishedEarly,
    Readiness,
    ProbesRun,
    TerminalLeft,
    TerminalWhileAlive,
    StatusTransition,
    RecordExplained,
    LateTicket,
    ResizeShown,
    ResizeLost,
    Replay,
    Panicked,
    Stuck,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) checker: Checker,
    pub(crate) text: String,
}

pub(crate) type Result = std::result::Result<(), Broken>;

/// What the checkers remember.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) containers: Vec<Watched>,
    /// Since when the pod is to end, and by when that must be over.
    pub(crate) ending: Option<Ending>,
    pub(crate) deletion: Option<u64>,
    pub(crate) forced: bool,
    pub(crate) terminal: Option<Phase>,
    /// The same, as this process showed it.
    pub(crate) shown_terminal: Option<Phase>,
    pub(crate) start_time: Option<Wall>,
    pub(crate) conditions: BTreeMap<String, (ConditionStatus, Option<Wall>)>,
    pub(crate) restored_at: u64,
    pub(crate) epoch: u64,
    /// Some exit asked for a restart of all.
    pub(crate) restart_all: bool,
    pub(crate) probes: BTreeMap<u64, (usize, u32, ProbeKind)>,
    pub(crate) hooks: BTreeSet<(usize, u32, bool, u64)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) since: u64,
    /// The grace period in force, and when that one began.
    pub(crate) grace: u64,
    /// What was in force at first.
    pub(crate) first: u64,
    pub(crate) by: u64,
    /// After which input that was shortened, and what it was before.
    pub(crate) before: Option<(u64, u64, u64)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// Started last, when, with which count.
    pub(crate) started: Option<(u32, u64)>,
    pub(crate) count: Option<(u32, u32)>,
    /// The newest end: attempt, when; -1 for a start that came to nothing.
    pub(crate) run_error: Option<u64>,
    pub(crate) window: u64,
    /// Killed for a reason of its own: the attempt.
    pub(crate) own_kill: Option<(u32, KillReason)>,
    /// The same, before a crash: perhaps forgotten since.
    pub(crate) was_own_kill: Option<u32>,
    /// The attempt whose liveness or startup probe failed last: it may be about to be killed.
    pub(crate) failed: Option<u32>,
    pub(crate) stray: BTreeSet<u32>,
    pub(crate) changed_at: u64,
    pub(crate) lost: bool,
    /// Other resources were granted since its last start: what held it back is forgotten.
    pub(crate) granted: bool,
    /// Somebody wanted it restarted, for its resources or for nothing.
    pub(crate) wished: bool,
    pub(crate) shown_count: i32,
    pub(crate) shown: Option<Shown>,
    pub(crate) readiness: (u32, u64, u64),
    pub(crate) probed: BTreeMap<ProbeKind, (u32, u64)>,
    pub(crate) hook_done: BTreeSet<(u32, bool)>,
}

impl Watched {
    /// Whether this attempt is, or was, to end for a reason of its own.
    pub(crate) fn is_own_kill(&self, attempt: u32) -> bool {
        self.own_kill.is_some_and(|(of, _)| of == attempt) || self.was_own_kill == Some(attempt)
    }
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

    pub(crate) fn delete(&mut self, at: u64, turn: u64, deletion: &Deletion, life: &Life) {
        self.deletion.get_or_insert(at);
        self.forced |= deletion.force;
        let grace = deletion
            .grace
            .map_or(life.grace.unwrap_or(30), |grace| grace.as_secs())
            .max(1);
        self.end(at, turn, grace);
    }

    pub(crate) fn evict(&mut self, at: u64, life: &Life) {
        if self.ending.is_none() {
            self.end(at, 0, life.grace.unwrap_or(30).max(1));
        }
    }

    /// A shorter grace period that was not written is forgotten by a crash.
    pub(crate) fn forget_unwritten(&mut self, disk_turn: u64) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        let unwritten = ending.before.take_if(|(turn, ..)| disk_turn < *turn);
        if let Some((_, grace, by)) = unwritten {
            (ending.grace, ending.by) = (grace, by);
        }
    }

    pub(crate) fn end(&mut self, at: u64, turn: u64, grace: u64) {
        let by = at + grace * S;
        match &mut self.ending {
            None => {
                self.ending = Some(Ending {
                    since: at,
                    grace,
                    first: grace,
                    by,
                    before: None,
                })
            }
            Some(ending) if grace < ending.grace => {
                ending.before = Some((turn, ending.grace, ending.by));
                ending.grace = grace;
                ending.by = ending.by.min(by);
            }
            Some(_) => {}
        }
    }

    pub(crate) fn deletion_asked(&self) -> bool {
        self.deletion.is_some()
    }

    pub(crate) fn definition_changed(&mut self, index: usize, at: u64) {
        if index == self.containers.len() {
            self.containers.push(Watched::default());
        }
        self.containers[index].changed_at = at;
        self.containers[index].window = 0; // another image is another thing to try
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

    /// Who is told to end while the pod is not ending ends for a reason of its own, though nobody was told of it.
    pub(crate) fn told_to_end(&mut self, index: usize, attempt: u32) {
        if self.ending.is_none() {
            self.containers[index].was_own_kill = Some(attempt);
        }
    }

    /// That the pod ends was written then, and perhaps never told.
    pub(crate) fn ends_unheard(&mut self, written: u64, life: &Life) {
        if self.ending.is_none() {
            self.end(written, 0, life.grace.unwrap_or(30).max(1));
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
                .or(watched.failed)
                .or(watched.was_own_kill);
            // What could not be written, or was not yet, is not held against the next process.
            if watched.run_error.take().is_some() || store_fails {
                watched.window = 0;
            }
            watched.lost |= store_fails;
            watched.readiness.2 = 0;
            watched.shown_count = 0;
            watched.shown = None;
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
        let Watched {
            readiness, failed, ..
        } = &mut self.containers[index];
        if kind != ProbeKind::Readiness {
            if success == Some(false) {
                failed.replace(attempt);
            }
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
    pub(crate) fn breaks(&self, checker: Checker, text: impl Into<String>) -> Result {
        Err(self.broken(checker, text.into()))
    }

    pub(crate) fn ending_since(&self) -> Option<u64> {
        self.checks.ending.map(|ending| ending.since)
    }

    pub(crate) fn on_disk_in_doubt(&self, index: usize, attempt: u32) -> Option<bool> {
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
}
