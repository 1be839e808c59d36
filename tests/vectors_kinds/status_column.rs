//! The row that `kubectl get pods` shows.

use podlife::lifecycle::rules::column::{Listed, Row};
use podlife::model::Pod;
use serde_json::json;

use super::observed::time;
use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    let now = time(&case.input["now"]).expect("a case without now");
    let row = Row::new(&Listed::of(&pod), now);
    let mut got = json!({
        "name": row.name,
        "ready": row.ready,
        "status": row.status,
        "restarts": row.restarts,
        "age": row.age,
    });
    if case.input["wide"] == true {
        got["ip"] = json!(row.ip);
        got["node"] = json!(row.node);
        got["nominatedNode"] = json!(row.nominated_node);
        got["readinessGates"] = json!(row.readiness_gates);
    }
    Answer::Covers(got)
}
