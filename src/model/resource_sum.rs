//! What a pod asks for and may use in sum.
//!
//! Upstream: `k8s.io/component-helpers/resource/helpers.go`.

use std::ops::Add;

use super::{
    Container, ContainerRestartPolicy, PodSpec, Quantity, ResourceList, ResourceRequirements,
};

/// The amount of a resource; nothing if it is not listed.
pub fn amount(list: &ResourceList, resource: &str) -> Quantity {
    list.get(resource).copied().unwrap_or(Quantity::ZERO)
}

/// What the pod requests: the main containers and sidecars together, or the largest step of its start if that is more;
/// requests of the pod itself in their place; and the overhead.
///
/// ```
/// use podlife::model::{Pod, resource_sum::pod_requests};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec":{
///     "initContainers":[{"name":"big","resources":{"requests":{"cpu":"2"}}}],
///     "containers":[{"name":"a","resources":{"requests":{"cpu":"100m"}}}],
///     "overhead":{"cpu":"50m"}}}"#).unwrap();
/// assert_eq!(pod_requests(&pod.spec)["cpu"].to_string(), "2050m");
/// ```
pub fn pod_requests(spec: &PodSpec) -> ResourceList {
    let mut sum = container_requests(spec);
    replace(&mut sum, spec, |resources| &resources.requests);
    sum.join(&spec.overhead, Add::add);
    sum
}

/// What the containers request, without the pod's own requests and the overhead.
pub fn container_requests(spec: &PodSpec) -> ResourceList {
    of_containers(spec, |resources| &resources.requests)
}

/// What the containers may use, without the pod's own limits and the overhead.
pub(super) fn container_limits(spec: &PodSpec) -> ResourceList {
    of_containers(spec, |resources| &resources.limits)
}

/// What the pod may use: as [`pod_requests`], with limits. The overhead is added to limits that there are.
pub fn pod_limits(spec: &PodSpec) -> ResourceList {
    let mut sum = container_limits(spec);
    replace(&mut sum, spec, |resources| &resources.limits);
    for (name, limit) in sum.iter_mut().filter(|(_, limit)| !limit.is_zero()) {
        *limit += amount(&spec.overhead, name);
    }
    sum
}

/// Requests and limits of the pod itself, if it has any that count there: cpu, memory and huge pages.
pub fn pod_level(spec: &PodSpec) -> Option<&ResourceRequirements> {
    let counts = |list: &ResourceList| list.keys().any(is_pod_level);
    spec.resources
        .as_ref()
        .filter(|resources| counts(&resources.requests) || counts(&resources.limits))
}

/// Whether an init container goes on running beside the others.
pub(super) fn is_sidecar(init: &Container) -> bool {
    init.restart_policy == Some(ContainerRestartPolicy::Always)
}

pub(super) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_pages(name)
}

pub(super) fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn replace(
    sum: &mut ResourceList,
    spec: &PodSpec,
    list: impl Fn(&ResourceRequirements) -> &ResourceList,
) {
    if let Some(resources) = pod_level(spec) {
        let mut own = list(resources).clone();
        own.retain(is_pod_level);
        sum.join(&own, |_, own| own);
    }
}

/// Init containers start one after the other; each runs beside the sidecars that were started before it.
fn of_containers(
    spec: &PodSpec,
    list: impl Fn(&ResourceRequirements) -> &ResourceList,
) -> ResourceList {
    let (mut sidecars, mut start) = (ResourceList::new(), ResourceList::new());
    for init in &spec.init_containers {
        let mut step = sidecars.clone();
        if let Some(resources) = &init.resources {
            step.join(list(resources), Add::add);
        }
        start.join(&step, Ord::max);
        if is_sidecar(init) {
            sidecars = step;
        }
    }
    let main = spec
        .containers
        .iter()
        .filter_map(|main| main.resources.as_ref());
    let mut sum: ResourceList = main.map(list).chain([&sidecars]).sum();
    sum.join(&start, Ord::max);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pod;

    fn cpu(spec: &str) -> (String, String) {
        let pod: Pod = serde_json::from_str(&format!("{{\"spec\":{spec}}}")).unwrap();
        let text = |list: ResourceList| amount(&list, "cpu").to_string();
        (text(pod_requests(&pod.spec)), text(pod_limits(&pod.spec)))
    }

    #[test]
    fn an_init_container_runs_beside_the_sidecars_started_before_it() {
        let spec = r#"{"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}}],"initContainers":[
            {"name":"before","resources":{"requests":{"cpu":"5"}}},
            {"name":"side","restartPolicy":"Always","resources":{"requests":{"cpu":"2"}}},
            {"name":"after","resources":{"requests":{"cpu":"4"}}}]}"#;
        // 5, then 2 and 4 together, then 2 and 1.
        assert_eq!(cpu(spec).0, "6");
    }

    #[test]
    fn the_pods_own_take_the_place_of_the_sum_and_overhead_comes_on_top() {
        let spec = r#"{"containers":[{"name":"a","resources":{"requests":{"cpu":"1"},"limits":{"cpu":"2"}}}],
            "resources":{"requests":{"cpu":"3"},"limits":{"memory":"1Gi"}},"overhead":{"cpu":"100m"}}"#;
        assert_eq!(cpu(spec), ("3100m".to_owned(), "2100m".to_owned()));
        let unlimited = r#"{"containers":[{"name":"a"}],"overhead":{"cpu":"100m"}}"#;
        assert_eq!(cpu(unlimited), ("100m".to_owned(), "0".to_owned()));
    }
}
