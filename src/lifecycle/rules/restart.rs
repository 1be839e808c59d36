//! Whether a container is started again.
//!
//! Source: `pkg/kubelet/container/helpers.go` and `pkg/api/v1/pod/util.go` of Kubernetes, KEP-5307 (container restart
//! rules).

use super::facts::{Seen, Then};
use super::shape::{ContainerView, ExitCodes, ExitRule, Policy};
use crate::lifecycle::AttemptState;

/// What an exit leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The container stays as it is.
    No,
    /// It is started again.
    Yes,
    /// All containers of the pod are restarted in place, this one with them.
    All,
}

impl Restart {
    /// Whether the container runs again.
    pub fn restarts(self) -> bool {
        self != Restart::No
    }
}

/// What the exit of a container with this code leads to: the first of its rules that matches, else its policy.
///
/// ```
/// use podlife::lifecycle::rules::restart::{Restart, on_exit};
/// use podlife::lifecycle::rules::shape::Shape;
///
/// let pod = serde_json::from_str(r#"{"spec": {"restartPolicy": "Always", "containers": [{
///     "name": "job", "restartPolicy": "Never",
///     "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
/// }]}}"#).unwrap();
/// let job = &Shape::new(&pod).containers[0];
/// assert_eq!(on_exit(job, 42), Restart::Yes);
/// assert_eq!(on_exit(job, 1), Restart::No);
/// ```
pub fn on_exit(container: &ContainerView, code: i32) -> Restart {
    match container.rules.iter().find(|rule| matches(rule, code)) {
        Some(rule) if rule.all_containers => Restart::All,
        Some(_) => Restart::Yes,
        None if by_policy(container.policy, code) => Restart::Yes,
        None => Restart::No,
    }
}

/// What follows when a failed liveness or startup probe kills the container. There is no exit code yet, so rules are not
/// asked; `Never` means that it is killed and not started.
pub fn after_probe_failure(container: &ContainerView) -> Then {
    match container.policy {
        Policy::Always | Policy::OnFailure => Then::Start,
        Policy::Never => Then::Stay,
    }
}

/// Whether the container may be started now, by its records alone. Without a record, or with one whose fate is unknown or
/// that never ran, yes, whatever the policy; a verdict owed since a kill comes before the policy.
pub fn should_start(container: &ContainerView, seen: &Seen<'_>, pod_deleted: bool) -> bool {
    if pod_deleted {
        return false;
    }
    match seen.state() {
        None | Some(AttemptState::Unknown | AttemptState::Created) => true,
        Some(AttemptState::Running { .. }) => false,
        Some(AttemptState::Exited(exit)) => match seen.owed {
            Some(Then::Start) => true,
            Some(Then::Stay) => container.rules.iter().any(|rule| matches(rule, exit.code)),
            None => on_exit(container, exit.code).restarts(),
        },
    }
}

/// The newest attempt of the container exited in a way that restarts all containers.
pub fn restarts_all(container: &ContainerView, seen: &Seen<'_>) -> bool {
    seen.state()
        .is_some_and(|state| is_trigger(container, state))
}

/// An attempt that came this far restarts all containers: it exited, and one of the container's rules says so.
pub(super) fn is_trigger(container: &ContainerView, state: &AttemptState) -> bool {
    match state {
        AttemptState::Exited(exit) => on_exit(container, exit.code) == Restart::All,
        _ => false,
    }
}

pub(super) fn by_policy(policy: Policy, code: i32) -> bool {
    match policy {
        Policy::Always => true,
        Policy::OnFailure => code != 0,
        Policy::Never => false,
    }
}

fn matches(rule: &ExitRule, code: i32) -> bool {
    match &rule.codes {
        Some(ExitCodes::In(values)) => values.contains(&code),
        Some(ExitCodes::NotIn(values)) => !values.contains(&code),
        None => false,
    }
}
