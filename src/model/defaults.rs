//! What Kubernetes fills in (pkg/apis/core/v1/defaults.go). For most of its numbers and words zero and empty are absent.

use super::container::{
    Container, EphemeralContainer, Protocol, PullPolicy, TerminationMessagePolicy,
};
use super::env::{EnvVar, ObjectFieldSelector};
use super::hook::{HttpGetAction, Lifecycle, LifecycleHandler, Scheme};
use super::image::default_pull_policy;
use super::network::DnsPolicy;
use super::pod::{Pod, PodSpec, RestartPolicy};
use super::probe::Probe;
use super::resource_list::ResourceList;
use super::resource_sum::{
    container_limits, container_requests, is_huge_pages, is_pod_level, is_sidecar,
};
use super::resources::{ContainerResizePolicy, ResourceRequirements, ResourceResizeRestartPolicy};
use super::volume::{HostPathType, Volume, VolumeProjection};

const FILE_MODE: i32 = 0o644;

/// Fills `field` if nothing was said: absent, zero or empty.
fn fill<T: Default + PartialEq>(field: &mut Option<T>, default: T) {
    if field.as_ref().is_none_or(|value| *value == T::default()) {
        *field = Some(default);
    }
}

pub(super) fn pod(pod: &mut Pod) {
    pod.metadata
        .namespace
        .get_or_insert_with(|| "default".into());
    let spec = &mut pod.spec;
    fill(&mut spec.restart_policy, RestartPolicy::Always);
    fill(&mut spec.dns_policy, DnsPolicy::ClusterFirst);
    fill(&mut spec.scheduler_name, "default-scheduler".into());
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    // The older name of the same field.
    if let Some(account) = &spec.service_account {
        fill(&mut spec.service_account_name, account.clone());
    }
    spec.security_context.get_or_insert_default();
    let host_network = spec.host_network == Some(true);
    for one in spec.init_containers.iter_mut().chain(&mut spec.containers) {
        container(one);
        if host_network {
            host_ports(one);
        }
    }
    // What runs to its end is not resized.
    let sidecars = spec
        .init_containers
        .iter_mut()
        .filter(|init| is_sidecar(init));
    sidecars.chain(&mut spec.containers).for_each(resize_policy);
    spec.ephemeral_containers
        .iter_mut()
        .for_each(ephemeral_container);
    spec.volumes.iter_mut().for_each(volume);
    round_up(&mut spec.overhead);
    pod_resources(spec);
}

fn container(container: &mut Container) {
    image(&container.image, &mut container.image_pull_policy);
    fill(
        &mut container.termination_message_path,
        "/dev/termination-log".into(),
    );
    fill(
        &mut container.termination_message_policy,
        TerminationMessagePolicy::File,
    );
    container.env.iter_mut().for_each(env);
    for port in &mut container.ports {
        fill(&mut port.protocol, Protocol::Tcp);
    }
    let probes = [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ];
    probes.into_iter().flatten().for_each(probe);
    container.lifecycle.iter_mut().for_each(lifecycle);
    container.resources.iter_mut().for_each(resources);
}

fn ephemeral_container(container: &mut EphemeralContainer) {
    image(&container.image, &mut container.image_pull_policy);
    fill(
        &mut container.termination_message_path,
        "/dev/termination-log".into(),
    );
    fill(
        &mut container.termination_message_policy,
        TerminationMessagePolicy::File,
    );
    container.env.iter_mut().for_each(env);
    for port in &mut container.ports {
        fill(&mut port.protocol, Protocol::Tcp);
    }
    if let Some(resources) = &mut container.resources {
        round_up(&mut resources.limits);
        round_up(&mut resources.requests);
    }
}

fn image(image: &Option<String>, policy: &mut Option<PullPolicy>) {
    fill(
        policy,
        default_pull_policy(image.as_deref().unwrap_or_default()),
    );
}

fn host_ports(container: &mut Container) {
    for port in &mut container.ports {
        fill(&mut port.host_port, port.container_port);
    }
}

fn env(variable: &mut EnvVar) {
    variable
        .value_from
        .iter_mut()
        .flat_map(|from| &mut from.field_ref)
        .for_each(field_ref);
}

fn field_ref(selector: &mut ObjectFieldSelector) {
    fill(&mut selector.api_version, "v1".into());
}

fn probe(probe: &mut Probe) {
    fill(&mut probe.timeout_seconds, 1);
    fill(&mut probe.period_seconds, 10);
    fill(&mut probe.success_threshold, 1);
    fill(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn lifecycle(lifecycle: &mut Lifecycle) {
    let hooks = [&mut lifecycle.post_start, &mut lifecycle.pre_stop];
    let get = |hook: &mut LifecycleHandler| hook.http_get.iter_mut().for_each(http_get);
    hooks.into_iter().flatten().for_each(get);
}

fn http_get(action: &mut HttpGetAction) {
    fill(&mut action.path, "/".into());
    fill(&mut action.scheme, Scheme::Http);
}

/// Amounts finer than a thousandth are rounded up to one, and limits imply requests.
fn resources(resources: &mut ResourceRequirements) {
    round_up(&mut resources.limits);
    round_up(&mut resources.requests);
    resources.requests.join(&resources.limits, |own, _| own);
}

fn round_up(list: &mut ResourceList) {
    list.iter_mut()
        .for_each(|(_, amount)| *amount = amount.round_up(-3).0);
}

fn resize_policy(container: &mut Container) {
    let Some(resources) = &container.resources else {
        return;
    };
    for name in ["cpu", "memory"] {
        let decided = container
            .resize_policy
            .iter()
            .any(|policy| policy.resource_name == name);
        if resources.requests.contains_key(name) && !decided {
            container.resize_policy.push(ContainerResizePolicy {
                resource_name: name.into(),
                restart_policy: Some(ResourceResizeRestartPolicy::NotRequired),
            });
        }
    }
}

/// What the pod's own requests and limits leave unsaid, if it has any: huge pages are limited to what its containers may
/// have, and with limits it requests what its containers request together, else the limit.
fn pod_resources(spec: &mut PodSpec) {
    let Some(own) = &spec.resources else { return };
    let mut own = own.clone();
    round_up(&mut own.limits);
    round_up(&mut own.requests);
    if !own.limits.is_empty() || !own.requests.is_empty() {
        let mut pages = container_limits(spec);
        pages.retain(|name| is_huge_pages(name) && !own.requests.contains_key(name));
        own.limits.join(&pages, |own, _| own);
    }
    if !own.limits.is_empty() {
        let mut requests = container_requests(spec);
        requests.retain(|name| is_pod_level(name) && !is_huge_pages(name));
        own.requests.join(&requests, |own, _| own);
        own.requests.join(&own.limits, |own, _| own);
    }
    spec.resources = Some(own);
}

fn volume(volume: &mut Volume) {
    if volume.sources().next().is_none() {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(FILE_MODE);
        source
            .items
            .iter_mut()
            .flat_map(|item| &mut item.field_ref)
            .for_each(field_ref);
    }
    if let Some(source) = &mut volume.projected {
        source.default_mode.get_or_insert(FILE_MODE);
        source.sources.iter_mut().for_each(projection);
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert(HostPathType::Unset);
    }
    if let Some(source) = &mut volume.image {
        fill(
            &mut source.pull_policy,
            default_pull_policy(source.reference.as_deref().unwrap_or_default()),
        );
    }
}

fn projection(projection: &mut VolumeProjection) {
    if let Some(source) = &mut projection.downward_api {
        source
            .items
            .iter_mut()
            .flat_map(|item| &mut item.field_ref)
            .for_each(field_ref);
    }
    if let Some(source) = &mut projection.service_account_token {
        source.expiration_seconds.get_or_insert(3600);
    }
}
