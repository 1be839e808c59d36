//! From text to JSON trees, within bounds; and from errors back to the text.

use serde_json::Value;

use super::errors::{ErrorType, Errors, FieldError, Position};
use super::path::{Step, write_steps};
use super::tree::{TWICE, Tree};

/// How much text is read. What is larger is refused before any of it is built.
///
/// Nesting is bounded as well: 64 levels in YAML, 128 in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text; 4 MiB.
    pub bytes: usize,
    /// Values in it, aliases counted each time they are used; 100 000.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes: 4 << 20,
            nodes: 100_000,
        }
    }
}

impl Limits {
    pub(super) fn check(&self, text: &[u8]) -> Result<(), Errors> {
        if text.len() > self.bytes {
            let detail = format!(
                "{} bytes, where at most {} are read",
                text.len(),
                self.bytes
            );
            return Err(FieldError::new("", ErrorType::TooLarge, detail).into());
        }
        Ok(())
    }

    /// JSON has a value per comma or bracket, so a text with few bytes has few values.
    pub(super) fn check_json(&self, text: &[u8]) -> Result<(), Errors> {
        self.check(text)?;
        let nodes = || {
            text.iter()
                .filter(|byte| matches!(byte, b',' | b'[' | b'{'))
                .count()
        };
        if text.len() > self.nodes && nodes() > self.nodes {
            let detail = format!("more than {} values", self.nodes);
            return Err(FieldError::new("", ErrorType::TooLarge, detail).into());
        }
        Ok(())
    }
}

/// A part of a text: a document, or something in one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) steps: Vec<Step>,
}

/// Every document of a text: JSON if it reads as JSON, else YAML, which JSON is nearly a part of.
pub(super) fn trees(text: &str, limits: &Limits) -> Result<Vec<Value>, Errors> {
    let start = text.trim_start();
    if !start.starts_with('{') {
        return yaml_trees(text, limits);
    }
    json_trees(text.as_bytes(), limits).or_else(|error| {
        let meant_json = start[1..].trim_start().starts_with('"');
        yaml_trees(text, limits).map_err(|other| if meant_json { error } else { other })
    })
}

#[cfg(feature = "yaml")]
pub(super) fn yaml_trees(text: &str, limits: &Limits) -> Result<Vec<Value>, Errors> {
    limits.check(text.as_bytes())?;
    Ok(super::yaml::trees(text, limits)?)
}

#[cfg(not(feature = "yaml"))]
fn yaml_trees(_: &str, _: &Limits) -> Result<Vec<Value>, Errors> {
    let detail = "this is not JSON, and podlife was built without its feature `yaml`";
    Err(FieldError::new("", ErrorType::Syntax, detail).into())
}

/// Every JSON value of a text.
pub(super) fn json_trees(json: &[u8], limits: &Limits) -> Result<Vec<Value>, Errors> {
    limits.check_json(json)?;
    let trees = serde_json::Deserializer::from_slice(json).into_iter();
    let trees: Result<Vec<Value>, _> = trees.map(|tree| tree.map(|Tree(tree)| tree)).collect();
    trees.map_err(|error| {
        let sentence = error.to_string();
        let sentence = &sentence[..sentence.rfind(" at line ").unwrap_or(sentence.len())];
        let twice = sentence.ends_with(TWICE);
        let error_type = if twice {
            ErrorType::Duplicate
        } else {
            ErrorType::Syntax
        };
        let text = String::from_utf8_lossy(json);
        let position = Position::in_text(&text, error.line(), error.column());
        FieldError::new("", error_type, sentence)
            .at(Some(position))
            .into()
    })
}

/// Gives each error its place in the text, and its whole path where it is in a List.
pub(super) fn locate(
    errors: Vec<(Place, FieldError)>,
    text: &str,
    limits: &Limits,
) -> Vec<FieldError> {
    if errors.is_empty() {
        return Vec::new();
    }
    #[cfg(feature = "yaml")]
    let places = super::yaml::Places::of(text, limits);
    #[cfg(not(feature = "yaml"))]
    let _ = (text, limits);
    let located = errors.into_iter().map(|(mut place, mut error)| {
        let inside = !place.steps.is_empty();
        place.steps.extend(super::path::read_steps(&error.field));
        #[cfg(feature = "yaml")]
        if let Some(places) = &places {
            error.position = places.find(place.document, &place.steps, error.error_type);
        }
        if inside {
            error.field = write_steps(&place.steps);
        }
        error
    });
    let mut located: Vec<FieldError> = located.collect();
    located.sort_by_key(|error| error.position.as_ref().map(|at| (at.line, at.column)));
    located
}

/// The same for errors in the only document of a text.
pub(super) fn locate_one(errors: Errors, text: &str, limits: &Limits) -> Errors {
    let errors = errors.into_iter().map(|error| (Place::default(), error));
    Errors(locate(errors.collect(), text, limits))
}
