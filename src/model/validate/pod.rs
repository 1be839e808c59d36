//! The pod's specification.

use super::super::network::DnsPolicy;
use super::super::path::Path;
use super::super::pod::{PodSpec, PreemptionPolicy, RestartPolicy};
use super::{
    Findings, container, name, network, os, port, resources, scheduling, security, text, volume,
};

pub(super) fn spec(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    volume::volumes(&spec.volumes, &at.field("volumes"), found);
    container::containers(spec, at, found);
    resources::pod(spec, &at.field("resources"), found);
    policies(spec, at, found);
    names(spec, at, found);
    namespaces(spec, at, found);
    network::dns(
        spec.dns_config.as_ref(),
        spec.dns_policy.as_ref(),
        &at.field("dnsConfig"),
        found,
    );
    network::host_aliases(&spec.host_aliases, &at.field("hostAliases"), found);
    if let Some(context) = &spec.security_context {
        security::pod(context, spec, &at.field("securityContext"), found);
    }
    scheduling::scheduling(spec, at, found);
    os::os(spec, at, found);
}

fn policies(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let policy = spec.restart_policy.as_ref().map(RestartPolicy::as_str);
    found.required_known(at.field("restartPolicy"), policy, RestartPolicy::KNOWN);
    let policy = spec.dns_policy.as_ref().map(DnsPolicy::as_str);
    found.required_known(at.field("dnsPolicy"), policy, DnsPolicy::KNOWN);
    if let Some(policy) = &spec.preemption_policy {
        found.required_known(
            at.field("preemptionPolicy"),
            Some(policy.as_str()),
            PreemptionPolicy::KNOWN,
        );
    }
    let deadline = spec.active_deadline_seconds;
    if let Some(seconds) = deadline.filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds)) {
        found.invalid(
            at.field("activeDeadlineSeconds"),
            seconds,
            "use 1 to 2147483647",
        );
    }
}

fn names(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    type Grammar = fn(&str) -> Option<&'static str>;
    let names: [(&'static str, &Option<String>, Grammar); 5] = [
        ("hostname", &spec.hostname, name::label),
        ("subdomain", &spec.subdomain, name::label),
        (
            "serviceAccountName",
            &spec.service_account_name,
            name::subdomain,
        ),
        ("nodeName", &spec.node_name, name::subdomain),
        (
            "priorityClassName",
            &spec.priority_class_name,
            name::subdomain,
        ),
    ];
    for (field, name, grammar) in names {
        if !text(name).is_empty() {
            found.name(at.field(field), text(name), grammar);
        }
    }
    if let Some(class) = &spec.runtime_class_name {
        found.name(at.field("runtimeClassName"), class, name::subdomain);
    }
    hostname_override(spec, at.field("hostnameOverride"), found);
}

/// The longest hostname Linux takes.
const HOSTNAME_MAX: usize = 64;

fn hostname_override(spec: &PodSpec, at: Path<'_>, found: &mut Findings) {
    let Some(hostname) = &spec.hostname_override else {
        return;
    };
    found.name(at, hostname, name::subdomain);
    if hostname.len() > HOSTNAME_MAX {
        found.invalid(at, hostname, format!("at most {HOSTNAME_MAX} characters"));
    }
    if spec.host_network == Some(true) {
        found.forbidden(at, "with hostNetwork the pod has the host's name");
    }
    if spec.set_hostname_as_fqdn == Some(true) {
        found.forbidden(at, "it does not go with setHostnameAsFQDN");
    }
}

fn namespaces(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    if spec.host_network == Some(true) {
        port::host_network_ports(&spec.containers, &at.field("containers"), found);
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        found.invalid(
            at.field("shareProcessNamespace"),
            true,
            "it does not go with hostPID",
        );
    }
    if spec.host_users == Some(false) {
        let host = [
            ("hostNetwork", spec.host_network),
            ("hostPID", spec.host_pid),
            ("hostIPC", spec.host_ipc),
        ];
        for (field, _) in host.iter().filter(|(_, host)| *host == Some(true)) {
            found.forbidden(at.field(field), "it does not go with hostUsers: false");
        }
    }
}
