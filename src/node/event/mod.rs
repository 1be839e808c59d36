//! What happened to pods, told in order.

mod ring;
mod series;
mod text;
mod timeline;

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::PodId;
use crate::model::{ConditionType, Phase, Pod};
use crate::time::Now;

pub use crate::lifecycle::{
    Cause, ContainerChange, KillReason, ProbeKind, ResizeChange, SandboxChange,
};
pub(crate) use ring::Ring;
pub use ring::{Cursor, Events};
pub use series::EventSeries;
pub(crate) use series::PodEvents;

/// One thing that happened to one pod.
///
/// Its [`Display`](fmt::Display) is a row of `kubectl get events` without the age: type, reason, object, message. In JSON it is
/// those four with cursor, time and uid.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the Node's sequence of events.
    pub cursor: Cursor,
    /// When.
    pub at: Now,
    /// Which pod.
    pub pod: PodId,
    /// That pod's namespace and name.
    pub name: PodName,
    /// What.
    pub kind: EventKind,
}

/// A pod's namespace and name, cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl PodName {
    pub(in crate::node) fn of(pod: &Pod) -> PodName {
        let meta = &pod.metadata;
        PodName {
            namespace: meta.namespace.as_deref().unwrap_or("default").into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
        }
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What an [`Event`] is about.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The Node accepted the pod.
    Created,
    /// `status.phase` changed.
    Phase(Phase),
    /// A condition changed its status.
    Condition(ConditionType, bool),
    /// The sandbox was made, failed, was lost or was stopped; the text says why, if it is known.
    Sandbox(SandboxChange, Option<Arc<str>>),
    /// A volume cannot be made, or not be brought up to date: the text says which, and why. A pod without one of its volumes
    /// waits for it.
    FailedMount(Arc<str>),
    /// A file of the directory of [static pods](super::NodeOptions::manifests) cannot be used: the text says why, the event's name is the file's.
    FailedManifest(Arc<str>),
    /// A container.
    Container(ContainerEvent),
    /// A hook that was to be asked over https was asked without TLS, as its server speaks none; the text is the kubelet's.
    LifecycleHTTPFallback(Arc<str>),
    /// Its resources changed; the text is the kubelet's, with the resources as JSON.
    Resize(ResizeChange, Arc<str>),
    /// The pod is being ended.
    Terminating(Cause),
    /// Nothing of the pod runs any more.
    Terminated,
    /// The Node took the pod up again after a restart of its process.
    Restored,
    /// Something the manifest asks for is not had here. Said once a pod.
    Degraded(Degraded),
    /// What the Node keeps on disk.
    Store(StoreEvent),
    /// So many events were lost between the last one read and this one: the ring is bounded, and was not drained in time.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// Nothing is left of the pod; its id is not known any more.
    Deleted,
}

/// Something about one container.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerEvent {
    /// The container's name.
    pub container: Arc<str>,
    /// Its image.
    pub image: Arc<str>,
    /// The number of its newest attempt.
    pub attempt: u32,
    /// What happened.
    pub change: ContainerChange,
    /// The code it exited with; only for [`ContainerChange::Exited`].
    pub exit_code: Option<i32>,
    /// What is known beside: an error, what a probe said, how it ended.
    pub detail: Option<Arc<str>>,
}

/// What a pod has to do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degraded {
    /// What is missing, in one word: `cgroup`, `cpu`, `memory`, `https` …
    pub what: Arc<str>,
    /// Why, and the usual cure.
    pub why: Arc<str>,
}

/// What happened to the record of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// It could not be written. Starts and acknowledgements wait until it can.
    Failed,
    /// It can be written again.
    Recovered,
}

/// Whether something is amiss: the TYPE column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Worth a look.
    Warning,
}

impl EventType {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (type_, reason) = (self.event_type(), self.reason());
        let object = match self.kind {
            EventKind::FailedManifest(_) => "file",
            _ => "pod",
        };
        let name = &self.name.name;
        write!(f, "{type_:<7}  {reason:<20}  {object}/{name:<16}  ")?;
        self.write_message(f)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 8)?;
        event.serialize_field("cursor", &self.cursor)?;
        event.serialize_field("time", &self.at.wall)?;
        event.serialize_field("uid", &self.pod)?;
        event.serialize_field("namespace", &*self.name.namespace)?;
        event.serialize_field("name", &*self.name.name)?;
        event.serialize_field("type", self.event_type().as_str())?;
        event.serialize_field("reason", self.reason())?;
        event.serialize_field("message", &self.message())?;
        event.end()
    }
}
