//! Security settings of pods and containers.

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::text_enum::text_enum;

text_enum! {
    /// How /proc looks in a container.
    pub enum ProcMount {
        /// With the usual paths masked or read-only.
        Default = "Default",
        /// As it is.
        Unmasked = "Unmasked",
    }
}

text_enum! {
    /// Where a seccomp filter comes from.
    pub enum SeccompProfileType {
        /// There is none.
        Unconfined = "Unconfined",
        /// The runtime's own.
        RuntimeDefault = "RuntimeDefault",
        /// A file on this host.
        Localhost = "Localhost",
    }
}

text_enum! {
    /// Where an AppArmor profile comes from.
    pub enum AppArmorProfileType {
        /// There is none.
        Unconfined = "Unconfined",
        /// The runtime's own.
        RuntimeDefault = "RuntimeDefault",
        /// A profile loaded on this host.
        Localhost = "Localhost",
    }
}

text_enum! {
    /// When a volume's ownership is changed to the fsGroup.
    pub enum FsGroupChangePolicy {
        /// Only if its root has another owner.
        OnRootMismatch = "OnRootMismatch",
        /// At every mount.
        Always = "Always",
    }
}

text_enum! {
    /// Which groups a process gets.
    pub enum SupplementalGroupsPolicy {
        /// Those of the pod and those of the image.
        Merge = "Merge",
        /// Those of the pod only.
        Strict = "Strict",
    }
}

text_enum! {
    /// How SELinux labels get onto volumes.
    pub enum SeLinuxChangePolicy {
        /// File by file.
        Recursive = "Recursive",
        /// By a mount option.
        MountOption = "MountOption",
    }
}

/// Changes to the default capabilities.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Capabilities {
    /// Added ones, without `CAP_`.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Dropped ones; `ALL` for all.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// An SELinux label.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SeLinuxOptions {
    /// The level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A seccomp filter.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SeccompProfile {
    /// The file, relative to the profile directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub localhost_profile: Option<String>,
    /// Where it comes from.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<SeccompProfileType>,
}

/// An AppArmor profile.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct AppArmorProfile {
    /// The name of the loaded profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub localhost_profile: Option<String>,
    /// Where it comes from.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<AppArmorProfileType>,
}

/// Settings for Windows containers.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct WindowsSecurityContextOptions {
    /// The credential specification itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gmsa_credential_spec: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gmsa_credential_spec_name: Option<String>,
    /// Runs on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_process: Option<bool>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user_name: Option<String>,
}

/// A kernel parameter of the pod's namespaces.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Sysctl {
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Its value.
    #[serde(deserialize_with = "absent")]
    pub value: String,
}

/// Security settings of one container; they override the pod's.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecurityContext {
    /// `false` sets no_new_privs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
    /// The AppArmor profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_armor_profile: Option<AppArmorProfile>,
    /// Changes to the default capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Nearly as root on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// How /proc looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proc_mount: Option<ProcMount>,
    /// The root can only be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    /// The group id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<i64>,
    /// Refuses to start as root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// The user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// The SELinux label.
    #[serde(rename = "seLinuxOptions", skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinuxOptions>,
    /// The seccomp filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<SeccompProfile>,
    /// Settings for Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows_options: Option<WindowsSecurityContextOptions>,
}

/// Security settings for all containers of a pod.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodSecurityContext {
    /// The AppArmor profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_armor_profile: Option<AppArmorProfile>,
    /// A group that owns the volumes and that every container is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// When ownership is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group_change_policy: Option<FsGroupChangePolicy>,
    /// The group id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<i64>,
    /// Refuses to start containers as root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// The user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// How labels get onto volumes.
    #[serde(
        rename = "seLinuxChangePolicy",
        skip_serializing_if = "Option::is_none"
    )]
    pub se_linux_change_policy: Option<SeLinuxChangePolicy>,
    /// The SELinux label.
    #[serde(rename = "seLinuxOptions", skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinuxOptions>,
    /// The seccomp filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<SeccompProfile>,
    /// Further groups.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub supplemental_groups: Vec<i64>,
    /// Which groups a process gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supplemental_groups_policy: Option<SupplementalGroupsPolicy>,
    /// Kernel parameters.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<Sysctl>,
    /// Settings for Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows_options: Option<WindowsSecurityContextOptions>,
}
