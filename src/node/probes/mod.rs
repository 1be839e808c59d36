//! Probes and hooks that are made over the network, from outside the container but inside its network namespace.

pub(crate) mod grpc;
mod hosts;
pub(crate) mod http;
mod once;
mod stream;
pub(crate) mod talk;
pub(crate) mod target;
pub(crate) mod tcp;
#[cfg(feature = "tls")]
mod tls;

pub use once::{Probed, probe};
pub(crate) use stream::NO_TLS;

use crate::linux::reactor::Interest;

/// What one probe found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is well.
    Success,
    /// It is well, and something should be said.
    Warning(String),
    /// It is not.
    Failure(String),
    /// The probe itself could not be made: nothing is known.
    Unknown(String),
}

/// What a step of a probe or hook came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Call again when the socket is ready for this.
    Wait(Interest),
    /// Call again with another socket, connected to this port.
    Reconnect(u16),
    /// Finished.
    Done(Verdict),
}
