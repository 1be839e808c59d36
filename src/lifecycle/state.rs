//! Where a container is between its facts: what is being done about it. One table of legal steps.

use super::timer::ContainerTimer;

/// What is being done about a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of it lives: not started yet, ended, or waiting for another try.
    Waiting,
    /// Its image is looked for.
    Inspecting,
    /// Its image is fetched.
    Pulling,
    /// It is being started.
    Starting,
    /// It runs, and its postStart hook too.
    PostStart,
    /// It runs.
    Running,
    /// It is to end: its preStop hook runs.
    PreStop,
    /// It is to end: it waits for those that must end before it.
    InOrder,
    /// It was sent its stop signal.
    Stopping,
    /// It was sent SIGKILL.
    Killing,
}

use State::{
    InOrder, Inspecting, Killing, PostStart, PreStop, Pulling, Running, Starting, Stopping, Waiting,
};

/// Every legal step, and what leads to it.
pub const EDGES: &[(State, State, &str)] = &[
    (Waiting, Inspecting, "a start is due"),
    (Inspecting, Pulling, "the image is not here"),
    (Inspecting, Starting, "the image is here"),
    (Inspecting, Waiting, "no image, or no longer wanted"),
    (Pulling, Starting, "fetched"),
    (Pulling, Waiting, "not fetched, or no longer wanted"),
    (Starting, PostStart, "started, with a hook"),
    (Starting, Running, "started"),
    (Starting, Waiting, "failed, or ended at once"),
    (PostStart, Running, "the hook is done"),
    (PostStart, Waiting, "ended"),
    (PostStart, PreStop, "to end"),
    (PostStart, InOrder, "to end, after others"),
    (PostStart, Stopping, "to end"),
    (PostStart, Killing, "to end at once"),
    (Running, Waiting, "ended"),
    (Running, PreStop, "to end, with a hook"),
    (Running, InOrder, "to end, after others"),
    (Running, Stopping, "to end"),
    (Running, Killing, "to end at once"),
    (PreStop, InOrder, "the hook is over, others first"),
    (PreStop, Stopping, "the hook is over"),
    (PreStop, Killing, "to end at once"),
    (PreStop, Waiting, "ended"),
    (InOrder, Stopping, "its turn, or time is up"),
    (InOrder, Killing, "to end at once"),
    (InOrder, Waiting, "ended"),
    (Stopping, Killing, "the grace period is over"),
    (Stopping, Waiting, "ended"),
    (Killing, Waiting, "ended"),
];

impl State {
    /// Whether a container may go from here to there.
    pub fn leads_to(self, to: State) -> bool {
        EDGES
            .iter()
            .any(|(from, next, _)| (*from, *next) == (self, to))
    }

    /// On its way to running: in the kubelet's order, one container after another.
    pub(super) fn is_starting(self) -> bool {
        matches!(self, Inspecting | Pulling | Starting | PostStart)
    }

    /// A process of it lives, as far as is known.
    pub(super) fn is_alive(self) -> bool {
        matches!(
            self,
            PostStart | Running | PreStop | InOrder | Stopping | Killing
        )
    }

    /// Whether a timer has a meaning in here.
    pub(super) fn has(self, timer: ContainerTimer) -> bool {
        match timer {
            ContainerTimer::Step => self.is_ending(),
            ContainerTimer::Retry => self == Waiting,
            ContainerTimer::Liveness | ContainerTimer::Startup => self == Running,
            ContainerTimer::Readiness => self == Running || self.is_ending(),
        }
    }

    /// A kill is under way.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, PreStop | InOrder | Stopping | Killing)
    }
}
