//! Pressure stall information of a cgroup.

use std::time::Duration;

use nix::errno::Errno;

use super::Cgroup;
use crate::{Error, Result};

/// A resource that can be short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Block devices.
    Io,
}

impl Resource {
    fn file(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu.pressure",
            Resource::Memory => "memory.pressure",
            Resource::Io => "io.pressure",
        }
    }
}

/// Share of time lost to a shortage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Per cent, over the last 10 seconds.
    pub avg10: f64,
    /// Per cent, over the last minute.
    pub avg60: f64,
    /// Per cent, over the last five minutes.
    pub avg300: f64,
    /// Since the cgroup was made.
    pub total: Duration,
}

/// How much of the time the tasks of a cgroup waited for a resource. The kernel's `Documentation/accounting/psi.rst`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// All tasks waited at once. Of the processor, since Linux 5.13.
    pub full: Stall,
}

impl Cgroup {
    /// The pressure on a resource. `None`: the kernel does not keep it (`CONFIG_PSI`, `psi=1`). Linux 4.20.
    pub fn pressure(&self, resource: Resource) -> Result<Option<Pressure>> {
        match self.read_raw(resource.file()) {
            Ok(text) => Ok(Some(parse(&text))),
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => {
                let attempt = format!("read {} of {}", resource.file(), self.path().display());
                Err(Error::os(attempt, errno as i32))
            }
        }
    }
}

fn parse(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("some", rest)) => pressure.some = stall(rest),
            Some(("full", rest)) => pressure.full = stall(rest),
            _ => {}
        }
    }
    pressure
}

fn stall(text: &str) -> Stall {
    let mut stall = Stall::default();
    for (key, value) in text
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
    {
        match key {
            "avg10" => stall.avg10 = value.parse().unwrap_or_default(),
            "avg60" => stall.avg60 = value.parse().unwrap_or_default(),
            "avg300" => stall.avg300 = value.parse().unwrap_or_default(),
            "total" => stall.total = Duration::from_micros(value.parse().unwrap_or_default()),
            _ => {}
        }
    }
    stall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read() {
        let pressure = parse(
            "some avg10=1.50 avg60=0.20 avg300=0.00 total=9234567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
        );
        assert_eq!((pressure.some.avg10, pressure.some.avg60), (1.5, 0.2));
        assert_eq!(pressure.some.total, Duration::from_micros(9_234_567));
        assert_eq!(pressure.full.total, Duration::from_micros(7));
    }
}
