//! Names and resolver settings of a pod.

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::text_enum::text_enum;

text_enum! {
    /// Where the resolver settings come from.
    pub enum DnsPolicy {
        /// The cluster's servers; on the host's network the host's.
        ClusterFirst = "ClusterFirst",
        /// The cluster's servers always.
        ClusterFirstWithHostNet = "ClusterFirstWithHostNet",
        /// The host's.
        Default = "Default",
        /// Only from `dns_config`.
        None = "None",
    }
}

/// Resolver settings.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DnsConfig {
    /// Addresses of servers; at most three.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Resolver options.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<DnsConfigOption>,
    /// Search domains; at most 32.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<String>,
}

/// A resolver option.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DnsConfigOption {
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A line of /etc/hosts.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HostAlias {
    /// The names.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The address.
    #[serde(deserialize_with = "absent")]
    pub ip: String,
}
