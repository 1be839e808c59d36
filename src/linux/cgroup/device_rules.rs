//! Which devices the processes of a cgroup may use.

use std::fmt;
use std::str::FromStr;

use super::Device;
use crate::{Error, Kind, Result};

/// Character or block: each has numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// A character device: `c`.
    Char,
    /// A block device: `b`.
    Block,
}

/// What is done with a device: a set of reading, writing, and making its file.
///
/// ```
/// use podlife::cgroup::DeviceAccess;
///
/// let access: DeviceAccess = "rw".parse()?;
/// assert_eq!(access, DeviceAccess::READ | DeviceAccess::WRITE);
/// assert_eq!(DeviceAccess::ALL.to_string(), "rwm");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceAccess(u8);

impl DeviceAccess {
    /// Opening it for reading.
    pub const READ: DeviceAccess = DeviceAccess(2);
    /// Opening it for writing.
    pub const WRITE: DeviceAccess = DeviceAccess(4);
    /// Making a file that is this device: `mknod(2)`.
    pub const MKNOD: DeviceAccess = DeviceAccess(1);
    /// All three.
    pub const ALL: DeviceAccess = DeviceAccess(7);

    const LETTERS: [(DeviceAccess, char); 3] = [
        (DeviceAccess::READ, 'r'),
        (DeviceAccess::WRITE, 'w'),
        (DeviceAccess::MKNOD, 'm'),
    ];

    /// As the kernel has it: 1 to make, 2 to read, 4 to write.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl std::ops::BitOr for DeviceAccess {
    type Output = DeviceAccess;
    fn bitor(self, other: DeviceAccess) -> DeviceAccess {
        DeviceAccess(self.0 | other.0)
    }
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DeviceAccess::LETTERS
            .iter()
            .filter(|(access, _)| self.0 & access.0 != 0)
            .try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}

impl FromStr for DeviceAccess {
    type Err = Error;

    fn from_str(text: &str) -> Result<DeviceAccess> {
        let letter = |letter| {
            let mut all = DeviceAccess::LETTERS.iter();
            all.find(|(_, known)| *known == letter)
                .map(|(access, _)| *access)
        };
        let letters: Option<Vec<_>> = text.chars().map(letter).collect();
        let all = letters.and_then(|letters| letters.into_iter().reduce(|one, other| one | other));
        let wrong = || format!("read the access {text:?} to a device");
        all.ok_or_else(|| Error::new(Kind::Invalid, wrong(), "it is not some of r, w and m"))
    }
}

/// May it be done?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It gives EPERM.
    Deny,
}

/// One rule. Its [`Display`](fmt::Display) is like `allow c 1:3 rwm`, with `a` for both kinds and `*` for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceRule {
    /// What it says.
    pub verdict: Verdict,
    /// Of which kind of devices; `None`: of both.
    pub kind: Option<DeviceKind>,
    /// The driver's number; `None`: any.
    pub major: Option<u32>,
    /// The driver's number for this device; `None`: any.
    pub minor: Option<u32>,
    /// What about.
    pub access: DeviceAccess,
}

impl DeviceRule {
    /// All may be done with all devices.
    pub const ALLOW_ALL: DeviceRule = DeviceRule {
        verdict: Verdict::Allow,
        kind: None,
        major: None,
        minor: None,
        access: DeviceAccess::ALL,
    };
    /// Nothing may be done with any.
    pub const DENY_ALL: DeviceRule = DeviceRule {
        verdict: Verdict::Deny,
        ..DeviceRule::ALLOW_ALL
    };

    /// Of a character device that containers have.
    const fn usual(major: u32, minor: Option<u32>) -> DeviceRule {
        DeviceRule {
            kind: Some(DeviceKind::Char),
            major: Some(major),
            minor,
            ..DeviceRule::ALLOW_ALL
        }
    }

    const fn make(kind: DeviceKind) -> DeviceRule {
        DeviceRule {
            kind: Some(kind),
            access: DeviceAccess::MKNOD,
            ..DeviceRule::ALLOW_ALL
        }
    }

    /// Is it about every device?
    pub(super) fn is_about_all(&self) -> bool {
        (self.kind, self.major, self.minor) == (None, None, None)
    }

    fn is_about(&self, kind: DeviceKind, device: Device) -> bool {
        self.kind.is_none_or(|own| own == kind)
            && self.major.is_none_or(|own| own == device.major)
            && self.minor.is_none_or(|own| own == device.minor)
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
        };
        let kind = match self.kind {
            Some(DeviceKind::Char) => 'c',
            Some(DeviceKind::Block) => 'b',
            None => 'a',
        };
        let number =
            |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let (major, minor) = (number(self.major), number(self.minor));
        write!(f, "{verdict} {kind} {major}:{minor} {}", self.access)
    }
}

/// A list of rules. Of all that are about a device and an access the last one decides; what none is about is denied. To open a device for
/// reading and writing, both must be allowed.
///
/// ```
/// use podlife::cgroup::{Device, DeviceAccess, DeviceKind, DeviceRules};
///
/// let rules = DeviceRules::usual();
/// let (null, disk) = ("1:3".parse()?, "8:0".parse()?);
/// assert!(rules.allow(DeviceKind::Char, null, DeviceAccess::READ | DeviceAccess::WRITE));
/// assert!(rules.allow(DeviceKind::Block, disk, DeviceAccess::MKNOD));
/// assert!(!rules.allow(DeviceKind::Block, disk, DeviceAccess::READ));
/// # Ok::<(), podlife::Error>(())
/// ```
///
/// [`DeviceRules::load`] makes a program of it, which the kernel asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRules(Vec<DeviceRule>);

impl DeviceRules {
    /// What runtimes allow to every container: to make any device, and to use null, zero, full, random, urandom, tty, console, ptmx and
    /// the terminals of `/dev/pts`.
    pub const USUAL: [DeviceRule; 11] = [
        DeviceRule::make(DeviceKind::Char),
        DeviceRule::make(DeviceKind::Block),
        DeviceRule::usual(1, Some(3)),
        DeviceRule::usual(1, Some(5)),
        DeviceRule::usual(1, Some(7)),
        DeviceRule::usual(1, Some(8)),
        DeviceRule::usual(1, Some(9)),
        DeviceRule::usual(5, Some(0)),
        DeviceRule::usual(5, Some(1)),
        DeviceRule::usual(5, Some(2)),
        DeviceRule::usual(136, None),
    ];

    /// These, in this order.
    pub fn new(rules: impl IntoIterator<Item = DeviceRule>) -> DeviceRules {
        DeviceRules(rules.into_iter().collect())
    }

    /// Nothing but [`DeviceRules::USUAL`].
    pub fn usual() -> DeviceRules {
        let first = [DeviceRule::DENY_ALL];
        DeviceRules::new(first.into_iter().chain(DeviceRules::USUAL))
    }

    /// All is allowed: what a privileged container may.
    pub fn everything() -> DeviceRules {
        DeviceRules::new([DeviceRule::ALLOW_ALL])
    }

    /// The rules.
    pub fn rules(&self) -> &[DeviceRule] {
        &self.0
    }

    /// Is all allowed? Then no program is needed.
    pub fn is_everything(&self) -> bool {
        let last = self
            .0
            .iter()
            .rposition(|rule| *rule == DeviceRule::ALLOW_ALL);
        last.is_some_and(|last| {
            let mut later = self.0[last..].iter();
            later.all(|rule| rule.verdict == Verdict::Allow)
        })
    }

    /// May all of `access` be done? What the program says, too.
    pub fn allow(&self, kind: DeviceKind, device: Device, access: DeviceAccess) -> bool {
        let about = self.0.iter().filter(|rule| rule.is_about(kind, device));
        let allowed = about.fold(0, |allowed, rule| match rule.verdict {
            Verdict::Allow => allowed | rule.access.0,
            Verdict::Deny => allowed & !rule.access.0,
        });
        access.0 & !allowed == 0
    }
}

/// In their order, with commas.
impl fmt::Display for DeviceRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rule) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{rule}")?;
        }
        Ok(())
    }
}
