//! Windows between tries.

use std::collections::BTreeMap;
use std::time::Duration;

use podlife::lifecycle::rules::backoff::{BackOff, Curve};
use podlife::time::Mono;
use serde_json::{Value, json};

use super::observed::list;
use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "script" => Answer::Is(json!({ "results": script(case) })),
        "startDecision" => start_decision(case),
        "crashLoop" => crash_loop(case),
        _ => Answer::UnknownOp,
    }
}

fn curve(case: &Case) -> Curve {
    let seconds = |key: &str| case.input[key].as_f64().map(Duration::from_secs_f64);
    let curve = Curve::new(
        seconds("initialSeconds").unwrap(),
        seconds("maxSeconds").unwrap(),
    );
    Curve {
        reset: seconds("resetAfterSeconds").unwrap_or(curve.reset),
        ..curve
    }
}

/// Abstract times begin anywhere; not at zero, so that they may lie before it.
fn at(seconds: &Value) -> Mono {
    Mono::from_secs(1_000_000) + Duration::from_secs_f64(seconds.as_f64().unwrap())
}

fn since_origin(time: Mono) -> Value {
    json!((time - Mono::from_secs(1_000_000)).as_secs_f64())
}

fn script(case: &Case) -> Vec<Value> {
    let curve = curve(case);
    let mut entries: BTreeMap<String, BackOff> = BTreeMap::new();
    let step = |step: &Value| {
        let now = at(&step["now"]);
        let event = step.get("eventTime").map_or(now, at);
        let key = step["key"].as_str().unwrap_or("id").to_owned();
        let entry = entries.get(&key).copied();
        match step["do"].as_str().unwrap() {
            "inBackOffSince" => return json!(curve.holds(entry, event, now).is_some()),
            // Compares the event with the last update.
            "inBackOffSinceUpdate" => {
                return json!(curve.holds_since_update(entry, event).is_some());
            }
            "gc" => {
                entries.retain(|_, entry| !curve.is_expired(*entry, now));
                return json!(entries.contains_key(&key));
            }
            "next" => {
                entries.insert(key.clone(), curve.next(entry, event, now));
            }
            "reset" => {
                entries.remove(&key);
            }
            "get" => {}
            other => panic!("no such step: {other}"),
        }
        json!(
            entries
                .get(&key)
                .map_or(0.0, |entry| entry.window.as_secs_f64())
        )
    };
    case.input["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(step)
        .collect()
}

fn start_decision(case: &Case) -> Answer {
    let curve = curve(case);
    let now = at(&case.input["now"]);
    let observed = list(&case.input["observed"]);
    let is_exit = |record: &&Value| record["name"] == "foocontainer" && record["state"] == "Exited";
    let Some(exit) = observed
        .iter()
        .find(is_exit)
        .map(|record| at(&record["finishedAt"]))
    else {
        return Answer::Covers(json!({ "inBackOff": false }));
    };
    let starts = list(&case.input["priorStarts"]);
    let entry = starts
        .iter()
        .map(at)
        .fold(None, |entry, start| Some(curve.next(entry, start, start)));
    Answer::Covers(match curve.holds(entry, exit, now) {
        None => json!({ "inBackOff": false }),
        Some(window) => json!({
            "inBackOff": true,
            "backoffSeconds": window.as_secs_f64(),
            "retryAt": since_origin(exit + window),
        }),
    })
}

fn crash_loop(case: &Case) -> Answer {
    let curve = curve(case);
    let mut entry = None;
    let mut start = at(&json!(0));
    let (mut starts, mut windows) = (vec![since_origin(start)], vec![json!(0)]);
    let runs = case.input["runSeconds"].as_array().unwrap();
    for run in &runs[..runs.len() - 1] {
        let exit = start + Duration::from_secs_f64(run.as_f64().unwrap());
        start = curve
            .holds(entry, exit, exit)
            .map_or(exit, |window| exit + window);
        let next = curve.next(entry, exit, start);
        windows.push(json!(next.window.as_secs_f64()));
        starts.push(since_origin(start));
        entry = Some(next);
    }
    Answer::Is(json!({ "startTimes": starts, "windowAfterStart": windows }))
}
