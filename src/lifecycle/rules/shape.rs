//! A pod's spec in the form the rules run on: containers by index, their policies decided, their probes as durations.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::resize::{Allocation, Restarts};
use crate::lifecycle::{Network, ProbeKind};
use crate::model::{
    Container, ContainerRestartPolicy, ContainerRestartRule, Pod, Probe, RestartPolicy,
    RestartRuleAction, RestartRuleOperator,
};

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// An init container that runs to its end before the next one starts.
    Init,
    /// An init container with `restartPolicy: Always`: started in order, kept running beside the regular ones.
    Sidecar,
    /// One of `spec.containers`.
    Regular,
    /// Added for debugging; started once.
    Ephemeral,
}

/// When an exited container is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Whatever its exit code.
    Always,
    /// When it failed.
    OnFailure,
    /// Never.
    Never,
}

/// One entry of `restartPolicyRules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRule {
    /// The listed codes match, or all others do. `None` for a rule without exit codes: it never matches.
    pub codes: Option<ExitCodes>,
    /// `RestartAllContainers` rather than `Restart`.
    pub all_containers: bool,
}

/// Which exit codes a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitCodes {
    /// These.
    In(Box<[i32]>),
    /// All but these.
    NotIn(Box<[i32]>),
}

/// A probe's numbers. A driver may shorten the periods below a second (`PodOptions`) after the shape is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeView {
    /// From the container's start to the first run; a negative one is none.
    pub initial_delay: Duration,
    /// Between runs.
    pub period: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// Successes in a row until it counts.
    pub success_threshold: u32,
    /// Failures in a row until it counts.
    pub failure_threshold: u32,
    /// The grace period in seconds when its failure ends the container, instead of the pod's.
    pub termination_grace: Option<i64>,
}

/// One container, with everything that can be decided from the spec alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerView {
    /// Its name.
    pub name: Arc<str>,
    /// Its image. With the name, all that counts as its definition.
    pub image: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// Its own `restartPolicy`, else the pod's.
    pub policy: Policy,
    /// Its `restartPolicyRules`; empty unless it has a `restartPolicy` of its own, without which they do not count.
    pub rules: Box<[ExitRule]>,
    /// Its probes. A valid init or ephemeral container has none; on one that is not valid they do not run.
    pub liveness: Option<ProbeView>,
    /// See [`ContainerView::liveness`].
    pub readiness: Option<ProbeView>,
    /// See [`ContainerView::liveness`].
    pub startup: Option<ProbeView>,
    /// Whether it has a postStart hook.
    pub post_start: bool,
    /// Whether it has a preStop hook.
    pub pre_stop: bool,
    /// What of its resources can change in place; `None` if it says nothing of them.
    pub resources: Option<Arc<Allocation>>,
    /// Which of them restart it when they change.
    pub restarts: Restarts,
    /// Its place in the list of statuses it is published in: spec order for init containers and sidecars, by name for the
    /// others.
    pub slot: u16,
}

impl ContainerView {
    /// The probe of this kind.
    pub fn probe(&self, kind: ProbeKind) -> Option<&ProbeView> {
        match kind {
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Startup => self.startup.as_ref(),
        }
    }

    /// Which probes are run on it, by one worker each.
    pub fn workers(&self) -> impl Iterator<Item = (ProbeKind, &ProbeView)> {
        let has_workers = matches!(self.role, Role::Sidecar | Role::Regular);
        [
            ProbeKind::Startup,
            ProbeKind::Liveness,
            ProbeKind::Readiness,
        ]
        .into_iter()
        .filter_map(move |kind| Some((kind, self.probe(kind).filter(|_| has_workers)?)))
    }
}

/// A pod's spec as the rules read it. Made once per pod and changed only with its spec.
///
/// An index names one container for the pod's whole life: init containers and sidecars first, then regular, then
/// ephemeral ones, each in spec order; what [`Shape::amend`] adds comes after them. The lists `init`, `regular` and
/// `ephemeral` hold indexes in spec order, of the containers that are in the spec now.
///
/// ```
/// use podlife::lifecycle::rules::shape::{Policy, Role, Shape};
/// use podlife::model::Pod;
///
/// let pod: Pod = serde_json::from_str(r#"{"spec": {
///     "restartPolicy": "Never",
///     "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
///     "containers": [{"name": "job"}]
/// }}"#).unwrap();
/// let shape = Shape::new(&pod);
/// assert_eq!(shape.containers[0].role, Role::Sidecar);
/// assert_eq!(shape.containers[0].policy, Policy::Always);
/// assert_eq!(shape.containers[1].policy, Policy::Never);
/// assert_eq!((&*shape.init, &*shape.regular), (&[0][..], &[1][..]));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Every container there ever was, by index.
    pub containers: Vec<ContainerView>,
    /// Init containers and sidecars, in spec order.
    pub init: Vec<usize>,
    /// Regular containers, in spec order.
    pub regular: Vec<usize>,
    /// Ephemeral containers, in spec order.
    pub ephemeral: Vec<usize>,
    /// Containers that are no longer in the spec.
    pub removed: Vec<usize>,
    /// The pod's `restartPolicy`; Always when it says nothing.
    pub policy: Policy,
    /// Whose network it uses.
    pub network: Network,
    /// Whether it comes from a file or URL instead of an API: it never ends by being terminated.
    pub is_static: bool,
    /// `terminationGracePeriodSeconds`.
    pub termination_grace: Option<i64>,
    /// `activeDeadlineSeconds`.
    pub active_deadline: Option<i64>,
    /// Condition types that must be True before the pod is ready.
    pub readiness_gates: Box<[Box<str>]>,
    /// `metadata.generation`, copied to what is published.
    pub generation: Option<i64>,
    /// The pod's uid: the first part of a published container id.
    pub uid: Box<str>,
    /// Whether some rule can restart all containers.
    pub can_restart_all: bool,
}

impl Shape {
    /// The shape of a pod. Total: an open pod that says nothing gets the API's defaults, and a word that is not known
    /// counts as not said.
    pub fn new(pod: &Pod) -> Shape {
        let mut shape = Shape {
            containers: Vec::with_capacity(
                pod.spec.containers.len() + pod.spec.init_containers.len(),
            ),
            init: Vec::new(),
            regular: Vec::new(),
            ephemeral: Vec::new(),
            removed: Vec::new(),
            policy: Policy::Always,
            network: Network::Pod,
            is_static: false,
            termination_grace: None,
            active_deadline: None,
            readiness_gates: Box::default(),
            generation: None,
            uid: pod.metadata.uid.as_deref().unwrap_or_default().into(),
            can_restart_all: false,
        };
        shape.amend(pod);
        shape
    }

    /// Takes over a changed spec. Containers keep their index by name; new ones are appended; removed ones keep their
    /// entry in `containers` but leave the lists.
    pub fn amend(&mut self, pod: &Pod) {
        let spec = &pod.spec;
        self.policy = pod_policy(spec.restart_policy.as_ref());
        self.network = match spec.host_network {
            Some(true) => Network::Node,
            _ => Network::Pod,
        };
        self.is_static = is_static(&pod.metadata.annotations);
        self.termination_grace = spec.termination_grace_period_seconds;
        self.active_deadline = spec.active_deadline_seconds;
        let gates = spec.readiness_gates.iter();
        self.readiness_gates = gates
            .map(|gate| gate.condition_type.as_str().into())
            .collect();
        self.generation = pod.metadata.generation;
        self.take_containers(pod);
        let can_restart_all = |index: usize| {
            self.containers[index]
                .rules
                .iter()
                .any(|rule| rule.all_containers)
        };
        let any = self.listed().any(can_restart_all);
        self.can_restart_all = any;
    }

    /// The containers of the spec: init containers and sidecars, regular, ephemeral.
    pub fn listed(&self) -> impl Iterator<Item = usize> + '_ {
        self.init
            .iter()
            .chain(&self.regular)
            .chain(&self.ephemeral)
            .copied()
    }

    /// The index of the container of this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.containers.iter().position(|view| &*view.name == name)
    }

    fn take_containers(&mut self, pod: &Pod) {
        let policy = self.policy;
        let init = pod.spec.init_containers.iter().map(|container| {
            let role = match container.restart_policy {
                Some(ContainerRestartPolicy::Always) => Role::Sidecar,
                _ => Role::Init,
            };
            view(container, role, policy)
        });
        self.init = self.place(init.collect());
        let regular = pod.spec.containers.iter();
        self.regular = self.place(regular.map(|c| view(c, Role::Regular, policy)).collect());
        let ephemeral = pod
            .spec
            .ephemeral_containers
            .iter()
            .map(|container| ContainerView {
                name: container.name.as_str().into(),
                image: container.image.as_deref().unwrap_or_default().into(),
                role: Role::Ephemeral,
                policy,
                rules: Box::default(),
                liveness: None,
                readiness: None,
                startup: None,
                post_start: false,
                pre_stop: false,
                resources: None,
                restarts: Restarts::default(),
                slot: 0,
            });
        self.ephemeral = self.place(ephemeral.collect());
        let is_listed = |index: &usize| self.listed().any(|listed| listed == *index);
        self.removed = (0..self.containers.len())
            .filter(|index| !is_listed(index))
            .collect();
        number_slots(&mut self.containers, &self.init);
        for list in [&self.regular, &self.ephemeral] {
            let mut by_name = list.clone();
            by_name.sort_by(|a, b| self.containers[*a].name.cmp(&self.containers[*b].name));
            number_slots(&mut self.containers, &by_name);
        }
    }

    /// Puts each where one of its name and sort is, or at the end.
    fn place(&mut self, views: Vec<ContainerView>) -> Vec<usize> {
        let same =
            |a: &ContainerView, b: &ContainerView| a.name == b.name && sort(a.role) == sort(b.role);
        let place =
            |view: ContainerView| match self.containers.iter().position(|old| same(old, &view)) {
                Some(index) => {
                    self.containers[index] = view;
                    index
                }
                None => {
                    self.containers.push(view);
                    self.containers.len() - 1
                }
            };
        views.into_iter().map(place).collect()
    }
}

/// Which list of the spec a container of this role stands in.
fn sort(role: Role) -> u8 {
    match role {
        Role::Init | Role::Sidecar => 0,
        Role::Regular => 1,
        Role::Ephemeral => 2,
    }
}

fn number_slots(containers: &mut [ContainerView], order: &[usize]) {
    for (&index, slot) in order.iter().zip(0..) {
        containers[index].slot = slot;
    }
}

fn view(container: &Container, role: Role, pod: Policy) -> ContainerView {
    let own = container.restart_policy.as_ref().and_then(own_policy);
    let rules = container.restart_policy_rules.iter().map(exit_rule);
    let probe = |probe: &Option<Probe>| probe.as_ref().map(probe_view);
    let hooks = container.lifecycle.as_ref();
    ContainerView {
        name: container.name.as_str().into(),
        image: container.image.as_deref().unwrap_or_default().into(),
        role,
        policy: own.unwrap_or(pod),
        rules: if own.is_some() {
            rules.collect()
        } else {
            Box::default()
        },
        liveness: probe(&container.liveness_probe),
        readiness: probe(&container.readiness_probe),
        startup: probe(&container.startup_probe),
        post_start: hooks.is_some_and(|hooks| hooks.post_start.is_some()),
        pre_stop: hooks.is_some_and(|hooks| hooks.pre_stop.is_some()),
        resources: allocation(container),
        restarts: Restarts::of(&container.resize_policy),
        slot: 0,
    }
}

fn allocation(container: &Container) -> Option<Arc<Allocation>> {
    let said = Allocation::of(container.resources.as_ref()?);
    (said != Allocation::default()).then(|| Arc::new(said))
}

fn pod_policy(policy: Option<&RestartPolicy>) -> Policy {
    match policy {
        Some(RestartPolicy::OnFailure) => Policy::OnFailure,
        Some(RestartPolicy::Never) => Policy::Never,
        Some(RestartPolicy::Always | RestartPolicy::Other(_)) | None => Policy::Always,
    }
}

fn own_policy(policy: &ContainerRestartPolicy) -> Option<Policy> {
    match policy {
        ContainerRestartPolicy::Always => Some(Policy::Always),
        ContainerRestartPolicy::OnFailure => Some(Policy::OnFailure),
        ContainerRestartPolicy::Never => Some(Policy::Never),
        ContainerRestartPolicy::Other(_) => None,
    }
}

fn exit_rule(rule: &ContainerRestartRule) -> ExitRule {
    let codes = rule.exit_codes.as_ref().and_then(|codes| {
        let values = codes.values.as_slice().into();
        match codes.operator {
            Some(RestartRuleOperator::In) => Some(ExitCodes::In(values)),
            Some(RestartRuleOperator::NotIn) => Some(ExitCodes::NotIn(values)),
            Some(RestartRuleOperator::Other(_)) | None => None,
        }
    });
    let all_containers = rule.action == Some(RestartRuleAction::RestartAllContainers);
    ExitRule {
        codes,
        all_containers,
    }
}

fn probe_view(probe: &Probe) -> ProbeView {
    let seconds = |value: Option<i32>, default: u64| {
        Duration::from_secs(value.map_or(default, |value| u64::try_from(value).unwrap_or(0)))
    };
    let times = |value: Option<i32>, default: u32| {
        value
            .map_or(default, |value| u32::try_from(value).unwrap_or(0))
            .max(1)
    };
    ProbeView {
        initial_delay: seconds(probe.initial_delay_seconds, 0),
        period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
        timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
        success_threshold: times(probe.success_threshold, 1),
        failure_threshold: times(probe.failure_threshold, 3),
        termination_grace: probe.termination_grace_period_seconds,
    }
}

/// Static pods name the source they were read from; pods of an API name none, or `api`.
fn is_static(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get("kubernetes.io/config.source")
        .is_some_and(|source| source != "api")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_survives_a_changed_spec() {
        let pod = |text: &str| serde_json::from_str::<Pod>(text).unwrap();
        let mut shape = Shape::new(&pod(
            r#"{"spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "b"}, {"name": "a"}]}}"#,
        ));
        shape.amend(&pod(
            r#"{"spec": {"initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}],
                "containers": [{"name": "a", "image": "new"}]}}"#,
        ));
        let names: Vec<&str> = shape.containers.iter().map(|view| &*view.name).collect();
        assert_eq!(names, ["i", "b", "a", "s"]);
        assert_eq!((&*shape.init, &*shape.regular), (&[3, 0][..], &[2][..]));
        assert_eq!(&*shape.containers[2].image, "new");
        assert_eq!((shape.containers[3].slot, shape.containers[0].slot), (0, 1));
    }

    #[test]
    fn rules_without_an_own_policy_do_not_count() {
        let rules = r#"[{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}]"#;
        let shape = |own: &str| {
            let text = format!(
                r#"{{"spec": {{"containers": [{{"name": "c", {own} "restartPolicyRules": {rules}}}]}}}}"#
            );
            Shape::new(&serde_json::from_str(&text).unwrap())
        };
        assert!(!shape("").can_restart_all);
        assert!(shape(r#""restartPolicy": "Never","#).can_restart_all);
    }
}
