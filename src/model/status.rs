//! What a pod is: `v1.PodStatus` and its parts.

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::container::RecursiveReadOnly;
use super::resource_list::ResourceList;
use super::resources::ResourceRequirements;
use super::text_enum::text_enum;
use crate::time::Wall;

text_enum! {
    /// Where a pod is in its life.
    pub enum Phase {
        /// Accepted; not all containers have been started.
        Pending = "Pending",
        /// Bound and started; at least one container runs or is about to.
        Running = "Running",
        /// All containers ended with success and will not be restarted.
        Succeeded = "Succeeded",
        /// All containers ended, at least one in failure.
        Failed = "Failed",
        /// Nothing could be learned.
        Unknown = "Unknown",
    }
}

text_enum! {
    /// Whether a condition holds.
    pub enum ConditionStatus {
        /// It does.
        True = "True",
        /// It does not.
        False = "False",
        /// Nobody knows.
        Unknown = "Unknown",
    }
}

text_enum! {
    /// What a pod condition is about.
    pub enum ConditionType {
        /// It is bound to a node.
        PodScheduled = "PodScheduled",
        /// Its sandbox and network stand.
        PodReadyToStartContainers = "PodReadyToStartContainers",
        /// All init containers are done.
        Initialized = "Initialized",
        /// All containers are ready.
        ContainersReady = "ContainersReady",
        /// It can serve.
        Ready = "Ready",
        /// All containers are being restarted in place.
        AllContainersRestarting = "AllContainersRestarting",
        /// It is about to be ended from outside.
        DisruptionTarget = "DisruptionTarget",
        /// A resize waits.
        PodResizePending = "PodResizePending",
        /// A resize is being applied.
        PodResizeInProgress = "PodResizeInProgress",
    }
}

text_enum! {
    /// The pod's quality of service.
    pub enum QosClass {
        /// Limits equal requests everywhere.
        Guaranteed = "Guaranteed",
        /// In between.
        Burstable = "Burstable",
        /// Nothing asked for.
        BestEffort = "BestEffort",
    }
}

/// What a pod is.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodStatus {
    /// Requests of the pod itself granted by the node.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "ResourceList::is_empty"
    )]
    pub allocated_resources: ResourceList,
    /// Its conditions.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<PodCondition>,
    /// Of the main containers.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub container_statuses: Vec<ContainerStatus>,
    /// Of the ephemeral containers.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub ephemeral_container_statuses: Vec<ContainerStatus>,
    /// Of the claim made for its extended resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_resource_claim_status: Option<PodExtendedResourceClaimStatus>,
    /// The host's address.
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// All of the host's addresses.
    #[serde(
        rename = "hostIPs",
        deserialize_with = "absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub host_ips: Vec<HostIp>,
    /// Of the init containers.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Why it is as it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What claims take of the node's own resources.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub node_allocatable_resource_claim_statuses: Vec<NodeAllocatableResourceClaimStatus>,
    /// Where it may be scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nominated_node_name: Option<String>,
    /// The generation of the spec this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it is in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Its address.
    #[serde(rename = "podIP", skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<String>,
    /// All its addresses.
    #[serde(
        rename = "podIPs",
        deserialize_with = "absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pod_ips: Vec<PodIp>,
    /// Its quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos_class: Option<QosClass>,
    /// Why it is as it is, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where a resize stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<String>,
    /// What is applied to the pod itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Of its resource claims.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub resource_claim_statuses: Vec<PodResourceClaimStatus>,
    /// When it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Wall>,
}

/// An address of the host.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HostIp {
    /// The address.
    #[serde(deserialize_with = "absent")]
    pub ip: String,
}

/// An address of the pod.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodIp {
    /// The address.
    #[serde(deserialize_with = "absent")]
    pub ip: String,
}

/// Something about the pod that holds or does not.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodCondition {
    /// When it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<Wall>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Wall>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The generation of the spec this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it holds.
    #[serde(deserialize_with = "absent")]
    pub status: ConditionStatus,
    /// What it is about.
    #[serde(rename = "type", deserialize_with = "absent")]
    pub type_: ConditionType,
}

/// The claim made for one of the pod's resource claims.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodResourceClaimStatus {
    /// The pod's name for it.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// The claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim_name: Option<String>,
}

/// What a claim takes of the node's own resources.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeAllocatableResourceClaimStatus {
    /// The containers that use the claim.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// The claim.
    #[serde(deserialize_with = "absent")]
    pub resource_claim_name: String,
    /// How much, by resource.
    #[serde(deserialize_with = "absent")]
    pub resources: ResourceList,
}

/// The claim made for extended resources.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodExtendedResourceClaimStatus {
    /// Which request is for which container.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub request_mappings: Vec<ContainerExtendedResourceRequest>,
    /// The claim.
    #[serde(deserialize_with = "absent")]
    pub resource_claim_name: String,
}

/// Which request serves which container's resource.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerExtendedResourceRequest {
    /// The container.
    #[serde(deserialize_with = "absent")]
    pub container_name: String,
    /// The request.
    #[serde(deserialize_with = "absent")]
    pub request_name: String,
    /// The resource.
    #[serde(deserialize_with = "absent")]
    pub resource_name: String,
}

/// What a container is.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Requests granted by the node.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "ResourceList::is_empty"
    )]
    pub allocated_resources: ResourceList,
    /// Health of its devices.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub allocated_resources_status: Vec<ResourceStatus>,
    /// The runtime's name for it.
    #[serde(rename = "containerID", skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// The image it runs.
    #[serde(deserialize_with = "absent")]
    pub image: String,
    /// That image's digest.
    #[serde(rename = "imageID", deserialize_with = "absent")]
    pub image_id: String,
    /// How its previous run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_state: Option<ContainerState>,
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Whether it is ready.
    #[serde(deserialize_with = "absent")]
    pub ready: bool,
    /// What is applied to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// How often it was restarted.
    #[serde(deserialize_with = "absent")]
    pub restart_count: i32,
    /// Whether it runs and its startup probe and postStart are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<bool>,
    /// What it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ContainerState>,
    /// The signal that asks it to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Who its first process is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<ContainerUser>,
    /// How its volumes are mounted.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMountStatus>,
}

/// Waiting, running or terminated; at most one is set, none means waiting.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerState {
    /// It runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<ContainerStateRunning>,
    /// It has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<Box<ContainerStateTerminated>>,
    /// It is not started yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<ContainerStateWaiting>,
}

/// A container that runs.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerStateRunning {
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Wall>,
}

/// A container that has ended.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerStateTerminated {
    /// The runtime's name for it.
    #[serde(rename = "containerID", skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Its exit code; 128 and the signal if one ended it.
    #[serde(deserialize_with = "absent")]
    pub exit_code: i32,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Wall>,
    /// Its last words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Wall>,
}

/// A container that is not started yet.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerStateWaiting {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who a container's first process is.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerUser {
    /// On Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<LinuxContainerUser>,
}

/// User and groups of a container's first process.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LinuxContainerUser {
    /// The group.
    #[serde(deserialize_with = "absent")]
    pub gid: i64,
    /// Further groups.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub supplemental_groups: Vec<i64>,
    /// The user.
    #[serde(deserialize_with = "absent")]
    pub uid: i64,
}

/// How a volume is mounted.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeMountStatus {
    /// Where.
    #[serde(deserialize_with = "absent")]
    pub mount_path: String,
    /// The volume.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Whether it can only be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Whether that covers mounts below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive_read_only: Option<RecursiveReadOnly>,
    /// What the volume turned out to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_status: Option<VolumeStatus>,
}

/// What a mounted volume turned out to be.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeStatus {
    /// Of a volume that is an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageVolumeStatus>,
}

/// Which image a volume turned out to be.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageVolumeStatus {
    /// What its reference was resolved to.
    #[serde(deserialize_with = "absent")]
    pub image_ref: String,
}

/// Health of one resource's devices.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceStatus {
    /// The resource.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// The devices.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceHealth>,
}

/// Health of one device.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceHealth {
    /// How it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// The device.
    #[serde(rename = "resourceID", deserialize_with = "absent")]
    pub resource_id: String,
    /// More about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
