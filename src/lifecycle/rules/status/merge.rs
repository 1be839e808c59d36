//! What is published of a newly generated status, given what the API has.
//!
//! Source: `mergePodStatus` in `pkg/kubelet/status/status_manager.go` of Kubernetes.

use std::mem::take;

use super::{is_kubelets, is_terminal};
use crate::model::{ConditionStatus, ConditionType, Phase, PodCondition, PodStatus};

/// Merges `new` into `old`. Conditions that are not the kubelet's stay as the API has them; DisruptionTarget, which it
/// shares, is told together with the end of the pod. That end itself is not told while containers `could_run`: phase, reason
/// and message stay as they were. Once it is, the pod is not ready.
///
/// ```
/// use podlife::lifecycle::rules::status::merge::merge;
/// use podlife::model::{Phase, PodStatus};
///
/// let status = |text: &str| serde_json::from_str::<PodStatus>(text).unwrap();
/// let (old, new) = (status(r#"{"phase": "Running"}"#), status(r#"{"phase": "Failed", "reason": "Evicted"}"#));
/// assert_eq!(merge(&old, new.clone(), true).phase, Some(Phase::Running));
/// assert_eq!(merge(&old, new, false).reason.as_deref(), Some("Evicted"));
/// ```
pub fn merge(old: &PodStatus, mut new: PodStatus, could_run: bool) -> PodStatus {
    let ends = |status: &PodStatus| status.phase.as_ref().is_some_and(is_terminal);
    let is_ending = !ends(old) && ends(&new);
    let foreign = old
        .conditions
        .iter()
        .filter(|condition| !is_kubelets(&condition.type_));
    let mut conditions: Vec<PodCondition> = foreign.cloned().collect();
    for condition in take(&mut new.conditions) {
        let is_shared = condition.type_ == ConditionType::DisruptionTarget;
        if is_kubelets(&condition.type_) {
            conditions.push(condition);
        } else if is_shared && is_ending && !could_run {
            replace_or_append(&mut conditions, condition);
        }
    }
    new.conditions = conditions;
    if is_ending && could_run {
        new.phase.clone_from(&old.phase);
        new.reason.clone_from(&old.reason);
        new.message.clone_from(&old.message);
    }
    if let Some(phase) = new.phase.clone().filter(is_terminal) {
        make_unready(&mut new.conditions, &phase);
    }
    new
}

/// A pod that has ended is not ready, whatever was known of its containers.
fn make_unready(conditions: &mut Vec<PodCondition>, phase: &Phase) {
    let readiness = [ConditionType::ContainersReady, ConditionType::Ready];
    let is_ready = |condition: &PodCondition| {
        readiness.contains(&condition.type_) && condition.status == ConditionStatus::True
    };
    if !conditions.iter().any(is_ready) {
        return;
    }
    let reason = if *phase == Phase::Failed {
        "PodFailed"
    } else {
        "PodCompleted"
    };
    for type_ in readiness {
        let condition = PodCondition {
            type_,
            status: ConditionStatus::False,
            reason: Some(reason.to_owned()),
            ..PodCondition::default()
        };
        replace_or_append(conditions, condition);
    }
}

/// Puts a condition in the place of the one of its type, or at the end.
pub fn replace_or_append(conditions: &mut Vec<PodCondition>, condition: PodCondition) {
    match conditions
        .iter_mut()
        .find(|old| old.type_ == condition.type_)
    {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}
