//! Name, namespace, labels, annotations.

use super::super::meta::ObjectMeta;
use super::super::path::Path;
use super::super::pod::Pod;
use super::{Findings, name, text};

/// All annotations together.
const ANNOTATIONS_MAX: usize = 256 << 10;

pub(super) fn meta(meta: &ObjectMeta, at: &Path<'_>, found: &mut Findings) {
    let start = text(&meta.generate_name);
    if !start.is_empty() {
        // The server adds five letters; a start may end where a name may not.
        let start = start.strip_suffix('-').unwrap_or(start);
        found.name(at.field("generateName"), start, name::subdomain);
    }
    match text(&meta.name) {
        "" if start.is_empty() => found.required(at.field("name"), "a name"),
        "" => found.required(
            at.field("name"),
            "podlife does not make names up from generateName",
        ),
        own => found.name(at.field("name"), own, name::subdomain),
    }
    if let Some(generation) = meta.generation.filter(|&generation| generation < 0) {
        found.invalid(
            at.field("generation"),
            generation,
            "it must not be negative",
        );
    }
    found.required_name(at.field("namespace"), text(&meta.namespace), name::label);
    for (key, value) in &meta.labels {
        found.name(at.field("labels"), key, name::qualified);
        found.name(at.field("labels"), value, name::label_value);
    }
    annotations(meta, at, found);
    owners(meta, &at.field("ownerReferences"), found);
    finalizers(&meta.finalizers, at.field("finalizers"), found);
}

fn owners(meta: &ObjectMeta, list: &Path<'_>, found: &mut Findings) {
    for (i, owner) in meta.owner_references.iter().enumerate() {
        let at = list.index(i);
        let fields = [
            ("apiVersion", &owner.api_version),
            ("kind", &owner.kind),
            ("name", &owner.name),
            ("uid", &owner.uid),
        ];
        for (field, value) in fields {
            if value.is_empty() {
                found.invalid(at.field(field), value, "it must not be empty");
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            found.invalid(at, "Event", "an event owns nothing");
        }
    }
    let mut owners = meta.owner_references.iter();
    let mut controllers = owners
        .by_ref()
        .filter(|owner| owner.controller == Some(true));
    if let (Some(_), Some(second)) = (controllers.next(), controllers.next()) {
        found.invalid(*list, &second.name, "an object has one controller");
    }
}

/// Those without a domain that Kubernetes itself works off.
const FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

fn finalizers(finalizers: &[String], at: Path<'_>, found: &mut Findings) {
    for (i, finalizer) in finalizers.iter().enumerate() {
        found.name(at, finalizer, name::qualified);
        if !finalizer.contains('/') && !FINALIZERS.contains(&finalizer.as_str()) {
            let detail = "use a name with a domain";
            found.invalid(at.index(i), finalizer, detail);
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "dependents are orphaned or deleted, not both";
        found.invalid(at, "orphan", detail);
    }
}

const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Annotations that mean something for a pod.
pub(super) fn of_pod(pod: &Pod, at: &Path<'_>, found: &mut Findings) {
    let list = at.field("annotations");
    let annotations = &pod.metadata.annotations;
    if let Some(value) = annotations.get(MIRROR)
        && text(&pod.spec.node_name).is_empty()
    {
        found.invalid(list.key(MIRROR), value, "a mirror pod has a spec.nodeName");
    }
    if let Some(cost) = annotations.get(DELETION_COST)
        && !is_plain_number(cost)
    {
        let detail = "use a number of 32 bits, without plus sign and leading zeros";
        found.invalid(list.key(DELETION_COST), cost, detail);
    }
}

fn is_plain_number(text: &str) -> bool {
    text.parse::<i32>()
        .is_ok_and(|number| number.to_string() == text)
}

fn annotations(meta: &ObjectMeta, at: &Path<'_>, found: &mut Findings) {
    for key in meta.annotations.keys() {
        // Annotation keys are more liberal than label keys: their case is not looked at.
        if let Some(detail) = name::qualified(&key.to_lowercase()) {
            found.invalid(at.field("annotations"), key, detail);
        }
    }
    let size: usize = meta
        .annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > ANNOTATIONS_MAX {
        found.0.push(super::FieldError::new(
            at.field("annotations"),
            super::ErrorType::TooLong,
            format!("{size} bytes, where at most {ANNOTATIONS_MAX} are allowed"),
        ));
    }
}
