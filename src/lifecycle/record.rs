//! What a pod's machine must not forget: the facts and the decisions still owed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, AttemptState, Sandbox};
use super::input::{Eviction, Failure};
use super::output::{Cause, ContainerIndex, KillReason};
use super::rules::backoff::BackOff;
use super::rules::facts::Then;
use super::rules::resize::{Allocation, Resizing};
use super::rules::shape::{ContainerView, Role};
use crate::model::{Phase, PodStatus};
use crate::time::{Mono, Now};

/// Everything a machine needs, beside manifest and options, to go on after a crash. The driver writes it when
/// [`Output::Persist`](super::Output::Persist) says so, in whatever form serde gives it, and looks into it for names.
///
/// It does not contain the manifest: a driver writes that once, and anew *before* it hands over an
/// [`Input::Update`](super::Input::Update).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When this was last written.
    pub(super) saved: Now,
    pub(super) created: Now,
    pub(super) sandbox: SandboxRecord,
    /// Containers in the order of their index.
    pub(super) containers: Vec<ContainerRecord>,
    /// All containers are to end and the sandbox is to be made anew.
    pub(super) rebuild: bool,
    /// The pod is to end.
    pub(super) ending: Option<Ending>,
    /// It shall be ended as Failed, and why.
    pub(super) eviction: Option<Eviction>,
    /// It shall be forgotten when it has ended.
    pub(super) deleted: bool,
    /// Nothing of it runs, and nothing ever will.
    pub(super) ended: bool,
    /// All that it held is released.
    pub(super) torn_down: bool,
    /// The terminal phase that is to be published when nothing runs any more.
    pub(super) decided: Option<Phase>,
    /// When `activeDeadlineSeconds` are over.
    pub(super) active_deadline: Option<Mono>,
    /// A change of resources that is not all done.
    pub(super) resizing: Option<Box<Resizing>>,
    /// The last status: several rules need the one before.
    pub(super) status: PodStatus,
}

/// So many attempts of a container are on record: the last one and the one before.
const KEPT: usize = 2;

/// What is remembered of the sandboxes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SandboxRecord {
    /// The newest.
    pub(super) newest: Option<Sandbox>,
    /// It was stopped, and nothing is left of it.
    pub(super) released: bool,
    /// Below this, every number's fate is known.
    pub(super) settled: u32,
    /// Below this, numbers may have been used.
    pub(super) reserved: u32,
}

/// What is remembered of one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub(super) name: Arc<str>,
    pub(super) list: List,
    /// Newest first; at most two.
    pub(super) attempts: Vec<Attempt>,
    /// Below this, every number's fate is known.
    pub(super) settled: u32,
    /// Below this, numbers may have been used.
    pub(super) reserved: u32,
    /// The restart count of the next attempt.
    pub(super) next_count: u32,
    /// The image of the next attempt, or of one that is being started: of the manifest when that was decided.
    pub(super) next_image: Arc<str>,
    /// Attempts whose leftovers are to be removed.
    pub(super) remains: Vec<u32>,
    /// The newest attempt's postStart hook has not ended.
    pub(super) post_start_due: bool,
    pub(super) kill: Option<Box<Kill>>,
    /// The verdict of a kill, or of a change of the sandbox, that a start is to follow.
    pub(super) owed: Option<Then>,
    pub(super) crash: Option<BackOff>,
    pub(super) pull: Option<BackOff>,
    pub(super) start_error: Option<Failure>,
    /// The resources that it was granted.
    pub(super) allocated: Option<Arc<Allocation>>,
    /// Those of its newest attempt.
    pub(super) applied: Option<Arc<Allocation>>,
}

/// Which list of the manifest a container stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum List {
    /// `initContainers`.
    Init,
    /// `containers`.
    Regular,
    /// `ephemeralContainers`.
    Ephemeral,
}

impl List {
    fn of(role: Role) -> List {
        match role {
            Role::Init | Role::Sidecar => List::Init,
            Role::Regular => List::Regular,
            Role::Ephemeral => List::Ephemeral,
        }
    }
}

/// A kill of the newest attempt, from its decision on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kill {
    pub(super) reason: KillReason,
    /// What follows; absent when that was not decided with the kill.
    pub(super) then: Option<Then>,
    pub(super) stage: Stage,
    /// When this stage began, or its grace period shrank.
    pub(super) since: Mono,
    /// When it ends at the latest.
    pub(super) until: Mono,
    /// Seconds of the grace period that were left then.
    pub(super) left: i64,
    /// The one deadline for all stages, if there is one.
    pub(super) strict: Option<Mono>,
}

/// How far a kill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    PreStop,
    InOrder,
    Stop,
    Kill,
}

/// The pod's end, from its decision on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) cause: Cause,
    /// The grace period in force, in seconds; it only shrinks.
    pub(super) grace: i64,
    pub(super) force: bool,
    pub(super) strict: Option<Mono>,
}

impl Record {
    /// The containers; a [`ContainerIndex`] is a place in here.
    pub fn containers(&self) -> &[ContainerRecord] {
        &self.containers
    }

    /// The container at `index`.
    pub fn container(&self, index: ContainerIndex) -> Option<&ContainerRecord> {
        self.containers.get(index.as_usize())
    }

    /// Where the container of this name stands: the newest, if one took the name of another.
    pub fn index(&self, name: &str) -> Option<ContainerIndex> {
        let place = self
            .containers
            .iter()
            .rposition(|container| &*container.name == name)?;
        u16::try_from(place).ok().map(ContainerIndex)
    }

    /// The newest sandbox that was made.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.newest.as_ref()
    }

    /// The number of the sandbox that may live: the newest, or one that was about to be made. Nothing lives of any
    /// before it.
    pub fn sandbox_in_doubt(&self) -> Option<u32> {
        if self.sandbox.settled < self.sandbox.reserved {
            return Some(self.sandbox.reserved - 1);
        }
        self.sandbox()
            .filter(|_| !self.sandbox.released)
            .map(|sandbox| sandbox.attempt)
    }

    /// The attempts whose fate the record does not know: those it saw alive, and those it may have started just before
    /// a crash. [`Observed`](super::Observed) has a verdict for each.
    pub fn in_doubt(&self) -> impl Iterator<Item = (ContainerIndex, u32)> + '_ {
        self.containers
            .iter()
            .zip(0..)
            .flat_map(|(container, index)| {
                container
                    .in_doubt()
                    .map(move |attempt| (ContainerIndex(index), attempt))
            })
    }

    /// A container that was added. One that had its name and is gone leaves its numbers: they name log files and cgroups.
    pub(super) fn add(&mut self, view: &ContainerView) {
        let mut record = ContainerRecord::new(view, 0);
        for old in self.containers.iter().filter(|old| old.name == view.name) {
            record.settled = record.settled.max(old.reserved);
            record.next_count = record.next_count.max(old.next_count);
        }
        record.reserved = record.settled;
        self.containers.push(record);
    }

    /// A change of resources that is not all done.
    pub fn resizing(&self) -> Option<&Resizing> {
        self.resizing.as_deref()
    }

    /// Whether the pod is to be forgotten when it has ended.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Why the pod ends, once it does.
    pub fn cause(&self) -> Option<Cause> {
        self.ending.as_ref().map(|ending| ending.cause)
    }

    /// The seconds that the pod has for its end, once it ends.
    pub fn grace(&self) -> Option<i64> {
        self.ending.as_ref().map(|ending| ending.grace)
    }

    /// When this was last written.
    pub fn saved(&self) -> Now {
        self.saved
    }

    /// The pod's status when this was last written.
    pub fn status(&self) -> &PodStatus {
        &self.status
    }
}

impl ContainerRecord {
    pub(super) fn new(view: &ContainerView, reserved: u32) -> ContainerRecord {
        ContainerRecord {
            name: view.name.clone(),
            list: List::of(view.role),
            attempts: Vec::new(),
            settled: 0,
            reserved,
            next_count: 0,
            next_image: view.image.clone(),
            remains: Vec::new(),
            post_start_due: false,
            kill: None,
            owed: None,
            crash: None,
            pull: None,
            start_error: None,
            allocated: view.resources.clone(),
            applied: None,
        }
    }

    /// The resources that it was granted: what its cgroup is to have. `None`: it says nothing of them.
    pub fn allocated(&self) -> Option<&Allocation> {
        self.allocated.as_deref()
    }

    /// The resources that its newest attempt has.
    pub fn applied(&self) -> Option<&Allocation> {
        self.applied.as_deref()
    }

    /// The container's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its attempts, newest first: the last one and the one before.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Which list of the manifest it stands in.
    pub fn list(&self) -> List {
        self.list
    }

    /// Numbers from here on were never handed out.
    pub fn reserved(&self) -> u32 {
        self.reserved
    }

    /// The restart count of the next attempt, which also names its log. One that was to be started before a crash has
    /// made that log before it began to run.
    pub fn next_count(&self) -> u32 {
        self.next_count
    }

    /// Why the last try to start it failed, until one succeeds.
    pub fn start_error(&self) -> Option<&Failure> {
        self.start_error.as_ref()
    }

    pub(super) fn in_doubt(&self) -> impl Iterator<Item = u32> + '_ {
        let alive = |attempt: &&Attempt| !matches!(attempt.state, AttemptState::Exited(_));
        let seen = self
            .attempts
            .iter()
            .filter(alive)
            .map(|attempt| attempt.number);
        seen.chain(self.settled..self.reserved)
    }

    /// The newest attempt, if it lives as far as is known.
    pub(super) fn alive(&self) -> Option<&Attempt> {
        self.attempts
            .first()
            .filter(|newest| !matches!(newest.state, AttemptState::Exited(_)))
    }

    /// Since when the newest attempt runs.
    pub(super) fn running_since(&self) -> Option<Now> {
        match self.attempts.first()?.state {
            AttemptState::Running { started } => Some(started),
            _ => None,
        }
    }

    /// Puts an attempt before the others. What it pushes out is to be removed.
    pub(super) fn push(&mut self, attempt: Attempt) {
        self.settled = attempt.number + 1;
        self.next_count = self.next_count.max(attempt.restart_count + 1);
        if self.attempts.len() >= KEPT {
            self.remains
                .extend(self.attempts.drain(KEPT - 1..).map(|old| old.number));
        }
        self.attempts.reserve_exact(1);
        self.attempts.insert(0, attempt);
    }

    /// Forgets all attempts. They are to be removed.
    pub(super) fn forget(&mut self) {
        self.remains
            .extend(self.attempts.drain(..).map(|old| old.number));
    }
}
