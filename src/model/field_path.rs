//! Fields of a pod as text: `fieldRef` and `resourceFieldRef`.
//!
//! Upstream: `pkg/fieldpath/fieldpath.go`, `pkg/api/v1/resource/helpers.go`, `podFieldSelectorRuntimeValue` in
//! `pkg/kubelet/kubelet_pods.go`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::resource_list::ResourceList;
use super::resource_sum::amount;
use super::validate::name;
use super::{
    Container, ObjectFieldSelector, Pod, Quantity, ResourceFieldSelector, ResourceRequirements,
};
use crate::error::{Error, Kind, Result};

/// The path and the key of `path['key']`; `None` if the text has no such form.
///
/// ```
/// use podlife::model::field_path::split;
/// assert_eq!(split("metadata.labels['app']"), Some(("metadata.labels", "app")));
/// assert_eq!(split("metadata.labels"), None);
/// ```
pub fn split(field_path: &str) -> Option<(&str, &str)> {
    let (path, key) = field_path.strip_suffix("']")?.split_once("['")?;
    (!path.is_empty()).then_some((path, key))
}

/// What a field of the pod's metadata holds: its name, namespace or uid, one label or annotation, or all of them as
/// `key="value"` lines. A label or annotation that is not there is empty.
///
/// ```
/// use podlife::model::{Pod, field_path::metadata_field};
///
/// let pod: Pod = serde_json::from_str(r#"{"metadata":{"labels":{"b":"2","a":"\"1\""}}}"#).unwrap();
/// assert_eq!(metadata_field(&pod, "metadata.labels['b']")?, "2");
/// assert_eq!(metadata_field(&pod, "metadata.labels")?, "a=\"\\\"1\\\"\"\nb=\"2\"");
/// # Ok::<(), podlife::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Invalid`] for any other field, and for a key that no label or annotation can have.
pub fn metadata_field(pod: &Pod, field_path: &str) -> Result<String> {
    let metadata = &pod.metadata;
    let text = |text: &Option<String>| Ok(text.clone().unwrap_or_default());
    match split(field_path) {
        Some(("metadata.annotations", key)) => {
            one(&metadata.annotations, key, &key.to_lowercase(), field_path)
        }
        Some(("metadata.labels", key)) => one(&metadata.labels, key, key, field_path),
        Some(_) => Err(refused(field_path, "only labels and annotations have keys")),
        None => match field_path {
            "metadata.annotations" => Ok(lines(&metadata.annotations)),
            "metadata.labels" => Ok(lines(&metadata.labels)),
            "metadata.name" => text(&metadata.name),
            "metadata.namespace" => text(&metadata.namespace),
            "metadata.uid" => text(&metadata.uid),
            _ => Err(refused(field_path, "the field cannot be read this way")),
        },
    }
}

/// Addresses that only the running pod has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses<'a> {
    /// The pod's, as its network reports them.
    pub pod: &'a [String],
    /// The host's; the family of the first one is the primary one.
    pub host: &'a [String],
}

impl Addresses<'_> {
    /// The pod's addresses as they are published: the first of the host's primary family, and the first of the other family.
    pub fn published(&self) -> Vec<&str> {
        let is_v6 = |text: &String| text.parse::<IpAddr>().ok().map(|ip| ip.is_ipv6());
        let primary = self.host.first().and_then(is_v6).unwrap_or(false);
        let first = |v6: bool| {
            self.pod
                .iter()
                .find(|ip| is_v6(ip) == Some(v6))
                .map(String::as_str)
        };
        [primary, !primary].into_iter().filter_map(first).collect()
    }
}

/// What a field selected for an environment variable holds: those of [`metadata_field`], and the node's name, the service
/// account, and the addresses. Several addresses are joined by commas.
///
/// # Errors
///
/// [`Kind::Invalid`] for a field that cannot be selected.
pub fn env_field(
    pod: &Pod,
    selector: &ObjectFieldSelector,
    addresses: &Addresses<'_>,
) -> Result<String> {
    let path = current(&selector.field_path);
    if !matches!(selector.api_version.as_deref(), None | Some("" | "v1")) {
        return Err(refused(path, "its apiVersion is not v1"));
    }
    let first = |list: &[&str]| list.first().copied().unwrap_or_default().to_owned();
    let host: Vec<&str> = addresses.host.iter().map(String::as_str).collect();
    Ok(match path {
        "spec.nodeName" => pod.spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => pod.spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(&host),
        "status.hostIPs" => host.join(","),
        "status.podIP" => first(&addresses.published()),
        "status.podIPs" => addresses.published().join(","),
        path => return metadata_field(pod, path),
    })
}

/// The path by its present name: the first clients of v1 said `spec.host`.
pub(super) fn current(path: &str) -> &str {
    match path {
        "spec.host" => "spec.nodeName",
        path => path,
    }
}

/// An amount that a container requests or is limited to, in units of the divisor, rounded up.
///
/// A cpu, memory or ephemeral-storage limit that is not set is what the node can give; anything else that is not set is 0.
///
/// ```
/// use podlife::model::{Container, ResourceFieldSelector, ResourceList, field_path::resource_field};
///
/// let container: Container = serde_json::from_str(r#"{"resources":{"limits":{"memory":"1500Ki"}}}"#).unwrap();
/// let selector: ResourceFieldSelector = serde_json::from_str(r#"{"resource":"limits.memory","divisor":"1Mi"}"#).unwrap();
/// assert_eq!(resource_field(&container, &selector, &ResourceList::new())?, "2");
/// # Ok::<(), podlife::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Invalid`] for a resource that cannot be selected.
pub fn resource_field(
    container: &Container,
    selector: &ResourceFieldSelector,
    allocatable: &ResourceList,
) -> Result<String> {
    let none = ResourceRequirements::default();
    let own = container.resources.as_ref().unwrap_or(&none);
    let (amount, name) = match selector.resource.split_once('.') {
        Some(("requests", name)) => (amount(&own.requests, name), name),
        Some(("limits", name)) => match amount(&own.limits, name) {
            unset if unset.is_zero() && has_fallback(name) => (amount(allocatable, name), name),
            limit => (limit, name),
        },
        _ => {
            return Err(refused(
                &selector.resource,
                "it is neither requests.<resource> nor limits.<resource>",
            ));
        }
    };
    let scale = match name {
        "cpu" => -3,
        "memory" | "ephemeral-storage" => 0,
        name if name.starts_with("hugepages-") => 0,
        _ => {
            return Err(refused(
                &selector.resource,
                "only cpu, memory, ephemeral-storage and huge pages can be read",
            ));
        }
    };
    let divisor = selector.divisor.filter(|divisor| !divisor.is_zero());
    let divisor = divisor
        .map_or(if scale == 0 { 1 } else { 1000 }, |divisor| {
            units(divisor, scale)
        })
        .max(1);
    let amount = units(amount, scale).max(0).unsigned_abs();
    Ok(amount.div_ceil(divisor.unsigned_abs()).to_string())
}

/// The container a selector names, or else its own one.
///
/// # Errors
///
/// [`Kind::NotFound`] if the pod has no such container.
pub fn selected<'p>(
    pod: &'p Pod,
    selector: &ResourceFieldSelector,
    own: &'p Container,
) -> Result<&'p Container> {
    match selector.container_name.as_deref() {
        None | Some("") => Ok(own),
        Some(name) => named(pod, name),
    }
}

/// The pod's main or init container of that name.
pub(super) fn named<'p>(pod: &'p Pod, name: &str) -> Result<&'p Container> {
    let mut containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    containers
        .find(|container| container.name == name)
        .ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("find the container {name:?}"),
                "the pod has none of that name",
            )
        })
}

fn has_fallback(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
}

fn units(amount: Quantity, scale: i32) -> i64 {
    if scale == 0 {
        amount.value()
    } else {
        amount.milli_value()
    }
}

fn refused(field: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("read the field {field:?}"), why)
}

fn one(
    map: &BTreeMap<String, String>,
    key: &str,
    checked: &str,
    field_path: &str,
) -> Result<String> {
    if name::qualified(checked).is_some() {
        return Err(refused(
            field_path,
            "the key is not one that a label or annotation can have",
        ));
    }
    Ok(map.get(key).cloned().unwrap_or_default())
}

fn lines(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    lines.join("\n")
}

/// The value in quotes, as Go prints it.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\x07' => text.push_str("\\a"),
            '\x08' => text.push_str("\\b"),
            '\x0c' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\x0b' => text.push_str("\\v"),
            printable if is_printable(printable) => text.push(printable),
            other => text.push_str(&match u32::from(other) {
                code @ 0..0x80 => format!("\\x{code:02x}"),
                code @ 0x80..0x10000 => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    text.push('"');
    text
}

/// The standard library knows what can be printed, but only says so when it escapes; marks are escaped at the beginning only.
fn is_printable(character: char) -> bool {
    let text = String::from_iter(['x', character]);
    text.escape_debug().eq(text.chars()) || character == '\''
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quoting_is_gos() {
        assert_eq!(quoted("\x00\x1f\x7f"), r#""\x00\x1f\x7f""#);
        assert_eq!(
            quoted("\u{85}\u{a0}\u{200b}\u{feff}"),
            r#""\u0085\u00a0\u200b\ufeff""#
        );
        assert_eq!(quoted("\u{e0001}"), r#""\U000e0001""#);
        assert_eq!(quoted("é e\u{301} 日本 🙂 '"), "\"é e\u{301} 日本 🙂 '\"");
    }

    #[test]
    fn the_host_decides_the_primary_family() {
        let pod = [
            "10.0.0.1".to_owned(),
            "fd00::1".to_owned(),
            "10.0.0.2".to_owned(),
        ];
        let host = ["fd00::9".to_owned()];
        assert_eq!(
            Addresses {
                pod: &pod,
                host: &host
            }
            .published(),
            ["fd00::1", "10.0.0.1"]
        );
        assert_eq!(
            Addresses {
                pod: &pod,
                host: &[]
            }
            .published(),
            ["10.0.0.1", "fd00::1"]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(path in "(metadata\\.(labels|annotations))?\\PC{0,20}('\\])?", value in "\\PC{0,20}") {
            let mut pod = Pod::default();
            pod.metadata.labels.insert("a".into(), value);
            let _ = metadata_field(&pod, &path);
            let _ = metadata_field(&pod, "metadata.labels");
        }
    }
}
