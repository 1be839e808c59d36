//! The runtime records of a case as the facts the rules read.

use podlife::lifecycle::rules::facts::{ProbeResult, Results, Seen};
use podlife::lifecycle::rules::shape::Shape;
use podlife::lifecycle::rules::status::container::ContainerId;
use podlife::lifecycle::{Attempt, AttemptState, Exit, Failure, Network, Sandbox, SandboxState};
use podlife::model::{ContainerStatus, Pod};
use podlife::time::{Now, Wall};
use serde_json::{Map, Value, json};

use super::lenient;

/// A pod and what is known of it.
pub(crate) struct World {
    pub(crate) pod: Pod,
    pub(crate) shape: Shape,
    pub(crate) sandboxes: Vec<Sandbox>,
    known: Vec<Known>,
}

/// What is known of one container.
#[derive(Default)]
struct Known {
    attempts: Vec<Attempt>,
    /// The id of each attempt, in the same order.
    ids: Vec<String>,
    results: Results,
    start_error: Option<Failure>,
}

impl World {
    /// The pod of a case, with `containers`, the records newest first, and `sandboxes`, too.
    pub(crate) fn new(pod: &Value, containers: &Value, sandboxes: &Value) -> World {
        let pod: Pod = lenient(pod).unwrap_or_else(|why| panic!("pod: {why}"));
        let shape = Shape::new(&pod);
        let sandboxes: Vec<Sandbox> = list(sandboxes).iter().map(sandbox).collect();
        let current = sandboxes.first().map_or(0, |sandbox| sandbox.attempt);
        let known = shape.containers.iter().map(|view| {
            let named = |record: &&Value| record["name"] == *view.name;
            let records: Vec<&Value> = list(containers).iter().filter(named).collect();
            let numbers = (0..u32::try_from(records.len()).unwrap()).rev();
            let attempt = |(record, number): (&&Value, u32)| Attempt {
                number,
                sandbox: current,
                restart_count: u32::try_from(record["restartCount"].as_u64().unwrap_or(0)).unwrap(),
                created: Now::default(),
                image: if record["specChanged"] == true {
                    "another".into()
                } else {
                    view.image.clone()
                },
                state: state(record),
            };
            Known {
                attempts: records.iter().zip(numbers).map(attempt).collect(),
                ids: records
                    .iter()
                    .map(|record| text(record, "id").to_owned())
                    .collect(),
                ..Known::default()
            }
        });
        let known = known.collect();
        World {
            pod,
            shape,
            sandboxes,
            known,
        }
    }

    /// What the probes published, by kind and container id.
    pub(crate) fn probes(mut self, probes: &Value) -> World {
        for known in &mut self.known {
            let of = |kind: &str| known.ids.first().and_then(|id| result(&probes[kind][id]));
            known.results = Results {
                liveness: of("liveness"),
                readiness: of("readiness"),
                startup: of("startup"),
            };
        }
        self
    }

    /// Why starts failed, by container name.
    pub(crate) fn start_errors(mut self, errors: &Value) -> World {
        for (known, view) in self.known.iter_mut().zip(&self.shape.containers) {
            let error = &errors[&*view.name];
            let failure = || Failure::new(text(error, "reason").to_owned(), text(error, "message"));
            known.start_error = error.is_object().then(failure);
        }
        self
    }

    pub(crate) fn seen(&self, index: usize) -> Seen<'_> {
        let known = &self.known[index];
        Seen {
            attempts: &known.attempts,
            results: known.results,
            start_error: known.start_error.as_ref(),
            flight: None,
            owed: None,
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// A status published before, of a record of the case, as podlife would have published it.
    pub(crate) fn adopt(&self, status: &mut ContainerStatus) {
        let Some(index) = self.shape.index(&status.name) else {
            return;
        };
        let known = &self.known[index];
        let place = known
            .ids
            .iter()
            .position(|id| !id.is_empty() && status.container_id.as_deref() == Some(id));
        if let Some(place) = place {
            let id = ContainerId {
                pod: &self.shape.uid,
                container: &status.name,
                attempt: known.attempts[place].number,
            };
            status.container_id = Some(id.to_string());
        }
    }

    /// The id of the container's attempt.
    pub(crate) fn id(&self, index: usize, attempt: u32) -> &str {
        let known = &self.known[index];
        let place = known
            .attempts
            .iter()
            .position(|known| known.number == attempt);
        &known.ids[place.expect("an attempt that is not in the case")]
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        &self.shape.containers[index].name
    }
}

fn sandbox(value: &Value) -> Sandbox {
    Sandbox {
        attempt: u32::try_from(value["attempt"].as_u64().unwrap_or(0)).unwrap(),
        state: match text(value, "state") {
            "Ready" => SandboxState::Ready,
            "NotReady" => SandboxState::NotReady,
            other => panic!("a sandbox that is {other}"),
        },
        network: match text(value, "network") {
            "Node" => Network::Node,
            "Pod" | "" => Network::Pod,
            other => panic!("a sandbox of network {other}"),
        },
        ip: value["ip"].as_str().map(Into::into),
        created: Now::default(),
    }
}

fn state(record: &Value) -> AttemptState {
    let at = |key: &str| Now {
        wall: time(&record[key]).unwrap_or_default(),
        ..Now::default()
    };
    match text(record, "state") {
        "Created" => AttemptState::Created,
        "Running" => AttemptState::Running {
            started: at("startedAt"),
        },
        "Unknown" => AttemptState::Unknown,
        "Exited" => AttemptState::Exited(Box::new(Exit {
            code: i32::try_from(record["exitCode"].as_i64().unwrap_or(0)).unwrap(),
            signal: None,
            reason: text(record, "reason").to_owned().into(),
            message: record["message"].as_str().map(Into::into),
            started: time(&record["startedAt"]).map(|wall| Now {
                wall,
                ..Now::default()
            }),
            finished: at("finishedAt"),
        })),
        other => panic!("a record that is {other}"),
    }
}

fn result(value: &Value) -> Option<ProbeResult> {
    match value.as_str()? {
        "Success" => Some(ProbeResult::Success),
        "Failure" => Some(ProbeResult::Failure),
        "Unknown" => Some(ProbeResult::Unknown),
        other => panic!("a probe result {other}"),
    }
}

pub(crate) fn time(value: &Value) -> Option<Wall> {
    value
        .as_str()
        .map(|text| text.parse().unwrap_or_else(|why| panic!("{text}: {why}")))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What cases compare of a status: name, state, lastState, restartCount. A time that the case did not give is left out.
pub(crate) fn brief(status: &ContainerStatus) -> Value {
    let status = serde_json::to_value(status).unwrap();
    json!({
        "name": status["name"],
        "state": state_brief(&status["state"]),
        "lastState": state_brief(&status["lastState"]),
        "restartCount": status["restartCount"],
    })
}

/// A state without what cases do not compare; absent is `{}`.
pub(crate) fn state_brief(state: &Value) -> Value {
    let Some(state) = state.as_object() else {
        return json!({});
    };
    let brief = state
        .iter()
        .map(|(key, value)| (key.clone(), without_defaults(value)));
    Value::Object(brief.collect())
}

fn without_defaults(state: &Value) -> Value {
    let fields = state.as_object().into_iter().flatten();
    let epoch = Wall::default().to_string();
    let kept = fields.filter(|(key, value)| *key != "containerID" && **value != *epoch);
    Value::Object(
        kept.map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}
