//! What is said over a connection once it stands.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::grpc::Check;
use super::http::Get;
use super::{Step, Verdict, tcp};

/// What is said over a connection once it stands.
#[derive(Debug)]
pub(crate) enum Talk {
    /// Nothing: that it stands is all. A tcpSocket probe.
    Nothing,
    /// A GET: an httpGet probe or hook.
    Get(Box<Get>),
    /// A gRPC health check.
    Check(Check),
}

impl Talk {
    /// Goes on as far as is possible without blocking.
    pub(crate) fn step(&mut self, socket: impl AsFd) -> Step {
        match self {
            Talk::Nothing => Step::Done(Verdict::Success),
            Talk::Get(get) => get.step(socket),
            Talk::Check(check) => check.step(socket),
        }
    }

    /// What was kept of the answer's body.
    pub(crate) fn body(&self) -> String {
        match self {
            Talk::Get(get) => String::from_utf8_lossy(get.body()).into_owned(),
            Talk::Nothing | Talk::Check(_) => String::new(),
        }
    }

    /// What is said when it took too long.
    pub(crate) fn timed_out(&self, address: SocketAddr) -> String {
        match self {
            Talk::Nothing => format!("dial tcp {address}: i/o timeout"),
            // In the words of Go's client.
            Talk::Get(get) => get.failed(
                "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            ),
            Talk::Check(_) => "timeout: health rpc did not complete in time".into(),
        }
    }

    /// What is said when there is no connection.
    pub(crate) fn unconnected(&self, address: SocketAddr, errno: Errno) -> String {
        let why = tcp::failed(address, errno);
        match self {
            Talk::Nothing => why,
            Talk::Get(get) => get.failed(&why),
            Talk::Check(_) => format!("error: failed to connect service at \"{address}\": {why}"),
        }
    }
}
