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
use super::restart::{after_probe_failure, restarts_all, should_start};
use super::sandbox::{SandboxProblem, sandbox_problem};
use super::shape::{ContainerView, Policy, Role, Shape};
use crate::lifecycle::{AttemptState, Exit, KillReason};

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
            Some(AttemptState::Exited(Exit { code: 0, .. }))
        );
        let once = self.shape.containers[index].policy == Policy::OnFailure;
        !(once && succeeded && seen.owed != Some(Then::Start))
    }

    /// Lists the records that an in-place restart still has to remove; false when there are none. What triggered it
    /// goes last, so that the evidence outlives a failure in between.
    fn reset(&mut self) -> bool {
        let shape = self.shape;
        let mut any = false;
        let mut waiting = false;
        for &index in shape.init.iter().chain(&shape.regular) {
            let seen = (self.seen)(index);
            any |= !seen.attempts.is_empty() || seen.flight.is_some();
            if seen.flight.is_some() {
                waiting = true;
                continue;
            }
            let evidence = usize::from(restarts_all(&shape.containers[index], &seen));
            for (place, attempt) in seen.attempts.iter().enumerate().skip(evidence) {
                self.plan.reset.push(Reset {
                    container: index,
                    attempt: attempt.number,
                    kill: place == 0 && !matches!(attempt.state, AttemptState::Exited(_)),
                });
            }
        }
        if !waiting {
            self.reset_evidence();
        }
        any
    }

    fn reset_evidence(&mut self) {
        let shape = self.shape;
        for &index in shape.init.iter().chain(&shape.regular) {
            let seen = (self.seen)(index);
            if let Some(trigger) = seen
                .newest()
                .filter(|_| restarts_all(&shape.containers[index], &seen))
            {
                self.plan.reset.push(Reset {
                    container: index,
                    attempt: trigger.number,
                    kill: false,
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
        if seen.flight == Some(Flight::Starting) {
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
        } else if seen.results.liveness == Some(ProbeResult::Failure) {
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
            Some(Flight::Starting | Flight::Resetting | Flight::Killing(Then::Start)) => {
                return true;
            }
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
