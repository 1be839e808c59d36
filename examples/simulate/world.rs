//! A world in which everything goes by the script, and the loop that drives a [`PodMachine`] in it.
//!
//! Any driver looks like [`World::live`]: tell the machine one thing, take its outputs until it waits, do what they say,
//! and come back with what happened, or when the time is up that it waits for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use podlife::lifecycle::history::History;
use podlife::lifecycle::timeline::{Moment, Timeline};
use podlife::lifecycle::{
    Action, Change, ContainerIndex, Deletion, Exit, Failure, Finding, ImageStep, Input, Outcome,
    Output, Persisted, PodMachine, PodOptions, Signal, Ticket,
};
use podlife::model::{Pod, Valid};
use podlife::time::{Mono, Now, Wall};

use crate::scenario::{Attempt, Scenario, Step, Stop};

/// What takes no time takes this long: pleasant to read, and nothing happens at once with what led to it.
const SOON: Duration = Duration::from_millis(5);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct World {
    scenario: Scenario,
    pub(crate) machine: PodMachine,
    /// Everything the machine was told.
    pub(crate) history: History,
    pub(crate) timeline: Timeline,
    now: Now,
    /// What will happen, in order.
    coming: BTreeMap<(Mono, u64), Event>,
    sequence: u64,
    /// What runs.
    alive: HashMap<(ContainerIndex, u32), Process>,
    /// How often each container was tried to be started.
    tries: HashMap<ContainerIndex, usize>,
    /// Whose image was fetched.
    fetched: HashSet<ContainerIndex>,
    gone: bool,
}

/// A container that runs.
struct Process {
    script: Attempt,
    since: Now,
}

/// Something that will happen.
enum Event {
    Answer(Ticket, Outcome),
    Started(Ticket, ContainerIndex, u32, Attempt),
    Exit(ContainerIndex, u32, i32, Option<i32>),
    Delete,
}

impl World {
    pub(crate) fn new(pod: Valid<Pod>, options: PodOptions, scenario: Scenario) -> World {
        let now = Now {
            mono: Mono::from_secs(1),
            wall: Wall::from_secs(1_767_225_600),
        };
        let name = pod.metadata.name.clone().unwrap_or_default();
        let machine = PodMachine::new(pod, options, now);
        World {
            scenario,
            history: History::of(&machine),
            machine,
            timeline: Timeline::new(name),
            now,
            coming: BTreeMap::new(),
            sequence: 0,
            alive: HashMap::new(),
            tries: HashMap::new(),
            fetched: HashSet::new(),
            gone: false,
        }
    }

    /// The pod's whole life. `told` sees each moment as it comes.
    pub(crate) fn live(&mut self, mut told: impl FnMut(&Moment)) {
        let end = self.now.mono + self.scenario.until.map_or(HOUR, |until| until.0);
        if let Some(at) = self.scenario.deleted {
            self.after(at.0, Event::Delete);
        }
        let mut wake = self.follow(&mut told);
        while !self.gone {
            let event = self.coming.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = event.into_iter().chain(wake).min() else {
                break; // Nothing will ever happen again: the pod has ended, and nobody deletes it.
            };
            if next > end {
                self.now = self.now.after(end - self.now.mono);
                self.timeline.until(self.now);
                break;
            }
            self.now = self.now.after(next - self.now.mono);
            let input = match self.coming.first_entry() {
                Some(first) if first.key().0 == next => {
                    let event = first.remove();
                    self.happen(event)
                }
                _ => Some(Input::Tick),
            };
            if let Some(input) = input {
                self.tell(input);
                wake = self.follow(&mut told);
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.history.push(self.now, input.clone());
        self.machine.handle(self.now, input);
    }

    /// Takes outputs and does what they say, until the machine waits. Gives the time until when it does.
    fn follow(&mut self, told: &mut impl FnMut(&Moment)) -> Option<Mono> {
        loop {
            let output = self.machine.poll_output();
            if let Some(moment) = self.timeline.see(self.now, output, &self.machine) {
                told(moment);
            }
            match output {
                Output::Wait(until) => return until,
                // A real driver writes `self.machine.record()` to where it survives a crash.
                Output::Persist => self.tell(Input::Persisted(Persisted::Written)),
                Output::Perform(ticket, action) => self.perform(ticket, action),
                // An answer that comes nevertheless is ignored.
                Output::Cancel(_) => {}
                Output::Notify(change) => self.gone |= change == Change::Deleted,
            }
        }
    }

    fn after(&mut self, span: Duration, event: Event) {
        self.sequence += 1;
        self.coming
            .insert((self.now.mono + span, self.sequence), event);
    }

    fn answer(&mut self, ticket: Ticket, after: Duration, outcome: Outcome) {
        self.after(after, Event::Answer(ticket, outcome));
    }

    /// What the next attempt to run a container does.
    fn script(&self, container: ContainerIndex) -> Attempt {
        let record = self.machine.record().container(container);
        let name = record.map_or("", |record| record.name());
        let tries = self.tries.get(&container).copied().unwrap_or(0);
        self.scenario.attempt(name, tries)
    }

    fn perform(&mut self, ticket: Ticket, action: Action) {
        match action {
            Action::CreateSandbox { .. } => {
                self.answer(ticket, SOON, Outcome::Sandbox { ip: None });
            }
            Action::Image { container, step } => self.image(ticket, container, step),
            Action::Start {
                container, attempt, ..
            } => self.start(ticket, container, attempt),
            Action::Hook {
                container,
                attempt,
                hook,
            } => {
                let process = self.alive.get(&(container, attempt));
                match process.map(|process| process.script.hook(hook)) {
                    Some(Step::Takes(span)) => self.answer(ticket, span.0, Outcome::Done),
                    _ => self.answer(ticket, SOON, failed("HookFailed", "it fails")),
                }
            }
            Action::Probe {
                container,
                attempt,
                probe,
            } => {
                let is_well = self
                    .alive
                    .get(&(container, attempt))
                    .is_some_and(|process| {
                        let age = self.now.mono - process.since.mono;
                        process.script.answers(probe, age)
                    });
                let finding = if is_well {
                    Finding::Success
                } else {
                    Finding::Failure
                };
                self.answer(ticket, SOON, Outcome::Probe(finding));
            }
            Action::Signal {
                container,
                attempt,
                signal,
            } => {
                self.signal(container, attempt, signal);
                self.answer(ticket, SOON, Outcome::Done);
            }
            Action::StopSandbox { .. }
            | Action::Acknowledge { .. }
            | Action::Remove { .. }
            | Action::Resize { .. }
            | Action::Teardown => self.answer(ticket, SOON, Outcome::Done),
        }
    }

    fn image(&mut self, ticket: Ticket, container: ContainerIndex, step: ImageStep) {
        let is_here = self.fetched.contains(&container);
        match (step, self.script(container).image) {
            (ImageStep::Inspect, Some(_)) if !is_here => {
                self.answer(ticket, SOON, Outcome::Absent);
            }
            (ImageStep::Pull, Some(Step::Fails)) if !is_here => {
                *self.tries.entry(container).or_default() += 1;
                let outcome = failed("ErrImagePull", "the registry does not answer");
                self.answer(ticket, SOON, outcome);
            }
            (ImageStep::Pull, Some(Step::Takes(span))) if !is_here => {
                self.fetched.insert(container);
                self.answer(ticket, span.0, Outcome::Done);
            }
            _ => self.answer(ticket, SOON, Outcome::Done),
        }
    }

    fn start(&mut self, ticket: Ticket, container: ContainerIndex, attempt: u32) {
        let script = self.script(container);
        *self.tries.entry(container).or_default() += 1;
        match script.start {
            Some(Step::Fails) => {
                let outcome = failed("CreateContainerError", "it cannot be made");
                self.answer(ticket, SOON, outcome);
            }
            Some(Step::Takes(span)) => {
                self.after(span.0, Event::Started(ticket, container, attempt, script));
            }
            None => self.after(SOON, Event::Started(ticket, container, attempt, script)),
        }
    }

    fn signal(&mut self, container: ContainerIndex, attempt: u32, signal: Signal) {
        let Some(process) = self.alive.get(&(container, attempt)) else {
            return;
        };
        let (after, code, by) = match (signal, process.script.stops) {
            (Signal::Kill, _) => (SOON, 137, Some(9)),
            (Signal::Stop, None) => (SOON, 143, Some(15)),
            (Signal::Stop, Some(Stop::After(span))) => (span.0, 0, None),
            (Signal::Stop, Some(Stop::Never)) => return,
        };
        self.after(after, Event::Exit(container, attempt, code, by));
    }

    /// What the machine is told of an event: nothing of an exit of what has ended already.
    fn happen(&mut self, event: Event) -> Option<Input> {
        match event {
            Event::Answer(ticket, outcome) => Some(Input::Done(ticket, outcome)),
            Event::Delete => Some(Input::Delete(Deletion::default())),
            Event::Started(ticket, container, attempt, script) => {
                if let Some(end) = &script.exits {
                    self.after(end.after.0, Event::Exit(container, attempt, end.code, None));
                }
                let since = self.now;
                self.alive
                    .insert((container, attempt), Process { script, since });
                Some(Input::Done(ticket, Outcome::Started { at: since }))
            }
            Event::Exit(container, attempt, code, signal) => {
                let process = self.alive.remove(&(container, attempt))?;
                let exit = Exit {
                    code,
                    signal,
                    reason: if code == 0 { "Completed" } else { "Error" }.into(),
                    message: None,
                    started: Some(process.since),
                    finished: self.now,
                };
                Some(Input::Exited {
                    container,
                    attempt,
                    exit: Box::new(exit),
                })
            }
        }
    }
}

fn failed(reason: &'static str, why: &'static str) -> Outcome {
    Outcome::Failed(Failure::new(reason, why))
}
