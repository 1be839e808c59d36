//! `/etc/resolv.conf` of a pod.
//!
//! Upstream: `pkg/kubelet/network/dns/dns.go`.

use std::fmt;

use super::{DnsConfigOption, DnsPolicy, Pod};
use crate::error::{Error, Kind, Result};

/// The most servers that resolvers heed.
pub const NAMESERVERS_MAX: usize = 3;
/// The most search domains.
pub const SEARCHES_MAX: usize = 32;
/// The most characters of the search domains, joined by spaces.
pub const SEARCH_CHARACTERS_MAX: usize = 2048;
/// The longest search domain: glibc aborts the program at a longer one.
pub const DOMAIN_MAX: usize = 253;

/// Settings of the resolver; printed as the file has them.
///
/// ```
/// use podlife::model::dns::ResolvConf;
///
/// let conf = ResolvConf::parse("nameserver 9.9.9.9\nsearch lan.\noptions ndots:2\n")?;
/// assert_eq!(conf.searches, ["lan"]);
/// assert_eq!(conf.to_string(), "search lan\nnameserver 9.9.9.9\noptions ndots:2\n");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Addresses of servers.
    pub nameservers: Vec<String>,
    /// Domains that short names are looked up in.
    pub searches: Vec<String>,
    /// Options: `name` or `name:value`.
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads a file. Servers and options add up, of an option the last one counts, and so does the last `search` line.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] for a `nameserver` line without an address.
    pub fn parse(text: &str) -> Result<ResolvConf> {
        let mut conf = ResolvConf::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => match words.next() {
                    Some(address) => conf.nameservers.push(address.to_owned()),
                    None => {
                        return Err(Error::new(
                            Kind::Invalid,
                            "read resolv.conf",
                            "a nameserver line has no address",
                        ));
                    }
                },
                // With and without its dot a domain is the same; the root alone is the dot.
                Some("search") => {
                    let bare = |domain: &str| {
                        domain
                            .strip_suffix('.')
                            .filter(|bare| !bare.is_empty())
                            .map(str::to_owned)
                    };
                    conf.searches = words
                        .map(|domain| bare(domain).unwrap_or_else(|| domain.to_owned()))
                        .collect();
                }
                Some("options") => {
                    let name = |option: &str| option.split(':').next().map(str::to_owned);
                    for option in words {
                        let mut known = conf.options.iter_mut();
                        match known.find(|known| name(known) == name(option)) {
                            Some(known) => *known = option.to_owned(),
                            None => conf.options.push(option.to_owned()),
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(conf)
    }

    /// What a host without a resolver file has: its own server, and no search.
    fn of_no_file() -> ResolvConf {
        ResolvConf {
            nameservers: vec!["127.0.0.1".into()],
            searches: vec![".".into()],
            options: Vec::new(),
        }
    }

    /// Cuts what resolvers would ignore or choke on; whether anything was cut.
    fn limit(&mut self) -> bool {
        let mut cut = limit_nameservers(&mut self.nameservers);
        cut |= limit_searches(&mut self.searches, SEARCHES_MAX, usize::MAX);
        let before = self.searches.len();
        self.searches.retain(|domain| domain.len() <= DOMAIN_MAX);
        cut |= self.searches.len() < before;
        cut | limit_searches(&mut self.searches, SEARCHES_MAX, SEARCH_CHARACTERS_MAX)
    }
}

impl fmt::Display for ResolvConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.searches.is_empty() {
            writeln!(f, "search {}", self.searches.join(" "))?;
        }
        self.nameservers
            .iter()
            .try_for_each(|address| writeln!(f, "nameserver {address}"))?;
        if !self.options.is_empty() {
            writeln!(f, "options {}", self.options.join(" "))?;
        }
        Ok(())
    }
}

/// The cluster's name service, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterDns {
    /// Its addresses; none means that there is no cluster to ask.
    pub nameservers: Vec<String>,
    /// The cluster's domain, such as `cluster.local`; may be empty.
    pub domain: String,
}

/// Where the base of a pod's settings comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DnsSource {
    /// The cluster's servers, if it has any, else the node's file.
    Cluster,
    /// The node's file.
    Node,
    /// Nothing: only `dnsConfig` counts.
    Nothing,
}

/// What a DNS policy means.
///
/// # Errors
///
/// [`Kind::Invalid`] for a policy that is not known.
///
/// ```
/// use podlife::model::{DnsPolicy, dns::{DnsSource, dns_source}};
/// assert_eq!(dns_source(&DnsPolicy::ClusterFirst, true)?, DnsSource::Node); // on the host's network
/// # Ok::<(), podlife::Error>(())
/// ```
pub fn dns_source(policy: &DnsPolicy, host_network: bool) -> Result<DnsSource> {
    match policy {
        DnsPolicy::ClusterFirst if host_network => Ok(DnsSource::Node),
        DnsPolicy::ClusterFirst | DnsPolicy::ClusterFirstWithHostNet => Ok(DnsSource::Cluster),
        DnsPolicy::Default => Ok(DnsSource::Node),
        DnsPolicy::None => Ok(DnsSource::Nothing),
        DnsPolicy::Other(word) => Err(Error::new(
            Kind::Invalid,
            format!("use the dnsPolicy {word:?}"),
            "there is no such policy",
        )
        .cure("use ClusterFirst, ClusterFirstWithHostNet, Default or None")),
    }
}

/// A pod's settings, and what an event should tell of how they came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDns {
    /// The settings.
    pub conf: ResolvConf,
    /// Servers or searches were cut: event `DNSConfigForming`.
    pub cut: bool,
    /// The policy wants the cluster's servers and there are none: event `MissingClusterDNS`.
    pub missing_cluster_dns: bool,
}

/// The resolver settings of a pod. `node` is what the node's file says; `None` if the node has no such file.
///
/// ```
/// use podlife::model::{Pod, dns::{ClusterDns, ResolvConf, pod_dns}};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec":{"dnsPolicy":"Default"}}"#).unwrap();
/// let node = ResolvConf::parse("nameserver 9.9.9.9")?;
/// assert_eq!(pod_dns(&pod, &ClusterDns::default(), Some(&node))?.conf, node);
/// # Ok::<(), podlife::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Invalid`] for a DNS policy that is not known.
pub fn pod_dns(pod: &Pod, cluster: &ClusterDns, node: Option<&ResolvConf>) -> Result<PodDns> {
    let policy = pod
        .spec
        .dns_policy
        .as_ref()
        .unwrap_or(&DnsPolicy::ClusterFirst);
    let source = dns_source(policy, pod.spec.host_network == Some(true))?;
    let missing_cluster_dns = source == DnsSource::Cluster && cluster.nameservers.is_empty();
    let mut conf = match source {
        DnsSource::Nothing => ResolvConf::default(),
        DnsSource::Cluster if !missing_cluster_dns => {
            let searches = node
                .map(|node| node.searches.as_slice())
                .unwrap_or_default();
            of_cluster(
                cluster,
                pod.metadata.namespace.as_deref().unwrap_or("default"),
                searches,
            )
        }
        _ => node.cloned().unwrap_or_else(ResolvConf::of_no_file),
    };
    if let Some(config) = &pod.spec.dns_config {
        conf.nameservers.extend_from_slice(&config.nameservers);
        conf.searches.extend_from_slice(&config.searches);
        drop_duplicates(&mut conf.nameservers);
        drop_duplicates(&mut conf.searches);
        conf.options = merge_options(&conf.options, &config.options);
    }
    let cut = conf.limit();
    Ok(PodDns {
        conf,
        cut,
        missing_cluster_dns,
    })
}

fn of_cluster(cluster: &ClusterDns, namespace: &str, node_searches: &[String]) -> ResolvConf {
    let mut searches = match cluster.domain.as_str() {
        "" => Vec::new(),
        domain => vec![
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.to_owned(),
        ],
    };
    searches.extend_from_slice(node_searches);
    if !cluster.domain.is_empty() {
        drop_duplicates(&mut searches);
    }
    ResolvConf {
        nameservers: cluster.nameservers.clone(),
        searches,
        options: vec!["ndots:5".into()],
    }
}

/// The options, with those of `dnsConfig` in place of, or after, the ones of the same name.
pub fn merge_options(existing: &[String], added: &[DnsConfigOption]) -> Vec<String> {
    let mut merged: Vec<(&str, &str)> = Vec::new();
    let split = existing
        .iter()
        .map(|option| option.split_once(':').unwrap_or((option, "")));
    let added = added.iter().map(|option| {
        (
            option.name.as_str(),
            option.value.as_deref().unwrap_or_default(),
        )
    });
    for (name, value) in split.chain(added) {
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => merged.push((name, value)),
        }
    }
    let text = |(name, value): (&str, &str)| {
        if value.is_empty() {
            name.to_owned()
        } else {
            format!("{name}:{value}")
        }
    };
    merged.into_iter().map(text).collect()
}

/// Keeps as many servers as resolvers heed; whether some were dropped.
pub fn limit_nameservers(nameservers: &mut Vec<String>) -> bool {
    let cut = nameservers.len() > NAMESERVERS_MAX;
    nameservers.truncate(NAMESERVERS_MAX);
    cut
}

/// Keeps the first `paths` search domains, and of them as many as fit `characters` when joined by spaces; whether some were dropped.
pub fn limit_searches(searches: &mut Vec<String>, paths: usize, characters: usize) -> bool {
    let before = searches.len();
    searches.truncate(paths);
    let mut length = 0usize;
    let fitting = searches.iter().take_while(|domain| {
        length += domain.len() + usize::from(length > 0);
        length <= characters
    });
    let fitting = fitting.count();
    searches.truncate(fitting);
    searches.len() < before
}

fn drop_duplicates(list: &mut Vec<String>) {
    let mut kept = Vec::with_capacity(list.len());
    for item in list.drain(..) {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    *list = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_cluster_domain_nothing_is_searched_there() {
        let cluster = ClusterDns {
            nameservers: vec!["10.0.0.10".into()],
            domain: String::new(),
        };
        let node = ResolvConf::parse("nameserver 9.9.9.9\nsearch lan").unwrap();
        let dns = pod_dns(&Pod::default(), &cluster, Some(&node)).unwrap();
        assert_eq!(
            dns.conf.to_string(),
            "search lan\nnameserver 10.0.0.10\noptions ndots:5\n"
        );
        assert!(!dns.cut && !dns.missing_cluster_dns);
    }

    #[test]
    fn options_add_up_and_of_each_the_last_one_counts() {
        let conf = ResolvConf::parse("options ndots:1 rotate\noptions attempts:3 ndots:2").unwrap();
        assert_eq!(conf.options, ["ndots:2", "rotate", "attempts:3"]);
    }

    #[test]
    fn a_domain_longer_than_resolvers_bear_is_left_out() {
        let long = "a".repeat(DOMAIN_MAX + 1);
        let node = ResolvConf::parse(&format!("search a {long} b")).unwrap();
        let pod = serde_json::json!({"spec": {"dnsPolicy": "Default"}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let dns = pod_dns(&pod, &ClusterDns::default(), Some(&node)).unwrap();
        assert_eq!(
            (dns.conf.searches, dns.cut),
            (vec!["a".into(), "b".into()], true)
        );
    }

    #[test]
    fn exactly_as_many_characters_as_fit() {
        let fits = |characters| {
            let mut searches = vec!["ab".to_owned(), "cde".to_owned()];
            let cut = limit_searches(&mut searches, 32, characters);
            (searches.len(), cut)
        };
        assert_eq!(
            (fits(6), fits(5), fits(1)),
            ((2, false), (1, true), (0, true))
        );
    }

    proptest! {
        /// What is printed reads as the same settings.
        #[test]
        fn files_are_read_as_printed(text in "((nameserver|search|options|#|x)( [a-z0-9.:]{1,5}){0,4}\n?){0,6}") {
            if let Ok(conf) = ResolvConf::parse(&text) {
                let again = ResolvConf::parse(&conf.to_string()).unwrap();
                prop_assert_eq!((&again.nameservers, &again.options), (&conf.nameservers, &conf.options));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
            let _ = ResolvConf::parse(&text);
        }
    }
}
