//! The last status of a pod whose work is done: what is still open counts as failed.
//!
//! Source: `TerminatePod` in `pkg/kubelet/status/status_manager.go` of Kubernetes.

use super::container::{
    LOST, STATUS_UNKNOWN, has_ended_before, is_running, is_terminated, is_waiting,
};
use super::is_terminal;
use crate::lifecycle::rules::shape::{Role, Shape};
use crate::model::{ContainerState, ContainerStateTerminated, ContainerStatus, Phase, PodStatus};

/// Finishes `status`: every container that may have run and is not shown as terminated is given the exit code 137, and a
/// phase that is not terminal becomes Failed, but for a static pod. `initialized` is [`has_initialized`], asked of the API's
/// status before.
///
/// ```
/// use podlife::lifecycle::rules::shape::Shape;
/// use podlife::lifecycle::rules::status::terminate::{has_initialized, terminate};
/// use podlife::model::{Phase, Pod};
///
/// let mut pod: Pod = serde_json::from_str(r#"{"spec": {"containers": [{"name": "web"}]},
///     "status": {"phase": "Running", "containerStatuses": [{"name": "web", "state": {"running": {}}}]}}"#).unwrap();
/// let shape = Shape::new(&pod);
/// let initialized = has_initialized(&shape, &pod.status);
/// terminate(&mut pod.status, &shape, initialized);
/// assert_eq!(pod.status.phase, Some(Phase::Failed));
/// assert_eq!(pod.status.container_statuses[0].state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 137);
/// ```
pub fn terminate(status: &mut PodStatus, shape: &Shape, initialized: bool) {
    if initialized {
        status.container_statuses.iter_mut().for_each(end);
    }
    let begun = begun(&status.init_container_statuses);
    status.init_container_statuses[..begun]
        .iter_mut()
        .for_each(end);
    if !shape.is_static && !status.phase.as_ref().is_some_and(is_terminal) {
        status.phase = Some(Phase::Failed);
    }
}

/// Whether a pod's regular containers were ever to be started, by its status: there are no init containers; a regular one
/// has left waiting, or had; the last init container has succeeded; or it is a sidecar that runs and is started.
pub fn has_initialized(shape: &Shape, status: &PodStatus) -> bool {
    if shape.init.is_empty() || status.container_statuses.iter().any(has_begun) {
        return true;
    }
    let Some(last) = status.init_container_statuses.last() else {
        return false;
    };
    let mut views = shape.init.iter().map(|index| &shape.containers[*index]);
    match views
        .find(|view| *view.name == last.name)
        .map(|view| view.role)
    {
        Some(Role::Sidecar) => is_running(last) && last.started == Some(true),
        Some(_) => succeeded(last.state.as_ref()) || succeeded(last.last_state.as_ref()),
        None => false,
    }
}

/// How many init containers, from the first on, have to be accounted for: up to the last that shows that it began, and at
/// least one.
fn begun(list: &[ContainerStatus]) -> usize {
    let last = list.iter().rposition(has_begun);
    last.map_or(list.len().min(1), |last| last + 1)
}

fn has_begun(status: &ContainerStatus) -> bool {
    !is_waiting(status) || has_ended_before(status)
}

fn succeeded(state: Option<&ContainerState>) -> bool {
    state
        .and_then(|state| state.terminated.as_ref())
        .is_some_and(|ended| ended.exit_code == 0)
}

fn end(status: &mut ContainerStatus) {
    if is_terminated(status) {
        return;
    }
    let ended = ContainerStateTerminated {
        exit_code: 137,
        reason: Some(STATUS_UNKNOWN.to_owned()),
        message: Some(LOST.to_owned()),
        ..ContainerStateTerminated::default()
    };
    status.state = Some(ContainerState {
        terminated: Some(Box::new(ended)),
        ..ContainerState::default()
    });
}
