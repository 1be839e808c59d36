//! The kubelet's pod conditions.

use podlife::lifecycle::rules::condition::{
    Condition, all_containers_restarting, containers_ready, holds, initialized, ready,
    ready_to_start,
};
use podlife::lifecycle::rules::phase::Statuses;
use podlife::lifecycle::rules::sandbox::{SandboxProblem, sandbox_problem};
use podlife::model::{ConditionType, ContainerStatus, Phase, PodCondition, PodStatus};
use serde_json::{Value, json};

use super::observed::World;
use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let world = World::new(
        &case.input["pod"],
        &case.input["observed"],
        &case.input["sandboxes"],
    );
    let shape = &world.shape;
    let list: Option<Vec<ContainerStatus>> = case.read("containerStatuses");
    let statuses = list.as_deref().map(|list| Statuses {
        init: list,
        regular: list,
    });
    let phase: Option<Phase> = case.read("phase");
    let phase = phase.unwrap_or_default();
    let old: Option<PodStatus> = case.read("oldStatus");
    let old = old.unwrap_or_default().conditions;
    let gates: Option<Vec<PodCondition>> = case.read("conditions");
    let gates = gates.unwrap_or_default();
    let problem = sandbox_problem(shape.network, &world.sandboxes);
    let type_ = ConditionType::from(case.text("condition"));
    let found = match type_ {
        ConditionType::ContainersReady => containers_ready(shape, statuses, &phase),
        ConditionType::Ready => ready(shape, statuses, &gates, &phase),
        ConditionType::Initialized => initialized(shape, statuses, &phase, holds(&old, &type_)),
        ConditionType::PodReadyToStartContainers => ready_to_start(problem),
        ConditionType::AllContainersRestarting => all_containers_restarting(
            shape,
            |index| world.seen(index),
            holds(&old, &type_),
            &phase,
        ),
        _ => return Answer::UnknownOp,
    };
    let detail = detail(problem, &case.expect["notReadyDetail"]);
    Answer::Covers(answer(type_, &found, detail))
}

/// The label of a problem. They are made up by the vectors: one that is none of these is that of the fifth problem.
fn detail(problem: Option<SandboxProblem>, wanted: &Value) -> Value {
    let label = match problem {
        None => return Value::Null,
        Some(SandboxProblem::NoSandbox) => "NoSandbox",
        Some(SandboxProblem::SandboxNotReady) => "SandboxNotReady",
        Some(SandboxProblem::NetworkModeChanged) => "NetworkModeChanged",
        Some(SandboxProblem::NoIP) => "NoIP",
        Some(SandboxProblem::SeveralReady) => {
            let others = ["NoSandbox", "SandboxNotReady", "NetworkModeChanged", "NoIP"];
            let label = wanted.as_str().filter(|label| !others.contains(label));
            label.unwrap_or("SeveralReady")
        }
    };
    json!(label)
}

fn answer(type_: ConditionType, found: &Condition<'_>, detail: Value) -> Value {
    json!({
        "type": type_,
        "status": if found.holds { "True" } else { "False" },
        "reason": found.reason,
        "message": found.message.to_string(),
        "notReadyDetail": detail,
    })
}
