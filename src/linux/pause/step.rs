//! The steps of a plan, as typed values; each is printed as the sentence "could not …" would end.

use std::ffi::CString;
use std::fmt;
use std::path::PathBuf;

pub use crate::linux::mount::{Attributes, Propagation};
use crate::linux::namespace::NamespaceKind;
use crate::linux::rlimit::Rlimit;
use crate::linux::seccomp::Filter;

/// A descriptor handed over with a plan; see [`Plan::hand_over`](super::Plan::hand_over).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub(crate) u16);

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path on the host, trusted: the child opens it in its own mount namespace.
    Host(PathBuf),
    /// A path below a host directory, not trusted: one that leads out of `below`, by symbolic links or otherwise, is
    /// refused (`openat2(RESOLVE_BENEATH)`). What a volume's subPath needs.
    Below {
        /// The directory, trusted.
        below: PathBuf,
        /// The path in it.
        path: PathBuf,
    },
    /// The same, seen with the owners that the pod's user namespace gives its files: what root of the host owns, root of the
    /// pod owns in there. Only root of the host may make such a mount, so it is made beforehand:
    /// [`Plan::made`](super::Plan::made).
    Mapped(Box<Source>),
}

/// A set of capabilities, one bit each, numbered as in `capabilities(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilityBits(pub u64);

/// One thing done by a process of the pod before it executes its program, or by pause for the whole pod.
///
/// Paths are resolved in the root that [`Step::Root`] chose, as if it were `/` already: nothing in it can lead out
/// (`openat2(RESOLVE_IN_ROOT)`). Before `Root`, and where a [`Source`] or the text says "host", they are the host's.
/// A mount point that is missing is made, directory or file as the source is.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sets the propagation of a host mount and all below it. `Slave` or `Private` on `/` comes first in every plan that
    /// has a mount namespace of its own.
    Propagation(PathBuf, Propagation),
    /// Attaches the source over `/` and makes it the root all later paths are resolved in. [`Step::Pivot`] goes there.
    Root {
        /// The new root, with all mounts below it.
        source: Source,
        /// Set on all of them.
        attributes: Attributes,
    },
    /// The same with an empty tmpfs.
    EmptyRoot {
        /// As for [`Step::Filesystem`].
        options: String,
    },
    /// Bind mount, with all mounts below the source.
    Bind {
        /// What.
        source: Source,
        /// Where.
        target: PathBuf,
        /// Set on all of them.
        attributes: Attributes,
    },
    /// A new file system: `tmpfs`, `proc`, `sysfs`, `mqueue`, `devpts`, `cgroup2`, `overlay`. Of the namespaces the
    /// process is in.
    Filesystem {
        /// Its type.
        kind: String,
        /// Comma-separated, `fsconfig(2)`.
        options: String,
        /// Where.
        target: PathBuf,
        /// Of the mount.
        attributes: Attributes,
    },
    /// Sets attributes on the mount at a path, and if `recursive` on all below it.
    Attributes {
        /// Where.
        target: PathBuf,
        /// Which.
        attributes: Attributes,
        /// Below it too?
        recursive: bool,
    },
    /// Hides a path: `/dev/null` over a file, an empty read-only tmpfs over a directory. Skipped if there is none.
    Mask(PathBuf),
    /// Makes a path read-only by a bind mount over itself. Skipped if there is none.
    ReadOnly(PathBuf),
    /// `pivot_root(2)` into the root and lets go of the old one.
    Pivot,
    /// Makes a directory and those above it. The mode is set if it was made.
    Directory {
        /// Where.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Makes a symbolic link.
    Symlink {
        /// Where.
        path: PathBuf,
        /// What it says.
        to: PathBuf,
    },
    /// Makes a character device. Root only; on a mount that is `nodev` it does not open.
    Device {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Makes a file, or replaces what is in it.
    File {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Copies a descriptor's file from its beginning.
    Copy {
        /// Any seekable file.
        from: Handle,
        /// Where to.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Changes the owner of a path, not following a symbolic link at its end.
    Owner {
        /// Where.
        path: PathBuf,
        /// User, in the process's user namespace.
        uid: u32,
        /// Group.
        gid: u32,
        /// And the permission bits.
        mode: u32,
    },
    /// Sets a sysctl, through the host's `/proc`, of the namespaces the process is in. Before [`Step::Pivot`].
    Sysctl {
        /// With dots or slashes.
        name: String,
        /// As text.
        value: String,
    },
    /// Changes the working directory.
    Chdir(PathBuf),
    /// A cgroup namespace whose root is the cgroup the process is in.
    CgroupNamespace,
    /// A time namespace for the processes that are started from now on, with clocks that many seconds ahead of (or behind)
    /// those outside. Linux 5.6.
    TimeNamespace {
        /// `CLOCK_MONOTONIC`
        monotonic: i64,
        /// `CLOCK_BOOTTIME`
        boottime: i64,
    },
    /// Enters a namespace that is there already, `setns(2)`; of a PID namespace, the processes that are started from now on. After a
    /// mount namespace paths are those of its root.
    Join {
        /// A descriptor of it.
        namespace: Handle,
        /// Which kind it is.
        kind: NamespaceKind,
    },
    /// Names the UTS namespace.
    Hostname(String),
    /// Its NIS domain name.
    Domainname(String),
    /// Brings `lo` up.
    Loopback,
    /// A resource limit.
    Rlimit(Rlimit),
    /// Sets `oom_score_adj`, through the host's `/proc`. Before [`Step::Pivot`]; first of all in a plan that joins namespaces.
    OomScoreAdj {
        /// -1000 to 1000.
        score: i32,
        /// Lowering needs CAP_SYS_RESOURCE: is it an error to lack it?
        required: bool,
    },
    /// Ordinary scheduling (`SCHED_OTHER`) with this nice value.
    Nice(i32),
    /// Lets it run on all processors again.
    AllProcessors,
    /// Sets the umask. Steps before it run with 0.
    Umask(u32),
    /// Dies when pause does. A hint only: a change of credentials drops it.
    ParentDeath,
    /// Opens a new terminal of the `/dev/pts` the process sees, and makes it the three standard streams and the controlling
    /// terminal of its session. Its other end goes to pause: the start must say
    /// [`terminal`](crate::linux::pause::Start::terminal).
    Terminal {
        /// Lines; 0 where they are not known.
        rows: u16,
        /// Characters in a line.
        columns: u16,
        /// Whose it is, in the process's user namespace.
        uid: u32,
    },
    /// Orphans among its descendants become its children: all of them can be found as long as it lives.
    Subreaper,
    /// Gives pipes and terminals on standard streams to a user, so that `/dev/stdout` can be opened.
    OwnStreams {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Supplementary groups.
    Groups(Vec<u32>),
    /// All group ids.
    Gid(u32),
    /// All user ids, keeping the permitted capabilities for the steps that follow.
    Uid(u32),
    /// Drops all others from the bounding set.
    Bounding(CapabilityBits),
    /// `capset(2)`.
    Capabilities {
        /// Permitted.
        permitted: CapabilityBits,
        /// Effective.
        effective: CapabilityBits,
        /// Inheritable.
        inheritable: CapabilityBits,
    },
    /// Exactly these in the ambient set.
    Ambient(CapabilityBits),
    /// Confines the program that is executed by an AppArmor profile that is loaded.
    AppArmor(String),
    /// Gives the program that is executed a whole SELinux label.
    SeLinux(String),
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// Installs a filter, which must permit what comes after it.
    Seccomp(Filter),
    /// Executes the first candidate that exists; always the last step.
    Exec {
        /// Paths to try in order.
        candidates: Vec<CString>,
        /// All of it, `argv[0]` too.
        argv: Vec<CString>,
        /// `NAME=value`.
        env: Vec<CString>,
    },
    /// Becomes the reaper: PID 1 of a namespace that other containers join. Always the last step.
    Reap,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Host(path) => write!(f, "{}", path.display()),
            Source::Below { below, path } => write!(f, "{} in {}", path.display(), below.display()),
            Source::Mapped(source) => write!(f, "{source}, ids mapped,"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Propagation(path, how) => {
                let how = match how {
                    Propagation::Private => "private",
                    Propagation::Slave => "a slave of the host's",
                    Propagation::Shared => "shared with the host",
                };
                write!(f, "make the mounts at {} {how}", path.display())
            }
            Step::Root { source, attributes } => write!(f, "use {source} as root{attributes}"),
            Step::EmptyRoot { options } => write!(f, "use an empty tmpfs as root ({options})"),
            Step::Bind {
                source,
                target,
                attributes,
            } => {
                write!(f, "bind {source} to {}{attributes}", target.display())
            }
            Step::Filesystem {
                kind,
                options,
                target,
                attributes,
            } => {
                write!(f, "mount {kind} on {}{attributes}", target.display())?;
                if options.is_empty() {
                    Ok(())
                } else {
                    write!(f, " ({options})")
                }
            }
            Step::Attributes {
                target,
                attributes,
                recursive,
            } => {
                let below = if *recursive { " and all below" } else { "" };
                write!(
                    f,
                    "make the mount at {}{below}{attributes}",
                    target.display()
                )
            }
            Step::Mask(path) => write!(f, "mask {}", path.display()),
            Step::ReadOnly(path) => write!(f, "make {} read-only", path.display()),
            Step::Pivot => write!(f, "change to the new root"),
            _ => self.describe_file(f),
        }
    }
}

impl Step {
    /// Does it need a mount that is made beforehand?
    pub(super) fn is_mapped(&self) -> bool {
        match self {
            Step::Bind { source, .. } | Step::Root { source, .. } => {
                matches!(source, Source::Mapped(_))
            }
            _ => false,
        }
    }

    fn describe_file(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Directory { path, mode } => write!(
                f,
                "make the directory {} with mode {mode:o}",
                path.display()
            ),
            Step::Symlink { path, to } => write!(f, "link {} to {}", path.display(), to.display()),
            Step::Device {
                path,
                mode,
                major,
                minor,
            } => {
                write!(
                    f,
                    "make the device {} ({major}:{minor}) with mode {mode:o}",
                    path.display()
                )
            }
            Step::File { path, mode, bytes } => {
                write!(
                    f,
                    "write {} bytes to {} with mode {mode:o}",
                    bytes.len(),
                    path.display()
                )
            }
            Step::Copy { from, path, mode } => {
                write!(
                    f,
                    "copy handle {} to {} with mode {mode:o}",
                    from.0,
                    path.display()
                )
            }
            Step::Owner {
                path,
                uid,
                gid,
                mode,
            } => {
                write!(
                    f,
                    "give {} to user {uid}, group {gid}, with mode {mode:o}",
                    path.display()
                )
            }
            _ => self.describe_process(f),
        }
    }

    fn describe_process(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Sysctl { name, value } => write!(f, "set the sysctl {name} to {value}"),
            Step::Chdir(path) => write!(f, "change to the working directory {}", path.display()),
            Step::CgroupNamespace => write!(f, "make a cgroup namespace"),
            Step::TimeNamespace {
                monotonic,
                boottime,
            } => write!(
                f,
                "make a time namespace with the clocks monotonic {monotonic:+} s, boottime {boottime:+} s"
            ),
            Step::Join { kind, .. } => write!(f, "join the {kind} namespace"),
            Step::Hostname(name) => write!(f, "set the host name to {name}"),
            Step::Domainname(name) => write!(f, "set the domain name to {name}"),
            Step::Loopback => write!(f, "bring up the interface lo"),
            Step::Rlimit(limit) => write!(f, "set the resource limit {limit}"),
            Step::OomScoreAdj { score, required } => {
                write!(
                    f,
                    "set oom_score_adj to {score}{}",
                    if *required { "" } else { " if allowed" }
                )
            }
            Step::Nice(value) => write!(f, "set the nice value to {value}"),
            Step::AllProcessors => write!(f, "allow all processors"),
            Step::Umask(mask) => write!(f, "set the umask to {mask:03o}"),
            Step::ParentDeath => write!(f, "ask to die with pause"),
            Step::Terminal { .. } => write!(f, "open a terminal"),
            Step::Subreaper => write!(f, "take in orphans"),
            _ => self.describe_credentials(f),
        }
    }

    fn describe_credentials(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::OwnStreams { uid, gid } => {
                write!(f, "give the standard streams to user {uid}, group {gid}")
            }
            Step::Groups(groups) => write!(f, "set the supplementary groups {groups:?}"),
            Step::Gid(gid) => write!(f, "become group {gid}"),
            Step::Uid(uid) => write!(f, "become user {uid}"),
            Step::Bounding(set) => write!(f, "limit the bounding set to {:#x}", set.0),
            Step::Capabilities {
                permitted,
                effective,
                inheritable,
            } => write!(
                f,
                "set the capabilities permitted {:#x}, effective {:#x}, inheritable {:#x}",
                permitted.0, effective.0, inheritable.0
            ),
            Step::Ambient(set) => write!(f, "set the ambient capabilities {:#x}", set.0),
            Step::AppArmor(profile) => write!(f, "take the AppArmor profile {profile}"),
            Step::SeLinux(label) => write!(f, "take the SELinux label {label}"),
            Step::NoNewPrivileges => write!(f, "renounce new privileges"),
            Step::Seccomp(filter) => write!(
                f,
                "install a seccomp filter of {} instructions",
                filter.program().len() / 8
            ),
            Step::Exec {
                candidates, argv, ..
            } => {
                let name = candidates.last().or(argv.first());
                write!(
                    f,
                    "execute {}",
                    name.map_or_else(|| "nothing".into(), |name| name.to_string_lossy())
                )?;
                for word in argv.iter().skip(1) {
                    write!(f, " {}", word.to_string_lossy().escape_debug())?;
                }
                Ok(())
            }
            Step::Reap => write!(f, "become the reaper"),
            _ => Err(fmt::Error),
        }
    }
}
