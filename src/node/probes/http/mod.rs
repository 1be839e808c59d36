//! One HTTP GET of a probe or a hook, as far as a non-blocking socket lets it go.
//!
//! The kubelet's rules: 200 to 399 succeed; redirects to the same hostname are followed, ten requests at most, with the same headers;
//! one to another hostname is not, and is a success with a warning.

mod response;

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use response::Response;

use super::Verdict;
use crate::linux::reactor::Interest;

/// After so many requests another redirect fails the probe.
const REQUESTS_MAX: u32 = 10;
/// So much is read in one go.
const PIECE: usize = 16 << 10;

/// Where a request goes and what it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
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

/// A GET under way.
#[derive(Debug)]
pub(crate) struct Get {
    request: Request,
    requests: u32,
    unsent: Vec<u8>,
    response: Response,
}

/// What a step of a GET came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Call again when the socket is ready for this.
    Wait(Interest),
    /// Call again with another socket, connected to the new [`Get::request`].
    Reconnect,
    /// Finished: the last status, or why there is none.
    Done(Result<u16, String>),
}

impl Get {
    /// A GET whose socket is to be connected to the request's host and port.
    pub(crate) fn new(request: Request) -> Get {
        let unsent = request.bytes();
        Get {
            request,
            requests: 1,
            unsent,
            response: Response::default(),
        }
    }

    /// What is asked now; redirects change it.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// What was kept of the last answer's body.
    pub(crate) fn body(&self) -> &[u8] {
        self.response.body()
    }

    /// Sends and receives what is possible without blocking: at most 16 KiB are read in one step.
    pub(crate) fn step(&mut self, socket: impl AsFd) -> Step {
        let fd = socket.as_fd();
        match self.send(fd).and_then(|()| self.receive(fd)) {
            Ok(step) => step,
            Err(Errno::EAGAIN | Errno::EINTR) if self.unsent.is_empty() => {
                Step::Wait(Interest::Read)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Step::Wait(Interest::Write),
            Err(errno) => Step::Done(Err(self.failed(errno.desc()))),
        }
    }

    fn send(&mut self, socket: std::os::fd::BorrowedFd<'_>) -> Result<(), Errno> {
        use std::os::fd::AsRawFd;
        while !self.unsent.is_empty() {
            let count = send(
                socket.as_raw_fd(),
                &self.unsent,
                MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
            )?;
            self.unsent.drain(..count);
        }
        Ok(())
    }

    fn receive(&mut self, socket: std::os::fd::BorrowedFd<'_>) -> Result<Step, Errno> {
        use std::os::fd::AsRawFd;
        let mut piece = [0; PIECE];
        let count = recv(socket.as_raw_fd(), &mut piece, MsgFlags::MSG_DONTWAIT)?;
        let read = match count {
            0 => self.response.end(),
            count => self.response.feed(&piece[..count]),
        };
        if let Err(why) = read {
            return Ok(Step::Done(Err(self.failed(&why.to_string()))));
        }
        if let Some(step) = self.redirect() {
            return Ok(step);
        }
        match (self.response.is_done(), self.response.head()) {
            (true, Some(head)) => Ok(Step::Done(Ok(head.status))),
            _ => Ok(Step::Wait(Interest::Read)),
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
            return Some(Step::Done(Ok(head.status)));
        }
        if self.requests == REQUESTS_MAX {
            return Some(Step::Done(Err(self.failed("stopped after 10 redirects"))));
        }
        self.requests += 1;
        if self.request.authority == authority(&self.request.host, self.request.port) {
            self.request.authority = authority(&location.host, location.port);
        }
        (self.request.port, self.request.path) = (location.port, location.path);
        self.unsent = self.request.bytes();
        self.response = Response::default();
        Some(Step::Reconnect)
    }

    /// As Go's client words it.
    pub(crate) fn failed(&self, why: &str) -> String {
        let Request {
            host, port, path, ..
        } = &self.request;
        format!("Get \"http://{}{path}\": {why}", authority(host, *port))
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
    host: String,
    port: u16,
    path: String,
}

impl Location {
    /// Resolved against the request it answers. Only plain http can be followed.
    fn parse(text: &str, from: &Request) -> Option<Location> {
        let text = text.split('#').next().unwrap_or_default();
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Some(rest),
            Some((scheme, _)) if !scheme.contains(['/', '?']) => return None,
            _ => text.strip_prefix("//"),
        };
        match rest {
            Some(rest) => Location::absolute(rest),
            None => Some(Location {
                host: from.host.clone(),
                port: from.port,
                path: resolve(&from.path, text),
            }),
        }
    }

    fn absolute(text: &str) -> Option<Location> {
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
            None | Some("") => 80,
            Some(port) => port.parse().ok()?,
        };
        Some(Location {
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
            host: "127.0.0.1".into(),
            port: 8080,
            path: path.into(),
            authority: "127.0.0.1:8080".into(),
            headers: vec![("Accept".into(), "*/*".into())],
        }
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
            &mut Get::new(request("/x?y")),
            "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        );
        assert_eq!(step, Step::Done(Ok(500)));
        assert_eq!(
            asked,
            "GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn redirects_on_the_same_host_are_followed_for_ten_requests() {
        let mut get = Get::new(request("/loop"));
        let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:81/loop\r\n\r\n";
        for _ in 1..REQUESTS_MAX {
            assert_eq!(answered(&mut get, answer).0, Step::Reconnect);
        }
        assert_eq!(
            (get.request().port, get.request().authority.as_str()),
            (81, "127.0.0.1:81")
        );
        assert!(matches!(answered(&mut get, answer).0, Step::Done(Err(_))));
    }

    #[test]
    fn a_redirect_elsewhere_only_warns_and_a_given_host_header_stays() {
        let mut get = Get::new(Request {
            authority: "www.example.com".into(),
            ..request("/")
        });
        let (step, _) = answered(&mut get, "HTTP/1.1 301 Moved\r\nLocation: /new\r\n\r\n");
        assert_eq!(
            (step, get.request().authority.as_str()),
            (Step::Reconnect, "www.example.com")
        );
        let (step, _) = answered(
            &mut get,
            "HTTP/1.1 302 Found\r\nLocation: http://0.0.0.0/fail\r\n\r\n",
        );
        assert!(matches!(step, Step::Done(Ok(302))));
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
        let away = Location::parse("//[fd00::1]:90?x#y", &from).unwrap();
        assert_eq!(
            away,
            Location {
                host: "fd00::1".into(),
                port: 90,
                path: "/?x".into()
            }
        );
    }

    #[test]
    fn a_server_that_hangs_up_fails_the_probe() {
        let (step, _) = answered(&mut Get::new(request("/")), "");
        let Step::Done(Err(why)) = step else {
            panic!("{step:?}")
        };
        assert_eq!(why, "Get \"http://127.0.0.1:8080/\": unexpected EOF");
    }
}
