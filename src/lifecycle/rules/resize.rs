//! Resources changed in a living pod: what a container does about it, in which order cgroups are written, and what the
//! pod's conditions say.
//!
//! Only name and image make a container's definition, so a change of its resources never restarts it as one.
//!
//! Source: KEP-1287, `pkg/kubelet/kuberuntime/kuberuntime_manager.go` of Kubernetes.

use super::condition::{Condition, Message};
use crate::model::{Container, Quantity, ResourceRequirements, ResourceResizeRestartPolicy};

/// What can be changed in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Memory.
    Memory,
    /// CPU.
    Cpu,
}

impl Resource {
    /// In the order in which they are applied.
    pub const ALL: [Resource; 2] = [Resource::Memory, Resource::Cpu];

    /// Its name in `resources` and `resizePolicy`.
    pub const fn name(self) -> &'static str {
        match self {
            Resource::Memory => "memory",
            Resource::Cpu => "cpu",
        }
    }
}

/// What a running container does about changed resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Nothing: what is wanted is what it has.
    Nothing,
    /// Its cgroup is written.
    InPlace,
    /// It is killed and started again, whatever its restart policy.
    Restart,
}

/// What the container, as it is wanted now, does about having been given `applied`.
///
/// ```
/// use podlife::lifecycle::rules::resize::{Resize, resize};
/// use podlife::model::Container;
///
/// let container = |limits: &str| -> Container {
///     serde_json::from_str(&format!(r#"{{"name": "c", "resources": {{"limits": {limits}}},
///         "resizePolicy": [{{"resourceName": "memory", "restartPolicy": "RestartContainer"}}]}}"#)).unwrap()
/// };
/// let applied = container(r#"{"cpu": "1", "memory": "64Mi"}"#).resources.unwrap();
/// assert_eq!(resize(&container(r#"{"cpu": "1000m", "memory": "64Mi"}"#), &applied), Resize::Nothing);
/// assert_eq!(resize(&container(r#"{"cpu": "2", "memory": "64Mi"}"#), &applied), Resize::InPlace);
/// assert_eq!(resize(&container(r#"{"cpu": "2", "memory": "96Mi"}"#), &applied), Resize::Restart);
/// ```
pub fn resize(wanted: &Container, applied: &ResourceRequirements) -> Resize {
    let none = ResourceRequirements::default();
    let resources = wanted.resources.as_ref().unwrap_or(&none);
    let mut changed = Resource::ALL.into_iter().filter(|resource| {
        let name = resource.name();
        resources.limits.get(name) != applied.limits.get(name)
            || resources.requests.get(name) != applied.requests.get(name)
    });
    let restarts = |resource: Resource| {
        let mut policies = wanted.resize_policy.iter();
        let of_it = policies.find(|policy| policy.resource_name == resource.name());
        let policy = of_it.and_then(|policy| policy.restart_policy.as_ref());
        policy == Some(&ResourceResizeRestartPolicy::RestartContainer)
    };
    match changed.next() {
        None => Resize::Nothing,
        Some(first) if restarts(first) || changed.any(restarts) => Resize::Restart,
        Some(_) => Resize::InPlace,
    }
}

/// One cgroup to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeStep {
    /// The pod's.
    Pod(Resource),
    /// A container's, by its place among those asked about.
    Container(usize, Resource),
}

/// A limit before and after; `None` is none, which is more than any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The one that is applied.
    pub before: Option<Quantity>,
    /// The one that is wanted.
    pub after: Option<Quantity>,
}

impl Limit {
    fn grows(self) -> bool {
        match (self.before, self.after) {
            (Some(before), Some(after)) => before < after,
            (before, after) => before.is_some() && after.is_none(),
        }
    }

    fn shrinks(self) -> bool {
        Limit {
            before: self.after,
            after: self.before,
        }
        .grows()
    }
}

/// In which order one resource is applied: the pod's cgroup grows before its containers do, and shrinks after them; of the
/// containers those that shrink come first.
///
/// ```
/// use podlife::lifecycle::rules::resize::{Limit, Resource, ResizeStep, resize_steps};
///
/// let limit = |before: &str, after: &str| Limit { before: before.parse().ok(), after: after.parse().ok() };
/// let steps = resize_steps(Resource::Memory, limit("128Mi", "192Mi"), &[limit("64Mi", "160Mi"), limit("64Mi", "32Mi")]);
/// assert_eq!(steps, [
///     ResizeStep::Pod(Resource::Memory),
///     ResizeStep::Container(1, Resource::Memory),
///     ResizeStep::Container(0, Resource::Memory),
/// ]);
/// ```
pub fn resize_steps(resource: Resource, pod: Limit, containers: &[Limit]) -> Vec<ResizeStep> {
    let all = || containers.iter().enumerate();
    let shrinking = all().filter(|(_, limit)| limit.shrinks());
    let growing = all().filter(|(_, limit)| limit.grows());
    let written = shrinking
        .chain(growing)
        .map(|(place, _)| ResizeStep::Container(place, resource));
    let first = pod.grows().then_some(ResizeStep::Pod(resource));
    let last = pod.shrinks().then_some(ResizeStep::Pod(resource));
    first.into_iter().chain(written).chain(last).collect()
}

/// Whether a pod's wish can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feasibility {
    /// Now.
    Fits,
    /// Once other pods leave room.
    Deferred,
    /// Never: it is more than the node has.
    Infeasible,
}

/// Whether `wanted` of one resource fits a node that has `capacity`, of which `others` want theirs.
pub fn feasibility(wanted: Quantity, others: Quantity, capacity: Quantity) -> Feasibility {
    let (wanted, others, capacity) = (
        wanted.milli_value(),
        others.milli_value(),
        capacity.milli_value(),
    );
    if wanted > capacity {
        Feasibility::Infeasible
    } else if wanted.saturating_add(others) > capacity {
        Feasibility::Deferred
    } else {
        Feasibility::Fits
    }
}

/// PodResizePending: there while the wish is not granted. A pod whose phase is terminal has it no more, nor
/// PodResizeInProgress.
pub fn resize_pending(feasibility: Feasibility) -> Option<Condition<'static>> {
    let reason = match feasibility {
        Feasibility::Fits => return None,
        Feasibility::Deferred => "Deferred",
        Feasibility::Infeasible => "Infeasible",
    };
    Some(Condition {
        holds: true,
        reason,
        message: Message::Empty,
    })
}

/// PodResizeInProgress: there while the wish is granted and not applied; with the reason `Error` after an attempt that failed.
pub fn resize_in_progress(failed: bool) -> Condition<'static> {
    Condition {
        holds: true,
        reason: if failed { "Error" } else { "" },
        message: Message::Empty,
    }
}
