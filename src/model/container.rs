//! Containers and what belongs to one: ports, environment, mounts.

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::env::{EnvFromSource, EnvVar};
use super::hook::Lifecycle;
use super::probe::Probe;
use super::resources::{ContainerResizePolicy, ResourceRequirements};
use super::security::SecurityContext;
use super::text_enum::text_enum;

text_enum! {
    /// When an image is fetched.
    pub enum PullPolicy {
        /// Before every start.
        Always = "Always",
        /// If it is not here yet.
        IfNotPresent = "IfNotPresent",
        /// Not at all: it must be here.
        Never = "Never",
    }
}

text_enum! {
    /// Where the message of an ended container comes from.
    pub enum TerminationMessagePolicy {
        /// From the file at `termination_message_path`.
        File = "File",
        /// From the end of the log, if the file is empty and the container failed.
        FallbackToLogsOnError = "FallbackToLogsOnError",
    }
}

text_enum! {
    /// A container's own restart policy; on an init container Always makes it a sidecar.
    pub enum ContainerRestartPolicy {
        /// It is started again.
        Always = "Always",
        /// It is started again unless it exited with 0.
        OnFailure = "OnFailure",
        /// It stays ended.
        Never = "Never",
    }
}

text_enum! {
    /// What a restart rule does.
    pub enum RestartRuleAction {
        /// Starts the container again.
        Restart = "Restart",
        /// Starts all containers of the pod again.
        RestartAllContainers = "RestartAllContainers",
    }
}

text_enum! {
    /// How a restart rule compares exit codes.
    pub enum RestartRuleOperator {
        /// The code is in the list.
        In = "In",
        /// The code is not in the list.
        NotIn = "NotIn",
    }
}

text_enum! {
    /// A port's protocol.
    pub enum Protocol {
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
        /// SCTP.
        Sctp = "SCTP",
    }
}

text_enum! {
    /// Which later mounts pass between host and container.
    pub enum MountPropagation {
        /// None.
        None = "None",
        /// From the host into the container.
        HostToContainer = "HostToContainer",
        /// Both ways; for privileged containers only.
        Bidirectional = "Bidirectional",
    }
}

text_enum! {
    /// Whether a read-only mount covers the mounts below it.
    pub enum RecursiveReadOnly {
        /// It does not.
        Disabled = "Disabled",
        /// It does, where the kernel can.
        IfPossible = "IfPossible",
        /// It must.
        Enabled = "Enabled",
    }
}

/// A port a container listens on. Informational, but for `host_port` and its name.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its number, 1 to 65535.
    #[serde(deserialize_with = "absent")]
    pub container_port: i32,
    /// The host's address to bind `host_port` to.
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// A port of the host that leads to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<i32>,
    /// A name probes can use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// TCP unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// Where a container sees a volume.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeMount {
    /// The path in the container.
    #[serde(deserialize_with = "absent")]
    pub mount_path: String,
    /// Which later mounts pass through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_propagation: Option<MountPropagation>,
    /// The volume.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Whether it can only be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Whether that covers mounts below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive_read_only: Option<RecursiveReadOnly>,
    /// The part of the volume to mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// The same, with `$(NAME)` expanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_path_expr: Option<String>,
}

/// A block device shown to a container.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeDevice {
    /// The path in the container.
    #[serde(deserialize_with = "absent")]
    pub device_path: String,
    /// The claim's volume.
    #[serde(deserialize_with = "absent")]
    pub name: String,
}

/// One rule that overrides a container's restart policy.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerRestartRule {
    /// What to do if it matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<RestartRuleAction>,
    /// Matches by exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_codes: Option<ContainerRestartRuleOnExitCodes>,
}

/// Which exit codes a rule matches.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerRestartRuleOnExitCodes {
    /// In or not in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<RestartRuleOperator>,
    /// The list.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<i32>,
}

/// One container of a pod: main, init or, with `restart_policy` Always among the init containers, a sidecar.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Container {
    /// Arguments; they replace the image's CMD.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The program; it replaces the image's ENTRYPOINT and CMD.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables, in order.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Whole objects as environment variables, before `env`.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// The image reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the image is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Hooks after start and before stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// When it fails the container is restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Its name, unique in the pod.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Ports it listens on.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    /// When it fails the container is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// What happens when its resources change.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub resize_policy: Vec<ContainerResizePolicy>,
    /// Requests and limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Overrides the pod's; on an init container Always makes a sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<ContainerRestartPolicy>,
    /// Rules checked before the policy.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub restart_policy_rules: Vec<ContainerRestartRule>,
    /// Security settings; they override the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Until it succeeds the other probes wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    /// Keeps standard input open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<bool>,
    /// Closes it after the first attach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin_once: Option<bool>,
    /// The file with its last words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_message_path: Option<String>,
    /// Where the last words come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_message_policy: Option<TerminationMessagePolicy>,
    /// Gives it a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Block devices it sees.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub volume_devices: Vec<VolumeDevice>,
    /// Volumes it sees.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Its working directory; else the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// What a builder was given as an amount and is none, with its field; validation reports it.
    #[serde(skip)]
    pub(super) misread: Vec<(&'static str, String, String)>,
}

/// A container added to a running pod for debugging. Never restarted.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct EphemeralContainer {
    /// Arguments; they replace the image's CMD.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The program; it replaces the image's ENTRYPOINT and CMD.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables, in order.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Whole objects as environment variables, before `env`.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// The image reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the image is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Not allowed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// Not allowed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Its name, unique in the pod.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Not allowed here.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    /// Not allowed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Not allowed here.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub resize_policy: Vec<ContainerResizePolicy>,
    /// Not allowed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Not allowed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<ContainerRestartPolicy>,
    /// Not allowed here.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub restart_policy_rules: Vec<ContainerRestartRule>,
    /// Security settings; they override the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Not allowed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    /// Keeps standard input open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<bool>,
    /// Closes it after the first attach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin_once: Option<bool>,
    /// The container whose namespaces it joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_container_name: Option<String>,
    /// The file with its last words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_message_path: Option<String>,
    /// Where the last words come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_message_policy: Option<TerminationMessagePolicy>,
    /// Gives it a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Block devices it sees.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub volume_devices: Vec<VolumeDevice>,
    /// Volumes it sees; no sub-paths.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Its working directory; else the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
}

impl EphemeralContainer {
    /// The same as an ordinary container, which all rules are written for.
    pub fn as_container(&self) -> Container {
        let own = self.clone();
        Container {
            args: own.args,
            command: own.command,
            env: own.env,
            env_from: own.env_from,
            image: own.image,
            image_pull_policy: own.image_pull_policy,
            lifecycle: own.lifecycle,
            liveness_probe: own.liveness_probe,
            name: own.name,
            ports: own.ports,
            readiness_probe: own.readiness_probe,
            resize_policy: own.resize_policy,
            resources: own.resources,
            restart_policy: own.restart_policy,
            restart_policy_rules: own.restart_policy_rules,
            security_context: own.security_context,
            startup_probe: own.startup_probe,
            stdin: own.stdin,
            stdin_once: own.stdin_once,
            termination_message_path: own.termination_message_path,
            termination_message_policy: own.termination_message_policy,
            tty: own.tty,
            volume_devices: own.volume_devices,
            volume_mounts: own.volume_mounts,
            working_dir: own.working_dir,
            misread: Vec::new(),
        }
    }
}
