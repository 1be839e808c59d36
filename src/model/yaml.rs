//! From YAML text to JSON trees, and from a field back to its place in the text.
//!
//! Scalars are read as Kubernetes' tools read them (YAML 1.1: `yes` is a boolean, `0644` is octal). The text is walked
//! a second time, for places, only when there is an error to show.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Options, Spanned};

use super::errors::{ErrorType, FieldError, Position};
use super::path::Step;
use super::text::Limits;

/// Nesting deeper than this is refused.
const DEPTH: usize = 64;

/// Every document of the text that is not empty.
pub(super) fn trees(text: &str, limits: &Limits) -> Result<Vec<Value>, FieldError> {
    documents(text, limits).map_err(|error| syntax(text, &error, limits))
}

fn documents<T: for<'de> Deserialize<'de>>(
    text: &str,
    limits: &Limits,
) -> Result<Vec<T>, serde_saphyr::Error> {
    serde_saphyr::from_str_multiple_with_options::<T, Vec<T>>(text, options(limits))
}

fn options(limits: &Limits) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH,
            max_nodes: limits.nodes,
            max_events: limits.nodes.saturating_mul(4),
            max_recorded_anchor_events: limits.nodes,
            max_recorded_anchor_bytes: limits.bytes,
            max_total_scalar_bytes: limits.bytes,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.nodes,
        },
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

fn syntax(text: &str, error: &serde_saphyr::Error, limits: &Limits) -> FieldError {
    use serde_saphyr::Error;
    let position = error.location().map(|at| position(text, at));
    let error = match error {
        Error::AliasError { error, .. } => error,
        error => error,
    };
    let (error_type, detail) = match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (ErrorType::TooLarge, too_large(limits)),
        Error::DuplicateMappingKey { key: Some(key), .. } => (
            ErrorType::Duplicate,
            format!("the key {key} is there already"),
        ),
        error => (ErrorType::Syntax, sentence(error, position.as_ref())),
    };
    FieldError::new("", error_type, detail).at(position)
}

fn too_large(limits: &Limits) -> String {
    let nodes = limits.nodes;
    format!("at most {nodes} values are read, aliases expanded, nested at most {DEPTH} levels deep")
}

/// What the parser says, without the place, and with what it does not say.
fn sentence(error: &serde_saphyr::Error, position: Option<&Position>) -> String {
    let sentence = error.to_string();
    let end = sentence.rfind(" at line ").unwrap_or(sentence.len());
    let tab = position.is_some_and(|at| indented_by_tab(&at.source));
    let cure = match &sentence[..end] {
        _ if tab => "; YAML is indented with spaces, not tabs",
        "mapping values are not allowed in this context" => {
            "; check the indentation, and put text with a colon in it in quotes"
        }
        _ => "",
    };
    format!("{}{cure}", &sentence[..end])
}

fn indented_by_tab(line: &str) -> bool {
    let indent = line.len() - line.trim_start().len();
    line[..indent].contains('\t')
}

fn position(text: &str, at: serde_saphyr::Location) -> Position {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Position::in_text(text, number(at.line()), number(at.column()))
}

/// Where each field of a text is.
pub(super) struct Places<'t> {
    text: &'t str,
    documents: Vec<Spanned<Node>>,
}

impl<'t> Places<'t> {
    /// Walks the text. None if it is not YAML.
    pub(super) fn of(text: &'t str, limits: &Limits) -> Option<Places<'t>> {
        let documents = documents(text, limits).ok()?;
        Some(Places { text, documents })
    }

    /// Where the error's field is, in the given document: the key of an unknown field, the value of others, and for what
    /// is not there, what it is missing from.
    pub(super) fn find(
        &self,
        document: usize,
        steps: &[Step],
        error_type: ErrorType,
    ) -> Option<Position> {
        let mut value = self.documents.get(document)?;
        let mut found = value.referenced;
        for (at, step) in steps.iter().enumerate() {
            let Some((key, next)) = value.value.step(step) else {
                break;
            };
            let at_key = at + 1 == steps.len() && error_type == ErrorType::Unknown;
            let collection = !matches!(next.value, Node::Scalar);
            found = match key {
                Some(key) if at_key || collection => key.referenced,
                _ => next.referenced,
            };
            value = next;
        }
        Some(position(self.text, found))
    }
}

/// A document with the place of everything in it.
enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<Key>, Spanned<Node>)>),
}

impl Node {
    fn step(&self, step: &Step) -> Option<(Option<&Spanned<Key>>, &Spanned<Node>)> {
        match (self, step) {
            (Node::List(items), Step::Index(index)) => Some((None, items.get(*index)?)),
            (Node::Mapping(fields), Step::Name(name)) => {
                let (key, value) = fields.iter().find(|(key, _)| key.value.0 == *name)?;
                Some((Some(key), value))
            }
            _ => None,
        }
    }
}

/// A key; one that is not text is never looked for.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        String::deserialize(deserializer).map(Key)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key()? {
            fields.push((key, map.next_value()?));
        }
        Ok(Node::Mapping(fields))
    }
}
