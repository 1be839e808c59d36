//! What is known of a container and a pod at one moment: what the rules read, borrowed from whoever keeps it.

use serde::{Deserialize, Serialize};

use super::resize::Resizing;
use crate::lifecycle::{Attempt, AttemptState, Eviction, Failure, ProbeKind, Sandbox};
use crate::model::Phase;

/// What a probe's worker has published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeResult {
    /// Enough successes in a row.
    Success,
    /// Enough failures in a row.
    Failure,
    /// A startup probe that has not decided yet.
    Unknown,
}

/// The published results of a container's probes: of its newest attempt, never of an earlier one. `None`: nothing
/// published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// Of the liveness probe.
    pub liveness: Option<ProbeResult>,
    /// Of the readiness probe.
    pub readiness: Option<ProbeResult>,
    /// Of the startup probe.
    pub startup: Option<ProbeResult>,
}

impl Results {
    /// The result of this kind of probe.
    pub fn of(&self, kind: ProbeKind) -> Option<ProbeResult> {
        match kind {
            ProbeKind::Liveness => self.liveness,
            ProbeKind::Readiness => self.readiness,
            ProbeKind::Startup => self.startup,
        }
    }
}

/// What follows a kill, decided with the kill and owed from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// The container is started again, whatever its exit code.
    Start,
    /// It is not, unless a restart rule matches the exit code.
    Stay,
}

/// An action on a container that is not finished. A container has one at a time: the planner gives it no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flight {
    /// It is being started: the intent is written or the start is performed, and no attempt is `Running` for it yet.
    Starting,
    /// It runs, and its postStart hook is not over: it counts as neither started nor ready, and holds back whoever waits for
    /// it.
    PostStart,
    /// It is being killed; its newest attempt is still what it was.
    Killing(Then),
    /// Its records are being removed (an in-place restart of all containers).
    Resetting,
}

/// What is known of one container.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// Its attempts, newest first. The rules read the first two; the planner of a reset reads all.
    pub attempts: &'a [Attempt],
    /// What its probes published about the newest attempt.
    pub results: Results,
    /// Why the last try to start it failed; forgotten when a start succeeds.
    pub start_error: Option<&'a Failure>,
    /// The action under way.
    pub flight: Option<Flight>,
    /// The verdict of a finished kill, until it is acted upon: a start clears it.
    pub owed: Option<Then>,
}

impl<'a> Seen<'a> {
    /// The newest attempt.
    pub fn newest(&self) -> Option<&'a Attempt> {
        self.attempts.first()
    }

    /// How far the newest attempt came.
    pub fn state(&self) -> Option<&'a AttemptState> {
        self.newest().map(|attempt| &attempt.state)
    }

    /// Whether the newest attempt runs, as far as is known.
    pub fn is_running(&self) -> bool {
        matches!(self.state(), Some(AttemptState::Running { .. }))
    }
}

/// What is known of the pod as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodFacts<'a> {
    /// Its sandboxes, newest first; the newest alone will do once the older ones are gone.
    pub sandboxes: &'a [Sandbox],
    /// It is being deleted (`metadata.deletionTimestamp` is set): nothing is started any more.
    pub deleted: bool,
    /// It has been ended: nothing of it runs, and nothing will ever be started again.
    pub terminal: bool,
    /// The terminal phase that a projection has decided on, while it is not published yet: the pod is being ended because of
    /// it.
    pub decided: Option<&'a Phase>,
    /// It is to end as Failed with this reason and message: eviction, or the deadline.
    pub eviction: Option<&'a Eviction>,
    /// A change of resources that is not all done.
    pub resizing: Option<&'a Resizing>,
}
