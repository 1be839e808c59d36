//! Requests and limits, of containers and of the pod.

use std::collections::{BTreeMap, BTreeSet};

use super::super::path::Path;
use super::super::pod::{PodSpec, RestartPolicy};
use super::super::quantity::Quantity;
use super::super::resource_sum::{container_requests, is_pod_level};
use super::super::resources::{
    ContainerResizePolicy, ResourceRequirements, ResourceResizeRestartPolicy,
};
use super::{Findings, name};

type List = BTreeMap<String, Quantity>;

pub(super) fn container(
    resources: &ResourceRequirements,
    spec: &PodSpec,
    at: &Path<'_>,
    found: &mut Findings,
) {
    lists(resources, container_resource, at, found);
    claims(resources, spec, at, found);
}

/// The pod's own: fewer resources, and no less than its containers need.
pub(super) fn pod(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let Some(own) = &spec.resources else { return };
    if !own.claims.is_empty() {
        found.forbidden(at.field("claims"), "claims belong to containers");
    }
    lists(own, pod_resource, at, found);
    let requests = at.field("requests");
    for (name, needed) in container_requests(spec) {
        let request = own.requests.get(&name).copied().unwrap_or_default();
        if is_pod_level(&name) && needed > request {
            found.invalid(
                requests.key(&name),
                request,
                format!("the containers together request {needed}"),
            );
        }
    }
    let list = at.field("containers");
    for (i, container) in spec.containers.iter().enumerate() {
        let at = list.index(i);
        let limits = container
            .resources
            .iter()
            .flat_map(|resources| &resources.limits);
        for (name, limit) in limits {
            if own.limits.get(name).is_some_and(|most| limit > most) {
                found.invalid(
                    at.key(name).field("limits"),
                    limit,
                    "it exceeds the pod's own limit",
                );
            }
        }
    }
}

fn lists(
    resources: &ResourceRequirements,
    grammar: fn(&str) -> Option<&'static str>,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let (limits, requests) = (&resources.limits, &resources.requests);
    amounts(limits, grammar, &at.field("limits"), found);
    amounts(requests, grammar, &at.field("requests"), found);
    for (name, request) in requests {
        match limits.get(name) {
            Some(limit) if is_overcommitted(name) && request <= limit => {}
            Some(limit) if !is_overcommitted(name) && request == limit => {}
            Some(limit) => {
                let relation = if is_overcommitted(name) {
                    "be at most"
                } else {
                    "equal"
                };
                let detail = format!("the {name} request has to {relation} the limit, {limit}");
                found.invalid(at.field("requests"), request, detail);
            }
            None if is_overcommitted(name) => {}
            None => found.required(
                at.field("limits"),
                format!("{name} cannot be requested without a limit"),
            ),
        }
    }
    let names: BTreeSet<&str> = limits
        .keys()
        .chain(requests.keys())
        .map(String::as_str)
        .collect();
    let huge = names.iter().any(|name| is_huge_pages(name));
    if huge && !names.contains("cpu") && !names.contains("memory") {
        found.forbidden(*at, "huge pages need cpu or memory beside them");
    }
}

fn amounts(
    list: &List,
    grammar: fn(&str) -> Option<&'static str>,
    at: &Path<'_>,
    found: &mut Findings,
) {
    for (name, amount) in list {
        found.name(at.key(name), name, grammar);
        if amount.is_negative() {
            found.invalid(at.key(name), amount, "it must not be negative");
        } else if is_extended(name) && amount.round_up(0).0 != *amount {
            found.invalid(at.key(name), amount, "it is counted in whole numbers");
        }
        if let Some(page) = huge_page_size(name)
            && amount.value() % page != 0
        {
            found.invalid(
                at.key(name),
                amount,
                "it is not a multiple of the page size",
            );
        }
    }
}

/// The resources of a container: Kubernetes' own, or one with a domain.
fn container_resource(resource: &str) -> Option<&'static str> {
    const OWN: &str =
        "use cpu, memory, ephemeral-storage, hugepages-<size> or a name with a domain";
    if let Some(detail) = name::qualified(resource) {
        return Some(detail);
    }
    if !resource.contains('/') {
        let own =
            matches!(resource, "cpu" | "memory" | "ephemeral-storage") || is_huge_pages(resource);
        return (!own).then_some(OWN);
    }
    let extended = is_native(resource) || is_extended(resource);
    (!extended).then_some("a resource of another domain cannot start with requests.")
}

/// The resources a pod can have of its own.
fn pod_resource(resource: &str) -> Option<&'static str> {
    (!is_pod_level(resource))
        .then_some("a pod's own resources are cpu, memory and hugepages-<size>")
}

fn is_huge_pages(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

fn huge_page_size(resource: &str) -> Option<i64> {
    let size: Quantity = resource.strip_prefix("hugepages-")?.parse().ok()?;
    Some(size.value()).filter(|&size| size > 0)
}

fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

fn is_extended(resource: &str) -> bool {
    !is_native(resource) && !resource.starts_with("requests.")
}

/// More of it may be promised than there is.
fn is_overcommitted(resource: &str) -> bool {
    is_native(resource) && !is_huge_pages(resource)
}

fn claims(resources: &ResourceRequirements, spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let list = at.field("claims");
    let mut seen = BTreeSet::new();
    for (i, claim) in resources.claims.iter().enumerate() {
        let at = list.index(i);
        if claim.name.is_empty() {
            found.required(at.field("name"), "the name of one of spec.resourceClaims");
        } else if !seen.insert((&claim.name, &claim.request)) {
            found.duplicate(at, &claim.name, "each claim is used once");
        } else if !spec
            .resource_claims
            .iter()
            .any(|own| own.name == claim.name)
        {
            found.not_found(
                at,
                &claim.name,
                "spec.resourceClaims has no claim of this name",
            );
        }
    }
}

pub(super) fn resize_policy(
    policies: &[ContainerResizePolicy],
    spec: &PodSpec,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let mut seen = BTreeSet::new();
    for (i, policy) in policies.iter().enumerate() {
        let name = policy.resource_name.as_str();
        if !seen.insert(name) {
            found.duplicate(at.index(i), name, "each resource has one policy");
        }
        found.required_known(*at, Some(name), &["cpu", "memory"]);
        let restart = policy.restart_policy.as_ref();
        let word = restart.map(ResourceResizeRestartPolicy::as_str);
        found.required_known(*at, word, ResourceResizeRestartPolicy::KNOWN);
        let never = spec.restart_policy == Some(RestartPolicy::Never);
        if never && restart == Some(&ResourceResizeRestartPolicy::RestartContainer) {
            found.invalid(
                *at,
                "RestartContainer",
                "a pod with restartPolicy Never restarts nothing; use NotRequired",
            );
        }
    }
}
