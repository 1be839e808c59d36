//! What a driver tells a pod's machine.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attempt::Exit;
use super::output::{ContainerIndex, Ticket};
use crate::model::{Pod, PodCondition, Valid};
use crate::time::Now;

/// One thing that happened. [`PodMachine::handle`](super::PodMachine::handle) is total: every input is decided in every
/// state, and one that comes late, twice, or with a ticket nobody holds changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// Time has passed: a deadline named by [`Output::Wait`](super::Output::Wait) is reached. Too early is harmless.
    Tick,
    /// The answer to an [`Output::Perform`](super::Output::Perform): exactly one for each ticket. It may be left out for
    /// a ticket that was cancelled.
    Done(Ticket, Outcome),
    /// The answer to an [`Output::Persist`](super::Output::Persist).
    Persisted(Persisted),
    /// A container's process ended, for whatever reason. It may come before the answer to its `Start`.
    Exited {
        /// Whose process.
        container: ContainerIndex,
        /// Of which attempt.
        attempt: u32,
        /// How.
        exit: Box<Exit>,
    },
    /// The sandbox ended though nobody asked: its pause process is gone, and every container with it. Exits of
    /// containers that were not told before are lost; no `Exited` for them follows.
    SandboxLost {
        /// Which one.
        attempt: u32,
    },
    /// End the pod and then forget it. A second one can only shorten the grace period.
    Delete(Deletion),
    /// End the pod as Failed, but keep it: a node under pressure or shutting down.
    Evict(Eviction),
    /// The manifest changed: images, resources, containers added or removed, the active deadline. The driver has checked
    /// that [this may change](crate::model::Pod::check_update), and has written it.
    Update(#[serde(with = "super::history::valid_pod")] Valid<Pod>),
    /// What a start waited for may be there now: a volume's source, a ConfigMap, a Secret. What failed for lack of one
    /// is tried again at once; back-off is not shortened.
    Retry,
    /// End this container, or all regular ones and sidecars, and start what ended again, whatever its restart policy and
    /// back-off.
    Restart(Option<ContainerIndex>),
    /// A condition that is not the kubelet's own: what readiness gates wait for. One of the kubelet's types is ignored.
    Condition(Box<PodCondition>),
}

/// Whether the record reached the place where it survives the embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Persisted {
    /// It did.
    Written,
    /// It did not. Starts and acknowledgements wait, kills do not; the machine asks again by itself.
    Failed,
}

/// How to end a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Instead of the pod's `terminationGracePeriodSeconds`.
    pub grace: Option<Duration>,
    /// SIGKILL at once: no hook, no stop signal, no waiting.
    pub force: bool,
    /// One total deadline for preStop hooks, ordering, stop signal and SIGKILL, instead of the kubelet's arithmetic,
    /// which can come to more than the grace period.
    pub strict_deadline: Option<Duration>,
}

/// Why a pod is ended as Failed, as its status will say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// `status.reason`: `Evicted`, `Terminated`, `NodeShutdown`, …
    pub reason: Cow<'static, str>,
    /// `status.message`.
    pub message: Arc<str>,
    /// Instead of the pod's `terminationGracePeriodSeconds`.
    pub grace: Option<Duration>,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done: the image is here, the hook succeeded, the signal was sent, the leftovers are gone.
    Done,
    /// `CreateSandbox`: it stands.
    Sandbox {
        /// The pod's address; `None` when it has none of its own.
        ip: Option<Box<str>>,
    },
    /// `Start`: the container's program runs.
    Started {
        /// Since when.
        at: Now,
    },
    /// `Image` with [`ImageStep::Inspect`](super::ImageStep::Inspect): it is not here.
    Absent,
    /// `Probe`: what the handler found.
    Probe(Finding),
    /// It could not be done.
    Failed(Failure),
}

/// What one run of a probe found. A probe's own error (no socket, no process) is not a finding: it is
/// [`Outcome::Failed`], and does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// It answered as it should.
    Success,
    /// It answered, with a reservation (a redirect to another host). Counts as success.
    Warning,
    /// It did not answer, or not as it should.
    Failure,
}

/// Why an action could not be done, as a container's status will say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kubelet's word: `ErrImagePull`, `CreateContainerError`, `RunContainerError`, …
    pub reason: Cow<'static, str>,
    /// The sentence.
    pub message: Arc<str>,
}

impl Failure {
    /// A failure with its reason and sentence.
    pub fn new(reason: impl Into<Cow<'static, str>>, message: impl Into<Arc<str>>) -> Failure {
        Failure {
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// What the world looked like when a driver took up a pod again: complete, asked of pause before
/// [`PodMachine::restore`](super::PodMachine::restore). Whatever happens later is an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Whether the record was saved in this boot. In another, nothing of the pod lives any more, and of the verdicts only
    /// [`NeverStarted`](Verdict::NeverStarted) counts.
    pub same_boot: bool,
    /// What became of [`Record::sandbox`](super::Record::sandbox).
    pub sandbox: SandboxVerdict,
    /// One entry for each attempt that pause knows, and for each of
    /// [`Record::in_doubt`](super::Record::in_doubt).
    pub attempts: Vec<(ContainerIndex, u32, Verdict)>,
}

/// What became of a sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SandboxVerdict {
    /// It lives.
    Running {
        /// The pod's address in it.
        ip: Option<Box<str>>,
    },
    /// It is gone, or was never made.
    Gone,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// Its process lives.
    Running {
        /// Since when.
        started: Now,
    },
    /// It ended, and how is known.
    Exited(Exit),
    /// It was never started: nobody saw it run and nobody will.
    NeverStarted,
    /// It may have run and is gone; how it ended is lost. It counts as an attempt that ended with
    /// `ContainerStatusUnknown`: what must not run twice does not.
    Gone,
}
