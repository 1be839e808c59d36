//! The page that `kubectl describe pod` prints.
//!
//! Upstream: `describePod` and what it calls in `pkg/describe/describe.go` of kubectl.

mod container;
mod environment;
mod event;
mod page;
mod probe;
mod volume;

use std::collections::BTreeMap;
use std::fmt;

use super::rules::column::age;
use crate::model::qos::qos_class;
use crate::model::{Phase, Pod, PodStatus, Toleration, TolerationOperator};
use crate::time::Wall;
pub use event::EventRow;
use page::Page;

/// A longer annotation is put on a line of its own, and what is longer than that is cut.
const ANNOTATION_MAX: usize = 140;
/// What `kubectl apply` keeps for itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A pod as `kubectl describe pod` prints it. Times are in UTC.
///
/// ```
/// use podlife::lifecycle::describe::Describe;
/// use podlife::model::Pod;
///
/// let pod: Pod = serde_json::from_str(r#"{"metadata": {"name": "web", "labels": {"app": "a", "tier": "b"}},
///     "spec": {"containers": [{"name": "c", "image": "nginx"}]}, "status": {"phase": "Pending"}}"#).unwrap();
/// let text = Describe::of(&pod, "2026-01-01T00:02:05Z".parse().unwrap()).to_string();
/// assert!(text.starts_with("Name:         web\nNamespace:    default\nNode:         <none>\nLabels:       app=a\n              tier=b\n"));
/// assert!(text.contains("\n  c:\n    Image:        nginx\n    Port:         <none>\n"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Describe<'a> {
    /// The pod; its own status is not looked at.
    pub pod: &'a Pod,
    /// Its status.
    pub status: &'a PodStatus,
    /// If it is being deleted.
    pub deletion: Option<Deleting>,
    /// What happened to it. `None`: the page says nothing of that.
    pub events: Option<Vec<EventRow>>,
    /// What time it is.
    pub now: Wall,
}

/// A deletion that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleting {
    /// When it was asked for. (kubectl counts from the end of the grace period, and prints `<invalid>` until then.)
    pub since: Option<Wall>,
    /// The grace period in seconds.
    pub grace: i64,
}

impl<'a> Describe<'a> {
    /// A pod as an API has it, with its status and times inside.
    pub fn of(pod: &'a Pod, now: Wall) -> Describe<'a> {
        let meta = &pod.metadata;
        let grace = meta.deletion_grace_period_seconds.unwrap_or(0);
        let deletion = meta.deletion_timestamp.map(|end| Deleting {
            since: Some(before(end, grace)),
            grace,
        });
        Describe {
            pod,
            status: &pod.status,
            deletion,
            events: None,
            now,
        }
    }

    /// With this status.
    pub fn status(mut self, status: &'a PodStatus) -> Self {
        self.status = status;
        self
    }

    /// While it is being deleted.
    pub fn deletion(mut self, deletion: Option<Deleting>) -> Self {
        self.deletion = deletion;
        self
    }

    /// With what happened to it, in the order of the page.
    pub fn events(mut self, events: Vec<EventRow>) -> Self {
        self.events = Some(events);
        self
    }
}

fn before(end: Wall, seconds: i64) -> Wall {
    let nanos = seconds.saturating_mul(1_000_000_000);
    Wall::from_nanos(end.as_nanos().saturating_sub(nanos))
}

impl fmt::Display for Describe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut page = Page::default();
        self.head(&mut page);
        self.state(&mut page);
        self.addresses(&mut page);
        self.containers(&mut page);
        self.conditions(&mut page);
        volume::volumes(&mut page, &self.pod.spec.volumes);
        self.placing(&mut page);
        let Some(events) = &self.events else {
            return f.write_str(&page.aligned());
        };
        if events.is_empty() {
            page.line(0, "Events:\t<none>");
        }
        f.write_str(&page.aligned())?;
        event::table(f, events, self.now)
    }
}

impl Describe<'_> {
    fn head(&self, page: &mut Page) {
        let (meta, spec) = (&self.pod.metadata, &self.pod.spec);
        let namespace = meta.namespace.as_deref().unwrap_or("default");
        page.line(0, format_args!("Name:\t{}", shown(&meta.name)));
        page.line(0, format_args!("Namespace:\t{namespace}"));
        if let Some(priority) = spec.priority {
            page.line(0, format_args!("Priority:\t{priority}"));
        }
        for (title, name) in [
            ("Priority Class Name", &spec.priority_class_name),
            ("Runtime Class Name", &spec.runtime_class_name),
            ("Service Account", &spec.service_account_name),
        ] {
            optional(page, title, name);
        }
        match spec.node_name.as_deref().unwrap_or_default() {
            "" => page.line(0, "Node:\t<none>"),
            node => page.line(
                0,
                format_args!("Node:\t{node}/{}", shown(&self.status.host_ip)),
            ),
        }
        if let Some(start) = self.status.start_time {
            page.line(0, format_args!("Start Time:\t{}", start.rfc1123z()));
        }
        page.list("Labels", pairs(&meta.labels));
        page.list("Annotations", annotations(&meta.annotations));
    }

    fn state(&self, page: &mut Page) {
        let phase = self.status.phase.as_ref();
        match self.deletion {
            Some(deletion) if !matches!(phase, Some(Phase::Failed | Phase::Succeeded)) => {
                let lasts = age(deletion.since, self.now);
                page.line(0, format_args!("Status:\tTerminating (lasts {lasts})"));
                page.line(
                    0,
                    format_args!("Termination Grace Period:\t{}s", deletion.grace),
                );
            }
            _ => page.line(
                0,
                format_args!("Status:\t{}", phase.map_or("", Phase::as_str)),
            ),
        }
        optional(page, "Reason", &self.status.reason);
        optional(page, "Message", &self.status.message);
        let security = self.pod.spec.security_context.as_ref();
        let profile = security.and_then(|security| security.seccomp_profile.as_ref());
        container::seccomp(page, 0, profile);
    }

    fn addresses(&self, page: &mut Page) {
        page.line(0, format_args!("IP:\t{}", shown(&self.status.pod_ip)));
        match &self.status.pod_ips[..] {
            [] => page.line(0, "IPs:\t<none>"),
            ips => {
                page.line(0, "IPs:");
                for one in ips {
                    page.line(1, format_args!("IP:\t{}", one.ip));
                }
            }
        }
        let mut owners = self.pod.metadata.owner_references.iter();
        if let Some(owner) = owners.find(|owner| owner.controller == Some(true)) {
            page.line(
                0,
                format_args!("Controlled By:\t{}/{}", owner.kind, owner.name),
            );
        }
        optional(page, "NominatedNodeName", &self.status.nominated_node_name);
        if let Some(resources) = &self.pod.spec.resources {
            page.line(0, "Resources:");
            container::resources(page, 1, resources);
        }
    }

    fn containers(&self, page: &mut Page) {
        let (pod, status) = (self.pod, self.status);
        let ephemeral = pod.spec.ephemeral_containers.iter();
        let ephemeral: Vec<_> = ephemeral.map(|one| one.as_container()).collect();
        let (init, regular) = (&pod.spec.init_containers, &pod.spec.containers);
        for (title, containers, statuses) in [
            ("Init Containers", init, &status.init_container_statuses),
            ("Containers", regular, &status.container_statuses),
            (
                "Ephemeral Containers",
                &ephemeral,
                &status.ephemeral_container_statuses,
            ),
        ] {
            if containers.is_empty() {
                continue;
            }
            page.line(0, format_args!("{title}:"));
            for one in containers {
                let status = statuses.iter().find(|status| status.name == one.name);
                container::container(page, pod, one, status);
            }
        }
    }

    fn conditions(&self, page: &mut Page) {
        let conditions = &self.status.conditions;
        let gates = &self.pod.spec.readiness_gates;
        if !gates.is_empty() {
            page.line(0, "Readiness Gates:\n  Type\tStatus");
        }
        for gate in gates {
            let mut all = conditions.iter();
            let own = all.find(|one| one.type_.as_str() == gate.condition_type);
            let status = own.map_or("<none>", |one| one.status.as_str());
            page.line(1, format_args!("{} \t{status} ", gate.condition_type));
        }
        if !conditions.is_empty() {
            page.line(0, "Conditions:\n  Type\tStatus");
        }
        for one in conditions {
            page.line(1, format_args!("{} \t{} ", one.type_, one.status));
        }
    }

    fn placing(&self, page: &mut Page) {
        let spec = &self.pod.spec;
        let class = self.status.qos_class.clone();
        let class = class.unwrap_or_else(|| qos_class(spec));
        page.line(0, format_args!("QoS Class:\t{class}"));
        page.list("Node-Selectors", pairs(&spec.node_selector));
        let mut tolerations: Vec<&Toleration> = spec.tolerations.iter().collect();
        tolerations.sort_by_key(|one| one.key.as_deref().unwrap_or_default());
        page.list("Tolerations", tolerations.into_iter().map(toleration));
    }
}

/// A line, unless there is nothing to say.
fn optional(page: &mut Page, title: &str, text: &Option<String>) {
    if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
        page.line(0, format_args!("{title}:\t{text}"));
    }
}

fn shown(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    map.iter().map(|(key, value)| format!("{key}={value}"))
}

fn annotations(map: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in map.iter().filter(|(key, _)| *key != LAST_APPLIED) {
        let value = value.strip_suffix('\n').unwrap_or(value);
        if key.len() + value.len() + 2 > ANNOTATION_MAX || value.contains('\n') {
            lines.push(format!("{key}:"));
            lines.extend(value.split('\n').map(|line| format!("  {}", cut(line))));
        } else {
            lines.push(format!("{key}: {value}"));
        }
    }
    lines
}

fn cut(line: &str) -> String {
    let most = ANNOTATION_MAX - 2;
    if line.len() <= most {
        return line.to_owned();
    }
    let end = (0..=most).rev().find(|end| line.is_char_boundary(*end));
    format!("{}...", &line[..end.unwrap_or(0)])
}

fn toleration(one: &Toleration) -> String {
    let mut text = shown(&one.key).to_owned();
    let value = shown(&one.value);
    if !value.is_empty() {
        text.extend(["=", value]);
    }
    if let Some(effect) = &one.effect {
        text.extend([":", effect.as_str()]);
    }
    if one.operator == Some(TolerationOperator::Exists) && value.is_empty() {
        text.push_str(if text.is_empty() {
            "op=Exists"
        } else {
            " op=Exists"
        });
    }
    if let Some(seconds) = one.toleration_seconds {
        text.push_str(&format!(" for {seconds}s"));
    }
    text
}
