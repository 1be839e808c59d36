//! What one sync of a pod does: the planner.
//!
//! It is level-triggered: it looks at what is, says what there is to do, and says the same again until it is done. The
//! kubelet performs such a plan in one blocking step; here its actions take time, so a container with an action under
//! way ([`Seen::flight`]) is given no other, and a kill carries its verdict ([`Kill::then`], [`Plan::start`] of a whole-pod
//! kill), which its owner keeps and hands back as [`Seen::owed`] once the container has exited.
//!
//! Back-off is not asked here but when a start is due. Starts are in the order in which they are to be performed.
//!
//! Source: `computePodActions` and `computeInitContainerActions` in `pkg/kubelet/kuberuntime/kuberuntime_manager.go` of
//! Kubernetes.

use super::facts::{Flight, PodFacts, ProbeResult, Results, Seen, Then};
use super::restart::{after_probe_failure, is_trigger, should_start};
use super::sandbox::{SandboxProblem, sandbox_problem};
use super::shape::{ContainerView, Policy, Role, Shape};
use crate::lifecycle::{AttemptState, KillReason};

/// A container to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Which one.
    pub container: usize,
    /// Why: decides its grace period.
    pub reason: KillReason,
    /// What follows.
    pub then: Then,
}

/// A record to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Of which container.
    pub container: usize,
    /// Which attempt: [`crate::lifecycle::Attempt::number`].
    pub attempt: u32,
    /// Whether it runs, and is killed first.
    pub kill: bool,
}

/// What there is to do. Keep one and plan into it again: its lists keep their room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Kill everything in the pod, the sandbox included; also set when there is nothing to kill yet, before the first
    /// sandbox. With it, `kill` names only why single containers had to go, and nothing is started except in the new
    /// sandbox.
    pub kill_pod: bool,
    /// Once all is killed, make the sandbox of this attempt number, remove all records of init containers, and start
    /// what `start` names.
    pub create_sandbox: Option<u32>,
    /// What is wrong with the sandbox.
    pub problem: Option<SandboxProblem>,
    /// Containers to kill, in the order they were found.
    pub kill: Vec<Kill>,
    /// Containers to start, in order: ephemeral ones, init containers and sidecars, regular ones. One that is to be killed
    /// before it starts is not here but in `kill`, with [`Then::Start`].
    pub start: Vec<usize>,
    /// An in-place restart of all containers is under way, and these records are still to go, in this order. Nothing
    /// else is in such a plan.
    pub reset: Vec<Reset>,
    /// Whether regular containers may run: all init containers are done and sidecars started.
    pub initialized: bool,
}

impl Plan {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.kill_pod && self.kill.is_empty() && self.start.is_empty() && self.reset.is_empty()
    }

    fn clear(&mut self) {
        self.kill_pod = false;
        self.create_sandbox = None;
        self.problem = None;
        self.kill.clear();
        self.start.clear();
        self.reset.clear();
        self.initialized = false;
    }
}

/// Plans one sync into `plan`. `seen` answers for each index of the shape; `restarting_all` is
/// [`restarting_all`](super::condition::restarting_all).
///
/// Reads of the pod: its sandboxes and whether it is deleted. Of a container: its newest attempt's state, exit code and
/// image, liveness and startup results, flight and verdict.
///
/// ```
/// use podlife::lifecycle::rules::facts::{PodFacts, Seen};
/// use podlife::lifecycle::rules::plan::{Plan, plan};
/// use podlife::lifecycle::rules::shape::Shape;
///
/// let pod = serde_json::from_str(r#"{"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}"#).unwrap();
/// let mut todo = Plan::default();
/// plan(&Shape::new(&pod), &PodFacts::default(), |_| Seen::default(), false, &mut todo);
/// assert_eq!((todo.create_sandbox, &*todo.start), (Some(0), &[0, 1][..]));
/// ```
pub fn plan<'s>(
    shape: &Shape,
    pod: &PodFacts<'_>,
    seen: impl Fn(usize) -> Seen<'s>,
    restarting_all: bool,
    plan: &mut Plan,
) {
    plan.clear();
    let sync = Sync {
        shape,
        pod,
        seen: &seen,
        plan,
    };
    sync.run(restarting_all);
}

/// One sync while it is planned.
struct Sync<'a, S> {
    shape: &'a Shape,
    pod: &'a PodFacts<'a>,
    seen: S,
    plan: &'a mut Plan,
}

impl<'s, S: Fn(usize) -> Seen<'s>> Sync<'_, S> {
    fn run(mut self, restarting_all: bool) {
        if let Some(problem) = sandbox_problem(self.shape.network, self.pod.sandboxes) {
            return self.new_sandbox(problem);
        }
        if restarting_all && self.reset() {
            return;
        }
        self.removed();
        self.ephemeral();
        self.plan.initialized = self.init_containers();
        if self.plan.initialized {
            self.regular();
        }
    }

    /// Everything is killed. Then, unless the pod is over, it begins again in a new sandbox.
    fn new_sandbox(&mut self, problem: SandboxProblem) {
        self.plan.kill_pod = true;
        self.plan.problem = Some(problem);
        let attempt = self
            .pod
            .sandboxes
            .first()
            .map_or(0, |newest| newest.attempt + 1);
        let has_records = |index| !(self.seen)(index).attempts.is_empty();
        let is_over = self.shape.policy == Policy::Never
            && attempt > 0
            && (0..self.shape.containers.len()).any(has_records);
        if self.pod.deleted || is_over {
            return;
        }
        let shape = self.shape;
        for &index in &shape.regular {
            if self.begins_again(index) {
                self.plan.start.push(index);
            }
        }
        if self.plan.start.is_empty() {
            return;
        }
        self.plan.create_sandbox = Some(attempt);
        if let Some(&first) = shape.init.first() {
            self.plan.start.clear();
            self.plan.start.push(first);
        }
    }

    /// In a new sandbox, all begin again but those that were to succeed once and did.
    fn begins_again(&self, index: usize) -> bool {
        let seen = (self.seen)(index);
        let succeeded = matches!(
            seen.state(),
            Some(AttemptState::Exited(exit)) if exit.code == 0
        );
        let once = self.shape.containers[index].policy == Policy::OnFailure;
        !(once && succeeded && seen.owed != Some(Then::Start))
    }

    /// Lists the records that an in-place restart still has to remove; false when there are none. Init containers go after
    /// the regular ones, and what triggered it goes last, so that the evidence outlives a failure in between.
    fn reset(&mut self) -> bool {
        let shape = self.shape;
        let all = || shape.regular.iter().chain(&shape.init).copied();
        let mut any = false;
        let mut waiting = false;
        for index in all() {
            let seen = (self.seen)(index);
            any |= !seen.attempts.is_empty() || seen.flight.is_some();
            waiting |= seen.flight.is_some();
            self.reset_records(index, false);
        }
        if !waiting {
            all().for_each(|index| self.reset_records(index, true));
        }
        any
    }

    /// Lists the records of one container, unless an action on it is under way: those that are evidence, or the others.
    fn reset_records(&mut self, index: usize, evidence: bool) {
        let container = &self.shape.containers[index];
        let seen = (self.seen)(index);
        if seen.flight.is_some() {
            return;
        }
        for attempt in seen.attempts {
            if is_trigger(container, &attempt.state) == evidence {
                self.plan.reset.push(Reset {
                    container: index,
                    attempt: attempt.number,
                    kill: !matches!(attempt.state, AttemptState::Exited(_)),
                });
            }
        }
    }

    /// What is no longer in the spec does not run.
    fn removed(&mut self) {
        let shape = self.shape;
        for &index in &shape.removed {
            if !matches!(
                (self.seen)(index).state(),
                None | Some(AttemptState::Exited(_))
            ) {
                self.kill(index, KillReason::Removed, Then::Stay);
            }
        }
    }

    /// Each is started once, also while the pod initialises.
    fn ephemeral(&mut self) {
        let shape = self.shape;
        for &index in &shape.ephemeral {
            if (self.seen)(index).attempts.is_empty() {
                self.start(index);
            }
        }
    }

    /// Walks from the last to the first, because a record of a later one proves that the earlier ones are done: theirs
    /// may be gone. Returns whether the pod is initialised.
    fn init_containers(&mut self) -> bool {
        let shape = self.shape;
        let Some(&first) = shape.init.first() else {
            return true;
        };
        // An exited regular container proves nothing: its record may be of an earlier sandbox.
        let proof = |&index: &usize| {
            let seen = (self.seen)(index);
            let alive = matches!(
                seen.state(),
                Some(AttemptState::Created | AttemptState::Running { .. })
            );
            alive || seen.flight == Some(Flight::Starting)
        };
        let mut walk = Walk::default();
        walk.initialized = shape.regular.iter().any(proof);
        walk.reached = walk.initialized;
        let begin = self.plan.start.len();
        for place in (0..shape.init.len()).rev() {
            if !self.init_container(place, &mut walk) {
                self.kill_pod();
                return false;
            }
        }
        if !walk.reached {
            self.start(first);
        }
        self.plan.start[begin..].reverse();
        walk.initialized
    }

    /// One step of the walk; false when the pod has failed for good.
    fn init_container(&mut self, place: usize, walk: &mut Walk) -> bool {
        let index = self.shape.init[place];
        let container = &self.shape.containers[index];
        let seen = (self.seen)(index);
        let is_sidecar = container.role == Role::Sidecar;
        if matches!(seen.flight, Some(Flight::Starting | Flight::PostStart)) {
            walk.reached = true;
            return true;
        }
        let Some(state) = seen.state() else {
            if walk.reached && is_sidecar {
                self.start(index); // its record was lost
            }
            return true;
        };
        if walk.reached && !is_sidecar {
            return true;
        }
        match state {
            AttemptState::Created => self.start(index),
            AttemptState::Running { .. } if is_sidecar => self.running_sidecar(place, &seen, walk),
            AttemptState::Running { .. } => {}
            AttemptState::Exited(_) if is_sidecar => self.start(index),
            AttemptState::Exited(exit) if exit.code == 0 && seen.owed != Some(Then::Start) => {
                self.done(place, walk)
            }
            AttemptState::Exited(_) if should_start(container, &seen, false) => self.start(index),
            AttemptState::Unknown if is_sidecar || container.policy != Policy::Never => {
                self.kill(index, KillReason::Unknown, Then::Start)
            }
            AttemptState::Exited(_) | AttemptState::Unknown => return false,
        }
        walk.reached = true;
        true
    }

    /// A sidecar holds back the next one until its startup probe has succeeded; its liveness never does.
    fn running_sidecar(&mut self, place: usize, seen: &Seen<'s>, walk: &mut Walk) {
        let index = self.shape.init[place];
        let container = &self.shape.containers[index];
        if container.startup.is_some() {
            match seen.results.startup {
                Some(ProbeResult::Success) => {}
                Some(ProbeResult::Failure) => {
                    return self.kill(index, KillReason::Startup, Then::Start);
                }
                Some(ProbeResult::Unknown) | None => return,
            }
        }
        self.done(place, walk);
        if is_changed(container, seen) {
            self.kill(index, KillReason::Definition, Then::Start);
        } else if container.liveness.is_some()
            && seen.results.liveness == Some(ProbeResult::Failure)
        {
            self.kill(index, KillReason::Liveness, Then::Start);
        }
    }

    /// The one at `place` holds nobody back any more.
    fn done(&mut self, place: usize, walk: &mut Walk) {
        match self.shape.init.get(place + 1) {
            None => walk.initialized = true,
            Some(&next) if !walk.reached => self.start(next),
            Some(_) => {}
        }
    }

    fn regular(&mut self) {
        let shape = self.shape;
        let mut any = false;
        for &index in &shape.regular {
            any |= self.regular_container(index);
        }
        if !any {
            self.kill_pod(); // sidecars alone do not keep a pod alive
        }
    }

    /// Returns whether the container runs on or will run.
    fn regular_container(&mut self, index: usize) -> bool {
        let container = &self.shape.containers[index];
        let seen = (self.seen)(index);
        match seen.flight {
            Some(Flight::Killing(Then::Start)) => return true,
            Some(Flight::Starting | Flight::PostStart | Flight::Resetting) => return true,
            Some(Flight::Killing(Then::Stay)) => return false,
            None => {}
        }
        if seen.is_running() {
            return match why_kill(container, &seen) {
                None => true,
                Some(reason) => {
                    let then = self.after_kill(container, reason);
                    self.kill(index, reason, then);
                    then == Then::Start
                }
            };
        }
        let starts = should_start(container, &seen, self.pod.deleted);
        if starts && matches!(seen.state(), Some(AttemptState::Unknown)) {
            self.kill(index, KillReason::Unknown, Then::Start); // it may run after all
        } else if starts {
            self.start(index);
        }
        starts
    }

    fn after_kill(&self, container: &ContainerView, reason: KillReason) -> Then {
        match reason {
            _ if self.pod.deleted => Then::Stay,
            KillReason::Definition => Then::Start,
            _ => after_probe_failure(container),
        }
    }

    fn start(&mut self, index: usize) {
        if !self.pod.deleted && (self.seen)(index).flight.is_none() {
            self.plan.start.push(index);
        }
    }

    fn kill(&mut self, container: usize, reason: KillReason, then: Then) {
        if (self.seen)(container).flight.is_none() {
            self.plan.kill.push(Kill {
                container,
                reason,
                then,
            });
        }
    }

    fn kill_pod(&mut self) {
        self.plan.kill_pod = true;
        self.plan.start.clear();
    }
}

/// How far the walk over the init containers came.
#[derive(Default)]
struct Walk {
    /// All are done, or were.
    initialized: bool,
    /// A later one has a record, so this one was done.
    reached: bool,
}

/// Why a running regular container does not run on.
fn why_kill(container: &ContainerView, seen: &Seen<'_>) -> Option<KillReason> {
    let Results {
        liveness, startup, ..
    } = seen.results;
    if is_changed(container, seen) {
        Some(KillReason::Definition)
    } else if liveness == Some(ProbeResult::Failure) {
        Some(KillReason::Liveness)
    } else if startup == Some(ProbeResult::Failure) {
        Some(KillReason::Startup)
    } else {
        None
    }
}

/// Only name and image make a definition; the name is how the record was found.
fn is_changed(container: &ContainerView, seen: &Seen<'_>) -> bool {
    seen.newest()
        .is_some_and(|attempt| attempt.image != container.image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{Attempt, Exit, Network, Sandbox, SandboxState};
    use crate::model::Pod;
    use crate::time::Now;

    const RUNS: AttemptState = AttemptState::Running {
        started: Now {
            mono: crate::time::Mono::ZERO,
            wall: crate::time::Wall::from_nanos(0),
        },
    };

    fn exited(code: i32) -> AttemptState {
        AttemptState::Exited(Box::new(Exit {
            code,
            signal: None,
            reason: "Error".into(),
            message: None,
            started: None,
            finished: Now::default(),
        }))
    }

    /// Attempts of one container, the newest first, all made from image `i`.
    fn attempts(states: &[AttemptState]) -> Vec<Attempt> {
        let numbered = states.iter().zip((0..states.len() as u32).rev());
        let attempt = |(state, number): (&AttemptState, u32)| Attempt {
            number,
            sandbox: 0,
            restart_count: number,
            created: Now::default(),
            image: "i".into(),
            state: state.clone(),
        };
        numbered.map(attempt).collect()
    }

    fn shape(spec: &str) -> Shape {
        let pod: Pod = serde_json::from_str(&format!(r#"{{"spec": {spec}}}"#)).unwrap();
        Shape::new(&pod)
    }

    fn planned(shape: &Shape, seen: &[Seen<'_>], restarting_all: bool) -> Plan {
        let sandbox = Sandbox {
            attempt: 0,
            state: SandboxState::Ready,
            network: Network::Pod,
            ip: None,
            created: Now::default(),
        };
        let pod = PodFacts {
            sandboxes: &[sandbox],
            ..PodFacts::default()
        };
        let mut todo = Plan::default();
        plan(shape, &pod, |index| seen[index], restarting_all, &mut todo);
        todo
    }

    const TWO: &str = r#"{"restartPolicy": "Never", "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}"#;

    #[test]
    fn a_container_with_an_action_under_way_is_given_no_other() {
        let shape = shape(TWO);
        let (run, gone) = (attempts(&[RUNS]), attempts(&[]));
        let failed = Results {
            liveness: Some(ProbeResult::Failure),
            ..Results::default()
        };
        let b = Seen {
            attempts: &run,
            ..Seen::default()
        };
        let a = Seen {
            attempts: &run,
            results: failed,
            ..Seen::default()
        };
        let kill = Kill {
            container: 0,
            reason: KillReason::Liveness,
            then: Then::Stay,
        };
        assert_eq!(planned(&shape, &[a, b], false).kill, [kill]);
        let dying = Seen {
            flight: Some(Flight::Killing(Then::Stay)),
            ..a
        };
        assert!(planned(&shape, &[dying, b], false).is_empty());
        let starting = Seen {
            attempts: &gone,
            flight: Some(Flight::Starting),
            ..Seen::default()
        };
        assert!(planned(&shape, &[starting, b], false).is_empty());
    }

    #[test]
    fn what_dies_to_stay_dead_does_not_keep_the_pod_and_what_comes_back_does() {
        let shape = shape(TWO);
        let (run, done) = (attempts(&[RUNS]), attempts(&[exited(0)]));
        let b = Seen {
            attempts: &done,
            ..Seen::default()
        };
        let dying = |then| Seen {
            attempts: &run,
            flight: Some(Flight::Killing(then)),
            ..Seen::default()
        };
        assert!(planned(&shape, &[dying(Then::Stay), b], false).kill_pod);
        assert!(!planned(&shape, &[dying(Then::Start), b], false).kill_pod);
    }

    #[test]
    fn a_verdict_is_kept_when_the_exit_comes() {
        let shape = shape(TWO);
        let done = attempts(&[exited(0)]);
        let owed = |owed| Seen {
            attempts: &done,
            owed,
            ..Seen::default()
        };
        assert_eq!(
            planned(&shape, &[owed(Some(Then::Start)), owed(None)], false).start,
            [0]
        );
        assert!(planned(&shape, &[owed(Some(Then::Stay)), owed(None)], false).kill_pod);
    }

    #[test]
    fn in_a_new_sandbox_a_verdict_beats_success() {
        let shape = shape(
            r#"{"restartPolicy": "OnFailure", "containers": [{"name": "a"}, {"name": "b"}]}"#,
        );
        let done = attempts(&[exited(0)]);
        let seen = |owed| Seen {
            attempts: &done,
            owed,
            ..Seen::default()
        };
        let (mut todo, pod) = (Plan::default(), PodFacts::default());
        plan(
            &shape,
            &pod,
            |index| seen((index == 1).then_some(Then::Start)),
            false,
            &mut todo,
        );
        assert_eq!((todo.create_sandbox, &*todo.start), (Some(0), &[1][..]));
        plan(&shape, &pod, |_| seen(None), false, &mut todo);
        assert_eq!((todo.kill_pod, todo.create_sandbox), (true, None));
    }

    #[test]
    fn a_start_under_way_holds_the_init_containers_back() {
        let shape = shape(
            r#"{"initContainers": [{"name": "x"}, {"name": "y"}], "containers": [{"name": "a"}]}"#,
        );
        let none = Seen::default();
        let starting = Seen {
            flight: Some(Flight::Starting),
            ..none
        };
        assert!(planned(&shape, &[starting, none, none], false).is_empty());
        let done = attempts(&[exited(0)]);
        let x = Seen {
            attempts: &done,
            ..none
        };
        assert_eq!(planned(&shape, &[x, none, none], false).start, [1]);
        assert!(planned(&shape, &[x, starting, none], false).is_empty());
        // The one that runs again after a crash has an old record: that one counts for nothing meanwhile.
        let again = Seen {
            attempts: &done,
            flight: Some(Flight::Starting),
            ..none
        };
        assert!(planned(&shape, &[x, again, none], false).is_empty());
    }

    #[test]
    fn a_post_start_hook_holds_the_next_one_back() {
        let shape = shape(
            r#"{"initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}], "containers": [{"name": "a"}]}"#,
        );
        let run = attempts(&[RUNS]);
        let hooked = Seen {
            attempts: &run,
            flight: Some(Flight::PostStart),
            ..Seen::default()
        };
        let todo = planned(&shape, &[hooked, Seen::default()], false);
        assert!(todo.is_empty() && !todo.initialized);
    }

    #[test]
    fn a_dying_sidecar_holds_nobody_back() {
        let shape = shape(
            r#"{"initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}], "containers": [{"name": "a"}]}"#,
        );
        let run = attempts(&[RUNS]);
        let dying = Seen {
            attempts: &run,
            flight: Some(Flight::Killing(Then::Start)),
            ..Seen::default()
        };
        let todo = planned(&shape, &[dying, Seen::default()], false);
        assert_eq!((&*todo.start, &*todo.kill), (&[1][..], &[][..]));
    }

    #[test]
    fn the_evidence_of_a_restart_of_all_goes_last() {
        let rule = r#"[{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}]"#;
        let shape = shape(&format!(
            r#"{{"containers": [{{"name": "a", "restartPolicy": "Never", "restartPolicyRules": {rule}}}, {{"name": "b"}}]}}"#
        ));
        let (one, two) = (attempts(&[exited(1), exited(0)]), attempts(&[RUNS]));
        let a = Seen {
            attempts: &one,
            ..Seen::default()
        };
        let b = Seen {
            attempts: &two,
            ..Seen::default()
        };
        let reset = |container, attempt, kill| Reset {
            container,
            attempt,
            kill,
        };
        let all = [reset(0, 0, false), reset(1, 0, true), reset(0, 1, false)];
        assert_eq!(planned(&shape, &[a, b], true).reset, all);
        // While one is going, the evidence stays, and nothing starts.
        let going = Seen {
            flight: Some(Flight::Resetting),
            ..b
        };
        let todo = planned(&shape, &[a, going], true);
        assert_eq!((&*todo.reset, todo.start.len()), (&all[..1], 0));
        // Once nothing is left the pod begins again.
        assert_eq!(planned(&shape, &[Seen::default(); 2], true).start, [0, 1]);
    }

    #[test]
    fn what_left_the_spec_is_killed() {
        let mut shape = shape(TWO);
        let pod: Pod =
            serde_json::from_str(r#"{"spec": {"containers": [{"name": "b", "image": "i"}]}}"#)
                .unwrap();
        shape.amend(&pod);
        let run = attempts(&[RUNS]);
        let runs = Seen {
            attempts: &run,
            ..Seen::default()
        };
        let kill = Kill {
            container: 0,
            reason: KillReason::Removed,
            then: Then::Stay,
        };
        assert_eq!(planned(&shape, &[runs, runs], false).kill, [kill]);
    }
}
