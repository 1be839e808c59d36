//! The names a pod goes by.
//!
//! Upstream: `pkg/kubelet/kubelet_pods.go` (`GeneratePodHostNameAndDomain`), `pkg/kubelet/util/util.go`.

use std::borrow::Cow;

use super::Pod;
use super::validate::name;
use crate::error::{Error, Kind, Result};

/// The kernel's host name holds 64 bytes; a short name leaves room for the NUL.
const SHORT_MAX: usize = 63;
const KERNEL_MAX: usize = 64;

/// A pod's short name and domain.
///
/// ```
/// use podlife::model::{Pod, hostname::PodHostname};
///
/// let pod: Pod = serde_json::from_str(r#"{"metadata":{"name":"web-0","namespace":"shop"},
///     "spec":{"subdomain":"web","setHostnameAsFQDN":true}}"#).unwrap();
/// let name = PodHostname::of(&pod, "cluster.local")?;
/// assert_eq!((name.hostname.as_str(), name.domain.as_str()), ("web-0", "web.shop.svc.cluster.local"));
/// assert_eq!(name.kernel_hostname(true)?, "web-0.web.shop.svc.cluster.local");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodHostname {
    /// The short name.
    pub hostname: String,
    /// What comes after it in the full name; empty without a subdomain.
    pub domain: String,
}

impl PodHostname {
    /// From the spec's `hostnameOverride`, or its `hostname` and `subdomain`, or the pod's name.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if one of these is no DNS label, or nothing is left of the name once it is cut.
    pub fn of(pod: &Pod, cluster_domain: &str) -> Result<PodHostname> {
        let spec = &pod.spec;
        if let Some(name) = &spec.hostname_override {
            if name::subdomain(name).is_some() || name.len() > KERNEL_MAX {
                return Err(not_a_label("hostnameOverride", name));
            }
            return Ok(PodHostname {
                hostname: name.clone(),
                domain: String::new(),
            });
        }
        let written = spec.hostname.as_deref().filter(|name| !name.is_empty());
        if let Some(name) = written
            && name::label(name).is_some()
        {
            return Err(not_a_label("hostname", name));
        }
        let name = written.or(pod.metadata.name.as_deref()).unwrap_or_default();
        let hostname = truncate(name)?.to_owned();
        let domain = match spec.subdomain.as_deref() {
            None | Some("") => String::new(),
            Some(subdomain) if name::label(subdomain).is_none() => {
                let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
                format!("{subdomain}.{namespace}.svc.{cluster_domain}")
            }
            Some(subdomain) => return Err(not_a_label("subdomain", subdomain)),
        };
        Ok(PodHostname { hostname, domain })
    }

    /// What `sethostname(2)` is told: the short name, or the full one if the spec has `setHostnameAsFQDN`.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if the full name is longer than the 64 bytes the kernel keeps.
    pub fn kernel_hostname(&self, as_fqdn: bool) -> Result<Cow<'_, str>> {
        if !as_fqdn || self.domain.is_empty() {
            return Ok(Cow::Borrowed(&self.hostname));
        }
        let full = format!("{}.{}", self.hostname, self.domain);
        if full.len() > KERNEL_MAX {
            let why = format!("it is longer than {KERNEL_MAX} bytes");
            return Err(
                Error::new(Kind::Invalid, format!("use {full:?} as host name"), why)
                    .cure("shorten hostname or subdomain, or leave setHostnameAsFQDN out"),
            );
        }
        Ok(Cow::Owned(full))
    }
}

/// A name of at most 63 bytes: a longer one is cut, and does not end in `-` or `.` then.
///
/// # Errors
///
/// [`Kind::Invalid`] if nothing is left of it.
pub fn truncate(name: &str) -> Result<&str> {
    if name.len() <= SHORT_MAX {
        return Ok(name);
    }
    let end = (0..=SHORT_MAX)
        .rev()
        .find(|&end| name.is_char_boundary(end))
        .unwrap_or(0);
    let cut = name[..end].trim_end_matches(['-', '.']);
    if cut.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            format!("cut the host name {name:?}"),
            "nothing is left of it",
        ));
    }
    Ok(cut)
}

fn not_a_label(field: &str, name: &str) -> Error {
    Error::new(Kind::Invalid, format!("use {field} {name:?}"), "it is not a DNS label")
        .cure("use up to 63 lower-case letters, digits and -, beginning and ending with a letter or digit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_of_64_bytes_and_no_more() {
        let name = |length: usize| PodHostname {
            hostname: "h".repeat(length - 4),
            domain: "d.e".into(),
        };
        assert_eq!(name(64).kernel_hostname(true).unwrap().len(), 64);
        assert!(name(65).kernel_hostname(true).is_err());
        assert_eq!(name(65).kernel_hostname(false).unwrap().len(), 61);
    }

    #[test]
    fn cutting_respects_characters_and_may_leave_nothing() {
        assert_eq!(truncate(&"ä".repeat(40)).unwrap().len(), 62);
        assert!(truncate(&"-".repeat(64)).is_err());
        assert_eq!(truncate(&"-".repeat(63)).unwrap().len(), 63);
    }
}
