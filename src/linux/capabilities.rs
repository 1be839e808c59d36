//! Capabilities as sets with names. Nothing here sets any: the setters of the kernel act on the calling thread.

use std::fmt;
use std::ops::{BitOr, Sub};
use std::str::FromStr;

use caps::Capability;

use crate::{Error, Kind, Result};

/// A set of capabilities, one bit each, numbered as in `capabilities(7)`.
///
/// ```
/// use podlife::linux::Capabilities;
///
/// // As in a manifest: with or without CAP_, in any case, and ALL.
/// let set = Capabilities::CONTAINER.adjusted(["net_admin"], ["CAP_MKNOD", "KILL"])?;
/// assert!(set.contains(Capabilities::named("NET_ADMIN")?));
/// assert!(!set.contains(Capabilities::named("KILL")?));
///
/// let only = Capabilities::CONTAINER.adjusted(["NET_BIND_SERVICE"], ["ALL"])?;
/// assert_eq!(only.to_string(), "CAP_NET_BIND_SERVICE");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u64);

/// Where a process keeps capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapabilitySet {
    /// What counts now.
    Effective,
    /// What may be made effective.
    Permitted,
    /// What may be kept when a program is executed.
    Inheritable,
    /// The most that can ever be gained.
    Bounding,
    /// What an unprivileged program keeps.
    Ambient,
}

impl Capabilities {
    /// None.
    pub const NONE: Capabilities = Capabilities(0);

    /// The 14 that container runtimes give by default: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
    /// NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE and SETFCAP.
    pub const CONTAINER: Capabilities = Capabilities(
        bit(Capability::CAP_CHOWN)
            | bit(Capability::CAP_DAC_OVERRIDE)
            | bit(Capability::CAP_FOWNER)
            | bit(Capability::CAP_FSETID)
            | bit(Capability::CAP_KILL)
            | bit(Capability::CAP_SETGID)
            | bit(Capability::CAP_SETUID)
            | bit(Capability::CAP_SETPCAP)
            | bit(Capability::CAP_NET_BIND_SERVICE)
            | bit(Capability::CAP_NET_RAW)
            | bit(Capability::CAP_SYS_CHROOT)
            | bit(Capability::CAP_MKNOD)
            | bit(Capability::CAP_AUDIT_WRITE)
            | bit(Capability::CAP_SETFCAP),
    );

    /// The set with these bits, as the kernel has them.
    pub const fn from_bits(bits: u64) -> Capabilities {
        Capabilities(bits)
    }

    /// As the kernel has them.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// One capability by its name, with or without `CAP_`, in any case. [`Kind::Invalid`] if there is no such.
    pub fn named(name: &str) -> Result<Capabilities> {
        let upper = name.to_ascii_uppercase();
        let full = if upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        };
        let capability = Capability::from_str(&full);
        capability
            .map(|capability| Capabilities(capability.bitmask()))
            .map_err(|_| {
                Error::new(
                    Kind::Invalid,
                    format!("read the capability {name:?}"),
                    "no such capability",
                )
                .cure("see capabilities(7) for the names")
            })
    }

    /// All that the running kernel has: `/proc/sys/kernel/cap_last_cap`. Linux 3.2.
    pub fn supported() -> Result<Capabilities> {
        let path = "/proc/sys/kernel/cap_last_cap";
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io(format!("read {path}"), error))?;
        let last: u32 = text
            .trim()
            .parse()
            .map_err(|error| Error::caused(Kind::Protocol, format!("read {path}"), error))?;
        Ok(Capabilities(
            u64::MAX
                .checked_shr(63_u32.saturating_sub(last))
                .unwrap_or(0),
        ))
    }

    /// A set of the process `pid`, from `/proc/<pid>/status`.
    pub fn of_process(pid: u32, set: CapabilitySet) -> Result<Capabilities> {
        Capabilities::of(&pid.to_string(), set)
    }

    /// A set of the caller's.
    pub fn own(set: CapabilitySet) -> Result<Capabilities> {
        Capabilities::of("thread-self", set)
    }

    fn of(process: &str, set: CapabilitySet) -> Result<Capabilities> {
        let path = format!("/proc/{process}/status");
        let key = match set {
            CapabilitySet::Effective => "CapEff:",
            CapabilitySet::Permitted => "CapPrm:",
            CapabilitySet::Inheritable => "CapInh:",
            CapabilitySet::Bounding => "CapBnd:",
            CapabilitySet::Ambient => "CapAmb:",
        };
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::io(format!("read {path}"), error))?;
        let bits = text.lines().find_map(|line| line.strip_prefix(key));
        let bits = bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        bits.map(Capabilities).ok_or_else(|| {
            Error::new(
                Kind::Protocol,
                format!("read {path}"),
                format!("it has no {key}"),
            )
        })
    }

    /// This set with `add` and without `drop`, as container runtimes read `securityContext.capabilities`: `ALL` first, then single
    /// ones, and a single one that is in both is dropped. [`Kind::Invalid`] for a name that is none.
    pub fn adjusted<'n>(
        self,
        add: impl IntoIterator<Item = &'n str>,
        drop: impl IntoIterator<Item = &'n str>,
    ) -> Result<Capabilities> {
        let (add_all, add) = split(add)?;
        let (drop_all, drop) = split(drop)?;
        let base = if add_all {
            Capabilities::supported()?
        } else {
            self
        };
        let base = if drop_all { Capabilities::NONE } else { base };
        Ok((base | add) - drop)
    }

    /// Are all of `other` in it?
    pub const fn contains(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    /// Is there none?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, by rising number; one that this library does not know is `CAP_<number>`.
    pub fn names(self) -> impl Iterator<Item = String> {
        (0..64_u8)
            .filter(move |number| self.0 >> number & 1 == 1)
            .map(name)
    }
}

/// `Capability::bitmask`, as a constant.
const fn bit(capability: Capability) -> u64 {
    1 << capability as u8
}

/// Is `ALL` among them, and all others.
fn split<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<(bool, Capabilities)> {
    let (mut all, mut set) = (false, Capabilities::NONE);
    for name in names {
        if name.eq_ignore_ascii_case("ALL") {
            all = true;
        } else {
            set = set | Capabilities::named(name)?;
        }
    }
    Ok((all, set))
}

fn name(number: u8) -> String {
    let known = caps::all()
        .into_iter()
        .find(|capability| capability.index() == number);
    known.map_or_else(
        || format!("CAP_{number}"),
        |capability| capability.to_string(),
    )
}

impl BitOr for Capabilities {
    type Output = Capabilities;
    fn bitor(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }
}

/// Those in the first only.
impl Sub for Capabilities {
    type Output = Capabilities;
    fn sub(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_set_is_the_usual_number() {
        assert_eq!(Capabilities::CONTAINER.bits(), 0xa804_25fb);
    }

    #[test]
    fn all_is_what_the_kernel_has() {
        let all = Capabilities::NONE.adjusted(["all"], []).unwrap();
        assert_eq!(all, Capabilities::supported().unwrap());
        assert!(all.contains(Capabilities::CONTAINER));
        let without = Capabilities::NONE.adjusted(["ALL"], ["SYS_ADMIN"]).unwrap();
        assert_eq!((all - without).to_string(), "CAP_SYS_ADMIN");
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let error = Capabilities::NONE.adjusted(["NET_ADMIM"], []).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("\"NET_ADMIM\": no such capability"),
            "{error}"
        );
    }

    #[test]
    fn the_callers_sets_are_within_what_is_supported() {
        let bounding = Capabilities::own(CapabilitySet::Bounding).unwrap();
        assert!(Capabilities::supported().unwrap().contains(bounding));
    }
}
