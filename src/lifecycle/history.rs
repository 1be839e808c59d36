//! A pod's life on record: everything its machine was told, in order, and nothing else.
//!
//! A machine has no clock, no randomness and no eyes of its own, so what it was told is all there is to know about it:
//! the same entries make the same machine, with the same status, and on the way the same outputs. A history can be
//! kept beside a pod, written as JSON lines, sent with a bug report, and looked at with [`History::replay`].
//!
//! It is never cut, and grows by one entry for each input: a handful for a start, two or three for each run of a probe.
//! Keep it as long as somebody may ask; what a pod needs to go on is its [`Record`], which does not grow with its life.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::input::{Input, Observed, Persisted};
use super::machine::PodMachine;
use super::output::Output;
use super::record::Record;
use crate::error::{Error, Kind, Result};
use crate::model::{Pod, PodOptions, Valid};
use crate::time::Now;

/// One thing that a machine was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// [`PodMachine::new`].
    Created {
        /// The manifest.
        #[serde(with = "valid_pod")]
        pod: Valid<Pod>,
        /// The options.
        options: PodOptions,
    },
    /// [`PodMachine::handle`].
    Input(Input),
    /// [`PodMachine::restore`].
    Restored {
        /// When the record that was read had been written ([`Record::saved`]): the last one that the machine was told
        /// is written, or one that was being written when the process died.
        saved: Now,
        /// What the world looked like.
        observed: Observed,
    },
}

/// What a machine was told, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Now,
    /// What.
    pub told: Told,
}

/// A pod's life so far.
///
/// ```
/// use podlife::lifecycle::history::History;
/// use podlife::lifecycle::{Deletion, Input, PodMachine, PodOptions};
/// use podlife::model::{Pod, Valid};
/// use podlife::time::Now;
///
/// let pod: Valid<Pod> = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
///     "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#.try_into().unwrap();
/// let (now, options) = (Now::default(), PodOptions::default());
/// let mut history = History::begin(pod.clone(), options.clone(), now);
/// let mut machine = PodMachine::new(pod, options, now);
///
/// let input = Input::Delete(Deletion::default());
/// history.push(now, input.clone());
/// machine.handle(now, input);
///
/// let text = serde_json::to_string(&history).unwrap();
/// let history: History = serde_json::from_str(&text).unwrap();
/// assert_eq!(history.replay(|_, _, _| {}).unwrap().status(), machine.status());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<Entry>);

impl History {
    /// A new pod's.
    pub fn begin(pod: Valid<Pod>, options: PodOptions, now: Now) -> History {
        History(vec![Entry {
            at: now,
            told: Told::Created { pod, options },
        }])
    }

    /// An input, before it is handled.
    pub fn push(&mut self, at: Now, input: Input) {
        self.0.push(Entry {
            at,
            told: Told::Input(input),
        });
    }

    /// A restore from this record, before it is done.
    pub fn push_restore(&mut self, at: Now, record: &Record, observed: Observed) {
        let saved = record.saved();
        self.0.push(Entry {
            at,
            told: Told::Restored { saved, observed },
        });
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Lives it again. `watch` is shown every output with the time at which it was taken and the machine it came from.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a history that no machine has had: one that does not begin with a creation, or that was
    /// restored from a record that was not written.
    pub fn replay(&self, mut watch: impl FnMut(Now, Output, &PodMachine)) -> Result<PodMachine> {
        let mut life: Option<Life> = None;
        for entry in &self.0 {
            let next = match (&entry.told, life.take()) {
                (Told::Created { pod, options }, _) => Life::of(
                    PodMachine::new(pod.clone(), options.clone(), entry.at),
                    pod,
                    options,
                ),
                (Told::Input(input), Some(mut life)) => {
                    life.hear(entry.at, input);
                    life
                }
                (Told::Restored { saved, observed }, Some(life)) => {
                    life.restore(*saved, observed, entry.at)?
                }
                _ => return Err(impossible("it does not begin with a creation")),
            };
            let next = life.insert(next);
            next.drain(entry.at, &mut watch);
        }
        life.map(|life| life.machine)
            .ok_or_else(|| impossible("it is empty"))
    }
}

/// A life while it is lived again.
struct Life {
    machine: PodMachine,
    pod: Valid<Pod>,
    options: PodOptions,
    /// What was to be written, and what was.
    writing: Option<Record>,
    written: Option<Record>,
}

impl Life {
    fn of(machine: PodMachine, pod: &Valid<Pod>, options: &PodOptions) -> Life {
        Life {
            machine,
            pod: pod.clone(),
            options: options.clone(),
            writing: None,
            written: None,
        }
    }

    fn hear(&mut self, at: Now, input: &Input) {
        match input {
            Input::Persisted(Persisted::Written) => {
                self.written = self.writing.take().or_else(|| self.written.take());
            }
            Input::Persisted(Persisted::Failed) => self.writing = None,
            Input::Update(pod) => self.pod = pod.clone(),
            _ => {}
        }
        self.machine.handle(at, input.clone());
    }

    fn restore(self, saved: Now, observed: &Observed, at: Now) -> Result<Life> {
        let records = [self.written, self.writing].into_iter().flatten();
        let Some(record) = records.into_iter().find(|record| record.saved() == saved) else {
            return Err(impossible("no such record was written before the restore"));
        };
        let (pod, options) = (self.pod, self.options);
        let machine = PodMachine::restore(
            pod.clone(),
            options.clone(),
            record.clone(),
            observed.clone(),
            at,
        )?;
        Ok(Life {
            machine,
            pod,
            options,
            writing: None,
            written: Some(record),
        })
    }

    fn drain(&mut self, at: Now, watch: &mut impl FnMut(Now, Output, &PodMachine)) {
        loop {
            let output = self.machine.poll_output();
            watch(at, output, &self.machine);
            match output {
                Output::Wait(_) => return,
                Output::Persist => self.writing = Some(self.machine.record().clone()),
                _ => {}
            }
        }
    }
}

fn impossible(why: &str) -> Error {
    Error::new(Kind::Invalid, "replay a pod's history", why)
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
