//! What is asked of a Node: how to delete, what to run, what to wait for.

use std::time::Duration;

use super::{PodId, PodName};
use crate::lifecycle::Deletion;
use crate::model::PodStatus;

/// What [`Node::wait`](crate::Node::wait) waits for, as `kubectl wait --for` does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The condition Ready is True.
    Ready,
    /// The phase is Succeeded; a pod that Failed is an error.
    Finished,
    /// Nothing is left of it.
    Deleted,
}

/// How to delete a pod. The default is gracefully, with the pod's own grace period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delete {
    /// Instead of the pod's `terminationGracePeriodSeconds`. It can shorten a deletion that is under way, never lengthen it.
    pub grace: Option<Duration>,
    /// SIGKILL at once: no hook, no stop signal, no waiting.
    pub force: bool,
    /// One total deadline for hooks, stop signal and SIGKILL.
    pub strict_deadline: Option<Duration>,
}

impl Delete {
    /// With this grace period.
    pub fn within(grace: Duration) -> Delete {
        Delete {
            grace: Some(grace),
            ..Delete::default()
        }
    }

    /// At once.
    pub fn now() -> Delete {
        Delete {
            force: true,
            ..Delete::default()
        }
    }
}

impl From<Delete> for Deletion {
    fn from(delete: Delete) -> Deletion {
        let Delete {
            grace,
            force,
            strict_deadline,
        } = delete;
        Deletion {
            grace,
            force,
            strict_deadline,
        }
    }
}

/// What a program that ran inside a container did; see [`Node::output`](crate::Node::output).
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 and the signal if one ended it.
    pub code: i32,
    /// Standard output, at most 1 MiB of it.
    pub stdout: Vec<u8>,
    /// Standard error, at most 1 MiB of it.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Did it exit with 0?
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// What one [`Node::turn`](crate::Node::turn) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// How many things were taken up: reports, deadlines, calls.
    pub progressed: usize,
    /// It stopped early. The Node's descriptor is readable, so that an event loop comes back at once, also an edge-triggered
    /// one.
    pub more: bool,
}

/// A pod as it was when asked; what [`NodeHandle::snapshot`](super::NodeHandle::snapshot) gives.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Which pod.
    pub id: PodId,
    /// Its namespace and name.
    pub name: PodName,
    /// What it is.
    pub status: PodStatus,
}
