//! A pod's whole life in virtual time, at once: what would this manifest do, if its containers behaved like that?
//!
//! `cargo run --example simulate -- examples/pods/crash-loop.yaml [scenario.yaml] [--svg life.svg]`
//!
//! The scenario says how containers behave; all of it has defaults (start at once, run for ever, obey the stop signal):
//!
//! ```yaml
//! until: 5m               # delete the pod then
//! containers:
//!   web:
//!     image: 2s           # fetching it takes this long; not needed if absent
//!     start: 300ms        # starting it takes this long
//!     ready: 4s           # probes succeed from then on ...
//!     hangs: 40s          # ... until then
//!     exits: [10s: 1]     # the first attempt exits after 10 s with 1; the last entry repeats
//!     stops: never        # ignores its stop signal; or how long it takes
//!     hook: 1s            # its hooks take this long
//! ```

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::time::Duration;

use podlife::lifecycle::history::History;
use podlife::lifecycle::timeline::Timeline;
use podlife::lifecycle::{
    Action, Change, ContainerIndex, Deletion, Exit, Finding, ImageStep, Input, Outcome, Output,
    Persisted, PodMachine, PodOptions, Signal, Ticket,
};
use podlife::model::{Pod, Valid};
use podlife::time::{Mono, Now, Wall};
use serde::Deserialize;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("simulate: {why}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let mut svg = None;
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--svg" => svg = Some(arguments.next().ok_or("--svg needs a file")?),
            "--help" | "-h" => {
                return Err("usage: simulate POD.yaml [SCENARIO.yaml] [--svg FILE]".into());
            }
            _ => files.push(argument),
        }
    }
    let manifest = files
        .first()
        .ok_or("usage: simulate POD.yaml [SCENARIO.yaml] [--svg FILE]")?;
    let pod: Valid<Pod> = read(manifest)?
        .as_str()
        .try_into()
        .map_err(|errors| format!("{manifest}: {errors}"))?;
    let scenario = match files.get(1) {
        Some(path) => {
            serde_saphyr::from_str(&read(path)?).map_err(|error| format!("{path}: {error}"))?
        }
        None => Scenario::default(),
    };
    let history = World::new(pod, scenario).live();
    let timeline = Timeline::of(&history).map_err(|error| error.to_string())?;
    print!("{timeline}");
    if let Some(path) = svg {
        std::fs::write(&path, timeline.to_svg())
            .map_err(|error| format!("could not write {path}: {error}"))?;
        println!("drawn in {path}");
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("could not read {path}: {error}"))
}

/// How containers behave.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scenario {
    until: Option<Span>,
    containers: BTreeMap<String, Script>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Script {
    image: Option<Span>,
    start: Option<Span>,
    ready: Option<Span>,
    hangs: Option<Span>,
    exits: Vec<BTreeMap<Span, i32>>,
    stops: Option<Stops>,
    hook: Option<Span>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
enum Stops {
    After(Span),
    Never,
}

/// `300ms`, `10s`, `5m`, `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number
            .parse()
            .map_err(|_| format!("{text:?} is no span: 300ms, 10s, 5m, 2h"))?;
        let millis = match unit {
            "ms" => number,
            "s" => number * 1_000,
            "m" => number * 60_000,
            "h" => number * 3_600_000,
            _ => return Err(format!("{text:?} is no span: 300ms, 10s, 5m, 2h")),
        };
        Ok(Span(Duration::from_millis(millis)))
    }
}

impl TryFrom<String> for Stops {
    type Error = String;

    fn try_from(text: String) -> Result<Stops, String> {
        if text == "never" {
            Ok(Stops::Never)
        } else {
            Span::try_from(text).map(Stops::After)
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Answer(Ticket, Outcome),
    Started(Ticket, ContainerIndex, u32),
    Exit(ContainerIndex, u32, i32, Option<i32>),
    Delete,
}

/// A world in which everything goes by the script.
struct World {
    scenario: Scenario,
    machine: PodMachine,
    history: History,
    now: Now,
    queue: BTreeMap<(Mono, u64), Event>,
    sequence: u64,
    wait: Option<Mono>,
    /// Since when what runs runs.
    running: HashMap<(ContainerIndex, u32), Mono>,
    fetched: HashMap<ContainerIndex, bool>,
    done: bool,
}

impl World {
    fn new(pod: Valid<Pod>, scenario: Scenario) -> World {
        let now = Now {
            mono: Mono::from_secs(1),
            wall: Wall::from_secs(1_767_225_600),
        };
        let options = PodOptions::of(&pod).unwrap_or_default();
        let history = History::begin(pod.clone(), options.clone(), now);
        let machine = PodMachine::new(pod, options, now);
        let until = scenario
            .until
            .map_or(Duration::from_secs(300), |until| until.0);
        let mut world = World {
            scenario,
            machine,
            history,
            now,
            queue: BTreeMap::new(),
            sequence: 0,
            wait: None,
            running: HashMap::new(),
            fetched: HashMap::new(),
            done: false,
        };
        world.after(until, Event::Delete);
        world
    }

    fn live(mut self) -> History {
        self.drain();
        while !self.done {
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = [event, self.wait].into_iter().flatten().min() else {
                break;
            };
            self.now = self.now.after(at - self.now.mono);
            if event == Some(at) {
                if let Some((_, event)) = self.queue.pop_first() {
                    self.happen(event);
                }
            } else {
                self.tell(Input::Tick);
            }
            self.drain();
        }
        self.history
    }

    fn after(&mut self, span: Duration, event: Event) {
        self.sequence += 1;
        self.queue
            .insert((self.now.mono + span, self.sequence), event);
    }

    fn tell(&mut self, input: Input) {
        self.history.push(self.now, input.clone());
        self.machine.handle(self.now, input);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Answer(ticket, outcome) => self.tell(Input::Done(ticket, outcome)),
            Event::Delete => self.tell(Input::Delete(Deletion::default())),
            Event::Started(ticket, container, attempt) => {
                self.running.insert((container, attempt), self.now.mono);
                let exits = &self.script(container).exits;
                let own = exits
                    .get(attempt as usize)
                    .or(exits.last())
                    .and_then(BTreeMap::first_key_value);
                if let Some((after, code)) = own {
                    let (after, code) = (after.0, *code);
                    self.after(after, Event::Exit(container, attempt, code, None));
                }
                self.tell(Input::Done(ticket, Outcome::Started { at: self.now }));
            }
            Event::Exit(container, attempt, code, signal) => {
                if self.running.remove(&(container, attempt)).is_some() {
                    let reason = if code == 0 { "Completed" } else { "Error" }.into();
                    let exit = Exit {
                        code,
                        signal,
                        reason,
                        message: None,
                        started: None,
                        finished: self.now,
                    };
                    self.tell(Input::Exited {
                        container,
                        attempt,
                        exit,
                    });
                }
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.machine.poll_output() {
                Output::Wait(until) => return self.wait = until,
                Output::Persist => self.tell(Input::Persisted(Persisted::Written)),
                Output::Perform(ticket, action) => self.perform(ticket, action),
                Output::Cancel(_) => {}
                Output::Notify(change) => self.done |= change == Change::Deleted,
            }
        }
    }

    fn script(&self, container: ContainerIndex) -> Script {
        let name = self
            .machine
            .record()
            .container(container)
            .map_or("", |record| record.name());
        self.scenario
            .containers
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    fn perform(&mut self, ticket: Ticket, action: Action) {
        let span = |span: Option<Span>| span.map_or(Duration::ZERO, |span| span.0);
        let soon = Duration::from_millis(1);
        match action {
            Action::CreateSandbox { .. } => {
                self.after(soon, Event::Answer(ticket, Outcome::Sandbox { ip: None }))
            }
            Action::Image { container, step } => {
                let absent = self.script(container).image.is_some()
                    && !self.fetched.contains_key(&container);
                let (after, outcome) = match step {
                    ImageStep::Inspect if absent => (Duration::ZERO, Outcome::Absent),
                    ImageStep::Inspect => (Duration::ZERO, Outcome::Done),
                    ImageStep::Pull => {
                        self.fetched.insert(container, true);
                        (span(self.script(container).image), Outcome::Done)
                    }
                };
                self.after(after, Event::Answer(ticket, outcome));
            }
            Action::Start {
                container, attempt, ..
            } => {
                let takes = self.script(container).start.map_or(soon, |start| start.0);
                self.after(takes, Event::Started(ticket, container, attempt));
            }
            Action::Hook { container, .. } => {
                let takes = span(self.script(container).hook);
                self.after(takes, Event::Answer(ticket, Outcome::Done));
            }
            Action::Probe {
                container, attempt, ..
            } => {
                let finding = self.probe(container, attempt);
                self.after(soon, Event::Answer(ticket, Outcome::Probe(finding)));
            }
            Action::Signal {
                container,
                attempt,
                signal,
            } => {
                self.signal(container, attempt, signal);
                self.after(soon, Event::Answer(ticket, Outcome::Done));
            }
            _ => self.after(soon, Event::Answer(ticket, Outcome::Done)),
        }
    }

    fn probe(&self, container: ContainerIndex, attempt: u32) -> Finding {
        let script = self.script(container);
        let Some(since) = self.running.get(&(container, attempt)) else {
            return Finding::Failure;
        };
        let age = self.now.mono - *since;
        let is_ready = script.ready.is_none_or(|ready| age >= ready.0);
        let hangs = script.hangs.is_some_and(|hangs| age >= hangs.0);
        if is_ready && !hangs {
            Finding::Success
        } else {
            Finding::Failure
        }
    }

    fn signal(&mut self, container: ContainerIndex, attempt: u32, signal: Signal) {
        match (signal, self.script(container).stops) {
            (Signal::Stop, Some(Stops::Never)) => {}
            (Signal::Stop, Some(Stops::After(span))) => {
                self.after(span.0, Event::Exit(container, attempt, 143, Some(15)));
            }
            (Signal::Stop, None) => {
                self.after(
                    Duration::from_millis(50),
                    Event::Exit(container, attempt, 143, Some(15)),
                );
            }
            (Signal::Kill, _) => self.after(
                Duration::from_millis(1),
                Event::Exit(container, attempt, 137, Some(9)),
            ),
        }
    }
}
