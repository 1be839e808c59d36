//! Security settings of pods and containers.

use std::collections::BTreeSet;

use super::super::path::Path;
use super::super::pod::PodSpec;
use super::super::security::{
    AppArmorProfile, AppArmorProfileType, FsGroupChangePolicy, PodSecurityContext, ProcMount,
    SeLinuxChangePolicy, SeccompProfile, SeccompProfileType, SecurityContext,
    SupplementalGroupsPolicy, Sysctl,
};
use super::super::sysctl::{self, SysctlNamespace};
use super::{Findings, name, text};

fn id(id: Option<i64>, at: Path<'_>, found: &mut Findings) {
    if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        found.invalid(at, id, "use 0 to 2147483647");
    }
}

pub(super) fn container(
    context: &SecurityContext,
    spec: &PodSpec,
    at: &Path<'_>,
    found: &mut Findings,
) {
    id(context.run_as_user, at.field("runAsUser"), found);
    id(context.run_as_group, at.field("runAsGroup"), found);
    if let Some(mode) = &context.proc_mount {
        found.known(at.field("procMount"), mode.as_str(), ProcMount::KNOWN);
        if *mode == ProcMount::Unmasked && spec.host_users != Some(false) {
            found.invalid(at.field("procMount"), mode, "it needs hostUsers: false");
        }
    }
    seccomp(
        context.seccomp_profile.as_ref(),
        &at.field("seccompProfile"),
        found,
    );
    app_armor(
        context.app_armor_profile.as_ref(),
        &at.field("appArmorProfile"),
        found,
    );
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            found.invalid(
                *at,
                "privileged",
                "a privileged container cannot have allowPrivilegeEscalation: false",
            );
        }
        let added = context
            .capabilities
            .iter()
            .flat_map(|capabilities| &capabilities.add);
        if added
            .into_iter()
            .any(|capability| capability == "CAP_SYS_ADMIN")
        {
            let detail =
                "a container with CAP_SYS_ADMIN cannot have allowPrivilegeEscalation: false";
            found.invalid(*at, "CAP_SYS_ADMIN", detail);
        }
    }
}

pub(super) fn pod(
    context: &PodSecurityContext,
    spec: &PodSpec,
    at: &Path<'_>,
    found: &mut Findings,
) {
    id(context.fs_group, at.field("fsGroup"), found);
    id(context.run_as_user, at.field("runAsUser"), found);
    id(context.run_as_group, at.field("runAsGroup"), found);
    let groups = at.field("supplementalGroups");
    for (i, group) in context.supplemental_groups.iter().enumerate() {
        id(Some(*group), groups.index(i), found);
    }
    if let Some(policy) = &context.fs_group_change_policy {
        found.known(
            at.field("fsGroupChangePolicy"),
            policy.as_str(),
            FsGroupChangePolicy::KNOWN,
        );
    }
    if let Some(policy) = &context.supplemental_groups_policy {
        found.known(
            at.field("supplementalGroupsPolicy"),
            policy.as_str(),
            SupplementalGroupsPolicy::KNOWN,
        );
    }
    if let Some(policy) = &context.se_linux_change_policy {
        found.known(
            at.field("seLinuxChangePolicy"),
            policy.as_str(),
            SeLinuxChangePolicy::KNOWN,
        );
    }
    seccomp(
        context.seccomp_profile.as_ref(),
        &at.field("seccompProfile"),
        found,
    );
    app_armor(
        context.app_armor_profile.as_ref(),
        &at.field("appArmorProfile"),
        found,
    );
    sysctls(&context.sysctls, spec, &at.field("sysctls"), found);
}

fn seccomp(profile: Option<&SeccompProfile>, at: &Path<'_>, found: &mut Findings) {
    let Some(profile) = profile else { return };
    let word = profile.type_.as_ref().map(SeccompProfileType::as_str);
    found.required_known(at.field("type"), word, SeccompProfileType::KNOWN);
    let localhost = profile.type_ == Some(SeccompProfileType::Localhost);
    match &profile.localhost_profile {
        Some(file) if localhost => {
            found.name(at.field("localhostProfile"), file, name::descending_path)
        }
        None if localhost => found.required(
            at.field("localhostProfile"),
            "with type Localhost it names a file",
        ),
        Some(file) => found.invalid(
            at.field("localhostProfile"),
            file,
            "it goes with type Localhost only",
        ),
        None => {}
    }
}

/// The longest path of Linux.
const PROFILE_MAX: usize = 4095;

fn app_armor(profile: Option<&AppArmorProfile>, at: &Path<'_>, found: &mut Findings) {
    let Some(profile) = profile else { return };
    let word = profile.type_.as_ref().map(AppArmorProfileType::as_str);
    found.required_known(at.field("type"), word, AppArmorProfileType::KNOWN);
    let field = at.field("localhostProfile");
    let own = text(&profile.localhost_profile);
    if profile.type_ == Some(AppArmorProfileType::Localhost) && own.len() > PROFILE_MAX {
        let detail = format!("at most {PROFILE_MAX} bytes");
        found.0.push(super::FieldError::new(
            field,
            super::ErrorType::TooLong,
            detail,
        ));
    }
    match (&profile.type_, own) {
        (Some(AppArmorProfileType::Localhost), name) if name.trim() != name => {
            found.invalid(field, name, "no white space around it");
        }
        (Some(AppArmorProfileType::Localhost), "") => {
            found.required(field, "with type Localhost it names a loaded profile");
        }
        (Some(AppArmorProfileType::RuntimeDefault | AppArmorProfileType::Unconfined), name)
            if profile.localhost_profile.is_some() =>
        {
            found.invalid(field, name, "it goes with type Localhost only");
        }
        _ => {}
    }
}

fn sysctls(sysctls: &[Sysctl], spec: &PodSpec, at: &Path<'_>, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (i, sysctl) in sysctls.iter().enumerate() {
        let list = at.index(i);
        let at = list.field("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            found.required(at, "a kernel parameter");
        } else if !sysctl::is_name(name) {
            found.invalid(
                at,
                name,
                "use lower-case letters, digits, - and _, separated by dots or slashes",
            );
        } else if !seen.insert(name) {
            found.duplicate(at, name, "each parameter has one value");
        }
        match sysctl::namespace_of(name) {
            Some(SysctlNamespace::Net) if spec.host_network == Some(true) => {
                found.invalid(at, name, "with hostNetwork it would be the host's own");
            }
            Some(SysctlNamespace::Ipc) if spec.host_ipc == Some(true) => {
                found.invalid(at, name, "with hostIPC it would be the host's own");
            }
            _ => {}
        }
    }
}
