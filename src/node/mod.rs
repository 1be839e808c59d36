//! Who: the Node, which runs pods on this host.
//!
//! [`Node`] is the whole of it; [`NodeOptions`] say how it is opened, [`Event`]s what happens, [`PodRef`] shows a pod,
//! [`NodeHandle`] is for other threads.

mod admission;
mod cgroup;
mod command;
mod devices;
mod drain;
mod event;
mod handle;
mod handler;
mod host;
mod id;
mod logs;
mod lower;
mod manifests;
mod metrics;
#[expect(
    clippy::module_inception,
    reason = "the Node is what this room is about"
)]
mod node;
mod notify;
mod objects;
mod observe;
mod options;
mod perform;
mod plan;
mod pod_ref;
mod prepared;
mod probes;
mod recover;
mod resident;
mod resize;
mod rootfs;
mod run;
mod sandbox;
mod session;
mod stats;
mod store;
mod termination;
mod turn;
mod update;
mod users;
pub mod volumes;
mod waiting;
mod watch;
mod work;

pub use crate::lifecycle::describe::Describe;
pub use crate::lifecycle::rules::column::Row;
pub use crate::linux::process::Exit;
pub use command::{Delete, Output, Snapshot, Turn, Until};
pub use event::{
    Cause, ContainerChange, ContainerEvent, Cursor, Degraded, Event, EventKind, EventSeries,
    EventType, Events, KillReason, PodName, ProbeKind, ResizeChange, SandboxChange, StoreEvent,
};
pub use handle::{NodeHandle, Pending};
pub use id::PodId;
pub use logs::{LogOptions, Logs, Stream};
pub use metrics::Metrics;
pub use node::Node;
pub use options::NodeOptions;
pub use plan::{ContainerPlan, PodPlan};
pub use pod_ref::PodRef;
pub use probes::{Probed, probe};
pub use rootfs::{HOST_IMAGE, Rootfs};
pub use session::{Copied, Copy, Exec, ExecUser, PortForward, Session, Streams, TerminalSize};
pub use stats::{ContainerStats, PodStats, Usage};
pub use watch::Watch;
