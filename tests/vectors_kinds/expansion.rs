//! `$(NAME)` in one text, or in a list of variables that see those before them.

use std::collections::BTreeMap;

use podlife::model::expansion::expand;
use serde_json::json;

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "" if case.input.get("declared").is_some() => declared(case),
        "" => {
            let variables: BTreeMap<String, String> = case.read_or_default("variables");
            Answer::Is(json!({ "text": expand(case.text("text"), |name| variables.get(name)) }))
        }
        _ => Answer::UnknownOp,
    }
}

fn declared(case: &Case) -> Answer {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    for declared in case.input["declared"].as_array().unwrap() {
        let value = expand(declared["value"].as_str().unwrap_or_default(), |name| {
            env.get(name)
        })
        .into_owned();
        env.insert(declared["name"].as_str().unwrap().to_owned(), value);
    }
    Answer::Is(json!({ "env": env }))
}
