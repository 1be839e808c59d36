//! Where cgroup v2 is mounted, and where in it this process stands.

use std::path::{Component, Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use crate::linux::mount::{self, MountEntry};
use crate::{Error, Result};

/// The mount of cgroup v2 that this process sees: `/sys/fs/cgroup`, `/sys/fs/cgroup/unified` beside cgroup v1, or another place.
///
/// Found in mountinfo, no privilege needed. Inside a cgroup namespace, or where only a part of the tree is mounted, the
/// mount point is not the kernel's root cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The directory it is mounted on.
    pub mount: PathBuf,
    /// The cgroup at the mount point, seen from the caller's cgroup namespace: `/` unless a part is mounted.
    pub root: PathBuf,
    /// Mounted read-only, as in most containers.
    pub read_only: bool,
}

impl Hierarchy {
    /// The mount, if there is one.
    pub fn find() -> Result<Option<Hierarchy>> {
        let mut found: Vec<_> = mount::mounts()?
            .into_iter()
            .filter(|entry| entry.fs_type == "cgroup2")
            .collect();
        // A mount that shows the whole tree before one that shows a part of it.
        found.sort_by_key(|entry| entry.root.as_os_str().len());
        Ok(found.into_iter().find(is_visible).map(|entry| Hierarchy {
            read_only: entry.has("ro"),
            mount: entry.target,
            root: entry.root,
        }))
    }

    /// The directory of the caller's own cgroup. `None`: it lies outside what is mounted.
    pub fn own(&self) -> Result<Option<PathBuf>> {
        self.of("self")
    }

    /// The directory of the cgroup of the process `pid`.
    pub fn of_process(&self, pid: u32) -> Result<Option<PathBuf>> {
        self.of(&pid.to_string())
    }

    fn of(&self, process: &str) -> Result<Option<PathBuf>> {
        let path = format!("/proc/{process}/cgroup");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::io(format!("read {path}"), error))?;
        let cgroup = text.lines().find_map(|line| line.strip_prefix("0::"));
        // The kernel adds this to the path of a cgroup that was removed under a dying process.
        let cgroup = cgroup.map(|cgroup| cgroup.strip_suffix(" (deleted)").unwrap_or(cgroup));
        Ok(cgroup.and_then(|cgroup| self.directory(Path::new(cgroup))))
    }

    /// The directory of the cgroup with this path, as `/proc/<pid>/cgroup` has it.
    fn directory(&self, cgroup: &Path) -> Option<PathBuf> {
        let outside = |path: &Path| path.components().any(|part| part == Component::ParentDir);
        if outside(cgroup) || outside(&self.root) {
            return None;
        }
        let below = cgroup.strip_prefix(&self.root).ok()?;
        // Not `join("")`, which would leave a slash at the end.
        Some(if below.as_os_str().is_empty() {
            self.mount.clone()
        } else {
            self.mount.join(below)
        })
    }
}

/// Not covered by another mount.
fn is_visible(entry: &MountEntry) -> bool {
    statfs(&entry.target).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(root: &str, cgroup: &str) -> Option<PathBuf> {
        let hierarchy = Hierarchy {
            mount: "/m".into(),
            root: root.into(),
            read_only: false,
        };
        hierarchy.directory(Path::new(cgroup))
    }

    #[test]
    fn a_cgroup_is_found_below_the_part_that_is_mounted() {
        assert_eq!(directory("/", "/"), Some("/m".into()));
        assert_eq!(directory("/", "/a/b"), Some("/m/a/b".into()));
        assert_eq!(directory("/a", "/a/b"), Some("/m/b".into()));
        assert_eq!(directory("/a", "/a"), Some("/m".into()));
        assert_eq!(directory("/a", "/ab"), None);
        assert_eq!(directory("/", "/../x"), None);
        assert_eq!(directory("/..", "/"), None);
    }
}
