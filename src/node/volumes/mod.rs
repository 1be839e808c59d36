//! The pod's volumes: where they are, what is in them.
//!
//! An emptyDir is a directory in the pod's part of the state directory; one in memory, and every emptyDir of an ephemeral Node, is in a
//! tmpfs that only the pod's pause process has mounted. So are the files of configMap, secret, downwardAPI and projected volumes:
//! they are never on disk there, and they go with the pause process. The Node writes them through that process's root. Of a pod
//! with users of its own the Node makes that tmpfs, and gives what it writes to the pod's root.

mod atomic;
mod fill;
mod host_path;
mod sub_path;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::store::{make_directory, remove_tree};
use crate::linux::Command;
use crate::linux::user::IdMaps;
use crate::model::{Pod, StorageMedium, Volume};
use crate::{Error, Result};

pub use atomic::AtomicDirectory;
pub(super) use fill::Scratch;
pub use host_path::check_host_path;
use sub_path::make_sub_path;
pub use sub_path::open_sub_path;

/// So long `rm` may take.
const REMOVAL: Duration = Duration::from_secs(30);

/// Where a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'v> {
    /// A directory of the pod, empty at first, on disk if it can be.
    Empty,
    /// The same in memory, with a file system of its own of at most so many bytes.
    Memory(Option<i64>),
    /// Files that are made from objects and fields, in memory.
    Content,
    /// A path of the host.
    Host(&'v str),
}

impl Place<'_> {
    /// None for the kinds that a Node refuses.
    pub(super) fn of(volume: &Volume) -> Option<Place<'_>> {
        if let Some(source) = &volume.empty_dir {
            let limit = source.size_limit.as_ref().map(|size| size.value());
            return Some(match source.medium {
                Some(StorageMedium::Memory) => Place::Memory(limit),
                _ => Place::Empty,
            });
        }
        if let Some(source) = &volume.host_path {
            return Some(Place::Host(&source.path));
        }
        let content = volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.downward_api.is_some()
            || volume.projected.is_some();
        content.then_some(Place::Content)
    }
}

/// The part of a pod's scratch file system where its volumes are.
pub(super) fn in_scratch(scratch: &Path, volume: &str) -> PathBuf {
    scratch.join("volumes").join(volume)
}

/// Removes a pod's volumes on disk. What is in them may belong to other ids of an ordinary user than its own; then root of a user
/// namespace that has those ids removes it, with the host's `rm`.
pub(super) fn remove(directory: &Path, users: Option<&IdMaps>) -> Result<()> {
    let removed = remove_tree(directory);
    match users.filter(|users| users.by_helper()) {
        Some(users) if removed.is_err() => {
            let words = ["rm", "-rf", "--"].map(OsStr::new);
            let rm = Command::new(words.into_iter().chain([directory.as_os_str()])).users(users);
            rm.spawn()?.wait(REMOVAL)?;
            remove_tree(directory)
        }
        _ => removed,
    }
}

/// Makes the emptyDir volumes of a pod that are not there yet: open to everybody, as the kubelet's are, in a directory that
/// only this user can enter. With an fsGroup they are that group's, and so is what is made in them.
pub(super) fn make(directory: &Path, pod: &Pod, group: Option<u32>) -> Result<()> {
    let on_disk = |volume: &&Volume| Place::of(volume) == Some(Place::Empty);
    for volume in pod.spec.volumes.iter().filter(on_disk) {
        let path = directory.join(&volume.name);
        if !path.is_dir() {
            make_directory(&path)?;
            let opened = std::os::unix::fs::chown(&path, None, group).and_then(|()| {
                let mode = if group.is_some() { 0o2777 } else { 0o777 };
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))
            });
            opened.map_err(|why| {
                Error::io(
                    format!("open the volume {} to everybody", path.display()),
                    why,
                )
            })?;
        }
    }
    Ok(())
}
