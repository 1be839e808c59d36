//! The row that `kubectl get pods` shows.
//!
//! Source: `printPod` in `pkg/printers/internalversion/printers.go` and `apimachinery/pkg/util/duration` of Kubernetes.

use std::fmt::{self, Display};

use super::condition::holds;
use super::status::is_terminal;
use crate::model::{
    ConditionStatus, ConditionType, ContainerRestartPolicy, ContainerState,
    ContainerStateTerminated, ContainerStatus, Pod, PodStatus,
};
use crate::time::Wall;

const NONE: &str = "<none>";

/// What a row is made from: a pod, its status, and two facts of its life that a manifest does not have.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The pod; its own status is not looked at.
    pub pod: &'a Pod,
    /// Its status.
    pub status: &'a PodStatus,
    /// Whether it is being deleted.
    pub deleted: bool,
    /// When it was created.
    pub created: Option<Wall>,
}

impl<'a> Listed<'a> {
    /// A pod as an API has it, with its status and times inside.
    pub fn of(pod: &'a Pod) -> Listed<'a> {
        Listed {
            pod,
            status: &pod.status,
            deleted: pod.metadata.deletion_timestamp.is_some(),
            created: pod.metadata.creation_timestamp,
        }
    }
}

/// One pod in a list, cell by cell. The last four are those of `-o wide`.
///
/// ```
/// use podlife::lifecycle::rules::column::{Listed, Row};
/// use podlife::model::Pod;
///
/// let pod: Pod = serde_json::from_str(r#"{"metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"},
///     "spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running", "containerStatuses":
///     [{"name": "c", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}"#).unwrap();
/// let row = Row::new(&Listed::of(&pod), "2026-01-01T00:02:05Z".parse().unwrap());
/// assert_eq!((&*row.ready, &*row.status, &*row.restarts, &*row.age), ("0/1", "CrashLoopBackOff", "2", "2m5s"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// NAME.
    pub name: String,
    /// READY: ready containers of those that serve.
    pub ready: String,
    /// STATUS: the most telling word.
    pub status: String,
    /// RESTARTS, and how long ago the last one was.
    pub restarts: String,
    /// AGE.
    pub age: String,
    /// IP: the pod's first.
    pub ip: String,
    /// NODE.
    pub node: String,
    /// NOMINATED NODE.
    pub nominated_node: String,
    /// READINESS GATES: open ones of all.
    pub readiness_gates: String,
}

impl Row {
    /// The names of the columns, as wide as [`Row`]'s own text has them.
    pub const HEADER: &'static str =
        "NAME               READY   STATUS              RESTARTS       AGE";

    /// The row at this time.
    pub fn new(listed: &Listed<'_>, now: Wall) -> Row {
        let Listed { pod, status, .. } = *listed;
        let seen = Walk::over(listed);
        let text = |text: Option<&str>| {
            text.filter(|text| !text.is_empty())
                .unwrap_or(NONE)
                .to_owned()
        };
        let sidecars = pod
            .spec
            .init_containers
            .iter()
            .filter(|container| is_sidecar(container.restart_policy.as_ref()));
        Row {
            name: pod.metadata.name.clone().unwrap_or_default(),
            ready: format!(
                "{}/{}",
                seen.ready,
                pod.spec.containers.len() + sidecars.count()
            ),
            restarts: seen.restarts.text(now),
            status: seen.word,
            age: age(listed.created, now),
            ip: text(status.pod_ips.first().map(|ip| &*ip.ip)),
            node: text(pod.spec.node_name.as_deref()),
            nominated_node: text(status.nominated_node_name.as_deref()),
            readiness_gates: gates(pod, status),
        }
    }

    /// Its cells in order; five, or nine when `wide`.
    pub fn cells(&self, wide: bool) -> Vec<&str> {
        let mut cells = vec![
            &*self.name,
            &*self.ready,
            &*self.status,
            &*self.restarts,
            &*self.age,
        ];
        if wide {
            cells.extend([
                &*self.ip,
                &*self.node,
                &*self.nominated_node,
                &*self.readiness_gates,
            ]);
        }
        cells
    }
}

/// A line below [`Row::HEADER`], for rows that come one by one: `kubectl get pods -w`.
impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, ready, status, restarts, age] = [
            &self.name,
            &self.ready,
            &self.status,
            &self.restarts,
            &self.age,
        ];
        write!(
            f,
            "{name:<16}   {ready:<5}   {status:<17}   {restarts:<12}   {age}"
        )
    }
}

/// Rows as `kubectl` prints them: a heading, and columns as wide as they need to be.
///
/// ```
/// use podlife::lifecycle::rules::column::{Listed, Row, Table};
/// use podlife::model::Pod;
/// use podlife::time::Wall;
///
/// let pod: Pod = serde_json::from_str(r#"{"metadata": {"name": "web"}, "status": {"phase": "Pending"}}"#).unwrap();
/// let rows = [Row::new(&Listed::of(&pod), Wall::default())];
/// assert_eq!(Table { rows: &rows, wide: false }.to_string(),
///     "NAME   READY   STATUS    RESTARTS   AGE\nweb    0/0     Pending   0          <unknown>\n");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The rows, in the order in which they are printed.
    pub rows: &'a [Row],
    /// With the columns of `-o wide`.
    pub wide: bool,
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![vec!["NAME", "READY", "STATUS", "RESTARTS", "AGE"]];
        if self.wide {
            lines[0].extend(["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]);
        }
        lines.extend(self.rows.iter().map(|row| row.cells(self.wide)));
        let width = |column: usize| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        for line in &lines {
            let (last, others) = line.split_last().ok_or(fmt::Error)?;
            for (cell, width) in others.iter().zip(&widths) {
                write!(f, "{cell:width$}   ")?;
            }
            writeln!(f, "{last}")?;
        }
        Ok(())
    }
}

/// How long ago something was, as `kubectl` rounds it: `119s`, `9m59s`, `179m`, `7h59m`, `47h`, `7d23h`, `729d`, `2y1d`, `8y`.
/// Less than two seconds ahead is now, further ahead is invalid.
pub fn age(then: Option<Wall>, now: Wall) -> String {
    let Some(then) = then else {
        return "<unknown>".to_owned();
    };
    let seconds = now.as_nanos().saturating_sub(then.as_nanos()) / 1_000_000_000;
    let Ok(seconds) = u64::try_from(seconds) else {
        return if seconds < -1 { "<invalid>" } else { "0s" }.to_owned();
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, 'm', seconds % 60, 's')
    } else if hours < 3 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, 'h', minutes % 60, 'm')
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, 'd', hours % 24, 'h')
    } else if days < 2 * 365 {
        format!("{days}d")
    } else if days < 8 * 365 {
        two(days / 365, 'y', days % 365, 'd')
    } else {
        format!("{}y", days / 365)
    }
}

fn two(whole: u64, unit: char, part: u64, part_unit: char) -> String {
    match part {
        0 => format!("{whole}{unit}"),
        _ => format!("{whole}{unit}{part}{part_unit}"),
    }
}

fn gates(pod: &Pod, status: &PodStatus) -> String {
    let gates = &pod.spec.readiness_gates;
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let is_open = |gate: &str| {
        let named = status
            .conditions
            .iter()
            .find(|condition| condition.type_.as_str() == gate);
        named.is_some_and(|condition| condition.status == ConditionStatus::True)
    };
    let open = gates
        .iter()
        .filter(|gate| is_open(&gate.condition_type))
        .count();
    format!("{open}/{}", gates.len())
}

/// What a walk over the containers comes to.
struct Walk {
    word: String,
    ready: usize,
    restarts: Restarts,
}

impl Walk {
    fn over(listed: &Listed<'_>) -> Walk {
        let Listed { pod, status, .. } = *listed;
        let phase = status.phase.as_ref().map_or("", |phase| phase.as_str());
        let reason = status.reason.as_deref().filter(|reason| !reason.is_empty());
        let gated = status.conditions.iter().any(|condition| {
            condition.type_ == ConditionType::PodScheduled
                && condition.reason.as_deref() == Some("SchedulingGated")
        });
        let word = if gated {
            "SchedulingGated"
        } else {
            reason.unwrap_or(phase)
        };
        let mut walk = Walk {
            word: word.to_owned(),
            ready: 0,
            restarts: Restarts::default(),
        };
        let mut of_sidecars = Restarts::default();
        let stopped = walk.init(pod, status, &mut of_sidecars);
        if !stopped || holds(&status.conditions, &ConditionType::Initialized) {
            walk.restarts = of_sidecars;
            walk.regular(status);
        }
        if listed.deleted && reason == Some("NodeLost") {
            walk.word = "Unknown".to_owned();
        } else if listed.deleted && !status.phase.as_ref().is_some_and(is_terminal) {
            walk.word = "Terminating".to_owned();
        }
        walk
    }

    /// Goes on to the first init container that is not done; returns whether there is one.
    fn init(&mut self, pod: &Pod, status: &PodStatus, of_sidecars: &mut Restarts) -> bool {
        let all = &pod.spec.init_containers;
        for (place, container) in status.init_container_statuses.iter().enumerate() {
            let spec = all.iter().find(|spec| spec.name == container.name);
            let is_sidecar = spec.is_some_and(|spec| is_sidecar(spec.restart_policy.as_ref()));
            self.restarts.add(container);
            if is_sidecar {
                of_sidecars.add(container);
            }
            let state = container.state.as_ref();
            let ended = state.and_then(|state| state.terminated.as_ref());
            if ended.is_some_and(|ended| ended.exit_code == 0) {
                continue;
            }
            if is_sidecar && container.started == Some(true) {
                self.ready += usize::from(container.ready);
                continue;
            }
            self.word = match (ended, waiting_reason(state)) {
                (Some(ended), _) => format!("Init:{}", end_word(ended)),
                (None, Some(reason)) if reason != "PodInitializing" => format!("Init:{reason}"),
                (None, _) => format!("Init:{place}/{}", all.len()),
            };
            return true;
        }
        false
    }

    /// From the last to the first, so that the first has the last word.
    fn regular(&mut self, status: &PodStatus) {
        let mut runs = false;
        for container in status.container_statuses.iter().rev() {
            self.restarts.add(container);
            let state = container.state.as_ref();
            if let Some(reason) = waiting_reason(state) {
                self.word = reason.to_owned();
            } else if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
                self.word = end_word(ended);
            } else if container.ready && state.is_some_and(|state| state.running.is_some()) {
                runs = true;
                self.ready += 1;
            }
        }
        if runs && self.word == "Completed" {
            let is_ready = holds(&status.conditions, &ConditionType::Ready);
            self.word = if is_ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

/// Restarts so far, and when the last container that was restarted had ended.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Wall>,
}

impl Restarts {
    fn add(&mut self, container: &ContainerStatus) {
        self.count += i64::from(container.restart_count);
        let last = container
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        self.last = self.last.max(last.and_then(|ended| ended.finished_at));
    }

    fn text(&self, now: Wall) -> String {
        match self.last {
            Some(_) if self.count != 0 => format!("{} ({} ago)", self.count, age(self.last, now)),
            _ => self.count.to_string(),
        }
    }
}

fn is_sidecar(policy: Option<&ContainerRestartPolicy>) -> bool {
    policy == Some(&ContainerRestartPolicy::Always)
}

fn waiting_reason(state: Option<&ContainerState>) -> Option<&str> {
    let reason = state?.waiting.as_ref()?.reason.as_deref();
    reason.filter(|reason| !reason.is_empty())
}

fn end_word(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref(), ended.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended.exit_code),
    }
}
