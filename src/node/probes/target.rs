//! Where a probe or hook over the network goes, and what it says there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::http::{Request, authority};
use crate::model::{Container, HttpGetAction, HttpHeader, IntOrString, Scheme, TcpSocketAction};

/// What a probe sends as `User-Agent`.
const USER_AGENT: &str = concat!("kube-probe/", env!("CARGO_PKG_VERSION"));

/// The GET of a handler, and the address it is sent to. `Err` says why it cannot be made at all.
pub(crate) fn http(
    action: &HttpGetAction,
    container: &Container,
    pod_ip: Option<&str>,
) -> Result<Request, String> {
    if action.scheme == Some(Scheme::Https) {
        return Err("https is not supported by this build".into());
    }
    let port = port(&action.port, container)?;
    let host = host(action.host.as_deref(), pod_ip);
    let own = |wanted: &str| {
        action
            .http_headers
            .iter()
            .rev()
            .find(|header| header.name.eq_ignore_ascii_case(wanted))
    };
    let authority =
        own("host").map_or_else(|| authority(&host, port), |header| header.value.clone());
    let standard = [("User-Agent", USER_AGENT), ("Accept", "*/*")];
    let standard = standard.into_iter().filter(|(name, _)| own(name).is_none());
    let headers = standard.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let given = action.http_headers.iter().filter(|header| is_sent(header));
    let given = given.map(|header| (header.name.clone(), header.value.clone()));
    Ok(Request {
        host,
        port,
        path: path(action.path.as_deref()),
        authority,
        headers: headers.chain(given).collect(),
    })
}

/// Where a tcpSocket handler connects to.
pub(crate) fn tcp(
    action: &TcpSocketAction,
    container: &Container,
    pod_ip: Option<&str>,
) -> Result<SocketAddr, String> {
    address(
        &host(action.host.as_deref(), pod_ip),
        port(&action.port, container)?,
    )
}

/// An address to connect to. Names are not looked up: a look-up blocks, and in the pod's network it would be another one.
pub(crate) fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    match host {
        "localhost" => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        host => match host.parse() {
            Ok(ip) => Ok(SocketAddr::new(ip, port)),
            Err(_) => Err(format!(
                "lookup {host}: host names of probes are not looked up; give an address"
            )),
        },
    }
}

/// A pod without an address of its own is reached through the loopback of its network namespace.
fn host(given: Option<&str>, pod_ip: Option<&str>) -> String {
    let given = given
        .filter(|host| !host.is_empty())
        .or(pod_ip.filter(|ip| !ip.is_empty()));
    given.unwrap_or("127.0.0.1").to_owned()
}

/// An empty value removes a standard header. Host and Connection are written elsewhere.
fn is_sent(header: &HttpHeader) -> bool {
    let is = |name: &str| header.name.eq_ignore_ascii_case(name);
    let removed = header.value.is_empty() && (is("user-agent") || is("accept"));
    let breaks = |text: &str| text.contains(['\r', '\n']);
    !(is("host") || is("connection") || removed || breaks(&header.name) || breaks(&header.value))
}

fn path(given: Option<&str>) -> String {
    let path = given.unwrap_or_default();
    let path = path.split('#').next().unwrap_or_default();
    let safe: String = path
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() {
                c.to_string()
            } else {
                encoded(c)
            }
        })
        .collect();
    match safe.starts_with('/') {
        true => safe,
        false => format!("/{safe}"),
    }
}

fn encoded(c: char) -> String {
    c.encode_utf8(&mut [0; 4])
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect()
}

/// By number, by the name of one of the container's ports, or by digits in a string.
fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(i64::from(*number)),
        IntOrString::String(name) => {
            let named = container
                .ports
                .iter()
                .find(|port| port.name.as_deref() == Some(name));
            let number = named.map(|port| i64::from(port.container_port));
            number.or_else(|| name.parse().ok())
        }
    };
    let valid = number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0);
    valid.ok_or_else(|| format!("couldn't find a port {port}"))
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

    fn container(ports: &Value) -> Container {
        serde_json::from_value(serde_json::json!({ "name": "c", "ports": ports })).unwrap()
    }

    #[test]
    fn urls_are_the_kubelets() {
        for case in vectors("httpUrl") {
            let input = &case["input"];
            let action: HttpGetAction = serde_json::from_value(input["httpGet"].clone()).unwrap();
            let plain = HttpGetAction {
                scheme: None,
                ..action
            };
            let got = http(&plain, &container(&input["ports"]), input["podIP"].as_str());
            if case["expect"]["error"] == true {
                assert!(got.is_err(), "{case}");
                continue;
            }
            let got = got.unwrap();
            let url = case["expect"]["url"]
                .as_str()
                .unwrap()
                .split_once("://")
                .unwrap()
                .1;
            let (host, path) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
            assert_eq!(got.authority, host, "{case}");
            assert_eq!(
                got.path,
                format!("/{}", path.strip_prefix('/').unwrap_or(path)),
                "{case}"
            );
        }
    }

    #[test]
    fn ports_are_found_as_the_kubelet_does() {
        for case in vectors("resolvePort") {
            let wanted = serde_json::from_value(case["input"]["port"].clone()).unwrap();
            let got = port(&wanted, &container(&case["input"]["ports"]));
            assert_eq!(
                got.ok().map(u64::from),
                case["expect"]["port"].as_u64(),
                "{case}"
            );
        }
    }

    #[test]
    fn headers_are_the_kubelets() {
        let cases = vectors("httpRequestHeaders");
        assert!(cases.len() >= 6);
        for case in cases {
            let action =
                serde_json::json!({ "port": 80, "httpHeaders": case["input"]["httpHeaders"] });
            let got = http(
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

    #[test]
    fn nothing_breaks_out_of_the_request_line() {
        assert_eq!(path(Some("/a b\r\nX: y#z")), "/a%20b%0D%0AX:%20y");
    }
}
