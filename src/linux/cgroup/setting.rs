//! The interface files that can be set, each with its controller and the type of its value.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::{Bound, Controller, CpuList, CpuMax, IoMax, IoWeight, Limits, Value};

/// An interface file of a controller, and the type of what it holds.
///
/// The constants below are those that this library knows. They go into
/// [`Limits::set`](super::Limits::set), [`Cgroup::write`](super::Cgroup::write) and [`Cgroup::read`](super::Cgroup::read).
/// Their meaning is told in the kernel's `Documentation/admin-guide/cgroup-v2.rst`.
pub struct Setting<T> {
    file: Cow<'static, str>,
    controller: Controller,
    since: &'static str,
    holds: PhantomData<fn() -> T>,
}

impl<T> Setting<T> {
    /// A file that this library does not know: its controller, its name, and the first kernel that has it.
    ///
    /// ```
    /// use podlife::cgroup::{Controller, CpuList, Limits, Setting};
    ///
    /// const EFFECTIVE: Setting<CpuList> = Setting::new(Controller::Cpuset, "cpuset.cpus.effective", "5.0");
    /// const AT_LEAST: Setting<u64> = Setting::new(Controller::Cpu, "cpu.uclamp.min", "5.3");
    /// assert_eq!(EFFECTIVE.file(), "cpuset.cpus.effective"); // Cgroup::read(&EFFECTIVE)
    /// assert_eq!(Limits::new().set(&AT_LEAST, 20).to_string(), "cpu.uclamp.min=20");
    /// ```
    pub const fn new(
        controller: Controller,
        file: &'static str,
        since: &'static str,
    ) -> Setting<T> {
        Setting {
            file: Cow::Borrowed(file),
            controller,
            since,
            holds: PhantomData,
        }
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The controller that must be enabled for the file to be there.
    pub fn controller(&self) -> Controller {
        self.controller
    }

    /// The first kernel that has the file.
    pub fn since(&self) -> &'static str {
        self.since
    }
}

impl<T> fmt::Debug for Setting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)
    }
}

/// `cpu.max`: processor time in each period. Beyond it the group waits for the next period.
pub const CPU_MAX: Setting<CpuMax> = Setting::new(Controller::Cpu, "cpu.max", "4.15");
/// `cpu.max.burst`: unused quota that may be saved up, at most the quota. Linux 5.14.
pub const CPU_MAX_BURST: Setting<Duration> = Setting::new(Controller::Cpu, "cpu.max.burst", "5.14");
/// `cpu.weight`: share among siblings when processors are short; 1 to 10000, at first 100.
pub const CPU_WEIGHT: Setting<u64> = Setting::new(Controller::Cpu, "cpu.weight", "4.15");
/// `cpu.idle`: runs only when nobody else wants to (SCHED_IDLE of groups); overrides the weight. Linux 5.15.
pub const CPU_IDLE: Setting<bool> = Setting::new(Controller::Cpu, "cpu.idle", "5.15");
/// `cpuset.cpus`: processors to run on.
pub const CPUSET_CPUS: Setting<CpuList> = Setting::new(Controller::Cpuset, "cpuset.cpus", "5.0");
/// `cpuset.mems`: memory nodes to allocate on.
pub const CPUSET_MEMS: Setting<CpuList> = Setting::new(Controller::Cpuset, "cpuset.mems", "5.0");
/// `memory.min`: bytes that are never reclaimed.
pub const MEMORY_MIN: Setting<Bound> = Setting::new(Controller::Memory, "memory.min", "4.18");
/// `memory.low`: bytes that are reclaimed only when nothing else is left.
pub const MEMORY_LOW: Setting<Bound> = Setting::new(Controller::Memory, "memory.low", "4.5");
/// `memory.high`: bytes beyond which the group is slowed down and reclaimed from; never an OOM kill.
pub const MEMORY_HIGH: Setting<Bound> = Setting::new(Controller::Memory, "memory.high", "4.5");
/// `memory.max`: bytes beyond which the kernel kills in the group.
pub const MEMORY_MAX: Setting<Bound> = Setting::new(Controller::Memory, "memory.max", "4.5");
/// `memory.swap.max`: bytes of swap (without memory, other than in cgroup v1). Not there without swap support.
pub const MEMORY_SWAP_MAX: Setting<Bound> =
    Setting::new(Controller::Memory, "memory.swap.max", "4.5");
/// `memory.oom.group`: an OOM kill takes the whole group. Linux 4.19.
pub const MEMORY_OOM_GROUP: Setting<bool> =
    Setting::new(Controller::Memory, "memory.oom.group", "4.19");
/// `pids.max`: processes and threads together; beyond it `fork` fails with EAGAIN.
pub const PIDS_MAX: Setting<Bound> = Setting::new(Controller::Pids, "pids.max", "4.5");
/// `io.max`: bytes and operations a second, device by device. Devices not named stay as they are.
pub const IO_MAX: Setting<Vec<IoMax>> = Setting::new(Controller::Io, "io.max", "4.5");
/// `io.weight`: share among siblings, where the io.cost policy is on for the device. Linux 5.4.
pub const IO_WEIGHT: Setting<IoWeight> = Setting::new(Controller::Io, "io.weight", "5.4");

/// `hugetlb.<size>.max`: bytes in huge pages of `page` bytes. Linux 5.6; a size the processor lacks has no file.
///
/// ```
/// assert_eq!(podlife::cgroup::hugetlb_max(2 << 20).file(), "hugetlb.2MB.max");
/// assert_eq!(podlife::cgroup::hugetlb_max(1 << 30).file(), "hugetlb.1GB.max");
/// ```
pub fn hugetlb_max(page: u64) -> Setting<Bound> {
    let (amount, unit) = match page {
        page if page >= 1 << 30 => (page >> 30, "GB"),
        page if page >= 1 << 20 => (page >> 20, "MB"),
        page => (page >> 10, "KB"),
    };
    let file = Cow::Owned(format!("hugetlb.{amount}{unit}.max"));
    Setting {
        file,
        controller: Controller::Hugetlb,
        since: "5.6",
        holds: PhantomData,
    }
}

/// Bytes of a huge page by the name that the kernel's files have for it: `2MB`.
pub(in crate::linux) fn page_size(name: &str) -> Option<u64> {
    let units = [("KB", 10), ("MB", 20), ("GB", 30)];
    let found = units.into_iter().find_map(|(unit, shift)| {
        let amount: u64 = name.strip_suffix(unit)?.parse().ok()?;
        amount.checked_mul(1 << shift)
    })?;
    (hugetlb_max(found).file() == format!("hugetlb.{name}.max")).then_some(found)
}

/// Adds the setting that this file is. `None`: there is none; `Some(None)`: the text has another form.
pub(super) fn by_name(limits: Limits, file: &str, text: &str) -> Option<Option<Limits>> {
    fn put<T: Value>(limits: Limits, setting: &Setting<T>, text: &str) -> Option<Limits> {
        Some(limits.set(setting, T::parse(text.trim())?))
    }
    let bounds = [
        MEMORY_MIN,
        MEMORY_LOW,
        MEMORY_HIGH,
        MEMORY_MAX,
        MEMORY_SWAP_MAX,
        PIDS_MAX,
    ];
    if let Some(bound) = bounds.iter().find(|bound| bound.file() == file) {
        return Some(put(limits, bound, text));
    }
    let page = file
        .strip_prefix("hugetlb.")
        .and_then(|rest| page_size(rest.strip_suffix(".max")?));
    Some(match (file, page) {
        (_, Some(page)) => put(limits, &hugetlb_max(page), text),
        ("cpu.max", _) => put(limits, &CPU_MAX, text),
        ("cpu.max.burst", _) => put(limits, &CPU_MAX_BURST, text),
        ("cpu.weight", _) => put(limits, &CPU_WEIGHT, text),
        ("cpu.idle", _) => put(limits, &CPU_IDLE, text),
        ("cpuset.cpus", _) => put(limits, &CPUSET_CPUS, text),
        ("cpuset.mems", _) => put(limits, &CPUSET_MEMS, text),
        ("memory.oom.group", _) => put(limits, &MEMORY_OOM_GROUP, text),
        ("io.max", _) => put(limits, &IO_MAX, text),
        ("io.weight", _) => put(limits, &IO_WEIGHT, text),
        _ => return None,
    })
}
