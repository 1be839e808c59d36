//! Events in the kubelet's words.

use std::fmt::{self, Write};

use super::{ContainerEvent, Event, EventKind, EventType, StoreEvent};
use crate::lifecycle::{
    Cause, ContainerChange, Hook, KillReason, ProbeKind, ResizeChange, SandboxChange,
};

impl Event {
    /// The TYPE column.
    pub fn event_type(&self) -> EventType {
        match &self.kind {
            EventKind::Container(event) => event.event_type(),
            EventKind::Sandbox(SandboxChange::Failed, _)
            | EventKind::FailedMount(_)
            | EventKind::FailedManifest(_)
            | EventKind::LifecycleHTTPFallback(_)
            | EventKind::Resize(
                ResizeChange::Infeasible | ResizeChange::Deferred | ResizeChange::Error,
                _,
            )
            | EventKind::Degraded(_)
            | EventKind::Store(StoreEvent::Failed)
            | EventKind::Lagged { .. }
            | EventKind::Terminating(Cause::Evicted | Cause::Deadline) => EventType::Warning,
            _ => EventType::Normal,
        }
    }

    /// The REASON column: one word, the kubelet's where it has one.
    pub fn reason(&self) -> &'static str {
        match &self.kind {
            EventKind::Created => "Accepted",
            EventKind::Phase(_) => "Phase",
            EventKind::Condition(..) => "Condition",
            EventKind::Sandbox(SandboxChange::Created, _) => "SandboxCreated",
            EventKind::Sandbox(SandboxChange::Failed, _) => "FailedCreatePodSandBox",
            EventKind::Sandbox(SandboxChange::Changed, _) => "SandboxChanged",
            EventKind::Sandbox(SandboxChange::Stopped, _) => "SandboxStopped",
            EventKind::FailedMount(_) => "FailedMount",
            EventKind::FailedManifest(_) => "FailedManifest",
            EventKind::LifecycleHTTPFallback(_) => "LifecycleHTTPFallback",
            EventKind::Container(event) => event.reason(),
            EventKind::Resize(ResizeChange::Infeasible, _) => "ResizeInfeasible",
            EventKind::Resize(ResizeChange::Deferred, _) => "ResizeDeferred",
            EventKind::Resize(ResizeChange::Started, _) => "ResizeStarted",
            EventKind::Resize(ResizeChange::Error, _) => "ResizeError",
            EventKind::Resize(ResizeChange::Completed, _) => "ResizeCompleted",
            EventKind::Terminating(Cause::Evicted) => "Evicted",
            EventKind::Terminating(Cause::Deadline) => "DeadlineExceeded",
            EventKind::Terminating(_) => "Terminating",
            EventKind::Terminated => "Terminated",
            EventKind::Restored => "Restored",
            EventKind::Degraded(_) => "Degraded",
            EventKind::Store(StoreEvent::Failed) => "StoreFailed",
            EventKind::Store(StoreEvent::Recovered) => "StoreRecovered",
            EventKind::Lagged { .. } => "Lagged",
            EventKind::Deleted => "Deleted",
        }
    }

    /// The MESSAGE column.
    pub fn message(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write_message(&mut text);
        text
    }

    pub(super) fn write_message(&self, f: &mut dyn Write) -> fmt::Result {
        match &self.kind {
            EventKind::Created => write!(f, "Accepted pod {}", self.name),
            EventKind::Phase(phase) => write!(f, "Pod is {phase}"),
            EventKind::Condition(type_, status) => {
                write!(f, "{type_} is {}", if *status { "True" } else { "False" })
            }
            EventKind::Sandbox(change, why) => write_sandbox(f, *change, why.as_deref()),
            EventKind::FailedMount(why)
            | EventKind::FailedManifest(why)
            | EventKind::LifecycleHTTPFallback(why) => f.write_str(why),
            EventKind::Container(event) => event.write_message(f, self),
            EventKind::Resize(_, text) => f.write_str(text),
            EventKind::Terminating(cause) => f.write_str(match cause {
                Cause::Finished => "Everything it was to do is done",
                Cause::Deleted => "Deleted on request",
                Cause::Evicted => "Evicted",
                Cause::Deadline => "Pod was active on the node longer than the specified deadline",
            }),
            EventKind::Terminated => f.write_str("Nothing of it runs any more"),
            EventKind::Restored => f.write_str("Taken up again"),
            EventKind::Degraded(degraded) => write!(f, "{}: {}", degraded.what, degraded.why),
            EventKind::Store(StoreEvent::Failed) => {
                f.write_str("The record cannot be written; starts wait")
            }
            EventKind::Store(StoreEvent::Recovered) => f.write_str("The record is written again"),
            EventKind::Lagged { missed } => write!(f, "{missed} events were lost"),
            EventKind::Deleted => f.write_str("Nothing is left of it"),
        }
    }
}

fn write_sandbox(f: &mut dyn Write, change: SandboxChange, why: Option<&str>) -> fmt::Result {
    f.write_str(match change {
        SandboxChange::Created => "Created pod sandbox",
        SandboxChange::Failed => "Failed to create pod sandbox",
        SandboxChange::Changed => "Pod sandbox changed, it will be killed and re-created.",
        SandboxChange::Stopped => "Stopped pod sandbox",
    })?;
    why.map_or(Ok(()), |why| write!(f, ": {why}"))
}

impl ContainerEvent {
    fn event_type(&self) -> EventType {
        match self.change {
            ContainerChange::PullFailed
            | ContainerChange::StartFailed
            | ContainerChange::Lost
            | ContainerChange::BackOff(_)
            | ContainerChange::Unhealthy(_)
            | ContainerChange::ProbeErrored(_)
            | ContainerChange::HookFailed(_)
            | ContainerChange::Stray => EventType::Warning,
            _ => EventType::Normal,
        }
    }

    fn reason(&self) -> &'static str {
        match self.change {
            ContainerChange::Pulled { .. } => "Pulled",
            ContainerChange::Pulling => "Pulling",
            ContainerChange::PullFailed | ContainerChange::StartFailed => "Failed",
            ContainerChange::PullBackOff(_) | ContainerChange::BackOff(_) => "BackOff",
            ContainerChange::Started => "Started",
            ContainerChange::Exited => "Exited",
            ContainerChange::Lost => "Lost",
            ContainerChange::Killing(_) => "Killing",
            ContainerChange::Killed => "Killed",
            ContainerChange::Unhealthy(_) | ContainerChange::ProbeErrored(_) => "Unhealthy",
            ContainerChange::Probed(..) => "Probed",
            ContainerChange::HookFailed(Hook::PostStart) => "FailedPostStartHook",
            ContainerChange::HookFailed(Hook::PreStop) => "FailedPreStopHook",
            ContainerChange::Ready(_) => "Ready",
            ContainerChange::Stray => "Stray",
        }
    }

    fn write_message(&self, f: &mut dyn Write, event: &Event) -> fmt::Result {
        let container = &self.container;
        match self.change {
            ContainerChange::Pulled { .. }
            | ContainerChange::Pulling
            | ContainerChange::PullBackOff(_) => self.write_pull(f),
            ContainerChange::PullFailed | ContainerChange::StartFailed => self.write_error(f),
            ContainerChange::Started => write!(f, "Started container {container}"),
            ContainerChange::Exited => {
                write!(f, "Container {container} ended")?;
                self.detail
                    .as_deref()
                    .map_or(Ok(()), |how| write!(f, ": {how}"))
            }
            ContainerChange::Lost => write!(f, "How container {container} ended is not known"),
            ContainerChange::BackOff(_) => {
                let (name, namespace) = (&event.name.name, &event.name.namespace);
                write!(
                    f,
                    "Back-off restarting failed container {container} in pod {name}_{namespace}({})",
                    event.pod
                )
            }
            ContainerChange::Killing(why) => write_killing(f, container, why),
            ContainerChange::Killed => {
                write!(f, "Container {container} was killed after its grace period")
            }
            ContainerChange::Unhealthy(probe) => self.write_unhealthy(f, probe, "failed"),
            ContainerChange::ProbeErrored(probe) => {
                self.write_unhealthy(f, probe, "errored and resulted in unknown state")
            }
            ContainerChange::Probed(probe, result) => {
                write!(
                    f,
                    "{} probe of {container} {}",
                    probe_name(probe),
                    if result { "succeeds" } else { "fails" }
                )
            }
            ContainerChange::HookFailed(hook) => {
                write!(f, "{hook:?}Hook failed")?;
                self.detail
                    .as_deref()
                    .map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            ContainerChange::Ready(ready) => {
                write!(
                    f,
                    "Container {container} is {}ready",
                    if ready { "" } else { "not " }
                )
            }
            ContainerChange::Stray => {
                write!(
                    f,
                    "Container {container}: attempt {} was not on record and is killed",
                    self.attempt
                )
            }
        }
    }

    fn write_pull(&self, f: &mut dyn Write) -> fmt::Result {
        let image = &self.image;
        match self.change {
            ContainerChange::Pulled { fetched: None } => {
                write!(f, "Container image \"{image}\" already present on machine")
            }
            ContainerChange::Pulled {
                fetched: Some(took),
            } => {
                write!(f, "Successfully pulled image \"{image}\" in {took:.3?}")
            }
            ContainerChange::PullBackOff(_) => write!(f, "Back-off pulling image \"{image}\""),
            _ => write!(f, "Pulling image \"{image}\""),
        }
    }

    fn write_unhealthy(&self, f: &mut dyn Write, probe: ProbeKind, how: &str) -> fmt::Result {
        let why = self.detail.as_deref().unwrap_or_default();
        write!(f, "{} probe {how}: {why}", probe_name(probe))
    }

    fn write_error(&self, f: &mut dyn Write) -> fmt::Result {
        write!(f, "Error: {}", self.detail.as_deref().unwrap_or("unknown"))
    }
}

fn write_killing(f: &mut dyn Write, container: &str, why: KillReason) -> fmt::Result {
    match why {
        KillReason::Liveness => write!(
            f,
            "Container {container} failed liveness probe, will be restarted"
        ),
        KillReason::Startup => write!(
            f,
            "Container {container} failed startup probe, will be restarted"
        ),
        KillReason::PostStart => write!(f, "FailedPostStartHook"),
        KillReason::Definition => write!(
            f,
            "Container {container} definition changed, will be restarted"
        ),
        KillReason::Resize => write!(f, "Container {container} resize requires restart"),
        KillReason::Restart => write!(f, "Container {container} will be restarted on request"),
        _ => write!(f, "Stopping container {container}"),
    }
}

fn probe_name(probe: ProbeKind) -> &'static str {
    match probe {
        ProbeKind::Liveness => "Liveness",
        ProbeKind::Readiness => "Readiness",
        ProbeKind::Startup => "Startup",
    }
}
