//! The world a machine lives in: pause, containers, a disk, a user; and crashes.

use std::collections::BTreeMap;
use std::time::Duration;

use podlife::lifecycle::{
    Deletion, Eviction, Exit, Failure, Fault, Finding, Input, Outcome, PodMachine, Record, Ticket,
};
use podlife::time::{Mono, Now, Wall};

use super::check::{Broken, Checker, Checks};
use super::diary::Diary;
use super::dice::Dice;
use super::life::{Life, MS, S};
use super::resizes::{self, Wishes};

/// Longer than any life should take.
pub(crate) const OUTPUTS: u64 = 60_000;

/// A process of a container, as pause knows it.
#[derive(Clone, Debug)]
pub(crate) struct Proc {
    pub(crate) sandbox: u32,
    /// Of which image.
    pub(crate) image: u64,
    pub(crate) started: Now,
    pub(crate) started_at: u64,
    pub(crate) ended_at: Option<u64>,
    pub(crate) exit: Option<Exit>,
    /// Pause may have forgotten it.
    pub(crate) acknowledged: bool,
    /// It ended with its pause, or so did what pause knew of its end: nobody need have heard of it.
    pub(crate) lost: bool,
    pub(crate) removed: bool,
    pub(crate) stop_sent: Option<u64>,
    pub(crate) stop_turn: u64,
    /// After which input it was told that it is to end.
    pub(crate) end_turn: Option<u64>,
    /// When it began to run, or a process took it up that knew of no end.
    pub(crate) anew: u64,
    pub(crate) kill_sent: Option<u64>,
    /// Mebibytes that its cgroup allows.
    pub(crate) memory: u64,
    /// When its startup probe will succeed.
    pub(crate) startup_at: Option<u64>,
}

impl Proc {
    pub(crate) fn is_alive(&self) -> bool {
        self.exit.is_none()
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Answer(Ticket, Outcome),
    SandboxUp(Ticket, u32),
    Started(Ticket, usize, u32, Option<u32>),
    Exit(usize, u32, i32, Option<i32>),
    TellExit(usize, u32),
    Written(Box<Record>, u64, bool),
    Delete(Deletion),
    Evict,
    Update,
    Resize,
    Restart,
    PauseDies,
}

pub(crate) struct World {
    pub(crate) life: Life,
    pub(crate) dice: Dice,
    /// Nanoseconds since the beginning of this world; the boot it is in began at `boot`.
    pub(crate) clock: u64,
    pub(crate) boot: u64,
    pub(crate) wall: i64,
    pub(crate) procs: BTreeMap<(usize, u32), Proc>,
    pub(crate) sandboxes: BTreeMap<u32, bool>,
    pub(crate) disk: Option<Record>,
    /// The boot it was written in, when, and after which input.
    pub(crate) disk_boot: u64,
    pub(crate) disk_clock: u64,
    pub(crate) disk_turn: u64,
    pub(crate) turn: u64,
    pub(crate) checks: Checks,
    pub(crate) fired: bool,
    pub(crate) crashed: u64,
    pub(crate) outputs: u64,
    pub(crate) inputs: u64,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) machine: Option<PodMachine>,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    pub(crate) sequence: u64,
    pub(crate) wait: Option<Mono>,
    pub(crate) deleted: bool,
    pub(crate) fault: Fault,
    /// Crash exactly before this output, instead of at random.
    pub(crate) crash_at: Option<u64>,
    pub(crate) crashes_left: u64,
    pub(crate) stale: Vec<Ticket>,
    pub(crate) starts: BTreeMap<Ticket, usize>,
    /// Starts that were asked for, and of which image: what leaves a log, whatever else is lost.
    pub(crate) asked: BTreeMap<(usize, u32), u64>,
    /// What the machine was told, asked and showed.
    pub(crate) diary: Option<Diary>,
    pub(crate) replayed: usize,
    /// What each attempt was given when its start was performed.
    pub(crate) given: BTreeMap<(usize, u32), u64>,
}

/// How a life went.
#[derive(Default)]
pub(crate) struct Outcomes {
    pub(crate) broken: Option<Broken>,
    pub(crate) fired: bool,
    pub(crate) crashed: u64,
    pub(crate) outputs: u64,
    pub(crate) inputs: u64,
    /// So many entries were replayed.
    pub(crate) history: usize,
    pub(crate) trace: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, fault: Fault, crash_at: Option<u64>, trace: bool) -> World {
        let mut dice = Dice::new(seed);
        let mut life = Life::random(&mut dice);
        life.wishes = Wishes::random(seed, life.delete_at);
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
            disk_clock: 0,
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
            asked: BTreeMap::new(),
            diary: None,
            replayed: 0,
            given: BTreeMap::new(),
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
            history: self.replayed,
            trace: self.trace.unwrap_or_default(),
        }
    }

    pub(crate) fn run(&mut self) -> Result<(), Broken> {
        self.plan_events();
        self.create();
        loop {
            self.pump()?;
            if self.deleted {
                self.check_end()?;
                return self.check_again();
            }
            self.advance()?;
        }
    }

    pub(crate) fn plan_events(&mut self) {
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
        events.extend(resizes::events(&life.wishes));
        events.extend(life.pause_dies_at.map(|at| (at, Event::PauseDies)));
        for (at, event) in events {
            self.push(start + at, event);
        }
    }

    pub(crate) fn create(&mut self) {
        let (pod, options) = (self.life.pod(), self.life.options.clone());
        let mut machine = PodMachine::new(pod, options, self.now());
        machine.inject(self.fault);
        self.machine = Some(machine);
        self.begin_diary();
    }

    pub(crate) fn at(&self) -> u64 {
        self.clock
    }

    /// What the machine is told of it.
    pub(crate) fn now(&self) -> Now {
        Now {
            mono: Mono::from_nanos(self.clock - self.boot),
            wall: Wall::from_nanos(self.wall),
        }
    }

    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at.max(self.at()), self.sequence), event);
    }

    pub(crate) fn after(&mut self, span: u64, event: Event) {
        self.push(self.at() + span, event);
    }

    pub(crate) fn note(&mut self, text: impl FnOnce(&World) -> String) {
        if self.trace.is_some() {
            let line = format!(
                "{:>14.6} {}",
                self.at() as f64 / S as f64 - 1000.0,
                text(self)
            );
            self.trace.get_or_insert_default().push(line);
        }
    }

    pub(crate) fn take_fired(&mut self) {
        self.fired |= self.machine.as_ref().is_some_and(PodMachine::fired);
    }

    // Time and inputs.

    pub(crate) fn advance(&mut self) -> Result<(), Broken> {
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
        self.check_wishes()?;
        if event == Some(at)
            && let Some(((_, _), event)) = self.queue.pop_first()
        {
            return self.happen(event);
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
    pub(crate) fn pass(&mut self, at: u64) {
        let span = at.saturating_sub(self.at());
        self.clock += span;
        self.wall += span as i64;
        if self.dice.permille(2) {
            let jump = self.dice.below(7_200) as i64 - 3_600;
            self.wall += jump * S as i64;
        }
    }

    pub(crate) fn handle(&mut self, input: Input) -> Result<(), Broken> {
        self.inputs += 1;
        self.turn += u64::from(!matches!(input, Input::Persisted(_)));
        self.note(|_| format!("-> {input:?}"));
        let now = self.now();
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        if let Some(diary) = &mut self.diary {
            diary.told(now, input.clone());
        }
        machine.handle(now, input);
        self.check_status()
    }

    pub(crate) fn check_status(&mut self) -> Result<(), Broken> {
        let Some(machine) = self.machine.take() else {
            return Ok(());
        };
        if let Some(diary) = &mut self.diary {
            diary.showed(machine.status());
        }
        let result = self
            .check_published(machine.status())
            .and_then(|()| self.check_records(machine.record()));
        self.machine = Some(machine);
        result
    }

    pub(crate) fn happen(&mut self, event: Event) -> Result<(), Broken> {
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
                self.checks
                    .delete(self.clock, self.turn + 1, &deletion, &self.life);
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
            // Only what was accepted can be changed.
            Event::Update if self.disk.is_none() => Ok(()),
            Event::Update => {
                let index = self.life.change(&mut self.dice);
                self.checks.definition_changed(index, self.clock);
                let pod = self.life.pod();
                self.handle(Input::Update(pod))
            }
            Event::Resize => self.wish_for_resources(),
            Event::Restart => self.wish_for_restart(),
            Event::PauseDies => self.pause_dies(),
        }
    }

    /// An answer, sometimes twice. What nobody waits for must change nothing.
    pub(crate) fn answer(&mut self, ticket: Ticket, outcome: Outcome) -> Result<(), Broken> {
        let is_stale = self.stale.contains(&ticket);
        if is_stale {
            return self.answer_stale(ticket, outcome);
        }
        self.note_answer(ticket, &outcome);
        self.note_grant(ticket);
        if self.dice.permille(10) {
            self.handle(Input::Done(ticket, outcome.clone()))?;
            self.pump()?;
            return self.answer_stale(ticket, outcome);
        }
        self.handle(Input::Done(ticket, outcome))
    }

    pub(crate) fn note_answer(&mut self, ticket: Ticket, outcome: &Outcome) {
        let success = match outcome {
            Outcome::Probe(Finding::Success | Finding::Warning) => Some(true),
            Outcome::Probe(Finding::Failure) => Some(false),
            _ => None,
        };
        self.checks.probe_answered(ticket.as_u64(), success);
        if let (Some(index), Outcome::Failed(failure)) = (self.starts.remove(&ticket), outcome)
            && failure.reason == "RunContainerError"
        {
            self.checks.run_error(index, self.clock);
        }
    }

    pub(crate) fn answer_stale(&mut self, ticket: Ticket, outcome: Outcome) -> Result<(), Broken> {
        // What is due now is not the answer's effect, nor what is due after a crash.
        let crashes = self.crashed;
        self.handle(Input::Tick)?;
        self.pump()?;
        let Some(machine) = &self.machine else {
            return Ok(());
        };
        if self.deleted || self.crashed != crashes {
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

    pub(crate) fn broken(&self, checker: Checker, text: String) -> Broken {
        Broken { checker, text }
    }
}

pub(crate) fn failed(reason: &'static str) -> Outcome {
    Outcome::Failed(Failure::new(reason, "it was rolled"))
}
