//! What a pod's machine must not forget: the facts and the decisions still owed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, AttemptState, Sandbox};
use super::output::ContainerIndex;
use crate::time::Now;

/// Everything a machine needs, beside manifest and options, to go on after a crash. The driver writes it when
/// [`Output::Persist`](super::Output::Persist) says so, in whatever form serde gives it, and looks into it for names.
///
/// It does not contain the manifest: a driver writes that once, and anew *before* it hands over an
/// [`Input::Update`](super::Input).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When this was last written.
    pub(super) saved: Now,
    /// How often a machine was restored from it: the upper half of every ticket.
    pub(super) epoch: u32,
    /// The newest sandbox.
    pub(super) sandbox: Option<Sandbox>,
    /// Below this, sandbox numbers may have been used.
    pub(super) sandbox_reserved: u32,
    /// Containers in the order of their index.
    pub(super) containers: Vec<ContainerRecord>,
}

/// What is remembered of one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub(super) name: Arc<str>,
    /// Newest first; at most two, and while one runs nothing older than its predecessor.
    pub(super) attempts: Vec<Attempt>,
    /// Below this, attempt numbers may have been used.
    pub(super) reserved: u32,
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

    /// Where the container of this name stands.
    pub fn index(&self, name: &str) -> Option<ContainerIndex> {
        let place = self
            .containers
            .iter()
            .position(|container| &*container.name == name)?;
        u16::try_from(place).ok().map(ContainerIndex)
    }

    /// The newest sandbox, made or about to be made.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.as_ref()
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
}

impl ContainerRecord {
    /// The container's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its attempts, newest first: the last one and the one before.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Numbers from here on were never handed out.
    pub fn reserved(&self) -> u32 {
        self.reserved
    }

    fn in_doubt(&self) -> impl Iterator<Item = u32> + '_ {
        let unseen = self.attempts.first().map_or(0, |newest| newest.number + 1);
        let alive = |attempt: &&Attempt| !matches!(attempt.state, AttemptState::Exited(_));
        self.attempts
            .iter()
            .filter(alive)
            .map(|attempt| attempt.number)
            .chain(unseen..self.reserved)
    }
}
