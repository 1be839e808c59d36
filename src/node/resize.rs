//! Resources that change while a pod lives: whether this host has them, and the cgroups that get them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::PodId;
use super::host::{Cgroups, Host};
use super::lower::limits;
use super::resident::Resident;
use crate::Result;
use crate::lifecycle::rules::resize::{
    Allocation, Amounts, Feasibility, Limit, Resize, ResizeStep, Resource, Restarts, feasibility,
    resize, resize_steps,
};
use crate::lifecycle::{AttemptState, ContainerIndex, Failure, Outcome, ResizeChange};
use crate::linux::cgroup::layout::Tier;
use crate::linux::cgroup::{
    Bound, CPU_MAX, CPU_WEIGHT, Cgroup, Controller, Controllers, CpuMax, Limits, MEMORY_MAX,
    Setting, Value,
};
use crate::model::cpu_share::{WeightFormula, shares};
use crate::model::qos::qos_class;
use crate::model::resource_sum::pod_requests;
use crate::model::{Container, Pod, PodSpec, QosClass, Quantity, ResourceRequirements};

/// What the pods of a host are promised, and what it has.
#[derive(Debug)]
pub(super) struct Promises {
    capacity: Amounts,
    by_pod: BTreeMap<PodId, Promised>,
}

#[derive(Debug)]
struct Promised {
    class: QosClass,
    requests: Amounts,
}

impl Promises {
    pub(super) fn new(capacity: Amounts) -> Promises {
        Promises {
            capacity,
            by_pod: BTreeMap::new(),
        }
    }

    /// The pod is promised what its manifest requests.
    pub(super) fn keep(&mut self, pod: PodId, spec: &PodSpec) {
        let promised = Promised {
            class: qos_class(spec),
            requests: requested(spec),
        };
        self.by_pod.insert(pod, promised);
    }

    /// The cpu of all burstable pods together.
    pub(super) fn burstable_cpu(&self) -> Quantity {
        let burstable = self
            .by_pod
            .values()
            .filter(|promised| promised.class == QosClass::Burstable);
        burstable.filter_map(|promised| promised.requests.cpu).sum()
    }

    /// Nobody holds it any more.
    pub(super) fn forget(&mut self, pod: PodId) {
        self.by_pod.remove(&pod);
    }

    /// Whether `pod` can have what `spec` requests; if not, why, in the kubelet's words.
    fn ask(&self, pod: PodId, spec: &PodSpec) -> (Feasibility, String) {
        let wanted = requested(spec);
        let answers = Resource::ALL.map(|resource| self.ask_for(pod, &wanted, resource));
        let [memory, cpu] = answers;
        if cpu.0 > memory.0 { cpu } else { memory }
    }

    fn ask_for(&self, pod: PodId, wanted: &Amounts, resource: Resource) -> (Feasibility, String) {
        let zero = Quantity::ZERO;
        let others = self.by_pod.iter().filter(|(other, _)| **other != pod);
        let used: Quantity = others
            .filter_map(|(_, promised)| promised.requests.of(resource))
            .sum();
        let wanted = wanted.of(resource).unwrap_or(zero);
        let capacity = self.capacity.of(resource).unwrap_or(zero);
        let found = feasibility(wanted, used, capacity);
        let number = |amount: Quantity| match resource {
            Resource::Memory => amount.value(),
            Resource::Cpu => amount.milli_value(),
        };
        let (name, wanted) = (resource.name(), number(wanted));
        let (used, capacity) = (number(used), number(capacity));
        let why = match found {
            Feasibility::Infeasible => format!(
                "Node didn't have enough capacity: {name}, requested: {wanted}, capacity: {capacity}"
            ),
            _ => format!(
                "Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
            ),
        };
        (found, why)
    }
}

impl Host {
    /// The pod is promised what its manifest requests.
    pub(super) fn promise(&mut self, pod: PodId, spec: &PodSpec) {
        self.promises.keep(pod, spec);
        self.weigh_burstable();
    }

    /// It is promised nothing any more.
    pub(super) fn release(&mut self, pod: PodId) {
        self.promises.forget(pod);
        self.weigh_burstable();
    }

    /// What burstable pods weigh together, against each guaranteed one: what they request.
    pub(super) fn weigh_burstable(&self) {
        let Cgroups::Tree(tree, _) = &self.cgroups else {
            return;
        };
        if !tree.controllers().contains(Controller::Cpu) {
            return;
        }
        let shares = shares(self.promises.burstable_cpu().milli_value());
        let tier = Tier::Burstable.directory();
        if let Some(Ok(tier)) = tier.map(|name| tree.root().child(name)) {
            // One that cannot be weighed now is with the next pod.
            let _ = tier.write(&CPU_WEIGHT, &WeightFormula::Quadratic.weight(shares));
        }
    }
}

fn requested(spec: &PodSpec) -> Amounts {
    let requests = pod_requests(spec);
    Amounts {
        memory: requests.get("memory").copied(),
        cpu: requests.get("cpu").copied(),
    }
}

/// A container whose cgroup is to be written, and what it is to have.
struct Written {
    group: Cgroup,
    limits: Limits,
}

impl Resident {
    /// The manifest with the resources that are granted.
    pub(super) fn allocated_pod(&self) -> Cow<'_, Pod> {
        let record = self.machine.record();
        if record.resizing().is_none() {
            return Cow::Borrowed(&self.pod);
        }
        let mut pod = (*self.pod).clone();
        let spec = &mut pod.spec;
        for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
            let of_it = record.index(&container.name);
            let granted = of_it.and_then(|index| record.container(index)?.allocated());
            if granted.is_some() || container.resources.is_some() {
                let resources = container
                    .resources
                    .get_or_insert_with(ResourceRequirements::default);
                granted.copied().unwrap_or_default().put_into(resources);
            }
        }
        Cow::Owned(pod)
    }

    /// A container of [`allocated_pod`](Resident::allocated_pod), or an ephemeral one.
    pub(super) fn allocated_spec<'p>(
        &'p self,
        pod: &'p Pod,
        index: ContainerIndex,
    ) -> Option<&'p Container> {
        let name = &self.sites.get(index.as_usize())?.name;
        super::resident::spec_of(pod, name).or_else(|| self.spec(index))
    }

    /// Whether the host can give the pod what its manifest wants.
    pub(super) fn allocate(&self, host: &mut Host) -> Outcome {
        let (found, why) = host.promises.ask(self.id, &self.pod.spec);
        if found != Feasibility::Fits {
            return Outcome::Failed(Failure::new(found.reason(), why));
        }
        host.promise(self.id, &self.pod.spec);
        Outcome::Done
    }

    /// Brings cgroups to what is granted.
    pub(super) fn apply(&mut self, host: &mut Host) -> Outcome {
        match self.apply_to_cgroups(host) {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(Failure::new("Error", error.to_string())),
        }
    }

    fn apply_to_cgroups(&mut self, host: &mut Host) -> Result<()> {
        let Cgroups::Tree(tree, _) = &host.cgroups else {
            return Ok(()); // said when the pod came
        };
        let Some(group) = self.cgroup(host)? else {
            return Ok(());
        };
        let pod = self.allocated_pod();
        let controllers = tree.controllers();
        let whole = Written {
            limits: unlimited(limits::pod(&pod, controllers), controllers),
            group,
        };
        let parts = self.in_place(host, &pod);
        let enforcement = self.enforcement(host);
        check_usage(&whole, &parts)?;
        in_order(&whole, &parts)?;
        let mut missing = Vec::new();
        for written in parts.iter().chain([&whole]) {
            missing.extend(tree.apply(&written.group, &written.limits, enforcement)?);
        }
        self.degrade_all(host, &missing);
        Ok(())
    }

    /// The running containers that get their resources as they are.
    fn in_place(&self, host: &Host, pod: &Pod) -> Vec<Written> {
        let record = self.machine.record();
        let controllers = host.cgroups.controllers();
        let all = record.containers().iter().zip(0..);
        let written = all.filter_map(|(container, index)| {
            let index = ContainerIndex(index);
            let newest = container.attempts().first()?;
            let spec = self.allocated_spec(pod, index)?;
            let of = |allocation: Option<&Allocation>| allocation.copied().unwrap_or_default();
            let (wants, has) = (of(container.allocated()), of(container.applied()));
            let needs = resize(Restarts::of(&spec.resize_policy), &wants, &has);
            let runs = matches!(newest.state, AttemptState::Running { .. });
            if !runs || needs == Resize::Restart {
                return None;
            }
            Some(Written {
                group: self.container_cgroup(host, index, newest.number)?,
                limits: unlimited(limits::container(pod, spec, controllers), controllers),
            })
        });
        written.collect()
    }

    /// What an event of a resize says.
    pub(super) fn resize_text(&self, change: ResizeChange) -> Arc<str> {
        let said = match change {
            ResizeChange::Infeasible => "Pod resize Infeasible",
            ResizeChange::Deferred => "Pod resize Deferred",
            ResizeChange::Started => "Pod resize started",
            ResizeChange::Error => "Pod resize error",
            ResizeChange::Completed => "Pod resize completed",
        };
        let resizing = self.machine.record().resizing();
        let error = match change {
            ResizeChange::Infeasible | ResizeChange::Deferred => resizing
                .and_then(|resizing| resizing.refused.as_ref())
                .map(|(_, why)| why.clone()),
            ResizeChange::Error => resizing.and_then(|resizing| resizing.error.clone()),
            _ => None,
        };
        let pod = match change {
            ResizeChange::Infeasible | ResizeChange::Deferred => Cow::Borrowed(&*self.pod),
            _ => self.allocated_pod(),
        };
        let summary = Summary {
            init_containers: pod.spec.init_containers.iter().map(Part::of).collect(),
            containers: pod.spec.containers.iter().map(Part::of).collect(),
            generation: pod.metadata.generation.unwrap_or_default(),
            error: error.as_deref(),
        };
        let summary = serde_json::to_string(&summary).unwrap_or_default();
        format!("{said}: {summary}").into()
    }
}

/// What is not limited is said to be so: it may have been.
fn unlimited(mut limits: Limits, controllers: Controllers) -> Limits {
    if controllers.contains(Controller::Memory) && limits.value(&MEMORY_MAX).is_none() {
        limits = limits.set(&MEMORY_MAX, Bound::Max);
    }
    if controllers.contains(Controller::Cpu) && limits.value(&CPU_MAX).is_none() {
        limits = limits.set(&CPU_MAX, CpuMax::UNBOUNDED);
    }
    limits
}

/// Memory is never taken away from under what uses it.
fn check_usage(whole: &Written, parts: &[Written]) -> Result<()> {
    for written in parts.iter().chain([whole]) {
        let (Some(Bound::At(after)), Ok(before)) = (
            written.limits.value(&MEMORY_MAX),
            written.group.read(&MEMORY_MAX),
        ) else {
            continue;
        };
        let usage = written.group.memory_stat()?.map_or(0, |stat| stat.current);
        if usage > after && before > Bound::At(after) {
            return Err(crate::Error::new(
                crate::Kind::Conflict,
                format!(
                    "limit the memory of {} to {after} bytes",
                    written.group.path().display()
                ),
                format!("it uses {usage}"),
            )
            .cure("let it free memory, or say RestartContainer in its resizePolicy"));
        }
    }
    Ok(())
}

/// Growing from above, shrinking from below: a pod never allows less than its containers.
fn in_order(whole: &Written, parts: &[Written]) -> Result<()> {
    for resource in Resource::ALL {
        let pod = whole.limit(resource);
        let containers: Vec<_> = parts.iter().map(|part| part.limit(resource)).collect();
        for step in resize_steps(resource, pod, &containers) {
            match step {
                ResizeStep::Pod(resource) => whole.write(resource)?,
                ResizeStep::Container(place, resource) => parts[place].write(resource)?,
            }
        }
    }
    Ok(())
}

impl Written {
    /// Before as the kernel has it. Where it has none nothing is to be kept in order.
    fn limit(&self, resource: Resource) -> Limit<u64> {
        let limits = match resource {
            Resource::Memory => self.both(&MEMORY_MAX).map(|[before, after]| {
                [before, after].map(|bound| match bound {
                    Bound::At(bytes) => Some(bytes),
                    Bound::Max => None,
                })
            }),
            Resource::Cpu => self.both(&CPU_MAX).map(|[before, after]| {
                [before, after].map(|max: CpuMax| {
                    let share = max.quota?.as_nanos() * 1_000_000;
                    u64::try_from(share / max.period.as_nanos().max(1)).ok()
                })
            }),
        };
        let [before, after] = limits.unwrap_or([None, None]);
        Limit { before, after }
    }

    fn both<T: Value>(&self, setting: &Setting<T>) -> Option<[T; 2]> {
        Some([self.group.read(setting).ok()?, self.limits.value(setting)?])
    }

    fn write(&self, resource: Resource) -> Result<()> {
        match resource {
            Resource::Memory => match self.limits.value(&MEMORY_MAX) {
                Some(bound) => self.group.write(&MEMORY_MAX, &bound),
                None => Ok(()),
            },
            Resource::Cpu => match self.limits.value(&CPU_MAX) {
                Some(max) => self.group.write(&CPU_MAX, &max),
                None => Ok(()),
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'p> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    init_containers: Vec<Part<'p>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    containers: Vec<Part<'p>>,
    generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'p str>,
}

#[derive(Serialize)]
struct Part<'p> {
    name: &'p str,
    resources: Cow<'p, ResourceRequirements>,
}

impl Part<'_> {
    fn of(container: &Container) -> Part<'_> {
        let resources = match &container.resources {
            Some(resources) => Cow::Borrowed(resources),
            None => Cow::Owned(ResourceRequirements::default()),
        };
        Part {
            name: &container.name,
            resources,
        }
    }
}
