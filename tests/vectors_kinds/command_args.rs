//! Argument vectors.

use podlife::model::Container;
use podlife::model::command::{argv, expand_all};
use podlife::model::environment::Environment;
use serde_json::json;

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let container: Container = case.read("container");
    match case.op() {
        "argv" => match argv(
            &container,
            &case.read_or_default("image"),
            &Environment::new(),
        ) {
            Ok(argv) => Answer::Is(json!({ "argv": argv })),
            Err(_) => Answer::Is(json!({ "error": true })),
        },
        "expand" => {
            let environment: Environment = case.read_or_default("env");
            Answer::Is(json!({
                "command": expand_all(&container.command, &environment),
                "args": expand_all(&container.args, &environment),
            }))
        }
        _ => Answer::UnknownOp,
    }
}
