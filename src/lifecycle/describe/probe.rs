//! Probes, each on a line.

use super::page::Page;
use super::shown;
use crate::model::{Container, HttpGetAction, Probe};

pub(super) fn probes(page: &mut Page, container: &Container) {
    for (title, probe) in [
        ("Liveness", &container.liveness_probe),
        ("Readiness", &container.readiness_probe),
        ("Startup", &container.startup_probe),
    ] {
        if let Some(probe) = probe {
            page.line(
                2,
                format_args!("{title}:\t{} {}", handler(probe), numbers(probe)),
            );
        }
    }
}

fn handler(probe: &Probe) -> String {
    if let Some(exec) = &probe.exec {
        format!("exec [{}]", exec.command.join(" "))
    } else if let Some(get) = &probe.http_get {
        format!("http-get {}", url(get))
    } else if let Some(socket) = &probe.tcp_socket {
        format!("tcp-socket {}:{}", shown(&socket.host), socket.port)
    } else if let Some(grpc) = &probe.grpc {
        format!("grpc <pod>:{} {}", grpc.port, shown(&grpc.service))
    } else {
        "unknown".to_owned()
    }
}

fn numbers(probe: &Probe) -> String {
    let [delay, timeout, period, success, failure] = [
        probe.initial_delay_seconds,
        probe.timeout_seconds,
        probe.period_seconds,
        probe.success_threshold,
        probe.failure_threshold,
    ]
    .map(Option::unwrap_or_default);
    format!(
        "delay={delay}s timeout={timeout}s period={period}s #success={success} #failure={failure}"
    )
}

/// As it is written in the manifest: a host that is not said is not there, a port may be a name.
fn url(get: &HttpGetAction) -> String {
    let scheme = get.scheme.as_ref().map_or("http", |scheme| scheme.as_str());
    let host = match shown(&get.host) {
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let path = escaped(shown(&get.path));
    let slash = if path.is_empty() || path.starts_with('/') {
        ""
    } else {
        "/"
    };
    format!(
        "{}://{host}:{}{slash}{path}",
        scheme.to_ascii_lowercase(),
        get.port
    )
}

/// As Go's `url.URL` prints a path.
fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
