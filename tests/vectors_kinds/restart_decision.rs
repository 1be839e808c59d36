//! Whether a container is started again.

use podlife::lifecycle::rules::facts::Then;
use podlife::lifecycle::rules::restart::{Restart, after_probe_failure, on_exit, should_start};
use serde_json::{Value, json};

use super::observed::World;
use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let world = World::new(&case.input["pod"], &case.input["observed"], &Value::Null);
    let index = world
        .shape
        .index(case.text("container"))
        .expect("a container that is not in the pod");
    let container = &world.shape.containers[index];
    match case.op() {
        "shouldStart" => {
            let start = should_start(container, &world.seen(index), world.is_deleted());
            Answer::Is(json!({ "start": start }))
        }
        "onExit" => {
            let code = i32::try_from(case.integer("exitCode")).expect("an exit code");
            let restart = on_exit(container, code);
            let all = restart == Restart::All;
            Answer::Covers(json!({ "restart": restart.restarts(), "restartAllContainers": all }))
        }
        "onProbeFailure" => {
            Answer::Is(json!({ "restart": after_probe_failure(container) == Then::Start }))
        }
        _ => Answer::UnknownOp,
    }
}
