//! Where a container is between its facts: what is being done about it. One table of legal steps.

use super::timer::ContainerTimer;
use serde::{Deserialize, Serialize};

/// What is being done about a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The table as a picture: Mermaid's state diagram, which the manual shows.
pub fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> Waiting\n");
    for (from, to, why) in EDGES {
        text.push_str(&format!("    {from:?} --> {to:?}: {why}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 10] = [
        Waiting, Inspecting, Pulling, Starting, PostStart, Running, PreStop, InOrder, Stopping,
        Killing,
    ];

    #[test]
    fn no_state_is_a_dead_end_and_none_leads_to_itself() {
        for state in ALL {
            assert!(ALL.into_iter().any(|to| state.leads_to(to)), "{state:?}");
            assert!(!state.leads_to(state), "{state:?}");
        }
    }

    #[test]
    fn nothing_alive_is_started() {
        for (from, to, _) in EDGES {
            assert!(
                !(from.is_alive() && matches!(to, Inspecting | Pulling | Starting)),
                "{from:?} to {to:?}"
            );
            assert!(
                !(from.is_ending() && matches!(to, PostStart | Running)),
                "{from:?} to {to:?}"
            );
        }
    }

    /// `PODLIFE_BLESS=1` writes the picture.
    #[test]
    fn the_manual_shows_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/states.md");
        let text = format!(
            "# States of a container\n\nWhat is being done about a container, between its facts. Drawn from the table in \
             `src/lifecycle/state.rs` by its\ntest; the machine asserts every step against the same table.\n\n\
             ```mermaid\n{}```\n",
            diagram()
        );
        if std::env::var_os("PODLIFE_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            text,
            "PODLIFE_BLESS=1 cargo test draws it anew"
        );
    }
}
