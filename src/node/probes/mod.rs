//! Probes and hooks that are made over the network, from outside the container but inside its network namespace.

pub(crate) mod grpc;
pub(crate) mod http;
mod once;
pub(crate) mod talk;
pub(crate) mod target;
pub(crate) mod tcp;

pub use once::{Probed, probe};

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
