//! cgroup v2 as typed values: trees of groups, limits, freezing, killing, events and statistics.
//!
//! [`Delegation`] says where this process may make cgroups, if anywhere; a [`Cgroup`] is one directory; [`Limits`] is what
//! shall hold in it; [`Enforcement`] says what happens where the kernel or the delegation does not allow a limit: it is
//! never silently ignored.
//!
//! Nothing here moves the calling process or any other, mounts anything, or touches the trees of cgroup v1. A process
//! gets into a cgroup when it is started there: by `clone3` with `CLONE_INTO_CGROUP` and the group's descriptor, or by
//! writing `0` to [`Cgroup::procs`] itself.
//!
//! ```no_run
//! use podlife::cgroup::{Bound, CPU_MAX, CpuMax, Delegation, Enforcement, Limits, MEMORY_MAX};
//! use std::time::Duration;
//!
//! let limits = Limits::new().set(&MEMORY_MAX, Bound::At(64 << 20)).set(&CPU_MAX, CpuMax::millicores(500));
//! let root = Delegation::find()?.granted()?;
//! for missing in root.enable(limits.controllers(), Enforcement::BestEffort)? {
//!     eprintln!("{missing}");
//! }
//! let group = root.create("work")?;
//! group.apply(&limits, Enforcement::BestEffort)?;
//! // start something in it: clone3 with CLONE_INTO_CGROUP and the descriptor of `group`
//! group.destroy(Duration::from_secs(5))?;
//! # Ok::<(), podlife::Error>(())
//! ```
//!
//! [`DeviceRules`] say which devices may be opened in a group; [`DeviceProgram`] is what the kernel asks.
//!
//! Kernel floor: 4.15 for cpu, memory, io, pids and programs for devices; 5.2 to freeze; 5.7 for `CLONE_INTO_CGROUP`; 5.14 to kill in one
//! step (before it, group members are killed one by one through pidfds, which needs 5.3). `cgroups(7)` and the kernel's
//! `Documentation/admin-guide/cgroup-v2.rst`.

mod controller;
mod delegation;
mod device;
pub(super) mod device_program;
mod device_rules;
mod directory;
mod events;
mod hierarchy;
pub mod layout;
mod limits;
mod pressure;
mod removal;
mod setting;
mod statistics;
mod value;

pub use controller::{Controller, Controllers};
pub use delegation::{Delegation, Missing};
pub use device::Device;
pub use device_program::DeviceProgram;
pub use device_rules::{DeviceAccess, DeviceKind, DeviceRule, DeviceRules, Verdict};
pub use directory::Cgroup;
pub use events::{Events, MemoryEvents, OomCounts, State};
pub use hierarchy::Hierarchy;
pub use limits::{Degraded, Enforcement, Limits};
pub use pressure::{Pressure, Resource, Stall};
pub use setting::*;
pub use statistics::{CpuStat, IoStat, MemoryStat, PidsStat};
pub use value::{Bound, CpuList, CpuMax, IoMax, IoWeight, Value};
