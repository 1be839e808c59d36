//! Resources that change while the pod lives. Each wish is larger than all before it, so that what is shown can be compared
//! with what is so.

use podlife::lifecycle::rules::resize::Allocation;
use podlife::lifecycle::{ContainerIndex, Input, Outcome, ResizeStep, Ticket};
use podlife::model::ContainerStatus;

use super::check::{Broken, Checker, Result};
use super::dice::Dice;
use super::life::{Life, MS, Role, S};
use super::world::{Event, World, failed};

/// By then a resize that nothing refuses is applied, whatever has to be tried again.
const PATIENCE: u64 = 180 * S;

/// What of a life is about resources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) resize_at: Vec<u64>,
    pub(crate) restart_at: Vec<u64>,
    /// Mebibytes, by container; 64 at first.
    pub(crate) memory: Vec<u64>,
    /// The host never has what was asked for last.
    refused: bool,
    since: u64,
    /// The host's answer is on its way.
    granting: Option<Ticket>,
}

impl Wishes {
    /// Of dice of their own: other lives stay what they were.
    pub(crate) fn random(seed: u64, delete_at: u64) -> Wishes {
        let mut dice = Dice::new(!seed);
        let mut times = |permille, most: u64| -> Vec<u64> {
            let count = if dice.permille(permille) {
                dice.range(1, most)
            } else {
                0
            };
            (0..count).map(|_| dice.below(delete_at.max(1))).collect()
        };
        Wishes {
            resize_at: times(200, 4),
            restart_at: times(100, 2),
            ..Wishes::default()
        }
    }

    pub(crate) fn memory(&self, index: usize) -> u64 {
        self.memory.get(index).copied().unwrap_or(64)
    }
}

impl Life {
    /// Whether a change of its memory restarts it.
    pub(crate) fn restarts_to_resize(&self, index: usize) -> bool {
        let has_policy = matches!(self.specs[index].role, Role::Regular | Role::Sidecar);
        has_policy && index % 2 == 1 && self.policy != super::life::Policy::Never
    }

    fn can_resize(&self, index: usize) -> bool {
        let spec = &self.specs[index];
        matches!(spec.role, Role::Regular | Role::Sidecar) && !spec.removed
    }
}

fn memory(allocation: Option<&Allocation>) -> u64 {
    let memory = allocation.and_then(|allocation| allocation.limits.memory);
    memory.map_or(0, |memory| memory.value().unsigned_abs() >> 20)
}

impl World {
    pub(crate) fn wish_for_resources(&mut self) -> std::result::Result<(), Broken> {
        let index = self.dice.below(self.life.specs.len() as u64) as usize;
        if self.disk.is_none() || !self.life.can_resize(index) {
            return Ok(());
        }
        let most = self.life.wishes.memory.iter().max().copied().unwrap_or(64);
        self.life.wishes.memory.resize(self.life.specs.len(), 64);
        self.life.wishes.memory[index] = most + 1;
        self.life.wishes.refused = false;
        self.life.wishes.since = self.clock;
        if self.life.restarts_to_resize(index) {
            self.checks.containers[index].wished = true;
        }
        let pod = self.life.pod();
        self.handle(Input::Update(pod))
    }

    pub(crate) fn wish_for_restart(&mut self) -> std::result::Result<(), Broken> {
        let count = self.life.specs.len();
        let only = self.dice.below(2 * count as u64) as usize;
        if self.disk.is_none() {
            return Ok(());
        }
        for index in (0..count).filter(|index| only >= count || only == *index) {
            let watched = &mut self.checks.containers[index];
            (watched.wished, watched.granted) = (true, true);
        }
        let only = (only < count).then_some(ContainerIndex(only as u16));
        self.handle(Input::Restart(only))
    }

    pub(crate) fn resize(&mut self, ticket: Ticket, step: ResizeStep, soon: u64) -> Result {
        let outcome = match step {
            ResizeStep::Allocate => {
                self.life.wishes.granting = Some(ticket);
                self.allocate()
            }
            ResizeStep::Apply => self.apply_resources()?,
        };
        self.after(soon, Event::Answer(ticket, outcome));
        Ok(())
    }

    fn allocate(&mut self) -> Outcome {
        match self.dice.below(10) {
            0 => {
                self.life.wishes.refused = true;
                failed("Infeasible")
            }
            1 | 2 => failed("Deferred"),
            _ => Outcome::Done,
        }
    }

    /// Other resources are another thing to try.
    pub(crate) fn note_grant(&mut self, ticket: Ticket) {
        let granting = &mut self.life.wishes.granting;
        if granting.take_if(|granting| *granting == ticket).is_some() {
            for watched in &mut self.checks.containers {
                watched.granted = true;
            }
        }
    }

    /// What a container is given is on record as granted.
    fn apply_resources(&mut self) -> std::result::Result<Outcome, Broken> {
        let done = !self.dice.permille(150);
        for index in 0..self.life.specs.len() {
            let name = ContainerIndex(index as u16);
            let on_disk = self.disk.as_ref().and_then(|record| record.container(name));
            let on_disk = memory(on_disk.and_then(|record| record.allocated()));
            let granted = self.granted(index);
            let restarts = self.life.restarts_to_resize(index);
            let here = self.procs.range_mut((index, 0)..(index + 1, 0)).next_back();
            let Some((_, proc)) = here.filter(|(_, proc)| proc.is_alive() && !restarts) else {
                continue;
            };
            if on_disk != granted {
                let text = format!("{index} is given {granted} Mi");
                return Err(self.broken(Checker::PerformBeforePersist, text));
            }
            if done {
                proc.memory = granted;
            }
        }
        Ok(match done {
            true => Outcome::Done,
            false => failed("Error"),
        })
    }

    /// What a container that is started now gets.
    pub(crate) fn granted(&self, index: usize) -> u64 {
        let record = self.machine.as_ref().map(|machine| machine.record());
        let container = record.and_then(|record| record.container(ContainerIndex(index as u16)));
        memory(container.and_then(|container| container.allocated()))
    }

    /// Nothing is shown that is not so.
    pub(crate) fn check_resources(&self, index: usize, shown: &ContainerStatus) -> Result {
        let state = shown.state.as_ref();
        let (true, Some(resources)) = (
            state.is_some_and(|state| state.running.is_some()),
            &shown.resources,
        ) else {
            return Ok(());
        };
        let shown = memory(Some(&Allocation::of(resources)));
        match self.newest(index) {
            Some((attempt, proc)) if proc.is_alive() && shown > proc.memory => self.breaks(
                Checker::ResizeShown,
                format!("{index}.{attempt} shows {shown} Mi and has {}", proc.memory),
            ),
            _ => Ok(()),
        }
    }

    /// A wish is not forgotten, whatever happens.
    pub(crate) fn check_wishes(&self) -> Result {
        let wishes = &self.life.wishes;
        let patient = self.clock < wishes.since.max(self.checks.restored_at) + PATIENCE;
        if patient || wishes.since == 0 || wishes.refused || self.checks.ending.is_some() {
            return Ok(());
        }
        for index in (0..self.life.specs.len()).filter(|index| self.life.can_resize(*index)) {
            let Some((attempt, proc)) = self.newest(index).filter(|(_, proc)| proc.is_alive())
            else {
                continue;
            };
            let young = self.clock < proc.started_at + PATIENCE;
            let ends =
                proc.stop_sent.is_some() || self.checks.containers[index].is_own_kill(attempt);
            let stray = self.checks.containers[index].stray.contains(&attempt);
            if !young && !ends && !stray && proc.memory != wishes.memory(index) {
                let text = format!(
                    "{index}.{attempt} has {} Mi of {}",
                    proc.memory,
                    wishes.memory(index)
                );
                return self.breaks(Checker::ResizeLost, text);
            }
        }
        Ok(())
    }
}

/// At random moments of a life.
pub(crate) fn events(wishes: &Wishes) -> impl Iterator<Item = (u64, Event)> {
    let resizes = wishes
        .resize_at
        .iter()
        .map(|at| (*at / MS * MS, Event::Resize));
    let restarts = wishes
        .restart_at
        .iter()
        .map(|at| (*at / MS * MS, Event::Restart));
    resizes.chain(restarts).collect::<Vec<_>>().into_iter()
}
