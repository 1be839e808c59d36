//! Whether the pod needs a new sandbox.
//!
//! Source: `pkg/kubelet/kuberuntime/util/util.go` of Kubernetes.

use crate::lifecycle::{Network, Sandbox, SandboxState};

/// Why the newest sandbox will not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxProblem {
    /// There is none.
    NoSandbox,
    /// More than one is ready.
    SeveralReady,
    /// The newest is not ready.
    SandboxNotReady,
    /// It was made for the host's network and the pod wants its own, or the other way round.
    NetworkModeChanged,
    /// A network status was reported, without an address.
    NoIP,
}

/// What is wrong with the newest of these sandboxes; `None` when containers can run in it. No network status at all is
/// fine, and so is everything about the address of a pod on the host's network.
///
/// ```
/// use podlife::lifecycle::Network;
/// use podlife::lifecycle::rules::sandbox::{SandboxProblem, sandbox_problem};
///
/// assert_eq!(sandbox_problem(Network::Pod, &[]), Some(SandboxProblem::NoSandbox));
/// ```
pub fn sandbox_problem(network: Network, newest_first: &[Sandbox]) -> Option<SandboxProblem> {
    let Some(newest) = newest_first.first() else {
        return Some(SandboxProblem::NoSandbox);
    };
    let ready = |sandbox: &&Sandbox| sandbox.state == SandboxState::Ready;
    if newest_first.iter().filter(ready).count() > 1 {
        return Some(SandboxProblem::SeveralReady);
    }
    if newest.state != SandboxState::Ready {
        return Some(SandboxProblem::SandboxNotReady);
    }
    if newest.network != network {
        return Some(SandboxProblem::NetworkModeChanged);
    }
    match (network, newest.ip.as_deref()) {
        (Network::Pod, Some("")) => Some(SandboxProblem::NoIP),
        _ => None,
    }
}
