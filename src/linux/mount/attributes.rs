//! How a mount behaves, whatever its file system.

use std::fmt;
use std::ops::BitOr;

/// Attributes of a mount: `MOUNT_ATTR_*`, `mount_setattr(2)`.
///
/// ```
/// use podlife::linux::mount::Attributes;
///
/// let attributes = Attributes::READ_ONLY | Attributes::NOSUID;
/// assert!(attributes.contains(Attributes::READ_ONLY));
/// assert_eq!(attributes.to_string(), " ro nosuid");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(pub(crate) u64);

impl Attributes {
    /// None.
    pub const NONE: Attributes = Attributes(0);
    /// `ro`.
    pub const READ_ONLY: Attributes = Attributes(0x1);
    /// `nosuid`.
    pub const NOSUID: Attributes = Attributes(0x2);
    /// `nodev`.
    pub const NODEV: Attributes = Attributes(0x4);
    /// `noexec`.
    pub const NOEXEC: Attributes = Attributes(0x8);

    /// As `MOUNT_ATTR_*`.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Are all of `other` in it?
    pub const fn contains(self, other: Attributes) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Attributes {
    type Output = Attributes;
    fn bitor(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }
}

/// Each with a space before it.
impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Attributes::READ_ONLY, "ro"),
            (Attributes::NOSUID, "nosuid"),
            (Attributes::NODEV, "nodev"),
            (Attributes::NOEXEC, "noexec"),
        ];
        let ours = names
            .into_iter()
            .filter(|(attribute, _)| self.contains(*attribute));
        ours.into_iter()
            .try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

/// How mounts are told between namespaces: `mount_namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the host only; Kubernetes' HostToContainer.
    Slave,
    /// Both ways; Kubernetes' Bidirectional.
    Shared,
}

impl Propagation {
    /// As `MS_*`.
    pub const fn bits(self) -> u64 {
        match self {
            Propagation::Private => 1 << 18,
            Propagation::Slave => 1 << 19,
            Propagation::Shared => 1 << 20,
        }
    }
}
