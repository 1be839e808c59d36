//! Hooks after a container's start and before its stop, and the actions that hooks and probes share.

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::meta::IntOrString;
use super::text_enum::text_enum;

text_enum! {
    /// How an HTTP request is sent.
    pub enum Scheme {
        /// In the clear.
        Http = "HTTP",
        /// Over TLS, the certificate unchecked.
        Https = "HTTPS",
    }
}

/// What is done around a container's life.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Lifecycle {
    /// Right after the start, beside the container's own program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_start: Option<LifecycleHandler>,
    /// Before the stop signal, within the grace period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<LifecycleHandler>,
    /// The signal that asks it to end; else the image's, else SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

/// One hook; exactly one handler is set.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LifecycleHandler {
    /// Runs a program in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// Sends an HTTP GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,
    /// Waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<SleepAction>,
    /// Not supported by Kubernetes; kept for its validation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocketAction>,
}

/// A program run in the container, without a shell.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExecAction {
    /// Program and arguments.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// An HTTP GET.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HttpGetAction {
    /// The host; else the pod's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Request headers.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<HttpHeader>,
    /// The path; `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Number or name of a port of the container.
    #[serde(deserialize_with = "absent")]
    pub port: IntOrString,
    /// HTTP unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
}

/// A request header.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HttpHeader {
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Its value.
    #[serde(deserialize_with = "absent")]
    pub value: String,
}

/// A connection to a port.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TcpSocketAction {
    /// The host; else the pod's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Number or name of a port of the container.
    #[serde(deserialize_with = "absent")]
    pub port: IntOrString,
}

/// A pause.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SleepAction {
    /// How long.
    #[serde(deserialize_with = "absent")]
    pub seconds: i64,
}
