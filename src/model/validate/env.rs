//! Environment variables and the references in them.

use super::super::env::{
    EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, ObjectFieldSelector,
    ResourceFieldSelector,
};
use super::super::field_path;
use super::super::path::Path;
use super::super::quantity::Quantity;
use super::{Findings, name, text};

pub(super) fn env(variables: &[EnvVar], at: &Path<'_>, found: &mut Findings) {
    for (i, variable) in variables.iter().enumerate() {
        let at = at.index(i);
        found.required_name(at.field("name"), &variable.name, name::variable);
        if let Some(from) = &variable.value_from {
            value_from(
                from,
                !text(&variable.value).is_empty(),
                &at.field("valueFrom"),
                found,
            );
        }
    }
}

fn value_from(from: &EnvVarSource, has_value: bool, at: &Path<'_>, found: &mut Findings) {
    let mut sources = 0;
    if let Some(selector) = &from.field_ref {
        sources += 1;
        field_ref(selector, ENV_FIELDS, &at.field("fieldRef"), found);
    }
    if let Some(selector) = &from.resource_field_ref {
        sources += 1;
        resource_field_ref(selector, false, &at.field("resourceFieldRef"), found);
    }
    if let Some(selector) = &from.config_map_key_ref {
        sources += 1;
        key(
            &selector.name,
            &selector.key,
            &at.field("configMapKeyRef"),
            found,
        );
    }
    if let Some(selector) = &from.secret_key_ref {
        sources += 1;
        key(
            &selector.name,
            &selector.key,
            &at.field("secretKeyRef"),
            found,
        );
    }
    if let Some(selector) = &from.file_key_ref {
        sources += 1;
        file_key(selector, &at.field("fileKeyRef"), found);
    }
    match sources {
        0 => found.invalid(
            *at,
            "",
            "name one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef or fileKeyRef",
        ),
        _ if has_value => found.invalid(*at, "", "a variable has a value or a valueFrom, not both"),
        1 => {}
        _ => found.invalid(*at, "", "a variable has one source"),
    }
}

fn key(object: &str, key: &str, at: &Path<'_>, found: &mut Findings) {
    found.name(at.field("name"), object, name::subdomain);
    found.required_name(at.field("key"), key, name::config_key);
}

fn file_key(selector: &FileKeySelector, at: &Path<'_>, found: &mut Findings) {
    found.required_name(at.field("key"), &selector.key, name::variable);
    found.required_name(at.field("volumeName"), &selector.volume_name, name::label);
    if selector.path.is_empty() {
        found.required(at.field("path"), "a file in the volume");
    } else {
        found.name(at.field("path"), &selector.path, name::file_path);
    }
}

pub(super) fn env_from(sources: &[EnvFromSource], at: &Path<'_>, found: &mut Findings) {
    for (i, source) in sources.iter().enumerate() {
        let at = at.index(i);
        let prefix = text(&source.prefix);
        if !prefix.is_empty() {
            found.name(at.field("prefix"), prefix, name::variable);
        }
        if let Some(source) = &source.config_map_ref {
            let at = at.field("configMapRef");
            found.required_name(at.field("name"), &source.name, name::subdomain);
        }
        if let Some(source) = &source.secret_ref {
            let at = at.field("secretRef");
            found.required_name(at.field("name"), &source.name, name::subdomain);
        }
        match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => found.invalid(at, "", "name one of configMapRef or secretRef"),
            (Some(_), Some(_)) => found.invalid(at, "", "name configMapRef or secretRef, not both"),
            _ => {}
        }
    }
}

/// What an environment variable can be told.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What a file can be told.
pub(super) const FILE_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// Paths of the API that a reference may name at all,
/// beside [`ENV_FIELDS`].
const API_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
];

pub(super) fn field_ref(
    selector: &ObjectFieldSelector,
    fields: &[&str],
    at: &Path<'_>,
    found: &mut Findings,
) {
    let path = selector.field_path.as_str();
    let field = at.field("fieldPath");
    match text(&selector.api_version) {
        "" => return found.required(at.field("apiVersion"), "v1"),
        "v1" => {}
        other => {
            return found.invalid(
                field,
                path,
                format!("there is no apiVersion {other} of a pod"),
            );
        }
    }
    if path.is_empty() {
        return found.required(field, "a path such as metadata.name");
    }
    if let Some((map, key)) = subscripted(path) {
        return match map {
            "metadata.annotations" => found.name(*at, &key.to_lowercase(), name::qualified),
            "metadata.labels" => found.name(*at, key, name::qualified),
            _ => found.invalid(
                field,
                path,
                "only metadata.annotations and metadata.labels have keys",
            ),
        };
    }
    let path = field_path::current(path);
    if ENV_FIELDS.contains(&path) || API_FIELDS.contains(&path) {
        found.known(field, path, fields);
    } else {
        found.invalid(field, path, "there is no such field");
    }
}

/// `path['key']` as path and key.
fn subscripted(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// The resources of a container that a reference may name.
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn resource_field_ref(
    selector: &ResourceFieldSelector,
    in_file: bool,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let resource = selector.resource.as_str();
    let hugepages = ["limits.hugepages-", "requests.hugepages-"]
        .iter()
        .any(|start| resource.starts_with(start));
    if in_file && text(&selector.container_name).is_empty() {
        found.required(
            at.field("containerName"),
            "in a volume it says which container is meant",
        );
    } else if resource.is_empty() {
        found.required(at.field("resource"), "a resource such as limits.memory");
    } else if !RESOURCES.contains(&resource) && !hugepages {
        found.unsupported(at.field("resource"), resource, RESOURCES);
    }
    divisor(resource, selector.divisor, hugepages, at, found);
}

const CPU_DIVISORS: &[&str] = &["1m", "1"];
const BYTE_DIVISORS: &[&str] = &[
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

fn divisor(
    resource: &str,
    divisor: Option<Quantity>,
    hugepages: bool,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let Some(divisor) = divisor.filter(|divisor| !divisor.is_zero()) else {
        return;
    };
    let allowed = match resource {
        "limits.cpu" | "requests.cpu" => CPU_DIVISORS,
        _ if hugepages || RESOURCES.contains(&resource) => BYTE_DIVISORS,
        _ => return,
    };
    let divisor = divisor.to_string();
    if !allowed.contains(&divisor.as_str()) {
        found.invalid(
            at.field("divisor"),
            divisor,
            format!("use {}", super::one_of(allowed)),
        );
    }
}
