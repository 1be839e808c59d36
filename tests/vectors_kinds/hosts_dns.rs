//! `/etc/hosts`, host names and `resolv.conf`.

use podlife::model::dns::{
    ClusterDns, DnsSource, ResolvConf, dns_source, limit_nameservers, limit_searches,
    merge_options, pod_dns,
};
use podlife::model::hostname::{PodHostname, truncate};
use podlife::model::hosts::{host_network_hosts, pod_hosts};
use podlife::model::{DnsConfigOption, DnsPolicy, HostAlias, Pod};
use serde_json::{Value, json};

use super::{Answer, Case, sorted};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "hostsFile" => {
            let (ips, aliases): (Vec<String>, Vec<HostAlias>) = (
                case.read_or_default("podIPs"),
                case.read_or_default("hostAliases"),
            );
            Answer::Is(
                json!({ "content": pod_hosts(&ips, case.text("hostname"), case.text("domain"), &aliases) }),
            )
        }
        "hostsFileHostNetwork" => {
            let aliases: Vec<HostAlias> = case.read_or_default("hostAliases");
            Answer::Is(json!({ "content": host_network_hosts(case.text("nodeHosts"), &aliases) }))
        }
        "truncateHostname" => {
            or_error(truncate(case.text("name")).map(|name| json!({ "hostname": name })))
        }
        "podHostname" => or_error(pod_hostname(case)),
        "kernelHostname" => {
            let name = PodHostname {
                hostname: case.text("hostname").to_owned(),
                domain: case.text("domain").to_owned(),
            };
            let kernel = name.kernel_hostname(case.read_or_default("setHostnameAsFQDN"));
            or_error(kernel.map(|name| json!({ "hostname": name })))
        }
        _ => dns(case),
    }
}

fn dns(case: &Case) -> Answer {
    match case.op() {
        "parseResolvConf" => or_error(ResolvConf::parse(case.text("text")).map(|conf| {
            json!({ "nameservers": conf.nameservers, "searches": conf.searches, "options": conf.options })
        })),
        "mergeOptions" => {
            let added: Vec<DnsConfigOption> = case.read_or_default("dnsConfigOptions");
            let existing: Vec<String> = case.read_or_default("existing");
            in_any_order(case, json!({ "optionsAnyOrder": merge_options(&existing, &added) }))
        }
        "limitNameservers" => {
            let mut nameservers: Vec<String> = case.read_or_default("nameservers");
            let warning = limit_nameservers(&mut nameservers);
            Answer::Is(json!({ "nameservers": nameservers, "warning": warning }))
        }
        "limitSearches" => {
            let mut searches: Vec<String> = case.read_or_default("searches");
            let warning = limit_searches(&mut searches, case.read("maxPaths"), case.read("maxChars"));
            Answer::Is(json!({ "searches": searches, "warning": warning }))
        }
        "dnsPolicy" => {
            let source = dns_source(&DnsPolicy::from(case.text("dnsPolicy")), case.read_or_default("hostNetwork"));
            or_error(source.map(|source| match source {
                DnsSource::Cluster => json!({ "source": "cluster" }),
                DnsSource::Node => json!({ "source": "node" }),
                DnsSource::Nothing => json!({ "source": "none" }),
            }))
        }
        "podDns" => {
            let cluster =
                ClusterDns { nameservers: case.read_or_default("clusterDNS"), domain: case.read_or_default("clusterDomain") };
            let node: Option<String> = case.read("nodeResolvConf");
            let node = node.map(|text| ResolvConf::parse(&text)).transpose();
            match node.and_then(|node| pod_dns(&case.read::<Pod>("pod"), &cluster, node.as_ref())) {
                Ok(dns) => in_any_order(
                    case,
                    json!({
                        "servers": dns.conf.nameservers,
                        "searches": dns.conf.searches,
                        "optionsAnyOrder": dns.conf.options,
                        "warning": dns.cut,
                    }),
                ),
                Err(_) => Answer::Is(json!({ "error": true })),
            }
        }
        _ => Answer::UnknownOp,
    }
}

fn pod_hostname(case: &Case) -> podlife::Result<Value> {
    let pod: Pod = case.read("pod");
    let name = PodHostname::of(&pod, case.text("clusterDomain"))?;
    let kernel = name
        .kernel_hostname(pod.spec.set_hostname_as_fqdn == Some(true))?
        .into_owned();
    Ok(json!({ "hostname": name.hostname, "domain": name.domain, "kernelHostname": kernel }))
}

fn or_error(answer: podlife::Result<Value>) -> Answer {
    Answer::Is(answer.unwrap_or(json!({ "error": true })))
}

fn in_any_order(case: &Case, got: Value) -> Answer {
    let mut expect = case.expect.clone();
    let mut compared = got.clone();
    for side in [&mut expect, &mut compared] {
        side["optionsAnyOrder"] = sorted(&side["optionsAnyOrder"]);
    }
    Answer::Judged(super::covers(&expect, &compared), got)
}
