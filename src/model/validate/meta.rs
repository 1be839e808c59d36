//! Name, namespace, labels, annotations.

use super::super::meta::ObjectMeta;
use super::super::path::Path;
use super::{Findings, name, text};

/// All annotations together.
const ANNOTATIONS_MAX: usize = 256 << 10;

pub(super) fn meta(meta: &ObjectMeta, at: &Path<'_>, found: &mut Findings) {
    match (text(&meta.name), text(&meta.generate_name)) {
        ("", "") => found.required(at.field("name"), "a name"),
        ("", start) => {
            // The server adds five letters; a start may end where a name may not.
            let start = start.strip_suffix('-').unwrap_or(start);
            found.name(at.field("generateName"), start, name::subdomain);
            found.required(
                at.field("name"),
                "podlife does not make names up from generateName",
            );
        }
        (own, _) => found.name(at.field("name"), own, name::subdomain),
    }
    found.required_name(at.field("namespace"), text(&meta.namespace), name::label);
    for (key, value) in &meta.labels {
        found.name(at.field("labels"), key, name::qualified);
        found.name(at.field("labels"), value, name::label_value);
    }
    annotations(meta, at, found);
    for (i, owner) in meta.owner_references.iter().enumerate() {
        let list = at.field("ownerReferences");
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
    }
    for finalizer in &meta.finalizers {
        found.name(at.field("finalizers"), finalizer, name::qualified);
    }
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
