//! Requests and limits as what is written to cgroups, and what a process must not inherit.

use std::time::Duration;

use crate::linux::cgroup::{
    Bound, CPU_MAX, CPU_WEIGHT, Controller, Controllers, CpuMax, DeviceRules, Limits, MEMORY_HIGH,
    MEMORY_MAX, MEMORY_MIN, MEMORY_OOM_GROUP, MEMORY_SWAP_MAX,
};
use crate::linux::pause::Plan;
use crate::linux::pause::plan::Step;
use crate::linux::rlimit::{Resource, Rlimit};
use crate::model::cgroup_values::{
    CgroupHost, CgroupRules, CgroupValues, container_values, pod_values,
};
use crate::model::cpu_share::WeightFormula;
use crate::model::{Container, Pod, ResourceRequirements};

/// Of the pod's cgroup. A pod that says nothing of a resource asks for nothing where its controller is not to be had.
pub(crate) fn pod(pod: &Pod, controllers: Controllers) -> Limits {
    let values = pod_values(&pod.spec, &CgroupRules::default());
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let resources = containers
        .map(|container| &container.resources)
        .chain([&pod.spec.resources]);
    lower(values, controllers, |resource| {
        resources
            .clone()
            .flatten()
            .any(|asked| names(asked, resource))
    })
}

/// Of a container's.
pub(crate) fn container(pod: &Pod, container: &Container, controllers: Controllers) -> Limits {
    let values = container_values(
        &pod.spec,
        container,
        &CgroupRules::default(),
        &CgroupHost::default(),
    );
    lower(values, controllers, |resource| {
        container
            .resources
            .iter()
            .any(|asked| names(asked, resource))
    })
}

/// Which devices a container may use.
pub(crate) fn devices(container: &Container) -> DeviceRules {
    match super::is_privileged(container) {
        true => DeviceRules::everything(),
        false => DeviceRules::usual(),
    }
}

const MIB: u64 = 1 << 20;

/// Soft and hard limits of a process below a kubelet with containerd. Neither says any, so they are those of containerd's service,
/// which are systemd's and the kernel's own, except that nobody limits processes and core files.
const LIMITS: [(Resource, u64, u64); 14] = [
    (Resource::Cpu, Rlimit::INFINITY, Rlimit::INFINITY),
    (Resource::Fsize, Rlimit::INFINITY, Rlimit::INFINITY),
    (Resource::Data, Rlimit::INFINITY, Rlimit::INFINITY),
    (Resource::Stack, 8 * MIB, Rlimit::INFINITY),
    (Resource::Core, Rlimit::INFINITY, Rlimit::INFINITY),
    (Resource::Nproc, Rlimit::INFINITY, Rlimit::INFINITY),
    // `select(2)` can do no more than the soft one.
    (Resource::Nofile, 1024, 524_288),
    (Resource::Memlock, 8 * MIB, 8 * MIB),
    (Resource::As, Rlimit::INFINITY, Rlimit::INFINITY),
    (Resource::Sigpending, Rlimit::INFINITY, Rlimit::INFINITY),
    (Resource::Msgqueue, 819_200, 819_200),
    (Resource::Nice, 0, 0),
    (Resource::Rtprio, 0, 0),
    (Resource::Rttime, Rlimit::INFINITY, Rlimit::INFINITY),
];

/// What a process would otherwise have from the program that runs the Node: its nice value, its processors, its limits. None is raised
/// above that program's hard one, which would take CAP_SYS_RESOURCE and whoever set it would not want.
pub(crate) fn process(plan: &mut Plan, in_user_namespace: bool) {
    plan.push(Step::AllProcessors);
    if !in_user_namespace {
        // An ordinary user cannot take back what made the program nicer.
        plan.push(Step::Nice(0));
    }
    plan.extend(LIMITS.map(|(resource, soft, hard)| {
        let hard = Rlimit::own(resource).map_or(hard, |own| own.hard.min(hard));
        let soft = soft.min(hard);
        Step::Rlimit(Rlimit {
            resource,
            soft,
            hard,
        })
    }));
}

fn names(asked: &ResourceRequirements, resource: &str) -> bool {
    asked.requests.contains_key(resource) || asked.limits.contains_key(resource)
}

fn lower(values: CgroupValues, controllers: Controllers, asked: impl Fn(&str) -> bool) -> Limits {
    let mut limits = Limits::new();
    let micros = Duration::from_micros;
    if asked("cpu") || controllers.contains(Controller::Cpu) {
        if let Some(shares) = values.cpu_shares {
            limits = limits.set(&CPU_WEIGHT, WeightFormula::Quadratic.weight(shares));
        }
        if let Some(max) = values.cpu_max {
            limits = limits.set(
                &CPU_MAX,
                CpuMax {
                    quota: max.quota.map(micros),
                    period: micros(max.period),
                },
            );
        }
    }
    if asked("memory") || controllers.contains(Controller::Memory) {
        let bytes = [
            (&MEMORY_MIN, values.memory_min),
            (&MEMORY_HIGH, values.memory_high),
            (&MEMORY_MAX, values.memory_max),
            (&MEMORY_SWAP_MAX, values.memory_swap_max),
        ];
        for (setting, value) in bytes {
            if let Some(value) = value {
                limits = limits.set(setting, Bound::At(value));
            }
        }
        if let Some(group) = values.memory_oom_group {
            limits = limits.set(&MEMORY_OOM_GROUP, group);
        }
    }
    limits
}
