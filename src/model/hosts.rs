//! `/etc/hosts` of a pod.
//!
//! Upstream: `pkg/kubelet/kubelet_pods.go`. The file has mode 0644 and is mounted over the image's, unless the container mounts
//! something at `/etc/hosts` itself.

use std::fmt::Write;

use super::HostAlias;

/// The file of a pod with a network of its own: a fixed head, a line for each of its addresses, and its host aliases.
///
/// ```
/// use podlife::model::hosts::pod_hosts;
///
/// let text = pod_hosts(&["10.0.0.2"], "web", "", &[]);
/// assert!(text.ends_with("\n10.0.0.2\tweb\n"));
/// assert!(pod_hosts(&["10.0.0.2"], "web", "sub.ns.svc.local", &[]).ends_with("\n10.0.0.2\tweb.sub.ns.svc.local\tweb\n"));
/// ```
pub fn pod_hosts<S: AsRef<str>>(
    pod_ips: &[S],
    hostname: &str,
    domain: &str,
    aliases: &[HostAlias],
) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    for ip in pod_ips {
        let ip = ip.as_ref();
        // Writing to a String cannot fail.
        let _ = match domain {
            "" => writeln!(text, "{ip}\t{hostname}"),
            domain => writeln!(text, "{ip}\t{hostname}.{domain}\t{hostname}"),
        };
    }
    text + &alias_lines(aliases)
}

/// The file of a pod on the host's network: the host's own, and the pod's host aliases.
///
/// ```
/// use podlife::model::hosts::host_network_hosts;
/// let text = host_network_hosts("127.0.0.1 localhost\n", &[]);
/// assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
/// ```
pub fn host_network_hosts(host: &str, aliases: &[HostAlias]) -> String {
    format!(
        "# Kubernetes-managed hosts file (host network).\n{host}{}",
        alias_lines(aliases)
    )
}

fn alias_lines(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let _ = writeln!(text, "{}\t{}", alias.ip, alias.hostnames.join("\t"));
    }
    text
}
