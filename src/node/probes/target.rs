//! Where a probe or hook over the network goes, and what it says there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::grpc::Check;
use super::http::{Get, Request, Use};
use super::{Verdict, hosts};
use crate::model::probe_target::{HttpTarget, resolve_port};
use crate::model::{Container, GrpcAction, HttpGetAction, HttpHeader, TcpSocketAction};

/// A pod without an address of its own is reached through the loopback of its network namespace.
const LOOPBACK: &str = "127.0.0.1";

/// The GET of a handler, and the address it is sent to. `Err` says what comes of it when it cannot be made at all.
pub(crate) fn http(
    use_: Use,
    action: &HttpGetAction,
    container: &Container,
    pod_ip: Option<&str>,
) -> Result<(SocketAddr, Get), Verdict> {
    let request = request(use_, action, container, pod_ip).map_err(Verdict::Unknown)?;
    let (host, port) = (request.host.clone(), request.port);
    let get = Get::new(use_, request).map_err(Verdict::Unknown)?;
    match address(&host, port) {
        Ok(address) => Ok((address, get)),
        Err(why) => Err(Verdict::Failure(get.failed(&why))),
    }
}

fn request(
    use_: Use,
    action: &HttpGetAction,
    container: &Container,
    pod_ip: Option<&str>,
) -> Result<Request, String> {
    let target = HttpTarget::new(action, container, pod_ip.unwrap_or(LOOPBACK));
    let target = target.map_err(|error| error.to_string())?;
    let own = |wanted: &str| {
        let mut headers = action.http_headers.iter().rev();
        headers.find(|header| header.name.eq_ignore_ascii_case(wanted))
    };
    let authority = own("host").map_or_else(|| target.authority(), |header| header.value.clone());
    let standard = [("User-Agent", user_agent(use_)), ("Accept", "*/*")];
    let standard = standard.into_iter().filter(|(name, _)| own(name).is_none());
    let headers = standard.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let given = action.http_headers.iter().filter(|header| is_sent(header));
    let given = given.map(|header| (header.name.clone(), header.value.clone()));
    let (path, headers) = (target.request_path(), headers.chain(given).collect());
    Ok(Request {
        https: target.https,
        host: target.host,
        port: target.port,
        path,
        authority,
        headers,
    })
}

/// What is sent as `User-Agent`.
fn user_agent(use_: Use) -> &'static str {
    match use_ {
        Use::Probe => concat!("kube-probe/", env!("CARGO_PKG_VERSION")),
        Use::Hook => concat!("kube-lifecycle/", env!("CARGO_PKG_VERSION")),
    }
}

/// Where a tcpSocket handler connects to.
pub(crate) fn tcp(
    action: &TcpSocketAction,
    container: &Container,
    pod_ip: Option<&str>,
) -> Result<SocketAddr, Verdict> {
    let port = resolve_port(&action.port, container);
    let port = port.map_err(|error| Verdict::Unknown(error.to_string()))?;
    let given = action.host.as_deref().filter(|host| !host.is_empty());
    address(given.or(pod_ip).unwrap_or(LOOPBACK), port).map_err(Verdict::Failure)
}

/// The health check of a handler, and the address it is sent to.
pub(crate) fn grpc(
    action: &GrpcAction,
    pod_ip: Option<&str>,
) -> Result<(SocketAddr, Check), Verdict> {
    let port = u16::try_from(action.port).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Verdict::Unknown(format!("{} is no port", action.port)))?;
    let address = address(pod_ip.unwrap_or(LOOPBACK), port).map_err(Verdict::Failure)?;
    let service = action.service.as_deref().unwrap_or_default();
    let check = Check::new(service, &address.to_string(), user_agent(Use::Probe));
    Ok((address, check))
}

/// An address to connect to. Of names only those of this host's `/etc/hosts` are known: to ask the network would block, and
/// nobody in a pod's own network could be asked.
fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    let known = || match host {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => None,
    };
    let ip = host
        .parse()
        .ok()
        .or_else(|| hosts::lookup(host))
        .or_else(known);
    let ip = ip.ok_or_else(|| {
        format!(
            "dial tcp: lookup {host}: no such host in /etc/hosts, and podlife asks no name server: give an address"
        )
    })?;
    Ok(SocketAddr::new(ip, port))
}

/// An empty value removes a standard header. Host and Connection are written elsewhere.
fn is_sent(header: &HttpHeader) -> bool {
    let is = |name: &str| header.name.eq_ignore_ascii_case(name);
    let removed = header.value.is_empty() && (is("user-agent") || is("accept"));
    let breaks = |text: &str| text.contains(['\r', '\n']);
    !(is("host") || is("connection") || removed || breaks(&header.name) || breaks(&header.value))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors(op: &str) -> Vec<Value> {
        let text = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/vectors/http-probe.json"
        ));
        let vectors: Value = serde_json::from_str(text).unwrap();
        let cases = vectors["cases"].as_array().unwrap().iter();
        cases
            .filter(|case| case["input"]["op"] == op)
            .cloned()
            .collect()
    }

    #[test]
    fn only_known_names_have_an_address() {
        for (host, ip) in [
            ("10.0.0.7", "10.0.0.7:80"),
            ("fd00::1", "[fd00::1]:80"),
            ("localhost", "127.0.0.1:80"),
        ] {
            assert_eq!(address(host, 80).unwrap().to_string(), ip);
        }
        let why = address("no-such-name.invalid", 80).unwrap_err();
        assert!(why.starts_with("dial tcp: lookup no-such-name.invalid: no such host"));
    }

    #[test]
    fn headers_are_the_kubelets() {
        let cases = vectors("httpRequestHeaders");
        assert!(cases.len() >= 6);
        for case in cases {
            let action =
                serde_json::json!({ "port": 80, "httpHeaders": case["input"]["httpHeaders"] });
            let got = request(
                Use::Probe,
                &serde_json::from_value(action).unwrap(),
                &Container::default(),
                None,
            )
            .unwrap();
            let value = |wanted: &str| {
                let found = got
                    .headers
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.clone())
            };
            for (name, values) in case["expect"]["headers"].as_object().unwrap() {
                let got = value(name).unwrap_or_else(|| panic!("{name} in {case}"));
                match &values[0] {
                    Value::String(wanted) => assert_eq!(&got, wanted, "{case}"),
                    pattern => assert!(
                        got.starts_with(pattern["prefix"].as_str().unwrap()),
                        "{case}"
                    ),
                }
            }
            for name in case["expect"]["absent"].as_array().into_iter().flatten() {
                assert_eq!(value(name.as_str().unwrap()), None, "{case}");
            }
            if let Some(host) = case["expect"]["host"].as_str() {
                assert_eq!(got.authority, host);
            }
        }
    }
}
