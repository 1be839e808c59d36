//! The objects that stand beside a pod: ConfigMap, Secret, PersistentVolumeClaim.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::absent::absent;
use super::bytes::ByteString;
use super::meta::{KindOf, Noun, ObjectMeta, V1};
use super::resource_list::ResourceList;
use super::scheduling::LabelSelector;

/// Configuration as text and bytes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfigMap {
    api_version: V1,
    kind: KindOf<ConfigMap>,
    /// Name and namespace.
    #[serde(deserialize_with = "absent")]
    pub metadata: ObjectMeta,
    /// Keys whose values are bytes.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub binary_data: BTreeMap<String, ByteString>,
    /// Keys whose values are text.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub data: BTreeMap<String, String>,
    /// Whether it may never change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

impl Noun for ConfigMap {
    const KIND: &'static str = "ConfigMap";
}

/// Configuration that is not for everyone's eyes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Secret {
    api_version: V1,
    kind: KindOf<Secret>,
    /// Name and namespace.
    #[serde(deserialize_with = "absent")]
    pub metadata: ObjectMeta,
    /// Keys and values.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub data: BTreeMap<String, ByteString>,
    /// Whether it may never change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Values written as text; they win over `data`.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub string_data: BTreeMap<String, String>,
    /// What it is for.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
}

impl Noun for Secret {
    const KIND: &'static str = "Secret";
}

/// A claim for storage. podlife reads its name; a directory of the host is bound to it.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PersistentVolumeClaim {
    api_version: V1,
    kind: KindOf<PersistentVolumeClaim>,
    /// Name and namespace.
    #[serde(deserialize_with = "absent")]
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<PersistentVolumeClaimSpec>,
    /// What was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

impl Noun for PersistentVolumeClaim {
    const KIND: &'static str = "PersistentVolumeClaim";
}

/// What a claim asks for.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PersistentVolumeClaimSpec {
    /// How it shall be usable.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub access_modes: Vec<String>,
    /// What it shall be filled from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source: Option<Value>,
    /// The same, for objects of any kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source_ref: Option<Value>,
    /// How much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<VolumeResourceRequirements>,
    /// Which volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// What sort of storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Further attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_attributes_class_name: Option<String>,
    /// Filesystem or Block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<String>,
    /// One volume by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_name: Option<String>,
}

/// How much storage.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeResourceRequirements {
    /// At most.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "ResourceList::is_empty"
    )]
    pub limits: ResourceList,
    /// At least.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "ResourceList::is_empty"
    )]
    pub requests: ResourceList,
}
