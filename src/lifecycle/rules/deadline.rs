//! `activeDeadlineSeconds`: how long a pod may be active, all in all.
//!
//! Source: `pkg/kubelet/active_deadline.go` of Kubernetes.

use std::time::Duration;

use crate::time::Mono;

/// `status.reason` of a pod whose deadline has passed.
pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
/// `status.message` of a pod whose deadline has passed.
pub const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// When the deadline of a pod passes; it has passed at that very moment. `None` for a pod without one, and for one that has
/// not started.
///
/// ```
/// use podlife::lifecycle::rules::deadline::deadline;
/// use podlife::time::Mono;
///
/// assert_eq!(deadline(Some(Mono::from_secs(5)), Some(60)), Some(Mono::from_secs(65)));
/// assert_eq!(deadline(None, Some(60)), None);
/// ```
pub fn deadline(started: Option<Mono>, active_deadline_seconds: Option<i64>) -> Option<Mono> {
    let seconds = u64::try_from(active_deadline_seconds?).unwrap_or(0);
    Some(started? + Duration::from_secs(seconds))
}
