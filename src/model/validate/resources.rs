//! Requests and limits, of containers and of the pod.

use std::collections::BTreeSet;

use super::super::path::Path;
use super::super::pod::{PodSpec, RestartPolicy};
use super::super::quantity::Quantity;
use super::super::resource_list::ResourceList;
use super::super::resource_sum::{container_requests, is_huge_pages, is_pod_level};
use super::super::resources::{
    ContainerResizePolicy, ResourceRequirements, ResourceResizeRestartPolicy,
};
use super::{Findings, name, text};

type NameCheck = fn(&str, Path<'_>, &mut Findings);

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
    claims(own, spec, at, found);
    lists(own, pod_resource, at, found);
    let requests = at.field("requests");
    for (name, needed) in &container_requests(spec) {
        let request = own.requests.get(name).copied().unwrap_or_default();
        if is_pod_level(name) && *needed > request {
            found.invalid(
                requests.key(name),
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

/// What the sandbox itself costs.
pub(super) fn overhead(overhead: &ResourceList, at: &Path<'_>, found: &mut Findings) {
    amounts(overhead, container_resource, at, found);
}

fn lists(
    resources: &ResourceRequirements,
    check_name: NameCheck,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let (limits, requests) = (&resources.limits, &resources.requests);
    amounts(limits, check_name, &at.field("limits"), found);
    amounts(requests, check_name, &at.field("requests"), found);
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
    let names: BTreeSet<&str> = limits.keys().chain(requests.keys()).collect();
    let huge = names.iter().any(|name| is_huge_pages(name));
    if huge && !names.contains("cpu") && !names.contains("memory") {
        found.forbidden(*at, "huge pages need cpu or memory beside them");
    }
}

fn amounts(list: &ResourceList, check_name: NameCheck, at: &Path<'_>, found: &mut Findings) {
    for (name, amount) in list {
        check_name(name, at.key(name), found);
        if amount.is_negative() {
            found.invalid(at.key(name), amount, "it must not be negative");
        } else if is_extended(name) && amount.round_up(0).0 != *amount {
            found.invalid(at.key(name), amount, "it is counted in whole numbers");
        }
        if is_huge_pages(name) && !is_whole_pages(name, amount) {
            found.invalid(
                at.key(name),
                amount,
                "it is not a multiple of the page size",
            );
        }
    }
}

/// The resources of a container: Kubernetes' own, or one with a domain.
fn container_resource(resource: &str, at: Path<'_>, found: &mut Findings) {
    let own = matches!(resource, "cpu" | "memory" | "ephemeral-storage") || is_huge_pages(resource);
    if let Some(detail) = name::qualified(resource) {
        found.invalid(at, resource, detail);
    } else if !resource.contains('/') && !own {
        let detail = "use cpu, memory, ephemeral-storage, hugepages-<size> or a name with a domain";
        found.invalid(at, resource, detail);
    } else if !is_native(resource) && !is_extended(resource) {
        let detail = "a resource of another domain cannot start with requests.";
        found.invalid(at, resource, detail);
    }
}

/// The resources a pod can have of its own.
fn pod_resource(resource: &str, at: Path<'_>, found: &mut Findings) {
    let before = found.0.len();
    container_resource(resource, at, found);
    if found.0.len() == before && !is_pod_level(resource) {
        found.unsupported(at, resource, &["cpu", "memory", "hugepages-<size>"]);
    }
}

fn is_whole_pages(resource: &str, amount: &Quantity) -> bool {
    let size = resource.strip_prefix("hugepages-");
    let size: Option<Quantity> = size.and_then(|size| size.parse().ok());
    size.is_some_and(|size| {
        size.round_up(0).0 == size && size.value() > 0 && amount.value() % size.value() == 0
    })
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
    let mut seen = Vec::new();
    for (i, claim) in resources.claims.iter().enumerate() {
        let at = list.index(i);
        let (name, request) = (claim.name.as_str(), text(&claim.request));
        if name.is_empty() {
            found.required(at.field("name"), "the name of one of spec.resourceClaims");
            continue;
        }
        if !request.is_empty() {
            found.name(at.field("request"), request, name::label);
        }
        // Without a request it is the whole claim, all its requests.
        let overlaps = |&(other, part): &(&str, &str)| {
            other == name && (part == request || part.is_empty() || request.is_empty())
        };
        if seen.iter().any(overlaps) {
            found.duplicate(at, name, "each request of a claim is used once");
        }
        seen.push((name, request));
        if !spec.resource_claims.iter().any(|own| own.name == name) {
            found.not_found(at, name, "spec.resourceClaims has no claim of this name");
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
        if never && restart != Some(&ResourceResizeRestartPolicy::NotRequired) {
            found.invalid(
                *at,
                word.unwrap_or_default(),
                "a pod with restartPolicy Never restarts nothing; use NotRequired",
            );
        }
    }
}
