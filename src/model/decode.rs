//! From a JSON tree to a type. When it does not fit, everything that does not is found, not only the first.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::errors::{ErrorType, Errors, FieldError};
use super::path::{Step, write_steps};

/// Reads `tree` as a `T`. Errors come without a position.
pub(super) fn read<T: DeserializeOwned>(tree: Value) -> Result<T, Errors> {
    match T::deserialize(&tree) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errors(misfits::<T>(tree))),
    }
}

/// More are not looked for.
const MOST: usize = 20;

/// Reads again and again, each time without what did not fit before.
fn misfits<T: DeserializeOwned>(mut tree: Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    while errors.len() < MOST {
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&tree) else {
            break;
        };
        let mut steps = steps_of(error.path());
        let error = misfit(&mut steps, &error.into_inner().to_string());
        errors.push(error);
        if !remove(&mut tree, &steps) {
            break;
        }
    }
    errors
}

fn steps_of(path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Name(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}

/// Turns serde's sentence into ours. serde has no other way to say what it found.
fn misfit(steps: &mut Vec<Step>, sentence: &str) -> FieldError {
    if let Some(rest) = sentence.strip_prefix("unknown field `") {
        let (name, rest) = rest.split_once('`').unwrap_or((rest, ""));
        if steps.last() != Some(&Step::Name(name.to_owned())) {
            steps.push(Step::Name(name.to_owned()));
        }
        return FieldError::new(write_steps(steps), ErrorType::Unknown, hint(name, rest));
    }
    let field = write_steps(steps);
    if let Some((found, wanted)) = split_type(sentence) {
        let quotes = wanted == "a string" && !found.starts_with(['m', 's']);
        let cure = if quotes { "; put it in quotes" } else { "" };
        let detail = format!("{wanted} is expected, not {found}{cure}");
        return FieldError::new(field, ErrorType::TypeInvalid, detail);
    }
    FieldError::new(field, ErrorType::Invalid, sentence)
}

/// "invalid type: FOUND, expected WANTED", in words for people.
fn split_type(sentence: &str) -> Option<(String, String)> {
    let rest = sentence
        .strip_prefix("invalid type: ")
        .or_else(|| sentence.strip_prefix("invalid value: "))?;
    let (found, wanted) = rest.rsplit_once(", expected ")?;
    let found = match found.split_once(' ') {
        _ if found == "map" => "a mapping".to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        Some(("string", text)) => format!("the string {text}"),
        Some(("boolean", text)) => format!("the boolean {}", text.trim_matches('`')),
        Some(("integer" | "floating", text)) => {
            format!(
                "the number {}",
                text.trim_start_matches("point ").trim_matches('`')
            )
        }
        _ => found.to_owned(),
    };
    let wanted = match wanted {
        "a map" => "a mapping".to_owned(),
        "a sequence" => "a list".to_owned(),
        "i32" | "i64" | "u32" | "u64" => "an integer".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.to_owned(),
    };
    Some((found, wanted))
}

/// What a name that is not known may have been meant to be. `rest` lists the known ones in backticks.
fn hint(name: &str, rest: &str) -> String {
    let known = rest.split('`').skip(1).step_by(2);
    let nearest = known.map(|field| (distance(name, field), field)).min();
    match nearest {
        Some((distance, field)) if distance <= 1 + name.len() / 4 => {
            format!("did you mean {field}?")
        }
        _ => "Kubernetes has no such field here; a field of this name may belong elsewhere"
            .to_owned(),
    }
}

/// Edits (insert, remove, replace a letter) from one name to another, whatever their case.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let replace = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// Takes the field at `steps` out of the tree; an element takes its list with it. False if there is no field.
fn remove(tree: &mut Value, steps: &[Step]) -> bool {
    let Some(last) = steps.iter().rposition(|step| matches!(step, Step::Name(_))) else {
        return false;
    };
    let mut at = tree;
    for step in &steps[..last] {
        let next = match step {
            Step::Name(name) => at.get_mut(name.as_str()),
            Step::Index(index) => at.get_mut(*index),
        };
        let Some(next) = next else { return false };
        at = next;
    }
    match (at, &steps[last]) {
        (Value::Object(fields), Step::Name(name)) => fields.remove(name).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pod;
    use serde_json::json;

    #[test]
    fn everything_that_does_not_fit_is_found() {
        let tree = json!({"spec": {
            "hostNetwork": "yes", "nodeSelecter": {},
            "containers": [{"name": 7, "imge": "x", "resources": {"limits": {"memory": "64MB?"}}}],
            "volumes": [{"emptyDir": {"sizeLimit": []}}],
        }});
        let errors: Vec<String> = read::<Pod>(tree)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        for expected in [
            "spec.hostNetwork: wrong type: a boolean is expected, not the string \"yes\"",
            "spec.nodeSelecter: unknown field: did you mean nodeSelector?",
            "spec.containers[0].name: wrong type: a string is expected, not the number 7; put it in quotes",
            "spec.containers[0].imge: unknown field: did you mean image?",
        ] {
            assert!(
                errors.iter().any(|error| error == expected),
                "{expected}\n{errors:#?}"
            );
        }
        assert!(
            errors.iter().any(
                |e| e.starts_with("spec.containers[0].resources.limits[memory]: invalid value")
            ),
            "{errors:#?}"
        );
        assert_eq!(errors.len(), 6, "{errors:#?}");
    }
}
