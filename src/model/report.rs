//! What podlife does with each field of a pod. [`TABLE`] is the one place that says so; the manual's page is made from it.

use std::fmt;

use serde_json::Value;

use super::errors::{ErrorType, Errors, FieldError};
use super::pod::Pod;

/// What podlife does with a field.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does what Kubernetes says it does.
    Enforced,
    /// It is accepted and changes nothing here, and why.
    NoEffect(&'static str),
    /// A Node refuses a pod that has it, and why: to run it all the same would do harm.
    Refused(&'static str),
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Enforced => f.write_str("enforced"),
            Effect::NoEffect(why) => write!(f, "no effect: {why}"),
            Effect::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// A field that is present in a pod.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLine {
    /// Its path, such as `spec.containers[0].image`. What is the same for all that is below it is one line.
    pub field: String,
    /// What is done with it.
    pub effect: Effect,
}

/// What podlife does with each field that is present in a pod.
///
/// ```
/// use podlife::model::{Effect, Valid};
///
/// let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {
///     "nodeSelector": {"disk": "ssd"}, "containers": [{"name": "web", "image": "nginx"}]}}"#;
/// let pod = Valid::try_from(text).unwrap();
/// let idle: Vec<_> = pod.report().without_effect().map(|line| line.field.as_str()).collect();
/// assert_eq!(idle, ["spec.nodeSelector"]);
/// assert!(pod.report().strict().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldReport(Vec<FieldLine>);

impl FieldReport {
    /// The pod is a defaulted one: a default that has no effect is what Kubernetes would do anyway, so it is left out.
    pub(super) fn of(pod: &Pod) -> FieldReport {
        let mut report = FieldReport::default();
        if let Ok(tree) = serde_json::to_value(pod) {
            let whole = Walk {
                row: None,
                known: String::new(),
                field: String::new(),
            };
            report.walk(&tree, &whole);
        }
        report
    }

    /// Each field that is present.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldLine> {
        self.0.iter()
    }

    /// Those that change nothing here.
    pub fn without_effect(&self) -> impl Iterator<Item = &FieldLine> {
        self.iter()
            .filter(|line| matches!(line.effect, Effect::NoEffect(_)))
    }

    /// Whether a Node takes the pod.
    ///
    /// # Errors
    /// Every field that is refused.
    pub fn accept(&self) -> Result<(), Errors> {
        self.check(|effect| matches!(effect, Effect::Refused(_)))
    }

    /// The same, and fields without effect are errors too: for those who must know that all they wrote is done.
    ///
    /// # Errors
    /// Every field that is refused or has no effect.
    pub fn strict(&self) -> Result<(), Errors> {
        self.check(|effect| *effect != Effect::Enforced)
    }

    fn check(&self, wrong: impl Fn(&Effect) -> bool) -> Result<(), Errors> {
        let lines = self.iter().filter(|line| wrong(&line.effect));
        let error = |line: &FieldLine| {
            FieldError::new(&line.field, ErrorType::Forbidden, line.effect.to_string())
        };
        Errors::check(lines.map(error).collect())
    }

    fn walk(&mut self, tree: &Value, at: &Walk) {
        match tree {
            Value::Object(fields) if at.has_rows_below() => {
                for (name, value) in fields {
                    self.walk(value, &at.field(name, value));
                }
            }
            Value::Array(items) if at.has_rows_below() => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &at.index(index));
                }
            }
            _ => {
                let effect = at
                    .row
                    .map_or(Effect::NoEffect("it is not known here"), |row| row.effect);
                let idle_default = effect != Effect::Enforced && is_default(&at.known, tree);
                if !idle_default {
                    self.0.push(FieldLine {
                        field: at.field.clone(),
                        effect,
                    });
                }
            }
        }
    }
}

impl<'a> IntoIterator for &'a FieldReport {
    type Item = &'a FieldLine;
    type IntoIter = std::slice::Iter<'a, FieldLine>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A line a field.
impl fmt::Display for FieldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter()
            .try_for_each(|line| writeln!(f, "{}: {}", line.field, line.effect))
    }
}

/// A place in a pod: its path as the table knows it, and as people read it.
struct Walk {
    row: Option<&'static Row>,
    known: String,
    field: String,
}

impl Walk {
    fn field(&self, name: &str, value: &Value) -> Walk {
        let known = match (self.known.as_str(), name) {
            ("", name) => name.to_owned(),
            ("spec", "containers" | "initContainers" | "ephemeralContainers") => {
                "container".to_owned()
            }
            (known, name) => format!("{known}.{name}"),
        };
        let field = if self.field.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.field)
        };
        let row = TABLE
            .iter()
            .find(|row| row.matches(&known, value))
            .or(self.row);
        Walk { row, known, field }
    }

    fn index(&self, index: usize) -> Walk {
        Walk {
            row: self.row,
            known: self.known.clone(),
            field: format!("{}[{index}]", self.field),
        }
    }

    fn has_rows_below(&self) -> bool {
        let below = |row: &Row| {
            let rest = row.field.strip_prefix(self.known.as_str());
            self.known.is_empty()
                || rest.is_some_and(|rest| rest.starts_with('.'))
                || self.known == "spec"
        };
        TABLE.iter().any(below)
    }
}

/// A row of the table: a field, all below it that has no row of its own, and what is done with it.
#[non_exhaustive]
pub struct Row {
    /// Its path without indexes; `container` stands for main, init and ephemeral containers. A `*` at the end is any rest.
    pub field: &'static str,
    /// What is done with it.
    pub effect: Effect,
    /// The only value the row is for.
    value: Option<&'static str>,
}

impl Row {
    /// The only value the row is for, if it is for one.
    pub fn only_value(&self) -> Option<&'static str> {
        self.value
    }

    fn matches(&self, known: &str, value: &Value) -> bool {
        let named = match self.field.strip_suffix('*') {
            Some(start) => known.starts_with(start),
            None => known == self.field,
        };
        named && self.value.is_none_or(|only| value == only)
    }
}

const fn enforced(field: &'static str) -> Row {
    Row {
        field,
        effect: Effect::Enforced,
        value: None,
    }
}

const fn idle(field: &'static str, why: &'static str) -> Row {
    Row {
        field,
        effect: Effect::NoEffect(why),
        value: None,
    }
}

const fn refused(field: &'static str, why: &'static str) -> Row {
    Row {
        field,
        effect: Effect::Refused(why),
        value: None,
    }
}

const NOT_YET: &str = "not yet";
const ONE_HOST: &str = "there is one host, so nothing is scheduled";
const SERVER: &str = "it is for an API server to set";
const NO_SERVER: &str = "there is no API server to talk to";
const SELINUX: &str = "a host without SELinux has no labels; on one with it processes get theirs, which is not tested, \
    and files do not";
const WINDOWS: &str = "containers are Linux'";
const FOREIGN: &str = "one host cannot serve this volume";

/// Whether the value of a field that has no effect here is what Kubernetes fills in.
fn is_default(known: &str, value: &Value) -> bool {
    let word = match known {
        "spec.enableServiceLinks" => return value == true,
        "spec.schedulerName" => "default-scheduler",
        _ => return false,
    };
    value == word
}

/// The truth about every field. The first row that fits a field decides, else the row of what it is in.
pub const TABLE: &[Row] = &[
    enforced("apiVersion"),
    enforced("kind"),
    enforced("metadata"),
    idle("metadata.annotations.podlife.io/enforcement", NOT_YET),
    idle("metadata.annotations.podlife.io/oomGroup", NOT_YET),
    idle("metadata.creationTimestamp", SERVER),
    idle("metadata.deletionGracePeriodSeconds", SERVER),
    idle("metadata.deletionTimestamp", SERVER),
    idle(
        "metadata.finalizers",
        "a pod that is deleted goes; nobody is asked",
    ),
    idle("metadata.generateName", "names are not made up"),
    idle("metadata.generation", SERVER),
    idle("metadata.managedFields", SERVER),
    idle(
        "metadata.ownerReferences",
        "there are no owners, and nothing is collected",
    ),
    idle("metadata.resourceVersion", SERVER),
    idle("metadata.selfLink", SERVER),
    idle("status", "the Node finds it out itself"),
    enforced("spec.activeDeadlineSeconds"),
    idle("spec.affinity", ONE_HOST),
    idle("spec.automountServiceAccountToken", NO_SERVER),
    enforced("spec.dnsConfig"),
    enforced("spec.dnsPolicy"),
    idle("spec.enableServiceLinks", "there are no services"),
    enforced("spec.hostAliases"),
    enforced("spec.hostIPC"),
    enforced("spec.hostNetwork"),
    enforced("spec.hostPID"),
    enforced("spec.hostUsers"),
    enforced("spec.hostname"),
    idle("spec.hostnameOverride", NOT_YET),
    idle(
        "spec.imagePullSecrets",
        "images are directories of this host; none is pulled",
    ),
    idle("spec.nodeName", ONE_HOST),
    idle("spec.nodeSelector", ONE_HOST),
    Row {
        field: "spec.os.name",
        effect: Effect::Refused(WINDOWS),
        value: Some("windows"),
    },
    enforced("spec.os"),
    enforced("spec.overhead"),
    idle("spec.preemptionPolicy", ONE_HOST),
    idle("spec.priority", NOT_YET),
    idle("spec.priorityClassName", NOT_YET),
    enforced("spec.readinessGates"),
    refused(
        "spec.resourceClaims",
        "devices cannot be claimed here, and without them the pod must not start",
    ),
    enforced("spec.resources"),
    enforced("spec.restartPolicy"),
    idle("spec.runtimeClassName", "there is one way to run a pod"),
    idle("spec.schedulerName", ONE_HOST),
    refused(
        "spec.schedulingGates",
        "a gated pod must not start, and nobody opens its gates",
    ),
    idle("spec.schedulingGroup", ONE_HOST),
    enforced("spec.securityContext"),
    idle(
        "spec.securityContext.fsGroupChangePolicy",
        "it is for claimed volumes; an emptyDir always belongs to the fsGroup",
    ),
    idle(
        "spec.securityContext.seLinuxChangePolicy",
        "the files of volumes are not labelled",
    ),
    idle("spec.securityContext.seLinuxOptions", SELINUX),
    idle("spec.securityContext.windowsOptions", WINDOWS),
    idle("spec.serviceAccount", NO_SERVER),
    idle("spec.serviceAccountName", NO_SERVER),
    enforced("spec.setHostnameAsFQDN"),
    enforced("spec.shareProcessNamespace"),
    enforced("spec.subdomain"),
    enforced("spec.terminationGracePeriodSeconds"),
    idle("spec.tolerations", ONE_HOST),
    idle("spec.topologySpreadConstraints", ONE_HOST),
    refused("spec.volumes", FOREIGN),
    enforced("spec.volumes.name"),
    enforced("spec.volumes.configMap"),
    enforced("spec.volumes.downwardAPI"),
    enforced("spec.volumes.emptyDir"),
    enforced("spec.volumes.hostPath"),
    refused(
        "spec.volumes.image",
        "not yet: nothing here pulls images; use a hostPath that has the files",
    ),
    refused(
        "spec.volumes.persistentVolumeClaim",
        "not yet: nothing here binds claims; use a hostPath or an emptyDir",
    ),
    enforced("spec.volumes.projected"),
    refused(
        "spec.volumes.projected.sources.clusterTrustBundle",
        "there is no cluster that issues certificates",
    ),
    refused(
        "spec.volumes.projected.sources.podCertificate",
        "there is no cluster that issues certificates",
    ),
    refused(
        "spec.volumes.projected.sources.serviceAccountToken",
        "nobody here issues tokens; put one into a Secret",
    ),
    enforced("spec.volumes.secret"),
    enforced("container.args"),
    enforced("container.command"),
    enforced("container.env"),
    idle("container.env.valueFrom.fileKeyRef", NOT_YET),
    enforced("container.envFrom"),
    enforced("container.image"),
    enforced("container.imagePullPolicy"),
    enforced("container.lifecycle"),
    idle(
        "container.lifecycle.postStart.tcpSocket",
        "Kubernetes never did it either",
    ),
    idle(
        "container.lifecycle.preStop.tcpSocket",
        "Kubernetes never did it either",
    ),
    enforced("container.livenessProbe"),
    enforced("container.livenessProbe.grpc"),
    enforced("container.name"),
    enforced("container.ports"),
    idle(
        "container.ports.hostIP",
        "not yet: no port of the host leads to the pod",
    ),
    idle(
        "container.ports.hostPort",
        "not yet: no port of the host leads to the pod, unless it is on the host's network",
    ),
    enforced("container.readinessProbe"),
    enforced("container.readinessProbe.grpc"),
    enforced("container.resizePolicy"),
    enforced("container.resources"),
    refused(
        "container.resources.claims",
        "devices cannot be claimed here",
    ),
    idle("container.resources.limits.ephemeral-storage", NOT_YET),
    idle("container.resources.limits.hugepages-*", NOT_YET),
    idle("container.resources.requests.ephemeral-storage", NOT_YET),
    idle("container.resources.requests.hugepages-*", NOT_YET),
    enforced("container.restartPolicy"),
    enforced("container.restartPolicyRules"),
    enforced("container.securityContext"),
    idle("container.securityContext.seLinuxOptions", SELINUX),
    idle("container.securityContext.windowsOptions", WINDOWS),
    enforced("container.startupProbe"),
    enforced("container.startupProbe.grpc"),
    enforced("container.stdin"),
    enforced("container.stdinOnce"),
    enforced("container.targetContainerName"),
    enforced("container.terminationMessagePath"),
    enforced("container.terminationMessagePolicy"),
    enforced("container.tty"),
    refused("container.volumeDevices", FOREIGN),
    enforced("container.volumeMounts"),
    idle("container.volumeMounts.mountPropagation", NOT_YET),
    idle("container.volumeMounts.recursiveReadOnly", NOT_YET),
    enforced("container.workingDir"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shape;

    /// As [`Walk`] writes them.
    fn known(field: &str) -> Option<String> {
        if field == "spec.ephemeralContainers.targetContainerName" {
            return Some("container.targetContainerName".to_owned());
        }
        let lists = ["spec.initContainers", "spec.ephemeralContainers"];
        match lists.iter().any(|list| field.starts_with(list)) {
            true => None,
            false => Some(field.replacen("spec.containers", "container", 1)),
        }
    }

    #[test]
    fn every_field_has_a_row_and_every_row_a_field() {
        let fields: Vec<String> = shape::fields::<Pod>()
            .iter()
            .filter_map(|field| known(field))
            .collect();
        assert!(fields.len() > 500, "{}", fields.len());
        let covers = |row: &Row, field: &str| {
            field
                .strip_prefix(row.field)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let groups = ["spec", "container"];
        for field in fields
            .iter()
            .filter(|field| !groups.contains(&field.as_str()))
        {
            assert!(
                TABLE.iter().any(|row| covers(row, field)),
                "no row for {field}"
            );
        }
        for row in TABLE {
            let is_key = row.field.contains(".annotations.")
                || row.field.contains(".limits.")
                || row.field.contains(".requests.");
            assert!(
                is_key || fields.iter().any(|field| field == row.field),
                "no field for the row {}",
                row.field
            );
        }
    }

    #[test]
    fn what_defaults_add_is_not_reported_as_idle() {
        let web = crate::model::Container::new("web", "nginx").limit("cpu", 1);
        let pod = Pod::new("web").container(web).validate().unwrap();
        let idle: Vec<&FieldLine> = pod.report().without_effect().collect();
        assert!(idle.is_empty(), "{idle:?}");
        assert!(pod.report().strict().is_ok());
    }

    #[test]
    fn a_refused_field_is_an_error_everywhere() {
        let claim = serde_json::json!({"name": "data", "iscsi": {"iqn": "x", "targetPortal": "y"}});
        let volume = serde_json::from_value(claim).unwrap();
        let web = crate::model::Container::new("web", "nginx");
        let pod = Pod::new("web")
            .container(web)
            .volume(volume)
            .validate()
            .unwrap();
        let errors = pod.report().accept().unwrap_err();
        assert_eq!(
            errors.to_string(),
            "spec.volumes[0].iscsi: forbidden: refused: one host cannot serve this volume"
        );
    }
}
