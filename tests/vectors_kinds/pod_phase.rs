//! `status.phase` from container statuses.

use std::collections::BTreeSet;

use podlife::lifecycle::rules::phase::{PhaseFacts, Statuses, phase};
use podlife::lifecycle::rules::shape::Shape;
use podlife::model::{ContainerStatus, Pod};
use serde_json::json;

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    let list: Option<Vec<ContainerStatus>> = case.read("containerStatuses");
    let mut list = list.unwrap_or_default();
    // The first entry of a name counts.
    let mut names = BTreeSet::new();
    list.retain(|status| names.insert(status.name.clone()));
    let statuses = Statuses {
        init: &list,
        regular: &list,
    };
    let facts = PhaseFacts {
        terminal: case.input["podIsTerminal"] == true,
        initialized: case.input["podHasInitialized"] == true,
    };
    Answer::Is(json!({ "phase": phase(&Shape::new(&pod), statuses, facts) }))
}
