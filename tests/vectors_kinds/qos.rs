//! Quality-of-service classes.

use podlife::model::qos::qos_class;
use serde_json::json;

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "" => Answer::Is(json!({ "qosClass": qos_class(&case.gated_pod().spec) })),
        _ => Answer::UnknownOp,
    }
}
