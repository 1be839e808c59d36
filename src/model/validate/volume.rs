//! Volumes and their sources.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::container::PullPolicy;
use super::super::path::Path;
use super::super::pod::Pod;
use super::super::volume::{
    ClusterTrustBundleProjection, DownwardApiVolumeFile, HostPathType, HostPathVolumeSource,
    KeyToPath, PodCertificateProjection, ProjectedVolumeSource, ServiceAccountTokenProjection,
    Volume, VolumeProjection,
};
use super::{Findings, env, name, scheduling, text};

pub(super) fn volumes(volumes: &[Volume], at: &Path<'_>, found: &mut Findings) {
    let mut names = BTreeSet::new();
    for (i, volume) in volumes.iter().enumerate() {
        let at = at.index(i);
        sources(volume, &at, found);
        found.required_name(at.field("name"), &volume.name, name::label);
        if !volume.name.is_empty() && !names.insert(&volume.name) {
            found.duplicate(
                at.field("name"),
                &volume.name,
                "each volume has its own name",
            );
        }
    }
}

/// The first source is checked, those after it are too many.
fn sources(volume: &Volume, at: &Path<'_>, found: &mut Findings) {
    let mut present = volume.sources();
    let Some(first) = present.next() else {
        return found.required(*at, "a volume needs a source, such as emptyDir");
    };
    source(volume, first, &at.field(first), found);
    for field in present {
        found.forbidden(
            at.field(field),
            format!("the volume has a source already: {first}"),
        );
    }
}

fn source(volume: &Volume, field: &str, at: &Path<'_>, found: &mut Findings) {
    match field {
        "emptyDir" => {
            let limit = volume
                .empty_dir
                .as_ref()
                .and_then(|source| source.size_limit);
            if limit.is_some_and(|limit| limit.is_negative()) {
                found.forbidden(at.field("sizeLimit"), "it must not be negative");
            }
        }
        "hostPath" => volume
            .host_path
            .iter()
            .for_each(|source| host_path(source, at, found)),
        "secret" => volume.secret.iter().for_each(|source| {
            object(text(&source.secret_name), "secretName", at, found);
            mode(source.default_mode, at.field("defaultMode"), found);
            items(&source.items, &at.field("items"), found);
        }),
        "configMap" => volume.config_map.iter().for_each(|source| {
            object(&source.name, "name", at, found);
            mode(source.default_mode, at.field("defaultMode"), found);
            items(&source.items, &at.field("items"), found);
        }),
        "downwardAPI" => volume.downward_api.iter().for_each(|source| {
            mode(source.default_mode, at.field("defaultMode"), found);
            files(&source.items, &at.field("items"), found);
        }),
        "projected" => volume
            .projected
            .iter()
            .for_each(|source| projected(source, at, found)),
        "persistentVolumeClaim" => {
            volume
                .persistent_volume_claim
                .iter()
                .for_each(|source| object(&source.claim_name, "claimName", at, found));
        }
        "nfs" => volume.nfs.iter().for_each(|source| {
            object(&source.server, "server", at, found);
            object(&source.path, "path", at, found);
            if !source.path.starts_with('/') {
                found.invalid(at.field("path"), &source.path, "use an absolute path");
            }
        }),
        "image" => volume.image.iter().for_each(|source| {
            object(text(&source.reference), "reference", at, found);
            let policy = source.pull_policy.as_ref().map(PullPolicy::as_str);
            found.required_known(at.field("pullPolicy"), policy, PullPolicy::KNOWN);
        }),
        _ => foreign(volume, field, at, found),
    }
}

/// What a source of a cluster cannot be without. It is held as it came; a Node refuses it.
const FOREIGN: &[(&str, &[&str])] = &[
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("azureFile", &["secretName", "shareName"]),
    ("cephfs", &["monitors"]),
    ("cinder", &["volumeID"]),
    ("csi", &["driver"]),
    ("ephemeral", &["volumeClaimTemplate"]),
    ("flexVolume", &["driver"]),
    ("gcePersistentDisk", &["pdName"]),
    ("gitRepo", &["repository"]),
    ("glusterfs", &["endpoints", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("quobyte", &["registry", "volume"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("storageos", &["volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

fn foreign(volume: &Volume, field: &str, at: &Path<'_>, found: &mut Findings) {
    let Some((_, required)) = FOREIGN.iter().find(|(source, _)| *source == field) else {
        return;
    };
    let source = serde_json::to_value(volume).unwrap_or_default()[field].take();
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    for field in required.iter().filter(|field| is_empty(&source[**field])) {
        found.required(at.field(field), "it must not be empty");
    }
}

/// A claim that is made for an ephemeral volume has a name of its own, which no other volume claims.
pub(super) fn claims(pod: &Pod, at: &Path<'_>, found: &mut Findings) {
    let volumes = &pod.spec.volumes;
    let Some(pod) = pod.metadata.name.as_deref().filter(|name| !name.is_empty()) else {
        return;
    };
    let made = volumes.iter().filter(|volume| volume.ephemeral.is_some());
    let made: BTreeSet<String> = made
        .map(|volume| format!("{pod}-{}", volume.name))
        .collect();
    for (i, volume) in volumes.iter().enumerate() {
        let at = at.index(i);
        if volume.ephemeral.is_some() && !volume.name.is_empty() {
            let name = format!("{pod}-{}", volume.name);
            found.name(at.field("name"), &name, name::subdomain);
        }
        if let Some(source) = &volume.persistent_volume_claim
            && made.contains(&source.claim_name)
        {
            let at = at.field("persistentVolumeClaim");
            let detail = "this claim is made for an ephemeral volume of the pod";
            found.invalid(at.field("claimName"), &source.claim_name, detail);
        }
    }
}

fn object(name: &str, field: &'static str, at: &Path<'_>, found: &mut Findings) {
    if name.is_empty() {
        found.required(at.field(field), "it must not be empty");
    }
}

fn host_path(source: &HostPathVolumeSource, at: &Path<'_>, found: &mut Findings) {
    if source.path.is_empty() {
        return found.required(at.field("path"), "a path of the host");
    }
    found.name(at.field("path"), &source.path, name::path_without_backsteps);
    if let Some(sort) = &source.type_ {
        found.known(at.field("type"), sort.as_str(), HostPathType::KNOWN);
    }
}

fn mode(mode: Option<i32>, at: Path<'_>, found: &mut Findings) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        found.invalid(at, mode, "use 0 to 0777 (octal), which is 0 to 511");
    }
}

fn items(items: &[KeyToPath], at: &Path<'_>, found: &mut Findings) {
    for (i, item) in items.iter().enumerate() {
        let at = at.index(i);
        object(&item.key, "key", &at, found);
        path(&item.path, at.field("path"), found);
        mode(item.mode, at.field("mode"), found);
    }
}

fn path(path: &str, at: Path<'_>, found: &mut Findings) {
    if path.is_empty() {
        found.required(at, "a path in the volume");
    } else {
        found.name(at, path, name::file_path);
    }
}

fn files(files: &[DownwardApiVolumeFile], at: &Path<'_>, found: &mut Findings) {
    for (i, file) in files.iter().enumerate() {
        let at = at.index(i);
        path(&file.path, at.field("path"), found);
        match (&file.field_ref, &file.resource_field_ref) {
            (Some(_), Some(_)) => found.invalid(
                at,
                "resource",
                "a file has a fieldRef or a resourceFieldRef, not both",
            ),
            (Some(selector), None) => {
                env::field_ref(selector, env::FILE_FIELDS, &at.field("fieldRef"), found)
            }
            (None, Some(selector)) => {
                env::resource_field_ref(selector, true, &at.field("resourceFieldRef"), found)
            }
            (None, None) => found.required(at, "a file needs a fieldRef or a resourceFieldRef"),
        }
        mode(file.mode, at.field("mode"), found);
    }
}

fn projected(source: &ProjectedVolumeSource, at: &Path<'_>, found: &mut Findings) {
    mode(source.default_mode, at.field("defaultMode"), found);
    let list = at.field("sources");
    let mut written = BTreeSet::new();
    for (i, projection) in source.sources.iter().enumerate() {
        let sources = one_projection(projection, &list.index(i), found);
        if sources > 1 {
            found.forbidden(
                list.index(i),
                "each source of a projected volume has its own element of the list",
            );
        }
        for path in paths(projection) {
            if !path.is_empty() && !written.insert(path) {
                found.invalid(*at, path, "two sources write the same path");
            }
        }
    }
}

/// The paths a projection says it writes.
fn paths(projection: &VolumeProjection) -> impl Iterator<Item = &str> {
    let secret = projection
        .secret
        .iter()
        .flat_map(|source| &source.items)
        .map(|item| &item.path);
    let config = projection
        .config_map
        .iter()
        .flat_map(|source| &source.items)
        .map(|item| &item.path);
    let downward = projection
        .downward_api
        .iter()
        .flat_map(|source| &source.items)
        .map(|item| &item.path);
    let trust = projection
        .cluster_trust_bundle
        .iter()
        .map(|source| &source.path);
    let certificate = projection.pod_certificate.iter().flat_map(|source| {
        [
            &source.credential_bundle_path,
            &source.key_path,
            &source.certificate_chain_path,
        ]
        .into_iter()
        .flatten()
    });
    secret
        .chain(config)
        .chain(downward)
        .chain(trust)
        .chain(certificate)
        .map(String::as_str)
}

/// How many sources it has; each is checked.
fn one_projection(projection: &VolumeProjection, at: &Path<'_>, found: &mut Findings) -> usize {
    let mut sources = 0;
    if let Some(source) = &projection.secret {
        sources += 1;
        let at = at.field("secret");
        object(&source.name, "name", &at, found);
        items(&source.items, &at.field("items"), found);
    }
    if let Some(source) = &projection.config_map {
        sources += 1;
        let at = at.field("configMap");
        object(&source.name, "name", &at, found);
        items(&source.items, &at.field("items"), found);
    }
    if let Some(source) = &projection.downward_api {
        sources += 1;
        let at = at.field("downwardAPI");
        files(&source.items, &at.field("items"), found);
    }
    if let Some(source) = &projection.service_account_token {
        sources += 1;
        token(source, &at.field("serviceAccountToken"), found);
    }
    if let Some(source) = &projection.cluster_trust_bundle {
        sources += 1;
        trust_bundle(source, &at.field("clusterTrustBundle"), found);
    }
    if let Some(source) = &projection.pod_certificate {
        sources += 1;
        certificate(source, &at.field("podCertificate"), found);
    }
    sources
}

fn token(source: &ServiceAccountTokenProjection, at: &Path<'_>, found: &mut Findings) {
    let seconds = source.expiration_seconds.unwrap_or(0);
    if !(600..=1 << 32).contains(&seconds) {
        found.invalid(
            at.field("expirationSeconds"),
            seconds,
            "use 600 (10 minutes) to 4294967296",
        );
    }
    path(&source.path, at.field("path"), found);
}

fn trust_bundle(source: &ClusterTrustBundleProjection, at: &Path<'_>, found: &mut Findings) {
    match (&source.name, &source.signer_name) {
        (Some(_), Some(_)) => found.invalid(*at, "", "it has a name or a signerName, not both"),
        (None, None) => found.required(*at, "it needs a name or a signerName"),
        (Some(own), None) => {
            object(own, "name", at, found);
            if source.label_selector.is_some() {
                found.invalid(at.field("labelSelector"), "", "it goes with signerName");
            }
        }
        (None, Some(signer)) => {
            object(signer, "signerName", at, found);
            let list = at.field("labelSelector");
            scheduling::selector(source.label_selector.as_ref(), &list, found);
        }
    }
    path(&source.path, at.field("path"), found);
}

fn certificate(source: &PodCertificateProjection, at: &Path<'_>, found: &mut Findings) {
    object(text(&source.signer_name), "signerName", at, found);
    object(text(&source.key_type), "keyType", at, found);
    let files = [
        ("credentialBundlePath", &source.credential_bundle_path),
        ("keyPath", &source.key_path),
        ("certificateChainPath", &source.certificate_chain_path),
    ];
    for (field, file) in files {
        if !text(file).is_empty() {
            found.name(at.field(field), text(file), name::file_path);
        }
    }
    if files.iter().all(|(_, file)| text(file).is_empty()) {
        found.required(*at, "it needs a path to write to");
    }
}
