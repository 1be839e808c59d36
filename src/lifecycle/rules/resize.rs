//! Resources changed in a living pod: what a container does about it, in which order cgroups are written, and what the
//! pod's conditions say.
//!
//! Three things can differ: what the manifest *wants*, what is *allocated* (the node has granted it), and what is *applied*
//! (a container's cgroup has it). Only name and image make a container's definition, so a change of its resources never
//! restarts it as one.
//!
//! Source: KEP-1287, `pkg/kubelet/kuberuntime/kuberuntime_manager.go` and `pkg/kubelet/allocation` of Kubernetes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Message};
use crate::model::{
    ContainerResizePolicy, Quantity, ResourceList, ResourceRequirements,
    ResourceResizeRestartPolicy,
};

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

/// One amount of each resource; `None` where none is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Bytes.
    pub memory: Option<Quantity>,
    /// CPUs.
    pub cpu: Option<Quantity>,
}

impl Amounts {
    /// That of one resource.
    pub fn of(&self, resource: Resource) -> Option<Quantity> {
        match resource {
            Resource::Memory => self.memory,
            Resource::Cpu => self.cpu,
        }
    }

    /// Writes them over their part of `list`.
    pub fn put_into(&self, list: &mut ResourceList) {
        for resource in Resource::ALL {
            match self.of(resource) {
                Some(amount) => list.insert(resource.name(), amount),
                None => list.remove(resource.name()),
            };
        }
    }
}

/// What of a container's resources can change in place.
///
/// ```
/// use podlife::lifecycle::rules::resize::Allocation;
/// use podlife::model::Container;
///
/// let container = Container::new("c", "nginx").limit("memory", "64Mi").limit("example.org/gpu", 1);
/// let mut resources = container.resources.unwrap();
/// let allocation = Allocation::of(&resources);
/// assert_eq!(allocation.limits.memory, "64Mi".parse().ok());
/// resources.limits.insert("memory", "32Mi".parse().unwrap());
/// allocation.put_into(&mut resources);
/// assert_eq!(resources.limits["memory"].to_string(), "64Mi");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// What it is promised.
    pub requests: Amounts,
    /// The most it may use.
    pub limits: Amounts,
}

impl Allocation {
    /// The part of `resources` that can change.
    pub fn of(resources: &ResourceRequirements) -> Allocation {
        let amounts = |list: &ResourceList| Amounts {
            memory: list.get("memory").copied(),
            cpu: list.get("cpu").copied(),
        };
        Allocation {
            requests: amounts(&resources.requests),
            limits: amounts(&resources.limits),
        }
    }

    /// Writes it over that part of `resources`.
    pub fn put_into(&self, resources: &mut ResourceRequirements) {
        self.requests.put_into(&mut resources.requests);
        self.limits.put_into(&mut resources.limits);
    }

    /// Whether one resource is the same in both.
    fn agrees(&self, other: &Allocation, resource: Resource) -> bool {
        self.requests.of(resource) == other.requests.of(resource)
            && self.limits.of(resource) == other.limits.of(resource)
    }
}

/// The resources whose change restarts a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// `resizePolicy` of memory is `RestartContainer`.
    pub memory: bool,
    /// That of cpu is.
    pub cpu: bool,
}

impl Restarts {
    /// What a container's `resizePolicy` says.
    pub fn of(policies: &[ContainerResizePolicy]) -> Restarts {
        let restarts = |resource: Resource| {
            let of_it = policies
                .iter()
                .find(|policy| policy.resource_name == resource.name());
            of_it.and_then(|policy| policy.restart_policy.as_ref())
                == Some(&ResourceResizeRestartPolicy::RestartContainer)
        };
        Restarts {
            memory: restarts(Resource::Memory),
            cpu: restarts(Resource::Cpu),
        }
    }

    fn has(self, resource: Resource) -> bool {
        match resource {
            Resource::Memory => self.memory,
            Resource::Cpu => self.cpu,
        }
    }
}

/// What a running container does about changed resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Nothing: what is allocated is what it has.
    Nothing,
    /// Its cgroup is written.
    InPlace,
    /// It is killed and started again, whatever its restart policy.
    Restart,
}

/// What a container to which `applied` was applied does about being allocated `allocated`.
///
/// ```
/// use podlife::lifecycle::rules::resize::{Allocation, Resize, Restarts, resize};
/// use podlife::model::Container;
///
/// let of = |cpu: &str, memory: &str| {
///     let container = Container::new("c", "nginx").limit("cpu", cpu).limit("memory", memory);
///     Allocation::of(&container.resources.unwrap())
/// };
/// let (restarts, applied) = (Restarts { memory: true, cpu: false }, of("1", "64Mi"));
/// assert_eq!(resize(restarts, &of("1000m", "64Mi"), &applied), Resize::Nothing);
/// assert_eq!(resize(restarts, &of("2", "64Mi"), &applied), Resize::InPlace);
/// assert_eq!(resize(restarts, &of("2", "96Mi"), &applied), Resize::Restart);
/// ```
pub fn resize(restarts: Restarts, allocated: &Allocation, applied: &Allocation) -> Resize {
    let changed = |resource: &Resource| !allocated.agrees(applied, *resource);
    let mut all = Resource::ALL.into_iter().filter(changed);
    match all.next() {
        None => Resize::Nothing,
        Some(first) if restarts.has(first) || all.any(|other| restarts.has(other)) => {
            Resize::Restart
        }
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
pub struct Limit<T> {
    /// The one that is applied.
    pub before: Option<T>,
    /// The one that is wanted.
    pub after: Option<T>,
}

impl<T: PartialOrd + Copy> Limit<T> {
    /// More is allowed than was.
    pub fn grows(self) -> bool {
        match (self.before, self.after) {
            (Some(before), Some(after)) => before < after,
            (before, after) => before.is_some() && after.is_none(),
        }
    }

    /// Less is allowed than was.
    pub fn shrinks(self) -> bool {
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
/// let limit = |before, after| Limit { before: Some(before), after: Some(after) };
/// let steps = resize_steps(Resource::Memory, limit(128, 192), &[limit(64, 160), limit(64, 32)]);
/// assert_eq!(steps, [
///     ResizeStep::Pod(Resource::Memory),
///     ResizeStep::Container(1, Resource::Memory),
///     ResizeStep::Container(0, Resource::Memory),
/// ]);
/// ```
pub fn resize_steps<T: PartialOrd + Copy>(
    resource: Resource,
    pod: Limit<T>,
    containers: &[Limit<T>],
) -> Vec<ResizeStep> {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Feasibility {
    /// Now.
    Fits,
    /// Once other pods leave room.
    Deferred,
    /// Never: it is more than the node has.
    Infeasible,
}

impl Feasibility {
    /// The reason of PodResizePending; empty where there is none.
    pub const fn reason(self) -> &'static str {
        match self {
            Feasibility::Fits => "",
            Feasibility::Deferred => "Deferred",
            Feasibility::Infeasible => "Infeasible",
        }
    }
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

/// A change of resources that is not all done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resizing {
    /// It is not granted, and why, for people.
    pub refused: Option<(Feasibility, Arc<str>)>,
    /// It is granted, and not all of it is applied.
    pub granted: bool,
    /// Cgroups are to be written.
    pub due: bool,
    /// Why the last try to write them failed.
    pub error: Option<Arc<str>>,
}

impl Resizing {
    /// PodResizePending: there while the wish is not granted. A pod whose phase is terminal has it no more, nor
    /// PodResizeInProgress.
    pub fn pending(&self) -> Option<Condition<'_>> {
        let (feasibility, why) = self.refused.as_ref()?;
        Some(Condition {
            holds: true,
            reason: feasibility.reason(),
            message: Message::Text(why),
        })
    }

    /// PodResizeInProgress: there while the wish is granted and not applied; with the reason `Error` after an attempt that
    /// failed.
    pub fn in_progress(&self) -> Option<Condition<'_>> {
        let (reason, message) = match &self.error {
            Some(why) => ("Error", Message::Text(why)),
            None => ("", Message::Empty),
        };
        self.granted.then_some(Condition {
            holds: true,
            reason,
            message,
        })
    }
}
