//! The status of a pod: a projection of the facts *and of what was published before*, in the kubelet's order: container
//! statuses, `started` and `ready`, phase, conditions.
//!
//! [`project`] rewrites a published status in place, which is what a machine does at every change. [`generate`] makes a new
//! one from the two statuses the kubelet keeps apart, its own and the API's.
//!
//! Source: `generateAPIPodStatus` in `pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/status/status_manager.go` of Kubernetes.

pub mod container;
pub mod image_volume;
mod layout;
pub mod merge;
pub mod resources;
pub mod terminate;
pub mod transition;

use std::mem::take;

use super::condition::{
    self, Condition, Message, all_containers_restarting, containers_ready, holds,
};
use super::condition::{initialized, ready, ready_to_start, restarting_all};
use super::deadline::DEADLINE_EXCEEDED;
use super::facts::{Flight, PodFacts, Seen, Then};
use super::phase::{PhaseFacts, Statuses, phase};
use super::resize::Resizing;
use super::rewrite::Pen;
use super::sandbox::sandbox_problem;
use super::shape::Shape;
use crate::lifecycle::{Eviction, SandboxState};
use crate::model::{ConditionType, Phase, PodCondition, PodIp, PodStatus};
use crate::time::Wall;
use container::{Around, any_regular_created, convert, fill};
use layout::lay_out;

/// What a projection changed. Of what it does not name, nothing changed that anyone waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// The phase that follows from the facts. When it is terminal and `status.phase` is not, the pod has to be ended:
    /// it is published once that is done.
    pub phase: Phase,
    /// `status.phase` is another one than before.
    pub phase_changed: bool,
    /// Which entries of `status.conditions` flipped: bit *n* for the *n*th.
    pub conditions: u32,
    /// A condition is gone.
    pub condition_gone: bool,
    /// Which containers' statuses changed: bit *n* for index *n*; bit 63 for that and all later ones.
    pub containers: u64,
    /// Which of them became ready or unready.
    pub readiness: u64,
}

impl Projection {
    /// Whether anything changed.
    pub fn is_empty(&self) -> bool {
        !self.phase_changed && self.conditions == 0 && !self.condition_gone && self.containers == 0
    }

    /// Whether this container's status changed.
    pub fn container(&self, index: usize) -> bool {
        self.containers & bit(index) != 0
    }
}

/// Rewrites the published status into what is to be published now.
///
/// A terminal phase, once published, stays. One that is new is withheld, with its reason and message, until
/// [`PodFacts::terminal`]: until then something might still run. Conditions that are not the kubelet's stay as they are.
///
/// No phase is terminal while a container is being started, or was killed or removed to be started again.
///
/// Reads everything in [`PodFacts`] and [`Seen`]. Writes everything but `qosClass`, `hostIP(s)`, and what
/// [`convert`] leaves alone.
///
/// ```
/// use podlife::lifecycle::rules::facts::{PodFacts, Seen};
/// use podlife::lifecycle::rules::shape::Shape;
/// use podlife::lifecycle::rules::status::project;
/// use podlife::model::{Phase, Pod, PodStatus};
/// use podlife::time::Wall;
///
/// let pod: Pod = serde_json::from_str(r#"{"spec": {"containers": [{"name": "web"}]}}"#).unwrap();
/// let (shape, facts, now) = (Shape::new(&pod), PodFacts::default(), Wall::from_secs(1));
/// let mut status = PodStatus::default();
/// let projection = project(&mut status, &shape, &facts, |_| Seen::default(), now);
/// assert!(projection.phase_changed && projection.container(0));
/// assert_eq!(status.phase, Some(Phase::Pending));
/// let waiting = status.container_statuses[0].state.as_ref().unwrap().waiting.as_ref().unwrap();
/// assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
/// assert!(project(&mut status, &shape, &facts, |_| Seen::default(), now).is_empty());
/// ```
pub fn project<'s>(
    status: &mut PodStatus,
    shape: &Shape,
    pod: &PodFacts<'_>,
    seen: impl Fn(usize) -> Seen<'s>,
    now: Wall,
) -> Projection {
    let (containers, readiness) = containers(status, shape, pod, &seen);
    let mut computed = phase_now(status, shape, pod, &seen);
    let before = status.phase.clone();
    if is_terminal(&computed) && !pod.terminal && is_to_run(shape, status, &seen) {
        computed = before.clone().unwrap_or(Phase::Pending);
    }
    let decided = decide(
        computed,
        [pod.decided, before.as_ref()],
        pod.eviction,
        before.as_ref(),
    );
    if !is_terminal(&decided) || pod.terminal || before.as_ref().is_some_and(is_terminal) {
        publish(status, &decided, pod.eviction);
    }
    let before_conditions = status.conditions.len();
    let mut conditions = conditions(status, shape, pod, &seen, &decided, now);
    let condition_gone = status.conditions.len() < before_conditions;
    if status.phase != before && is_terminal(&decided) {
        conditions |= disruption(status, pod.eviction, now);
    }
    addresses(status, pod);
    status.start_time.get_or_insert(now);
    status.observed_generation = shape.generation.filter(|generation| *generation != 0);
    Projection {
        phase_changed: status.phase != before,
        phase: decided,
        conditions,
        condition_gone,
        containers,
        readiness,
    }
}

/// The whole status, as the kubelet generates it before it is merged into the API's. `previous` is what was last generated,
/// `stored` the API's copy: a terminal phase of either stays, and conditions that are not the kubelet's come from `stored`.
pub fn generate<'s>(
    shape: &Shape,
    previous: &PodStatus,
    stored: &PodStatus,
    pod: &PodFacts<'_>,
    seen: impl Fn(usize) -> Seen<'s>,
    now: Wall,
) -> PodStatus {
    let mut status = begin(previous, stored);
    containers(&mut status, shape, pod, &seen);
    let decided = settle(&mut status, shape, stored, pod, &seen);
    conditions(&mut status, shape, pod, &seen, &decided, now);
    addresses(&mut status, pod);
    status.start_time.get_or_insert(now);
    status.observed_generation = shape.generation.filter(|generation| *generation != 0);
    status
}

/// The first step of [`generate`]: what it starts from.
pub fn begin(previous: &PodStatus, stored: &PodStatus) -> PodStatus {
    let mut status = previous.clone();
    let foreign = stored
        .conditions
        .iter()
        .filter(|condition| !is_kubelets(&condition.type_))
        .cloned();
    let own = take(&mut status.conditions).into_iter();
    let own = own.filter(|condition| {
        is_kubelets(&condition.type_) || condition.type_ == ConditionType::DisruptionTarget
    });
    status.conditions = foreign.collect();
    for condition in own {
        merge::replace_or_append(&mut status.conditions, condition);
    }
    status
}

/// The container statuses, `started` and `ready` included. Returns which changed, and of which `ready` did, by index.
pub fn containers<'s>(
    status: &mut PodStatus,
    shape: &Shape,
    pod: &PodFacts<'_>,
    seen: impl Fn(usize) -> Seen<'s>,
) -> (u64, u64) {
    let laid_out = lay_out(status, shape);
    let was_restarting = holds(&status.conditions, &ConditionType::AllContainersRestarting);
    let current = pod.sandboxes.first().map(|newest| newest.attempt);
    let around = Around {
        pod_deleted: pod.deleted,
        restarting_all: restarting_all(shape, &seen, was_restarting),
        regular_created: !shape.init.is_empty() && any_regular_created(shape, current, &seen),
    };
    let mut changed = if laid_out { u64::MAX } else { 0 };
    let mut readiness = 0;
    let lists = [
        (&shape.init, &mut status.init_container_statuses),
        (&shape.regular, &mut status.container_statuses),
        (&shape.ephemeral, &mut status.ephemeral_container_statuses),
    ];
    for (indexes, list) in lists {
        for &index in indexes {
            let view = &shape.containers[index];
            let Some(status) = list.get_mut(usize::from(view.slot)) else {
                continue;
            };
            let seen = seen(index);
            let was_ready = status.ready;
            if convert(status, shape, index, &seen, around) | fill(status, view, &seen) {
                changed |= bit(index);
            }
            if status.ready != was_ready {
                readiness |= bit(index);
            }
        }
    }
    (changed, readiness)
}

/// The phase with its reason and message, from container statuses that are up to date. Returns the phase.
pub fn settle<'s>(
    status: &mut PodStatus,
    shape: &Shape,
    stored: &PodStatus,
    pod: &PodFacts<'_>,
    seen: impl Fn(usize) -> Seen<'s>,
) -> Phase {
    let computed = phase_now(status, shape, pod, seen);
    let stored_phase = stored.phase.as_ref();
    let decided = decide(
        computed,
        [status.phase.as_ref(), stored_phase],
        pod.eviction,
        stored_phase,
    );
    let is_kept = status.phase.as_ref() == Some(&decided);
    publish(status, &decided, pod.eviction);
    if is_kept && pod.eviction.is_none() {
        status.reason = status.reason.take().or_else(|| stored.reason.clone());
        status.message = status.message.take().or_else(|| stored.message.clone());
    }
    decided
}

/// The kubelet's conditions, from container statuses that are up to date and the phase decided from them. Returns which
/// flipped, by their place in the list.
pub fn conditions<'s>(
    status: &mut PodStatus,
    shape: &Shape,
    pod: &PodFacts<'_>,
    seen: impl Fn(usize) -> Seen<'s>,
    decided: &Phase,
    now: Wall,
) -> u32 {
    let mut list = take(&mut status.conditions);
    let resizing = pod.resizing.filter(|_| !is_terminal(decided));
    let (pending, in_progress) = (
        resizing.and_then(Resizing::pending),
        resizing.and_then(Resizing::in_progress),
    );
    list.retain(|condition| match condition.type_ {
        ConditionType::PodResizePending => pending.is_some(),
        ConditionType::PodResizeInProgress => in_progress.is_some(),
        _ => true,
    });
    let was_initialized = holds(&list, &ConditionType::Initialized);
    let was_restarting = holds(&list, &ConditionType::AllContainersRestarting);
    let all = statuses(status);
    let known = (!all.init.is_empty() || !all.regular.is_empty()).then_some(all);
    let mut sheet = Sheet {
        list,
        flipped: 0,
        generation: shape.generation,
        now,
    };
    let problem = sandbox_problem(shape.network, pod.sandboxes);
    sheet.put(
        ConditionType::PodReadyToStartContainers,
        ready_to_start(problem),
    );
    sheet.put(
        ConditionType::Initialized,
        initialized(shape, known, decided, was_initialized),
    );
    sheet.put_ready(shape, known, decided);
    sheet.put(
        ConditionType::ContainersReady,
        containers_ready(shape, known, decided),
    );
    sheet.put(ConditionType::PodScheduled, Condition::HOLDS);
    if shape.can_restart_all {
        let restarting = all_containers_restarting(shape, seen, was_restarting, decided);
        sheet.put(ConditionType::AllContainersRestarting, restarting);
    }
    if let Some(found) = pending {
        sheet.put(ConditionType::PodResizePending, found);
    }
    if let Some(found) = in_progress {
        sheet.put(ConditionType::PodResizeInProgress, found);
    }
    let Sheet { list, flipped, .. } = sheet;
    status.conditions = list;
    flipped
}

/// The conditions while they are written.
struct Sheet {
    list: Vec<PodCondition>,
    flipped: u32,
    generation: Option<i64>,
    now: Wall,
}

impl Sheet {
    fn put(&mut self, type_: ConditionType, found: Condition<'_>) {
        let place = condition::place(&mut self.list, type_);
        let flipped = condition::write(&mut self.list[place], &found, self.generation, self.now);
        self.note(place, flipped);
    }

    /// Ready is found from the others in the list, so it is out of it meanwhile.
    fn put_ready(&mut self, shape: &Shape, known: Option<Statuses<'_>>, decided: &Phase) {
        let place = condition::place(&mut self.list, ConditionType::Ready);
        let mut condition = take(&mut self.list[place]);
        let found = ready(shape, known, &self.list, decided);
        let flipped = condition::write(&mut condition, &found, self.generation, self.now);
        self.list[place] = condition;
        self.note(place, flipped);
    }

    fn note(&mut self, place: usize, flipped: bool) {
        let bit = u32::try_from(place)
            .ok()
            .and_then(|place| 1u32.checked_shl(place));
        self.flipped |= bit.filter(|_| flipped).unwrap_or(0);
    }
}

/// A terminal phase stays: of those known before, the first. Eviction forces Failed. What the API has as terminal wins.
fn decide(
    computed: Phase,
    before: [Option<&Phase>; 2],
    eviction: Option<&Eviction>,
    stored: Option<&Phase>,
) -> Phase {
    let terminal = |phase: &&Phase| is_terminal(phase);
    if let Some(stored) = stored.filter(terminal) {
        return stored.clone();
    }
    if eviction.is_some() {
        return Phase::Failed;
    }
    if is_terminal(&computed) {
        return computed;
    }
    before
        .into_iter()
        .flatten()
        .find(terminal)
        .cloned()
        .unwrap_or(computed)
}

/// Whether some container that shows as ended is about to run: it is being started, or was killed to be. The kubelet kills and
/// starts in one step, between which no status is made.
fn is_to_run<'s>(shape: &Shape, status: &PodStatus, seen: impl Fn(usize) -> Seen<'s>) -> bool {
    let is_next = |index: usize| {
        let seen = seen(index);
        let flies = matches!(
            seen.flight,
            Some(Flight::Starting | Flight::Resetting | Flight::Killing(Then::Start))
        );
        flies || seen.owed == Some(Then::Start)
    };
    let was_restarting = holds(&status.conditions, &ConditionType::AllContainersRestarting);
    shape
        .init
        .iter()
        .chain(&shape.regular)
        .any(|index| is_next(*index))
        || restarting_all(shape, &seen, was_restarting)
}

/// Reason and message belong to a phase, and go with it.
fn publish(status: &mut PodStatus, decided: &Phase, eviction: Option<&Eviction>) {
    if status.phase.as_ref() != Some(decided) {
        status.phase = Some(decided.clone());
        status.reason = None;
        status.message = None;
    }
    if let Some(eviction) = eviction {
        let mut pen = Pen::default();
        pen.text(&mut status.reason, Some(&eviction.reason));
        pen.text(&mut status.message, Some(&eviction.message));
    }
}

fn phase_now<'s>(
    status: &PodStatus,
    shape: &Shape,
    pod: &PodFacts<'_>,
    seen: impl Fn(usize) -> Seen<'s>,
) -> Phase {
    let newest = pod.sandboxes.first();
    let current = newest
        .filter(|sandbox| sandbox.state == SandboxState::Ready)
        .map(|sandbox| sandbox.attempt);
    let has_run = |index: &usize| {
        seen(*index)
            .attempts
            .iter()
            .any(|attempt| Some(attempt.sandbox) == current)
    };
    let initialized = current.is_some() && shape.regular.iter().any(has_run);
    phase(
        shape,
        statuses(status),
        PhaseFacts {
            terminal: pod.terminal,
            initialized,
        },
    )
}

fn statuses(status: &PodStatus) -> Statuses<'_> {
    Statuses {
        init: &status.init_container_statuses,
        regular: &status.container_statuses,
    }
}

/// An evicted pod says so together with its end. Its deadline is not a disruption. Returns what flipped.
fn disruption(status: &mut PodStatus, eviction: Option<&Eviction>, now: Wall) -> u32 {
    let Some(eviction) = eviction.filter(|eviction| eviction.reason != DEADLINE_EXCEEDED) else {
        return 0;
    };
    let list = take(&mut status.conditions);
    let mut sheet = Sheet {
        list,
        flipped: 0,
        generation: None,
        now,
    };
    let found = Condition {
        holds: true,
        reason: "TerminationByKubelet",
        message: Message::Text(&eviction.message),
    };
    sheet.put(ConditionType::DisruptionTarget, found);
    status.conditions = sheet.list;
    sheet.flipped
}

/// The address of the newest sandbox; the last one stays while there is none.
fn addresses(status: &mut PodStatus, pod: &PodFacts<'_>) {
    let newest = pod.sandboxes.first();
    let Some(ip) = newest
        .and_then(|sandbox| sandbox.ip.as_deref())
        .filter(|ip| !ip.is_empty())
    else {
        return;
    };
    if status.pod_ip.as_deref() != Some(ip) {
        status.pod_ip = Some(ip.to_owned());
        status.pod_ips = vec![PodIp { ip: ip.to_owned() }];
    }
}

/// Succeeded and Failed are never left.
pub fn is_terminal(phase: &Phase) -> bool {
    matches!(phase, Phase::Succeeded | Phase::Failed)
}

/// The condition types that nobody but the kubelet writes. DisruptionTarget is shared.
pub fn is_kubelets(type_: &ConditionType) -> bool {
    matches!(
        type_,
        ConditionType::PodScheduled
            | ConditionType::Ready
            | ConditionType::Initialized
            | ConditionType::ContainersReady
            | ConditionType::PodReadyToStartContainers
            | ConditionType::AllContainersRestarting
            | ConditionType::PodResizePending
            | ConditionType::PodResizeInProgress
    )
}

fn bit(index: usize) -> u64 {
    1 << index.min(63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::rules::facts::{ProbeResult, Results};
    use crate::lifecycle::{Attempt, AttemptState, Exit, Failure, Network, Sandbox};
    use crate::model::Pod;
    use crate::time::Now;
    use proptest::prelude::*;

    /// What is known of one container, owned.
    #[derive(Clone, Debug)]
    struct Known {
        attempts: Vec<Attempt>,
        results: Results,
        start_error: Option<Failure>,
        owed: Option<Then>,
    }

    fn state() -> impl Strategy<Value = AttemptState> {
        let exited = |code| {
            AttemptState::Exited(Box::new(Exit {
                code,
                signal: None,
                reason: if code == 0 { "Completed" } else { "Error" }.into(),
                message: (code == 3).then(|| "last words".into()),
                started: Some(Now::default()),
                finished: Now::default(),
            }))
        };
        prop_oneof![
            Just(AttemptState::Created),
            Just(AttemptState::Running {
                started: Now::default()
            }),
            prop_oneof![Just(0), Just(1), Just(3)].prop_map(exited),
        ]
    }

    fn known() -> impl Strategy<Value = Known> {
        let result = || {
            proptest::option::of(prop_oneof![
                Just(ProbeResult::Success),
                Just(ProbeResult::Failure),
                Just(ProbeResult::Unknown),
            ])
        };
        let then = prop_oneof![Just(Then::Start), Just(Then::Stay)];
        let attempts = (proptest::collection::vec((state(), 0..2u32), 0..3), 0..4u32);
        let attempts = attempts.prop_map(|(states, first)| {
            let numbered = states
                .into_iter()
                .zip(0..)
                .map(move |((state, sandbox), place)| Attempt {
                    number: first + 2 - place,
                    sandbox,
                    restart_count: first + 2 - place,
                    created: Now::default(),
                    image: "i".into(),
                    state,
                });
            numbered.collect()
        });
        let error = proptest::option::of(Just(Failure::new("CrashLoopBackOff", "back-off 10s")));
        (
            attempts,
            result(),
            result(),
            error,
            proptest::option::of(then),
        )
            .prop_map(|(attempts, readiness, startup, start_error, owed)| Known {
                attempts,
                results: Results {
                    liveness: None,
                    readiness,
                    startup,
                },
                start_error,
                owed,
            })
    }

    const POD: &str = r#"{"metadata": {"uid": "u", "generation": 2}, "spec": {"restartPolicy": "OnFailure",
        "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always", "startupProbe": {}}],
        "containers": [{"name": "b", "readinessProbe": {}}, {"name": "a", "restartPolicy": "Never"}]}}"#;

    fn sandbox(state: SandboxState) -> Sandbox {
        Sandbox {
            attempt: 1,
            state,
            network: Network::Pod,
            ip: Some("10.0.0.2".into()),
            created: Now::default(),
        }
    }

    fn seen(known: &Known) -> Seen<'_> {
        Seen {
            attempts: &known.attempts,
            results: known.results,
            start_error: known.start_error.as_ref(),
            flight: None,
            owed: known.owed,
        }
    }

    proptest! {
        /// Whatever was published and whatever is known now: the second look changes nothing, and says so.
        #[test]
        fn a_projection_is_a_fixed_point(
            before in proptest::collection::vec(known(), 4),
            after in proptest::collection::vec(known(), 4),
            ready: bool, deleted: bool, terminal: bool,
        ) {
            let pod: Pod = serde_json::from_str(POD).unwrap();
            let shape = Shape::new(&pod);
            let sandboxes = [sandbox(if ready { SandboxState::Ready } else { SandboxState::NotReady })];
            let facts = PodFacts { sandboxes: &sandboxes, deleted, terminal, ..PodFacts::default() };
            let mut status = PodStatus::default();
            project(&mut status, &shape, &PodFacts::default(), |index| seen(&before[index]), Wall::from_secs(1));
            project(&mut status, &shape, &facts, |index| seen(&after[index]), Wall::from_secs(2));
            let once = status.clone();
            let again = project(&mut status, &shape, &facts, |index| seen(&after[index]), Wall::from_secs(3));
            prop_assert!(again.is_empty(), "{again:?}");
            prop_assert_eq!(&status, &once);
            prop_assert_eq!(once.phase.as_ref().is_some_and(is_terminal) && !terminal, false);
        }

        /// In place, and made anew from the same, are the same: a terminal phase apart, which is not withheld there.
        #[test]
        fn in_place_is_as_made_anew(now in proptest::collection::vec(known(), 4), deleted: bool, terminal: bool) {
            let pod: Pod = serde_json::from_str(POD).unwrap();
            let shape = Shape::new(&pod);
            let sandboxes = [sandbox(SandboxState::Ready)];
            let facts = PodFacts { sandboxes: &sandboxes, deleted, terminal, ..PodFacts::default() };
            let now: Vec<Known> = now.into_iter().map(|known| Known { owed: None, ..known }).collect();
            let empty = PodStatus::default();
            let made = generate(&shape, &empty, &empty, &facts, |index| seen(&now[index]), Wall::from_secs(1));
            let mut status = PodStatus::default();
            let found = project(&mut status, &shape, &facts, |index| seen(&now[index]), Wall::from_secs(1));
            prop_assert_eq!(Some(&found.phase), made.phase.as_ref());
            status.phase = Some(found.phase);
            prop_assert_eq!(status, made);
        }
    }

    fn exited(code: i32, reason: &'static str) -> Attempt {
        Attempt {
            number: 0,
            sandbox: 0,
            restart_count: 0,
            created: Now::default(),
            image: "".into(),
            state: AttemptState::Exited(Box::new(Exit {
                code,
                signal: None,
                reason: reason.into(),
                message: None,
                started: None,
                finished: Now::default(),
            })),
        }
    }

    #[test]
    fn the_end_is_withheld_until_nothing_runs_and_then_stays() {
        let pod: Pod = serde_json::from_str(
            r#"{"spec": {"restartPolicy": "Never", "containers": [{"name": "a"}]}}"#,
        )
        .unwrap();
        let shape = Shape::new(&pod);
        let attempts = [exited(1, "Error")];
        let seen = |_| Seen {
            attempts: &attempts,
            ..Seen::default()
        };
        let mut status = PodStatus::default();
        let ending = project(
            &mut status,
            &shape,
            &PodFacts::default(),
            seen,
            Wall::default(),
        );
        assert_eq!((ending.phase, &status.phase), (Phase::Failed, &None));
        let facts = PodFacts {
            terminal: true,
            ..PodFacts::default()
        };
        assert!(project(&mut status, &shape, &facts, seen, Wall::default()).phase_changed);
        assert_eq!(status.phase, Some(Phase::Failed));
        let none = project(
            &mut status,
            &shape,
            &facts,
            |_| Seen::default(),
            Wall::default(),
        );
        assert_eq!(
            (none.phase, status.phase),
            (Phase::Failed, Some(Phase::Failed))
        );
    }

    #[test]
    fn an_evicted_pod_says_so_with_its_end_and_one_past_its_deadline_does_not() {
        let pod: Pod =
            serde_json::from_str(r#"{"spec": {"containers": [{"name": "a"}]}}"#).unwrap();
        let shape = Shape::new(&pod);
        for (reason, says) in [("Evicted", true), (DEADLINE_EXCEEDED, false)] {
            let eviction = Eviction {
                reason: reason.into(),
                message: "why".into(),
                grace: None,
            };
            let mut status = PodStatus::default();
            for terminal in [false, true] {
                let facts = PodFacts {
                    terminal,
                    eviction: Some(&eviction),
                    ..PodFacts::default()
                };
                project(
                    &mut status,
                    &shape,
                    &facts,
                    |_| Seen::default(),
                    Wall::default(),
                );
                let said = holds(&status.conditions, &ConditionType::DisruptionTarget);
                assert_eq!(said, says && terminal);
            }
            assert_eq!(
                (status.phase, status.reason.as_deref()),
                (Some(Phase::Failed), Some(reason))
            );
        }
    }

    #[test]
    fn a_container_is_not_ready_before_its_post_start_hook_is_over() {
        let pod: Pod =
            serde_json::from_str(r#"{"spec": {"containers": [{"name": "a"}]}}"#).unwrap();
        let shape = Shape::new(&pod);
        let attempts = [Attempt {
            number: 0,
            sandbox: 0,
            restart_count: 0,
            created: Now::default(),
            image: "".into(),
            state: AttemptState::Running {
                started: Now::default(),
            },
        }];
        let mut status = PodStatus::default();
        for (flight, ready) in [(Some(Flight::PostStart), false), (None, true)] {
            let seen = |_| Seen {
                attempts: &attempts,
                flight,
                ..Seen::default()
            };
            project(
                &mut status,
                &shape,
                &PodFacts::default(),
                seen,
                Wall::default(),
            );
            let shown = &status.container_statuses[0];
            assert_eq!((shown.started, shown.ready), (Some(ready), ready));
        }
    }

    #[test]
    fn nothing_ends_while_a_container_is_to_run() {
        let pod: Pod = serde_json::from_str(
            r#"{"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "a"}]}}"#,
        )
        .unwrap();
        let shape = Shape::new(&pod);
        let attempts = [exited(0, "Completed")];
        let mut status = PodStatus {
            phase: Some(Phase::Running),
            ..PodStatus::default()
        };
        for (flight, owed, phase) in [
            (None, Some(Then::Start), Phase::Running),
            (Some(Flight::Starting), None, Phase::Running),
            (None, None, Phase::Succeeded),
        ] {
            let seen = |_| Seen {
                attempts: &attempts,
                flight,
                owed,
                ..Seen::default()
            };
            assert_eq!(
                project(
                    &mut status,
                    &shape,
                    &PodFacts::default(),
                    seen,
                    Wall::default()
                )
                .phase,
                phase
            );
        }
    }
}
