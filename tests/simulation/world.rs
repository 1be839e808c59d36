//! The world a machine lives in: pause, containers, a disk, a user; and crashes.

use std::collections::BTreeMap;
use std::time::Duration;

use podlife::lifecycle::history::History;
use podlife::lifecycle::{
    Action, Change, ContainerIndex, Deletion, Eviction, Exit, Failure, Fault, Finding, Hook,
    ImageStep, Input, Observed, Outcome, Output, Persisted, PodMachine, ProbeKind, Record,
    SandboxVerdict, Signal, Ticket, Verdict,
};
use podlife::time::{Mono, Now, Wall};

use super::check::{Broken, Checker, Checks};
use super::dice::Dice;
use super::life::{Life, MS, S};

/// Longer than any life should take.
const OUTPUTS: u64 = 60_000;

/// A process of a container, as pause knows it.
#[derive(Clone, Debug)]
pub(crate) struct Proc {
    pub(crate) sandbox: u32,
    pub(crate) started: Now,
    pub(crate) started_at: u64,
    pub(crate) ended_at: Option<u64>,
    pub(crate) exit: Option<Exit>,
    /// Pause may have forgotten it.
    pub(crate) acknowledged: bool,
    pub(crate) removed: bool,
    pub(crate) stop_sent: Option<u64>,
    stop_turn: u64,
    pub(crate) kill_sent: Option<u64>,
    /// When its startup probe will succeed.
    startup_at: Option<u64>,
}

impl Proc {
    pub(crate) fn is_alive(&self) -> bool {
        self.exit.is_none()
    }
}

#[derive(Clone, Debug)]
enum Event {
    Answer(Ticket, Outcome),
    SandboxUp(Ticket, u32),
    Started(Ticket, usize, u32, Option<u32>),
    Exit(usize, u32, i32, Option<i32>),
    TellExit(usize, u32),
    Written(Box<Record>, u64, bool),
    Delete(Deletion),
    Evict,
    Update,
    PauseDies,
}

pub(crate) struct World {
    pub(crate) life: Life,
    pub(crate) dice: Dice,
    /// Nanoseconds since the beginning of this world; the boot it is in began at `boot`.
    pub(crate) clock: u64,
    boot: u64,
    wall: i64,
    pub(crate) procs: BTreeMap<(usize, u32), Proc>,
    pub(crate) sandboxes: BTreeMap<u32, bool>,
    pub(crate) disk: Option<Record>,
    /// The boot it was written in, and after which input.
    disk_boot: u64,
    disk_turn: u64,
    turn: u64,
    pub(crate) checks: Checks,
    pub(crate) fired: bool,
    pub(crate) crashed: u64,
    pub(crate) outputs: u64,
    pub(crate) inputs: u64,
    pub(crate) trace: Option<Vec<String>>,
    machine: Option<PodMachine>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    wait: Option<Mono>,
    deleted: bool,
    fault: Fault,
    /// Crash exactly before this output, instead of at random.
    crash_at: Option<u64>,
    crashes_left: u64,
    stale: Vec<Ticket>,
    starts: BTreeMap<Ticket, usize>,
    /// What the machine was told, in some lives.
    history: Option<History>,
    keeps_history: bool,
}

/// How a life went.
pub(crate) struct Outcomes {
    pub(crate) broken: Option<Broken>,
    pub(crate) fired: bool,
    pub(crate) crashed: u64,
    pub(crate) outputs: u64,
    pub(crate) inputs: u64,
    pub(crate) trace: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, fault: Fault, crash_at: Option<u64>, trace: bool) -> World {
        let mut dice = Dice::new(seed);
        let mut life = Life::random(&mut dice);
        if crash_at.is_some() {
            life.crashes = 0;
        }
        let checks = Checks::new(life.specs.len());
        World {
            life,
            dice,
            clock: 1_000 * S,
            boot: 0,
            wall: 1_700_000_000 * S as i64,
            procs: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            disk: None,
            disk_boot: 0,
            disk_turn: 0,
            turn: 0,
            checks,
            fired: false,
            crashed: 0,
            outputs: 0,
            inputs: 0,
            trace: trace.then(Vec::new),
            machine: None,
            queue: BTreeMap::new(),
            sequence: 0,
            wait: None,
            deleted: false,
            fault,
            crash_at,
            crashes_left: 25,
            stale: Vec::new(),
            starts: BTreeMap::new(),
            history: None,
            keeps_history: seed % 8 == 0 && fault == Fault::None,
        }
    }

    /// Lives this life to its end.
    pub(crate) fn live(mut self) -> Outcomes {
        let result = self.run();
        self.take_fired();
        Outcomes {
            broken: result.err(),
            fired: self.fired,
            crashed: self.crashed,
            outputs: self.outputs,
            inputs: self.inputs,
            trace: self.trace.unwrap_or_default(),
        }
    }

    fn run(&mut self) -> Result<(), Broken> {
        self.plan_events();
        self.create();
        loop {
            self.pump()?;
            if self.deleted {
                self.check_end()?;
                return self.check_history();
            }
            self.advance()?;
        }
    }

    /// Told the same, another machine comes to the same.
    fn check_history(&mut self) -> Result<(), Broken> {
        let (Some(history), Some(machine)) = (&self.history, &self.machine) else {
            return Ok(());
        };
        let again = match history.replay(|_, _, _| {}) {
            Ok(again) => again,
            Err(error) => return Err(self.broken(Checker::Replay, error.to_string())),
        };
        // As text: a record that was read back knows whole seconds only.
        let text =
            |machine: &PodMachine| serde_json::to_string(machine.status()).expect("a status");
        if text(&again) == text(machine) {
            return Ok(());
        }
        let text = format!("{}\n instead of\n{}", text(&again), text(machine));
        Err(self.broken(Checker::Replay, text))
    }

    fn plan_events(&mut self) {
        let start = self.at();
        let life = &self.life;
        let delete = Deletion {
            grace: life.delete_grace.map(Duration::from_secs),
            force: life.force,
            strict_deadline: None,
        };
        let mut events = vec![(life.delete_at, Event::Delete(delete))];
        if let Some((later, grace)) = life.second_delete {
            let grace = Some(Duration::from_secs(grace));
            events.push((
                life.delete_at + later,
                Event::Delete(Deletion {
                    grace,
                    ..Deletion::default()
                }),
            ));
        }
        events.extend(life.evict_at.map(|at| (at, Event::Evict)));
        events.extend(life.update_at.map(|at| (at, Event::Update)));
        events.extend(life.pause_dies_at.map(|at| (at, Event::PauseDies)));
        for (at, event) in events {
            self.push(start + at, event);
        }
    }

    fn create(&mut self) {
        if self.keeps_history {
            self.history = Some(History::begin(
                self.life.pod(),
                self.life.options.clone(),
                self.now(),
            ));
        }
        let mut machine = PodMachine::new(self.life.pod(), self.life.options.clone(), self.now());
        machine.inject(self.fault);
        self.machine = Some(machine);
    }

    pub(crate) fn at(&self) -> u64 {
        self.clock
    }

    /// What the machine is told of it.
    fn now(&self) -> Now {
        Now {
            mono: Mono::from_nanos(self.clock - self.boot),
            wall: Wall::from_nanos(self.wall),
        }
    }

    fn push(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at.max(self.at()), self.sequence), event);
    }

    fn after(&mut self, span: u64, event: Event) {
        self.push(self.at() + span, event);
    }

    fn note(&mut self, text: impl FnOnce(&World) -> String) {
        if self.trace.is_some() {
            let line = format!(
                "{:>14.6} {}",
                self.at() as f64 / S as f64 - 1000.0,
                text(self)
            );
            self.trace.get_or_insert_default().push(line);
        }
    }

    fn take_fired(&mut self) {
        self.fired |= self.machine.as_ref().is_some_and(PodMachine::fired);
    }

    // Time and inputs.

    fn advance(&mut self) -> Result<(), Broken> {
        let event = self.queue.keys().next().map(|(at, _)| *at);
        let tick = self
            .wait
            .map(|at| at.as_nanos().saturating_add(self.boot).max(self.clock));
        let at = match (event, tick) {
            (None, None) => {
                return Err(self.broken(Checker::Stuck, "nothing will ever happen any more".into()));
            }
            (event, tick) => event.unwrap_or(u64::MAX).min(tick.unwrap_or(u64::MAX)),
        };
        self.pass(at);
        self.check_time()?;
        if event == Some(at) {
            if let Some(((_, _), event)) = self.queue.pop_first() {
                return self.happen(event);
            }
        }
        // A timer is late now and then.
        if self.dice.permille(20) {
            let late = self.dice.below(100) * MS;
            let next = event.unwrap_or(u64::MAX);
            self.pass((at + late).min(next));
        }
        self.handle(Input::Tick)
    }

    /// Time goes on; the wall clock jumps now and then.
    fn pass(&mut self, at: u64) {
        let span = at.saturating_sub(self.at());
        self.clock += span;
        self.wall += span as i64;
        if self.dice.permille(2) {
            let jump = self.dice.below(7_200) as i64 - 3_600;
            self.wall += jump * S as i64;
        }
    }

    fn handle(&mut self, input: Input) -> Result<(), Broken> {
        self.inputs += 1;
        self.turn += u64::from(!matches!(input, Input::Persisted(_)));
        self.note(|_| format!("-> {input:?}"));
        if let (Some(history), true) = (&mut self.history, self.machine.is_some()) {
            let mono = Mono::from_nanos(self.clock - self.boot);
            history.push(
                Now {
                    mono,
                    wall: Wall::from_nanos(self.wall),
                },
                input.clone(),
            );
        }
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        machine.handle(
            Now {
                mono: Mono::from_nanos(self.clock - self.boot),
                wall: Wall::from_nanos(self.wall),
            },
            input,
        );
        self.check_status()
    }

    fn check_status(&mut self) -> Result<(), Broken> {
        let Some(machine) = self.machine.take() else {
            return Ok(());
        };
        let result = self.check_published(machine.status());
        self.machine = Some(machine);
        result
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Answer(ticket, outcome) => self.answer(ticket, outcome),
            Event::SandboxUp(ticket, attempt) => {
                self.sandboxes.insert(attempt, true);
                self.answer(
                    ticket,
                    Outcome::Sandbox {
                        ip: Some("10.0.0.7".into()),
                    },
                )
            }
            Event::Started(ticket, index, attempt, sandbox) => {
                self.start_takes_effect(ticket, index, attempt, sandbox)
            }
            Event::Exit(index, attempt, code, signal) => {
                self.exit(index, attempt, code, signal);
                Ok(())
            }
            Event::TellExit(index, attempt) => self.tell_exit(index, attempt),
            Event::Written(record, turn, ok) => self.written(*record, turn, ok),
            Event::Delete(deletion) => {
                self.checks.delete(self.clock, &deletion, &self.life);
                self.handle(Input::Delete(deletion))
            }
            Event::Evict => {
                self.checks.evict(self.clock, &self.life);
                let eviction = Eviction {
                    reason: "Evicted".into(),
                    message: "a random eviction".into(),
                    grace: None,
                };
                self.handle(Input::Evict(eviction))
            }
            Event::Update => {
                let index = self.life.change(&mut self.dice);
                self.checks.definition_changed(index);
                let pod = self.life.pod();
                self.handle(Input::Update(pod))
            }
            Event::PauseDies => self.pause_dies(),
        }
    }

    /// An answer, sometimes twice. What nobody waits for must change nothing.
    fn answer(&mut self, ticket: Ticket, outcome: Outcome) -> Result<(), Broken> {
        let is_stale = self.stale.contains(&ticket);
        if is_stale {
            return self.answer_stale(ticket, outcome);
        }
        self.note_answer(ticket, &outcome);
        if self.dice.permille(10) {
            self.handle(Input::Done(ticket, outcome.clone()))?;
            self.pump()?;
            return self.answer_stale(ticket, outcome);
        }
        self.handle(Input::Done(ticket, outcome))
    }

    fn note_answer(&mut self, ticket: Ticket, outcome: &Outcome) {
        let success = match outcome {
            Outcome::Probe(Finding::Success | Finding::Warning) => Some(true),
            Outcome::Probe(Finding::Failure) => Some(false),
            _ => None,
        };
        self.checks.probe_answered(ticket.as_u64(), success);
        if let (Some(index), Outcome::Failed(failure)) = (self.starts.remove(&ticket), outcome) {
            if failure.reason == "RunContainerError" {
                self.checks.run_error(index, self.clock);
            }
        }
    }

    fn answer_stale(&mut self, ticket: Ticket, outcome: Outcome) -> Result<(), Broken> {
        // What is due now is not the answer's effect.
        self.handle(Input::Tick)?;
        self.pump()?;
        let Some(machine) = &self.machine else {
            return Ok(());
        };
        if self.deleted {
            return Ok(());
        }
        let before = (machine.record().clone(), machine.status().clone());
        let outputs = self.outputs;
        self.handle(Input::Done(ticket, outcome.clone()))?;
        let crashed = self.crashed;
        self.pump()?;
        let Some(machine) = &self.machine else {
            return Ok(());
        };
        let same = before == (machine.record().clone(), machine.status().clone())
            && outputs == self.outputs;
        if crashed == self.crashed && !same {
            return Err(self.broken(
                Checker::LateTicket,
                format!("{ticket:?} {outcome:?} had an effect"),
            ));
        }
        Ok(())
    }

    // Outputs.

    fn pump(&mut self) -> Result<(), Broken> {
        loop {
            let Some(machine) = &mut self.machine else {
                return Ok(());
            };
            let output = machine.poll_output();
            if let Output::Wait(until) = output {
                self.wait = until;
                return Ok(());
            }
            self.outputs += 1;
            if self.outputs > OUTPUTS {
                return Err(self.broken(Checker::Stuck, "too many outputs".into()));
            }
            if self.crashes_here() {
                self.note(|_| format!("crash before {output:?}"));
                self.crash()?;
                continue;
            }
            self.note(|_| format!("   {output:?}"));
            self.perform(output)?;
            if self.deleted {
                return Ok(());
            }
        }
    }

    fn crashes_here(&mut self) -> bool {
        match self.crash_at {
            Some(at) => at == self.outputs,
            None => self.crashes_left > 0 && self.dice.permille(self.life.crashes),
        }
    }

    fn perform(&mut self, output: Output) -> Result<(), Broken> {
        match output {
            Output::Persist => self.persist(),
            Output::Perform(ticket, action) => self.act(ticket, action),
            Output::Cancel(ticket) => {
                self.cancel(ticket);
                Ok(())
            }
            Output::Notify(change) => {
                self.deleted = change == Change::Deleted;
                self.check_change(change)
            }
            Output::Wait(_) => Ok(()),
        }
    }

    fn persist(&mut self) -> Result<(), Broken> {
        let Some(machine) = &self.machine else {
            return Ok(());
        };
        let record = machine.record().clone();
        let ok = !self.dice.permille(self.life.store_fails);
        if self.life.slow_store {
            let span = self.dice.below(5) * MS;
            let turn = self.turn;
            self.after(span, Event::Written(Box::new(record), turn, ok));
            return Ok(());
        }
        self.written(record, self.turn, ok)
    }

    fn written(&mut self, record: Record, turn: u64, ok: bool) -> Result<(), Broken> {
        if ok {
            self.disk = Some(record);
            self.disk_boot = self.boot;
            self.disk_turn = turn;
        }
        self.handle(Input::Persisted(if ok {
            Persisted::Written
        } else {
            Persisted::Failed
        }))
    }

    /// What was under way is dropped; its answer may be under way already.
    fn cancel(&mut self, ticket: Ticket) {
        self.stale.push(ticket);
        self.checks.probe_answered(ticket.as_u64(), Some(false));
        if self.dice.permille(700) {
            self.queue
                .retain(|_, event| !matches!(event, Event::Answer(of, _) if *of == ticket));
        }
    }

    fn act(&mut self, ticket: Ticket, action: Action) -> Result<(), Broken> {
        let soon = self.dice.below(20) * MS / 4;
        match action {
            Action::CreateSandbox { attempt } => {
                self.check_create_sandbox(attempt)?;
                match self.dice.permille(20) {
                    true => self.after(
                        soon,
                        Event::Answer(ticket, failed("FailedCreatePodSandBox")),
                    ),
                    false => self.after(soon, Event::SandboxUp(ticket, attempt)),
                }
            }
            Action::StopSandbox { attempt } => {
                self.check_stop_sandbox(attempt)?;
                self.sandboxes.insert(attempt, false);
                self.after(soon, Event::Answer(ticket, Outcome::Done));
            }
            Action::Image { container, step } => {
                let outcome = self.image(container.as_usize(), step);
                self.after(soon, Event::Answer(ticket, outcome));
            }
            Action::Start {
                container,
                attempt,
                restart_count,
            } => {
                let index = container.as_usize();
                self.check_start(index, attempt, restart_count)?;
                self.starts.insert(ticket, index);
                let slow = if self.dice.permille(100) {
                    self.dice.below(2_000) * MS
                } else {
                    soon
                };
                if self.dice.permille(self.life.behaviours[index].start_fails) {
                    let reason = self
                        .dice
                        .pick(&["CreateContainerError", "RunContainerError"]);
                    self.after(slow, Event::Answer(ticket, failed(reason)));
                } else {
                    let sandbox = self.living_sandbox();
                    self.after(slow, Event::Started(ticket, index, attempt, sandbox));
                }
            }
            Action::Hook {
                container,
                attempt,
                hook,
            } => self.hook(ticket, container.as_usize(), attempt, hook)?,
            Action::Probe {
                container,
                attempt,
                probe,
            } => self.probe(ticket, container.as_usize(), attempt, probe)?,
            Action::Signal {
                container,
                attempt,
                signal,
            } => {
                self.signal(container.as_usize(), attempt, signal)?;
                self.after(soon, Event::Answer(ticket, Outcome::Done));
            }
            Action::Acknowledge { container, attempt } => {
                self.check_acknowledge(container, attempt)?;
                if let Some(proc) = self.procs.get_mut(&(container.as_usize(), attempt)) {
                    proc.acknowledged = true;
                }
                self.after(soon, Event::Answer(ticket, Outcome::Done));
            }
            Action::Remove { container, attempt } => {
                self.check_remove(container.as_usize(), attempt)?;
                if let Some(proc) = self.procs.get_mut(&(container.as_usize(), attempt)) {
                    proc.removed = true;
                }
                let outcome = if self.dice.permille(50) {
                    failed("busy")
                } else {
                    Outcome::Done
                };
                self.after(soon, Event::Answer(ticket, outcome));
            }
            Action::Teardown => {
                self.check_teardown()?;
                let outcome = if self.dice.permille(50) {
                    failed("busy")
                } else {
                    Outcome::Done
                };
                self.after(soon, Event::Answer(ticket, outcome));
            }
        }
        Ok(())
    }

    fn image(&mut self, index: usize, step: ImageStep) -> Outcome {
        let behaviour = &mut self.life.behaviours[index];
        match step {
            ImageStep::Inspect if behaviour.image_absent => Outcome::Absent,
            ImageStep::Inspect => Outcome::Done,
            ImageStep::Pull if self.dice.permille(behaviour.pull_fails) => failed("ErrImagePull"),
            ImageStep::Pull => {
                behaviour.image_absent = false;
                Outcome::Done
            }
        }
    }

    // Containers.

    fn start_takes_effect(
        &mut self,
        ticket: Ticket,
        index: usize,
        attempt: u32,
        sandbox: Option<u32>,
    ) -> Result<(), Broken> {
        let Some(sandbox) = sandbox.filter(|_| sandbox == self.living_sandbox()) else {
            // Its pause is gone, and the request with it: nobody answers.
            return Ok(());
        };
        self.begin(index, attempt, sandbox)?;
        self.answer(ticket, Outcome::Started { at: self.now() })
    }

    fn living_sandbox(&self) -> Option<u32> {
        self.sandboxes
            .iter()
            .find(|(_, alive)| **alive)
            .map(|(attempt, _)| *attempt)
    }

    fn begin(&mut self, index: usize, attempt: u32, sandbox: u32) -> Result<(), Broken> {
        self.check_begin(index, attempt)?;
        let behaviour = self.life.behaviours[index].clone();
        let startup_at = behaviour.startup_after.map(|span| self.at() + span);
        let proc = Proc {
            sandbox,
            started: self.now(),
            started_at: self.clock,
            ended_at: None,
            exit: None,
            acknowledged: false,
            removed: false,
            stop_sent: None,
            stop_turn: 0,
            kill_sent: None,
            startup_at,
        };
        self.procs.insert((index, attempt), proc);
        self.note(|_| format!("** {index}.{attempt} runs"));
        if let Some(runs) = behaviour.runs {
            let span = runs / 2 + self.dice.below(runs + 1);
            let code = behaviour.codes[self.dice.below(behaviour.codes.len() as u64) as usize];
            self.after(span, Event::Exit(index, attempt, code, None));
        }
        Ok(())
    }

    fn exit(&mut self, index: usize, attempt: u32, code: i32, signal: Option<i32>) {
        let now = self.now();
        let Some(proc) = self.procs.get_mut(&(index, attempt)) else {
            return;
        };
        if !proc.is_alive() {
            return;
        }
        let reason = if code == 0 { "Completed" } else { "Error" };
        let (started, finished) = (Some(proc.started), now);
        proc.exit = Some(Exit {
            code,
            signal,
            reason: reason.into(),
            message: None,
            started,
            finished,
        });
        proc.ended_at = Some(self.clock);
        let sandbox = proc.sandbox;
        self.note(|_| format!("** {index}.{attempt} exits with {code}"));
        self.note_exit(index, code);
        if self.sandboxes.get(&sandbox) == Some(&true) {
            let span = self.dice.below(8) * MS / 4;
            self.after(span, Event::TellExit(index, attempt));
        }
    }

    fn tell_exit(&mut self, index: usize, attempt: u32) -> Result<(), Broken> {
        let Some(proc) = self.procs.get(&(index, attempt)) else {
            return Ok(());
        };
        let (Some(exit), Some(true)) = (proc.exit.clone(), self.sandboxes.get(&proc.sandbox))
        else {
            return Ok(());
        };
        let container = ContainerIndex(index as u16);
        let twice = self.dice.permille(20);
        self.handle(Input::Exited {
            container,
            attempt,
            exit: exit.clone(),
        })?;
        if twice {
            self.handle(Input::Exited {
                container,
                attempt,
                exit,
            })?;
        }
        Ok(())
    }

    fn signal(&mut self, index: usize, attempt: u32, signal: Signal) -> Result<(), Broken> {
        self.check_signal(index, attempt, signal)?;
        let (at, turn) = (self.at(), self.turn);
        let behaviour = self.life.behaviours[index].clone();
        let Some(proc) = self.procs.get_mut(&(index, attempt)) else {
            return Ok(());
        };
        match signal {
            Signal::Stop => {
                proc.stop_sent.get_or_insert(at);
                proc.stop_turn = turn;
                if let Some(span) = behaviour.obeys {
                    self.after(span, Event::Exit(index, attempt, behaviour.stop_code, None));
                }
            }
            Signal::Kill => {
                proc.kill_sent.get_or_insert(at);
                let span = self.dice.below(30) * MS;
                self.after(span, Event::Exit(index, attempt, 137, Some(9)));
            }
        }
        Ok(())
    }

    fn hook(
        &mut self,
        ticket: Ticket,
        index: usize,
        attempt: u32,
        hook: Hook,
    ) -> Result<(), Broken> {
        self.check_hook(index, attempt, hook)?;
        let behaviour = self.life.behaviours[index].clone();
        if self.dice.permille(behaviour.silent) && hook == Hook::PreStop {
            return Ok(());
        }
        let span = self.dice.below(behaviour.hook_takes) * MS;
        let outcome = if self.dice.permille(behaviour.hook_fails) {
            failed("HookError")
        } else {
            Outcome::Done
        };
        self.after(span, Event::Answer(ticket, outcome));
        Ok(())
    }

    fn probe(
        &mut self,
        ticket: Ticket,
        index: usize,
        attempt: u32,
        kind: ProbeKind,
    ) -> Result<(), Broken> {
        self.check_probe(ticket.as_u64(), index, attempt, kind)?;
        let at = self.at();
        let behaviour = &self.life.behaviours[index];
        let alive = self
            .procs
            .get(&(index, attempt))
            .filter(|proc| proc.is_alive());
        let fails = match kind {
            ProbeKind::Liveness => self.dice.permille(behaviour.liveness_fails),
            ProbeKind::Readiness => self.dice.permille(behaviour.readiness_fails),
            ProbeKind::Startup => !alive
                .and_then(|proc| proc.startup_at)
                .is_some_and(|since| since <= at),
        };
        if self.dice.permille(behaviour.silent) {
            return Ok(());
        }
        let outcome = match (fails || alive.is_none(), self.dice.below(40)) {
            (_, 0) => failed("ProbeError"),
            (true, _) => Outcome::Probe(Finding::Failure),
            (false, 1) => Outcome::Probe(Finding::Warning),
            (false, _) => Outcome::Probe(Finding::Success),
        };
        let span = if self.dice.permille(20) {
            self.dice.below(4_000) * MS
        } else {
            self.dice.below(50) * MS
        };
        self.after(span, Event::Answer(ticket, outcome));
        Ok(())
    }

    fn pause_dies(&mut self) -> Result<(), Broken> {
        let Some(attempt) = self.living_sandbox() else {
            return Ok(());
        };
        self.note(|_| format!("** pause {attempt} dies"));
        self.sandbox_dies(attempt);
        self.checks.lost();
        self.handle(Input::SandboxLost { attempt })
    }

    fn sandbox_dies(&mut self, attempt: u32) {
        self.sandboxes.insert(attempt, false);
        let now = self.now();
        let dead: Vec<_> = self
            .procs
            .iter_mut()
            .filter(|(_, proc)| proc.is_alive() && proc.sandbox == attempt)
            .collect();
        for (_, proc) in dead {
            let (started, finished) = (Some(proc.started), now);
            let reason = "Lost".into();
            proc.exit = Some(Exit {
                code: 137,
                signal: Some(9),
                reason,
                message: None,
                started,
                finished,
            });
            proc.ended_at = Some(self.clock);
        }
    }

    // Crashes.

    fn crash(&mut self) -> Result<(), Broken> {
        self.take_fired();
        self.crashed += 1;
        self.crashes_left = self.crashes_left.saturating_sub(1);
        self.machine = None;
        self.wait = None;
        self.drop_what_was_under_way()?;
        let Some(record) = self.disk.clone() else {
            // The pod was never accepted: nothing of it may exist.
            self.check_nothing_exists()?;
            self.ask_again();
            self.checks.restored(self.clock, None, true);
            self.create();
            return Ok(());
        };
        if !record.is_deleted() {
            self.ask_again();
        }
        let saved = self.disk_turn;
        self.turn += 1;
        let down = self.dice.pick(&[0, 0, 10, 2_000, 40_000]);
        self.be_down(down);
        self.pass(self.clock + MS);
        let same_boot = !self.dice.permille(60);
        if !same_boot || self.dice.permille(60) {
            if let Some(attempt) = self.living_sandbox() {
                self.sandbox_dies(attempt);
            }
            self.checks.lost();
        }
        if !same_boot {
            self.reboot();
        }
        // What was decided after the last write is decided anew, or not.
        for proc in self.procs.values_mut() {
            proc.stop_sent = proc.stop_sent.filter(|_| proc.stop_turn <= saved);
        }
        self.checks
            .restored(self.clock, Some(&record), self.life.store_fails > 0);
        self.restore(record, self.disk_boot == self.boot)
    }

    /// Nobody was told that a deletion was accepted: the user asks again.
    fn ask_again(&mut self) {
        if self.checks.deletion_asked() {
            let (force, grace) = (
                self.life.force,
                self.life.delete_grace.map(Duration::from_secs),
            );
            let strict_deadline = None;
            self.after(
                50 * MS,
                Event::Delete(Deletion {
                    grace,
                    force,
                    strict_deadline,
                }),
            );
        }
    }

    /// What the Node waited for is answered to nobody; what pause was asked for may happen all the same.
    fn drop_what_was_under_way(&mut self) -> Result<(), Broken> {
        let queue = std::mem::take(&mut self.queue);
        for ((at, sequence), event) in queue {
            let happens = self.dice.permille(500);
            match event {
                Event::Started(_, index, attempt, sandbox) if happens => {
                    if let Some(sandbox) = sandbox.filter(|_| sandbox == self.living_sandbox()) {
                        self.begin(index, attempt, sandbox)?;
                    }
                }
                Event::SandboxUp(_, attempt) if happens => {
                    self.sandboxes.insert(attempt, true);
                }
                Event::Written(record, turn, true) if happens => {
                    self.history = None; // nobody was told of this write
                    self.disk = Some(*record);
                    self.disk_turn = turn;
                    self.disk_boot = self.boot;
                }
                Event::Answer(ticket, outcome) if self.dice.permille(100) => {
                    self.stale.push(ticket);
                    self.queue
                        .insert((at, sequence), Event::Answer(ticket, outcome));
                }
                Event::Exit(..)
                | Event::Delete(_)
                | Event::Evict
                | Event::Update
                | Event::PauseDies => {
                    self.queue.insert((at, sequence), event);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Containers live on while nobody looks.
    fn be_down(&mut self, millis: u64) {
        let end = self.at() + self.dice.below(millis + 1) * MS;
        while let Some((&(at, sequence), event)) = self.queue.first_key_value() {
            let exits = match event {
                Event::Exit(index, attempt, code, signal) if at <= end => {
                    Some((*index, *attempt, *code, *signal))
                }
                _ => None,
            };
            let Some((index, attempt, code, signal)) = exits else {
                break;
            };
            self.pass(at);
            self.queue.remove(&(at, sequence));
            self.exit(index, attempt, code, signal);
        }
        self.pass(end);
        self.queue
            .retain(|_, event| !matches!(event, Event::TellExit(..)));
    }

    fn reboot(&mut self) {
        self.note(|_| "** reboot".into());
        self.boot = self.clock - 5 * S - self.dice.below(S);
        self.queue
            .retain(|_, event| !matches!(event, Event::Exit(..)));
        self.checks.rebooted();
    }

    fn restore(&mut self, record: Record, same_boot: bool) -> Result<(), Broken> {
        let text = serde_json::to_string(&record).expect("a record");
        let record: Record = serde_json::from_str(&text).expect("the same record");
        let observed = self.observe(&record, same_boot)?;
        self.note(|_| format!("restore with {observed:?}"));
        let now = self.now();
        if let Some(history) = &mut self.history {
            history.push_restore(now, observed.clone());
        }
        let (pod, options) = (self.life.pod(), self.life.options.clone());
        let machine =
            PodMachine::restore_with(self.fault, pod, options, record, observed, self.now());
        match machine {
            Ok(machine) => self.machine = Some(machine),
            Err(error) => return Err(self.broken(Checker::Stuck, error.to_string())),
        }
        self.check_status()
    }

    fn observe(&mut self, record: &Record, same_boot: bool) -> Result<Observed, Broken> {
        let living = self.living_sandbox();
        let sandbox = match (record.sandbox_in_doubt(), living) {
            (Some(doubt), Some(living)) if doubt == living => SandboxVerdict::Running {
                ip: Some("10.0.0.7".into()),
            },
            (doubt, Some(living)) => {
                let text = format!("sandbox {living} lives, the record knows of {doubt:?}");
                return Err(self.broken(Checker::SandboxForgotten, text));
            }
            _ => SandboxVerdict::Gone,
        };
        let mut attempts = Vec::new();
        for ((index, attempt), proc) in &self.procs {
            if self.sandboxes.get(&proc.sandbox) != Some(&true) || proc.acknowledged {
                continue;
            }
            let verdict = match &proc.exit {
                None => Verdict::Running {
                    started: proc.started,
                },
                Some(exit) => Verdict::Exited(exit.clone()),
            };
            attempts.push((ContainerIndex(*index as u16), *attempt, verdict));
        }
        for (container, attempt) in record.in_doubt() {
            if !attempts
                .iter()
                .any(|(at, number, _)| (*at, *number) == (container, attempt))
            {
                let verdict = if living.is_some() {
                    Verdict::NeverStarted
                } else {
                    Verdict::Gone
                };
                attempts.push((container, attempt, verdict));
            }
        }
        Ok(Observed {
            same_boot,
            sandbox,
            attempts,
        })
    }

    pub(crate) fn broken(&self, checker: Checker, text: String) -> Broken {
        Broken { checker, text }
    }
}

fn failed(reason: &'static str) -> Outcome {
    Outcome::Failed(Failure::new(reason, "it was rolled"))
}
