//! What one sync does.

use podlife::lifecycle::rules::facts::{PodFacts, Then};
use podlife::lifecycle::rules::plan::{Plan, plan};
use podlife::lifecycle::rules::sandbox::SandboxProblem;
use serde_json::{Value, json};

use super::observed::{World, list, text};
use super::{Answer, Case, covers, sorted};

/// A list that a case does not expect is expected to be empty.
const LISTS: [&str; 5] = [
    "initContainersToStart",
    "containersToStart",
    "ephemeralContainersToStart",
    "containersToKill",
    "containersToReset",
];

pub(crate) fn run(case: &Case) -> Answer {
    let observed = &case.input["observed"];
    let world = World::new(
        &case.input["pod"],
        &observed["containers"],
        &observed["sandboxes"],
    );
    let world = world.probes(&case.input["probes"]);
    let pod = PodFacts {
        sandboxes: &world.sandboxes,
        deleted: world.is_deleted(),
        ..PodFacts::default()
    };
    let restarting_all = case.input["restartAllContainers"] == true;
    let mut todo = Plan::default();
    plan(
        &world.shape,
        &pod,
        |index| world.seen(index),
        restarting_all,
        &mut todo,
    );
    let got = answer(&world, &todo, observed);
    let mut expect = case.expect.clone();
    for list in LISTS {
        if expect[list].is_null() {
            expect[list] = json!([]);
        }
    }
    expect["containersToKill"] = sorted(&expect["containersToKill"]);
    Answer::Judged(covers(&expect, &got), got)
}

fn answer(world: &World, todo: &Plan, observed: &Value) -> Value {
    let newest = list(&observed["sandboxes"]).first();
    let id = newest.filter(|_| todo.problem != Some(SandboxProblem::NetworkModeChanged));
    let attempt = world.sandboxes.first().map_or(0, |newest| {
        newest.attempt + u32::from(todo.problem.is_some())
    });
    let killed_first = todo
        .kill
        .iter()
        .filter(|kill| kill.then == Then::Start && !todo.kill_pod);
    let mut started: Vec<usize> = todo
        .start
        .iter()
        .copied()
        .chain(killed_first.map(|kill| kill.container))
        .collect();
    started.sort_unstable();
    let of = |order: &[usize]| -> Vec<&str> {
        let of_order = started.iter().filter(|index| order.contains(index));
        of_order.map(|index| world.name(*index)).collect()
    };
    let kills = todo.kill.iter().map(|kill| {
        let newest = world
            .seen(kill.container)
            .newest()
            .expect("a kill of nothing")
            .number;
        world.id(kill.container, newest)
    });
    let resets = todo.reset.iter().map(|reset| {
        json!({ "name": world.name(reset.container), "id": world.id(reset.container, reset.attempt), "kill": reset.kill })
    });
    json!({
        "killPod": todo.kill_pod,
        "createSandbox": todo.create_sandbox.is_some(),
        "sandboxID": id.map_or("", |sandbox| text(sandbox, "id")),
        "attempt": todo.create_sandbox.unwrap_or(attempt),
        "initContainersToStart": of(&world.shape.init),
        "containersToStart": of(&world.shape.regular),
        "ephemeralContainersToStart": of(&world.shape.ephemeral),
        "containersToKill": sorted(&json!(kills.collect::<Vec<_>>())),
        "containersToReset": resets.collect::<Vec<_>>(),
    })
}
