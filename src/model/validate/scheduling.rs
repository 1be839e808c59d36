//! What a scheduler would read.

use std::collections::BTreeSet;

use super::super::path::Path;
use super::super::pod::PodSpec;
use super::super::scheduling::{
    Affinity, LabelSelector, NodeAffinity, NodeInclusionPolicy, NodeSelectorTerm, PodAffinityTerm,
    SelectorOperator, TaintEffect, Toleration, TolerationOperator, TopologySpreadConstraint,
    UnsatisfiableAction, WeightedPodAffinityTerm,
};
use super::{Findings, name, resources, text};

pub(super) fn scheduling(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    for (key, value) in &spec.node_selector {
        found.name(at.field("nodeSelector"), key, name::qualified);
        found.name(at.field("nodeSelector"), value, name::label_value);
    }
    let list = at.field("readinessGates");
    for (i, gate) in spec.readiness_gates.iter().enumerate() {
        found.name(
            list.index(i).field("conditionType"),
            &gate.condition_type,
            name::qualified,
        );
    }
    scheduling_gates(spec, &at.field("schedulingGates"), found);
    if !text(&spec.node_name).is_empty() && !spec.scheduling_gates.is_empty() {
        let detail = "a pod with schedulingGates is not scheduled yet";
        found.forbidden(at.field("nodeName"), detail);
    }
    resource_claims(spec, &at.field("resourceClaims"), found);
    let list = at.field("tolerations");
    for (i, one) in spec.tolerations.iter().enumerate() {
        toleration(one, &list.index(i), found);
    }
    let list = at.field("topologySpreadConstraints");
    for (i, one) in spec.topology_spread_constraints.iter().enumerate() {
        spread(one, &list.index(i), found);
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == one.topology_key
                && other.when_unsatisfiable == one.when_unsatisfiable
        };
        if spec.topology_spread_constraints[i + 1..].iter().any(same) {
            let detail = "each topologyKey has one constraint for each whenUnsatisfiable";
            let at = list.index(i);
            found.duplicate(
                at.field("{topologyKey, whenUnsatisfiable}"),
                &one.topology_key,
                detail,
            );
        }
    }
    if let Some(one) = &spec.affinity {
        affinity(one, &at.field("affinity"), found);
    }
    resources::overhead(&spec.overhead, &at.field("overhead"), found);
}

fn scheduling_gates(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (i, gate) in spec.scheduling_gates.iter().enumerate() {
        found.name(at.index(i), &gate.name, name::qualified);
        if !seen.insert(&gate.name) {
            found.duplicate(at.index(i), &gate.name, "each gate is named once");
        }
    }
}

fn resource_claims(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (i, claim) in spec.resource_claims.iter().enumerate() {
        let at = at.index(i);
        if !claim.name.is_empty() && !seen.insert(&claim.name) {
            found.duplicate(at.field("name"), &claim.name, "each claim has its own name");
        } else {
            found.required_name(at.field("name"), &claim.name, name::label);
        }
        let (own, template) = (
            &claim.resource_claim_name,
            &claim.resource_claim_template_name,
        );
        if own.is_some() == template.is_some() {
            found.invalid(
                at,
                &claim.name,
                "it has one of resourceClaimName and resourceClaimTemplateName",
            );
        }
        for (field, name) in [
            ("resourceClaimName", own),
            ("resourceClaimTemplateName", template),
        ] {
            if let Some(name) = name {
                found.name(at.field(field), name, name::subdomain);
            }
        }
    }
}

fn toleration(toleration: &Toleration, at: &Path<'_>, found: &mut Findings) {
    let (key, value) = (text(&toleration.key), text(&toleration.value));
    let operator = toleration
        .operator
        .as_ref()
        .map_or("", TolerationOperator::as_str);
    let effect = toleration.effect.as_ref().map_or("", TaintEffect::as_str);
    if !key.is_empty() {
        found.name(at.field("key"), key, name::qualified);
    } else if operator != "Exists" {
        found.invalid(
            at.field("operator"),
            operator,
            "without a key it is Exists, which tolerates everything",
        );
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        found.invalid(
            at.field("effect"),
            effect,
            "with tolerationSeconds it is NoExecute",
        );
    }
    match operator {
        "" | "Equal" => found.name(at.field("operator"), value, name::label_value),
        "Exists" if !value.is_empty() => {
            found.invalid(at.field("operator"), value, "Exists goes without a value")
        }
        "Exists" => {}
        other => found.unsupported(at.field("operator"), other, TolerationOperator::KNOWN),
    }
    if !effect.is_empty() {
        found.known(at.field("effect"), effect, TaintEffect::KNOWN);
    }
}

fn spread(spread: &TopologySpreadConstraint, at: &Path<'_>, found: &mut Findings) {
    if spread.max_skew <= 0 {
        found.invalid(at.field("maxSkew"), spread.max_skew, "it is greater than 0");
    }
    if spread.topology_key.is_empty() {
        found.required(at.field("topologyKey"), "a label of nodes");
    }
    let action = spread
        .when_unsatisfiable
        .as_ref()
        .map_or("", UnsatisfiableAction::as_str);
    found.known(
        at.field("whenUnsatisfiable"),
        action,
        UnsatisfiableAction::KNOWN,
    );
    if let Some(domains) = spread.min_domains {
        if domains <= 0 {
            found.invalid(at.field("minDomains"), domains, "it is greater than 0");
        }
        if action != "DoNotSchedule" {
            found.invalid(
                at.field("minDomains"),
                domains,
                "it goes with whenUnsatisfiable DoNotSchedule",
            );
        }
    }
    let policies = [
        ("nodeAffinityPolicy", &spread.node_affinity_policy),
        ("nodeTaintsPolicy", &spread.node_taints_policy),
    ];
    for (field, policy) in policies {
        if let Some(policy) = policy {
            found.known(at.field(field), policy.as_str(), NodeInclusionPolicy::KNOWN);
        }
    }
    let own = spread.label_selector.as_ref();
    let list = at.field("matchLabelKeys");
    label_keys(&spread.match_label_keys, own, &list, found);
    for (i, key) in spread.match_label_keys.iter().enumerate() {
        if own.is_some_and(|selector| selects_by(selector, key)) {
            found.invalid(list.index(i), key, "labelSelector has this key already");
        }
    }
    selector(own, &at.field("labelSelector"), found);
}

fn selects_by(selector: &LabelSelector, key: &str) -> bool {
    let mut expressions = selector.match_expressions.iter();
    selector.match_labels.contains_key(key) || expressions.any(|one| one.key == key)
}

/// Keys whose values the pod itself gives.
fn label_keys(
    keys: &[String],
    selector: Option<&LabelSelector>,
    at: &Path<'_>,
    found: &mut Findings,
) {
    if !keys.is_empty() && selector.is_none() {
        found.forbidden(*at, "it narrows a labelSelector, and there is none");
    }
    for (i, key) in keys.iter().enumerate() {
        found.name(at.index(i), key, name::qualified);
    }
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn affinity(affinity: &Affinity, at: &Path<'_>, found: &mut Findings) {
    if let Some(node) = &affinity.node_affinity {
        node_affinity(node, &at.field("nodeAffinity"), found);
    }
    if let Some(near) = &affinity.pod_affinity {
        let at = at.field("podAffinity");
        terms(
            &near.required_during_scheduling_ignored_during_execution,
            &at.field(REQUIRED),
            found,
        );
        weighted(
            &near.preferred_during_scheduling_ignored_during_execution,
            &at.field(PREFERRED),
            found,
        );
    }
    if let Some(far) = &affinity.pod_anti_affinity {
        let at = at.field("podAntiAffinity");
        terms(
            &far.required_during_scheduling_ignored_during_execution,
            &at.field(REQUIRED),
            found,
        );
        weighted(
            &far.preferred_during_scheduling_ignored_during_execution,
            &at.field(PREFERRED),
            found,
        );
    }
}

fn node_affinity(affinity: &NodeAffinity, at: &Path<'_>, found: &mut Findings) {
    if let Some(selector) = &affinity.required_during_scheduling_ignored_during_execution {
        let at = at.field(REQUIRED);
        let list = at.field("nodeSelectorTerms");
        if selector.node_selector_terms.is_empty() {
            found.required(list, "at least one term");
        }
        for (i, term) in selector.node_selector_terms.iter().enumerate() {
            node_term(term, name::label_value, &list.index(i), found);
        }
    }
    let list = at.field(PREFERRED);
    for (i, term) in affinity
        .preferred_during_scheduling_ignored_during_execution
        .iter()
        .enumerate()
    {
        let at = list.index(i);
        weight(term.weight, at.field("weight"), found);
        // A value that no label can have is only never met here.
        node_term(&term.preference, |_| None, &at.field("preference"), found);
    }
}

type Grammar = fn(&str) -> Option<&'static str>;

fn node_term(term: &NodeSelectorTerm, value: Grammar, at: &Path<'_>, found: &mut Findings) {
    let list = at.field("matchExpressions");
    for (i, requirement) in term.match_expressions.iter().enumerate() {
        let at = list.index(i);
        found.name(at.field("key"), &requirement.key, name::qualified);
        operator(
            requirement.operator.as_ref(),
            requirement.values.len(),
            true,
            &at,
            found,
        );
        values(&requirement.values, value, &at, found);
    }
    let list = at.field("matchFields");
    for (i, requirement) in term.match_fields.iter().enumerate() {
        let at = list.index(i);
        if requirement.key == "metadata.name" {
            values(&requirement.values, name::subdomain, &at, found);
        } else {
            found.invalid(at.field("key"), &requirement.key, "use metadata.name");
        }
        match &requirement.operator {
            Some(SelectorOperator::In | SelectorOperator::NotIn)
                if requirement.values.len() == 1 => {}
            Some(SelectorOperator::In | SelectorOperator::NotIn) => {
                found.required(at.field("values"), "exactly one")
            }
            other => {
                let word = other.as_ref().map_or("", SelectorOperator::as_str);
                found.invalid(at.field("operator"), word, "use In or NotIn");
            }
        }
    }
}

fn values(values: &[String], grammar: Grammar, at: &Path<'_>, found: &mut Findings) {
    let list = at.field("values");
    for (i, value) in values.iter().enumerate() {
        found.name(list.index(i), value, grammar);
    }
}

fn operator(
    operator: Option<&SelectorOperator>,
    values: usize,
    numbers: bool,
    at: &Path<'_>,
    found: &mut Findings,
) {
    match operator {
        Some(SelectorOperator::In | SelectorOperator::NotIn) => {
            if values == 0 {
                found.required(at.field("values"), "In and NotIn need values");
            }
        }
        Some(SelectorOperator::Exists | SelectorOperator::DoesNotExist) => {
            if values > 0 {
                found.forbidden(
                    at.field("values"),
                    "Exists and DoesNotExist go without values",
                );
            }
        }
        Some(SelectorOperator::Gt | SelectorOperator::Lt) if numbers => {
            if values != 1 {
                found.required(at.field("values"), "Gt and Lt need exactly one value");
            }
        }
        other => {
            let known = &SelectorOperator::KNOWN[..if numbers { 6 } else { 4 }];
            let word = other.map_or("", SelectorOperator::as_str);
            found.invalid(
                at.field("operator"),
                word,
                format!("use {}", super::one_of(known)),
            );
        }
    }
}

fn terms(terms: &[PodAffinityTerm], at: &Path<'_>, found: &mut Findings) {
    for (i, one) in terms.iter().enumerate() {
        term(one, &at.index(i), found);
    }
}

fn weighted(terms: &[WeightedPodAffinityTerm], at: &Path<'_>, found: &mut Findings) {
    for (i, one) in terms.iter().enumerate() {
        let at = at.index(i);
        weight(one.weight, at.field("weight"), found);
        term(&one.pod_affinity_term, &at.field("podAffinityTerm"), found);
    }
}

fn weight(weight: i32, at: Path<'_>, found: &mut Findings) {
    if !(1..=100).contains(&weight) {
        found.invalid(at, weight, "use 1 to 100");
    }
}

fn term(term: &PodAffinityTerm, at: &Path<'_>, found: &mut Findings) {
    selector(
        term.label_selector.as_ref(),
        &at.field("labelSelector"),
        found,
    );
    selector(
        term.namespace_selector.as_ref(),
        &at.field("namespaceSelector"),
        found,
    );
    for namespace in &term.namespaces {
        found.name(at.field("namespace"), namespace, name::label);
    }
    let own = term.label_selector.as_ref();
    let (list, other) = (at.field("matchLabelKeys"), at.field("mismatchLabelKeys"));
    label_keys(&term.match_label_keys, own, &list, found);
    label_keys(&term.mismatch_label_keys, own, &other, found);
    for (i, key) in term.match_label_keys.iter().enumerate() {
        if term.mismatch_label_keys.contains(key) {
            found.invalid(list.index(i), key, "mismatchLabelKeys has it too");
        }
    }
    found.required_name(at.field("topologyKey"), &term.topology_key, name::qualified);
}

pub(super) fn selector(selector: Option<&LabelSelector>, at: &Path<'_>, found: &mut Findings) {
    let Some(selector) = selector else { return };
    for (key, value) in &selector.match_labels {
        found.name(at.field("matchLabels"), key, name::qualified);
        found.name(at.field("matchLabels"), value, name::label_value);
    }
    let list = at.field("matchExpressions");
    for (i, requirement) in selector.match_expressions.iter().enumerate() {
        let at = list.index(i);
        found.name(at.field("key"), &requirement.key, name::qualified);
        operator(
            requirement.operator.as_ref(),
            requirement.values.len(),
            false,
            &at,
            found,
        );
        values(&requirement.values, name::label_value, &at, found);
    }
}
