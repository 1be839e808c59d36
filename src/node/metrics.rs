//! Figures for Prometheus.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::Duration;

use super::host::Host;
use super::node::Node;
use super::resident::Resident;
use crate::lifecycle::{AttemptState, ContainerIndex};
use crate::linux::cgroup::Cgroup;
use crate::model::{ContainerState, Phase};

/// The figures of a Node and its pods at one moment, in Prometheus' text format (version 0.0.4), under the names that cAdvisor, the
/// kubelet and kube-state-metrics give them. Its [`Display`](fmt::Display) is the page; see [`Node::metrics`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    families: Vec<Family>,
}

/// The samples of one name.
#[derive(Clone, Debug, PartialEq)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    samples: Vec<(String, f64)>,
}

/// Name, kind and meaning, in the order of the page.
const FAMILIES: [(&str, &str, &str); 20] = [
    (
        "kubelet_running_pods",
        "gauge",
        "Number of pods that have a running pod sandbox",
    ),
    (
        "kubelet_running_containers",
        "gauge",
        "Number of containers by state",
    ),
    ("kube_pod_status_phase", "gauge", "The pod's phase"),
    (
        "kube_pod_container_status_ready",
        "gauge",
        "Whether the container's readiness check succeeded",
    ),
    (
        "kube_pod_container_status_restarts_total",
        "counter",
        "Restarts of the container",
    ),
    (
        "pod_cpu_usage_seconds_total",
        "counter",
        "CPU time consumed by the pod in seconds",
    ),
    (
        "pod_memory_working_set_bytes",
        "gauge",
        "Working set of the pod in bytes",
    ),
    (
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds",
    ),
    (
        "container_cpu_usage_seconds_total",
        "counter",
        "CPU time consumed in seconds",
    ),
    (
        "container_cpu_user_seconds_total",
        "counter",
        "User CPU time consumed in seconds",
    ),
    (
        "container_cpu_system_seconds_total",
        "counter",
        "System CPU time consumed in seconds",
    ),
    (
        "container_cpu_cfs_periods_total",
        "counter",
        "Elapsed enforcement period intervals",
    ),
    (
        "container_cpu_cfs_throttled_periods_total",
        "counter",
        "Throttled period intervals",
    ),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "counter",
        "Time the container has been throttled in seconds",
    ),
    (
        "container_memory_usage_bytes",
        "gauge",
        "Memory usage in bytes, whenever it was accessed",
    ),
    (
        "container_memory_working_set_bytes",
        "gauge",
        "Working set in bytes",
    ),
    ("container_memory_rss", "gauge", "Anonymous memory in bytes"),
    ("container_memory_cache", "gauge", "Page cache in bytes"),
    (
        "container_oom_events_total",
        "counter",
        "Out of memory events observed for the container",
    ),
    (
        "container_threads",
        "gauge",
        "Threads running inside the container",
    ),
];

impl Node {
    /// The figures of the Node and its pods now. What a host does not count (memory, without the memory controller) is left out.
    /// It reads a handful of files for each running container.
    ///
    /// ```
    /// let node = podlife::Node::ephemeral()?;
    /// let page = node.metrics().to_string();
    /// assert!(page.contains("# TYPE kubelet_running_pods gauge\nkubelet_running_pods 0\n"));
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        let family = |&(name, kind, help): &(&'static str, _, _)| Family {
            name,
            help,
            kind,
            samples: Vec::new(),
        };
        let mut metrics = Metrics {
            families: FAMILIES.iter().map(family).collect(),
        };
        let running = self
            .pods
            .values()
            .filter(|pod| pod.sandbox.is_some())
            .count();
        metrics.add("kubelet_running_pods", &[], running as f64);
        let mut states = [("created", 0), ("exited", 0), ("running", 0)];
        for resident in self.pods.values() {
            metrics.pod(&self.host, resident);
            resident.count_containers(&mut states);
        }
        for (state, count) in states {
            metrics.add(
                "kubelet_running_containers",
                &[("container_state", state)],
                f64::from(count),
            );
        }
        metrics
    }
}

impl Resident {
    fn count_containers(&self, states: &mut [(&str, u32); 3]) {
        for container in self.machine.record().containers() {
            for attempt in container.attempts() {
                let state = match attempt.state {
                    AttemptState::Created => 0,
                    AttemptState::Exited(_) => 1,
                    AttemptState::Running { .. } => 2,
                    AttemptState::Unknown => continue,
                };
                states[state].1 += 1;
            }
        }
    }
}

impl Metrics {
    fn add(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        if let Some(family) = self.families.iter_mut().find(|family| family.name == name) {
            family.samples.push((text(labels), value));
        }
    }

    fn pod(&mut self, host: &Host, resident: &Resident) {
        let name = [
            ("namespace", &*resident.name.namespace),
            ("pod", &*resident.name.name),
        ];
        let status = resident.machine.status();
        let phases = [
            Phase::Pending,
            Phase::Running,
            Phase::Succeeded,
            Phase::Failed,
            Phase::Unknown,
        ];
        for phase in &phases {
            let labels = [&name[..], &[("phase", phase.as_str())]].concat();
            let is = status.phase.as_ref() == Some(phase);
            self.add("kube_pod_status_phase", &labels, f64::from(u8::from(is)));
        }
        if let Some(cgroup) = resident.pod_cgroup(host) {
            if let Ok(cpu) = cgroup.cpu_stat() {
                self.add(
                    "pod_cpu_usage_seconds_total",
                    &name,
                    cpu.usage.as_secs_f64(),
                );
            }
            if let Ok(Some(memory)) = cgroup.memory_stat() {
                self.add(
                    "pod_memory_working_set_bytes",
                    &name,
                    memory.working_set() as f64,
                );
            }
        }
        for container in status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses)
        {
            let labels = [&[("container", &*container.name)], &name[..]].concat();
            let ready = f64::from(u8::from(container.ready));
            self.add("kube_pod_container_status_ready", &labels, ready);
            let restarts = f64::from(container.restart_count);
            self.add(
                "kube_pod_container_status_restarts_total",
                &labels,
                restarts,
            );
            if let Some(started) = container.state.as_ref().and_then(started_at) {
                let image = [("image", &*container.image)];
                let labels = [&labels[..1], &image, &labels[1..]].concat();
                self.add("container_start_time_seconds", &labels, started);
                if let Some(cgroup) = resident.newest_cgroup(host, &container.name) {
                    self.container(&labels, &cgroup);
                }
            }
        }
    }

    fn container(&mut self, labels: &[(&str, &str)], cgroup: &Cgroup) {
        if let Ok(cpu) = cgroup.cpu_stat() {
            let seconds = |span: Duration| span.as_secs_f64();
            self.add(
                "container_cpu_usage_seconds_total",
                labels,
                seconds(cpu.usage),
            );
            self.add(
                "container_cpu_user_seconds_total",
                labels,
                seconds(cpu.user),
            );
            self.add(
                "container_cpu_system_seconds_total",
                labels,
                seconds(cpu.system),
            );
            if cpu.periods > 0 {
                self.add(
                    "container_cpu_cfs_periods_total",
                    labels,
                    cpu.periods as f64,
                );
                let throttled = cpu.throttled_periods as f64;
                self.add(
                    "container_cpu_cfs_throttled_periods_total",
                    labels,
                    throttled,
                );
                self.add(
                    "container_cpu_cfs_throttled_seconds_total",
                    labels,
                    seconds(cpu.throttled),
                );
            }
        }
        if let Ok(Some(memory)) = cgroup.memory_stat() {
            self.add(
                "container_memory_usage_bytes",
                labels,
                memory.current as f64,
            );
            self.add(
                "container_memory_working_set_bytes",
                labels,
                memory.working_set() as f64,
            );
            self.add("container_memory_rss", labels, memory.anon as f64);
            self.add("container_memory_cache", labels, memory.file as f64);
        }
        if let Some(counts) = cgroup
            .memory_events()
            .ok()
            .flatten()
            .and_then(|events| events.counts().ok())
        {
            self.add("container_oom_events_total", labels, counts.oom_kill as f64);
        }
        if let Ok(Some(pids)) = cgroup.pids_stat() {
            self.add("container_threads", labels, pids.current as f64);
        }
    }
}

impl Resident {
    /// Of the container's newest attempt.
    fn newest_cgroup(&self, host: &Host, name: &str) -> Option<Cgroup> {
        let record = self.machine.record();
        let index: ContainerIndex = record.index(name)?;
        let newest = record.container(index)?.attempts().first()?.number;
        self.container_cgroup(host, index, newest)
    }
}

fn started_at(state: &ContainerState) -> Option<f64> {
    let started = state.running.as_ref()?.started_at?;
    Some(started.as_nanos() as f64 / 1e9)
}

fn text(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let before = if text.is_empty() { '{' } else { ',' };
        // Writing into a String cannot fail.
        let _ = write!(text, "{before}{name}=\"{}\"", escaped(value));
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

/// Backslash, quote and line end.
fn escaped(value: &str) -> Cow<'_, str> {
    match value.contains(['\\', '"', '\n']) {
        true => value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
            .into(),
        false => value.into(),
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for family in self
            .families
            .iter()
            .filter(|family| !family.samples.is_empty())
        {
            let Family {
                name,
                help,
                kind,
                samples,
            } = family;
            writeln!(f, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            for (labels, value) in samples {
                writeln!(f, "{name}{labels} {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(text(&[]), "");
        assert_eq!(
            text(&[("a", "x\\y\"\n"), ("b", "")]),
            "{a=\"x\\\\y\\\"\\n\",b=\"\"}"
        );
    }
}
