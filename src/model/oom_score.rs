//! `oom_score_adj` of a container's processes.
//!
//! Upstream: `pkg/kubelet/qos/policy.go`.

use super::qos::qos_class;
use super::resource_sum::{amount, container_requests, is_sidecar, pod_level};
use super::{Container, PodSpec, QosClass};

/// Pods of at least this priority are critical.
pub const CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// That of a pod's pause process: it is the last of the pod that the kernel would kill.
pub const PAUSE: i32 = -998;

const GUARANTEED: i64 = -997;
const BEST_EFFORT: i64 = 1000;

/// Whether the pod's priority makes it critical for the system.
pub fn is_critical(spec: &PodSpec) -> bool {
    spec.priority
        .is_some_and(|priority| priority >= CRITICAL_PRIORITY)
}

/// What is written to `/proc/<pid>/oom_score_adj` of a container: -997 in a guaranteed pod, 1000 in a best-effort one. Of a burstable
/// pod, the more memory a container requests, the later it is killed, and a sidecar no sooner than the containers it serves.
///
/// `memory_capacity` is the host's memory in bytes.
///
/// ```
/// use podlife::model::{Pod, oom_score::oom_score_adj};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec":{"containers":[{"name":"a","resources":{"requests":{"memory":"1Gi"}}}]}}"#).unwrap();
/// assert_eq!(oom_score_adj(&pod.spec, &pod.spec.containers[0], 4 << 30), 750);
/// ```
pub fn oom_score_adj(spec: &PodSpec, container: &Container, memory_capacity: u64) -> i32 {
    let node_critical =
        is_critical(spec) && spec.priority_class_name.as_deref() == Some("system-node-critical");
    let score = match qos_class(spec) {
        _ if node_critical => GUARANTEED,
        QosClass::Guaranteed => GUARANTEED,
        QosClass::BestEffort => BEST_EFFORT,
        _ => burstable(spec, container, memory_capacity),
    };
    // It is within -997 and 1000.
    i32::try_from(score).unwrap_or_default()
}

fn burstable(spec: &PodSpec, container: &Container, capacity: u64) -> i64 {
    let share = unclaimed_share(spec);
    let score = |request: i64| {
        let request = i128::from(request) + i128::from(share);
        let score = 1000 - 1000 * request / i128::from(capacity.max(1));
        i64::try_from(score).unwrap_or(i64::MIN)
    };
    let mut adjusted = score(memory_request(container));
    let sidecar = spec
        .init_containers
        .iter()
        .any(|init| init.name == container.name && is_sidecar(init));
    if sidecar && let Some(smallest) = spec.containers.iter().map(memory_request).min() {
        adjusted = adjusted.min(score(smallest));
    }
    adjusted.clamp(BEST_EFFORT + GUARANTEED, BEST_EFFORT - 1)
}

/// Of the pod's own memory request, what containers do not claim, in equal parts.
fn unclaimed_share(spec: &PodSpec) -> i64 {
    let own = pod_level(spec).map_or(0, |resources| amount(&resources.requests, "memory").value());
    let claimed = amount(&container_requests(spec), "memory").value();
    let parts = spec.containers.len()
        + spec
            .init_containers
            .iter()
            .filter(|init| is_sidecar(init))
            .count();
    own.saturating_sub(claimed).max(0) / i64::try_from(parts).unwrap_or(i64::MAX).max(1)
}

fn memory_request(container: &Container) -> i64 {
    container
        .resources
        .as_ref()
        .map_or(0, |resources| amount(&resources.requests, "memory").value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pod;

    fn score(spec: &str, name: &str) -> i32 {
        let pod: Pod = serde_json::from_str(&format!("{{\"spec\":{spec}}}")).unwrap();
        let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
        let container = containers
            .clone()
            .find(|container| container.name == name)
            .unwrap();
        oom_score_adj(&pod.spec, container, 1000)
    }

    #[test]
    fn critical_for_the_node_needs_both_words() {
        let spec = |class: &str, priority: i32| {
            format!(
                r#"{{"containers":[{{"name":"a"}}],"priorityClassName":"{class}","priority":{priority}}}"#
            )
        };
        assert_eq!(
            score(&spec("system-node-critical", CRITICAL_PRIORITY), "a"),
            -997
        );
        assert_eq!(score(&spec("system-node-critical", 1), "a"), 1000);
        assert_eq!(
            score(&spec("system-cluster-critical", CRITICAL_PRIORITY), "a"),
            1000
        );
    }

    #[test]
    fn a_sidecar_dies_no_sooner_than_the_least_of_those_it_serves() {
        let spec = r#"{"containers":[{"name":"a","resources":{"requests":{"memory":"500"}}},{"name":"b","resources":{"requests":{"memory":"300"}}}],
            "initContainers":[{"name":"s","restartPolicy":"Always","resources":{"requests":{"memory":"1"}}},{"name":"i"}]}"#;
        assert_eq!(
            [
                score(spec, "a"),
                score(spec, "b"),
                score(spec, "s"),
                score(spec, "i")
            ],
            [500, 700, 700, 999]
        );
    }
}
