//! What a pod's machine asks of its driver.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Mono;

/// One thing for the driver to do. Small: indexes, no text; what they mean stands in the manifest and in the
/// [`Record`](super::Record).
///
/// A driver takes outputs one by one until [`Output::Wait`] and does each before it takes the next. What it cannot do at
/// once it answers later, by [`Input::Done`](super::Input::Done).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Write [`PodMachine::record`](super::PodMachine::record) to where it survives this process (not necessarily a
    /// power cut), and answer [`Input::Persisted`](super::Input::Persisted).
    Persist,
    /// Do this, and answer [`Input::Done`](super::Input::Done) with the ticket, once.
    Perform(Ticket, Action),
    /// Stop doing this: a probe or hook that took too long, an image no longer wanted. An answer that is already on its
    /// way is ignored.
    Cancel(Ticket),
    /// Something worth telling.
    Notify(Change),
    /// Nothing more to do until an input comes, or until this time.
    Wait(Option<Mono>),
}

/// Names one performed action, for its answer. Never used twice for one pod, not even by another process after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub(super) u64);

impl Ticket {
    /// As a number: to send it over a wire.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// From a number that came back over a wire.
    pub const fn from_u64(number: u64) -> Ticket {
        Ticket(number)
    }
}

/// A container of the pod: its place in [`Record::containers`](super::Record::containers). Init containers come first, then
/// regular ones, then ephemeral ones, each in the manifest's order; what is added to a living pod is appended. It never
/// changes, and is never given to another container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerIndex(pub u16);

impl ContainerIndex {
    /// As an index into a slice.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// An action of the driver.
///
/// *attempt* is the number that names one start of a container, or one sandbox, over crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Make the pod's namespaces and cgroups and the pause process that holds them; volumes too, before the first.
    /// Answer: [`Outcome::Sandbox`](super::Outcome::Sandbox).
    CreateSandbox {
        /// Its number.
        attempt: u32,
    },
    /// End and release this sandbox. Every container in it has ended before, or ends now without being told.
    StopSandbox {
        /// Its number.
        attempt: u32,
    },
    /// See to the container's image.
    Image {
        /// Whose image.
        container: ContainerIndex,
        /// Look, or fetch.
        step: ImageStep,
    },
    /// Make the container and run its program. The answer is [`Outcome::Started`](super::Outcome::Started), or
    /// [`Outcome::Failed`](super::Outcome::Failed): with the reason `RunContainerError` an attempt that ended without having
    /// run, which the machine will have removed; with any other reason nothing is left of it.
    Start {
        /// Which container.
        container: ContainerIndex,
        /// Its number.
        attempt: u32,
        /// What its status will show: names its log file.
        restart_count: u32,
    },
    /// Run a lifecycle hook. It is cancelled when it takes too long. At least once if the Node crashes meanwhile.
    Hook {
        /// Whose hook.
        container: ContainerIndex,
        /// In which attempt.
        attempt: u32,
        /// Which one.
        hook: Hook,
    },
    /// Run a probe once. It is cancelled after its `timeoutSeconds`, which the driver therefore need not watch.
    Probe {
        /// Of which container.
        container: ContainerIndex,
        /// In which attempt.
        attempt: u32,
        /// Which one.
        probe: ProbeKind,
    },
    /// Send a signal. No answer but [`Outcome::Done`](super::Outcome::Done); the end comes as
    /// [`Input::Exited`](super::Input::Exited).
    Signal {
        /// To which container.
        container: ContainerIndex,
        /// To which attempt.
        attempt: u32,
        /// Which signal.
        signal: Signal,
    },
    /// The exit of this attempt is on record: pause may forget it.
    Acknowledge {
        /// Of which container.
        container: ContainerIndex,
        /// Which attempt.
        attempt: u32,
    },
    /// Remove what a dead attempt left: its root file system, cgroup, directory; and its exit, if pause still holds it.
    Remove {
        /// Of which container.
        container: ContainerIndex,
        /// Which attempt.
        attempt: u32,
    },
    /// See to the pod's resources.
    Resize {
        /// Grant them, or apply them.
        step: ResizeStep,
    },
    /// Release what the finished pod still holds: volumes, cgroups, its directory (not its logs).
    Teardown,
}

/// What to do about an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageStep {
    /// See whether it is here. Answer: `Done`, [`Outcome::Absent`](super::Outcome::Absent), or `Failed` (`InvalidImageName`,
    /// `ImageInspectError`).
    Inspect,
    /// Fetch it. Answer: `Done` or `Failed` (`ErrImagePull`, …).
    Pull,
}

/// What to do about resources that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeStep {
    /// Say whether this host can give the pod what its manifest wants. Answer: `Done`, or `Failed` with the reason
    /// `Infeasible` (never) or `Deferred` (not now: asked again).
    Allocate,
    /// Bring the pod's cgroup, and those of its running containers that need no restart for it
    /// ([`resize`](super::rules::resize::resize)), to what is [allocated](super::ContainerRecord::allocated), in the
    /// [right order](super::rules::resize::resize_steps). Answer: `Done`, or `Failed`: tried again.
    Apply,
}

/// A lifecycle hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Hook {
    /// After the start; the container is not ready, and no later one starts, before it has ended.
    PostStart,
    /// Before the stop signal.
    PreStop,
}

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// Failure kills the container.
    Liveness,
    /// Failure takes it out of service.
    Readiness,
    /// Until it succeeds the other two do not run; its failure kills the container.
    Startup,
}

/// A signal to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// The container's stop signal, to its main process: `lifecycle.stopSignal`, the image's, or SIGTERM.
    Stop,
    /// SIGKILL, to everything in the container.
    Kill,
}

/// Something worth telling: what `kubectl get events` shows, and a little more. Details stand in the status, the record,
/// or are known to the driver, who performed it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// `status.phase` changed.
    Phase,
    /// One of `status.conditions` changed its status: its place in that list.
    Condition(u8),
    /// The sandbox.
    Sandbox {
        /// Its number.
        attempt: u32,
        /// What happened to it.
        change: SandboxChange,
    },
    /// A container.
    Container {
        /// Which one.
        container: ContainerIndex,
        /// Its newest attempt.
        attempt: u32,
        /// What happened to it.
        change: ContainerChange,
    },
    /// Its resources.
    Resize(ResizeChange),
    /// The pod is being ended.
    Terminating(Cause),
    /// Nothing of it runs any more.
    Terminated,
    /// The record could not be written; asked again, see [`Persisted::Failed`](super::Persisted::Failed).
    StoreFailed,
    /// It can be written again.
    StoreRecovered,
    /// The machine was restored from a record.
    Restored,
    /// Nothing is left of the pod: the driver drops the machine and the record.
    Deleted,
}

/// What happened to a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxChange {
    /// It stands.
    Created,
    /// It could not be made (`FailedCreatePodSandBox`); tried again.
    Failed,
    /// It is lost or unusable (`SandboxChanged`): the pod is killed and made anew.
    Changed,
    /// It was stopped.
    Stopped,
}

/// What happened to resources that changed. The names are those of the kubelet's events, `ResizeStarted` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeChange {
    /// This host never has so much.
    Infeasible,
    /// It has not so much now.
    Deferred,
    /// They are granted, and being applied.
    Started,
    /// They could not be applied; tried again.
    Error,
    /// They are applied.
    Completed,
}

/// What happened to a container. The comments name the kubelet's event.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerChange {
    /// `Pulled`: the image is here, already or now.
    Pulled {
        /// Whether it had to be fetched, and how long that took.
        fetched: Option<Duration>,
    },
    /// `Pulling`.
    Pulling,
    /// `Failed`: the image cannot be had; the reason stands in the container's status.
    PullFailed,
    /// `BackOff`: the next pull waits this long.
    PullBackOff(Duration),
    /// `Started` (and `Created`).
    Started,
    /// `Failed`: it could not be started; the reason stands in the container's status.
    StartFailed,
    /// It ended; how stands in its record.
    Exited,
    /// How it ended is not known.
    Lost,
    /// `BackOff`: the next start waits this long, all in all.
    BackOff(Duration),
    /// `Killing`.
    Killing(KillReason),
    /// SIGKILL after the grace period.
    Killed,
    /// `Unhealthy`: a run of a probe failed. The driver has its text.
    Unhealthy(ProbeKind),
    /// `Unhealthy`: a run of a probe could not be made, so it says nothing. The driver has its text.
    ProbeErrored(ProbeKind),
    /// A probe's published result changed.
    Probed(ProbeKind, bool),
    /// `FailedPostStartHook`, `FailedPreStopHook`.
    HookFailed(Hook),
    /// `status.ready` changed.
    Ready(bool),
    /// Pause knew an attempt that is not on record; it is killed.
    Stray,
}

/// Why a container is killed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillReason {
    /// The pod ends.
    PodEnds,
    /// Its liveness probe failed.
    Liveness,
    /// Its startup probe failed.
    Startup,
    /// Its postStart hook failed.
    PostStart,
    /// Its definition (name or image) changed.
    Definition,
    /// The sandbox is lost or changed, or nothing is left to do for the pod's sidecars.
    Sandbox,
    /// Nothing is known of its state.
    Unknown,
    /// All containers restart.
    RestartAll,
    /// It was removed from the manifest.
    Removed,
    /// Its resources changed, and its `resizePolicy` says `RestartContainer`.
    Resize,
    /// Somebody asked for it.
    Restart,
}

/// Why a pod ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Everything it was to do is done, or has failed for good.
    Finished,
    /// It is deleted.
    Deleted,
    /// It is evicted.
    Evicted,
    /// `activeDeadlineSeconds` passed.
    Deadline,
}
