//! The controllers of cgroup v2, and sets of them.

use std::fmt;
use std::ops::{BitOr, Sub};

use serde::{Deserialize, Serialize};

/// A controller of cgroup v2: the kernel's name for one kind of resource. `cgroups(7)`.
///
/// ```
/// use podlife::cgroup::{Controller, Controllers};
///
/// let wanted = Controller::Cpu | Controller::Memory;
/// let here = Controllers::parse("cpuset cpu io rdma");
/// assert_eq!((wanted - here).to_string(), "memory");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// Processor time. Linux 4.15.
    Cpu,
    /// Which processors and memory nodes. Linux 5.0.
    Cpuset,
    /// Block devices. Linux 4.5.
    Io,
    /// Memory and swap. Linux 4.5.
    Memory,
    /// How many processes and threads. Linux 4.5.
    Pids,
    /// Huge pages. Linux 5.6.
    Hugetlb,
    /// RDMA devices. Linux 4.11.
    Rdma,
    /// Scalar resources such as encrypted-VM ids. Linux 5.13.
    Misc,
}

impl Controller {
    const ALL: [Controller; 8] = [
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Io,
        Controller::Memory,
        Controller::Pids,
        Controller::Hugetlb,
        Controller::Rdma,
        Controller::Misc,
    ];

    /// As the kernel spells it in `cgroup.controllers`.
    pub const fn name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Cpuset => "cpuset",
            Controller::Io => "io",
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Hugetlb => "hugetlb",
            Controller::Rdma => "rdma",
            Controller::Misc => "misc",
        }
    }

    /// The name in `/proc/cgroups`, which is that of cgroup v1.
    pub(super) const fn v1_name(self) -> &'static str {
        match self {
            Controller::Io => "blkio",
            other => other.name(),
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of controllers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Controllers(u16);

impl Controllers {
    /// No controller.
    pub const NONE: Controllers = Controllers(0);

    /// All that this library has settings for: cpu, cpuset, io, memory, pids and hugetlb.
    pub const ALL: Controllers = Controllers(
        Controller::Cpu.bit()
            | Controller::Cpuset.bit()
            | Controller::Io.bit()
            | Controller::Memory.bit()
            | Controller::Pids.bit()
            | Controller::Hugetlb.bit(),
    );

    /// Names between white space; names that this library does not know are left out.
    pub fn parse(names: &str) -> Controllers {
        names
            .split_whitespace()
            .filter_map(|name| {
                Controller::ALL
                    .into_iter()
                    .find(|known| known.name() == name)
            })
            .collect()
    }

    /// Is it in the set?
    pub const fn contains(self, controller: Controller) -> bool {
        self.0 & controller.bit() != 0
    }

    /// Is there none?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in both sets.
    #[must_use]
    pub const fn and(self, other: Controllers) -> Controllers {
        Controllers(self.0 & other.0)
    }

    /// One after another.
    pub fn iter(self) -> impl Iterator<Item = Controller> {
        Controller::ALL
            .into_iter()
            .filter(move |controller| self.contains(*controller))
    }
}

impl From<Controller> for Controllers {
    fn from(controller: Controller) -> Controllers {
        Controllers(controller.bit())
    }
}

impl FromIterator<Controller> for Controllers {
    fn from_iter<I: IntoIterator<Item = Controller>>(controllers: I) -> Controllers {
        Controllers(
            controllers
                .into_iter()
                .fold(0, |bits, controller| bits | controller.bit()),
        )
    }
}

impl BitOr for Controller {
    type Output = Controllers;
    fn bitor(self, other: Controller) -> Controllers {
        Controllers(self.bit() | other.bit())
    }
}

impl<C: Into<Controllers>> BitOr<C> for Controllers {
    type Output = Controllers;
    fn bitor(self, other: C) -> Controllers {
        Controllers(self.0 | other.into().0)
    }
}

/// Those in the first set only.
impl Sub for Controllers {
    type Output = Controllers;
    fn sub(self, other: Controllers) -> Controllers {
        Controllers(self.0 & !other.0)
    }
}

impl fmt::Display for Controllers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Controller::name).collect();
        f.write_str(&names.join(" "))
    }
}

impl fmt::Debug for Controllers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
