//! What this kernel and this host have, asked without changing anything.

use std::fmt;
use std::path::Path;

use nix::sys::statfs::FsType;
use nix::sys::utsname::uname;

use super::Process;
use super::cgroup::{Cgroup, Controllers, Delegation, DeviceRules, Hierarchy, device_program};
use super::mount;
use super::sys::probe;
use super::user::IdMaps;
use crate::Result;

/// A kernel's version: the first two or three numbers of `uname -r`.
///
/// ```
/// use podlife::linux::features::Version;
///
/// assert!(Version::parse("6.1.0-18-amd64") > Version::new(5, 14));
/// assert_eq!(Version::parse("6.18.44-fc-v657").to_string(), "6.18.44");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32, u32, u32);

impl Version {
    /// `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Version {
        Version(major, minor, 0)
    }

    /// Major and minor number.
    pub const fn major_minor(self) -> (u32, u32) {
        (self.0, self.1)
    }

    /// The numbers at the beginning of `release`; what is missing is 0.
    pub fn parse(release: &str) -> Version {
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Version(next(), next(), next())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Whether something is to be had, and if not, why and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is there.
    Yes,
    /// It is not.
    No {
        /// Why.
        why: String,
        /// What usually helps.
        cure: String,
    },
}

impl Support {
    /// Is it there?
    pub fn is_there(&self) -> bool {
        *self == Support::Yes
    }

    fn no(why: impl Into<String>, cure: impl Into<String>) -> Support {
        Support::No {
            why: why.into(),
            cure: cure.into(),
        }
    }

    /// For what only depends on the kernel.
    fn since(there: bool, floor: &str) -> Support {
        if there {
            Support::Yes
        } else {
            Support::no(format!("it needs Linux {floor}"), "use a newer kernel")
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Support::Yes => f.write_str("yes"),
            Support::No { why, cure } => write!(f, "no: {why}; {cure}"),
        }
    }
}

/// What there is for making containers, on this kernel, for this user. Its [`Display`](fmt::Display) has a line for each.
///
/// Found by calls that refuse their arguments before they do anything, by files, and by the version where nothing else
/// tells. It takes about a millisecond; ask once. No privilege.
///
/// ```
/// use podlife::linux::Features;
///
/// let features = Features::probe()?;
/// assert!(features.pidfd.is_there(), "{features}");
/// println!("{features}");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// The kernel.
    pub version: Version,
    /// Processes by descriptor (5.3), waited for by descriptor (5.4).
    pub pidfd: Support,
    /// pidfds with an inode of their own (6.9).
    pub pidfd_inode: Support,
    /// `clone3` (5.3).
    pub clone3: Support,
    /// Starting a process in a cgroup (5.7).
    pub clone_into_cgroup: Support,
    /// Killing a cgroup in one step (5.14).
    pub cgroup_kill: Support,
    /// Paths that cannot lead out of a directory (5.6).
    pub openat2: Support,
    /// Closing many descriptors at once (5.9).
    pub close_range: Support,
    /// Mounts by descriptor (5.2).
    pub open_tree: Support,
    /// Attributes of whole mount trees, idmapped mounts (5.12).
    pub mount_setattr: Support,
    /// The other end of a socket as a pidfd (6.5).
    pub peer_pidfd: Support,
    /// Filters for system calls.
    pub seccomp: Support,
    /// Landlock (5.13).
    pub landlock: Support,
    /// overlayfs.
    pub overlay: Support,
    /// overlayfs in a user namespace (5.11).
    pub overlay_in_user_namespace: Support,
    /// User namespaces made by this user.
    pub user_namespaces: Support,
    /// More than one id in them, through newuidmap.
    pub id_ranges: Support,
    /// A fresh `/proc` in a user namespace, which needs the host's without anything mounted over parts of it.
    pub proc_in_user_namespace: Support,
    /// cgroup v2 is mounted.
    pub cgroup2: Support,
    /// Programs that cgroups ask about devices (4.15).
    pub device_programs: Support,
    /// A place where this user may make cgroups.
    pub cgroup_delegation: Support,
    /// The controllers at that place, or else at the top of the tree.
    pub controllers: Controllers,
    /// Security modules: `apparmor`, `selinux`, `landlock` …
    pub security_modules: Vec<String>,
}

impl Features {
    /// Asks.
    pub fn probe() -> Result<Features> {
        let release = uname()
            .map(|name| name.release().to_string_lossy().into_owned())
            .unwrap_or_default();
        let version = Version::parse(&release);
        let (cgroup2, cgroup_delegation, controllers) = cgroups()?;
        let overlay = filesystem("overlay");
        let overlay_in_user_namespace = if overlay.is_there() {
            Support::since(version >= Version::new(5, 11), "5.11")
        } else {
            overlay.clone()
        };
        Ok(Features {
            version,
            pidfd: Support::since(
                Process::own().is_ok() && version >= Version::new(5, 4),
                "5.4",
            ),
            pidfd_inode: Support::since(has_pidfs(), "6.9"),
            clone3: Support::since(probe::clone3(), "5.3"),
            clone_into_cgroup: Support::since(
                probe::clone3() && version >= Version::new(5, 7),
                "5.7",
            ),
            cgroup_kill: Support::since(version >= Version::new(5, 14), "5.14"),
            openat2: Support::since(probe::openat2(), "5.6"),
            close_range: Support::since(probe::close_range(), "5.9"),
            open_tree: Support::since(probe::open_tree(), "5.2"),
            mount_setattr: Support::since(probe::mount_setattr(), "5.12"),
            peer_pidfd: Support::since(version >= Version::new(6, 5), "6.5"),
            seccomp: seccomp(),
            landlock: landlock(version),
            overlay,
            overlay_in_user_namespace,
            user_namespaces: user_namespaces(),
            id_ranges: id_ranges()?,
            proc_in_user_namespace: proc_in_user_namespace()?,
            cgroup2,
            device_programs: device_programs(),
            cgroup_delegation,
            controllers,
            security_modules: security_modules(),
        })
    }

    fn lines(&self) -> [(&'static str, &Support); 20] {
        [
            ("pidfd", &self.pidfd),
            ("pidfd inodes", &self.pidfd_inode),
            ("clone3", &self.clone3),
            ("CLONE_INTO_CGROUP", &self.clone_into_cgroup),
            ("cgroup.kill", &self.cgroup_kill),
            ("openat2", &self.openat2),
            ("close_range", &self.close_range),
            ("open_tree", &self.open_tree),
            ("mount_setattr", &self.mount_setattr),
            ("SO_PEERPIDFD", &self.peer_pidfd),
            ("seccomp", &self.seccomp),
            ("landlock", &self.landlock),
            ("overlayfs", &self.overlay),
            (
                "overlayfs in a user namespace",
                &self.overlay_in_user_namespace,
            ),
            ("user namespaces", &self.user_namespaces),
            ("ranges of ids", &self.id_ranges),
            ("/proc in a user namespace", &self.proc_in_user_namespace),
            ("cgroup v2", &self.cgroup2),
            ("cgroup device programs", &self.device_programs),
            ("cgroup delegation", &self.cgroup_delegation),
        ]
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Linux {}", self.version)?;
        for (name, support) in self.lines() {
            writeln!(f, "{name}: {support}")?;
        }
        writeln!(f, "cgroup controllers: {}", self.controllers)?;
        writeln!(f, "security modules: {}", self.security_modules.join(" "))
    }
}

fn has_pidfs() -> bool {
    const PIDFS: FsType = FsType(0x5049_4446);
    let own = Process::own()
        .ok()
        .and_then(|own| nix::sys::statfs::fstatfs(&own).ok());
    own.is_some_and(|fs| fs.filesystem_type() == PIDFS)
}

fn seccomp() -> Support {
    if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return Support::Yes;
    }
    Support::no(
        "the kernel is built without it",
        "use a kernel with CONFIG_SECCOMP_FILTER",
    )
}

fn landlock(version: Version) -> Support {
    if probe::landlock() {
        return Support::Yes;
    }
    match version < Version::new(5, 13) {
        true => Support::since(false, "5.13"),
        false => Support::no(
            "it is not switched on",
            "add landlock to lsm= on the kernel's command line",
        ),
    }
}

/// A module that is not loaded yet counts if its file is there.
fn filesystem(name: &str) -> Support {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.split_whitespace().any(|word| word == name) {
        return Support::Yes;
    }
    let release = uname()
        .map(|uname| uname.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    let modules =
        std::fs::read_to_string(format!("/lib/modules/{release}/modules.dep")).unwrap_or_default();
    if modules.lines().any(|line| {
        line.split(':')
            .next()
            .is_some_and(|path| path.contains(&format!("/{name}.ko")))
    }) {
        return Support::Yes;
    }
    Support::no(
        format!("the kernel does not know {name}"),
        format!("modprobe {name}, or use a kernel built with it"),
    )
}

/// What usually forbids them; only making one would tell for sure.
fn user_namespaces() -> Support {
    let number = |path: &str| {
        std::fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
    };
    match number("/proc/sys/user/max_user_namespaces") {
        None => {
            return Support::no(
                "the kernel is built without them",
                "use a kernel with CONFIG_USER_NS",
            );
        }
        Some(0) => {
            return Support::no(
                "user.max_user_namespaces is 0",
                "sysctl -w user.max_user_namespaces=15000",
            );
        }
        Some(_) => {}
    }
    let root = nix::unistd::geteuid().is_root();
    if !root && number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        let cure = "sysctl -w kernel.unprivileged_userns_clone=1";
        return Support::no("kernel.unprivileged_userns_clone is 0", cure);
    }
    if !root && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let cure = "give the program an AppArmor profile with userns, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
        return Support::no("AppArmor takes all capabilities away in them", cure);
    }
    Support::Yes
}

fn id_ranges() -> Result<Support> {
    Ok(match IdMaps::ranges()? {
        Ok(_) => Support::Yes,
        Err(why) => Support::no(why, "as an ordinary user, run with a single id until then"),
    })
}

/// The kernel only gives a user namespace what the host's own `/proc` shows in full.
pub(crate) fn proc_in_user_namespace() -> Result<Support> {
    let mounts = mount::mounts()?;
    let proc = mounts
        .iter()
        .rfind(|mount| mount.target == Path::new("/proc") && mount.fs_type == "proc");
    let Some(proc) = proc else {
        return Ok(Support::no("/proc is not mounted", "mount it"));
    };
    let over = mounts
        .iter()
        .find(|mount| mount.target != proc.target && mount.target.starts_with(&proc.target));
    Ok(
        match over.filter(|mount| mount.fs_type != "binfmt_misc" && mount.fs_type != "autofs") {
            None => Support::Yes,
            Some(mount) => {
                let why = format!(
                    "{} hides a part of /proc, as in most containers",
                    mount.target.display()
                );
                Support::no(why, "start the outer container with an unmasked /proc")
            }
        },
    )
}

fn cgroups() -> Result<(Support, Support, Controllers)> {
    let Some(hierarchy) = Hierarchy::find()? else {
        let no = Support::no("cgroup2 is not mounted", "mount it on /sys/fs/cgroup");
        return Ok((no.clone(), no, Controllers::NONE));
    };
    let of = |group: &Cgroup| group.controllers().unwrap_or(Controllers::NONE);
    Ok(match Delegation::find()? {
        Delegation::Granted(root) => (Support::Yes, Support::Yes, of(&root)),
        Delegation::Missing(missing) => {
            let top = Cgroup::open(&hierarchy.mount).map_or(Controllers::NONE, |top| of(&top));
            (Support::Yes, Support::no(missing.what, missing.cure), top)
        }
    })
}

/// Only loading one tells; it is gone at once.
fn device_programs() -> Support {
    let Err(why) = DeviceRules::usual().load() else {
        return Support::Yes;
    };
    let errno = nix::errno::Errno::from_raw(why.errno().unwrap_or_default());
    Support::no(errno.desc(), device_program::cure(errno))
}

fn security_modules() -> Vec<String> {
    let list = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    list.trim()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
