//! Which kernel parameters a pod may set.
//!
//! Upstream: `pkg/kubelet/sysctl/{allowlist,safe_sysctls}.go`, `k8s.io/component-helpers/node/util/sysctl`.

use std::borrow::Cow;

use super::Sysctl;
use crate::error::{Error, Kind, Result};

/// The namespace that keeps a kernel parameter to the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SysctlNamespace {
    /// System V and POSIX message queues, semaphores, shared memory.
    Ipc,
    /// The network.
    Net,
}

/// A kernel's major and minor version.
pub type KernelVersion = (u32, u32);

/// Parameters that are safe for any pod, and the first kernel that keeps each to the namespace.
const SAFE: [(&str, KernelVersion); 12] = [
    ("kernel.shm_rmid_forced", (0, 0)),
    ("net.ipv4.ip_local_port_range", (0, 0)),
    ("net.ipv4.tcp_syncookies", (0, 0)),
    ("net.ipv4.ping_group_range", (0, 0)),
    ("net.ipv4.ip_unprivileged_port_start", (0, 0)),
    ("net.ipv4.ip_local_reserved_ports", (3, 16)),
    ("net.ipv4.tcp_keepalive_time", (4, 5)),
    ("net.ipv4.tcp_fin_timeout", (4, 6)),
    ("net.ipv4.tcp_keepalive_intvl", (4, 5)),
    ("net.ipv4.tcp_keepalive_probes", (4, 5)),
    ("net.ipv4.tcp_rmem", (4, 15)),
    ("net.ipv4.tcp_wmem", (4, 15)),
];

/// The reason in the status of a pod that is refused for a sysctl.
pub const FORBIDDEN: &str = "SysctlForbidden";
/// The longest name of a parameter, as the API allows it.
pub const NAME_MAX: usize = 253;

/// The name with dots between its parts. `/` and `.` may both be written; the first one decides which of them separates.
///
/// ```
/// use podlife::model::sysctl::normalize;
/// assert_eq!(normalize("net/ipv4/conf/eno2.100/rp_filter"), "net.ipv4.conf.eno2/100.rp_filter");
/// ```
pub fn normalize(name: &str) -> Cow<'_, str> {
    match name.find(['.', '/']) {
        Some(first) if name.as_bytes()[first] == b'/' => Cow::Owned(
            name.chars()
                .map(|character| match character {
                    '.' => '/',
                    '/' => '.',
                    other => other,
                })
                .collect(),
        ),
        _ => Cow::Borrowed(name),
    }
}

/// Which namespace keeps the parameter to the pod, if one does.
///
/// ```
/// use podlife::model::sysctl::{SysctlNamespace, namespace_of};
/// assert_eq!(namespace_of("net.core.somaxconn"), Some(SysctlNamespace::Net));
/// assert_eq!(namespace_of("vm.swappiness"), None);
/// ```
pub fn namespace_of(name: &str) -> Option<SysctlNamespace> {
    let name = normalize(name);
    let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if ipc || name == "kernel.sem" {
        Some(SysctlNamespace::Ipc)
    } else if name.starts_with("net.") {
        Some(SysctlNamespace::Net)
    } else {
        None
    }
}

/// The parameters that any pod may set on a kernel.
pub fn safe(kernel: KernelVersion) -> impl Iterator<Item = &'static str> {
    SAFE.into_iter()
        .filter(move |(_, since)| kernel >= *since)
        .map(|(name, _)| name)
}

/// What pods may set on a host: the safe parameters, and those that its owner allows besides.
///
/// ```
/// use podlife::model::sysctl::Allowlist;
///
/// let list = Allowlist::new((6, 1), &["kernel.msg*"])?;
/// assert!(list.admit("kernel/msgmax", false, false).is_ok());
/// assert!(list.admit("kernel.msgmax", false, true).is_err()); // it would be the host's
/// assert!(Allowlist::new((6, 1), &["vm.*"]).is_err()); // not kept to a namespace
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowlist {
    exact: Vec<(String, SysctlNamespace)>,
    /// Without their `*`.
    prefixes: Vec<(String, SysctlNamespace)>,
}

impl Allowlist {
    /// The list of a host. A pattern is a name, or the beginning of names before a `*`.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if a pattern is ill-formed, or not known to be kept to a namespace.
    pub fn new(kernel: KernelVersion, patterns: &[impl AsRef<str>]) -> Result<Allowlist> {
        let safe = safe(kernel).filter_map(|name| Some((name.to_owned(), namespace_of(name)?)));
        let mut list = Allowlist {
            exact: safe.collect(),
            prefixes: Vec::new(),
        };
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let refused = |why: &str| {
                Error::new(Kind::Invalid, format!("allow the sysctls {pattern:?}"), why)
            };
            if !is_pattern(pattern) {
                return Err(
                    refused("it is not a sysctl's name").cure("a * may stand at the end only")
                );
            }
            let normal = normalize(pattern);
            let prefix = normal.strip_suffix('*');
            let Some(namespace) = namespace_of(prefix.unwrap_or(&normal)) else {
                return Err(refused(
                    "they are not known to be namespaced, so a pod would set them for the host",
                ));
            };
            match prefix {
                Some(prefix) => list.prefixes.push((prefix.to_owned(), namespace)),
                None => list.exact.push((normal.into_owned(), namespace)),
            }
        }
        Ok(list)
    }

    /// Whether a pod may set the parameter. It may not if the pod shares the namespace that keeps it, with the host.
    ///
    /// # Errors
    ///
    /// [`Kind::Permission`]: the whole pod is refused, with phase Failed and reason `SysctlForbidden`, and not tried again.
    pub fn admit(&self, name: &str, host_network: bool, host_ipc: bool) -> Result<()> {
        let refused =
            |why: &str| Error::new(Kind::Permission, format!("set the sysctl {name}"), why);
        let normal = normalize(name);
        let exact = self.exact.iter().find(|(exact, _)| *exact == normal);
        let listed = exact.or_else(|| {
            self.prefixes
                .iter()
                .find(|(prefix, _)| normal.starts_with(prefix.as_str()))
        });
        let Some((_, namespace)) = listed else {
            return Err(
                refused("it is not on the list of sysctls that pods may set here")
                    .cure("allow it in the Node's options, if it is safe for the host"),
            );
        };
        match namespace {
            SysctlNamespace::Ipc if host_ipc => {
                Err(refused("the pod has the host's IPC namespace (hostIPC)"))
            }
            SysctlNamespace::Net if host_network => {
                Err(refused("the pod has the host's network (hostNetwork)"))
            }
            _ => Ok(()),
        }
    }

    /// [`Allowlist::admit`] for each of a pod's.
    pub fn admit_all(&self, sysctls: &[Sysctl], host_network: bool, host_ipc: bool) -> Result<()> {
        sysctls
            .iter()
            .try_for_each(|sysctl| self.admit(&sysctl.name, host_network, host_ipc))
    }
}

/// Whether the text is the name of a sysctl, by the API's rule: parts of lower-case letters, digits, `-` and `_`,
/// which begin and end with a letter or digit, with `.` or `/` between them.
pub fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX && name.split(['.', '/']).all(is_segment)
}

/// The same, with a `*` as the last character or instead of one.
fn is_pattern(pattern: &str) -> bool {
    let (parents, last) = match pattern.rfind(['.', '/']) {
        Some(at) => (Some(&pattern[..at]), &pattern[at + 1..]),
        None => (None, pattern),
    };
    let is_last = match last.strip_suffix('*') {
        Some(prefix) => prefix.is_empty() || is_begin(prefix),
        None => is_segment(last),
    };
    pattern.len() <= NAME_MAX && is_last && parents.is_none_or(is_name)
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_begin(text: &str) -> bool {
    text.bytes().next().is_some_and(is_alphanumeric)
        && text
            .bytes()
            .all(|byte| is_alphanumeric(byte) || matches!(byte, b'-' | b'_'))
}

fn is_segment(text: &str) -> bool {
    is_begin(text) && text.bytes().last().is_some_and(is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn old_kernels_have_fewer() {
        assert_eq!(safe((3, 10)).count(), 5);
        assert_eq!(safe((4, 5)).count(), 9);
        assert_eq!(safe((4, 14)).count(), 10);
        assert_eq!(safe((6, 1)).count(), 12);
    }

    #[test]
    fn patterns() {
        for good in [
            "net.*",
            "kernel.shm*",
            "kernel/msg*",
            "net.ipv4.a_b-c",
            "net.a_*",
        ] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in [
            "", "*.a", "net.*x", "net.-*", "net..a", "NET.a", "net.a ", "net.a_", "net.é",
        ] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn a_prefix_keeps_its_namespace() {
        let list = Allowlist::new((6, 1), &["kernel.sem*"]).unwrap();
        assert!(list.admit("kernel.semaphore", true, false).is_ok());
        assert!(list.admit("kernel.semaphore", false, true).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = Allowlist::new((6, 1), &[&text]);
            let normal = normalize(&text).into_owned();
            prop_assert_eq!(normalize(&normal), normal.as_str());
        }
    }
}
