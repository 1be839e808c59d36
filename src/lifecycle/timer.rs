//! Deadlines: one small closed table, no allocation per timer, no timer that outlives its reason.

use super::output::ProbeKind;
use crate::time::Mono;
use serde::{Deserialize, Serialize};

/// What a container can wait for. Each has one place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContainerTimer {
    /// The current step of a kill: hook, ordering or SIGKILL.
    Step = 0,
    /// The next try after a back-off or a failed start.
    Retry = 1,
    Liveness = 2,
    Readiness = 3,
    Startup = 4,
}

impl ContainerTimer {
    pub(super) const ALL: [ContainerTimer; 5] = [
        ContainerTimer::Step,
        ContainerTimer::Retry,
        ContainerTimer::Liveness,
        ContainerTimer::Readiness,
        ContainerTimer::Startup,
    ];

    /// Whose probe it is for.
    pub(super) const fn probe(self) -> Option<ProbeKind> {
        match self {
            ContainerTimer::Step | ContainerTimer::Retry => None,
            ContainerTimer::Liveness => Some(ProbeKind::Liveness),
            ContainerTimer::Readiness => Some(ProbeKind::Readiness),
            ContainerTimer::Startup => Some(ProbeKind::Startup),
        }
    }

    pub(super) const fn of_probe(probe: ProbeKind) -> ContainerTimer {
        match probe {
            ProbeKind::Liveness => ContainerTimer::Liveness,
            ProbeKind::Readiness => ContainerTimer::Readiness,
            ProbeKind::Startup => ContainerTimer::Startup,
        }
    }
}

/// What a pod can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodTimer {
    /// Another try at making or stopping the sandbox, or at the teardown.
    Retry = 0,
    /// `activeDeadlineSeconds`.
    ActiveDeadline = 1,
    /// The record: another try, or what could wait a second.
    Persist = 2,
    /// Another try at resources that could not be had or applied.
    Resize = 3,
}

const POD: usize = 4;
const CONTAINER: usize = ContainerTimer::ALL.len();
const NEVER: Mono = Mono::MAX;

/// A timer that came due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Pod(PodTimer),
    Container(usize, ContainerTimer),
}

/// All timers of a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Timers {
    all: Vec<Mono>,
    /// None is earlier: most inputs come before it, and look at no timer.
    floor: Mono,
}

impl Timers {
    pub(super) fn new(containers: usize) -> Timers {
        Timers {
            all: vec![NEVER; POD + CONTAINER * containers],
            floor: NEVER,
        }
    }

    /// How many containers it is for.
    pub(super) fn containers(&self) -> Option<usize> {
        let timers = self.all.len().checked_sub(POD)?;
        (timers % CONTAINER == 0).then_some(timers / CONTAINER)
    }

    /// Makes room for a container that was added.
    pub(super) fn add_container(&mut self) {
        self.all.extend([NEVER; CONTAINER]);
    }

    pub(super) fn arm(&mut self, timer: Due, at: Mono) {
        self.all[place(timer)] = at;
        self.floor = self.floor.min(at);
    }

    pub(super) fn disarm(&mut self, timer: Due) {
        self.all[place(timer)] = NEVER;
    }

    pub(super) fn disarm_all(&mut self) {
        self.all.fill(NEVER);
    }

    pub(super) fn at(&self, timer: Due) -> Option<Mono> {
        Some(self.all[place(timer)]).filter(|at| *at != NEVER)
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Mono> {
        Some(self.earliest()).filter(|at| *at != NEVER)
    }

    /// Takes one that is due, the earliest first; it is then disarmed.
    pub(super) fn take_due(&mut self, now: Mono) -> Option<Due> {
        if self.floor > now {
            return None;
        }
        let (place, at) = self.all.iter().enumerate().min_by_key(|(_, at)| **at)?;
        self.floor = *at;
        if self.floor > now || self.floor == NEVER {
            return None;
        }
        self.all[place] = NEVER;
        Some(timer_at(place))
    }

    fn earliest(&self) -> Mono {
        self.all.iter().fold(NEVER, |least, at| least.min(*at))
    }
}

fn place(timer: Due) -> usize {
    match timer {
        Due::Pod(timer) => timer as usize,
        Due::Container(container, timer) => POD + container * CONTAINER + timer as usize,
    }
}

fn timer_at(place: usize) -> Due {
    match place {
        0 => Due::Pod(PodTimer::Retry),
        1 => Due::Pod(PodTimer::ActiveDeadline),
        2 => Due::Pod(PodTimer::Persist),
        3 => Due::Pod(PodTimer::Resize),
        _ => Due::Container(
            (place - POD) / CONTAINER,
            ContainerTimer::ALL[(place - POD) % CONTAINER],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_its_own_place() {
        let mut timers = Timers::new(1);
        timers.add_container();
        for place_of in 0..POD + 2 * CONTAINER {
            assert_eq!(place(timer_at(place_of)), place_of);
        }
        let step = Due::Container(1, ContainerTimer::Step);
        timers.arm(step, Mono::from_secs(2));
        timers.arm(Due::Pod(PodTimer::Persist), Mono::from_secs(1));
        assert_eq!(timers.next(), Some(Mono::from_secs(1)));
        assert_eq!(timers.take_due(Mono::ZERO), None);
        assert_eq!(
            timers.take_due(Mono::from_secs(3)),
            Some(Due::Pod(PodTimer::Persist))
        );
        assert_eq!(timers.take_due(Mono::from_secs(3)), Some(step));
        assert_eq!(timers.next(), None);
    }
}
