//! The status of one container, from its records and what was published before. In place.
//!
//! Source: `convertToAPIContainerStatuses` in `pkg/kubelet/kubelet_pods.go` of Kubernetes.

use std::fmt::{self, Display};

use crate::lifecycle::rules::facts::{Flight, Seen};
use crate::lifecycle::rules::phase::RESTARTING_ALL_CONTAINERS;
use crate::lifecycle::rules::probe::{is_ready, is_started};
use crate::lifecycle::rules::restart::should_start;
use crate::lifecycle::rules::rewrite::Pen;
use crate::lifecycle::rules::shape::{ContainerView, Role, Shape};
use crate::lifecycle::{Attempt, AttemptState, Exit, Failure};
use crate::model::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus,
};
use crate::time::Wall;

const REMOVED: &str = "The container is removed because RestartAllContainers in place";
const LOST_BEFORE: &str = "The container could not be located when the pod was deleted.  The container used to be Running";
const INIT_GONE: &str = "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally";
pub(super) const LOST: &str = "The container could not be located when the pod was terminated";
pub(super) const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

/// What a container's status depends on beside the container itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// The pod is being deleted.
    pub pod_deleted: bool,
    /// All containers are restarting in place.
    pub restarting_all: bool,
    /// Some regular container was made: [`any_regular_created`].
    pub regular_created: bool,
}

/// Whether some regular container has a record that proves it was made, in this sandbox. `None` is in any: all that the
/// kubelet can tell.
pub fn any_regular_created<'s>(
    shape: &Shape,
    sandbox: Option<u32>,
    seen: impl Fn(usize) -> Seen<'s>,
) -> bool {
    let is_proof = |attempt: &Attempt| {
        attempt.state != AttemptState::Unknown
            && sandbox.is_none_or(|sandbox| sandbox == attempt.sandbox)
    };
    shape
        .regular
        .iter()
        .any(|index| seen(*index).newest().is_some_and(is_proof))
}

/// The id that is published for an attempt: `podlife://<pod uid>/<container>/<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerId<'a> {
    /// The pod's uid.
    pub pod: &'a str,
    /// The container's name.
    pub container: &'a str,
    /// The attempt's number.
    pub attempt: u32,
}

const SCHEME: &str = "podlife://";

impl ContainerId<'_> {
    /// Whether it is written as `text`.
    fn is(self, text: &str) -> bool {
        let rest = text
            .strip_prefix(SCHEME)
            .and_then(|text| text.strip_prefix(self.pod));
        let rest = rest.and_then(|text| text.strip_prefix('/')?.strip_prefix(self.container));
        rest.and_then(|text| text.strip_prefix('/'))
            .is_some_and(|text| is_number(text, self.attempt))
    }
}

impl Display for ContainerId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}{}/{}/{}",
            self.pod, self.container, self.attempt
        )
    }
}

/// Whether `text` is how this number is written.
fn is_number(text: &str, number: u32) -> bool {
    let is_canonical = text == "0" || !text.starts_with(['0', '+']);
    is_canonical && text.parse() == Ok(number)
}

/// Rewrites `status`, what was published before, into what is to be published now, but for `started` and `ready`, which
/// [`fill`] does next. A status without a state is one of a container that was never published. Returns whether it changed.
///
/// Reads of the container: its two newest attempts and the start error. What nobody here knows (`imageID`, `resources`,
/// `user`, `volumeMounts`) is left as it is.
pub fn convert(
    status: &mut ContainerStatus,
    shape: &Shape,
    index: usize,
    seen: &Seen<'_>,
    around: Around,
) -> bool {
    let container = &shape.containers[index];
    let mut scribe = Scribe {
        pen: Pen::default(),
        shape,
        container,
    };
    let facts = Facts {
        shape,
        container,
        around,
        was_running: is_running(status),
    };
    let shows = match seen.attempts {
        [] => facts.without_record(status),
        [newest, older @ ..] => {
            let is_new = scribe.meet(status, newest);
            facts.of_records(status, newest, older.first(), is_new)
        }
    };
    let shows = facts.with_start_error(status, seen, shows);
    if seen.attempts.is_empty() && !matches!(shows.state, State::Old) {
        scribe.forget(status);
    }
    scribe.write(status, shows);
    scribe.pen.changed
}

/// Fills in `started` and `ready`. Returns whether they changed.
pub fn fill(status: &mut ContainerStatus, container: &ContainerView, seen: &Seen<'_>) -> bool {
    let mut pen = Pen::default();
    let state = status.state.as_ref();
    let runs = state.is_some_and(|state| state.running.is_some());
    let was_started = status.started == Some(true);
    let is_hooked = seen.flight == Some(Flight::PostStart);
    let started = runs && !is_hooked && is_started(container, &seen.results, was_started);
    let succeeded = state
        .and_then(|state| state.terminated.as_ref())
        .is_some_and(|ended| ended.exit_code == 0);
    let ready = match container.role {
        Role::Init => succeeded,
        Role::Sidecar | Role::Regular => {
            started && is_ready(container, &seen.results, status.ready)
        }
        Role::Ephemeral => return false, // the kubelet says nothing of them
    };
    pen.set(&mut status.started, Some(started));
    pen.set(&mut status.ready, ready);
    pen.changed
}

/// What is to be shown: decided first, written once, so that nothing is written over twice.
struct Shows<'a> {
    restart_count: i32,
    state: State<'a>,
    last: State<'a>,
}

/// One state to be shown.
#[derive(Clone, Copy)]
enum State<'a> {
    /// What stands in this place.
    Old,
    /// What was published as the state.
    Previous,
    Nothing,
    Waiting(Option<&'a str>, Option<&'a str>),
    Running(Wall),
    /// An attempt's end.
    Exited(u32, &'a Exit),
    /// An end that nobody saw: code, reason, message.
    MadeUp(i32, &'static str, &'static str),
}

struct Facts<'a> {
    shape: &'a Shape,
    container: &'a ContainerView,
    around: Around,
    /// It was published as running.
    was_running: bool,
}

impl Facts<'_> {
    /// Nothing is on record: the container waits, or it is gone and its end has to be made up.
    fn without_record<'a>(&self, status: &ContainerStatus) -> Shows<'a> {
        let restart_count = status.restart_count;
        let again = restart_count.saturating_add(1);
        let first = match self.shape.init.is_empty() {
            true => State::Waiting(Some("ContainerCreating"), None),
            false => State::Waiting(Some("PodInitializing"), None),
        };
        if self.around.restarting_all && (self.was_running || is_terminated(status)) {
            let reason = RESTARTING_ALL_CONTAINERS;
            return Shows {
                restart_count: again,
                state: self.init_gone(State::Waiting(Some(reason), Some(REMOVED))),
                last: State::MadeUp(137, reason, REMOVED),
            };
        }
        if is_terminated(status) {
            return Shows {
                restart_count,
                state: State::Old,
                last: State::Old,
            };
        }
        if self.was_running && !has_ended_before(status) {
            return Shows {
                restart_count: if self.around.pod_deleted {
                    restart_count
                } else {
                    again
                },
                state: self.init_gone(first),
                last: State::MadeUp(137, STATUS_UNKNOWN, LOST_BEFORE),
            };
        }
        Shows {
            restart_count,
            state: self.init_gone(first),
            last: State::Old,
        }
    }

    /// An init container whose record is gone has succeeded if regular containers were made.
    fn init_gone<'a>(&self, else_: State<'a>) -> State<'a> {
        match self.container.role {
            Role::Init if self.around.regular_created => State::MadeUp(0, "Completed", INIT_GONE),
            _ => else_,
        }
    }

    /// The newest record makes the state, the one before the last state. Restart count and last state do not fall behind
    /// what was published: records may have been removed.
    fn of_records<'a>(
        &self,
        status: &ContainerStatus,
        newest: &'a Attempt,
        older: Option<&'a Attempt>,
        is_new: bool,
    ) -> Shows<'a> {
        let published = status.restart_count;
        let count = i32::try_from(newest.restart_count).unwrap_or(i32::MAX);
        let was_terminated = is_terminated(status);
        let restart_count = match newest.state {
            AttemptState::Running { .. } if was_terminated && published >= count => {
                published.saturating_add(1)
            }
            AttemptState::Unknown if self.was_running => published.saturating_add(1),
            _ => count.max(published),
        };
        let last = match older {
            Some(older) => self.of(older),
            None if is_new && was_terminated => State::Previous,
            None if has_ended_before(status) => State::Old,
            None => State::Nothing,
        };
        Shows {
            restart_count,
            state: self.of(newest),
            last,
        }
    }

    /// A record as a state.
    fn of<'a>(&self, attempt: &'a Attempt) -> State<'a> {
        match &attempt.state {
            AttemptState::Running { started } => State::Running(started.wall.whole_second()),
            AttemptState::Exited(exit) => State::Exited(attempt.number, exit),
            AttemptState::Unknown if self.was_running && self.around.restarting_all => {
                State::MadeUp(137, RESTARTING_ALL_CONTAINERS, LOST)
            }
            AttemptState::Unknown if self.was_running => State::MadeUp(137, STATUS_UNKNOWN, LOST),
            AttemptState::Created | AttemptState::Unknown => State::Waiting(None, None),
        }
    }

    /// A container that is to be started and could not be is waiting, except init containers that are done.
    fn with_start_error<'a>(
        &self,
        status: &ContainerStatus,
        seen: &Seen<'a>,
        shows: Shows<'a>,
    ) -> Shows<'a> {
        let Some(Failure { reason, message }) = seen.start_error else {
            return shows;
        };
        let is_done = match (self.container.role, seen.state()) {
            (Role::Init | Role::Sidecar, Some(AttemptState::Exited(exit))) => exit.code == 0,
            (Role::Init, None) => self.around.regular_created,
            _ => false,
        };
        if is_done || !should_start(self.container, seen, self.around.pod_deleted) {
            return shows;
        }
        let last = match shows.state {
            State::Old if is_terminated(status) => State::Previous,
            ended @ (State::Exited(..) | State::MadeUp(..)) => ended,
            _ => shows.last,
        };
        let message = Some(&**message).filter(|message| !message.is_empty());
        Shows {
            state: State::Waiting(Some(reason), message),
            last,
            ..shows
        }
    }
}

struct Scribe<'a> {
    pen: Pen,
    shape: &'a Shape,
    container: &'a ContainerView,
}

impl Scribe<'_> {
    /// Writes whose status it is. Returns whether it is that of another attempt than before.
    fn meet(&mut self, status: &mut ContainerStatus, newest: &Attempt) -> bool {
        self.image(status, &newest.image);
        if !self.id(&mut status.container_id, newest.number) {
            return false;
        }
        self.unstart(status);
        true
    }

    /// Of an attempt that is not on record any more nothing is told.
    fn forget(&mut self, status: &mut ContainerStatus) {
        self.image(status, &self.container.image);
        self.pen.text(&mut status.container_id, None);
        self.unstart(status);
    }

    /// Writes the id of an attempt. Returns whether it was another one.
    fn id(&mut self, place: &mut Option<String>, attempt: u32) -> bool {
        let id = ContainerId {
            pod: &self.shape.uid,
            container: &self.container.name,
            attempt,
        };
        let is_new = !place.as_deref().is_some_and(|text| id.is(text));
        if is_new {
            self.pen.display(place, &id);
        }
        is_new
    }

    fn unstart(&mut self, status: &mut ContainerStatus) {
        if status.started == Some(true) {
            self.pen.set(&mut status.started, Some(false));
            self.pen.set(&mut status.ready, false);
        }
    }

    fn image(&mut self, status: &mut ContainerStatus, image: &str) {
        if status.image != image {
            status.image.clear();
            status.image.push_str(image);
            self.pen.changed = true;
        }
    }

    fn write(&mut self, status: &mut ContainerStatus, shows: Shows<'_>) {
        self.pen.set(&mut status.restart_count, shows.restart_count);
        if matches!(shows.last, State::Previous) {
            std::mem::swap(&mut status.last_state, &mut status.state);
            self.pen.changed = true;
        }
        self.state(&mut status.last_state, shows.last);
        self.state(&mut status.state, shows.state);
    }

    fn state(&mut self, place: &mut Option<ContainerState>, shows: State<'_>) {
        match shows {
            State::Old | State::Previous => {}
            State::Nothing => self.pen.set(place, None),
            State::Waiting(reason, message) => {
                self.waiting(place.get_or_insert_default(), reason, message)
            }
            State::Running(started) => self.running(place.get_or_insert_default(), started),
            State::Exited(number, exit) => self.exited(place.get_or_insert_default(), number, exit),
            State::MadeUp(code, reason, message) => {
                self.made_up(place.get_or_insert_default(), code, reason, message)
            }
        }
    }

    fn waiting(&mut self, state: &mut ContainerState, reason: Option<&str>, message: Option<&str>) {
        self.pen.set(&mut state.running, None);
        self.pen.set(&mut state.terminated, None);
        self.pen.changed |= state.waiting.is_none();
        let waiting: &mut ContainerStateWaiting = state.waiting.get_or_insert_default();
        self.pen.text(&mut waiting.reason, reason);
        self.pen.text(&mut waiting.message, message);
    }

    fn running(&mut self, state: &mut ContainerState, started: Wall) {
        self.pen.set(&mut state.waiting, None);
        self.pen.set(&mut state.terminated, None);
        self.pen.changed |= state.running.is_none();
        let running: &mut ContainerStateRunning = state.running.get_or_insert_default();
        self.pen.set(&mut running.started_at, Some(started));
    }

    fn exited(&mut self, state: &mut ContainerState, number: u32, exit: &Exit) {
        let ended = self.terminated(state, exit.code);
        self.id(&mut ended.container_id, number);
        self.pen.text(
            &mut ended.reason,
            Some(&*exit.reason).filter(|reason| !reason.is_empty()),
        );
        self.pen.text(&mut ended.message, exit.message.as_deref());
        self.pen.set(&mut ended.signal, exit.signal);
        self.pen.set(
            &mut ended.started_at,
            exit.started.map(|started| started.wall.whole_second()),
        );
        let finished = exit.finished.wall.whole_second();
        self.pen.set(&mut ended.finished_at, Some(finished));
    }

    fn made_up(&mut self, state: &mut ContainerState, code: i32, reason: &str, message: &str) {
        let ended = self.terminated(state, code);
        self.pen.text(&mut ended.container_id, None);
        self.pen.text(&mut ended.reason, Some(reason));
        self.pen.text(&mut ended.message, Some(message));
        self.pen.set(&mut ended.signal, None);
        self.pen.set(&mut ended.started_at, None);
        self.pen.set(&mut ended.finished_at, None);
    }

    fn terminated<'s>(
        &mut self,
        state: &'s mut ContainerState,
        code: i32,
    ) -> &'s mut ContainerStateTerminated {
        self.pen.set(&mut state.waiting, None);
        self.pen.set(&mut state.running, None);
        self.pen.changed |= state.terminated.is_none();
        let ended = state.terminated.get_or_insert_default();
        self.pen.set(&mut ended.exit_code, code);
        ended
    }
}

pub(super) fn is_running(status: &ContainerStatus) -> bool {
    status
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some())
}

pub(super) fn is_waiting(status: &ContainerStatus) -> bool {
    status
        .state
        .as_ref()
        .is_some_and(|state| state.waiting.is_some())
}

pub(super) fn is_terminated(status: &ContainerStatus) -> bool {
    status
        .state
        .as_ref()
        .is_some_and(|state| state.terminated.is_some())
}

pub(super) fn has_ended_before(status: &ContainerStatus) -> bool {
    status
        .last_state
        .as_ref()
        .is_some_and(|state| state.terminated.is_some())
}
