//! Names and resolver settings.

use super::super::network::{DnsConfig, DnsPolicy, HostAlias};
use super::super::path::Path;
use super::{Findings, name};

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARACTERS_MAX: usize = 2048;

pub(super) fn dns(
    config: Option<&DnsConfig>,
    policy: Option<&DnsPolicy>,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let none = policy == Some(&DnsPolicy::None);
    let Some(config) = config else {
        if none {
            found.required(*at, "with dnsPolicy None it says the nameservers");
        }
        return;
    };
    let servers = at.field("nameservers");
    if none && config.nameservers.is_empty() {
        return found.required(servers, "with dnsPolicy None there has to be one");
    }
    if config.nameservers.len() > NAMESERVERS_MAX {
        found.invalid(
            servers,
            config.nameservers.len(),
            format!("at most {NAMESERVERS_MAX}"),
        );
    }
    for (i, server) in config.nameservers.iter().enumerate() {
        found.name(servers.index(i), server, name::address);
    }
    searches(&config.searches, &at.field("searches"), found);
    let options = at.field("options");
    for (i, option) in config.options.iter().enumerate() {
        if option.name.is_empty() {
            found.required(options.index(i), "an option has a name");
        }
    }
}

fn searches(searches: &[String], at: &Path<'_>, found: &mut Findings) {
    if searches.len() > SEARCHES_MAX {
        found.invalid(*at, searches.len(), format!("at most {SEARCHES_MAX}"));
    }
    let characters: usize = searches.iter().map(|search| search.len() + 1).sum();
    if characters > SEARCH_CHARACTERS_MAX + 1 {
        found.invalid(
            *at,
            characters - 1,
            format!("at most {SEARCH_CHARACTERS_MAX} characters with spaces between"),
        );
    }
    for (i, search) in searches.iter().enumerate() {
        found.name(at.index(i), search, name::search_domain);
    }
}

pub(super) fn host_aliases(aliases: &[HostAlias], at: &Path<'_>, found: &mut Findings) {
    for (i, alias) in aliases.iter().enumerate() {
        let at = at.index(i);
        found.name(at.field("ip"), &alias.ip, name::address);
        let names = at.field("hostnames");
        for (j, hostname) in alias.hostnames.iter().enumerate() {
            found.name(names.index(j), hostname, name::subdomain);
        }
    }
}
