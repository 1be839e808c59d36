//! Where a probe or a hook goes, and what its end means.
//!
//! Upstream: `pkg/probe/util.go`, `pkg/probe/http/request.go`, `pkg/probe/exec/exec.go`.

use std::fmt;

use super::{Container, HttpGetAction, IntOrString, Scheme};
use crate::error::{Error, Kind, Result};

/// The port a handler names: a number, the name of one of the container's own ports, or digits in a text.
///
/// ```
/// use podlife::model::{Container, IntOrString, probe_target::resolve_port};
///
/// let container: Container = serde_json::from_str(r#"{"ports":[{"name":"web","containerPort":8080}]}"#).unwrap();
/// assert_eq!(resolve_port(&IntOrString::String("web".into()), &container)?, 8080);
/// assert_eq!(resolve_port(&IntOrString::String("81".into()), &container)?, 81);
/// # Ok::<(), podlife::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Invalid`] if there is no such port, or its number is not in 1 to 65535. The probe fails.
pub fn resolve_port(port: &IntOrString, container: &Container) -> Result<u16> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container
                .ports
                .iter()
                .find(|port| port.name.as_deref() == Some(name));
            named
                .map(|port| port.container_port)
                .or_else(|| name.parse().ok())
        }
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!("find the port {port} of {:?}", container.name),
                "there is no such port",
            )
            .cure("name one of the container's ports, or a number from 1 to 65535")
        })
}

/// What an httpGet handler asks for; printed as a URL.
///
/// ```
/// use podlife::model::{Container, HttpGetAction, probe_target::HttpTarget};
///
/// let get: HttpGetAction = serde_json::from_str(r#"{"port":80,"path":"/healthz?full"}"#).unwrap();
/// let target = HttpTarget::new(&get, &Container::default(), "fd00::1")?;
/// assert_eq!(target.to_string(), "http://[fd00::1]:80/healthz?full");
/// assert_eq!((target.authority().as_str(), target.request_path().as_str()), ("[fd00::1]:80", "/healthz?full"));
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpTarget {
    /// TLS, or not.
    pub https: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, escaped; empty, or begins with `/` or `?`.
    pub path: String,
}

impl HttpTarget {
    /// The target of a container's handler. Where it names no host, the pod's address is asked.
    ///
    /// # Errors
    ///
    /// Those of [`resolve_port`].
    pub fn new(get: &HttpGetAction, container: &Container, pod_ip: &str) -> Result<HttpTarget> {
        Ok(HttpTarget {
            https: matches!(&get.scheme, Some(scheme) if scheme.as_str().eq_ignore_ascii_case(Scheme::Https.as_str())),
            host: get
                .host
                .as_deref()
                .filter(|host| !host.is_empty())
                .unwrap_or(pod_ip)
                .to_owned(),
            port: resolve_port(&get.port, container)?,
            path: escaped(get.path.as_deref().unwrap_or_default()),
        })
    }

    /// Host and port, as in a `Host` header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// What stands in the request line.
    pub fn request_path(&self) -> String {
        if self.path.starts_with('/') {
            self.path.clone()
        } else {
            format!("/{}", self.path)
        }
    }
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            if self.https { "https" } else { "http" },
            self.authority(),
            self.path
        )
    }
}

/// The path as a relative reference: without its fragment, from the root, and with nothing in it that could end a request line.
fn escaped(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut text = String::with_capacity(path.len() + 1);
    if !path.is_empty() && !path.starts_with(['/', '?']) {
        text.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~'
                if !matches!(
                    byte,
                    b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
                ) =>
            {
                text.push(char::from(byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// How the command of an exec probe came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecEnd {
    /// By itself, with this code.
    Exited(i32),
    /// It took longer than it may.
    TimedOut,
    /// It could not be run.
    NotRun,
}

/// What one run of a probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeVerdict {
    /// All is well.
    Success,
    /// As a success, but worth an event: a redirect to another host.
    Warning,
    /// It is not.
    Failure,
    /// The probe itself failed. It is tried again up to three times, and then changes nothing.
    Unknown,
}

impl ProbeVerdict {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeVerdict::Success => "success",
            ProbeVerdict::Warning => "warning",
            ProbeVerdict::Failure => "failure",
            ProbeVerdict::Unknown => "unknown",
        }
    }

    /// Of an exec probe.
    pub fn of_exec(end: ExecEnd) -> ProbeVerdict {
        match end {
            ExecEnd::Exited(0) => ProbeVerdict::Success,
            ExecEnd::Exited(_) | ExecEnd::TimedOut => ProbeVerdict::Failure,
            ExecEnd::NotRun => ProbeVerdict::Unknown,
        }
    }

    /// Of an HTTP probe, by the status of its last response.
    pub fn of_http(status: u16) -> ProbeVerdict {
        match status {
            200..300 => ProbeVerdict::Success,
            300..400 => ProbeVerdict::Warning,
            _ => ProbeVerdict::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &str) -> String {
        let get = HttpGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(80),
            ..HttpGetAction::default()
        };
        HttpTarget::new(&get, &Container::default(), "h")
            .unwrap()
            .to_string()
    }

    #[test]
    fn nothing_ends_the_request_line() {
        assert_eq!(url("/a b\r\nX: y"), "http://h:80/a%20b%0D%0AX:%20y");
        assert_eq!(url("ä?q=1#f"), "http://h:80/%C3%A4?q=1");
        assert_eq!(url("/a%20b(c)"), "http://h:80/a%20b(c)");
    }
}
