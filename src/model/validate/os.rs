//! The operating system a pod is for, and the fields that another one has.

use super::super::path::Path;
use super::super::pod::{OsName, PodSpec};
use super::super::security::{PodSecurityContext, SecurityContext};
use super::Findings;

pub(super) fn os(spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let Some(os) = &spec.os else { return };
    let (containers, init) = (at.field("containers"), at.field("initContainers"));
    let debugging = at.field("ephemeralContainers");
    let main = spec.containers.iter().map(|one| &one.security_context);
    let before = spec.init_containers.iter().map(|one| &one.security_context);
    let added = spec
        .ephemeral_containers
        .iter()
        .map(|one| &one.security_context);
    let contexts = main.enumerate().map(|(i, one)| (containers.index(i), one));
    let contexts = contexts.chain(before.enumerate().map(|(i, one)| (init.index(i), one)));
    let contexts = contexts.chain(added.enumerate().map(|(i, one)| (debugging.index(i), one)));
    let contexts = contexts.filter_map(|(at, one)| Some((at, one.as_ref()?)));
    let pod = spec.security_context.iter();
    match &os.name {
        OsName::Linux => {
            let pod = pod.map(|one| (*at, one.windows_options.is_some()));
            let windows = pod.chain(contexts.map(|(at, one)| (at, one.windows_options.is_some())));
            for (at, present) in windows {
                let context = at.field("securityContext");
                forbid(&[("windowsOptions", present)], "linux", &context, found);
            }
        }
        OsName::Windows => {
            forbid(&of_spec(spec), "windows", at, found);
            for one in pod {
                forbid(&of_pod(one), "windows", &at.field("securityContext"), found);
            }
            for (at, one) in contexts {
                forbid(
                    &of_container(one),
                    "windows",
                    &at.field("securityContext"),
                    found,
                );
            }
        }
        other => {
            let field = at.field("os");
            found.required_known(field.field("name"), Some(other.as_str()), OsName::KNOWN);
        }
    }
}

fn forbid(fields: &[(&'static str, bool)], os: &str, at: &Path<'_>, found: &mut Findings) {
    for (field, _) in fields.iter().filter(|(_, present)| *present) {
        found.forbidden(at.field(field), format!("a pod for {os} cannot have it"));
    }
}

fn of_spec(spec: &PodSpec) -> [(&'static str, bool); 4] {
    [
        ("hostUsers", spec.host_users.is_some()),
        ("hostPID", spec.host_pid == Some(true)),
        ("hostIPC", spec.host_ipc == Some(true)),
        (
            "shareProcessNamespace",
            spec.share_process_namespace.is_some(),
        ),
    ]
}

fn of_pod(context: &PodSecurityContext) -> [(&'static str, bool); 11] {
    [
        ("appArmorProfile", context.app_armor_profile.is_some()),
        ("seLinuxOptions", context.se_linux_options.is_some()),
        ("seccompProfile", context.seccomp_profile.is_some()),
        ("fsGroup", context.fs_group.is_some()),
        (
            "fsGroupChangePolicy",
            context.fs_group_change_policy.is_some(),
        ),
        ("sysctls", !context.sysctls.is_empty()),
        ("runAsUser", context.run_as_user.is_some()),
        ("runAsGroup", context.run_as_group.is_some()),
        (
            "supplementalGroups",
            !context.supplemental_groups.is_empty(),
        ),
        (
            "supplementalGroupsPolicy",
            context.supplemental_groups_policy.is_some(),
        ),
        (
            "seLinuxChangePolicy",
            context.se_linux_change_policy.is_some(),
        ),
    ]
}

fn of_container(context: &SecurityContext) -> [(&'static str, bool); 10] {
    [
        ("appArmorProfile", context.app_armor_profile.is_some()),
        ("seLinuxOptions", context.se_linux_options.is_some()),
        ("seccompProfile", context.seccomp_profile.is_some()),
        ("capabilities", context.capabilities.is_some()),
        (
            "readOnlyRootFilesystem",
            context.read_only_root_filesystem.is_some(),
        ),
        ("privileged", context.privileged.is_some()),
        (
            "allowPrivilegeEscalation",
            context.allow_privilege_escalation.is_some(),
        ),
        ("procMount", context.proc_mount.is_some()),
        ("runAsUser", context.run_as_user.is_some()),
        ("runAsGroup", context.run_as_group.is_some()),
    ]
}
