//! CPU numbers, the values of pod and container cgroups, and their places.

use std::collections::BTreeMap;

use podlife::model::cgroup_name::{CgroupDriver, CgroupName, pod_leaf};
use podlife::model::cgroup_values::{
    CgroupHost, CgroupRules, CgroupValues, SwapBehavior, container_values, huge_page_limits,
    huge_page_sums, huge_page_unit, memory_qos, pod_values, tier_shares,
};
use podlife::model::cpu_share::{
    WeightFormula, linear_shares, milli_cpu_of_quota, milli_cpu_of_shares, quota, shares,
};
use podlife::model::oom_score::oom_score_adj;
use podlife::model::{Container, Pod, PodSpec, QosClass, Quantity};
use serde_json::{Map, Value, json};

use super::{Answer, Case, covers};

pub(crate) fn run(case: &Case) -> Answer {
    let unsigned = |key| case.read::<u64>(key);
    match case.op() {
        "milliCpuToQuota" => {
            let quota = quota(case.integer("milliCpu"), unsigned("periodMicros")).unwrap_or(0);
            Answer::Is(json!({ "quotaMicros": quota }))
        }
        "milliCpuToShares" => Answer::Is(json!({ "shares": shares(case.integer("milliCpu")) })),
        "sharesToWeightLinear" => {
            Answer::Is(json!({ "weight": WeightFormula::Linear.weight(unsigned("shares")) }))
        }
        "sharesToWeightQuadratic" => {
            Answer::Is(json!({ "weight": WeightFormula::Quadratic.weight(unsigned("shares")) }))
        }
        "weightToSharesLinear" => {
            Answer::Is(json!({ "shares": linear_shares(unsigned("weight")) }))
        }
        "sharesToMilliCpu" => {
            Answer::Is(json!({ "milliCpu": milli_cpu_of_shares(unsigned("shares")) }))
        }
        "quotaToMilliCpu" => {
            let quota = u64::try_from(case.integer("quotaMicros")).ok();
            Answer::Is(json!({ "milliCpu": milli_cpu_of_quota(quota, unsigned("periodMicros")) }))
        }
        "podResourceConfig" => pod_config(case),
        "containerResources" => container_resources(case),
        "containerMemoryQos" => container_memory_qos(case),
        "containerSwap" => container_swap(case),
        "hugepageLimits" => hugepage_limits(case),
        "podHugepages" => Answer::Is(json!({ "limits": huge_page_sums(&case.read("requests")) })),
        "qosTier" => {
            let pods: Vec<Pod> = case.read("pods");
            let burstable = tier_shares(pods.iter().map(|pod| &pod.spec));
            Answer::Is(json!({ "burstableCpuShares": burstable, "bestEffortCpuShares": shares(0) }))
        }
        _ => place(case),
    }
}

fn place(case: &Case) -> Answer {
    let both = |name: CgroupName| {
        Answer::Is(json!({
            "cgroupfs": name.path(CgroupDriver::Cgroupfs),
            "systemd": name.path(CgroupDriver::Systemd),
        }))
    };
    match case.op() {
        "cgroupName" => {
            let parts: Vec<String> = case.read("parts");
            both(
                parts
                    .iter()
                    .fold(CgroupName::default(), |name, part| name.child(part)),
            )
        }
        "podCgroup" => {
            let class = QosClass::from(case.text("qosClass"));
            both(
                CgroupName::new(case.text("root"))
                    .child("kubepods")
                    .pod(&class, case.text("podUid")),
            )
        }
        "podCgroupLeaf" => Answer::Is(json!({ "name": pod_leaf(case.text("podUid")) })),
        "nodeAllocatableRoot" => {
            let root = CgroupName::new(&case.read_or_default::<String>("cgroupRoot"));
            let name = if case.read_or_default("cgroupsPerQos") {
                root.child("kubepods")
            } else {
                root
            };
            let driver = if case.input["driver"] == "systemd" {
                CgroupDriver::Systemd
            } else {
                CgroupDriver::Cgroupfs
            };
            Answer::Is(json!({ "path": name.path(driver) }))
        }
        _ => Answer::UnknownOp,
    }
}

/// Files beyond cpu shares, quota and the memory limit, by name.
fn unified(values: &CgroupValues) -> Map<String, Value> {
    const PLAIN: [&str; 3] = ["cpu.weight", "cpu.max", "memory.max"];
    let files = values.files(WeightFormula::default()).into_iter();
    let others =
        files.filter(|(name, _)| !PLAIN.contains(&name.as_str()) && !name.starts_with("hugetlb."));
    others.map(|(name, value)| (name, json!(value))).collect()
}

/// An absent key is a file that is left alone, so the answer has only the keys that are set.
fn pod_config(case: &Case) -> Answer {
    let rules = CgroupRules {
        cpu_quota: case.read("enforceCpuLimits"),
        cpu_period: case.read("periodMicros"),
        memory_qos: case.read::<bool>("memoryQos").then_some(0.9),
        ..CgroupRules::default()
    };
    let values = pod_values(&case.gated_pod().spec, &rules);
    let mut got = Map::new();
    let mut set =
        |key: &str, value: Option<Value>| got.extend(value.map(|value| (key.to_owned(), value)));
    set("cpuShares", values.cpu_shares.map(Value::from));
    set(
        "cpuQuota",
        values
            .cpu_max
            .map(|max| max.quota.map_or(json!(-1), |quota| json!(quota))),
    );
    set("cpuPeriod", values.cpu_max.map(|max| json!(max.period)));
    set("memoryLimit", values.memory_max.map(Value::from));
    set(
        "unified",
        Some(unified(&values))
            .filter(|files| !files.is_empty())
            .map(Value::Object),
    );
    let sums = (!values.hugetlb_max.is_empty()).then(|| json!(values.hugetlb_max));
    set("hugePageLimit", sums);
    Answer::Is(Value::Object(got))
}

fn named<'s>(spec: &'s PodSpec, name: &str) -> &'s Container {
    spec.containers
        .iter()
        .chain(&spec.init_containers)
        .find(|container| container.name == name)
        .unwrap()
}

/// Version 1 of cgroups has no unified files; podlife knows only version 2.
fn container_resources(case: &Case) -> Answer {
    let spec = case.gated_pod().spec;
    let container = named(&spec, case.text("container"));
    let single: bool = case.read("singleProcessOomKill");
    let rules = CgroupRules {
        cpu_quota: case.read("cpuCfsQuota"),
        cpu_period: case.read("periodMicros"),
        group_oom_kill: case.integer("cgroupVersion") == 2 && !single,
        swap: swap_behavior(case),
        ..CgroupRules::default()
    };
    let host = CgroupHost {
        memory_capacity: case.read("memoryCapacity"),
        swap_controller: case.read_or_default("swapControllerAvailable"),
        swap_capacity: case.read_or_default("swapCapacity"),
        ..CgroupHost::default()
    };
    let values = container_values(&spec, container, &rules, &host);
    Answer::Covers(json!({
        "cpuShares": values.cpu_shares,
        "cpuQuota": values.cpu_max.and_then(|max| max.quota).unwrap_or(0),
        "cpuPeriod": values.cpu_max.map_or(0, |max| max.period),
        "memoryLimitInBytes": values.memory_max.unwrap_or(0),
        "oomScoreAdj": oom_score_adj(&spec, container, host.memory_capacity),
        "unified": unified(&values),
    }))
}

/// Whatever is no known word means none.
fn swap_behavior(case: &Case) -> SwapBehavior {
    match case.input["swapBehavior"].as_str() {
        Some("LimitedSwap") => SwapBehavior::LimitedSwap,
        _ => SwapBehavior::NoSwap,
    }
}

fn container_memory_qos(case: &Case) -> Answer {
    let container: Container = case.read("container");
    let host = CgroupHost {
        memory_allocatable: case
            .read::<Quantity>("nodeAllocatableMemory")
            .value()
            .unsigned_abs(),
        page_size: case.read("pageSize"),
        ..CgroupHost::default()
    };
    let resources = container.resources.unwrap_or_default();
    let qos = memory_qos(&resources, case.read("throttlingFactor"), &host);
    let values = CgroupValues {
        memory_min: qos.min,
        memory_high: qos.high,
        ..CgroupValues::default()
    };
    Answer::Is(json!({ "unified": unified(&values) }))
}

fn container_swap(case: &Case) -> Answer {
    let spec = case.gated_pod().spec;
    let rules = CgroupRules {
        swap: swap_behavior(case),
        ..CgroupRules::default()
    };
    let host = CgroupHost {
        memory_capacity: case.read("memoryCapacity"),
        swap_capacity: case.read("swapCapacity"),
        swap_controller: case.read("swapControllerAvailable"),
        ..CgroupHost::default()
    };
    let containers = spec.containers.iter().chain(&spec.init_containers);
    let by_name: BTreeMap<&str, Option<u64>> = containers
        .map(|container| {
            (
                container.name.as_str(),
                container_values(&spec, container, &rules, &host).memory_swap_max,
            )
        })
        .collect();
    Answer::Covers(json!({ "memorySwapMax": by_name }))
}

fn hugepage_limits(case: &Case) -> Answer {
    let units: Vec<String> = case.read("pageSizes");
    // `2MB` of the runtime is `2Mi`.
    let size = |unit: &String| {
        unit.replace('B', "i")
            .parse::<Quantity>()
            .unwrap()
            .value()
            .unsigned_abs()
    };
    let limits = huge_page_limits(
        &case.read("limits"),
        &units.iter().map(size).collect::<Vec<u64>>(),
    );
    let by_unit: BTreeMap<Option<String>, u64> = limits
        .into_iter()
        .map(|(size, limit)| (huge_page_unit(size), limit))
        .collect();
    let got = Value::Object(
        by_unit
            .into_iter()
            .filter_map(|(unit, limit)| Some((unit?, json!(limit))))
            .collect(),
    );
    let got = json!({ "limits": got });
    Answer::Judged(covers(&case.expect, &got), got)
}
