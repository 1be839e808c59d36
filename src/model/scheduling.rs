//! What a scheduler reads. podlife has one host, so none of it decides anything; it is held, checked and reported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::text_enum::text_enum;

text_enum! {
    /// What an untolerated taint does.
    pub enum TaintEffect {
        /// Keeps new pods away.
        NoSchedule = "NoSchedule",
        /// Keeps them away if it can.
        PreferNoSchedule = "PreferNoSchedule",
        /// Ends running ones too.
        NoExecute = "NoExecute",
    }
}

text_enum! {
    /// How a toleration is matched.
    pub enum TolerationOperator {
        /// The key exists.
        Exists = "Exists",
        /// Key and value are equal.
        Equal = "Equal",
    }
}

text_enum! {
    /// How a requirement compares.
    pub enum SelectorOperator {
        /// The value is in the list.
        In = "In",
        /// It is not.
        NotIn = "NotIn",
        /// The key exists.
        Exists = "Exists",
        /// It does not.
        DoesNotExist = "DoesNotExist",
        /// The value is a greater number.
        Gt = "Gt",
        /// The value is a smaller number.
        Lt = "Lt",
    }
}

text_enum! {
    /// What to do if a spread cannot be kept.
    pub enum UnsatisfiableAction {
        /// Wait.
        DoNotSchedule = "DoNotSchedule",
        /// Go on.
        ScheduleAnyway = "ScheduleAnyway",
    }
}

text_enum! {
    /// Whether a node's affinity or taints count for a spread.
    pub enum NodeInclusionPolicy {
        /// They do.
        Honor = "Honor",
        /// They do not.
        Ignore = "Ignore",
    }
}

/// A further condition that must be true for the pod to be Ready.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodReadinessGate {
    /// The condition.
    #[serde(deserialize_with = "absent")]
    pub condition_type: String,
}

/// Keeps a pod from being scheduled.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodSchedulingGate {
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: String,
}

/// A group of pods that are scheduled together.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodSchedulingGroup {
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_group_name: Option<String>,
}

/// A claim for devices.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodResourceClaim {
    /// Its name in the pod.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// The claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim_name: Option<String>,
    /// A template to make the claim from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim_template_name: Option<String>,
}

/// A node taint the pod tolerates.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Toleration {
    /// Which effect; else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Which taint; else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How it is matched; Equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// How long a NoExecute taint is tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
    /// The taint's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Selects objects by their labels.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Requirements, all of them.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// Labels that must be equal.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub match_labels: BTreeMap<String, String>,
}

/// One requirement on a label.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LabelSelectorRequirement {
    /// The label.
    #[serde(deserialize_with = "absent")]
    pub key: String,
    /// How it compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<SelectorOperator>,
    /// With what.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How to spread equal pods over nodes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TopologySpreadConstraint {
    /// Which pods are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Labels of the pod itself that must be equal too.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub match_label_keys: Vec<String>,
    /// How uneven it may be.
    #[serde(deserialize_with = "absent")]
    pub max_skew: i32,
    /// How many domains there must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_domains: Option<i32>,
    /// Whether node affinity counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_affinity_policy: Option<NodeInclusionPolicy>,
    /// Whether taints count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_taints_policy: Option<NodeInclusionPolicy>,
    /// The node label that makes a domain.
    #[serde(deserialize_with = "absent")]
    pub topology_key: String,
    /// What to do if it cannot be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_unsatisfiable: Option<UnsatisfiableAction>,
}

/// Where to schedule a pod.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Affinity {
    /// By the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,
    /// Near other pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_affinity: Option<PodAffinity>,
    /// Away from other pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAntiAffinity>,
}

/// Which nodes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeAffinity {
    /// If possible.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredSchedulingTerm>,
    /// Without fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

/// Terms of which one must match.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSelector {
    /// The terms.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Requirements that must all match.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    /// On labels.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<NodeSelectorRequirement>,
    /// On fields.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub match_fields: Vec<NodeSelectorRequirement>,
}

/// One requirement on a node.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSelectorRequirement {
    /// The label or field.
    #[serde(deserialize_with = "absent")]
    pub key: String,
    /// How it compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<SelectorOperator>,
    /// With what.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A wish and its weight.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PreferredSchedulingTerm {
    /// The wish.
    #[serde(deserialize_with = "absent")]
    pub preference: NodeSelectorTerm,
    /// Its weight, 1 to 100.
    #[serde(deserialize_with = "absent")]
    pub weight: i32,
}

/// Near which pods.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodAffinity {
    /// If possible.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub preferred_during_scheduling_ignored_during_execution: Vec<WeightedPodAffinityTerm>,
    /// Without fail.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,
}

/// Away from which pods.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodAntiAffinity {
    /// If possible.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub preferred_during_scheduling_ignored_during_execution: Vec<WeightedPodAffinityTerm>,
    /// Without fail.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,
}

/// A wish and its weight.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct WeightedPodAffinityTerm {
    /// The wish.
    #[serde(deserialize_with = "absent")]
    pub pod_affinity_term: PodAffinityTerm,
    /// Its weight, 1 to 100.
    #[serde(deserialize_with = "absent")]
    pub weight: i32,
}

/// Which pods count, and what near means.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodAffinityTerm {
    /// Which pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Labels of the pod itself that must be equal too.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub match_label_keys: Vec<String>,
    /// Labels of the pod itself that must differ.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub mismatch_label_keys: Vec<String>,
    /// In which namespaces, by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// In which namespaces, by name.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// The node label that makes a place.
    #[serde(deserialize_with = "absent")]
    pub topology_key: String,
}
