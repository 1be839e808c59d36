//! Requests, limits and what happens when they change.

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::resource_list::ResourceList;
use super::text_enum::text_enum;

text_enum! {
    /// What a change of a resource does to the container.
    pub enum ResourceResizeRestartPolicy {
        /// It is applied while the container runs.
        NotRequired = "NotRequired",
        /// It restarts the container.
        RestartContainer = "RestartContainer",
    }
}

/// What is asked for and what is allowed.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceRequirements {
    /// Devices of the pod that the container uses.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ResourceClaim>,
    /// The most it may use, by resource name.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "ResourceList::is_empty"
    )]
    pub limits: ResourceList,
    /// What it is promised, by resource name.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "ResourceList::is_empty"
    )]
    pub requests: ResourceList,
}

/// One of the pod's resource claims.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceClaim {
    /// The name in the pod's `resource_claims`.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// One request of the claim; else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// What a change of one resource does to the container.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerResizePolicy {
    /// The resource.
    #[serde(deserialize_with = "absent")]
    pub resource_name: String,
    /// What a change of it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<ResourceResizeRestartPolicy>,
}
