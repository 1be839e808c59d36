//! A machine from its record and from what the world looks like now: complete, before anything is planned.

use super::attempt::{AttemptState, SandboxState};
use super::fault::Fault;
use super::input::{Observed, SandboxVerdict, Verdict};
use super::killing::state_of;
use super::machine::{PodMachine, set_periods, whole_seconds};
use super::output::{Change, ContainerIndex};
use super::record::{ContainerRecord, List, Record, Stage};
use super::rules::grace::MINIMUM_GRACE;
use super::rules::shape::{ContainerView, Shape};
use super::state::State;
use super::timer::{ContainerTimer, Due};
use crate::error::{Error, Kind, Result};
use crate::model::{Container, EphemeralContainer, Pod, PodOptions, Valid};
use crate::time::{Mono, Now};

impl PodMachine {
    /// Takes a pod up again where another process left it: with the manifest, the options and the record that were
    /// written last, and one verdict for everything in doubt ([`Record::in_doubt`], [`Record::sandbox_in_doubt`]).
    ///
    /// # Errors
    /// [`Kind::Invalid`] if a verdict is missing. Nothing is lost by asking again.
    pub fn restore(
        pod: Valid<Pod>,
        options: PodOptions,
        record: Record,
        observed: Observed,
        now: Now,
    ) -> Result<PodMachine> {
        PodMachine::restore_with(Fault::None, pod, options, record, observed, now)
    }

    /// The same, with a mistake.
    #[doc(hidden)]
    pub fn restore_with(
        fault: Fault,
        pod: Valid<Pod>,
        options: PodOptions,
        mut record: Record,
        observed: Observed,
        now: Now,
    ) -> Result<PodMachine> {
        let mut now = Now {
            wall: now.wall.max(record.saved.wall),
            ..now
        };
        if observed.same_boot {
            now.mono = now.mono.max(record.saved.mono);
            is_complete(&record, &observed)?;
        } else {
            reboot(&mut record, now);
        }
        let mut shape = shape_of(&pod, &record);
        set_periods(&mut shape, &options);
        let added = record.containers.len()..;
        // Whose coming or going may not have reached the pod's cgroup.
        let changed = shape.containers.len() > added.start || !shape.removed.is_empty();
        for view in &shape.containers[added] {
            record.add(view);
        }
        let mut machine = PodMachine::around(pod, options, shape, record, now);
        machine.fault = fault;
        machine.accepted = true;
        machine.end_written = machine.record.ending.is_some();
        machine.notify(Change::Restored);
        machine.hear(observed);
        machine.resume();
        if changed && machine.record.ending.is_none() {
            machine.resize_pod();
        }
        machine.must_write();
        machine.settle();
        machine.write();
        Ok(machine)
    }

    fn hear(&mut self, observed: Observed) {
        let piecemeal = self.injected(Fault::RestoredPiecemeal);
        let (sandbox, attempts) = match observed.same_boot {
            _ if piecemeal => (SandboxVerdict::Gone, Vec::new()),
            true => (observed.sandbox, observed.attempts),
            false => (SandboxVerdict::Gone, gone(observed.attempts)),
        };
        let intended = self.hear_sandbox(sandbox);
        let asked: Vec<(ContainerIndex, u32)> = self.record.in_doubt().collect();
        for index in 0..self.containers.len() {
            let doubts: Vec<u32> = self.record.containers[index].in_doubt().collect();
            for attempt in doubts {
                let doubt = (self.name(index), attempt);
                let verdict = attempts
                    .iter()
                    .find(|(at, number, _)| (*at, *number) == doubt);
                let verdict = verdict.map_or(Verdict::Gone, |(_, _, verdict)| verdict.clone());
                self.hear_attempt(index, attempt, verdict);
            }
            let record = &mut self.record.containers[index];
            record.settled = record.reserved;
        }
        for (container, attempt, verdict) in attempts {
            if asked.contains(&(container, attempt)) {
                continue;
            }
            self.hear_unasked(container.as_usize(), attempt, verdict);
        }
        // What ran in it shows that it was made: that it is gone is another matter, to be decided anew.
        let ran_in = |sandbox| {
            let mut newest = self
                .record
                .containers
                .iter()
                .filter_map(|container| container.attempts.first());
            newest.any(|attempt| attempt.sandbox == sandbox)
        };
        if intended.is_some_and(ran_in) {
            self.record.rebuild = false;
        }
    }

    /// Says which sandbox was about to be made.
    fn hear_sandbox(&mut self, verdict: SandboxVerdict) -> Option<u32> {
        let attempt = self.record.sandbox_in_doubt()?;
        let intended = self.record.sandbox.settled < self.record.sandbox.reserved;
        self.record.sandbox.settled = self.record.sandbox.reserved;
        match verdict {
            SandboxVerdict::Running { ip } if intended => self.adopt_sandbox(attempt, ip),
            SandboxVerdict::Running { ip } => {
                if let Some(sandbox) = &mut self.record.sandbox.newest {
                    sandbox.ip = ip;
                }
            }
            // What is left of it, half made or dead, is stopped before another is made.
            SandboxVerdict::Gone => {
                let rebuild = self.record.rebuild;
                if intended {
                    self.adopt_sandbox(attempt, None);
                }
                self.record.rebuild = rebuild;
                if let Some(sandbox) = &mut self.record.sandbox.newest {
                    sandbox.state = SandboxState::NotReady;
                }
            }
        }
        intended.then_some(attempt)
    }

    /// The verdict on an attempt in doubt.
    fn hear_attempt(&mut self, index: usize, attempt: u32, verdict: Verdict) {
        let known = self.record.containers[index]
            .alive()
            .map(|alive| alive.number)
            == Some(attempt);
        if known {
            return match verdict {
                Verdict::Running { .. } => self.adopt(index),
                Verdict::Exited(exit) => {
                    self.adopt(index);
                    self.ended(index, exit.into());
                    self.acknowledge(index, attempt);
                }
                Verdict::NeverStarted | Verdict::Gone => {
                    self.adopt(index);
                    self.lost(index);
                }
            };
        }
        match verdict {
            Verdict::Running { started } => {
                self.record.containers[index].settled = attempt;
                self.push_attempt(index, AttemptState::Running { started });
                self.record.containers[index].post_start_due =
                    self.shape.containers[index].post_start;
                self.adopt(index);
            }
            Verdict::Exited(exit) => {
                self.record.containers[index].settled = attempt;
                self.containers[index].state = State::Starting;
                self.exited(index, attempt, exit.into());
            }
            Verdict::NeverStarted => {}
            Verdict::Gone => {
                self.record.containers[index].settled = attempt;
                self.containers[index].state = State::Starting;
                self.may_have_run(index);
            }
        }
    }

    /// The state that the record of a living attempt tells.
    fn adopt(&mut self, index: usize) {
        let record = &self.record.containers[index];
        let state = match &record.kill {
            Some(kill) => state_of(kill.stage),
            None if record.post_start_due => State::PostStart,
            None => State::Running,
        };
        self.containers[index].state = state;
    }

    /// Pause knows more than was asked.
    fn hear_unasked(&mut self, index: usize, attempt: u32, verdict: Verdict) {
        let Some(record) = self.record.containers.get(index) else {
            return;
        };
        let state = record
            .attempts
            .iter()
            .find(|known| known.number == attempt)
            .map(|known| &known.state);
        match (state, verdict) {
            (Some(AttemptState::Exited(_)), Verdict::Exited(_)) => self.acknowledge(index, attempt),
            (Some(AttemptState::Exited(_)) | None, Verdict::Running { .. }) => {
                self.kill_stray(index, attempt)
            }
            (None, Verdict::Exited(_)) => self.discard(index, attempt),
            _ => {}
        }
    }

    /// Goes on with what the record says was going on.
    fn resume(&mut self) {
        self.begin_life();
        if self.record.ending.is_none() {
            self.look_at_resources();
        }
        for index in 0..self.containers.len() {
            self.remove_remains(index);
            let name = self.shape.containers[index].name.clone();
            self.containers[index].probes.was_started = self.showed_started(&name);
            match self.containers[index].state {
                State::PostStart => self.perform_post_start(index),
                State::Running => self.begin_probes(index),
                state if state.is_ending() => self.resume_kill(index),
                _ => {}
            }
        }
    }

    fn resume_kill(&mut self, index: usize) {
        let now = self.now.mono;
        let Some(kill) = &mut self.record.containers[index].kill else {
            return;
        };
        // Nobody knows whether the hook ran, or the stop signal was sent: it is done again, and has its least time.
        if matches!(kill.stage, Stage::PreStop | Stage::Stop) && kill.strict.is_none() {
            kill.until = kill.until.max(now + whole_seconds(MINIMUM_GRACE));
        }
        let (stage, until) = (kill.stage, kill.until);
        if !self.injected(Fault::DeadlineNotRearmed) {
            self.timers
                .arm(Due::Container(index, ContainerTimer::Step), until);
        }
        self.perform_stage(index, stage);
    }

    fn showed_started(&self, name: &str) -> bool {
        let status = &self.record.status;
        let mut all = status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses);
        all.any(|shown| shown.name == name && shown.started == Some(true))
    }
}

/// What was true before a boot: what ran is gone, and how it ended with it.
fn gone(mut attempts: Vec<(ContainerIndex, u32, Verdict)>) -> Vec<(ContainerIndex, u32, Verdict)> {
    attempts.retain(|(.., verdict)| *verdict == Verdict::NeverStarted);
    attempts
}

fn is_complete(record: &Record, observed: &Observed) -> Result<()> {
    let heard = |doubt: (ContainerIndex, u32)| {
        observed
            .attempts
            .iter()
            .any(|(at, number, _)| (*at, *number) == doubt)
    };
    match record.in_doubt().find(|doubt| !heard(*doubt)) {
        None => Ok(()),
        Some((container, attempt)) => {
            let name = record
                .container(container)
                .map_or("", ContainerRecord::name);
            Err(Error::new(
                Kind::Invalid,
                "restore a pod from its record and what was observed",
                format!("nothing was said of attempt {attempt} of container {name:?}"),
            )
            .cure("ask pause about every attempt in doubt first"))
        }
    }
}

/// The shape with the indexes that the record uses: containers of the manifest that it does not know yet come last.
fn shape_of(pod: &Pod, record: &Record) -> Shape {
    let mut shape = Shape::new(&Pod::default());
    shape.uid = pod.metadata.uid.as_deref().unwrap_or_default().into();
    shape.containers = record.containers.iter().filter_map(place).collect();
    shape.amend(pod);
    shape
}

/// An empty container of that name and list, which the manifest's takes the place of.
fn place(record: &ContainerRecord) -> Option<ContainerView> {
    let name = record.name().to_owned();
    let mut pod = Pod::default();
    match record.list {
        List::Init => pod.spec.init_containers.push(Container::new(name, "")),
        List::Regular => pod.spec.containers.push(Container::new(name, "")),
        List::Ephemeral => pod.spec.ephemeral_containers.push(EphemeralContainer {
            name,
            ..EphemeralContainer::default()
        }),
    }
    Shape::new(&pod).containers.pop()
}

/// Another boot: nothing lives, back-off starts over, and deadlines are rebuilt from the wall clock.
fn reboot(record: &mut Record, now: Now) {
    let saved = record.saved;
    let away =
        u64::try_from(now.wall.as_nanos().saturating_sub(saved.wall.as_nanos())).unwrap_or(0);
    let away = std::time::Duration::from_nanos(away);
    let rebase = |at: Mono| now.mono + (at - saved.mono).saturating_sub(away);
    record.active_deadline = record.active_deadline.map(rebase);
    if let Some(ending) = &mut record.ending {
        ending.strict = ending.strict.map(rebase);
    }
    for container in &mut record.containers {
        container.crash = None;
        container.pull = None;
        for attempt in &mut container.attempts {
            attempt.created.mono = Mono::ZERO;
            match &mut attempt.state {
                AttemptState::Running { started } => started.mono = Mono::ZERO,
                AttemptState::Exited(exit) => exit.finished.mono = Mono::ZERO,
                AttemptState::Created | AttemptState::Unknown => {}
            }
        }
    }
    record.created.mono = Mono::ZERO;
}
