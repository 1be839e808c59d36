//! How long a pod and its containers get to end.

use std::time::Duration;

use podlife::lifecycle::KillReason;
use podlife::lifecycle::rules::grace::{Budget, container_grace, pod_grace};
use podlife::lifecycle::rules::shape::Shape;
use podlife::model::Pod;
use serde_json::{Value, json};

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    let deletion = pod.metadata.deletion_grace_period_seconds;
    let forced: Option<i64> = case.read("override");
    let shape = Shape::new(&pod);
    match case.op() {
        "terminatePod" => {
            let current: Option<i64> = case.read("current");
            let grace = pod_grace(current, deletion, forced, shape.termination_grace);
            let shortened = current.is_some_and(|current| current != 0 && grace != current);
            Answer::Covers(json!({ "gracePeriodSeconds": grace, "shortened": shortened }))
        }
        "killContainer" => kill(case, &shape, deletion, forced),
        _ => Answer::UnknownOp,
    }
}

fn kill(case: &Case, shape: &Shape, deletion: Option<i64>, forced: Option<i64>) -> Answer {
    let index = shape
        .index(case.text("container"))
        .expect("a container that is not in the pod");
    let container = &shape.containers[index];
    let reason = match case.text("reason") {
        "LivenessProbe" => KillReason::Liveness,
        "StartupProbe" => KillReason::Startup,
        _ => KillReason::PodEnds,
    };
    let base = container_grace(shape, container, reason, deletion);
    let mut budget = Budget::new(forced.unwrap_or(base));
    let runs_hook = container.pre_stop && budget.remaining() > 0;
    if runs_hook {
        budget.spend(seconds(&case.input["preStopSeconds"]).min(whole(budget.remaining())));
    }
    if budget.remaining() > 0 {
        budget.spend(seconds(&case.input["orderingWaitSeconds"]).min(whole(budget.remaining())));
    }
    Answer::Covers(json!({
        "baseGraceSeconds": base,
        "preStopRuns": runs_hook,
        "stopTimeoutSeconds": budget.kill_after(),
    }))
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap_or(0.0))
}

fn whole(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
