//! Volumes, by the words that kubectl has for their types.

use super::page::Page;
use super::shown;
use crate::model::{
    DownwardApiVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, ProjectedVolumeSource,
    Quantity, Volume, VolumeProjection,
};

pub(super) fn volumes(page: &mut Page, volumes: &[Volume]) {
    let none = if volumes.is_empty() { "\t<none>" } else { "" };
    page.line(0, format_args!("Volumes:{none}"));
    for one in volumes {
        page.line(1, format_args!("{}:", one.name));
        volume(page, one);
    }
}

fn volume(page: &mut Page, volume: &Volume) {
    if let Some(source) = &volume.host_path {
        host_path(page, source);
    } else if let Some(source) = &volume.empty_dir {
        empty_dir(page, source);
    } else if let Some(source) = &volume.secret {
        type_(page, "Secret (a volume populated by a Secret)");
        page.line(
            2,
            format_args!("SecretName:\t{}", shown(&source.secret_name)),
        );
        optional(page, source.optional);
    } else if let Some(source) = &volume.config_map {
        type_(page, "ConfigMap (a volume populated by a ConfigMap)");
        page.line(2, format_args!("Name:\t{}", source.name));
        optional(page, source.optional);
    } else if let Some(source) = &volume.downward_api {
        downward(page, source);
    } else if let Some(source) = &volume.projected {
        projected(page, source);
    } else {
        elsewhere(page, volume);
    }
}

fn type_(page: &mut Page, words: &str) {
    page.line(2, format_args!("Type:\t{words}"));
}

fn optional(page: &mut Page, optional: Option<bool>) {
    page.line(2, format_args!("Optional:\t{}", optional == Some(true)));
}

fn host_path(page: &mut Page, source: &HostPathVolumeSource) {
    type_(page, "HostPath (bare host directory volume)");
    let must_be = source
        .type_
        .as_ref()
        .map_or("<none>", |type_| type_.as_str());
    page.line(2, format_args!("Path:\t{}", source.path));
    page.line(2, format_args!("HostPathType:\t{must_be}"));
}

fn empty_dir(page: &mut Page, source: &EmptyDirVolumeSource) {
    type_(
        page,
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
    );
    let limit = source.size_limit.filter(|limit| *limit > Quantity::ZERO);
    let limit = limit.map_or("<unset>".to_owned(), |limit| limit.to_string());
    let medium = source.medium.as_ref().map_or("", |medium| medium.as_str());
    page.line(2, format_args!("Medium:\t{medium}"));
    page.line(2, format_args!("SizeLimit:\t{limit}"));
}

fn downward(page: &mut Page, source: &DownwardApiVolumeSource) {
    type_(
        page,
        "DownwardAPI (a volume populated by information about the pod)",
    );
    page.line(2, "Items:");
    for item in &source.items {
        let field = item.field_ref.as_ref().map(|field| &field.field_path);
        let resource = item
            .resource_field_ref
            .as_ref()
            .map(|field| &field.resource);
        for from in field.into_iter().chain(resource) {
            page.line(3, format_args!("{from} -> {}", item.path));
        }
    }
}

fn projected(page: &mut Page, source: &ProjectedVolumeSource) {
    type_(
        page,
        "Projected (a volume that contains injected data from multiple sources)",
    );
    source.sources.iter().for_each(|one| projection(page, one));
}

fn projection(page: &mut Page, one: &VolumeProjection) {
    if let Some(secret) = &one.secret {
        page.line(2, format_args!("SecretName:\t{}", secret.name));
        optional(page, secret.optional);
    } else if one.downward_api.is_some() {
        page.line(2, "DownwardAPI:\ttrue");
    } else if let Some(map) = &one.config_map {
        page.line(2, format_args!("ConfigMapName:\t{}", map.name));
        optional(page, map.optional);
    } else if let Some(token) = &one.service_account_token {
        let seconds = token.expiration_seconds.unwrap_or(3600);
        page.line(2, format_args!("TokenExpirationSeconds:\t{seconds}"));
    }
}

/// What a Node does not run, but a manifest may have.
fn elsewhere(page: &mut Page, volume: &Volume) {
    if let Some(nfs) = &volume.nfs {
        type_(page, "NFS (an NFS mount that lasts the lifetime of a pod)");
        page.line(2, format_args!("Server:\t{}", nfs.server));
        page.line(2, format_args!("Path:\t{}", nfs.path));
        page.line(
            2,
            format_args!("ReadOnly:\t{}", nfs.read_only == Some(true)),
        );
    } else if let Some(claim) = &volume.persistent_volume_claim {
        type_(
            page,
            "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        );
        page.line(2, format_args!("ClaimName:\t{}", claim.claim_name));
        page.line(
            2,
            format_args!("ReadOnly:\t{}", claim.read_only == Some(true)),
        );
    } else if let Some(image) = &volume.image {
        type_(page, "Image (a container image or OCI artifact)");
        let policy = image
            .pull_policy
            .as_ref()
            .map_or("", |policy| policy.as_str());
        page.line(2, format_args!("Reference:\t{}", shown(&image.reference)));
        page.line(2, format_args!("PullPolicy:\t{policy}"));
    } else {
        page.line(1, "<unknown>");
    }
}
