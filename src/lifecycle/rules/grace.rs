//! How long a pod and a container get to end.
//!
//! Whole seconds, as in the kubelet: hooks and waiting are subtracted rounded down, and between the stop signal and
//! SIGKILL there are never less than two seconds, so that all in all it can come to more than the grace period.
//!
//! Source: `pkg/kubelet/pod_workers.go` and `pkg/kubelet/kuberuntime/kuberuntime_container.go` of Kubernetes, KEP-2238
//! (probe-level termination grace).

use std::time::Duration;

use super::shape::{ContainerView, Shape};
use crate::lifecycle::KillReason;

/// The least time between stop signal and SIGKILL, in seconds.
pub const MINIMUM_GRACE: i64 = 2;

/// The grace period of a pod that is told to end, in seconds.
///
/// `current` is what is in force already: `None` or 0 for a pod that is not ending yet. `deletion` is
/// `metadata.deletionGracePeriodSeconds`, `requested` what an eviction or an API caller asks for. Either replaces what is in
/// force only if that is 0 or longer; if neither did, the spec's value is taken. At least 1.
///
/// ```
/// use podlife::lifecycle::rules::grace::pod_grace;
///
/// assert_eq!(pod_grace(None, None, None, Some(30)), 30);
/// assert_eq!(pod_grace(Some(10), Some(20), None, Some(30)), 10); // it only shrinks
/// assert_eq!(pod_grace(Some(10), Some(20), Some(3), Some(30)), 3);
/// ```
pub fn pod_grace(
    current: Option<i64>,
    deletion: Option<i64>,
    requested: Option<i64>,
    spec: Option<i64>,
) -> i64 {
    let mut grace = current.unwrap_or(0);
    let mut replaced = false;
    for wish in [deletion, requested].into_iter().flatten() {
        if grace == 0 || wish < grace {
            grace = wish;
            replaced = true;
        }
    }
    if !replaced && grace == 0 {
        grace = spec.unwrap_or(0);
    }
    grace.max(1)
}

/// What a container's grace period is before anything is taken off, in seconds: the pod's deletion grace; else the
/// probe's own, when that probe's failure is why; else the spec's; else 2.
pub fn container_grace(
    shape: &Shape,
    container: &ContainerView,
    reason: KillReason,
    deletion: Option<i64>,
) -> i64 {
    let probe = match reason {
        KillReason::Liveness => container.liveness.as_ref(),
        KillReason::Startup => container.startup.as_ref(),
        _ => None,
    };
    let of_probe = probe.and_then(|probe| probe.termination_grace);
    match (deletion, shape.termination_grace) {
        (Some(deletion), _) => deletion,
        (None, Some(spec)) => of_probe.unwrap_or(spec),
        (None, None) => MINIMUM_GRACE,
    }
}

/// A container's way from the decision to end it to SIGKILL: first its preStop hook, then its turn, then the stop signal.
///
/// ```
/// use std::time::Duration;
/// use podlife::lifecycle::rules::grace::Budget;
///
/// let mut budget = Budget::new(30);
/// assert!(budget.remaining() > 0); // so the preStop hook runs, for at most that long
/// budget.spend(Duration::from_millis(4_900));
/// assert_eq!(budget.kill_after(), 26);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(i64);

impl Budget {
    /// A container's grace period in seconds: what a caller forces on it, else [`container_grace`].
    pub const fn new(grace: i64) -> Budget {
        Budget(grace)
    }

    /// The seconds that are left for a hook, or for waiting for its turn. When there are none, neither happens.
    pub fn remaining(self) -> i64 {
        self.0.max(0)
    }

    /// Takes off the whole seconds of what a hook or the wait took.
    pub fn spend(&mut self, took: Duration) {
        self.0 = self
            .0
            .saturating_sub(i64::try_from(took.as_secs()).unwrap_or(i64::MAX));
    }

    /// The seconds from the stop signal to SIGKILL.
    pub fn kill_after(self) -> i64 {
        self.0.max(MINIMUM_GRACE)
    }
}
