//! The Pod itself and its specification.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::absent::{absent, is_default};
use super::container::{Container, EphemeralContainer};
use super::meta::{KindOf, Noun, ObjectMeta, V1};
use super::network::{DnsConfig, DnsPolicy, HostAlias};
use super::resource_list::ResourceList;
use super::resources::ResourceRequirements;
use super::scheduling::{
    Affinity, PodReadinessGate, PodResourceClaim, PodSchedulingGate, PodSchedulingGroup,
    Toleration, TopologySpreadConstraint,
};
use super::security::PodSecurityContext;
use super::status::PodStatus;
use super::text_enum::text_enum;
use super::volume::Volume;

text_enum! {
    /// What happens to a container of the pod that ends.
    pub enum RestartPolicy {
        /// It is started again.
        Always = "Always",
        /// It is started again unless it exited with 0.
        OnFailure = "OnFailure",
        /// It stays ended.
        Never = "Never",
    }
}

text_enum! {
    /// Whether the pod may push others off a node.
    pub enum PreemptionPolicy {
        /// It may.
        PreemptLowerPriority = "PreemptLowerPriority",
        /// It may not.
        Never = "Never",
    }
}

text_enum! {
    /// The operating system a pod is for.
    pub enum OsName {
        /// Linux.
        Linux = "linux",
        /// Windows.
        Windows = "windows",
    }
}

/// Which operating system the pod is for.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodOs {
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: OsName,
}

/// The name of an object in the pod's namespace.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LocalObjectReference {
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: String,
}

/// What the pod shall be.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodSpec {
    /// Seconds after its start at which the pod is ended and Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// Where to schedule it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Whether a service account token is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// The main containers; at least one.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// Resolver settings added to those of `dns_policy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Where the resolver settings come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_policy: Option<DnsPolicy>,
    /// Whether services show up as environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_service_links: Option<bool>,
    /// Containers added to a running pod for debugging.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub ephemeral_containers: Vec<EphemeralContainer>,
    /// Lines added to /etc/hosts.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub host_aliases: Vec<HostAlias>,
    /// Uses the host's IPC namespace.
    #[serde(rename = "hostIPC", skip_serializing_if = "Option::is_none")]
    pub host_ipc: Option<bool>,
    /// Uses the host's network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// Uses the host's PID namespace.
    #[serde(rename = "hostPID", skip_serializing_if = "Option::is_none")]
    pub host_pid: Option<bool>,
    /// `false` gives the pod its own user namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,
    /// The pod's hostname; else its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The hostname as it is, overriding all other hostname fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname_override: Option<String>,
    /// Secrets with registry credentials.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Run one after another before the main containers; with `restart_policy` Always a sidecar.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
    /// The node the pod is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Labels a node must have.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub node_selector: BTreeMap<String, String>,
    /// The operating system of the containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<PodOs>,
    /// What the sandbox itself costs, on top of the containers.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "ResourceList::is_empty"
    )]
    pub overhead: ResourceList,
    /// Whether it may push other pods off a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preemption_policy: Option<PreemptionPolicy>,
    /// Higher ones start first and end last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Names a priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Further conditions that must be true for the pod to be Ready.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub readiness_gates: Vec<PodReadinessGate>,
    /// Devices claimed by dynamic resource allocation.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub resource_claims: Vec<PodResourceClaim>,
    /// Requests and limits of the pod as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// What happens to containers that end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Which runtime handler runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Which scheduler places it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// A group of pods to be scheduled together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling_group: Option<PodSchedulingGroup>,
    /// While there is one the pod is not scheduled.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub scheduling_gates: Vec<PodSchedulingGate>,
    /// Security settings for all containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// The older name of `service_account_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// The service account it runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The kernel's hostname becomes the full domain name.
    #[serde(rename = "setHostnameAsFQDN", skip_serializing_if = "Option::is_none")]
    pub set_hostname_as_fqdn: Option<bool>,
    /// All containers share one PID namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_process_namespace: Option<bool>,
    /// The middle part of the pod's domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<String>,
    /// Seconds between SIGTERM and SIGKILL when the pod ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// Node taints it tolerates.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How to spread equal pods over nodes.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Volumes the containers can mount.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

/// A pod, in the shape of `v1.Pod`: open, so it holds whatever the API's JSON can say.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Pod {
    api_version: V1,
    kind: KindOf<Pod>,
    /// Name, namespace, labels and so on.
    #[serde(deserialize_with = "absent")]
    pub metadata: ObjectMeta,
    /// What it shall be.
    #[serde(deserialize_with = "absent")]
    pub spec: PodSpec,
    /// What it is.
    #[serde(deserialize_with = "absent", skip_serializing_if = "is_default")]
    pub status: PodStatus,
}

impl Noun for Pod {
    const KIND: &'static str = "Pod";
}

impl Pod {
    /// Whether it was read from something that said `kind: Pod`.
    pub(super) fn says_its_kind(&self) -> bool {
        self.kind.said()
    }
}
