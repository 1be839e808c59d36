//! Containers of all three sorts: main, init and ephemeral.

use std::collections::BTreeSet;

use super::super::container::{
    Container, ContainerRestartPolicy, EphemeralContainer, PullPolicy, TerminationMessagePolicy,
};
use super::super::path::Path;
use super::super::pod::PodSpec;
use super::handler::Which;
use super::{Findings, env, handler, mount, name, port, resources, restart, security, text};

/// All containers of a pod. Names are unique among them all.
pub(super) fn containers(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let mut names = BTreeSet::new();
    main(spec, &mut names, &at.field("containers"), found);
    init(spec, &mut names, &at.field("initContainers"), found);
    ephemeral(spec, &mut names, &at.field("ephemeralContainers"), found);
}

fn main<'s>(spec: &'s PodSpec, names: &mut BTreeSet<&'s str>, at: &Path<'_>, found: &mut Findings) {
    if spec.containers.is_empty() {
        found.required(*at, "a pod needs at least one container");
    }
    for (i, container) in spec.containers.iter().enumerate() {
        let at = at.index(i);
        shared(container, spec, &at, found);
        own_name(&container.name, names, &at, found);
        probes_and_hooks(container, spec, &at, found);
        restart::restart_policy(container, &at, found);
    }
    port::host_port_clashes(&spec.containers, 0, at, found);
}

fn init<'s>(spec: &'s PodSpec, names: &mut BTreeSet<&'s str>, at: &Path<'_>, found: &mut Findings) {
    for (i, container) in spec.init_containers.iter().enumerate() {
        // They run one after another, so their host ports do not clash with each other's.
        port::host_port_clashes(std::slice::from_ref(container), i, at, found);
        let at = at.index(i);
        shared(container, spec, &at, found);
        own_name(&container.name, names, &at, found);
        restart::restart_policy(container, &at, found);
        if container.restart_policy == Some(ContainerRestartPolicy::Always) {
            probes_and_hooks(container, spec, &at, found);
        } else {
            only_sidecars(container, &at, found);
            if !container.resize_policy.is_empty() {
                let detail =
                    "an init container is resized only with restartPolicy Always, as a sidecar";
                found.invalid(at.field("resizePolicy"), "", detail);
            }
        }
    }
}

fn own_name<'s>(name: &'s str, names: &mut BTreeSet<&'s str>, at: &Path<'_>, found: &mut Findings) {
    if !name.is_empty() && !names.insert(name) {
        found.duplicate(
            at.field("name"),
            name,
            "each container of the pod has its own name",
        );
    }
}

/// What an init container that ends has no use for.
fn only_sidecars(container: &Container, at: &Path<'_>, found: &mut Findings) {
    let present = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (field, _) in present.iter().filter(|(_, present)| *present) {
        found.forbidden(
            at.field(field),
            "an init container has it only with restartPolicy Always, as a sidecar",
        );
    }
}

fn probes_and_hooks(container: &Container, spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    if let Some(lifecycle) = &container.lifecycle {
        handler::lifecycle(lifecycle, spec, &at.field("lifecycle"), found);
    }
    let probes = [
        ("livenessProbe", &container.liveness_probe, Which::Liveness),
        (
            "readinessProbe",
            &container.readiness_probe,
            Which::Readiness,
        ),
        ("startupProbe", &container.startup_probe, Which::Startup),
    ];
    for (field, probe, which) in probes {
        if let Some(probe) = probe {
            handler::probe(probe, which, &at.field(field), found);
        }
    }
}

/// What holds for every container.
fn shared(container: &Container, spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    found.required_name(at.field("name"), &container.name, name::label);
    image(text(&container.image), at.field("image"), found);
    let policy = container
        .termination_message_policy
        .as_ref()
        .map(TerminationMessagePolicy::as_str);
    found.required_known(
        at.field("terminationMessagePolicy"),
        policy,
        TerminationMessagePolicy::KNOWN,
    );
    let policy = container.image_pull_policy.as_ref().map(PullPolicy::as_str);
    found.required_known(at.field("imagePullPolicy"), policy, PullPolicy::KNOWN);
    port::ports(&container.ports, &at.field("ports"), found);
    env::env(&container.env, &at.field("env"), found);
    env::env_from(&container.env_from, &at.field("envFrom"), found);
    mount::mounts(container, &spec.volumes, &at.field("volumeMounts"), found);
    mount::devices(container, &spec.volumes, &at.field("volumeDevices"), found);
    for (list, resource, text) in &container.misread {
        let resources = at.field("resources");
        let list = resources.field(list);
        found.invalid(
            list.key(resource),
            text,
            "use an amount such as 100m, 1.5, 64Mi or 1G",
        );
    }
    if let Some(resources) = &container.resources {
        resources::container(resources, spec, &at.field("resources"), found);
    }
    resources::resize_policy(
        &container.resize_policy,
        spec,
        &at.field("resizePolicy"),
        found,
    );
    if let Some(context) = &container.security_context {
        security::container(context, spec, &at.field("securityContext"), found);
    }
}

fn image(image: &str, at: Path<'_>, found: &mut Findings) {
    if image.is_empty() {
        found.required(at, "an image reference");
    } else if image.trim() != image {
        found.invalid(at, image, "no white space around it");
    }
}

fn ephemeral<'s>(
    spec: &'s PodSpec,
    names: &mut BTreeSet<&'s str>,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let lasting = names.clone();
    for (i, container) in spec.ephemeral_containers.iter().enumerate() {
        let at = at.index(i);
        shared(&container.as_container(), spec, &at, found);
        own_name(&container.name, names, &at, found);
        let target = text(&container.target_container_name);
        if !target.is_empty() && !lasting.contains(target) {
            found.not_found(
                at.field("targetContainerName"),
                target,
                "it names a container or init container of the pod",
            );
        }
        not_for_debugging(container, &at, found);
    }
}

/// An ephemeral container serves nobody, so it has nothing a service needs.
fn not_for_debugging(container: &EphemeralContainer, at: &Path<'_>, found: &mut Findings) {
    let present = [
        ("ports", !container.ports.is_empty()),
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
        (
            "resources",
            container
                .resources
                .as_ref()
                .is_some_and(|resources| *resources != Default::default()),
        ),
        ("resizePolicy", !container.resize_policy.is_empty()),
        ("restartPolicy", container.restart_policy.is_some()),
        (
            "restartPolicyRules",
            !container.restart_policy_rules.is_empty(),
        ),
    ];
    for (field, _) in present.iter().filter(|(_, present)| *present) {
        found.forbidden(at.field(field), "an ephemeral container cannot have it");
    }
    for (i, mount) in container.volume_mounts.iter().enumerate() {
        let list = at.field("volumeMounts");
        let at = list.index(i);
        for (field, path) in [
            ("subPath", &mount.sub_path),
            ("subPathExpr", &mount.sub_path_expr),
        ] {
            if !text(path).is_empty() {
                found.forbidden(at.field(field), "an ephemeral container cannot have it");
            }
        }
    }
}
