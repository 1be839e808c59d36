//! What Kubernetes checks before it accepts a pod (pkg/apis/core/validation/validation.go). Runs on a defaulted pod and
//! finds everything, not only the first. One noun a file.

mod container;
mod env;
mod handler;
mod meta;
mod mount;
pub(super) mod name;
mod network;
mod object;
mod os;
mod pod;
mod port;
mod resources;
mod restart;
#[cfg(test)]
mod rows;
mod scheduling;
mod security;
mod volume;

use std::fmt;

use super::errors::{ErrorType, FieldError};
use super::path::Path;

/// Everything that is wrong with a pod.
pub(super) fn pod(pod: &super::pod::Pod) -> Vec<FieldError> {
    let mut findings = Findings(Vec::new());
    let at = Path::Field(&Path::Root, "metadata");
    meta::meta(&pod.metadata, &at, &mut findings);
    meta::of_pod(pod, &at, &mut findings);
    let at = Path::Field(&Path::Root, "spec");
    pod::spec(&pod.spec, &at, &mut findings);
    volume::claims(pod, &at.field("volumes"), &mut findings);
    findings.0
}

/// Everything that is wrong with a ConfigMap or Secret.
pub(super) fn object(object: &super::objects::Object) -> Vec<FieldError> {
    let mut findings = Findings(Vec::new());
    object::object(object, &mut findings);
    findings.0
}

/// What has been found.
struct Findings(Vec<FieldError>);

impl Findings {
    fn required(&mut self, at: Path<'_>, detail: impl Into<String>) {
        self.0
            .push(FieldError::new(at, ErrorType::Required, detail));
    }

    fn invalid(&mut self, at: Path<'_>, value: impl fmt::Display, detail: impl Into<String>) {
        self.0
            .push(FieldError::new(at, ErrorType::Invalid, detail).of_value(value));
    }

    fn unsupported(&mut self, at: Path<'_>, value: impl fmt::Display, known: &[&str]) {
        let detail = format!("use {}", one_of(known));
        self.0
            .push(FieldError::new(at, ErrorType::NotSupported, detail).of_value(value));
    }

    fn forbidden(&mut self, at: Path<'_>, detail: impl Into<String>) {
        self.0
            .push(FieldError::new(at, ErrorType::Forbidden, detail));
    }

    fn duplicate(&mut self, at: Path<'_>, value: impl fmt::Display, detail: impl Into<String>) {
        self.0
            .push(FieldError::new(at, ErrorType::Duplicate, detail).of_value(value));
    }

    fn not_found(&mut self, at: Path<'_>, value: impl fmt::Display, detail: impl Into<String>) {
        self.0
            .push(FieldError::new(at, ErrorType::NotFound, detail).of_value(value));
    }

    fn too_many(&mut self, at: Path<'_>, most: usize) {
        self.0.push(FieldError::new(
            at,
            ErrorType::TooMany,
            format!("at most {most}"),
        ));
    }

    /// A name by one of the grammars of [`name`].
    fn name(&mut self, at: Path<'_>, value: &str, grammar: fn(&str) -> Option<&'static str>) {
        if let Some(detail) = grammar(value) {
            self.invalid(at, value, detail);
        }
    }

    /// The same, where empty is required instead of invalid.
    fn required_name(
        &mut self,
        at: Path<'_>,
        value: &str,
        grammar: fn(&str) -> Option<&'static str>,
    ) {
        if value.is_empty() {
            self.required(at, "a name");
        } else {
            self.name(at, value, grammar);
        }
    }

    /// A word of an enum that has to be a known one. `Other` holds the rest.
    fn known(&mut self, at: Path<'_>, word: &str, known: &[&str]) {
        if !known.contains(&word) {
            self.unsupported(at, word, known);
        }
    }

    fn required_known(&mut self, at: Path<'_>, word: Option<&str>, known: &[&str]) {
        match word {
            None | Some("") => self.required(at, one_of(known)),
            Some(word) => self.known(at, word, known),
        }
    }
}

/// "a, b or c".
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The text of a field where absent and empty are the same.
fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}
