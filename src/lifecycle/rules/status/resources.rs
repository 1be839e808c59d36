//! The resources in a container's status: what is allocated, and what its process has.
//!
//! Source: `convertToAPIContainerStatuses` in `pkg/kubelet/kubelet_pods.go` of Kubernetes, KEP-1287.

use std::collections::BTreeMap;

use crate::lifecycle::rules::resize::{Allocation, Resource};
use crate::model::{ContainerStatus, Quantity, ResourceRequirements};

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
    let mut changed = false;
    let allocated = |resource: Resource| allocated.requests.of(resource);
    if !has(&status.allocated_resources, &said.requests, allocated) {
        status.allocated_resources = with(&said.requests, allocated);
        changed = true;
    }
    let resources = status.resources.get_or_insert_default();
    let requests = |resource: Resource| shown.requests.of(resource);
    let limits = |resource: Resource| shown.limits.of(resource);
    if !has(&resources.requests, &said.requests, requests) {
        resources.requests = with(&said.requests, requests);
        changed = true;
    }
    if !has(&resources.limits, &said.limits, limits) {
        resources.limits = with(&said.limits, limits);
        changed = true;
    }
    changed
}

type List = BTreeMap<String, Quantity>;

fn is_resizable(name: &str) -> bool {
    Resource::ALL.iter().any(|resource| resource.name() == name)
}

/// Whether `list` is what [`with`] makes.
fn has(list: &List, said: &List, of: impl Fn(Resource) -> Option<Quantity>) -> bool {
    let others = |list: &List| list.keys().filter(|name| !is_resizable(name)).count();
    let same = |resource: Resource| list.get(resource.name()).copied() == of(resource);
    Resource::ALL.into_iter().all(same)
        && others(list) == others(said)
        && said
            .iter()
            .filter(|(name, _)| !is_resizable(name))
            .all(|(name, amount)| list.get(name) == Some(amount))
}

fn with(said: &List, of: impl Fn(Resource) -> Option<Quantity>) -> List {
    let others = said
        .iter()
        .filter(|(name, _)| !is_resizable(name))
        .map(|(name, amount)| (name.clone(), *amount));
    let own = Resource::ALL
        .into_iter()
        .filter_map(|resource| Some((resource.name().to_owned(), of(resource)?)));
    others.chain(own).collect()
}
