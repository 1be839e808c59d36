//! Several tries to have an image, one after the other.

use std::time::Duration;

use podlife::lifecycle::rules::backoff::Curve;
use podlife::lifecycle::rules::image_pull::{Decision, PullPolicy, decide, failure_reason};
use podlife::time::Mono;
use serde_json::{Value, json};

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    if !case.op().is_empty() {
        return Answer::UnknownOp;
    }
    let seconds = |value: &Value| Duration::from_secs_f64(value.as_f64().unwrap());
    let backoff = &case.input["backoff"];
    let curve = Curve::new(
        seconds(&backoff["initialSeconds"]),
        seconds(&backoff["maxSeconds"]),
    );
    let image = case.text("image");
    let policy = PullPolicy::of(Some(&case.text("imagePullPolicy").into()), image);
    let is = |key: &str| case.input[key] == true;
    let present = (!is("inspectError")).then_some(is("imagePresent"));
    let rate_exceeded = is("pullRateExceeded");
    let pull_error: Option<String> = case.read("pullError");

    let mut entry = None;
    let mut now = Mono::from_secs(1);
    let mut attempts = Vec::new();
    for _ in case.expect["attempts"].as_array().unwrap() {
        let decision = decide(image, policy, present, &curve, entry, now);
        attempts.push(match (decision, &pull_error) {
            (Decision::Pull, None) if !rate_exceeded => {
                json!({ "pulled": true, "error": null, "events": [decision.event(), "Pulled"] })
            }
            (Decision::Pull, error) => {
                entry = Some(curve.next(entry, now, now));
                let error = if rate_exceeded { "pull QPS exceeded" } else { error.as_deref().unwrap() };
                json!({ "pulled": !rate_exceeded, "error": failure_reason(error), "events": [decision.event(), "Failed"] })
            }
            _ => json!({ "pulled": false, "error": decision.reason(), "events": [decision.event()] }),
        });
        now = now + seconds(&case.input["secondsBetweenAttempts"]);
    }
    Answer::Is(json!({ "attempts": attempts }))
}
