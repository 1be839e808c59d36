//! Probe workers: when a probe runs, and what its findings come to. And `started` and `ready`, which follow from that.
//!
//! Source: `pkg/kubelet/prober/worker.go` and `prober_manager.go` of Kubernetes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{ProbeResult, Results};
use super::shape::{ContainerView, ProbeView, Role};
use crate::lifecycle::ProbeKind;
use crate::time::Mono;

/// A container that has been running this long when the probe manager starts keeps what was published before it.
const SETTLED: Duration = Duration::from_secs(10);

/// One probe of one container, over all its attempts.
///
/// The kubelet's worker runs the probe inside its tick; here [`ProbeWorker::tick`] says [`Tick::Run`], and the answer
/// comes as [`ProbeWorker::finding`] whenever it is there. A run whose probe itself failed (no socket, no process) finds
/// nothing: it is not reported.
///
/// ```
/// use podlife::lifecycle::ProbeKind;
/// use podlife::lifecycle::rules::facts::ProbeResult;
/// use podlife::lifecycle::rules::probe::{ProbeTarget, ProbeWorker, TargetState, Tick};
/// use podlife::lifecycle::rules::shape::Shape;
/// use podlife::time::Mono;
///
/// let pod = serde_json::from_str(r#"{"spec": {"containers": [{"name": "web", "readinessProbe": {"failureThreshold": 2}}]}}"#).unwrap();
/// let shape = Shape::new(&pod);
/// let probe = shape.containers[0].readiness.as_ref().unwrap();
/// let mut worker = ProbeWorker::new(ProbeKind::Readiness);
/// let web = ProbeTarget { attempt: 0, state: TargetState::Running { started: Mono::ZERO }, started: true, sidecar: false, pod_deleted: false };
///
/// assert_eq!(worker.tick(probe, &web, Mono::ZERO, Mono::from_secs(1)), Tick::Run);
/// assert_eq!(worker.published(), Some(ProbeResult::Failure)); // not ready before it says so
/// assert!(worker.finding(probe, 0, true));
/// assert!(!worker.finding(probe, 0, false)); // one failure is not enough
/// assert!(worker.finding(probe, 0, false));
/// assert_eq!(worker.published(), Some(ProbeResult::Failure));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeWorker {
    kind: ProbeKind,
    /// The attempt that `published` is about.
    attempt: Option<u32>,
    published: Option<ProbeResult>,
    on_hold: bool,
    /// The last finding, and how many in a row were like it. Both outlive the attempt, as in the kubelet.
    last: Option<bool>,
    run: u32,
}

/// The container as a tick sees it: its newest attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Which attempt.
    pub attempt: u32,
    /// What it does.
    pub state: TargetState,
    /// What its status says of `started`.
    pub started: bool,
    /// It is a sidecar: whether its startup probe has succeeded decides what is started after it.
    pub sidecar: bool,
    /// The pod is being deleted.
    pub pod_deleted: bool,
}

/// What the container to probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It has not started yet.
    Waiting,
    /// It runs.
    Running {
        /// Since when.
        started: Mono,
    },
    /// It has ended.
    Terminated {
        /// Whether it will be started again: by its own policy and rules, or because all containers restart.
        restarts: bool,
    },
}

/// What a worker wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Run the probe now.
    Run,
    /// Nothing before the next period.
    Wait,
    /// Nothing ever again: the worker is done, and what it published may be forgotten.
    End,
}

impl ProbeWorker {
    /// A worker that has seen no container yet.
    pub fn new(kind: ProbeKind) -> ProbeWorker {
        ProbeWorker {
            kind,
            attempt: None,
            published: None,
            on_hold: false,
            last: None,
            run: 0,
        }
    }

    /// What it probes for.
    pub fn kind(&self) -> ProbeKind {
        self.kind
    }

    /// What it says of the attempt it last saw.
    pub fn published(&self) -> Option<ProbeResult> {
        self.published
    }

    /// What it says of this attempt: nothing, if it has not seen it yet.
    pub fn result_of(&self, attempt: u32) -> Option<ProbeResult> {
        self.published.filter(|_| self.attempt == Some(attempt))
    }

    /// Its verdict on this attempt is final: nothing is run until there is another.
    pub fn on_hold(&self) -> bool {
        self.on_hold
    }

    /// How many findings in a row were the same.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// One tick. `since` is when probing of this pod began in this process: a container that already ran more than ten
    /// seconds before that gets no initial value, so that a restart of the Node makes nothing unready; a sidecar that had
    /// started has succeeded in starting.
    ///
    /// A container without an attempt is not ticked at all; neither is one of a pod whose phase is terminal, whose workers
    /// have ended.
    pub fn tick(
        &mut self,
        probe: &ProbeView,
        target: &ProbeTarget,
        since: Mono,
        now: Mono,
    ) -> Tick {
        if self.attempt != Some(target.attempt) {
            self.meet(target, since);
        }
        if self.on_hold {
            return Tick::Wait;
        }
        let started = match target.state {
            TargetState::Running { started } => started,
            TargetState::Waiting => {
                self.published = Some(ProbeResult::Failure);
                return Tick::Wait;
            }
            TargetState::Terminated { restarts } => {
                self.published = Some(ProbeResult::Failure);
                return if restarts { Tick::Wait } else { Tick::End };
            }
        };
        if target.pod_deleted && self.kind != ProbeKind::Readiness {
            self.published = Some(ProbeResult::Success);
            return Tick::End;
        }
        // The startup probe runs until the container counts as started, the others from then on.
        let is_its_turn = (self.kind == ProbeKind::Startup) != target.started;
        if now - started < probe.initial_delay || !is_its_turn {
            return Tick::Wait;
        }
        Tick::Run
    }

    /// Takes in what a run found about `attempt`. Returns whether what is published has changed. A finding about an
    /// attempt that is no longer probed, or whose verdict is final, changes nothing.
    pub fn finding(&mut self, probe: &ProbeView, attempt: u32, success: bool) -> bool {
        if self.attempt != Some(attempt) || self.on_hold {
            return false;
        }
        self.run = if self.last == Some(success) {
            self.run.saturating_add(1)
        } else {
            1
        };
        self.last = Some(success);
        let (threshold, result) = if success {
            (probe.success_threshold, ProbeResult::Success)
        } else {
            (probe.failure_threshold, ProbeResult::Failure)
        };
        if self.run < threshold {
            return false;
        }
        if self.kind == ProbeKind::Startup || (self.kind == ProbeKind::Liveness && !success) {
            self.on_hold = true;
            self.run = 0;
        }
        let changed = self.published != Some(result);
        self.published = Some(result);
        changed
    }

    /// A new attempt: what was said of the old one is dropped.
    fn meet(&mut self, target: &ProbeTarget, since: Mono) {
        self.attempt = Some(target.attempt);
        self.on_hold = false;
        let settled =
            matches!(target.state, TargetState::Running { started } if started + SETTLED < since);
        self.published = match self.kind {
            // Nothing would run it again, and without a result nothing after the sidecar is started.
            ProbeKind::Startup if settled && target.sidecar && target.started => {
                Some(ProbeResult::Success)
            }
            _ if settled => None,
            ProbeKind::Liveness => Some(ProbeResult::Success),
            ProbeKind::Readiness => Some(ProbeResult::Failure),
            ProbeKind::Startup => Some(ProbeResult::Unknown),
        };
    }
}

/// `started` of a running container: its startup probe has succeeded, or it has none. `was_started` is what was published
/// of the same attempt; it counts while the probe has published nothing, after a restart of the Node.
pub fn is_started(container: &ContainerView, results: &Results, was_started: bool) -> bool {
    match results.startup {
        Some(result) => result == ProbeResult::Success,
        None => was_started || container.startup.is_none(),
    }
}

/// `ready` of a running container that is started: its readiness probe has succeeded, or it has none. `was_ready` is what was
/// published of the same attempt; it counts while the probe has published nothing, after a restart of the Node. An init
/// container that is no sidecar is not ready while it runs, but once it has succeeded.
pub fn is_ready(container: &ContainerView, results: &Results, was_ready: bool) -> bool {
    match (container.role, results.readiness) {
        (Role::Init, _) => false,
        (_, Some(result)) => result == ProbeResult::Success,
        (_, None) => was_ready || container.readiness.is_none(),
    }
}
