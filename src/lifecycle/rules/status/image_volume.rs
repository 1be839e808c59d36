//! Which image a volume of an image turned out to be.

use crate::model::{ContainerStatus, ImageVolumeStatus, Volume};

/// Writes into `status.volumeMounts[].volumeStatus.image` what each mounted image volume was resolved to, as far as
/// `resolved` knows: reference in, digest or id out. Returns whether something changed.
pub fn write_image_refs<'a>(
    status: &mut ContainerStatus,
    volumes: &[Volume],
    resolved: impl Fn(&str) -> Option<&'a str>,
) -> bool {
    let mut changed = false;
    for mount in &mut status.volume_mounts {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        let source = volume.and_then(|volume| volume.image.as_ref());
        let reference = source.and_then(|source| source.reference.as_deref());
        let Some(image_ref) = reference.and_then(&resolved) else {
            continue;
        };
        let image: &mut ImageVolumeStatus = mount
            .volume_status
            .get_or_insert_default()
            .image
            .get_or_insert_default();
        if image.image_ref != image_ref {
            image.image_ref = image_ref.to_owned();
            changed = true;
        }
    }
    changed
}
