//! The pod's volumes on disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::store::make_directory;
use crate::model::Pod;
use crate::{Error, Result};

/// Makes the emptyDir volumes of a pod that are not there yet: open to everybody, as the kubelet's are, in a directory that
/// only this user can enter.
pub(super) fn make(directory: &Path, pod: &Pod) -> Result<()> {
    for volume in pod
        .spec
        .volumes
        .iter()
        .filter(|volume| volume.empty_dir.is_some())
    {
        let path = directory.join(&volume.name);
        if !path.is_dir() {
            make_directory(&path)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).map_err(|why| {
                Error::io(
                    format!("open the volume {} to everybody", path.display()),
                    why,
                )
            })?;
        }
    }
    Ok(())
}
