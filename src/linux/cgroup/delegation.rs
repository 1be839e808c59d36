//! Where this process may make cgroups.

use std::fmt;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};

use super::{Cgroup, Degraded, Enforcement, Hierarchy, Limits};
use crate::linux::sys::xattr;
use crate::{Error, Kind, Result};

/// Where this process may make cgroups, if anywhere. Having no such place is a state, not an error: processes can be run
/// without, and [`Enforcement::BestEffort`] says what that costs.
#[derive(Debug)]
pub enum Delegation {
    /// Below this cgroup. It is shared with others: make one child and stay in there.
    Granted(Cgroup),
    /// Nowhere.
    Missing(Missing),
}

/// Why there is no place for cgroups, and what usually helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Why.
    pub what: String,
    /// What usually helps.
    pub cure: String,
}

impl Missing {
    /// What it means for `limits`: one entry for each controller, or an error where they are required.
    pub fn limits(&self, limits: &Limits, enforcement: Enforcement) -> Result<Vec<Degraded>> {
        let degraded = limits.controllers().iter().map(|controller| {
            let files: Vec<_> = limits
                .files()
                .filter(|file| file.starts_with(controller.name()))
                .collect();
            let what = format!("{}: {}", files.join(", "), self.what);
            enforcement.decide(Degraded {
                controller,
                what,
                cure: self.cure.clone(),
            })
        });
        degraded.collect()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.cure)
    }
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Error {
        Error::new(
            Kind::Permission,
            "find a place to make cgroups",
            missing.what,
        )
        .cure(missing.cure)
    }
}

impl Delegation {
    /// Looks for the place, and changes nothing. The first of these that this process may write to:
    /// 1. the nearest cgroup above its own that systemd has delegated (`Delegate=yes`, as for `user@.service`);
    /// 2. its own cgroup, if that is delegated; controllers can then be used only as long as no process stands in it;
    /// 3. the top of the tree: root on a host, or in a container with a cgroup namespace;
    /// 4. the cgroup above its own.
    ///
    /// ```
    /// use podlife::cgroup::Delegation;
    ///
    /// match Delegation::find()? {
    ///     Delegation::Granted(root) => assert!(root.children().is_ok()),
    ///     Delegation::Missing(missing) => assert!(!missing.cure.is_empty()),
    /// }
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn find() -> Result<Delegation> {
        let (hierarchy, own) = match place()? {
            Ok(place) => place,
            Err(missing) => return Ok(Delegation::Missing(missing)),
        };
        let above: Vec<&Path> = own
            .ancestors()
            .skip(1)
            .filter(|dir| dir.starts_with(&hierarchy.mount))
            .collect();
        let delegated = above
            .iter()
            .copied()
            .chain([own.as_path()])
            .filter(|dir| is_delegated(dir));
        let others = [hierarchy.mount.as_path()]
            .into_iter()
            .chain(above.first().copied());
        let mut candidates = delegated
            .chain(others)
            .filter_map(|dir| Cgroup::open(dir).ok());
        Ok(match candidates.find(is_writable) {
            Some(root) => Delegation::Granted(root),
            None => Delegation::Missing(Missing {
                what: format!("neither {} nor a cgroup above it is delegated to this user", own.display()),
                cure: "start the program below a delegated cgroup, with \"systemd-run --user --scope\" for instance, or as root"
                    .into(),
            }),
        })
    }

    /// A place that the user named: it must be a cgroup that this process may write to, and may put processes into.
    pub fn at(path: impl Into<PathBuf>) -> Result<Delegation> {
        let root = Cgroup::open(path)?;
        let missing = |what, cure: &str| {
            Ok(Delegation::Missing(Missing {
                what,
                cure: cure.into(),
            }))
        };
        if !is_writable(&root) {
            let what = format!(
                "this user may not make cgroups in {}",
                root.path().display()
            );
            return missing(
                what,
                "make it the user's: its directory, cgroup.procs and cgroup.subtree_control",
            );
        }
        let common = match place()? {
            Ok((_, own)) => own
                .ancestors()
                .find(|dir| root.path().starts_with(dir))
                .map(Path::to_path_buf),
            Err(_) => None,
        };
        let may_enter = common
            .as_deref()
            .and_then(|common| Cgroup::open(common).ok())
            .is_some_and(|dir| may(&dir, "cgroup.procs"));
        if !may_enter {
            let what = format!(
                "processes may not be brought into {} from where this program stands",
                root.path().display()
            );
            return missing(what, "start the program below the same delegated cgroup");
        }
        Ok(Delegation::Granted(root))
    }

    /// The place, or an error that says why there is none and what helps.
    pub fn granted(self) -> Result<Cgroup> {
        match self {
            Delegation::Granted(root) => Ok(root),
            Delegation::Missing(missing) => Err(missing.into()),
        }
    }
}

/// The tree, and where in it this process stands.
fn place() -> Result<Result<(Hierarchy, PathBuf), Missing>> {
    let missing = |what: &str, cure: &str| {
        Ok(Err(Missing {
            what: what.into(),
            cure: cure.into(),
        }))
    };
    let Some(hierarchy) = Hierarchy::find()? else {
        return missing("cgroup2 is not mounted", "mount it on /sys/fs/cgroup");
    };
    if hierarchy.read_only {
        return missing(
            "cgroup2 is mounted read-only",
            "start the container that this runs in with a writable cgroup",
        );
    }
    match hierarchy.own()? {
        Some(own) => Ok(Ok((hierarchy, own))),
        None => missing(
            "this program's cgroup lies outside of what is mounted",
            "mount the whole of cgroup2",
        ),
    }
}

/// systemd marks what it has delegated: `user.delegate` for units of users, since 251 for all.
fn is_delegated(dir: &Path) -> bool {
    let Ok(dir) = Cgroup::open(dir) else {
        return false;
    };
    let marks = [c"user.delegate", c"trusted.delegate"];
    marks
        .iter()
        .any(|mark| xattr::read(dir.as_fd(), mark, &mut [0; 8]) == Ok(b"1"))
}

fn is_writable(dir: &Cgroup) -> bool {
    [".", "cgroup.procs", "cgroup.subtree_control"]
        .iter()
        .all(|file| may(dir, file))
}

/// By effective ids. `access` knows of read-only mounts too.
fn may(dir: &Cgroup, file: &str) -> bool {
    faccessat(dir, file, AccessFlags::W_OK, AtFlags::AT_EACCESS).is_ok()
}
