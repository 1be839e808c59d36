//! What a cgroup has used.

use std::time::Duration;

use nix::errno::Errno;

use super::device::Device;
use super::events::count;
use super::{Bound, Cgroup, Value};
use crate::{Error, Result};

/// `cpu.stat`: processor time used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// In all.
    pub usage: Duration,
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
    /// Periods of cpu.max that have passed; this and the rest are 0 where the cpu controller is not available.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// How long tasks were held back.
    pub throttled: Duration,
    /// Periods that went beyond the quota on saved-up time. Linux 5.15.
    pub bursts: u64,
    /// Processor time used beyond the quota. Linux 5.15.
    pub burst: Duration,
}

/// Memory in bytes, counted with everything below the cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// `memory.current`: in all.
    pub current: u64,
    /// `memory.peak`: the highest so far. Linux 5.19.
    pub peak: Option<u64>,
    /// `memory.swap.current`.
    pub swap: u64,
    /// Not backed by a file: heaps, stacks.
    pub anon: u64,
    /// Page cache, shared memory included.
    pub file: u64,
    /// tmpfs and shared memory.
    pub shmem: u64,
    /// The kernel's own, for this cgroup. Linux 5.18.
    pub kernel: u64,
    /// Of that, kernel objects.
    pub slab: u64,
    /// Network buffers.
    pub sock: u64,
    /// Page cache not used of late, the first to be reclaimed.
    pub inactive_file: u64,
    /// Page faults.
    pub pgfault: u64,
    /// Page faults that had to read.
    pub pgmajfault: u64,
}

impl MemoryStat {
    /// What `kubectl top` shows: all but the page cache not used of late.
    pub fn working_set(&self) -> u64 {
        self.current.saturating_sub(self.inactive_file)
    }
}

/// `io.stat` of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoStat {
    /// The device.
    pub device: Device,
    /// Bytes read.
    pub rbytes: u64,
    /// Bytes written.
    pub wbytes: u64,
    /// Read operations.
    pub rios: u64,
    /// Write operations.
    pub wios: u64,
    /// Bytes discarded.
    pub dbytes: u64,
    /// Discard operations.
    pub dios: u64,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidsStat {
    /// `pids.current`
    pub current: u64,
    /// `pids.peak`: the highest so far. Linux 6.1.
    pub peak: Option<u64>,
    /// `pids.max`
    pub max: Bound,
    /// Forks that failed because of the limit, here or (Linux 6.12: only here) above.
    pub refused: u64,
}

impl Cgroup {
    /// Processor time used. There even without the cpu controller. Linux 4.15.
    pub fn cpu_stat(&self) -> Result<CpuStat> {
        let text = self.read_text("cpu.stat")?;
        let micros = |key| Duration::from_micros(count(&text, key));
        Ok(CpuStat {
            usage: micros("usage_usec"),
            user: micros("user_usec"),
            system: micros("system_usec"),
            periods: count(&text, "nr_periods"),
            throttled_periods: count(&text, "nr_throttled"),
            throttled: micros("throttled_usec"),
            bursts: count(&text, "nr_bursts"),
            burst: micros("burst_usec"),
        })
    }

    /// Memory used. `None`: the memory controller is not available here. About 20 µs.
    pub fn memory_stat(&self) -> Result<Option<MemoryStat>> {
        let Some(current) = self.number("memory.current")? else {
            return Ok(None);
        };
        let text = self.read_text("memory.stat")?;
        Ok(Some(MemoryStat {
            current,
            peak: self.number("memory.peak")?,
            swap: self.number("memory.swap.current")?.unwrap_or(0),
            anon: count(&text, "anon"),
            file: count(&text, "file"),
            shmem: count(&text, "shmem"),
            kernel: count(&text, "kernel"),
            slab: count(&text, "slab"),
            sock: count(&text, "sock"),
            inactive_file: count(&text, "inactive_file"),
            pgfault: count(&text, "pgfault"),
            pgmajfault: count(&text, "pgmajfault"),
        }))
    }

    /// Input and output, device by device. `None`: the io controller is not available here.
    pub fn io_stat(&self) -> Result<Option<Vec<IoStat>>> {
        let text = self.optional("io.stat")?;
        Ok(text.map(|text| text.lines().filter_map(io_line).collect()))
    }

    /// Processes and threads. `None`: the pids controller is not available here.
    pub fn pids_stat(&self) -> Result<Option<PidsStat>> {
        let Some(current) = self.number("pids.current")? else {
            return Ok(None);
        };
        let max = self
            .optional("pids.max")?
            .and_then(|text| Bound::parse(text.trim()));
        let events = self.optional("pids.events")?.unwrap_or_default();
        let (peak, max) = (self.number("pids.peak")?, max.unwrap_or(Bound::Max));
        Ok(Some(PidsStat {
            current,
            peak,
            max,
            refused: count(&events, "max"),
        }))
    }

    /// Asks the kernel to take so many bytes of memory back from it. `false`: it found less than that. May take long, and
    /// does not change any limit. Linux 5.19.
    pub fn reclaim(&self, bytes: u64) -> Result<bool> {
        match self.write_raw("memory.reclaim", &bytes.to_string()) {
            Ok(()) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(errno) => {
                let error = Error::os(
                    format!("reclaim memory from {}", self.path().display()),
                    errno as i32,
                );
                let absent = errno == Errno::ENOENT;
                Err(if absent {
                    error.cure("it needs Linux 5.19 and the memory controller")
                } else {
                    error
                })
            }
        }
    }

    fn number(&self, file: &str) -> Result<Option<u64>> {
        Ok(self
            .optional(file)?
            .and_then(|text| text.trim().parse().ok()))
    }

    /// The text of a file that need not be there.
    fn optional(&self, file: &str) -> Result<Option<String>> {
        match self.read_raw(file) {
            Ok(text) => Ok(Some(text)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::os(
                format!("read {file} of {}", self.path().display()),
                errno as i32,
            )),
        }
    }
}

/// `8:0 rbytes=… wbytes=…`; devices that were never used have no more than their number.
fn io_line(line: &str) -> Option<IoStat> {
    let (device, rest) = line.split_once(' ')?;
    let number = |key: &str| {
        let value = rest
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    Some(IoStat {
        device: device.parse().ok()?,
        rbytes: number("rbytes"),
        wbytes: number("wbytes"),
        rios: number("rios"),
        wios: number("wios"),
        dbytes: number("dbytes"),
        dios: number("dios"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_stat_is_read_whatever_else_the_line_has() {
        let stat = io_line(
            "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0 cost.usage=3",
        )
        .unwrap();
        assert_eq!(
            (stat.device.minor, stat.rbytes, stat.wios),
            (16, 1_459_200, 353)
        );
        assert_eq!(io_line("7:7"), None);
    }

    #[test]
    fn a_key_is_a_whole_word() {
        assert_eq!(count("file_mapped 1\nfile 2\n", "file"), 2);
        assert_eq!(count("anon 1\n", "kernel"), 0);
    }
}
