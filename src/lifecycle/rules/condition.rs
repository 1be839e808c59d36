//! The conditions of a pod that the kubelet owns.
//!
//! Each is computed as a [`Condition`], whose message is put together only when it is printed; [`write()`] puts it into a
//! status in place.
//!
//! Source: `pkg/kubelet/status/generate.go` of Kubernetes.

use std::fmt::{self, Display};

use super::facts::Seen;
use super::phase::Statuses;
use super::restart::restarts_all;
use super::rewrite::Pen;
use super::sandbox::SandboxProblem;
use super::shape::{ContainerView, Role, Shape};
use crate::model::{
    ConditionStatus, ConditionType, ContainerState, ContainerStatus, Phase, PodCondition,
};
use crate::time::Wall;

/// A condition as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a> {
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word; empty for none.
    pub reason: &'static str,
    /// Why, for people: print it.
    pub message: Message<'a>,
}

/// What a condition says. Printing it writes the API's text; nothing, for [`Message::Empty`].
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Nothing.
    Empty,
    /// Which containers are unknown or not ready.
    Unready(&'a Shape, Statuses<'a>),
    /// Which init containers are unknown or not complete.
    Incomplete(&'a Shape, Statuses<'a>),
    /// Which readiness gates are shut.
    Gates(&'a Shape, &'a [PodCondition]),
    /// This.
    Text(&'a str),
}

impl<'a> Condition<'a> {
    /// It holds, and there is nothing to say about that.
    pub const HOLDS: Condition<'static> = Condition {
        holds: true,
        reason: "",
        message: Message::Empty,
    };

    fn is(holds: bool, reason: &'static str) -> Condition<'a> {
        Condition {
            holds,
            reason,
            message: Message::Empty,
        }
    }

    /// As the API has it, without times.
    pub fn to_pod_condition(&self, type_: ConditionType) -> PodCondition {
        let mut condition = PodCondition {
            type_,
            ..PodCondition::default()
        };
        write(&mut condition, self, None, Wall::default());
        condition.last_transition_time = None;
        condition
    }
}

/// ContainersReady: every sidecar and regular container is ready. `None` for the statuses means that nothing at all is
/// known, which is not the same as an empty list.
///
/// ```
/// use podlife::lifecycle::rules::condition::containers_ready;
/// use podlife::lifecycle::rules::phase::Statuses;
/// use podlife::lifecycle::rules::shape::Shape;
/// use podlife::model::{Phase, Pod};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}"#).unwrap();
/// let shape = Shape::new(&pod);
/// let found = containers_ready(&shape, Some(Statuses { init: &[], regular: &[] }), &Phase::Running);
/// assert!(!found.holds);
/// assert_eq!(found.reason, "ContainersNotReady");
/// assert_eq!(found.message.to_string(), "containers with unknown status: [a b]");
/// ```
pub fn containers_ready<'a>(
    shape: &'a Shape,
    statuses: Option<Statuses<'a>>,
    phase: &Phase,
) -> Condition<'a> {
    let Some(statuses) = statuses else {
        return Condition::is(false, "UnknownContainerStatuses");
    };
    let count = Tally::of(served(shape), statuses, is_ready);
    match phase {
        Phase::Succeeded if count.unknown == 0 => Condition::is(false, "PodCompleted"),
        Phase::Failed => Condition::is(false, "PodFailed"),
        _ if count.is_empty() => Condition::is(true, ""),
        _ => Condition {
            holds: false,
            reason: "ContainersNotReady",
            message: Message::Unready(shape, statuses),
        },
    }
}

/// Ready: ContainersReady holds, and so does every condition that a readiness gate names.
pub fn ready<'a>(
    shape: &'a Shape,
    statuses: Option<Statuses<'a>>,
    conditions: &'a [PodCondition],
    phase: &Phase,
) -> Condition<'a> {
    let containers = containers_ready(shape, statuses, phase);
    let is_open = |gate: &str| gate_status(conditions, gate) == Some(&ConditionStatus::True);
    if !containers.holds || shape.readiness_gates.iter().all(|gate| is_open(gate)) {
        return containers;
    }
    Condition {
        holds: false,
        reason: "ReadinessGatesNotReady",
        message: Message::Gates(shape, conditions),
    }
}

/// Initialized: every init container is done and every sidecar started. It holds once a regular container has run, and once it
/// held (`was_initialized`) it stays: init containers may run again, in a new sandbox or when all containers restart in place.
pub fn initialized<'a>(
    shape: &'a Shape,
    statuses: Option<Statuses<'a>>,
    phase: &Phase,
    was_initialized: bool,
) -> Condition<'a> {
    let Some(statuses) = statuses else {
        let reason = if shape.init.is_empty() {
            ""
        } else {
            "UnknownContainerStatuses"
        };
        let done = shape.init.is_empty() && *phase == Phase::Succeeded;
        return Condition::is(
            shape.init.is_empty(),
            if done { "PodCompleted" } else { reason },
        );
    };
    let init = shape.init.iter().map(|index| &shape.containers[*index]);
    let count = Tally::of(init, statuses, is_complete);
    if *phase == Phase::Succeeded && count.unknown == 0 {
        return Condition::is(true, "PodCompleted");
    }
    let mut regular = shape.regular.iter().map(|index| &shape.containers[*index]);
    let has_run = regular.any(|container| statuses.of(container).is_some_and(has_run));
    if has_run || count.is_empty() || was_initialized {
        return Condition::is(true, "");
    }
    Condition {
        holds: false,
        reason: "ContainersNotInitialized",
        message: Message::Incomplete(shape, statuses),
    }
}

/// PodReadyToStartContainers: the sandbox stands. Kubernetes up to 1.35 says neither reason nor message, nor does this.
pub fn ready_to_start(problem: Option<SandboxProblem>) -> Condition<'static> {
    Condition::is(problem.is_none(), "")
}

/// AllContainersRestarting: from the moment an exit asks for it until every old record is removed. Published only for a
/// shape that [can](Shape::can_restart_all).
pub fn all_containers_restarting<'s>(
    shape: &Shape,
    seen: impl Fn(usize) -> Seen<'s>,
    was_restarting: bool,
    phase: &Phase,
) -> Condition<'static> {
    match phase {
        Phase::Succeeded => return Condition::is(false, "PodCompleted"),
        Phase::Failed => return Condition::is(false, "PodFailed"),
        _ => {}
    }
    let mut restartable = shape.init.iter().chain(&shape.regular);
    let is_left = restartable.any(|index| !seen(*index).attempts.is_empty());
    if !(is_left && restarting_all(shape, seen, was_restarting)) {
        return Condition::is(false, "");
    }
    Condition {
        holds: true,
        reason: "RestartAllContainersStarted",
        message: Message::Text("container exited with restart policy rule"),
    }
}

/// All containers are to be restarted in place, or are being so: AllContainersRestarting is True in what was published, or
/// some container's newest attempt exited in a way that asks for it.
pub fn restarting_all<'s>(
    shape: &Shape,
    seen: impl Fn(usize) -> Seen<'s>,
    was_restarting: bool,
) -> bool {
    let mut restartable = shape.init.iter().chain(&shape.regular);
    was_restarting
        || (shape.can_restart_all
            && restartable.any(|index| restarts_all(&shape.containers[*index], &seen(*index))))
}

/// Whether a condition of this type is published as True.
pub fn holds(conditions: &[PodCondition], type_: &ConditionType) -> bool {
    let mut named = conditions
        .iter()
        .filter(|condition| condition.type_ == *type_);
    named
        .next()
        .is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// The place of a condition in a list; one that is not there is appended, with a status that is neither True nor False.
pub fn place(conditions: &mut Vec<PodCondition>, type_: ConditionType) -> usize {
    let place = conditions
        .iter()
        .position(|condition| condition.type_ == type_);
    place.unwrap_or_else(|| {
        conditions.push(PodCondition {
            type_,
            ..PodCondition::default()
        });
        conditions.len() - 1
    })
}

/// Writes what was found over what was published, in place. The transition time changes only when the status flips, to
/// `now`. Returns whether it flipped.
pub fn write(
    condition: &mut PodCondition,
    found: &Condition<'_>,
    generation: Option<i64>,
    now: Wall,
) -> bool {
    let status = if found.holds {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    let flipped = condition.status != status;
    if flipped {
        condition.status = status;
        condition.last_transition_time = Some(now);
    }
    let mut pen = Pen::default();
    pen.text(
        &mut condition.reason,
        Some(found.reason).filter(|reason| !reason.is_empty()),
    );
    match found.message {
        Message::Empty => pen.text(&mut condition.message, None),
        message => pen.display(&mut condition.message, &message),
    }
    condition.observed_generation = generation.filter(|generation| *generation != 0);
    flipped
}

/// Containers by what is known of them.
struct Tally {
    unknown: usize,
    not_yet: usize,
}

impl Tally {
    fn of<'a>(
        containers: impl Iterator<Item = &'a ContainerView>,
        statuses: Statuses<'_>,
        is_done: fn(&ContainerView, &ContainerStatus) -> bool,
    ) -> Tally {
        let mut tally = Tally {
            unknown: 0,
            not_yet: 0,
        };
        for container in containers {
            match statuses.of(container) {
                None => tally.unknown += 1,
                Some(status) => tally.not_yet += usize::from(!is_done(container, status)),
            }
        }
        tally
    }

    fn is_empty(&self) -> bool {
        self.unknown + self.not_yet == 0
    }
}

/// The containers that serve: sidecars and regular ones.
fn served(shape: &Shape) -> impl Iterator<Item = &ContainerView> {
    let all = shape
        .init
        .iter()
        .chain(&shape.regular)
        .map(|index| &shape.containers[*index]);
    all.filter(|container| container.role != Role::Init)
}

fn is_ready(_: &ContainerView, status: &ContainerStatus) -> bool {
    status.ready
}

fn is_complete(container: &ContainerView, status: &ContainerStatus) -> bool {
    match container.role {
        Role::Sidecar => status.started == Some(true),
        _ => status.ready,
    }
}

fn has_run(status: &ContainerStatus) -> bool {
    let has_run = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
    status.state.as_ref().is_some_and(has_run)
}

fn gate_status<'a>(conditions: &'a [PodCondition], gate: &str) -> Option<&'a ConditionStatus> {
    let named = conditions
        .iter()
        .find(|condition| condition.type_.as_str() == gate);
    named.map(|condition| &condition.status)
}

impl Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Message::Empty => Ok(()),
            Message::Text(text) => f.write_str(text),
            Message::Unready(shape, statuses) => {
                write_names(f, || served(shape), statuses, ("unready", is_ready))
            }
            Message::Incomplete(shape, statuses) => {
                let init = || shape.init.iter().map(|index| &shape.containers[*index]);
                write_names(f, init, statuses, ("incomplete", is_complete))
            }
            Message::Gates(shape, conditions) => write_gates(f, shape, conditions),
        }
    }
}

/// `containers with unknown status: [a b], containers with unready status: [c]`.
fn write_names<'a, I: Iterator<Item = &'a ContainerView>>(
    f: &mut fmt::Formatter<'_>,
    containers: impl Fn() -> I,
    statuses: Statuses<'_>,
    (word, is_done): (&str, fn(&ContainerView, &ContainerStatus) -> bool),
) -> fmt::Result {
    let is_unknown = |view: &&ContainerView| statuses.of(view).is_none();
    let is_not_yet = |view: &&ContainerView| {
        statuses
            .of(view)
            .is_some_and(|status| !is_done(view, status))
    };
    let any_unknown = containers().any(|view| is_unknown(&view));
    let any_not_yet = containers().any(|view| is_not_yet(&view));
    if any_unknown {
        write_list(f, "unknown", containers().filter(is_unknown))?;
    }
    if any_unknown && any_not_yet {
        f.write_str(", ")?;
    }
    if any_not_yet {
        write_list(f, word, containers().filter(is_not_yet))?;
    }
    Ok(())
}

fn write_list<'a>(
    f: &mut fmt::Formatter<'_>,
    word: &str,
    containers: impl Iterator<Item = &'a ContainerView>,
) -> fmt::Result {
    write!(f, "containers with {word} status: [")?;
    for (place, container) in containers.enumerate() {
        write!(f, "{}{}", if place == 0 { "" } else { " " }, container.name)?;
    }
    f.write_str("]")
}

fn write_gates(
    f: &mut fmt::Formatter<'_>,
    shape: &Shape,
    conditions: &[PodCondition],
) -> fmt::Result {
    let mut separator = "";
    for gate in &shape.readiness_gates {
        match gate_status(conditions, gate) {
            Some(ConditionStatus::True) => continue,
            Some(status) => write!(
                f,
                "{separator}the status of pod readiness gate {gate:?} is not \"True\", but {status}"
            )?,
            None => write!(
                f,
                "{separator}corresponding condition of pod readiness gate {gate:?} does not exist."
            )?,
        }
        separator = ", ";
    }
    Ok(())
}
