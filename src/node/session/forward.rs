//! Connections into a pod's network.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use crate::linux::pause::Request;
use crate::linux::reactor::{Interest, Token};
use crate::node::PodId;
use crate::node::handle::{Answer, Pending, pending};
use crate::node::handler::host_socket;
use crate::node::host::{Host, Watched};
use crate::node::node::{Node, unknown};
use crate::node::probes::tcp;
use crate::node::resident::Resident;
use crate::{Error, Kind, Result};

/// A connection on its way.
#[derive(Debug)]
pub(crate) struct Forward {
    address: SocketAddr,
    answer: Answer<OwnedFd>,
    socket: Option<(OwnedFd, Token)>,
    /// What localhost's first address said.
    refused: Option<Errno>,
}

impl Node {
    /// Connects to a port of a pod, on its localhost as `kubectl port-forward` does: a pod needs no address for it, and the
    /// image no tool. The answer is a TCP stream made inside the pod's network namespace; no thread of this program enters it.
    ///
    /// It outlives the Node. The network namespace outlives its pod as long as a stream is open.
    ///
    /// ```no_run
    /// use std::{io::Read, net::TcpStream, time::Duration};
    /// # let mut node = podlife::Node::ephemeral()?;
    /// # let pod = node.find("default", "web").unwrap().id();
    /// let stream = node.forward(pod, 8080)?;
    /// let mut stream = TcpStream::from(node.finish(stream, Duration::from_secs(5))?);
    /// stream.read_to_end(&mut Vec::new())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such pod, or it has no sandbox. The answer's: nobody listens there ([`errno`](Error::errno) 111,
    /// ECONNREFUSED), the pod ended.
    pub fn forward(&mut self, id: PodId, port: u16) -> Result<Pending<OwnedFd>> {
        let (answer, mut pending) = pending();
        self.begin_forward(id, port, answer);
        // What is known at once.
        match pending.try_take() {
            Some(Err(error)) => Err(error),
            _ => Ok(pending),
        }
    }

    pub(in crate::node) fn begin_forward(&mut self, id: PodId, port: u16, answer: Answer<OwnedFd>) {
        let Some(resident) = self.pods.get_mut(&id) else {
            return answer.give(Err(unknown("connect to", id)));
        };
        if resident.sandbox.is_none() {
            let attempt = format!("connect to port {port} of the pod {}", resident.name);
            let why = "it has no sandbox now";
            return answer.give(Err(Error::new(Kind::Conflict, attempt, why)));
        }
        let forward = Forward {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            answer,
            socket: None,
            refused: None,
        };
        resident.ask_forward(&mut self.host, forward);
    }
}

impl Resident {
    fn ask_forward(&mut self, host: &mut Host, forward: Forward) {
        let ticket = self.ticket();
        let family = match forward.address {
            SocketAddr::V4(_) => libc::AF_INET,
            SocketAddr::V6(_) => libc::AF_INET6,
        };
        self.forwards.insert(ticket, forward);
        if self.pod.spec.host_network == Some(true) {
            let made = host_socket(family);
            self.forward_made(host, ticket, made);
            return;
        }
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
        self.ask(&Request::Socket {
            ticket,
            family,
            kind,
        });
    }

    /// Its socket is there.
    pub(in crate::node) fn forward_made(
        &mut self,
        host: &mut Host,
        ticket: u32,
        socket: Result<OwnedFd, i32>,
    ) {
        let Some(mut forward) = self.forwards.remove(&ticket) else {
            return;
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(errno) => return self.forward_failed(host, forward, Errno::from_raw(errno)),
        };
        match tcp::start(&socket, forward.address) {
            Ok(true) => forward.answer.give(blocking(socket)),
            Err(errno) => self.forward_failed(host, forward, errno),
            Ok(false) => {
                let watched = Watched::Forward(self.id, ticket);
                match host.watch(&socket, Interest::Write, watched) {
                    Ok(token) => {
                        forward.socket = Some((socket, token));
                        self.forwards.insert(ticket, forward);
                    }
                    Err(error) => forward.answer.give(Err(error)),
                }
            }
        }
    }

    /// Its socket is connected, or has failed to be.
    pub(in crate::node) fn forward_ready(&mut self, host: &mut Host, ticket: u32) {
        let Some(mut forward) = self.forwards.remove(&ticket) else {
            return;
        };
        let Some((socket, token)) = forward.socket.take() else {
            return;
        };
        host.unwatch(&socket, token);
        match tcp::finish(&socket) {
            Ok(()) => forward.answer.give(blocking(socket)),
            Err(errno) => self.forward_failed(host, forward, errno),
        }
    }

    /// Localhost has two addresses.
    fn forward_failed(&mut self, host: &mut Host, forward: Forward, errno: Errno) {
        let port = forward.address.port();
        if forward.address.is_ipv4() {
            return self.ask_forward(
                host,
                Forward {
                    address: (Ipv6Addr::LOCALHOST, port).into(),
                    refused: Some(errno),
                    ..forward
                },
            );
        }
        let attempt = format!("connect to port {port} of the pod {}", self.name);
        let errno = forward.refused.unwrap_or(errno);
        let error = Error::os(attempt, errno as i32);
        forward.answer.give(Err(match errno {
            Errno::ECONNREFUSED => error.cure("see that something listens there, on localhost"),
            _ => error,
        }));
    }

    /// The sandbox is gone.
    pub(in crate::node) fn end_forwards(&mut self, host: &mut Host) {
        for (_, forward) in std::mem::take(&mut self.forwards) {
            if let Some((socket, token)) = forward.socket {
                host.unwatch(&socket, token);
            }
            let attempt = format!("connect to a port of the pod {}", self.name);
            let error = Error::new(Kind::Conflict, attempt, "its sandbox ended");
            forward.answer.give(Err(error));
        }
    }
}

/// As a `TcpStream` is expected to be.
fn blocking(socket: OwnedFd) -> Result<OwnedFd> {
    match fcntl(&socket, FcntlArg::F_SETFL(OFlag::empty())) {
        Ok(_) => Ok(socket),
        Err(errno) => Err(Error::os("hand out a connection", errno as i32)),
    }
}
