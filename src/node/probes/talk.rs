//! What is said over a connection once it stands.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::grpc::{self, Check};
use super::http::{self, Get};
use super::{Verdict, tcp};
use crate::linux::reactor::Interest;

/// What is said over a connection once it stands.
#[derive(Debug)]
pub(crate) enum Talk {
    /// Nothing: that it stands is all. A tcpSocket probe.
    Nothing,
    /// A GET whose status decides. An httpGet probe.
    Get(Get),
    /// A GET that any answer satisfies. An httpGet hook: the kubelet does not look at the status.
    Call(Get),
    /// A gRPC health check.
    Check(Check),
}

/// What a step of it came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Call again when the socket is ready for this.
    Wait(Interest),
    /// Call again with another socket, connected to this port.
    Reconnect(u16),
    /// Finished.
    Done(Verdict),
}

impl Talk {
    /// Goes on as far as is possible without blocking.
    pub(crate) fn step(&mut self, socket: impl AsFd) -> Step {
        let any = matches!(self, Talk::Call(_));
        match self {
            Talk::Nothing => Step::Done(Verdict::Success),
            Talk::Get(get) | Talk::Call(get) => match get.step(socket) {
                http::Step::Wait(interest) => Step::Wait(interest),
                http::Step::Reconnect => Step::Reconnect(get.request().port),
                http::Step::Done(Ok(_)) if any => Step::Done(Verdict::Success),
                http::Step::Done(Ok(status)) => Step::Done(http::verdict(status)),
                http::Step::Done(Err(why)) => Step::Done(Verdict::Failure(why)),
            },
            Talk::Check(check) => match check.step(socket) {
                grpc::Step::Wait(interest) => Step::Wait(interest),
                grpc::Step::Done(verdict) => Step::Done(verdict),
            },
        }
    }

    /// What was kept of the answer's body.
    pub(crate) fn body(&self) -> String {
        match self {
            Talk::Get(get) | Talk::Call(get) => String::from_utf8_lossy(get.body()).into_owned(),
            Talk::Nothing | Talk::Check(_) => String::new(),
        }
    }

    /// What is said when it took too long.
    pub(crate) fn timed_out(&self, address: SocketAddr) -> String {
        match self {
            Talk::Nothing => format!("dial tcp {address}: i/o timeout"),
            // In the words of Go's client.
            Talk::Get(get) | Talk::Call(get) => get.failed(
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
            Talk::Get(get) | Talk::Call(get) => get.failed(&why),
            Talk::Check(_) => format!("error: failed to connect service at \"{address}\": {why}"),
        }
    }
}
