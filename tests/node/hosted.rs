//! A Node for one test, and short ways to say what the test wants of it.

use std::io::Read;
use std::time::Duration;

use podlife::model::{ContainerState, ContainerStatus, Pod, PodStatus, Valid};
use podlife::node::{Delete, Event, LogOptions, Node, PodId, Until};
use serde_json::{Value, json};

use super::before::{self, Before};

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A Node that leaves nothing behind, or its test fails.
pub(crate) struct Hosted {
    pub(crate) node: Node,
    pub(crate) seen: Vec<Event>,
    before: Option<Before>,
}

impl Hosted {
    pub(crate) fn ephemeral() -> Hosted {
        Hosted::with(before::ephemeral)
    }

    pub(crate) fn with(open: impl FnOnce() -> Node) -> Hosted {
        let before = Before::now();
        Hosted {
            node: open(),
            seen: Vec::new(),
            before: Some(before),
        }
    }

    /// The same of a Node that was opened otherwise.
    pub(crate) fn around(node: Node, before: Before) -> Hosted {
        Hosted {
            node,
            seen: Vec::new(),
            before: Some(before),
        }
    }

    pub(crate) fn create(&mut self, manifest: &Value) -> PodId {
        self.node.create(valid(manifest)).unwrap()
    }

    pub(crate) fn wait(&mut self, id: PodId, until: Until) -> PodStatus {
        let status = self.node.wait(id, until, LONG);
        self.drain_events();
        status.unwrap_or_else(|error| panic!("{error}\n{}", self.story(id)))
    }

    /// Drives until an event of that reason whose message contains `text`.
    pub(crate) fn until(&mut self, reason: &str, text: &str) -> Event {
        let is_it = |event: &Event| event.reason() == reason && event.message().contains(text);
        if let Some(event) = self.seen.iter().find(|event| is_it(event)) {
            return event.clone();
        }
        let mut seen = Vec::new();
        let done = self.node.run_until(LONG, |_, event| {
            seen.push(event.clone());
            is_it(event)
        });
        self.seen.extend(seen);
        match done {
            Ok(()) => self.seen.last().unwrap().clone(),
            Err(error) => panic!("no event {reason} {text:?}: {error}\n{}", self.all()),
        }
    }

    /// Drives until a container has ended and all others run.
    pub(crate) fn ended(&mut self, id: PodId, name: &str) {
        let until = std::time::Instant::now() + LONG;
        let running = |container: &ContainerStatus| {
            let state = container.state.as_ref();
            match container.name == name {
                true => exit_code(&container.state).is_some(),
                false => state.is_some_and(|state| state.running.is_some()),
            }
        };
        while !self
            .node
            .pod(id)
            .is_some_and(|pod| pod.status().container_statuses.iter().all(running))
        {
            assert!(std::time::Instant::now() < until, "{}", self.story(id));
            self.node.turn(Some(Duration::from_millis(10))).unwrap();
        }
    }

    pub(crate) fn reasons(&mut self) -> Vec<String> {
        self.drain_events();
        self.seen
            .iter()
            .map(|event| event.reason().to_owned())
            .collect()
    }

    pub(crate) fn drain_events(&mut self) {
        while let Some(event) = self.node.next_event() {
            self.seen.push(event);
        }
    }

    pub(crate) fn logs(&self, id: PodId, container: &str) -> String {
        let mut text = String::new();
        self.node
            .logs(id, container, LogOptions::default())
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    /// Drives until a container has printed it.
    pub(crate) fn printed(&mut self, id: PodId, container: &str, text: &str) {
        printed(&mut self.node, id, container, text);
    }

    pub(crate) fn delete(&mut self, id: PodId) {
        self.node.delete(id, Delete::default()).unwrap();
        self.wait(id, Until::Deleted);
    }

    /// The same, without waiting for what does not care.
    pub(crate) fn kill(&mut self, id: PodId) {
        self.node.delete(id, Delete::now()).unwrap();
        self.wait(id, Until::Deleted);
    }

    /// Everything that happened, for a test that fails.
    pub(crate) fn story(&mut self, id: PodId) -> String {
        let status = self
            .node
            .pod(id)
            .map(|pod| serde_json::to_string_pretty(pod.status()).unwrap());
        format!("{}\n{}", self.all(), status.unwrap_or_default())
    }

    fn all(&mut self) -> String {
        self.drain_events();
        self.seen.iter().map(|event| format!("{event}\n")).collect()
    }

    /// Ends it: whatever is left of what it made is then an error.
    pub(crate) fn end(self) {
        let Hosted { node, before, .. } = self;
        assert_eq!(node.pods().count(), 0);
        drop(node);
        drop(before);
    }
}

pub(crate) fn valid(manifest: &Value) -> Valid<Pod> {
    Valid::try_from(&*manifest.to_string()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A pod with these containers.
pub(crate) fn pod(name: &str, policy: &str, containers: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "restartPolicy": policy, "containers": containers, "terminationGracePeriodSeconds": 5 }
    })
}

/// A container that runs a shell script.
pub(crate) fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "podlife.local/host", "command": ["/bin/sh", "-c", script] })
}

/// `base` with the members of `more`.
pub(crate) fn with(mut base: Value, more: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut base, more) else {
        panic!("not objects")
    };
    members.extend(more);
    base
}

/// `pod` with more in its spec.
pub(crate) fn spec(mut pod: Value, more: Value) -> Value {
    pod["spec"] = with(pod["spec"].take(), more);
    pod
}

pub(crate) fn container<'s>(status: &'s PodStatus, name: &str) -> &'s ContainerStatus {
    let mut all = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses);
    all.find(|container| container.name == name).unwrap()
}

pub(crate) fn exit_code(state: &Option<ContainerState>) -> Option<i32> {
    Some(state.as_ref()?.terminated.as_ref()?.exit_code)
}

/// Drives until a container has printed it.
pub(crate) fn printed(node: &mut Node, id: PodId, container: &str, text: &str) {
    let until = std::time::Instant::now() + LONG;
    loop {
        let mut found = String::new();
        if let Ok(mut logs) = node.logs(id, container, LogOptions::default()) {
            logs.read_to_string(&mut found).unwrap();
        }
        if found.contains(text) {
            return;
        }
        assert!(
            std::time::Instant::now() < until,
            "no {text:?} in {found:?}"
        );
        node.turn(Some(Duration::from_millis(10))).unwrap();
    }
}
