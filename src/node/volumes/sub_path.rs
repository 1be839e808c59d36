//! Parts of volumes.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::linux::mount::{Beneath, Links};
use crate::{Error, Kind, Result};

/// Opens (`O_PATH`) what a mount's `subPath` means in a volume that its containers may write. A directory is made, with the
/// volume's own mode, if nothing is there. A path that leads out of the volume, by a link or otherwise, is refused.
///
/// Linux 5.6.
///
/// ```
/// use podlife::node::volumes::open_sub_path;
///
/// # let volume = std::env::temp_dir().join(format!("podlife-sub-path-{}", std::process::id()));
/// # std::fs::create_dir(&volume)?;
/// std::os::unix::fs::symlink("/etc", volume.join("trap"))?;
/// assert!(open_sub_path(&volume, "trap").is_err());
/// open_sub_path(&volume, "logs/web")?;
/// assert!(volume.join("logs/web").is_dir());
/// # std::fs::remove_dir_all(&volume)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Kind::Invalid`] if it leads out; what the file system says.
pub fn open_sub_path(volume: &Path, sub_path: &str) -> Result<OwnedFd> {
    make_sub_path(volume, sub_path, None)
}

/// The same; what is made belongs to this user, and to the volume's group.
pub(super) fn make_sub_path(volume: &Path, sub_path: &str, owner: Option<u32>) -> Result<OwnedFd> {
    let beneath = Beneath::open(volume)?.links(Links::Inside);
    match beneath.look_up(sub_path) {
        Err(error) if error.kind() == Kind::NotFound => {}
        found => return found,
    }
    let attempt = || format!("look at the volume {}", volume.display());
    let own = std::fs::metadata(volume).map_err(|why| Error::io(attempt(), why))?;
    let beneath = match owner {
        Some(owner) => beneath.owner(owner, own.gid()),
        None => beneath,
    };
    beneath.create_directory(sub_path, own.mode() & 0o7777)
}
