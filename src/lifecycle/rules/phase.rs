//! The phase of a pod, from the statuses of its containers.
//!
//! Source: `getPhase` in `pkg/kubelet/kubelet_pods.go` of Kubernetes.

use super::restart::on_exit;
use super::shape::{ContainerView, Role, Shape};
use crate::model::{ContainerState, ContainerStateTerminated, ContainerStatus, Phase};

/// The reason of a container that an in-place restart of all containers has removed.
pub const RESTARTING_ALL_CONTAINERS: &str = "RestartingAllContainers";

/// The published statuses of a pod's containers, found by the shape's index. Both lists may be the same one: the first
/// entry of a name counts.
#[derive(Clone, Copy, Debug)]
pub struct Statuses<'a> {
    /// `status.initContainerStatuses`.
    pub init: &'a [ContainerStatus],
    /// `status.containerStatuses`.
    pub regular: &'a [ContainerStatus],
}

impl<'a> Statuses<'a> {
    /// The status of a container; `None` for an ephemeral one, and for one that is not in the list. Where the list is in
    /// the order in which it is published, this is a look at its slot.
    pub fn of(&self, container: &ContainerView) -> Option<&'a ContainerStatus> {
        let list = match container.role {
            Role::Init | Role::Sidecar => self.init,
            Role::Regular => self.regular,
            Role::Ephemeral => return None,
        };
        let named = |status: &&ContainerStatus| status.name == *container.name;
        list.get(usize::from(container.slot))
            .filter(named)
            .or_else(|| list.iter().find(named))
    }
}

/// What decides a phase beside the statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseFacts {
    /// Nothing of the pod will ever be started again, and nothing runs.
    pub terminal: bool,
    /// Some regular container has a record in the current sandbox.
    pub initialized: bool,
}

/// The phase. Pending, Running, Succeeded or Failed; what was published before does not matter here.
///
/// ```
/// use podlife::lifecycle::rules::phase::{PhaseFacts, Statuses, phase};
/// use podlife::lifecycle::rules::shape::Shape;
/// use podlife::model::{ContainerStatus, Phase, Pod};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec": {"restartPolicy": "Never", "containers": [{"name": "job"}]}}"#).unwrap();
/// let job: Vec<ContainerStatus> = serde_json::from_str(r#"[{"name": "job", "state": {"terminated": {"exitCode": 3}}}]"#).unwrap();
/// let statuses = Statuses { init: &[], regular: &job };
/// assert_eq!(phase(&Shape::new(&pod), statuses, PhaseFacts::default()), Phase::Failed);
/// ```
pub fn phase(shape: &Shape, statuses: Statuses<'_>, facts: PhaseFacts) -> Phase {
    let mut count = Count::default();
    for &index in shape.init.iter().chain(&shape.regular) {
        let container = &shape.containers[index];
        let status = statuses.of(container);
        match container.role {
            Role::Init => count.init(container, status),
            Role::Sidecar => count.sidecar(status),
            Role::Regular => count.regular(container, status),
            Role::Ephemeral => {}
        }
    }
    count.phase(facts, shape.is_static)
}

#[derive(Default)]
struct Count {
    pending_init: usize,
    failed_init: bool,
    pending_sidecar: usize,
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    stopped_for_good: usize,
    succeeded: usize,
}

impl Count {
    fn init(&mut self, container: &ContainerView, status: Option<&ContainerStatus>) {
        let ended = match (look(status), status) {
            (Look::Terminated(ended), _) => ended,
            (Look::Waiting, Some(status)) => match last_end(status) {
                Some(ended) => ended,
                None => return self.pending_init += 1,
            },
            _ => return self.pending_init += 1,
        };
        self.failed_init |= ended.exit_code != 0 && is_final(container, ended);
    }

    /// How a sidecar ended never matters.
    fn sidecar(&mut self, status: Option<&ContainerStatus>) {
        match (look(status), status) {
            (Look::Running, status) => {
                self.running += 1;
                let started = status.is_some_and(|status| status.started == Some(true));
                self.pending_sidecar += usize::from(!started);
            }
            (Look::Terminated(_), _) => {}
            (Look::Waiting, Some(status)) if last_end(status).is_some() => {}
            (Look::Waiting, _) => {
                self.pending_sidecar += 1;
                self.waiting += 1;
            }
            (Look::Empty, status) => {
                self.pending_sidecar += usize::from(status.is_some());
                self.unknown += 1;
            }
        }
    }

    fn regular(&mut self, container: &ContainerView, status: Option<&ContainerStatus>) {
        match (look(status), status) {
            (Look::Running, _) => self.running += 1,
            (Look::Terminated(ended), _) => {
                self.stop(container, ended);
                self.succeeded += usize::from(ended.exit_code == 0);
            }
            (Look::Waiting, Some(status)) => match last_end(status) {
                Some(ended) => self.stop(container, ended), // it waits to be started again, so it has not succeeded
                None => self.waiting += 1,
            },
            _ => self.unknown += 1,
        }
    }

    fn stop(&mut self, container: &ContainerView, ended: &ContainerStateTerminated) {
        self.stopped += 1;
        self.stopped_for_good += usize::from(is_final(container, ended));
    }

    fn phase(&self, facts: PhaseFacts, is_static: bool) -> Phase {
        let initializes = self.pending_init > 0 || (self.pending_sidecar > 0 && !facts.initialized);
        let is_settled = self.waiting == 0 && self.unknown == 0 && self.running + self.stopped > 0;
        let is_over = facts.terminal && !is_static;
        if self.failed_init {
            Phase::Failed
        } else if initializes || !is_settled {
            Phase::Pending
        } else if self.running > 0 || (self.stopped != self.stopped_for_good && !is_over) {
            Phase::Running
        } else if self.stopped == self.succeeded {
            Phase::Succeeded
        } else {
            Phase::Failed
        }
    }
}

/// What a status shows.
enum Look<'a> {
    Running,
    Terminated(&'a ContainerStateTerminated),
    Waiting,
    /// Nothing, or there is no status.
    Empty,
}

fn look(status: Option<&ContainerStatus>) -> Look<'_> {
    match status.and_then(|status| status.state.as_ref()) {
        Some(ContainerState {
            running: Some(_), ..
        }) => Look::Running,
        Some(ContainerState {
            terminated: Some(ended),
            ..
        }) => Look::Terminated(ended),
        Some(ContainerState {
            waiting: Some(_), ..
        }) => Look::Waiting,
        Some(_) | None => Look::Empty,
    }
}

fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.last_state.as_ref()?.terminated.as_deref()
}

/// The container will not be started again after this end.
fn is_final(container: &ContainerView, ended: &ContainerStateTerminated) -> bool {
    let restarts = on_exit(container, ended.exit_code).restarts();
    !restarts && ended.reason.as_deref() != Some(RESTARTING_ALL_CONTAINERS)
}
