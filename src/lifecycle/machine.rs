//! The pod's life as a value.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::exits::Removal;
use super::fault::Fault;
use super::input::{Input, Outcome};
use super::outbox::Outbox;
use super::output::{Change, ContainerChange, ContainerIndex, Output, Ticket};
use super::probing::Probes;
use super::record::{ContainerRecord, Record, SandboxRecord};
use super::resizing::ResizeStep;
use super::rules::image_pull::{PullPolicy, pull_policy};
use super::rules::plan::Plan;
use super::rules::shape::{ContainerView, Shape};
use super::state::State;
use super::store::{Dirty, Store};
use super::timer::{ContainerTimer, Due, PodTimer, Timers};
use crate::model::{Pod, PodOptions, PodStatus, Valid};
use crate::time::{Mono, Now};

/// How long after a failed try the next one comes, where no back-off says otherwise.
pub(super) const RETRY: Duration = Duration::from_secs(10);

/// How many conditions most pods have.
const CONDITIONS: usize = 5;

/// No probe runs more often.
const LEAST_PERIOD: Duration = Duration::from_millis(1);

/// One pod's life, from the first container to the last: takes inputs, gives outputs. No clock, no descriptor, no
/// thread, no randomness: the same inputs give the same outputs.
///
/// A driver feeds it what happens and does what it says:
///
/// 1. [`handle`](PodMachine::handle) an input,
/// 2. take outputs by [`poll_output`](PodMachine::poll_output) until [`Output::Wait`],
/// 3. wait for what happens next, or until the time it names.
///
/// See [`Output`] and [`Action`](super::Action) for what each asks.
///
/// ```
/// use podlife::lifecycle::{Action, Input, Outcome, Output, Persisted, PodMachine, PodOptions};
/// use podlife::model::{Phase, Pod, Valid};
/// use podlife::time::Now;
///
/// let pod: Valid<Pod> = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
///     "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#.try_into().unwrap();
/// let now = Now::default();
/// let mut machine = PodMachine::new(pod, PodOptions::default(), now);
///
/// // A driver that does everything at once, and well.
/// loop {
///     let input = match machine.poll_output() {
///         Output::Wait(_) => break,
///         Output::Persist => Input::Persisted(Persisted::Written),
///         Output::Perform(ticket, action) => Input::Done(ticket, match action {
///             Action::CreateSandbox { .. } => Outcome::Sandbox { ip: None },
///             Action::Start { .. } => Outcome::Started { at: now },
///             _ => Outcome::Done,
///         }),
///         _ => continue,
///     };
///     machine.handle(now, input);
/// }
/// assert_eq!(machine.status().phase, Some(Phase::Running));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PodMachine {
    #[serde(with = "super::history::valid_pod")]
    pub(super) pod: Valid<Pod>,
    pub(super) options: PodOptions,
    pub(super) shape: Shape,
    pub(super) record: Record,
    pub(super) containers: Vec<Live>,
    pub(super) sandbox: SandboxStep,
    pub(super) teardown: Option<Ticket>,
    pub(super) resize: ResizeStep,
    pub(super) removals: Vec<Removal>,
    /// When this process began to probe.
    pub(super) probing_since: Mono,
    pub(super) timers: Timers,
    pub(super) outbox: Outbox,
    pub(super) now: Now,
    /// Deleted: nothing is left to do, ever.
    pub(super) gone: bool,
    pub(super) dirty: Dirty,
    pub(super) store: Store,
    /// What was reserved is on record.
    pub(super) accepted: bool,
    /// That the pod is to end is on record, or is being written.
    pub(super) end_written: bool,
    pub(super) writing_end: bool,
    /// Room to plan in.
    #[serde(skip)]
    pub(super) plan: Plan,
    #[serde(skip)]
    pub(super) fault: Fault,
    #[serde(skip)]
    pub(super) fired: bool,
}

/// What a machine knows of a container beside its record: all of it can be found out again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Live {
    pub(super) state: State,
    /// The action its state waits for.
    pub(super) ticket: Option<Ticket>,
    /// When that began.
    pub(super) since: Mono,
    pub(super) pull: PullPolicy,
    pub(super) probes: Probes,
    /// The attempt whose cgroup the resize under way writes.
    pub(super) resizing: Option<u32>,
}

impl Live {
    pub(super) fn new(pod: &Pod, view: &ContainerView) -> Live {
        let probes = Probes::new(view);
        Live {
            state: State::Waiting,
            ticket: None,
            since: Mono::ZERO,
            pull: pull_policy(pod, view),
            probes,
            resizing: None,
        }
    }

    /// The manifest changed.
    pub(super) fn look_again(&mut self, pod: &Pod, view: &ContainerView) {
        self.pull = pull_policy(pod, view);
        if !self.state.is_alive() {
            self.probes = Probes::new(view);
        }
    }
}

/// What is being done about the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SandboxStep {
    Idle,
    Creating(Ticket),
    Stopping(Ticket),
}

impl PodMachine {
    /// A new pod. Its first output is [`Output::Persist`]: when that is answered the pod exists.
    pub fn new(pod: Valid<Pod>, options: PodOptions, now: Now) -> PodMachine {
        let mut shape = Shape::new(&pod);
        set_periods(&mut shape, &options);
        let record = Record {
            saved: now,
            created: now,
            sandbox: SandboxRecord {
                reserved: 1,
                ..SandboxRecord::default()
            },
            containers: shape
                .containers
                .iter()
                .map(|view| ContainerRecord::new(view, 1))
                .collect(),
            rebuild: false,
            ending: None,
            eviction: None,
            deleted: false,
            ended: false,
            torn_down: false,
            decided: None,
            active_deadline: shape
                .active_deadline
                .map(|seconds| now.mono + whole_seconds(seconds)),
            resizing: None,
            status: PodStatus {
                conditions: Vec::with_capacity(CONDITIONS),
                ..PodStatus::default()
            },
        };
        let mut machine = PodMachine::around(pod, options, shape, record, now);
        machine.begin_life();
        machine.dirty = Dirty::Now;
        machine.settle();
        machine.write();
        machine
    }

    /// Takes one input. Total: whatever comes, in whatever state, is decided; nothing panics.
    ///
    /// `now` never runs backwards for a machine: an earlier one counts as the latest so far.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = Now {
            mono: self.now.mono.max(now.mono),
            wall: self.now.wall.max(now.wall),
        };
        if self.gone {
            return;
        }
        let mut changed = self.take(input);
        while let Some(due) = self.timers.take_due(self.now.mono) {
            changed |= self.fire(due);
        }
        if changed {
            self.settle();
        }
        self.write();
    }

    /// The next output. After [`Output::Wait`] there is none until the next input.
    pub fn poll_output(&mut self) -> Output {
        self.outbox
            .pop()
            .unwrap_or_else(|| Output::Wait(self.timers.next()))
    }

    /// What [`Output::Persist`] asks to be written.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The pod's status.
    pub fn status(&self) -> &PodStatus {
        &self.record.status
    }

    /// What is being done about a container.
    pub fn state(&self, container: ContainerIndex) -> Option<State> {
        self.containers
            .get(container.as_usize())
            .map(|live| live.state)
    }

    pub(super) fn around(
        pod: Valid<Pod>,
        options: PodOptions,
        shape: Shape,
        record: Record,
        now: Now,
    ) -> PodMachine {
        let containers: Vec<Live> = shape
            .containers
            .iter()
            .map(|view| Live::new(&pod, view))
            .collect();
        PodMachine {
            timers: Timers::new(containers.len()),
            outbox: Outbox::new(now.mono),
            pod,
            options,
            shape,
            record,
            containers,
            sandbox: SandboxStep::Idle,
            teardown: None,
            resize: ResizeStep::Idle,
            removals: Vec::new(),
            probing_since: now.mono,
            now,
            gone: false,
            dirty: Dirty::Clean,
            store: Store::Well,
            accepted: false,
            end_written: false,
            writing_end: false,
            plan: Plan::default(),
            fault: Fault::None,
            fired: false,
        }
    }

    pub(super) fn begin_life(&mut self) {
        if let Some(at) = self
            .record
            .active_deadline
            .filter(|_| self.record.ending.is_none())
        {
            self.timers.arm(Due::Pod(PodTimer::ActiveDeadline), at);
        }
    }

    /// Takes over what the input says. Says whether planner and status have to look.
    fn take(&mut self, input: Input) -> bool {
        match input {
            Input::Tick => false,
            Input::Done(ticket, outcome) => self.done(ticket, outcome),
            Input::Persisted(persisted) => self.persisted(persisted),
            Input::Exited {
                container,
                attempt,
                exit,
            } => self.exited(container.as_usize(), attempt, exit),
            Input::SandboxLost { attempt } => self.sandbox_lost(attempt),
            Input::Delete(deletion) => self.delete(deletion),
            Input::Evict(eviction) => self.evict(eviction),
            Input::Update(pod) => self.update(pod),
            Input::Retry => self.retry(),
            Input::Restart(container) => self.restart(container.map(ContainerIndex::as_usize)),
            Input::Condition(condition) => self.set_condition(*condition),
        }
    }

    /// An answer. Whoever waits for the ticket takes it; if nobody does it is late, or a lie.
    fn done(&mut self, ticket: Ticket, outcome: Outcome) -> bool {
        if self.sandbox == SandboxStep::Creating(ticket) {
            return self.sandbox_created(outcome);
        }
        if self.sandbox == SandboxStep::Stopping(ticket) {
            return self.sandbox_stopped(outcome);
        }
        if self.teardown == Some(ticket) {
            return self.torn_down(outcome);
        }
        if let Some(resized) = self.resize_done(ticket, &outcome) {
            return resized;
        }
        if let Some(place) = self
            .removals
            .iter()
            .position(|removal| removal.ticket == ticket)
        {
            self.removed(place, outcome == Outcome::Done);
            return false;
        }
        for index in 0..self.containers.len() {
            if self.containers[index].ticket == Some(ticket) {
                self.containers[index].ticket = None;
                return self.step_done(index, outcome);
            }
            if let Some(kind) = self.containers[index].probes.awaiting(ticket) {
                return self.probe_done(index, kind, outcome);
            }
        }
        self.late(outcome)
    }

    /// Nobody waits for this.
    fn late(&mut self, outcome: Outcome) -> bool {
        let waits = self
            .containers
            .iter()
            .position(|live| live.ticket.is_some());
        match waits {
            Some(index) if self.injected(Fault::LateTicket) => self.step_done(index, outcome),
            _ => false,
        }
    }

    /// The answer to what the container's state waits for.
    fn step_done(&mut self, index: usize, outcome: Outcome) -> bool {
        match self.containers[index].state {
            State::Inspecting => self.inspected(index, outcome),
            State::Pulling => self.pulled(index, outcome),
            State::Starting => self.start_done(index, outcome),
            State::PostStart => self.post_start_done(index, outcome),
            State::PreStop => self.pre_stop_done(index, outcome),
            State::Waiting | State::Running | State::InOrder | State::Stopping | State::Killing => {
                return false;
            }
        }
        true
    }

    fn fire(&mut self, due: Due) -> bool {
        match due {
            Due::Pod(PodTimer::Retry | PodTimer::Resize) => true,
            Due::Pod(PodTimer::ActiveDeadline) => self.deadline_exceeded(),
            Due::Pod(PodTimer::Persist) => {
                self.write_is_due();
                false
            }
            Due::Container(index, ContainerTimer::Step) => self.step_over(index),
            Due::Container(_, ContainerTimer::Retry) => true,
            Due::Container(index, timer) => match timer.probe() {
                Some(kind) => self.probe_due(index, kind),
                None => false,
            },
        }
    }

    // Small things that everybody needs.

    /// The one door between states: what does not belong to the new one ends here.
    pub(super) fn set_state(&mut self, index: usize, to: State) {
        let live = &mut self.containers[index];
        debug_assert!(
            live.state.leads_to(to),
            "{:?} does not lead to {to:?}",
            live.state
        );
        live.state = to;
        live.ticket = None;
        live.since = self.now.mono;
        for timer in ContainerTimer::ALL {
            if !to.has(timer) {
                self.timers.disarm(Due::Container(index, timer));
            }
        }
    }

    pub(super) fn wait_for(&mut self, index: usize, ticket: Ticket) {
        self.containers[index].ticket = Some(ticket);
    }

    pub(super) fn name(&self, index: usize) -> ContainerIndex {
        ContainerIndex(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The newest attempt's number.
    pub(super) fn newest(&self, index: usize) -> u32 {
        self.record.containers[index]
            .attempts
            .first()
            .map_or(0, |newest| newest.number)
    }

    pub(super) fn tell(&mut self, index: usize, change: ContainerChange) {
        let (container, attempt) = (self.name(index), self.newest(index));
        self.notify(Change::Container {
            container,
            attempt,
            change,
        });
    }

    pub(super) fn is_listed(&self, index: usize) -> bool {
        self.shape.listed().any(|listed| listed == index)
    }

    /// Whether every place that it names is there; only one that was read as text can fail to be.
    pub(super) fn is_whole(&self) -> bool {
        let (shape, count) = (&self.shape, self.containers.len());
        let listed = [
            &shape.init,
            &shape.regular,
            &shape.ephemeral,
            &shape.removed,
        ];
        let mut named = listed.into_iter().flatten().copied();
        let mut removed = self.removals.iter().map(Removal::container);
        shape.containers.len() == count
            && self.record.containers.len() == count
            && self.timers.containers() == Some(count)
            && named.all(|index| index < count)
            && removed.all(|index| index < count)
            && self.outbox.is_whole()
    }

    /// Makes it make this mistake from now on.
    #[doc(hidden)]
    pub fn inject(&mut self, fault: Fault) {
        self.fault = fault;
    }

    /// Whether it made it.
    #[doc(hidden)]
    pub fn fired(&self) -> bool {
        self.fired
    }

    /// Whether to make this mistake now.
    pub(super) fn injected(&mut self, fault: Fault) -> bool {
        let injected = self.fault == fault;
        self.fired |= injected;
        injected
    }
}

/// The probe periods that the options name.
pub(super) fn set_periods(shape: &mut Shape, options: &PodOptions) {
    for view in &mut shape.containers {
        let own = options.probe_periods.get(&*view.name);
        let of = |own: Option<Duration>| own.or(options.probe_period);
        let periods = [
            (&mut view.liveness, of(own.and_then(|own| own.liveness))),
            (&mut view.readiness, of(own.and_then(|own| own.readiness))),
            (&mut view.startup, of(own.and_then(|own| own.startup))),
        ];
        for (probe, period) in periods {
            if let (Some(probe), Some(period)) = (probe, period) {
                probe.period = period.max(LEAST_PERIOD);
            }
        }
    }
}

/// Seconds of the API, where negative ones are none.
pub(super) fn whole_seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
