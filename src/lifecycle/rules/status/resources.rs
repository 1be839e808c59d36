//! The resources in a container's status: what is allocated, and what its process has.
//!
//! Source: `convertToAPIContainerStatuses` in `pkg/kubelet/kubelet_pods.go` of Kubernetes, KEP-1287.

use crate::lifecycle::rules::resize::{Allocation, Amounts};
use crate::model::{ContainerStatus, ResourceList, ResourceRequirements};

/// Writes `allocatedResources`, the requests that were granted, and `resources`, what the container has: for one that runs
/// `applied`, for another what it will be started with. Other resources than cpu and memory, in `said`, never change.
/// Returns whether anything changed.
///
/// ```
/// use podlife::lifecycle::rules::resize::Allocation;
/// use podlife::lifecycle::rules::status::resources::show;
/// use podlife::model::{Container, ContainerStatus};
///
/// let said = |memory: &str| Container::new("c", "nginx").limit("memory", memory).resources.unwrap();
/// let (wanted, has) = (said("96Mi"), said("64Mi"));
/// let mut status = ContainerStatus::default();
/// assert!(show(&mut status, &wanted, &Allocation::of(&wanted), &Allocation::of(&has)));
/// assert_eq!(status.resources.as_ref().unwrap().limits["memory"].to_string(), "64Mi");
/// assert!(!show(&mut status, &wanted, &Allocation::of(&wanted), &Allocation::of(&has)));
/// ```
pub fn show(
    status: &mut ContainerStatus,
    said: &ResourceRequirements,
    allocated: &Allocation,
    shown: &Allocation,
) -> bool {
    let with = |said: &ResourceList, amounts: Amounts| {
        let mut list = said.clone();
        amounts.put_into(&mut list);
        list
    };
    let resources = status.resources.get_or_insert_default();
    let lists = [
        (
            &mut status.allocated_resources,
            with(&said.requests, allocated.requests),
        ),
        (
            &mut resources.requests,
            with(&said.requests, shown.requests),
        ),
        (&mut resources.limits, with(&said.limits, shown.limits)),
    ];
    let mut changed = false;
    for (list, now) in lists {
        changed |= *list != now;
        *list = now; // the manifest's own, where they are the same
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Container;

    #[test]
    fn what_the_manifest_says_is_not_held_twice() {
        let said = |memory: &str| {
            let container = Container::new("c", "nginx").limit("memory", memory);
            container.limit("example.org/gpu", 1).resources.unwrap()
        };
        let (said, other) = (said("64Mi"), Allocation::of(&said("96Mi")));
        let own = Allocation::of(&said);
        let is_shared = |status: &ContainerStatus| {
            let limits = &status.resources.as_ref().unwrap().limits;
            std::ptr::eq(&limits["memory"], &said.limits["memory"])
        };
        let mut status = ContainerStatus::default();
        assert!(show(&mut status, &said, &own, &own) && is_shared(&status));
        let text = serde_json::to_string(&status).unwrap();
        let mut read: ContainerStatus = serde_json::from_str(&text).unwrap();
        assert!(!show(&mut read, &said, &own, &own) && is_shared(&read));
        assert!(show(&mut status, &said, &own, &other) && !is_shared(&status));
        assert_eq!(said.limits["memory"].to_string(), "64Mi");
    }
}
