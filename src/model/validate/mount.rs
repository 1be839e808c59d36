//! Where a container sees volumes and devices.

use std::collections::BTreeSet;

use super::super::container::{Container, MountPropagation, RecursiveReadOnly, VolumeMount};
use super::super::path::Path;
use super::super::volume::Volume;
use super::{Findings, name, text};

pub(super) fn mounts(
    container: &Container,
    volumes: &[Volume],
    at: &Path<'_>,
    found: &mut Findings,
) {
    let mut paths = BTreeSet::new();
    let privileged = container
        .security_context
        .as_ref()
        .is_some_and(|context| context.privileged == Some(true));
    for (i, mount) in container.volume_mounts.iter().enumerate() {
        let at = at.index(i);
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        if mount.name.is_empty() {
            found.required(at.field("name"), "the name of a volume");
        } else if volume.is_none() {
            found.not_found(
                at.field("name"),
                &mount.name,
                "spec.volumes has no volume of this name",
            );
        }
        if container
            .volume_devices
            .iter()
            .any(|device| device.name == mount.name)
        {
            found.invalid(
                at.field("name"),
                &mount.name,
                "volumeDevices has it already",
            );
        }
        if mount.mount_path.is_empty() {
            found.required(at.field("mountPath"), "a path in the container");
        } else if container
            .volume_devices
            .iter()
            .any(|device| device.device_path == mount.mount_path)
        {
            found.invalid(
                at.field("mountPath"),
                &mount.mount_path,
                "volumeDevices has it already",
            );
        }
        if !paths.insert(&mount.mount_path) {
            found.invalid(
                at.field("mountPath"),
                &mount.mount_path,
                "another mount of the container has it",
            );
        }
        sub_path(mount, &at, found);
        propagation(mount, privileged, at.field("mountPropagation"), found);
        recursive_read_only(mount, at.field("recursiveReadOnly"), found);
    }
}

fn sub_path(mount: &VolumeMount, at: &Path<'_>, found: &mut Findings) {
    let (literal, expression) = (text(&mount.sub_path), text(&mount.sub_path_expr));
    if !literal.is_empty() {
        found.name(at.field("subPath"), literal, name::descending_path);
    }
    if !expression.is_empty() {
        if !literal.is_empty() {
            found.invalid(
                at.field("subPathExpr"),
                expression,
                "a mount has subPath or subPathExpr, not both",
            );
        }
        found.name(at.field("subPathExpr"), expression, name::descending_path);
    }
}

fn propagation(mount: &VolumeMount, privileged: bool, at: Path<'_>, found: &mut Findings) {
    let Some(mode) = &mount.mount_propagation else {
        return;
    };
    found.known(at, mode.as_str(), MountPropagation::KNOWN);
    if *mode == MountPropagation::Bidirectional && !privileged {
        found.forbidden(at, "Bidirectional is for privileged containers");
    }
}

fn recursive_read_only(mount: &VolumeMount, at: Path<'_>, found: &mut Findings) {
    let Some(mode) = &mount.recursive_read_only else {
        return;
    };
    found.known(at, mode.as_str(), RecursiveReadOnly::KNOWN);
    if *mode == RecursiveReadOnly::Disabled || !mode.is_known() {
        return;
    }
    if mount.read_only != Some(true) {
        found.forbidden(at, "it goes with readOnly: true");
    }
    if mount
        .mount_propagation
        .as_ref()
        .is_some_and(|mode| *mode != MountPropagation::None)
    {
        found.forbidden(at, "it goes with mountPropagation None");
    }
}

pub(super) fn devices(
    container: &Container,
    volumes: &[Volume],
    at: &Path<'_>,
    found: &mut Findings,
) {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (i, device) in container.volume_devices.iter().enumerate() {
        let at = at.index(i);
        let volume = volumes.iter().find(|volume| volume.name == device.name);
        if device.name.is_empty() {
            found.required(at.field("name"), "the name of a volume");
        } else if let Some(volume) = volume {
            if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() {
                found.invalid(
                    at.field("name"),
                    &device.name,
                    "only a claim's volume can be a device",
                );
            }
        } else {
            found.not_found(
                at.field("name"),
                &device.name,
                "spec.volumes has no volume of this name",
            );
        }
        if !names.insert(&device.name) {
            found.invalid(
                at.field("name"),
                &device.name,
                "another device of the container has it",
            );
        }
        let mut mounts = container.volume_mounts.iter();
        if mounts.clone().any(|mount| mount.name == device.name) {
            found.invalid(
                at.field("name"),
                &device.name,
                "volumeMounts has it already",
            );
        }
        if mounts.any(|mount| mount.mount_path == device.device_path) {
            found.invalid(
                at.field("devicePath"),
                &device.device_path,
                "volumeMounts has it already",
            );
        }
        if device.device_path.is_empty() {
            found.required(at.field("devicePath"), "a path in the container");
        } else {
            found.name(
                at.field("devicePath"),
                &device.device_path,
                name::path_without_backsteps,
            );
        }
        if !paths.insert(&device.device_path) {
            found.invalid(
                at.field("devicePath"),
                &device.device_path,
                "another device of the container has it",
            );
        }
    }
}
