//! A probe over the network, made once by whoever calls.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::http::Use;
use super::talk::Talk;
use super::{Step, Verdict, target, tcp};
use crate::linux::Clock;
use crate::linux::reactor::Interest;
use crate::model::probe_target::ProbeVerdict;
use crate::model::{Container, Probe};
use crate::time::Mono;

/// What a probe came to; see [`probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Whether it is well.
    pub verdict: ProbeVerdict,
    /// The beginning of the body that an HTTP server answered with, at most 10 KiB, or else what is wrong.
    pub output: String,
}

/// Makes an httpGet, tcpSocket or grpc probe once, by the same code as a Node does for its pods, but in the caller's own network,
/// and blocks until it has ended: at most `timeoutSeconds`. Named ports are looked up in `container`; a probe that names no host of
/// its own goes to `address`.
///
/// ```
/// use podlife::model::probe_target::ProbeVerdict;
/// use podlife::model::{Container, Probe};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let probe = Probe::tcp(i32::from(address.port()));
/// let found = podlife::node::probe(&probe, &Container::default(), address.ip());
/// assert_eq!(found.verdict, ProbeVerdict::Success);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// An exec probe needs a container: its verdict is [`ProbeVerdict::Unknown`].
pub fn probe(probe: &Probe, container: &Container, address: IpAddr) -> Probed {
    let seconds = probe
        .timeout_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(1);
    let deadline = Clock::mono() + Duration::from_secs(seconds);
    match begin(probe, container, &address.to_string()) {
        Ok((address, talk)) => converse(address, talk, deadline),
        Err(verdict) => probed(verdict, String::new()),
    }
}

fn begin(probe: &Probe, container: &Container, ip: &str) -> Result<(SocketAddr, Talk), Verdict> {
    if let Some(action) = &probe.http_get {
        let (address, get) = target::http(Use::Probe, action, container, Some(ip))?;
        Ok((address, Talk::Get(Box::new(get))))
    } else if let Some(action) = &probe.tcp_socket {
        Ok((target::tcp(action, container, Some(ip))?, Talk::Nothing))
    } else if let Some(action) = &probe.grpc {
        let (address, check) = target::grpc(action, Some(ip))?;
        Ok((address, Talk::Check(check)))
    } else {
        let why = "it names no handler that goes over the network";
        Err(Verdict::Unknown(why.into()))
    }
}

fn converse(mut address: SocketAddr, mut talk: Talk, deadline: Mono) -> Probed {
    loop {
        let step = match connected(address, deadline) {
            Ok(socket) => say(&mut talk, &socket, deadline),
            Err(Errno::ETIMEDOUT) => None,
            Err(errno) => Some(Step::Done(Verdict::Failure(
                talk.unconnected(address, errno),
            ))),
        };
        let verdict = match step {
            Some(Step::Reconnect(port)) => {
                address.set_port(port);
                continue;
            }
            Some(Step::Done(verdict)) => verdict,
            Some(Step::Wait(_)) | None => Verdict::Failure(talk.timed_out(address)),
        };
        return probed(verdict, talk.body());
    }
}

fn probed(verdict: Verdict, body: String) -> Probed {
    let (verdict, output) = match verdict {
        Verdict::Success => (ProbeVerdict::Success, body),
        Verdict::Warning(why) => (ProbeVerdict::Warning, why),
        Verdict::Failure(why) => (ProbeVerdict::Failure, why),
        Verdict::Unknown(why) => (ProbeVerdict::Unknown, why),
    };
    Probed { verdict, output }
}

fn connected(address: SocketAddr, deadline: Mono) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    if !tcp::start(&socket, address)? {
        if !ready(&socket, Interest::Write, deadline)? {
            return Err(Errno::ETIMEDOUT);
        }
        tcp::finish(&socket)?;
    }
    Ok(socket)
}

/// Up to the end, or to another connection; none if the time is up.
fn say(talk: &mut Talk, socket: &OwnedFd, deadline: Mono) -> Option<Step> {
    loop {
        match talk.step(socket) {
            Step::Wait(interest) => match ready(socket, interest, deadline) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(errno) => {
                    let why = errno.desc().to_owned();
                    return Some(Step::Done(Verdict::Unknown(why)));
                }
            },
            step => return Some(step),
        }
    }
}

fn ready(socket: &OwnedFd, interest: Interest, deadline: Mono) -> Result<bool, Errno> {
    let events = match interest {
        Interest::Write => PollFlags::POLLOUT,
        _ => PollFlags::POLLIN,
    };
    loop {
        let left = deadline - Clock::mono();
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), events)], timeout) {
            Err(Errno::EINTR) => {}
            Ok(0) if !left.is_zero() => {}
            found => return found.map(|count| count > 0),
        }
    }
}
