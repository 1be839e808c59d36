//! What a pod's fields hold once Kubernetes' defaults are filled in.

use podlife::model::Pod;
use podlife::model::quantity::Quantity;
use serde_json::{Map, Value, json};

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let pod = case.read::<Pod>("pod").defaulted();
    let pod = serde_json::to_value(pod).expect("a pod is JSON");
    let Some(fields) = case.expect["fields"].as_object() else {
        return Answer::Judged(false, json!("a case without expect.fields"));
    };
    let got: Map<String, Value> = fields
        .keys()
        .map(|path| (path.clone(), find(&pod, path).clone()))
        .collect();
    let right = !fields.is_empty()
        && fields
            .iter()
            .all(|(path, expected)| holds(path, expected, &got[path]));
    Answer::Judged(right, json!({ "fields": got }))
}

/// The value at `spec.containers[0].name`; null if there is none. After `requests.` and `limits.` comes one key.
fn find<'v>(pod: &'v Value, path: &str) -> &'v Value {
    let mut at = pod;
    let mut rest = path;
    while !rest.is_empty() {
        let (part, after) = rest.split_once('.').unwrap_or((rest, ""));
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) => (name, index.parse::<usize>().ok()),
            None => (part, None),
        };
        at = &at[name];
        at = index.map_or(at, |index| &at[index]);
        rest = after;
        if matches!(name, "requests" | "limits") && !rest.is_empty() {
            return &at[rest];
        }
    }
    at
}

fn holds(path: &str, expected: &Value, got: &Value) -> bool {
    let empty = match got {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if expected["absentOrZero"] == true {
        return empty || *got == json!(0);
    }
    if expected["absentOrEmpty"] == true {
        return empty;
    }
    if path.contains(".requests.") || path.contains(".limits.") {
        let amount = |value: &Value| {
            value
                .as_str()
                .and_then(|text| text.parse::<Quantity>().ok())
        };
        return amount(got).is_some() && amount(got) == amount(expected);
    }
    got == expected
}
