//! A pod's life on record: what its machine was told, in order.
//!
//! A machine has no clock, no randomness and no eyes of its own, so what it was told is all there is to know about it:
//! the same entries make the same machine, with the same status, and on the way the same outputs. A history can be
//! kept beside a pod, written as JSON, sent with a bug report, and looked at with [`History::replay`].
//!
//! It begins with a machine as it is at some time, new, restored or in the middle of its life, and grows by one entry for each
//! input: a handful for a start, two for each run of a probe. [`History::fold`] keeps it small, on request or by a [bound](History::bounded): the oldest entries are told to the
//! machine that it begins with, which comes to be as it would have been.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::input::Input;
use super::machine::PodMachine;
use super::output::Output;
use crate::model::{Pod, Valid};
use crate::time::Now;

/// What a machine was told, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Now,
    /// What.
    pub input: Input,
}

/// A pod's life so far, or the end of it.
///
/// ```
/// use podlife::lifecycle::history::History;
/// use podlife::lifecycle::{Deletion, Input, PodMachine, PodOptions};
/// use podlife::model::{Pod, Valid};
/// use podlife::time::Now;
///
/// let pod: Valid<Pod> = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
///     "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#.try_into().unwrap();
/// let now = Now::default();
/// let mut machine = PodMachine::new(pod, PodOptions::default(), now);
/// let mut history = History::of(&machine);
///
/// for input in [Input::Tick, Input::Delete(Deletion::default())] {
///     history.push(now, input.clone());
///     machine.handle(now, input);
/// }
/// history.fold(1);
/// assert_eq!(history.entries().count(), 1);
///
/// let text = serde_json::to_string(&history).unwrap();
/// let history: History = serde_json::from_str(&text).unwrap();
/// assert_eq!(history.replay(|_, _, _| {}).status(), machine.status());
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// The machine before the first entry. What it asked for at last is still in there.
    base: Box<PodMachine>,
    entries: VecDeque<Entry>,
    /// No more of them are kept.
    bound: usize,
}

impl History {
    /// From now on.
    pub fn of(machine: &PodMachine) -> History {
        History::bounded(machine, usize::MAX)
    }

    /// From now on, of which the newest `bound` entries are kept, at least one: older ones are folded.
    pub fn bounded(machine: &PodMachine, bound: usize) -> History {
        History {
            base: Box::new(machine.clone()),
            entries: VecDeque::new(),
            bound: bound.max(1),
        }
    }

    /// An input, before it is handled.
    pub fn push(&mut self, at: Now, input: Input) {
        self.fold(self.bound - 1);
        self.entries.push_back(Entry { at, input });
    }

    /// Forgets all but the newest `keep` entries. What [`replay`](History::replay) comes to stays the same.
    pub fn fold(&mut self, keep: usize) {
        while self.entries.len() > keep {
            let Some(Entry { at, input }) = self.entries.pop_front() else {
                return;
            };
            drain(&mut self.base, at, &mut |_, _, _| {});
            self.base.handle(at, input);
        }
    }

    /// The entries that are left, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Lives it again, from where it begins. `watch` is shown every output with the time at which it was taken and the machine it
    /// came from.
    pub fn replay(&self, mut watch: impl FnMut(Now, Output, &PodMachine)) -> PodMachine {
        let mut machine = (*self.base).clone();
        let now = machine.now;
        drain(&mut machine, now, &mut watch);
        for entry in &self.entries {
            machine.handle(entry.at, entry.input.clone());
            drain(&mut machine, entry.at, &mut watch);
        }
        machine
    }
}

/// Takes all outputs.
fn drain(machine: &mut PodMachine, at: Now, watch: &mut impl FnMut(Now, Output, &PodMachine)) {
    loop {
        let output = machine.poll_output();
        watch(at, output, machine);
        if let Output::Wait(_) = output {
            return;
        }
    }
}

impl Serialize for PodMachine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PodMachine::serialize(self, serializer)
    }
}

/// Nothing is known of what is read: it must not make the machine look where nothing is.
impl<'de> Deserialize<'de> for PodMachine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PodMachine, D::Error> {
        let machine = PodMachine::deserialize(deserializer)?;
        match machine.is_whole() {
            true => Ok(machine),
            false => Err(serde::de::Error::custom("not all of one machine")),
        }
    }
}

/// A valid pod as text; what is read is validated again.
pub(super) mod valid_pod {
    use super::{Deserialize, Deserializer, Pod, Serialize, Serializer, Valid};

    pub(in crate::lifecycle) fn serialize<S: Serializer>(
        pod: &Valid<Pod>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Pod::serialize(pod, serializer)
    }

    pub(in crate::lifecycle) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Valid<Pod>, D::Error> {
        Pod::deserialize(deserializer)?
            .validate()
            .map_err(serde::de::Error::custom)
    }
}
