//! What each kind of vector means: a module per kind, and the table that finds it.
//!
//! To add a kind: a module with `pub(crate) fn run(case: &Case) -> Answer`, and its line in [`KINDS`]. A run function computes an answer from `case.input` with podlife's own functions and leaves the
//! comparison to the runner, unless `expect` holds sets or ranges ([`Answer::Judged`]).

mod backoff;
mod cgroup;
mod command_args;
mod conditions;
mod container_status;
mod defaults;
mod directories;
mod environment;
mod expansion;
mod grace_period;
mod hosts_dns;
mod http_probe;
mod image_pull;
mod image_reference;
mod log_format;
mod observed;
mod oom_score;
mod pod_actions;
mod pod_phase;
mod probe_worker;
mod qos;
mod quantity;
mod restart_decision;
mod sockets;
mod status_column;
mod sysctl;
mod termination_order;
mod validation;
mod volume_payload;

use std::collections::BTreeMap;

use podlife::model::ByteString;
use podlife::model::objects::ObjectMap;
use serde_json::Value;

/// One case of a vector file.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) input: Value,
    pub(crate) expect: Value,
}

impl Case {
    pub(crate) fn new(case: &Value) -> Option<Case> {
        Some(Case {
            name: case.get("name")?.as_str()?.to_owned(),
            input: case.get("input")?.clone(),
            expect: case.get("expect")?.clone(),
        })
    }

    /// Which operation of its kind; "" where a kind has but one.
    pub(crate) fn op(&self) -> &str {
        self.input["op"].as_str().unwrap_or_default()
    }

    /// The text at `key` of the input. A case that should have one and does not is a failure, told by the panic.
    #[track_caller]
    pub(crate) fn text(&self, key: &str) -> &str {
        self.input[key]
            .as_str()
            .unwrap_or_else(|| panic!("{}: no text at input.{key}", self.name))
    }

    /// The integer at `key` of the input.
    #[track_caller]
    pub(crate) fn integer(&self, key: &str) -> i64 {
        self.input[key]
            .as_i64()
            .unwrap_or_else(|| panic!("{}: no integer at input.{key}", self.name))
    }

    /// The value at `key` of the input, read as a `T`; null and absent are `T`'s reading of null.
    #[track_caller]
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> T {
        lenient(&self.input[key]).unwrap_or_else(|why| panic!("{}: input.{key}: {why}", self.name))
    }

    /// The same, where null and absent are `T`'s default.
    #[track_caller]
    pub(crate) fn read_or_default<T: serde::de::DeserializeOwned + Default>(&self, key: &str) -> T {
        self.read::<Option<T>>(key).unwrap_or_default()
    }

    /// The pod. Whether its own resources count is a feature gate upstream and always so here, so without it they are gone.
    pub(crate) fn gated_pod(&self) -> podlife::model::Pod {
        let mut pod: podlife::model::Pod = self.read("pod");
        if self.input["podLevelResources"] == Value::Bool(false) {
            pod.spec.resources = None;
        }
        pod
    }
}

impl Case {
    /// The objects beside the pod: `configMaps` and `secrets` map a name to decoded text by key, `configMapsBinary` to base64.
    pub(crate) fn objects(&self) -> ObjectMap {
        type Texts = BTreeMap<String, BTreeMap<String, String>>;
        let texts = |key: &str| self.read_or_default::<Texts>(key);
        let mut objects = ObjectMap::default();
        for (name, data) in texts("configMaps") {
            objects.config_maps.entry(name).or_default().data = data;
        }
        for (name, data) in self.read_or_default::<BTreeMap<String, _>>("configMapsBinary") {
            objects.config_maps.entry(name).or_default().binary_data = data;
        }
        for (name, data) in texts("secrets") {
            let bytes = data
                .into_iter()
                .map(|(key, text)| (key, ByteString(text.into_bytes())));
            objects.secrets.entry(name).or_default().data = bytes.collect();
        }
        objects
    }
}

/// Reads a value without the fields that its type does not know: of another version, they are not what the case is about.
pub(crate) fn lenient<T: serde::de::DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    let mut value = value.clone();
    loop {
        match serde_json::from_value(value.clone()) {
            Err(why) => match unknown_field(&why.to_string()) {
                Some(field) if remove(&mut value, field) => {}
                _ => return Err(why),
            },
            read => return read,
        }
    }
}

/// Which field serde complains of.
fn unknown_field(why: &str) -> Option<&str> {
    let (field, _) = why.strip_prefix("unknown field `")?.split_once('`')?;
    Some(field)
}

/// Takes a field out of all objects; false if none has it.
fn remove(value: &mut Value, field: &str) -> bool {
    match value {
        Value::Object(fields) => {
            let removed = fields.remove(field).is_some();
            fields
                .values_mut()
                .fold(removed, |removed, value| remove(value, field) | removed)
        }
        Value::Array(items) => items
            .iter_mut()
            .fold(false, |removed, value| remove(value, field) | removed),
        _ => false,
    }
}

/// What a kind's module made of a case.
pub(crate) enum Answer {
    /// To equal the whole of `expect`.
    Is(Value),
    /// To hold every field of `expect`, with an equal value; fields that `expect` leaves out are not asserted.
    Covers(Value),
    /// Compared by the module itself: whether it is right, and what was got.
    Judged(bool, Value),
    /// It cannot be run on this machine, and why.
    Skip(&'static str),
    /// The kind has no such op.
    UnknownOp,
}

/// A kind's module.
pub(crate) type Run = fn(&Case) -> Answer;

/// Every kind there is.
pub(crate) const KINDS: &[(&str, Run)] = &[
    ("backoff", backoff::run),
    ("cgroup", cgroup::run),
    ("command-args", command_args::run),
    ("conditions", conditions::run),
    ("container-status", container_status::run),
    ("defaults", defaults::run),
    ("environment", environment::run),
    ("expansion", expansion::run),
    ("grace-period", grace_period::run),
    ("hosts-dns", hosts_dns::run),
    ("http-probe", http_probe::run),
    ("image-pull", image_pull::run),
    ("image-reference", image_reference::run),
    ("log-format", log_format::run),
    ("oom-score", oom_score::run),
    ("pod-actions", pod_actions::run),
    ("pod-phase", pod_phase::run),
    ("probe-worker", probe_worker::run),
    ("qos", qos::run),
    ("quantity", quantity::run),
    ("restart-decision", restart_decision::run),
    ("status-column", status_column::run),
    ("sysctl", sysctl::run),
    ("termination-order", termination_order::run),
    ("validation", validation::run),
    ("volume-payload", volume_payload::run),
];

/// Cases that are sure to be wrong, and why: (kind, name, reason). They count as skipped; one that passes is a failure.
pub(crate) const DISPUTED: &[(&str, &str, &str)] = &[(
    "volume-payload",
    "write: layout of links",
    "of 2017: since Kubernetes 1.10 a visible link leads to the whole directory, foo -> ..data/foo",
)];

/// Equal, with numbers compared by value: 1 is 1.0.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

/// Every field of `expect`, at any depth of objects, is in `got` with the same value. A null is also a field that is missing.
/// Lists have the same length, and their elements cover each other in order.
pub(crate) fn covers(expect: &Value, got: &Value) -> bool {
    match (expect, got) {
        (Value::Object(expect), Value::Object(got)) => expect
            .iter()
            .all(|(key, value)| covers(value, got.get(key).unwrap_or(&Value::Null))),
        (Value::Array(expect), Value::Array(got)) => {
            expect.len() == got.len()
                && expect
                    .iter()
                    .zip(got)
                    .all(|(expect, got)| covers(expect, got))
        }
        _ => same(expect, got),
    }
}

/// The list, sorted, for comparing lists whose order does not matter.
pub(crate) fn sorted(list: &Value) -> Value {
    let mut items = list.as_array().cloned().unwrap_or_default();
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}
