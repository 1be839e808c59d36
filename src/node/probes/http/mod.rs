//! One HTTP GET of a probe or a hook, as far as a non-blocking socket lets it go.
//!
//! The kubelet's rules: 200 to 399 succeed; redirects to the same hostname are followed, ten requests at most, with the same headers;
//! one to another hostname is not, and is a success with a warning.

mod response;

use std::os::fd::AsFd;

use response::Response;

use super::stream::{Stop, Stream, Wire};
use super::{Step, Verdict};
use crate::linux::reactor::Interest;

/// After so many requests another redirect fails the probe.
const REQUESTS_MAX: u32 = 10;

/// Where a request goes and what it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// TLS, or not.
    pub(crate) https: bool,
    /// The hostname to connect to, without brackets.
    pub(crate) host: String,
    /// The port to connect to.
    pub(crate) port: u16,
    /// Path and query, as sent.
    pub(crate) path: String,
    /// The `Host` header.
    pub(crate) authority: String,
    /// All other headers.
    pub(crate) headers: Vec<(String, String)>,
}

/// What a GET is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Its status decides.
    Probe,
    /// Any answer will do, and a server that only speaks plain HTTP is asked so: the kubelet looks at no status, and asked
    /// every hook over plain HTTP once.
    Hook,
}

/// A GET under way.
#[derive(Debug)]
pub(crate) struct Get {
    use_: Use,
    request: Request,
    requests: u32,
    stream: Stream,
    unsent: Vec<u8>,
    response: Response,
    /// Why it is no longer asked over https.
    fallback: Option<String>,
}

impl Get {
    /// A GET whose socket is to be connected to the request's host and port. `Err` says why it cannot be made.
    pub(crate) fn new(use_: Use, request: Request) -> Result<Get, String> {
        Ok(Get {
            use_,
            requests: 1,
            stream: Stream::new(&request)?,
            unsent: request.bytes(),
            response: Response::default(),
            request,
            fallback: None,
        })
    }

    /// What was kept of the last answer's body.
    pub(crate) fn body(&self) -> &[u8] {
        self.response.body()
    }

    /// Sends and receives what is possible without blocking: about 16 KiB are read in one step.
    pub(crate) fn step(&mut self, socket: impl AsFd) -> Step {
        match self.exchange(Wire(socket.as_fd())) {
            Ok(step) => step,
            Err(Stop::Wait(interest)) => Step::Wait(interest),
            Err(Stop::PlainHttp) => self.fall_back(),
            Err(Stop::Failed(why)) => self.fail(&why),
        }
    }

    fn exchange(&mut self, wire: Wire<'_>) -> Result<Step, Stop> {
        self.stream.send(wire, &mut self.unsent)?;
        let piece = self.stream.receive(wire)?;
        let read = match piece.is_empty() {
            true => self.response.end(),
            false => self.response.feed(&piece),
        };
        read.map_err(|why| Stop::Failed(why.to_string()))?;
        if let Some(step) = self.redirect() {
            return Ok(step);
        }
        Ok(match (self.response.is_done(), self.response.head()) {
            (true, Some(head)) => Step::Done(self.verdict(head.status)),
            _ => Step::Wait(Interest::Read),
        })
    }

    fn verdict(&self, status: u16) -> Verdict {
        match (self.use_, &self.fallback) {
            (Use::Probe, _) => verdict(status),
            (Use::Hook, None) => Verdict::Success,
            (Use::Hook, Some(_)) => Verdict::Warning(format!(
                "request to HTTPS lifecycle hook {} got HTTP response, retry with HTTP succeeded",
                authority(&self.request.host, self.request.port)
            )),
        }
    }

    /// Turns to the new location, if there is one on the same host.
    fn redirect(&mut self) -> Option<Step> {
        let head = self.response.head()?;
        if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = Location::parse(head.location.as_deref()?, &self.request)?;
        if location.host != self.request.host {
            return Some(Step::Done(self.verdict(head.status)));
        }
        if self.requests == REQUESTS_MAX {
            return Some(self.fail("stopped after 10 redirects"));
        }
        self.requests += 1;
        if self.request.authority == authority(&self.request.host, self.request.port) {
            self.request.authority = authority(&location.host, location.port);
        }
        self.request.https = location.https;
        (self.request.port, self.request.path) = (location.port, location.path);
        Some(self.again())
    }

    /// The same hook without TLS: what is secret is not sent then.
    fn fall_back(&mut self) -> Step {
        let why = self.failed("http: server gave HTTP response to HTTPS client");
        if self.use_ == Use::Probe || self.requests > 1 {
            return Step::Done(Verdict::Failure(why));
        }
        self.fallback = Some(why);
        self.request.https = false;
        let headers = &mut self.request.headers;
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        self.again()
    }

    /// Asks what is to be asked now over a new connection.
    fn again(&mut self) -> Step {
        match Stream::new(&self.request) {
            Ok(stream) => self.stream = stream,
            Err(why) => return self.fail(&why),
        }
        self.unsent = self.request.bytes();
        self.response = Response::default();
        Step::Reconnect(self.request.port)
    }

    fn fail(&self, why: &str) -> Step {
        Step::Done(Verdict::Failure(self.failed(why)))
    }

    /// As Go's client words it. When asking without TLS did not help either, it is said why that was tried.
    pub(crate) fn failed(&self, why: &str) -> String {
        if let Some(first) = &self.fallback {
            return first.clone();
        }
        let Request {
            host, port, path, ..
        } = &self.request;
        let scheme = scheme(self.request.https);
        format!("Get \"{scheme}://{}{path}\": {why}", authority(host, *port))
    }
}

fn scheme(https: bool) -> &'static str {
    match https {
        true => "https",
        false => "http",
    }
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", self.path, self.authority);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("Connection: close\r\n\r\n");
        text.into_bytes()
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(crate) fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// What a status code means for a probe.
pub(crate) fn verdict(status: u16) -> Verdict {
    match status {
        200..300 => Verdict::Success,
        300..400 => Verdict::Warning(format!(
            "Probe terminated redirects, Response status: {status}"
        )),
        _ => Verdict::Failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

/// Where a redirect goes.
#[derive(Debug, PartialEq)]
struct Location {
    https: bool,
    host: String,
    port: u16,
    path: String,
}

impl Location {
    /// Resolved against the request it answers. Only http and https can be followed.
    fn parse(text: &str, from: &Request) -> Option<Location> {
        let text = text.split('#').next().unwrap_or_default();
        let scheme = text.split_once("://");
        let (https, rest) = match scheme.filter(|(scheme, _)| !scheme.contains(['/', '?'])) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, Some(rest)),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, Some(rest)),
            Some(_) => return None,
            None => (from.https, text.strip_prefix("//")),
        };
        match rest {
            Some(rest) => Location::absolute(https, rest),
            None => Some(Location {
                https,
                host: from.host.clone(),
                port: from.port,
                path: resolve(&from.path, text),
            }),
        }
    }

    fn absolute(https: bool, text: &str) -> Option<Location> {
        let (authority, path) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None | Some("") if https => 443,
            None | Some("") => 80,
            Some(port) => port.parse().ok()?,
        };
        Some(Location {
            https,
            host: host.to_owned(),
            port,
            path: rooted(path),
        })
    }
}

fn rooted(path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    }
}

/// A relative reference against the path it is relative to; dot segments are left to the server.
fn resolve(base: &str, reference: &str) -> String {
    let path = base.split('?').next().unwrap_or_default();
    match reference.chars().next() {
        None => base.to_owned(),
        Some('/') => reference.to_owned(),
        Some('?') => format!("{path}{reference}"),
        Some(_) => {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{reference}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn request(path: &str) -> Request {
        Request {
            https: false,
            host: "127.0.0.1".into(),
            port: 8080,
            path: path.into(),
            authority: "127.0.0.1:8080".into(),
            headers: vec![("Accept".into(), "*/*".into())],
        }
    }

    fn asking(path: &str) -> Get {
        Get::new(Use::Probe, request(path)).unwrap()
    }

    /// What the GET does next when the server answers so and closes.
    fn answered(get: &mut Get, answer: &str) -> (Step, String) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(get.step(&ours), Step::Wait(Interest::Read));
        let mut asked = [0; 1024];
        let count = theirs.read(&mut asked).unwrap();
        theirs.write_all(answer.as_bytes()).unwrap();
        drop(theirs);
        let mut step = get.step(&ours);
        while step == Step::Wait(Interest::Read) {
            step = get.step(&ours);
        }
        (step, String::from_utf8_lossy(&asked[..count]).into_owned())
    }

    #[test]
    fn statuses_are_judged_as_the_kubelet_does() {
        for (status, good) in [
            (199, false),
            (200, true),
            (299, true),
            (304, true),
            (399, true),
            (400, false),
        ] {
            // 199 is an interim response for a client, so only the rule itself is asked.
            let verdict = verdict(status);
            assert_eq!(!matches!(verdict, Verdict::Failure(_)), good, "{status}");
        }
        let (step, asked) = answered(
            &mut asking("/x?y"),
            "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        );
        let failed = Verdict::Failure("HTTP probe failed with statuscode: 500".into());
        assert_eq!(step, Step::Done(failed));
        assert_eq!(
            asked,
            "GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn redirects_on_the_same_host_are_followed_for_ten_requests() {
        let mut get = asking("/loop");
        let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:81/loop\r\n\r\n";
        for _ in 1..REQUESTS_MAX {
            assert_eq!(answered(&mut get, answer).0, Step::Reconnect(81));
        }
        assert_eq!(
            (get.request.port, get.request.authority.as_str()),
            (81, "127.0.0.1:81")
        );
        assert!(matches!(
            answered(&mut get, answer).0,
            Step::Done(Verdict::Failure(_))
        ));
    }

    #[test]
    fn a_redirect_elsewhere_only_warns_and_a_given_host_header_stays() {
        let request = Request {
            authority: "www.example.com".into(),
            ..request("/")
        };
        let mut get = Get::new(Use::Probe, request).unwrap();
        let (step, _) = answered(&mut get, "HTTP/1.1 301 Moved\r\nLocation: /new\r\n\r\n");
        assert_eq!(
            (step, get.request.authority.as_str()),
            (Step::Reconnect(8080), "www.example.com")
        );
        let (step, _) = answered(
            &mut get,
            "HTTP/1.1 302 Found\r\nLocation: http://0.0.0.0/fail\r\n\r\n",
        );
        assert!(matches!(step, Step::Done(Verdict::Warning(_))));
    }

    #[test]
    fn locations_resolve_against_the_request() {
        let from = request("/a/b?c");
        for (text, path) in [
            ("/x", "/x"),
            ("x", "/a/x"),
            ("?q", "/a/b?q"),
            ("", "/a/b?c"),
            ("x://y", "none"),
        ] {
            let location = Location::parse(text, &from);
            assert_eq!(
                location.map_or("none".into(), |location| location.path),
                path,
                "{text}"
            );
        }
        for (text, https, port) in [
            ("https://127.0.0.1/", true, 443),
            ("HTTP://127.0.0.1/", false, 80),
            ("//127.0.0.1/", false, 80),
            ("/x", false, 8080),
        ] {
            let location = Location::parse(text, &from).unwrap();
            assert_eq!((location.https, location.port), (https, port), "{text}");
        }
        let away = Location::parse("//[fd00::1]:90?x#y", &from).unwrap();
        assert_eq!(
            away,
            Location {
                https: false,
                host: "fd00::1".into(),
                port: 90,
                path: "/?x".into()
            }
        );
    }

    #[test]
    fn a_server_that_hangs_up_fails_the_probe() {
        let (step, _) = answered(&mut asking("/"), "");
        let Step::Done(Verdict::Failure(why)) = step else {
            panic!("{step:?}")
        };
        assert_eq!(why, "Get \"http://127.0.0.1:8080/\": unexpected EOF");
    }
}
