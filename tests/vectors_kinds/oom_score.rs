//! `oom_score_adj` by container, within a range.

use std::collections::BTreeMap;

use podlife::model::oom_score::oom_score_adj;
use serde_json::json;

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    if !case.op().is_empty() {
        return Answer::UnknownOp;
    }
    let spec = case.gated_pod().spec;
    let containers = spec.containers.iter().chain(&spec.init_containers);
    let got: BTreeMap<&str, i32> = containers
        .map(|container| {
            (
                container.name.as_str(),
                oom_score_adj(&spec, container, case.read("memoryCapacity")),
            )
        })
        .collect();
    let expect: BTreeMap<String, (i32, i32)> =
        serde_json::from_value(case.expect["oomScoreAdj"].clone()).unwrap();
    let within = |(name, (low, high)): (&String, &(i32, i32))| {
        got.get(name.as_str())
            .is_some_and(|score| (low..=high).contains(&score))
    };
    Answer::Judged(
        !expect.is_empty() && expect.iter().all(within),
        json!({ "oomScoreAdj": got }),
    )
}
