//! A pod's life to look at: as lines of text, and as a picture.
//!
//! A [`Timeline`] is told what a pod's machine says, by its driver ([`Timeline::see`]), or what a Node's event log holds
//! (`podlife::node::Events::timeline`), so a simulated life and a real one are drawn by the same hand.

mod bars;
mod svg;
mod text;

use std::sync::Arc;
use std::time::Duration;

use super::attempt::AttemptState;
use super::history::History;
use super::machine::PodMachine;
use super::output::{
    Action, Cause, Change, ContainerChange, ContainerIndex, Hook, Output, ProbeKind, SandboxChange,
    Signal,
};
use crate::model::Phase;
use crate::time::Now;

/// What one pod's life looked like so far.
///
/// Its [`Display`](std::fmt::Display) is a line for each [`Moment`]; [`svg`](Timeline::svg) draws it. It keeps all that it is told, a few dozen
/// bytes each; whoever looks at a pod for weeks begins a new one now and then.
///
/// ```
/// use podlife::lifecycle::timeline::{Timeline, What};
/// use podlife::model::Phase;
/// use podlife::time::Now;
/// use std::time::Duration;
///
/// let start = Now::default();
/// let mut timeline = Timeline::new("web");
/// timeline.tell(start, What::Phase(Phase::Pending));
/// timeline.tell(start.after(Duration::from_millis(1500)), What::Phase(Phase::Running));
/// assert_eq!(timeline.to_string(), "0:00:00.000  pod               Pending\n0:00:01.500  pod               Running\n");
/// assert!(timeline.svg().starts_with("<svg "));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    name: String,
    began: Option<Now>,
    end: Duration,
    moments: Vec<Moment>,
    /// Containers, in the order in which they are drawn.
    lanes: Vec<Arc<str>>,
    runs: Vec<Run>,
    /// Hooks, signals and runs of probes are seen, not only what came of them.
    sees_actions: bool,
}

/// Something that was told, and when. Its [`Display`](std::fmt::Display) is one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// After the timeline's beginning.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What a [`Moment`] is about.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `status.phase` changed.
    Phase(Phase),
    /// The sandbox.
    Sandbox(SandboxChange),
    /// A container.
    Container {
        /// Its name.
        name: Arc<str>,
        /// The number of its newest attempt.
        attempt: u32,
        /// What happened to it.
        change: ContainerChange,
        /// The code it exited with; only for [`ContainerChange::Exited`].
        exit_code: Option<i32>,
        /// Why, where something failed and it is known.
        detail: Option<Arc<str>>,
    },
    /// One of a container's hooks begins. A Node's events do not tell.
    Hook(Arc<str>, Hook),
    /// A container is sent a signal. A Node's events do not tell.
    Signal(Arc<str>, Signal),
    /// The pod is being ended.
    Terminating(Cause),
    /// Nothing of it runs any more.
    Terminated,
    /// It was taken up again after a crash of the program that ran it.
    Restored,
    /// Nothing is left of it.
    Deleted,
}

/// One run of a probe. Whether it failed is told apart from it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    at: Duration,
    lane: usize,
    probe: ProbeKind,
}

impl Timeline {
    /// A life of which nothing is known yet.
    pub fn new(pod: impl Into<String>) -> Timeline {
        Timeline {
            name: pod.into(),
            began: None,
            end: Duration::ZERO,
            moments: Vec::new(),
            lanes: Vec::new(),
            runs: Vec::new(),
            sees_actions: false,
        }
    }

    /// A life that is on record, from where its [`History`] begins.
    ///
    /// ```
    /// use podlife::lifecycle::{PodMachine, PodOptions};
    /// use podlife::lifecycle::history::History;
    /// use podlife::lifecycle::timeline::Timeline;
    /// use podlife::model::{Pod, Valid};
    /// use podlife::time::Now;
    ///
    /// let pod: Valid<Pod> = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
    ///     "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#.try_into().unwrap();
    /// let history = History::of(&PodMachine::new(pod, PodOptions::default(), Now::default()));
    /// let timeline = Timeline::of(&history);
    /// assert_eq!(timeline.to_string(), "0:00:00.000  pod               Pending\n");
    /// ```
    pub fn of(history: &History) -> Timeline {
        let mut timeline = Timeline::new("");
        let machine = history.replay(|now, output, machine| {
            timeline.see(now, output, machine);
        });
        timeline.name = machine.pod.metadata.name.clone().unwrap_or_default();
        timeline
    }

    /// Takes note of an output of a machine, whichever it is: a driver shows it each one that it
    /// [polls](PodMachine::poll_output). Gives back what is worth a line.
    pub fn see(&mut self, now: Now, output: Output, machine: &PodMachine) -> Option<&Moment> {
        self.sees_actions = true;
        self.until(now);
        match output {
            Output::Notify(change) => {
                let what = What::of(change, machine)?;
                Some(self.tell(now, what))
            }
            Output::Perform(_, action) => self.see_action(now, action, machine),
            Output::Persist => {
                for container in machine.record().containers() {
                    self.lane(&container.name);
                }
                None
            }
            Output::Cancel(_) | Output::Wait(_) => None,
        }
    }

    fn see_action(&mut self, now: Now, action: Action, machine: &PodMachine) -> Option<&Moment> {
        let name = |container| Some(machine.record().container(container)?.name.clone());
        let what = match action {
            Action::Probe {
                container, probe, ..
            } => {
                let (at, lane) = (self.until(now), self.lane(&name(container)?));
                self.runs.push(Run { at, lane, probe });
                return None;
            }
            Action::Hook {
                container, hook, ..
            } => What::Hook(name(container)?, hook),
            Action::Signal {
                container, signal, ..
            } => What::Signal(name(container)?, signal),
            _ => return None,
        };
        Some(self.tell(now, what))
    }

    /// Adds what happened, after everything that was told before.
    pub fn tell(&mut self, now: Now, what: What) -> &Moment {
        let at = self.until(now);
        if let Some(name) = what.container_name() {
            self.lane(name);
        }
        let last = self.moments.len();
        self.moments.push(Moment { at, what });
        &self.moments[last]
    }

    /// The pod was looked at until now at least: the picture goes so far. Gives the time since its beginning, which is the
    /// first time anything is said.
    pub fn until(&mut self, now: Now) -> Duration {
        let began = *self.began.get_or_insert(now);
        self.end = self.end.max(now.mono - began.mono);
        self.end
    }

    /// What was told, in order.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The pod's phases as bands, its containers as bars, their probes as ticks, over time: one SVG image that stands alone.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    fn lane(&mut self, name: &Arc<str>) -> usize {
        let known = self.lanes.iter().position(|lane| lane == name);
        known.unwrap_or_else(|| {
            self.lanes.push(name.clone());
            self.lanes.len() - 1
        })
    }
}

impl What {
    fn container_name(&self) -> Option<&Arc<str>> {
        match self {
            What::Container { name, .. } | What::Hook(name, _) | What::Signal(name, _) => {
                Some(name)
            }
            _ => None,
        }
    }

    /// What a machine notifies of, with what stands in its status and record.
    fn of(change: Change, machine: &PodMachine) -> Option<What> {
        Some(match change {
            Change::Phase => What::Phase(machine.status().phase.clone()?),
            Change::Sandbox { change, .. } => What::Sandbox(change),
            Change::Container {
                container,
                attempt,
                change,
            } => What::container(container, attempt, change, machine)?,
            Change::Terminating(cause) => What::Terminating(cause),
            Change::Terminated => What::Terminated,
            Change::Restored => What::Restored,
            Change::Deleted => What::Deleted,
            Change::Condition(_)
            | Change::Resize(_)
            | Change::StoreFailed
            | Change::StoreRecovered => return None,
        })
    }

    fn container(
        index: ContainerIndex,
        attempt: u32,
        change: ContainerChange,
        machine: &PodMachine,
    ) -> Option<What> {
        let record = machine.record().container(index)?;
        let exit_code = match change {
            ContainerChange::Exited => {
                let mut attempts = record.attempts().iter();
                let newest = attempts.find(|known| known.number == attempt);
                newest.and_then(|attempt| match &attempt.state {
                    AttemptState::Exited(exit) => Some(exit.code),
                    _ => None,
                })
            }
            _ => None,
        };
        let detail = match change {
            ContainerChange::StartFailed | ContainerChange::PullFailed => {
                record.start_error().map(|error| error.message.clone())
            }
            _ => None,
        };
        Some(What::Container {
            name: record.name.clone(),
            attempt,
            change,
            exit_code,
            detail,
        })
    }
}
