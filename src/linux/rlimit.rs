//! Resource limits of processes: names and values. `getrlimit(2)`.

use std::fmt;
use std::str::FromStr;

use nix::sys::resource::{Resource as Number, getrlimit};

use crate::{Error, Kind, Result};

/// A resource that a process can be limited in, by its number in the kernel.
///
/// ```
/// use podlife::linux::rlimit::Resource;
///
/// assert_eq!("RLIMIT_NOFILE".parse::<Resource>()?, Resource::Nofile);
/// assert_eq!("nofile".parse::<Resource>()?, Resource::Nofile);
/// assert_eq!(Resource::Nofile.to_string(), "RLIMIT_NOFILE");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Resource {
    /// Processor time, in seconds.
    Cpu = 0,
    /// Size of a file, in bytes.
    Fsize = 1,
    /// Data segment, in bytes.
    Data = 2,
    /// Main thread's stack, in bytes.
    Stack = 3,
    /// Core file, in bytes.
    Core = 4,
    /// Without effect since Linux 2.4.30.
    Rss = 5,
    /// Processes and threads of the user.
    Nproc = 6,
    /// One more than the highest descriptor.
    Nofile = 7,
    /// Locked memory, in bytes.
    Memlock = 8,
    /// Address space, in bytes.
    As = 9,
    /// Without effect since Linux 2.6.
    Locks = 10,
    /// Signals queued for the user.
    Sigpending = 11,
    /// Bytes in POSIX message queues of the user.
    Msgqueue = 12,
    /// 20 minus the lowest nice value.
    Nice = 13,
    /// Highest realtime priority.
    Rtprio = 14,
    /// Time without a blocking call under realtime scheduling, in microseconds.
    Rttime = 15,
}

impl Resource {
    /// All, by rising number.
    pub const ALL: [Resource; 16] = [
        Resource::Cpu,
        Resource::Fsize,
        Resource::Data,
        Resource::Stack,
        Resource::Core,
        Resource::Rss,
        Resource::Nproc,
        Resource::Nofile,
        Resource::Memlock,
        Resource::As,
        Resource::Locks,
        Resource::Sigpending,
        Resource::Msgqueue,
        Resource::Nice,
        Resource::Rtprio,
        Resource::Rttime,
    ];

    /// The kernel's number.
    pub const fn number(self) -> u32 {
        self as u32
    }

    fn of_nix(self) -> Number {
        match self {
            Resource::Cpu => Number::RLIMIT_CPU,
            Resource::Fsize => Number::RLIMIT_FSIZE,
            Resource::Data => Number::RLIMIT_DATA,
            Resource::Stack => Number::RLIMIT_STACK,
            Resource::Core => Number::RLIMIT_CORE,
            Resource::Rss => Number::RLIMIT_RSS,
            Resource::Nproc => Number::RLIMIT_NPROC,
            Resource::Nofile => Number::RLIMIT_NOFILE,
            Resource::Memlock => Number::RLIMIT_MEMLOCK,
            Resource::As => Number::RLIMIT_AS,
            Resource::Locks => Number::RLIMIT_LOCKS,
            Resource::Sigpending => Number::RLIMIT_SIGPENDING,
            Resource::Msgqueue => Number::RLIMIT_MSGQUEUE,
            Resource::Nice => Number::RLIMIT_NICE,
            Resource::Rtprio => Number::RLIMIT_RTPRIO,
            Resource::Rttime => Number::RLIMIT_RTTIME,
        }
    }

    /// The line of `/proc/<pid>/limits` that it is.
    fn label(self) -> &'static str {
        match self {
            Resource::Cpu => "Max cpu time",
            Resource::Fsize => "Max file size",
            Resource::Data => "Max data size",
            Resource::Stack => "Max stack size",
            Resource::Core => "Max core file size",
            Resource::Rss => "Max resident set",
            Resource::Nproc => "Max processes",
            Resource::Nofile => "Max open files",
            Resource::Memlock => "Max locked memory",
            Resource::As => "Max address space",
            Resource::Locks => "Max file locks",
            Resource::Sigpending => "Max pending signals",
            Resource::Msgqueue => "Max msgqueue size",
            Resource::Nice => "Max nice priority",
            Resource::Rtprio => "Max realtime priority",
            Resource::Rttime => "Max realtime timeout",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RLIMIT_{}", format!("{self:?}").to_uppercase())
    }
}

/// With or without `RLIMIT_`, in any case.
impl FromStr for Resource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Resource> {
        let upper = text.to_ascii_uppercase();
        let full = if upper.starts_with("RLIMIT_") {
            upper
        } else {
            format!("RLIMIT_{upper}")
        };
        let found = Resource::ALL
            .into_iter()
            .find(|resource| resource.to_string() == full);
        found.ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!("read the resource limit {text:?}"),
                "no such resource",
            )
        })
    }
}

/// A limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rlimit {
    /// Of what.
    pub resource: Resource,
    /// What counts. [`Rlimit::INFINITY`] is none.
    pub soft: u64,
    /// How far the process may raise the soft limit itself. Raising it needs CAP_SYS_RESOURCE.
    pub hard: u64,
}

impl Rlimit {
    /// No limit.
    pub const INFINITY: u64 = u64::MAX;

    /// A limit; [`Kind::Invalid`] if the soft one is above the hard one, which the kernel refuses.
    pub fn new(resource: Resource, soft: u64, hard: u64) -> Result<Rlimit> {
        if soft > hard {
            let attempt = format!("limit {resource} to {soft}");
            return Err(Error::new(
                Kind::Invalid,
                attempt,
                format!("the hard limit, {hard}, is lower"),
            ));
        }
        Ok(Rlimit {
            resource,
            soft,
            hard,
        })
    }

    /// The caller's own limit.
    ///
    /// ```
    /// use podlife::linux::rlimit::{Resource, Rlimit};
    ///
    /// let files = Rlimit::own(Resource::Nofile)?;
    /// assert!(files.soft <= files.hard);
    /// assert!(files.to_string().starts_with("RLIMIT_NOFILE="));
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn own(resource: Resource) -> Result<Rlimit> {
        let asked = getrlimit(resource.of_nix());
        let (soft, hard) = asked
            .map_err(|errno| Error::os(format!("read the caller's {resource}"), errno as i32))?;
        Ok(Rlimit {
            resource,
            soft,
            hard,
        })
    }

    /// A limit of the process `pid`, from `/proc/<pid>/limits`.
    pub fn of_process(pid: u32, resource: Resource) -> Result<Rlimit> {
        let path = format!("/proc/{pid}/limits");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::io(format!("read {path}"), error))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(resource.label()));
        let mut words = line.unwrap_or_default().split_whitespace().map(amount);
        match (words.next().flatten(), words.next().flatten()) {
            (Some(soft), Some(hard)) => Ok(Rlimit {
                resource,
                soft,
                hard,
            }),
            _ => Err(Error::new(
                Kind::Protocol,
                format!("read {path}"),
                format!("it does not tell {resource}"),
            )),
        }
    }
}

/// `RLIMIT_NOFILE=1024:524288`, the soft one first.
impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |amount| match amount {
            Rlimit::INFINITY => "unlimited".to_owned(),
            amount => amount.to_string(),
        };
        let (soft, hard) = (amount(self.soft), amount(self.hard));
        write!(f, "{}={soft}:{hard}", self.resource)
    }
}

fn amount(word: &str) -> Option<u64> {
    if word == "unlimited" {
        Some(Rlimit::INFINITY)
    } else {
        word.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_is_told_by_the_kernel() {
        for resource in Resource::ALL {
            let told = Rlimit::of_process(std::process::id(), resource).unwrap();
            assert_eq!(Rlimit::own(resource).unwrap(), told);
            assert_eq!(resource.to_string().parse::<Resource>().unwrap(), resource);
        }
    }

    #[test]
    fn impossible_limits_are_refused() {
        assert!(Rlimit::new(Resource::Core, 2, 1).is_err());
        assert!("RLIMIT_NOTHING".parse::<Resource>().is_err());
    }
}
