//! Clocks of a time namespace as `linux.timeOffsets`, and back.

use oci_spec::runtime::Linux;
use serde_json::{Value, json};

use super::mapped::unsupported;
use crate::Result;
use crate::linux::namespace::Namespaces;
use crate::linux::pause::plan::{Plan, Step};

/// By how many seconds they are ahead, if a plan makes such a namespace.
pub(super) fn export(plan: &Plan) -> Option<Value> {
    plan.steps().iter().find_map(|step| match step {
        Step::TimeNamespace {
            monotonic,
            boottime,
        } => Some(json!({ "monotonic": { "secs": monotonic }, "boottime": { "secs": boottime } })),
        _ => None,
    })
}

/// The new time namespace, if there shall be one.
pub(super) fn import(linux: Option<&Linux>, namespaces: Namespaces) -> Result<Option<Step>> {
    let offsets = linux.and_then(|linux| linux.time_offsets().as_ref());
    let own = namespaces.contains(Namespaces::TIME);
    if !own && offsets.is_some_and(|offsets| !offsets.is_empty()) {
        return Err(unsupported("linux.timeOffsets", "the host's clocks,"));
    }
    let seconds = |clock: &str| {
        let offset = offsets.and_then(|offsets| offsets.get(clock));
        match offset.and_then(|offset| offset.nanosecs()) {
            None | Some(0) => Ok(offset.and_then(|offset| offset.secs()).unwrap_or(0)),
            Some(rest) => {
                let field = format!("linux.timeOffsets.{clock}.nanosecs");
                Err(unsupported(&field, rest))
            }
        }
    };
    let (monotonic, boottime) = (seconds("monotonic")?, seconds("boottime")?);
    Ok(own.then_some(Step::TimeNamespace {
        monotonic,
        boottime,
    }))
}
