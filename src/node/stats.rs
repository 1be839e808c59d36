//! What pods use.

use super::PodId;
use super::host::Host;
use super::node::{Node, unknown};
use super::resident::Resident;
use crate::Result;
use crate::lifecycle::{AttemptState, ContainerIndex};
use crate::linux::Clock;
use crate::linux::cgroup::{Cgroup, CpuStat, IoStat, MemoryStat, PidsStat};
use crate::time::Wall;

/// What a pod used until now: as `kubectl top`, and more; see [`Node::stats`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct PodStats {
    /// When this was read.
    pub at: Wall,
    /// All of it, its pause process and what runs beside containers included.
    pub usage: Usage,
    /// Its running containers, in the order of the manifest.
    pub containers: Vec<ContainerStats>,
}

/// What a running container used since its start.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStats {
    /// Its name.
    pub name: String,
    /// Which attempt at running it.
    pub attempt: u32,
    /// What it used.
    pub usage: Usage,
}

/// What was used, as far as somebody counts it: each is `None` where the host has no cgroup for the pod, or not the
/// controller. Nothing is made up from `/proc` instead: processes that have ended are not in there, and pages that several
/// share are in there several times.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time. Counted in every cgroup.
    pub cpu: Option<CpuStat>,
    /// Memory; [`MemoryStat::working_set`] is what `kubectl top` shows.
    pub memory: Option<MemoryStat>,
    /// Reads and writes, by device.
    pub io: Option<Vec<IoStat>>,
    /// Processes and threads together, and how many there may be.
    pub pids: Option<PidsStat>,
    /// Processes. Counted in every cgroup.
    pub processes: Option<usize>,
}

impl Node {
    /// What a pod and its running containers use, read from their cgroups now. Rates are the difference of two readings.
    ///
    /// ```
    /// use podlife::Node;
    /// use podlife::model::{Container, Pod};
    /// use podlife::node::{Delete, Until};
    /// use std::time::Duration;
    ///
    /// let mut node = Node::ephemeral()?;
    /// let idle = Container::new("idle", "podlife.local/host").command(["sleep", "60"]);
    /// let pod = node.create(Pod::new("idle").container(idle))?;
    /// node.wait(pod, Until::Ready, Duration::from_secs(30))?;
    /// let stats = node.stats(pod)?;
    /// assert_eq!(stats.containers[0].name, "idle");
    /// # node.delete(pod, Delete::now())?;
    /// # node.wait(pod, Until::Deleted, Duration::from_secs(30))?;
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is no such pod; a file of its cgroup cannot be read.
    pub fn stats(&self, id: PodId) -> Result<PodStats> {
        let resident = self
            .pods
            .get(&id)
            .ok_or_else(|| unknown("read the use of", id))?;
        resident.stats(&self.host)
    }
}

impl Resident {
    fn stats(&self, host: &Host) -> Result<PodStats> {
        let whole = self.cgroup(host)?;
        let mut stats = PodStats {
            at: Clock::wall(),
            usage: whole.as_ref().map_or_else(|| Ok(Usage::default()), used)?,
            containers: Vec::new(),
        };
        let mut processes = None;
        for name in whole
            .iter()
            .flat_map(|group| group.children().unwrap_or_default())
        {
            // One that is gone has none.
            let child = whole.as_ref().and_then(|group| group.child(name).ok());
            let count = child.and_then(|child| child.processes().ok());
            *processes.get_or_insert(0) += count.map_or(0, |all| all.len());
        }
        stats.usage.processes = processes;
        for (container, index) in self.machine.record().containers().iter().zip(0..) {
            let newest = container.attempts().first();
            let runs = |state: &AttemptState| matches!(state, AttemptState::Running { .. });
            let Some(newest) = newest.filter(|newest| runs(&newest.state)) else {
                continue;
            };
            let group = self.container_cgroup(host, ContainerIndex(index), newest.number);
            stats.containers.push(ContainerStats {
                name: container.name().to_owned(),
                attempt: newest.number,
                usage: group.as_ref().map_or_else(|| Ok(Usage::default()), used)?,
            });
        }
        Ok(stats)
    }
}

fn used(group: &Cgroup) -> Result<Usage> {
    Ok(Usage {
        cpu: Some(group.cpu_stat()?),
        memory: group.memory_stat()?,
        io: group.io_stat()?,
        pids: group.pids_stat()?,
        processes: Some(group.processes()?.len()),
    })
}
