//! Limits as `linux.resources`, and back.
//!
//! What the specification has a field for that means the same in cgroup v2 goes there, as other programs read those; the rest goes
//! into `unified`, which holds files of cgroup v2 as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};
use serde_json::{Value, json};

use super::mapped::unsupported;
use crate::linux::cgroup::{
    Bound, CPU_IDLE, CPU_MAX, CPU_MAX_BURST, CPU_WEIGHT, CpuMax, Device, IO_MAX, IO_WEIGHT, IoMax,
    IoWeight, Limits, MEMORY_LOW, MEMORY_MAX, MEMORY_SWAP_MAX, PIDS_MAX, hugetlb_max, page_size,
};
use crate::{Error, Kind, Result};

/// The field, and those of `limits` that it cannot say.
pub(super) fn export(limits: &Limits) -> (Value, Vec<String>) {
    let mut resources = json!({});
    let mut unsaid = Vec::new();
    for (file, text) in limits.texts() {
        match file {
            "memory.max" => resources["memory"]["limit"] = bound(text),
            "pids.max" => resources["pids"]["limit"] = bound(text),
            "cpuset.cpus" => resources["cpu"]["cpus"] = json!(text),
            "cpuset.mems" => resources["cpu"]["mems"] = json!(text),
            "cpu.max" => {
                let (quota, period) = text.split_once(' ').unwrap_or((text, "100000"));
                resources["cpu"]["quota"] = bound(quota);
                resources["cpu"]["period"] = bound(period);
            }
            "io.max" => {
                resources["blockIO"] = throttled(&limits.value(&IO_MAX).unwrap_or_default())
            }
            // A runtime writes it at once, and the kernel takes a line at a time.
            file if text.contains('\n') => {
                unsaid.push(format!("{file}={}", text.replace('\n', ", ")))
            }
            file => resources["unified"][file] = json!(text),
        }
    }
    (resources, unsaid)
}

/// -1 is unbounded.
fn bound(text: &str) -> Value {
    json!(text.parse::<i64>().unwrap_or(-1))
}

/// Each kind of rate, and where it stands in the field.
type Rate = fn(&mut IoMax) -> &mut Bound;
const RATES: [(&str, Rate); 4] = [
    ("throttleReadBpsDevice", |max| &mut max.rbps),
    ("throttleWriteBpsDevice", |max| &mut max.wbps),
    ("throttleReadIOPSDevice", |max| &mut max.riops),
    ("throttleWriteIOPSDevice", |max| &mut max.wiops),
];

fn throttled(all: &[IoMax]) -> Value {
    let mut block = json!({});
    for (field, rate) in RATES {
        let device = |max: &IoMax| {
            let mut max = *max;
            let Device { major, minor } = max.device;
            let rate = match *rate(&mut max) {
                Bound::At(rate) => rate,
                Bound::Max => u64::MAX,
            };
            json!({ "major": major, "minor": minor, "rate": rate })
        };
        block[field] = all.iter().map(device).collect();
    }
    block
}

/// What a bundle's field asks for. Fields that mean nothing in cgroup v2 were refused before.
pub(super) fn import(resources: &LinuxResources) -> Result<Limits> {
    let mut limits = Limits::new();
    if let Some(memory) = resources.memory() {
        limits = of_memory(limits, memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        limits = of_cpu(limits, cpu)?;
    }
    if let Some(pids) = resources.pids() {
        // The specification's 0 is no limit either.
        let most = Some(pids.limit()).filter(|limit| *limit > 0);
        limits = limits.set(&PIDS_MAX, most.map_or(Bound::Max, amount));
    }
    if let Some(block) = resources.block_io() {
        limits = of_devices(limits, block)?;
    }
    for (at, page) in resources.hugepage_limits().iter().flatten().enumerate() {
        let field = || format!("linux.resources.hugepageLimits[{at}].pageSize");
        let size = page_size(page.page_size());
        let size = size.ok_or_else(|| unsupported(&field(), page.page_size()))?;
        limits = limits.set(&hugetlb_max(size), amount(page.limit()));
    }
    let unified: BTreeMap<_, _> = resources.unified().iter().flatten().collect();
    for (file, text) in unified {
        limits = limits.set_text(file, text).map_err(|why| {
            let attempt = format!("import the field linux.resources.unified.{file}");
            Error::caused(why.kind(), attempt, why)
        })?;
    }
    Ok(limits)
}

fn amount(number: i64) -> Bound {
    u64::try_from(number).map_or(Bound::Max, Bound::At)
}

fn of_memory(mut limits: Limits, memory: &LinuxMemory) -> Result<Limits> {
    if let Some(low) = memory.reservation() {
        limits = limits.set(&MEMORY_LOW, amount(low));
    }
    if let Some(max) = memory.limit() {
        limits = limits.set(&MEMORY_MAX, amount(max));
    }
    // There it is both together, as in cgroup v1.
    if let Some(both) = memory.swap() {
        let swap = match (both, memory.limit()) {
            (..0, _) => Bound::Max,
            (both, Some(limit)) if (0..=both).contains(&limit) => amount(both - limit),
            (both, _) => {
                let field = "linux.resources.memory.swap";
                return Err(unsupported(
                    field,
                    format!("{both}, memory included, without or below a limit,"),
                ));
            }
        };
        limits = limits.set(&MEMORY_SWAP_MAX, swap);
    }
    Ok(limits)
}

fn of_cpu(mut limits: Limits, cpu: &LinuxCpu) -> Result<Limits> {
    if let Some(shares) = cpu.shares().filter(|shares| *shares > 0) {
        limits = limits.set(&CPU_WEIGHT, weight_of_shares(shares));
    }
    if cpu.quota().is_some() || cpu.period().is_some() {
        let quota = cpu.quota().and_then(|quota| u64::try_from(quota).ok());
        let period = cpu.period().map(Duration::from_micros);
        let max = CpuMax {
            quota: quota.filter(|quota| *quota > 0).map(Duration::from_micros),
            period: period.unwrap_or(CpuMax::PERIOD),
        };
        limits = limits.set(&CPU_MAX, max);
    }
    if let Some(burst) = cpu.burst() {
        limits = limits.set(&CPU_MAX_BURST, Duration::from_micros(burst));
    }
    match cpu.idle() {
        None => {}
        Some(idle @ (0 | 1)) => limits = limits.set(&CPU_IDLE, idle == 1),
        Some(other) => return Err(unsupported("linux.resources.cpu.idle", other)),
    }
    for (name, list) in [("cpus", cpu.cpus()), ("mems", cpu.mems())] {
        if let Some(list) = list {
            let set = limits.set_text(&format!("cpuset.{name}"), list);
            limits = set.map_err(|_| unsupported(&format!("linux.resources.cpu.{name}"), list))?;
        }
    }
    Ok(limits)
}

/// `cpu.weight` of shares, as runc does it from 1.3.2 on and crun from 1.23: the usual 1024 are the usual 100.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            10_f64
                .powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0)
                .ceil() as u64
        }
    }
}

fn of_devices(mut limits: Limits, block: &LinuxBlockIo) -> Result<Limits> {
    let single: Vec<_> = block.weight_device().iter().flatten().collect();
    let default = block.weight().filter(|weight| *weight > 0);
    if default.is_some() || !single.is_empty() {
        let field = "linux.resources.blockIO.weightDevice";
        let device = |one: &&oci_spec::runtime::LinuxWeightDevice| {
            let device = device(field, one.major(), one.minor())?;
            Ok((device, weight_of_devices(one.weight().unwrap_or_default())))
        };
        let weight = IoWeight {
            default: default.map_or(100, weight_of_devices),
            devices: single.iter().map(device).collect::<Result<_>>()?,
        };
        limits = limits.set(&IO_WEIGHT, weight);
    }
    let mut all: BTreeMap<Device, IoMax> = BTreeMap::new();
    let lists = [
        block.throttle_read_bps_device(),
        block.throttle_write_bps_device(),
        block.throttle_read_iops_device(),
        block.throttle_write_iops_device(),
    ];
    for ((field, rate), list) in RATES.iter().zip(lists) {
        for one in list.iter().flatten() {
            let device = throttled_device(field, one)?;
            let max = all.entry(device).or_insert(IoMax::new(device));
            *rate(max) = match one.rate() {
                u64::MAX => Bound::Max,
                rate => Bound::At(rate),
            };
        }
    }
    match all.is_empty() {
        true => Ok(limits),
        false => Ok(limits.set(&IO_MAX, all.into_values().collect())),
    }
}

fn throttled_device(field: &str, one: &LinuxThrottleDevice) -> Result<Device> {
    device(
        &format!("linux.resources.blockIO.{field}"),
        one.major(),
        one.minor(),
    )
}

fn device(field: &str, major: i64, minor: i64) -> Result<Device> {
    let wrong = |why| Error::caused(Kind::Invalid, format!("import the field {field}"), why);
    Ok(Device {
        major: u32::try_from(major).map_err(wrong)?,
        minor: u32::try_from(minor).map_err(wrong)?,
    })
}

/// 10 to 1000 there, 1 to 10000 in cgroup v2, as runtimes convert it.
fn weight_of_devices(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10).min(990)) * 9999 / 990
}
