//! What is known of one attempt to run a container, and of one sandbox: the facts that every rule reads.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Now;

/// One performed start of a container. `number` is unique within the container for the pod's whole life and never
/// used again; `restart_count` follows the kubelet's rule. They are two numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Unique per performed start, counted from 0.
    pub number: u32,
    /// The sandbox it was made in: its [`Sandbox::attempt`].
    pub sandbox: u32,
    /// What `status.containerStatuses[].restartCount` shows for it.
    pub restart_count: u32,
    /// When it was created.
    pub created: Now,
    /// The image it was created from. With the name, all that counts as a container's definition.
    pub image: Arc<str>,
    /// How far it came.
    pub state: AttemptState,
}

/// How far an attempt came: the runtime's four states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AttemptState {
    /// Made, not yet running.
    Created,
    /// Its process runs.
    Running {
        /// Since when.
        started: Now,
    },
    /// Its process ended.
    Exited(Box<Exit>),
    /// Nothing is known of it any more.
    Unknown,
}

/// How a container's process ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code; 128 + signal for a process that a signal ended, as runtimes report it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: Cow<'static, str>,
    /// The termination message.
    pub message: Option<Arc<str>>,
    /// When the process started; absent when it never did.
    pub started: Option<Now>,
    /// When it ended.
    pub finished: Now,
}

/// One sandbox of the pod: the pause process and the namespaces it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// 0 for the first, one more for each that replaced a lost one.
    pub attempt: u32,
    /// Whether it can hold containers.
    pub state: SandboxState,
    /// Which network it was made for.
    pub network: Network,
    /// The pod's address in it; `None` when no network status was reported, empty when one was, without an address.
    pub ip: Option<Box<str>>,
    /// When it was created.
    pub created: Now,
}

/// Whether a sandbox can hold containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxState {
    /// Its pause process lives.
    Ready,
    /// It is gone, or going.
    NotReady,
}

/// Whose network namespace a pod uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Its own.
    Pod,
    /// The host's (`hostNetwork`).
    Node,
}
