//! Namespaces as typed values: kinds, sets, and single ones held by a descriptor.
//!
//! [`Namespace::create`] makes them, [`Namespace::of`] and [`Namespace::open`] find them, [`Namespace::bind`] gives them a name. A
//! [`Command`](super::Command) starts in new ones, or [joins](super::Command::join) those that are held. The calling thread stays in its own.
//!
//! ```
//! use podlife::namespace::{Namespace, NamespaceKind};
//! use podlife::linux::Process;
//!
//! let ours = Namespace::own(NamespaceKind::Net)?;
//! let same = Namespace::of(&Process::own()?, NamespaceKind::Net)?;
//! assert_eq!(ours, same);
//! # Ok::<(), podlife::Error>(())
//! ```

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;

use super::Process;
use super::command::Starting;
use super::mount::{Attributes, Depth, Propagation, Tree};
use super::pause::plan::{Plan, Step};
use super::pause::{Sandbox, User};
use super::sys::namespace;
use crate::{Error, Kind, Result};

/// A kind of namespace. `namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamespaceKind {
    /// Mounts. Linux 2.4.19.
    Mount,
    /// The view of the cgroup hierarchy. Linux 4.6.
    Cgroup,
    /// Host and domain name. Linux 2.6.19.
    Uts,
    /// System V IPC and POSIX message queues. Linux 2.6.19.
    Ipc,
    /// Users and capabilities. Linux 3.8.
    User,
    /// Process numbers. Linux 2.6.24.
    Pid,
    /// Network. Linux 2.6.29.
    Net,
    /// Boot and monotonic clocks. Linux 5.6.
    Time,
}

impl NamespaceKind {
    /// All kinds.
    pub const ALL: [NamespaceKind; 8] = [
        NamespaceKind::Mount,
        NamespaceKind::Cgroup,
        NamespaceKind::Uts,
        NamespaceKind::Ipc,
        NamespaceKind::User,
        NamespaceKind::Pid,
        NamespaceKind::Net,
        NamespaceKind::Time,
    ];

    /// The flag for `clone`, `unshare` and `setns`: `CLONE_NEW*`.
    pub const fn flag(self) -> u32 {
        match self {
            NamespaceKind::Mount => 0x0002_0000,
            NamespaceKind::Cgroup => 0x0200_0000,
            NamespaceKind::Uts => 0x0400_0000,
            NamespaceKind::Ipc => 0x0800_0000,
            NamespaceKind::User => 0x1000_0000,
            NamespaceKind::Pid => 0x2000_0000,
            NamespaceKind::Net => 0x4000_0000,
            NamespaceKind::Time => 0x0000_0080,
        }
    }

    /// Its name in `/proc/<pid>/ns`.
    pub const fn file(self) -> &'static str {
        match self {
            NamespaceKind::Mount => "mnt",
            NamespaceKind::Cgroup => "cgroup",
            NamespaceKind::Uts => "uts",
            NamespaceKind::Ipc => "ipc",
            NamespaceKind::User => "user",
            NamespaceKind::Pid => "pid",
            NamespaceKind::Net => "net",
            NamespaceKind::Time => "time",
        }
    }
}

impl fmt::Display for NamespaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NamespaceKind::Mount => "mount",
            other => other.file(),
        })
    }
}

/// A set of kinds, as `clone` takes them.
///
/// ```
/// use podlife::namespace::{NamespaceKind, Namespaces};
///
/// let set = Namespaces::NET | Namespaces::IPC;
/// assert!(set.has(NamespaceKind::Net) && !set.has(NamespaceKind::Pid));
/// assert_eq!(set.bits(), 0x4800_0000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Namespaces(u32);

impl Namespaces {
    /// None.
    pub const NONE: Namespaces = Namespaces(0);
    /// Mounts.
    pub const MOUNT: Namespaces = Namespaces(NamespaceKind::Mount.flag());
    /// The view of the cgroup hierarchy. Made after the process has entered its cgroup, which becomes the root of the view.
    pub const CGROUP: Namespaces = Namespaces(NamespaceKind::Cgroup.flag());
    /// Host and domain name.
    pub const UTS: Namespaces = Namespaces(NamespaceKind::Uts.flag());
    /// System V IPC and POSIX message queues.
    pub const IPC: Namespaces = Namespaces(NamespaceKind::Ipc.flag());
    /// Users and capabilities.
    pub const USER: Namespaces = Namespaces(NamespaceKind::User.flag());
    /// Process numbers.
    pub const PID: Namespaces = Namespaces(NamespaceKind::Pid.flag());
    /// Network.
    pub const NET: Namespaces = Namespaces(NamespaceKind::Net.flag());
    /// Boot and monotonic clocks.
    pub const TIME: Namespaces = Namespaces(NamespaceKind::Time.flag());

    /// Those that a process can be born in. A cgroup namespace is made in the cgroup it is for, a time namespace before its first
    /// process, a user namespace together with its ids.
    pub(super) const OF_BIRTH: Namespaces = Namespaces::MOUNT
        .and(Namespaces::UTS)
        .and(Namespaces::IPC)
        .and(Namespaces::PID)
        .and(Namespaces::NET);

    /// As `CLONE_NEW*`.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 | other.0)
    }

    /// Those that are in `other` too.
    #[must_use]
    pub const fn within(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 & !other.0)
    }

    /// Are all of `other` in it?
    pub const fn contains(self, other: Namespaces) -> bool {
        self.0 & other.0 == other.0
    }

    /// Is this kind in it?
    pub const fn has(self, kind: NamespaceKind) -> bool {
        self.0 & kind.flag() != 0
    }

    /// What makes new ones fit to live in: mounts that tell the host's nothing, a `/proc` of the processes in there, `lo`.
    pub(super) fn furnishing(self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.contains(Namespaces::MOUNT) {
            steps.push(Step::Propagation("/".into(), Propagation::Private));
        }
        if self.contains(Namespaces::MOUNT | Namespaces::PID) {
            steps.push(Step::Filesystem {
                kind: "proc".into(),
                options: String::new(),
                target: "/proc".into(),
                attributes: Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC,
            });
        }
        if self.contains(Namespaces::NET) {
            steps.push(Step::Loopback);
        }
        steps
    }

    /// The kinds.
    pub fn iter(self) -> impl Iterator<Item = NamespaceKind> {
        NamespaceKind::ALL
            .into_iter()
            .filter(move |kind| self.has(*kind))
    }
}

impl std::ops::BitOr for Namespaces {
    type Output = Namespaces;
    fn bitor(self, other: Namespaces) -> Namespaces {
        self.and(other)
    }
}

impl FromIterator<NamespaceKind> for Namespaces {
    fn from_iter<I: IntoIterator<Item = NamespaceKind>>(kinds: I) -> Namespaces {
        Namespaces(kinds.into_iter().fold(0, |bits, kind| bits | kind.flag()))
    }
}

/// Each with a space before it.
impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|kind| write!(f, " {kind}"))
    }
}

/// A namespace, held: it lives as long as this does, even with no process in it.
///
/// Two are equal if they are the same namespace. [`AsFd`] gives what `setns` takes.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
    kind: NamespaceKind,
    identity: NamespaceId,
}

/// What tells a namespace from all others as long as it lives: device and inode of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceId {
    /// `st_dev`
    pub device: u64,
    /// `st_ino`, the number that `ls -l /proc/<pid>/ns` shows.
    pub inode: u64,
}

impl Namespace {
    /// Makes new ones, one of each kind, in the order of [`NamespaceKind::ALL`]. A network namespace has `lo` up; mounts are private. No
    /// process stays in them: they live as long as they are held, [named](Namespace::bind), or a [`Command`](super::Command) is in them
    /// that has [joined](super::Command::join) them.
    ///
    /// As an ordinary user they belong to a user namespace of their own, where that user is root and there is no other: see
    /// [`Namespace::owner`]. Linux 5.12. The calling thread is suspended for about a millisecond.
    ///
    /// ```
    /// use podlife::namespace::{Namespace, NamespaceKind, Namespaces};
    ///
    /// let made = Namespace::create(Namespaces::UTS | Namespaces::NET)?;
    /// assert_eq!(made[0].kind(), NamespaceKind::Uts);
    /// assert_ne!(made[1], Namespace::own(NamespaceKind::Net)?);
    /// assert_eq!(made[0].owner()?, made[1].owner()?);
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a PID namespace, which ends with its first process; and what the kernel refused.
    pub fn create(kinds: Namespaces) -> Result<Vec<Namespace>> {
        if kinds.contains(Namespaces::PID) {
            let why = "it ends with its first process, so it cannot be without one";
            return Err(Error::new(Kind::Invalid, "make a PID namespace", why).cure(
                "start a Command in a new one, and hold that of its process: Namespace::of",
            ));
        }
        let mut set_up = Plan::new(Namespaces::NONE);
        set_up.extend(kinds.furnishing());
        if kinds.contains(Namespaces::CGROUP) {
            set_up.push(Step::CgroupNamespace);
        }
        if kinds.contains(Namespaces::TIME) {
            set_up.push(Step::TimeNamespace {
                monotonic: 0,
                boottime: 0,
            });
        }
        let user = match kinds.contains(Namespaces::USER) || !geteuid().is_root() {
            true => User::Single,
            false => User::Host,
        };
        let holder = Starting::spawn(&Sandbox {
            namespaces: kinds.within(Namespaces::OF_BIRTH),
            user,
            ephemeral: true,
            ..Sandbox::new(&set_up)
        })?;
        let process = holder.process();
        let held = kinds.iter().map(|kind| match kind {
            // Nobody is in it yet.
            NamespaceKind::Time => Namespace::in_proc(process, kind, "time_for_children"),
            kind => Namespace::of(process, kind),
        });
        held.collect()
    }

    /// The calling thread's.
    pub fn own(kind: NamespaceKind) -> Result<Namespace> {
        Namespace::open(format!("/proc/thread-self/ns/{}", kind.file()))
    }

    /// A process's. Needs the rights of `PTRACE_MODE_READ_FSCREDS`: the same user and no more capabilities, or CAP_SYS_PTRACE.
    pub fn of(process: &Process, kind: NamespaceKind) -> Result<Namespace> {
        Namespace::in_proc(process, kind, kind.file())
    }

    fn in_proc(process: &Process, kind: NamespaceKind, file: &str) -> Result<Namespace> {
        let attempt = || format!("open the {kind} namespace of a process");
        let gone = || Error::new(Kind::NotFound, attempt(), "the process has ended");
        let pid = process.pid()?.ok_or_else(gone)?;
        let namespace = Namespace::open(format!("/proc/{pid}/ns/{file}"));
        // Only if the process has its number still was it the one that /proc told of.
        if process.pid()?.is_none() {
            Err(gone())
        } else {
            namespace
        }
    }

    /// The namespace at a path: in `/proc`, or where one was given a name by a bind mount, as in `/run/netns`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Namespace> {
        let path: PathBuf = path.into();
        let attempt = || format!("open the namespace {}", path.display());
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(&path, flags, Mode::empty()).map_err(|errno| {
            let error = Error::os(attempt(), errno as i32);
            let foreign = matches!(errno, Errno::EACCES | Errno::EPERM);
            if foreign {
                error.cure("it takes the same user, or CAP_SYS_PTRACE")
            } else {
                error
            }
        })?;
        Namespace::held(fd).map_err(|errno| not_one(&path, errno))
    }

    fn held(fd: OwnedFd) -> Result<Namespace, Errno> {
        let flag = namespace::kind(fd.as_fd())?;
        let kind = NamespaceKind::ALL
            .into_iter()
            .find(|kind| kind.flag() == flag)
            .ok_or(Errno::EINVAL)?;
        let stat = fstat(&fd)?;
        Ok(Namespace {
            fd,
            kind,
            identity: NamespaceId {
                device: stat.st_dev,
                inode: stat.st_ino,
            },
        })
    }

    /// Its kind.
    pub fn kind(&self) -> NamespaceKind {
        self.kind
    }

    /// What tells it from others.
    pub fn identity(&self) -> NamespaceId {
        self.identity
    }

    /// Gives it a name: it is mounted over the file at `path`, which is made, and lives until that is unmounted (`umount`),
    /// as `ip netns` does it. CAP_SYS_ADMIN. A mount namespace can be named in an older one only; Linux 6.18 numbers
    /// them by processor, and knows which is older only of two that were made on the same one.
    pub fn bind(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let attempt = || format!("name a {} namespace {}", self.kind, path.display());
        let made = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path);
        made.map_err(|error| Error::io(attempt(), error))?;
        let bound = Tree::copy_of(&self.fd, Depth::One).and_then(|tree| tree.attach(path));
        bound.map_err(|error| {
            let _ = std::fs::remove_file(path);
            let loops = error.errno() == Some(Errno::ELOOP as i32);
            let error = Error::caused(error.kind(), attempt(), error);
            match loops {
                true => {
                    error.cure("name it in an older mount namespace, made on the same processor")
                }
                false => error,
            }
        })
    }

    /// The user namespace that owns it: who is root there may manage this one. [`Kind::Permission`] if that lies outside
    /// the caller's own. Linux 4.9.
    pub fn owner(&self) -> Result<Namespace> {
        let found = namespace::owner(self.fd.as_fd()).and_then(Namespace::held);
        found.map_err(|errno| {
            Error::os(
                format!("find the owner of a {} namespace", self.kind),
                errno as i32,
            )
        })
    }

    /// The one that a user or PID namespace was made in. [`Kind::Permission`] if that lies outside the caller's own. Linux 4.9.
    pub fn parent(&self) -> Result<Namespace> {
        let found = namespace::parent(self.fd.as_fd()).and_then(Namespace::held);
        found.map_err(|errno| {
            Error::os(
                format!("find the parent of a {} namespace", self.kind),
                errno as i32,
            )
        })
    }
}

fn not_one(path: &Path, errno: Errno) -> Error {
    let error = Error::os(
        format!("use {} as a namespace", path.display()),
        errno as i32,
    );
    match errno {
        Errno::ENOTTY | Errno::EINVAL => error
            .as_kind(Kind::Invalid)
            .cure("name a file in /proc/<pid>/ns, or one bound to it"),
        _ => error,
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Namespace) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Namespace {}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Namespace> for OwnedFd {
    fn from(namespace: Namespace) -> OwnedFd {
        namespace.fd
    }
}

/// One received over a socket.
impl TryFrom<OwnedFd> for Namespace {
    type Error = Error;

    fn try_from(fd: OwnedFd) -> Result<Namespace> {
        Namespace::held(fd).map_err(|errno| not_one(Path::new("a descriptor"), errno))
    }
}
