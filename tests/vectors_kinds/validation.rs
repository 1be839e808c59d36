//! Which errors a pod has: a set of fields and types. The field `*` is any.

use std::collections::BTreeSet;

use podlife::model::{ErrorType, Errors, Pod};
use serde_json::{Value, json};

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let got: BTreeSet<(String, String)> = match read(&case.input["pod"]).and_then(Pod::validate) {
        Ok(_) => BTreeSet::new(),
        Err(errors) => errors
            .iter()
            .map(|error| (error.field.clone(), name(error.error_type)))
            .collect(),
    };
    let expected: Option<Vec<(&str, &str)>> = case.expect["errors"].as_array().and_then(|errors| {
        errors
            .iter()
            .map(|error| Some((error["field"].as_str()?, error["errorType"].as_str()?)))
            .collect()
    });
    let right = expected.is_some_and(|expected| matches(&expected, &got));
    let got: Vec<Value> = got
        .iter()
        .map(|(field, sort)| json!({ "field": field, "errorType": sort }))
        .collect();
    Answer::Judged(right, json!({ "errors": got }))
}

fn read(pod: &Value) -> Result<Pod, Errors> {
    Pod::from_json(pod.to_string().as_bytes())
}

fn name(error: ErrorType) -> String {
    error.as_str().to_owned()
}

/// Each expected error is there, and there is none that nothing expects.
fn matches(expected: &[(&str, &str)], got: &BTreeSet<(String, String)>) -> bool {
    let fits = |(field, sort): &(&str, &str), (at, of): &(String, String)| {
        (*field == "*" || field == at) && sort == of
    };
    let all_there = expected
        .iter()
        .all(|expected| got.iter().any(|got| fits(expected, got)));
    let nothing_else = got
        .iter()
        .all(|got| expected.iter().any(|expected| fits(expected, got)));
    all_there && nothing_else
}
