//! What is written to the cgroups of a pod and of its containers.
//!
//! Upstream: `pkg/kubelet/cm/helpers_linux.go`, `pkg/kubelet/kuberuntime/kuberuntime_container_linux.go`. Only cgroup v2.

use std::collections::BTreeMap;

use super::cpu_share::{WeightFormula, quota, shares};
use super::oom_score::is_critical;
use super::qos::qos_class;
use super::resource_list::ResourceList;
use super::resource_sum::{amount, pod_level, pod_limits, pod_requests};
use super::{Container, PodSpec, QosClass, Quantity, ResourceRequirements};

/// Values for the files of a cgroup; what is `None` is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupValues {
    /// For `cpu.weight`, by a [`WeightFormula`].
    pub cpu_shares: Option<u64>,
    /// `cpu.max`.
    pub cpu_max: Option<CpuMax>,
    /// `memory.min`, bytes.
    pub memory_min: Option<u64>,
    /// `memory.high`, bytes.
    pub memory_high: Option<u64>,
    /// `memory.max`, bytes.
    pub memory_max: Option<u64>,
    /// `memory.swap.max`, bytes.
    pub memory_swap_max: Option<u64>,
    /// `memory.oom.group`: the OOM killer ends the whole container, not one of its processes.
    pub memory_oom_group: Option<bool>,
    /// `hugetlb.<size>.max`, bytes, by size of a page in bytes.
    pub hugetlb_max: BTreeMap<u64, u64>,
}

/// How much time on all CPUs together a cgroup has in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuMax {
    /// Microseconds; no limit if `None`.
    pub quota: Option<u64>,
    /// Microseconds.
    pub period: u64,
}

impl CgroupValues {
    /// File names and what is written to them.
    ///
    /// ```
    /// use podlife::model::{cgroup_values::{CgroupValues, CpuMax}, cpu_share::WeightFormula};
    ///
    /// let values = CgroupValues {
    ///     cpu_shares: Some(1024),
    ///     cpu_max: Some(CpuMax { quota: None, period: 100_000 }),
    ///     ..CgroupValues::default()
    /// };
    /// assert_eq!(values.files(WeightFormula::Quadratic), [
    ///     ("cpu.weight".to_owned(), "100".to_owned()),
    ///     ("cpu.max".to_owned(), "max 100000".to_owned()),
    /// ]);
    /// ```
    pub fn files(&self, formula: WeightFormula) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut file = |name: &str, value: Option<String>| {
            files.extend(value.map(|value| (name.to_owned(), value)))
        };
        file(
            "cpu.weight",
            self.cpu_shares
                .map(|shares| formula.weight(shares).to_string()),
        );
        file(
            "cpu.max",
            self.cpu_max.map(|max| {
                let quota = max
                    .quota
                    .map_or("max".to_owned(), |quota| quota.to_string());
                format!("{quota} {}", max.period)
            }),
        );
        let bytes = |value: Option<u64>| value.map(|bytes| bytes.to_string());
        file("memory.min", bytes(self.memory_min));
        file("memory.high", bytes(self.memory_high));
        file("memory.max", bytes(self.memory_max));
        file("memory.swap.max", bytes(self.memory_swap_max));
        file(
            "memory.oom.group",
            self.memory_oom_group
                .map(|group| u8::from(group).to_string()),
        );
        for (size, limit) in &self.hugetlb_max {
            if let Some(unit) = huge_page_unit(*size) {
                file(&format!("hugetlb.{unit}.max"), Some(limit.to_string()));
            }
        }
        files
    }
}

/// What containers of burstable pods may swap out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SwapBehavior {
    /// Nothing.
    #[default]
    NoSwap,
    /// A part of the host's swap as large as the part of its memory that they request.
    LimitedSwap,
}

/// What the owner of the host decides about all cgroups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CgroupRules {
    /// Whether cpu limits are enforced.
    pub cpu_quota: bool,
    /// The period of `cpu.max`, microseconds.
    pub cpu_period: u64,
    /// `memory.min` and `memory.high` from requests, with this throttling factor (0.9 upstream); not at all if `None`.
    pub memory_qos: Option<f64>,
    /// Whether one process out of memory ends its whole container.
    pub group_oom_kill: bool,
    /// What may be swapped out.
    pub swap: SwapBehavior,
}

/// The kubelet's defaults.
impl Default for CgroupRules {
    fn default() -> CgroupRules {
        CgroupRules {
            cpu_quota: true,
            cpu_period: 100_000,
            memory_qos: None,
            group_oom_kill: true,
            swap: SwapBehavior::NoSwap,
        }
    }
}

/// What the host has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupHost {
    /// Memory, bytes.
    pub memory_capacity: u64,
    /// Memory that pods may use, bytes; 0 if it is not known.
    pub memory_allocatable: u64,
    /// Swap, bytes.
    pub swap_capacity: u64,
    /// Whether `memory.swap.max` exists.
    pub swap_controller: bool,
    /// Size of a page, bytes.
    pub page_size: u64,
    /// Sizes of huge pages, bytes.
    pub huge_page_sizes: Vec<u64>,
}

/// The values of a pod's cgroup.
///
/// A cpu or memory limit is only there if every container has one, or the pod itself.
///
/// ```
/// use podlife::model::{Pod, cgroup_values::{CgroupRules, CpuMax, pod_values}};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec":{"containers":[
///     {"name":"a","resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"200m"}}}]}}"#).unwrap();
/// let values = pod_values(&pod.spec, &CgroupRules::default());
/// assert_eq!(values.cpu_shares, Some(102));
/// assert_eq!(values.cpu_max, Some(CpuMax { quota: Some(20_000), period: 100_000 }));
/// assert_eq!(values.memory_max, None);
/// ```
pub fn pod_values(spec: &PodSpec, rules: &CgroupRules) -> CgroupValues {
    let (requests, limits) = (pod_requests(spec), pod_limits(spec));
    let cpu = CpuMax {
        quota: if rules.cpu_quota {
            quota(amount(&limits, "cpu").milli_value(), rules.cpu_period)
        } else {
            None
        },
        period: rules.cpu_period,
    };
    let class = qos_class(spec);
    let limited = |resource| {
        class == QosClass::Guaranteed || class == QosClass::Burstable && declared(spec, resource)
    };
    let memory_request = bytes(amount(&requests, "memory"));
    CgroupValues {
        cpu_shares: Some(match class {
            QosClass::BestEffort => shares(0),
            _ => shares(amount(&requests, "cpu").milli_value()),
        }),
        cpu_max: limited("cpu").then_some(cpu),
        memory_max: limited("memory").then(|| bytes(amount(&limits, "memory"))),
        memory_min: rules
            .memory_qos
            .and(Some(memory_request))
            .filter(|bytes| *bytes > 0),
        hugetlb_max: huge_page_sums(&requests),
        ..CgroupValues::default()
    }
}

/// The shares of the parent of all burstable pods, from the pods of a host: what they request together.
pub fn tier_shares<'s>(pods: impl IntoIterator<Item = &'s PodSpec>) -> u64 {
    let burstable = pods
        .into_iter()
        .filter(|spec| qos_class(spec) == QosClass::Burstable);
    let requests = burstable.map(|spec| amount(&pod_requests(spec), "cpu").milli_value());
    shares(requests.fold(0, i64::saturating_add))
}

/// Whether every container has a limit of the resource, or the pod itself.
fn declared(spec: &PodSpec, resource: &str) -> bool {
    let limited = |resources: Option<&ResourceRequirements>| {
        resources.is_some_and(|resources| !amount(&resources.limits, resource).is_zero())
    };
    let mut containers = spec.containers.iter().chain(&spec.init_containers);
    limited(pod_level(spec)) || containers.all(|container| limited(container.resources.as_ref()))
}

/// The values of a container's cgroup.
///
/// ```
/// use podlife::model::{Pod, cgroup_values::{CgroupHost, CgroupRules, container_values}};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec":{"containers":[
///     {"name":"a","resources":{"limits":{"cpu":"2","memory":"64Mi"}}}]}}"#).unwrap();
/// let container = &pod.spec.containers[0];
/// let values = container_values(&pod.spec, container, &CgroupRules::default(), &CgroupHost::default());
/// assert_eq!(values.cpu_shares, Some(2048)); // from the limit: nothing is requested
/// assert_eq!(values.memory_max, Some(64 << 20));
/// assert_eq!(values.memory_oom_group, Some(true));
/// ```
pub fn container_values(
    spec: &PodSpec,
    container: &Container,
    rules: &CgroupRules,
    host: &CgroupHost,
) -> CgroupValues {
    let none = ResourceRequirements::default();
    let own = container.resources.as_ref().unwrap_or(&none);
    let limit = |resource| match amount(&own.limits, resource) {
        own if own.is_zero() => pod_level(spec).map_or(own, |pod| amount(&pod.limits, resource)),
        own => own,
    };
    let cpu_limit = limit("cpu").milli_value();
    let memory_qos = rules
        .memory_qos
        .map(|factor| memory_qos(own, factor, host))
        .unwrap_or_default();
    CgroupValues {
        cpu_shares: Some(shares(
            own.requests
                .get("cpu")
                .map_or(cpu_limit, |request| request.milli_value()),
        )),
        cpu_max: rules.cpu_quota.then(|| CpuMax {
            quota: quota(cpu_limit, rules.cpu_period),
            period: rules.cpu_period,
        }),
        memory_max: Some(bytes(limit("memory"))).filter(|bytes| *bytes > 0),
        memory_min: memory_qos.min,
        memory_high: memory_qos.high,
        memory_swap_max: host
            .swap_controller
            .then(|| swap(spec, own, rules.swap, host)),
        memory_oom_group: rules.group_oom_kill.then_some(true),
        hugetlb_max: huge_page_limits(&own.limits, &host.huge_page_sizes),
    }
}

/// `memory.min` and `memory.high` of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryQos {
    /// What is not reclaimed.
    pub min: Option<u64>,
    /// From where on the container is slowed down.
    pub high: Option<u64>,
}

/// Memory QoS of a container: its request is kept for it, and it is throttled before it reaches its limit.
pub fn memory_qos(resources: &ResourceRequirements, factor: f64, host: &CgroupHost) -> MemoryQos {
    let request = bytes(amount(&resources.requests, "memory"));
    let limit = bytes(amount(&resources.limits, "memory"));
    let ceiling = if limit > 0 {
        limit
    } else {
        host.memory_allocatable
    };
    let page = host.page_size.max(1);
    // The steps and roundings are upstream's.
    let high = request as f64 + (ceiling as f64 - request as f64) * factor;
    let high = ((high / page as f64).floor().max(0.0) as u64).saturating_mul(page);
    MemoryQos {
        min: Some(request).filter(|bytes| *bytes > 0),
        high: Some(high).filter(|high| request != limit && ceiling > 0 && *high > request),
    }
}

/// `memory.swap.max` of a container, bytes.
fn swap(
    spec: &PodSpec,
    resources: &ResourceRequirements,
    behavior: SwapBehavior,
    host: &CgroupHost,
) -> u64 {
    let request = amount(&resources.requests, "memory");
    // Also where there is neither.
    let fixed = request == amount(&resources.limits, "memory");
    if behavior == SwapBehavior::NoSwap
        || fixed
        || is_critical(spec)
        || qos_class(spec) != QosClass::Burstable
    {
        return 0;
    }
    let request = bytes(request);
    if request > host.memory_capacity {
        return 0;
    }
    (request as f64 / host.memory_capacity.max(1) as f64 * host.swap_capacity as f64) as u64
}

/// Limits of a container for each size of huge pages that the host has; 0 where it asks for none.
pub fn huge_page_limits(limits: &ResourceList, sizes: &[u64]) -> BTreeMap<u64, u64> {
    let asked = huge_pages(limits).filter(|(size, _)| huge_page_unit(*size).is_some());
    let mut by_size: BTreeMap<u64, u64> = sizes.iter().map(|size| (*size, 0)).collect();
    for (size, limit) in asked {
        by_size.entry(size).and_modify(|known| *known = limit);
    }
    by_size
}

/// Limits of a pod for huge pages: what it requests, by size of a page. Two spellings of one size add up.
pub fn huge_page_sums(requests: &ResourceList) -> BTreeMap<u64, u64> {
    let mut by_size = BTreeMap::new();
    for (size, request) in huge_pages(requests) {
        let sum: &mut u64 = by_size.entry(size).or_default();
        *sum = sum.saturating_add(request);
    }
    by_size
}

/// The runtime's name of a page size: `2MB`, `1GB`. Sizes that are no power of two have none.
pub fn huge_page_unit(size: u64) -> Option<String> {
    const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
    let step = (size.is_power_of_two().then(|| size.trailing_zeros() / 10)?).min(5);
    Some(format!("{}{}", size >> (step * 10), UNITS[step as usize]))
}

/// Sizes and amounts of the list's huge pages.
fn huge_pages(list: &ResourceList) -> impl Iterator<Item = (u64, u64)> {
    list.iter().filter_map(|(name, amount)| {
        let size: Quantity = name.strip_prefix("hugepages-")?.parse().ok()?;
        Some((bytes(size), bytes(*amount)))
    })
}

fn bytes(amount: Quantity) -> u64 {
    u64::try_from(amount.value()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pod;

    const GI: u64 = 1 << 30;

    fn resources(json: &str) -> ResourceRequirements {
        serde_json::from_str(json).unwrap()
    }

    fn host() -> CgroupHost {
        CgroupHost {
            memory_capacity: 40 * GI,
            memory_allocatable: 32 * GI,
            swap_capacity: 5 * GI,
            swap_controller: true,
            page_size: 4096,
            huge_page_sizes: vec![2 << 20],
        }
    }

    #[test]
    fn nobody_is_throttled_below_its_request() {
        let more_than_the_node = resources(r#"{"requests":{"memory":"64Gi"}}"#);
        let qos = memory_qos(&more_than_the_node, 0.9, &host());
        assert_eq!(
            qos,
            MemoryQos {
                min: Some(64 * GI),
                high: None
            }
        );
        let unknown_node = CgroupHost {
            memory_allocatable: 0,
            ..host()
        };
        assert_eq!(
            memory_qos(&resources("{}"), 0.9, &unknown_node),
            MemoryQos::default()
        );
    }

    #[test]
    fn swap_goes_by_the_requested_part_of_memory() {
        let pod: Pod = serde_json::from_str(
            r#"{"spec":{"containers":[
                {"name":"part","resources":{"requests":{"memory":"8Gi"}}},
                {"name":"fixed","resources":{"requests":{"memory":"1Gi"},"limits":{"memory":"1Gi"}}},
                {"name":"nothing"},
                {"name":"all and more","resources":{"requests":{"memory":"64Gi"}}}]}}"#,
        )
        .unwrap();
        let rules = CgroupRules {
            swap: SwapBehavior::LimitedSwap,
            ..CgroupRules::default()
        };
        let swap = |host: &CgroupHost| -> Vec<Option<u64>> {
            let containers = pod.spec.containers.iter();
            containers
                .map(|one| container_values(&pod.spec, one, &rules, host).memory_swap_max)
                .collect()
        };
        assert_eq!(swap(&host()), [Some(GI), Some(0), Some(0), Some(0)]);
        let without = CgroupHost {
            swap_controller: false,
            ..host()
        };
        assert_eq!(swap(&without), [None; 4]);
    }

    #[test]
    fn huge_pages_are_limited_to_nothing_unless_asked_for() {
        let pod: Pod = serde_json::from_str(r#"{"spec":{"containers":[{"name":"a"}]}}"#).unwrap();
        let values = container_values(
            &pod.spec,
            &pod.spec.containers[0],
            &CgroupRules::default(),
            &host(),
        );
        let files = values.files(WeightFormula::Linear);
        assert!(
            files.contains(&("hugetlb.2MB.max".to_owned(), "0".to_owned())),
            "{files:?}"
        );
        assert!(
            files.contains(&("cpu.weight".to_owned(), "1".to_owned())),
            "{files:?}"
        );
        assert!(
            files.contains(&("cpu.max".to_owned(), "max 100000".to_owned())),
            "{files:?}"
        );
    }

    #[test]
    fn units_of_pages() {
        let units = [0, 1, 1 << 10, 2 << 20, 1 << 30, 3 << 20, 1 << 62].map(huge_page_unit);
        let units: Vec<&str> = units
            .iter()
            .map(|unit| unit.as_deref().unwrap_or("none"))
            .collect();
        assert_eq!(units, ["none", "1B", "1KB", "2MB", "1GB", "none", "4096PB"]);
    }
}
