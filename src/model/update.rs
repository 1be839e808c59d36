//! What may change in a living pod.
//!
//! Upstream: `ValidatePodUpdate`, `ValidatePodResize` and `ValidatePodEphemeralContainersUpdate` in
//! `pkg/apis/core/validation/validation.go`, in one; sidecars may come and go, which an API server does not allow.

use serde::Serialize;
use serde_json::Value;

use super::container::{Container, ContainerRestartPolicy};
use super::errors::{ErrorType, Errors, FieldError};
use super::options::{self, PodOptions};
use super::path::{Step, write_steps};
use super::pod::{Pod, PodSpec};
use super::qos::qos_class;
use super::resource_sum::pod_level;
use super::resources::{ResourceRequirements, ResourceResizeRestartPolicy};

const FIXED: &str = "it cannot change in a living pod; delete the pod and create it anew";
const WITH_IMAGE: &str = "a container changes only together with its image";

impl Pod {
    /// Whether this pod, while it lives, can become `new`: both defaulted. These may change:
    ///
    /// - images, with `imagePullPolicy`; cpu and memory of `resources`, where the quality-of-service class stays,
    /// - sidecars: they may come and go, and one that gets another image may change as a whole,
    /// - ephemeral containers: they may come, and go where [`PodOptions::removable_ephemeral`] says so,
    /// - `activeDeadlineSeconds`: it may be set or shortened; tolerations: they may come,
    /// - labels, and annotations that are no options.
    ///
    /// ```
    /// use podlife::model::{Container, Pod, PodOptions};
    ///
    /// let web = |memory: &str| Container::new("web", "nginx").limit("memory", memory);
    /// let old = Pod::new("p").container(web("64Mi")).defaulted();
    /// let resized = Pod::new("p").container(web("96Mi")).defaulted();
    /// assert!(old.check_update(&resized, &PodOptions::default()).is_ok());
    ///
    /// let other = Pod::new("p").container(web("64Mi").command(["sh"])).defaulted();
    /// let errors = old.check_update(&other, &PodOptions::default()).unwrap_err();
    /// assert!(errors.to_string().starts_with("spec.containers[0].command: forbidden"));
    /// ```
    ///
    /// # Errors
    /// Everything else that changed, each as Forbidden.
    pub fn check_update(&self, new: &Pod, options: &PodOptions) -> Result<(), Errors> {
        let mut found = Findings(Vec::new());
        let mut rest = new.clone();
        forgive_metadata(self, &mut rest);
        forgive_spec(self, &mut rest);
        found.pod_resources(self, &mut rest);
        found.containers(self, &mut rest);
        found.init_containers(self, &mut rest);
        found.ephemeral_containers(self, &mut rest, options.removable_ephemeral);
        found.differences(self, &rest, &mut Vec::new(), FIXED);
        if qos_class(&self.spec) != qos_class(&new.spec) {
            let why = "the pod's quality-of-service class may not change as a result of resizing";
            found.forbidden("spec", why);
        }
        Errors::check(found.0)
    }
}

/// What an API server sets, and what is only read by people.
fn forgive_metadata(old: &Pod, rest: &mut Pod) {
    rest.status = old.status.clone();
    let (old, new) = (&old.metadata, &mut rest.metadata);
    new.uid = new.uid.take().or_else(|| old.uid.clone());
    new.namespace = new.namespace.take().or_else(|| old.namespace.clone());
    new.creation_timestamp = old.creation_timestamp;
    new.deletion_timestamp = old.deletion_timestamp;
    new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    new.generation = old.generation;
    new.generate_name = old.generate_name.clone();
    new.managed_fields = old.managed_fields.clone();
    new.owner_references = old.owner_references.clone();
    new.finalizers = old.finalizers.clone();
    new.resource_version = old.resource_version.clone();
    new.self_link = old.self_link.clone();
    new.labels = old.labels.clone();
    new.annotations.retain(|key, _| options::is_option(key));
    let others = old
        .annotations
        .iter()
        .filter(|(key, _)| !options::is_option(key));
    let others = others.map(|(key, value)| (key.clone(), value.clone()));
    new.annotations.extend(others.collect::<Vec<_>>());
}

fn forgive_spec(old: &Pod, rest: &mut Pod) {
    let (old, new) = (&old.spec, &mut rest.spec);
    let shorter = match (old.active_deadline_seconds, new.active_deadline_seconds) {
        (Some(before), Some(after)) => after <= before,
        (before, _) => before.is_none(),
    };
    if shorter {
        new.active_deadline_seconds = old.active_deadline_seconds;
    }
    if old
        .tolerations
        .iter()
        .all(|one| new.tolerations.contains(one))
    {
        new.tolerations = old.tolerations.clone();
    }
}

struct Findings(Vec<FieldError>);

impl Findings {
    fn forbidden(&mut self, at: impl std::fmt::Display, why: &str) {
        self.0.push(FieldError::new(at, ErrorType::Forbidden, why));
    }

    /// As in Kubernetes without the feature gate `InPlacePodLevelResourcesVerticalScaling`: 1.34 has none.
    fn pod_resources(&mut self, old: &Pod, rest: &mut Pod) {
        let (old, new) = (&old.spec, &mut rest.spec);
        let is_pod_level = pod_level(old).is_some() || pod_level(new).is_some();
        if is_pod_level && is_resized(old, new) {
            let why = "pods with pod-level resources cannot be resized";
            self.forbidden("spec.resources", why);
            new.resources = old.resources.clone();
        }
    }

    fn containers(&mut self, old: &Pod, rest: &mut Pod) {
        let (old, new) = (&old.spec.containers, &mut rest.spec.containers);
        let names = |list: &[Container]| -> Vec<String> {
            list.iter()
                .map(|container| container.name.clone())
                .collect()
        };
        if names(old) != names(new) {
            self.forbidden(
                "spec.containers",
                "containers cannot come, go or change places",
            );
        } else {
            for (index, (old, new)) in old.iter().zip(new.iter()).enumerate() {
                self.container(old, new, "containers", index);
            }
        }
        *new = old.clone();
    }

    /// Plain init containers stay; sidecars come and go.
    fn init_containers(&mut self, old: &Pod, rest: &mut Pod) {
        let (old, new) = (&old.spec.init_containers, &mut rest.spec.init_containers);
        let plain = |list: &[Container]| -> Vec<String> {
            let plain = list.iter().filter(|container| !is_sidecar(container));
            plain.map(|container| container.name.clone()).collect()
        };
        if plain(old) != plain(new) {
            let why = "init containers cannot come, go or change places; sidecars can";
            self.forbidden("spec.initContainers", why);
        }
        for (index, new) in new.iter().enumerate() {
            let before = old.iter().find(|before| before.name == new.name);
            if let Some(before) = before.filter(|before| is_sidecar(before) == is_sidecar(new)) {
                self.container(before, new, "initContainers", index);
            }
        }
        *new = old.clone();
    }

    fn ephemeral_containers(&mut self, old: &Pod, rest: &mut Pod, removable: bool) {
        let list = "ephemeralContainers";
        let (old, new) = (
            &old.spec.ephemeral_containers,
            &mut rest.spec.ephemeral_containers,
        );
        for before in old {
            match new.iter().position(|after| after.name == before.name) {
                Some(index) => {
                    self.differences(before, &new[index], &mut path(list, index), FIXED);
                }
                None if removable => {}
                None => {
                    let why = format!(
                        "the ephemeral container {} cannot go, unless the option removableEphemeral is on",
                        before.name
                    );
                    self.forbidden("spec.ephemeralContainers", &why);
                }
            }
        }
        *new = old.clone();
    }

    fn container(&mut self, old: &Container, new: &Container, list: &'static str, index: usize) {
        let mut rest = new.clone();
        let is_new = old.image != new.image;
        if is_new {
            rest.image = old.image.clone();
            rest.image_pull_policy = old.image_pull_policy.clone();
        }
        if restarting(old) == restarting(new) {
            rest.resize_policy = old.resize_policy.clone(); // the others are defaults
        }
        let sidecar = is_sidecar(old);
        if list == "containers" || sidecar {
            self.resources(old, &mut rest, &path(list, index));
        }
        if !(sidecar && is_new) {
            let why = if sidecar { WITH_IMAGE } else { FIXED };
            self.differences(old, &rest, &mut path(list, index), why);
        }
    }

    /// Cpu and memory may change; a limit or request that is there stays there.
    fn resources(&mut self, old: &Container, rest: &mut Container, at: &[Step]) {
        let none = ResourceRequirements::default();
        let before = old.resources.as_ref().unwrap_or(&none);
        let after = rest.resources.get_or_insert_default();
        for name in ["cpu", "memory"] {
            let lists = [
                ("limits", &before.limits, &mut after.limits),
                ("requests", &before.requests, &mut after.requests),
            ];
            for (list, before, after) in lists {
                match (before.get(name), after.contains_key(name)) {
                    (Some(_), false) => {
                        let mut at = at.to_owned();
                        at.extend(["resources", list, name].map(named));
                        self.forbidden(write_steps(&at), "it cannot be taken away");
                        after.insert(name, before[name]);
                    }
                    (Some(amount), true) => {
                        after.insert(name, *amount);
                    }
                    (None, _) => {
                        after.remove(name);
                    }
                }
            }
        }
        if old.resources.is_none() && *after == none {
            rest.resources = None;
        }
    }

    /// Each place at which two objects differ.
    fn differences<T: Serialize>(&mut self, old: &T, new: &T, at: &mut Vec<Step>, why: &str) {
        let [old, new] = [old, new].map(|object| serde_json::to_value(object).unwrap_or_default());
        self.compare(&old, &new, at, why);
    }

    fn compare(&mut self, old: &Value, new: &Value, at: &mut Vec<Step>, why: &str) {
        match (old, new) {
            (Value::Object(before), Value::Object(after)) => {
                let added = after.keys().filter(|key| !before.contains_key(*key));
                for key in before.keys().chain(added) {
                    let null = &Value::Null;
                    let (before, after) = (before.get(key), after.get(key));
                    at.push(Step::Name(key.clone()));
                    self.compare(before.unwrap_or(null), after.unwrap_or(null), at, why);
                    at.pop();
                }
            }
            (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
                for (index, (before, after)) in before.iter().zip(after).enumerate() {
                    at.push(Step::Index(index));
                    self.compare(before, after, at, why);
                    at.pop();
                }
            }
            (before, after) if before != after => self.forbidden(write_steps(at), why),
            _ => {}
        }
    }
}

/// Whether the pod's own resources differ, or those of a container that stays.
fn is_resized(old: &PodSpec, new: &PodSpec) -> bool {
    let differ = |old: &Option<ResourceRequirements>, new: &Option<ResourceRequirements>| {
        let none = &ResourceRequirements::default();
        old.as_ref().unwrap_or(none) != new.as_ref().unwrap_or(none)
    };
    let [before, after] =
        [old, new].map(|spec| spec.init_containers.iter().chain(&spec.containers));
    let mut pairs = before.flat_map(|before| {
        let namesakes = after.clone().filter(|after| after.name == before.name);
        namesakes.map(move |after| (before, after))
    });
    differ(&old.resources, &new.resources)
        || pairs.any(|(before, after)| differ(&before.resources, &after.resources))
}

/// The resources whose change restarts it.
fn restarting(container: &Container) -> Vec<&str> {
    let restarts = ResourceResizeRestartPolicy::RestartContainer;
    let policies = container.resize_policy.iter();
    let restarting = policies.filter(|policy| policy.restart_policy.as_ref() == Some(&restarts));
    restarting.map(|policy| &*policy.resource_name).collect()
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy == Some(ContainerRestartPolicy::Always)
}

fn path(list: &'static str, index: usize) -> Vec<Step> {
    vec![named("spec"), named(list), Step::Index(index)]
}

fn named(name: &str) -> Step {
    Step::Name(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: Value) -> Pod {
        let pod =
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": spec });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        (*pod.validate().unwrap()).clone()
    }

    fn base() -> Value {
        json!({
            "initContainers": [
                { "name": "first", "image": "i:1" },
                { "name": "proxy", "image": "i:1", "restartPolicy": "Always" },
            ],
            "containers": [{ "name": "web", "image": "i:1",
                "resources": { "requests": { "cpu": "100m" }, "limits": { "cpu": "200m", "memory": "64Mi" } } }],
            "ephemeralContainers": [{ "name": "debug", "image": "i:1" }],
        })
    }

    fn changed(pointer: &str, value: Value) -> Vec<String> {
        let mut new = base();
        match new.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                new.pointer_mut(parent).unwrap()[key] = value;
            }
        }
        let errors = pod(base()).check_update(&pod(new), &PodOptions::default());
        let errors = errors.err().into_iter().flatten();
        errors.map(|error| error.field.clone()).collect()
    }

    #[test]
    fn a_pod_with_resources_of_its_own_is_not_resized() {
        let own = |memory: &str, container: &str, image: &str| {
            pod(json!({
                "resources": { "limits": { "memory": memory } },
                "containers": [{ "name": "web", "image": image,
                    "resources": { "limits": { "memory": container } } }],
            }))
        };
        let old = own("128Mi", "64Mi", "i:1");
        let check = |new: &Pod| old.check_update(new, &PodOptions::default());
        assert!(check(&own("128Mi", "64Mi", "i:2")).is_ok());
        for new in [own("256Mi", "64Mi", "i:1"), own("128Mi", "96Mi", "i:1")] {
            let errors = check(&new).unwrap_err().to_string();
            let expected =
                "spec.resources: forbidden: pods with pod-level resources cannot be resized";
            assert!(errors.starts_with(expected), "{errors}");
            assert_eq!(errors.lines().count(), 1, "{errors}");
        }
    }

    #[test]
    fn what_may_change() {
        let nothing: [&str; 0] = [];
        for (pointer, value) in [
            ("/containers/0/image", json!("i:2")),
            ("/containers/0/resources/requests/memory", json!("32Mi")),
            ("/containers/0/image", json!("i:latest")),
            ("/initContainers/0/image", json!("i:2")),
            ("/containers/0/resources/limits/memory", json!("96Mi")),
            ("/containers/0/resources/requests/cpu", json!("50m")),
            ("/activeDeadlineSeconds", json!(60)),
            (
                "/tolerations",
                json!([{ "key": "a", "operator": "Exists" }]),
            ),
            (
                "/initContainers/1",
                json!({ "name": "other", "image": "i:1", "restartPolicy": "Always" }),
            ),
            (
                "/initContainers/1",
                json!({ "name": "proxy", "image": "i:2", "command": ["x"], "restartPolicy": "Always" }),
            ),
            (
                "/initContainers",
                json!([{ "name": "first", "image": "i:1" }]),
            ),
            (
                "/ephemeralContainers",
                json!([{ "name": "debug", "image": "i:1" }, { "name": "more", "image": "i:1" }]),
            ),
        ] {
            assert_eq!(
                changed(pointer, value.clone()),
                nothing,
                "{pointer} {value}"
            );
        }
    }

    #[test]
    fn what_may_not() {
        for (pointer, value, field) in [
            (
                "/containers/0/command",
                json!(["x"]),
                "spec.containers[0].command",
            ),
            (
                "/containers/0/env",
                json!([{ "name": "A", "value": "1" }]),
                "spec.containers[0].env",
            ),
            ("/containers/0/name", json!("other"), "spec.containers"),
            (
                "/containers/0/resources/limits/ephemeral-storage",
                json!("1Gi"),
                "spec.containers[0].resources.limits[ephemeral-storage]",
            ),
            (
                "/initContainers/0/name",
                json!("other"),
                "spec.initContainers",
            ),
            (
                "/initContainers/0/resources",
                json!({ "limits": { "cpu": "1" } }),
                "spec.initContainers[0].resources",
            ),
            (
                "/initContainers/1/command",
                json!(["x"]),
                "spec.initContainers[1].command",
            ),
            (
                "/ephemeralContainers/0/command",
                json!(["x"]),
                "spec.ephemeralContainers[0].command",
            ),
            (
                "/ephemeralContainers",
                json!([]),
                "spec.ephemeralContainers",
            ),
            ("/restartPolicy", json!("Never"), "spec.restartPolicy"),
            ("/hostNetwork", json!(true), "spec.hostNetwork"),
            (
                "/volumes",
                json!([{ "name": "v", "emptyDir": {} }]),
                "spec.volumes",
            ),
            (
                "/terminationGracePeriodSeconds",
                json!(3),
                "spec.terminationGracePeriodSeconds",
            ),
        ] {
            let fields = changed(pointer, value.clone());
            assert!(
                fields.iter().any(|found| found == field),
                "{pointer} {value}: {fields:?}"
            );
        }
    }

    #[test]
    fn limits_stay_and_so_does_the_class() {
        let taken = changed("/containers/0/resources/limits", json!({ "cpu": "200m" }));
        assert_eq!(
            taken,
            [
                "spec.containers[0].resources.limits[memory]",
                "spec.containers[0].resources.requests[memory]"
            ]
        );
        let all = json!({ "limits": { "cpu": "200m", "memory": "64Mi" } });
        let one = json!({ "containers": [{ "name": "web", "image": "i:1", "resources": all }] });
        let mut less = one.clone();
        less["containers"][0]["resources"]["requests"] = json!({ "cpu": "100m", "memory": "64Mi" });
        let errors = pod(one)
            .check_update(&pod(less), &PodOptions::default())
            .unwrap_err();
        assert!(
            errors.to_string().contains("quality-of-service class"),
            "{errors}"
        );
    }

    #[test]
    fn an_ephemeral_container_goes_where_that_is_said() {
        let mut without = base();
        without["ephemeralContainers"] = json!([]);
        let options = PodOptions {
            removable_ephemeral: true,
            ..PodOptions::default()
        };
        assert!(pod(base()).check_update(&pod(without), &options).is_ok());
    }

    #[test]
    fn names_and_options_are_for_life() {
        let old = pod(base());
        let mut new = old.clone();
        new.metadata.name = Some("other".into());
        new.metadata
            .annotations
            .insert("podlife.io/startTogether".into(), "true".into());
        new.metadata
            .annotations
            .insert("note".into(), "may change".into());
        new.metadata.labels.insert("app".into(), "web".into());
        let errors = old.check_update(&new, &PodOptions::default()).unwrap_err();
        let fields: Vec<_> = errors.into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["metadata.name", "metadata.annotations"]);
    }
}
