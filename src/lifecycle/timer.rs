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
    /// The earliest of them: most inputs come before it, and look at no timer.
    next: Mono,
}

impl Timers {
    pub(super) fn new(containers: usize) -> Timers {
        Timers {
            all: vec![NEVER; POD + CONTAINER * containers],
            next: NEVER,
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
        self.set(place(timer), at);
    }

    pub(super) fn disarm(&mut self, timer: Due) {
        self.set(place(timer), NEVER);
    }

    pub(super) fn disarm_all(&mut self) {
        self.all.fill(NEVER);
        self.next = NEVER;
    }

    pub(super) fn at(&self, timer: Due) -> Option<Mono> {
        Some(self.all[place(timer)]).filter(|at| *at != NEVER)
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Mono> {
        Some(self.next).filter(|at| *at != NEVER)
    }

    /// Takes one that is due, the earliest first; it is then disarmed.
    pub(super) fn take_due(&mut self, now: Mono) -> Option<Due> {
        if self.next > now || self.next == NEVER {
            return None;
        }
        let place = self.all.iter().position(|at| *at == self.next)?;
        self.set(place, NEVER);
        Some(timer_at(place))
    }

    /// Looks at the others only where the earliest becomes later.
    fn set(&mut self, place: usize, at: Mono) {
        let before = std::mem::replace(&mut self.all[place], at);
        if at <= self.next {
            self.next = at;
        } else if before == self.next {
            self.next = self.all.iter().copied().min().unwrap_or(NEVER);
        }
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
    use proptest::prelude::*;

    proptest! {
        /// Whatever is armed, disarmed and taken, the earliest is known and comes first.
        #[test]
        fn the_earliest_is_known(steps in proptest::collection::vec((0..POD + CONTAINER, 0u64..6), 0..40)) {
            let mut timers = Timers::new(1);
            for (place, at) in steps {
                match at {
                    0 => timers.disarm(timer_at(place)),
                    1 => {
                        let next = timers.next();
                        let due = timers.take_due(Mono::from_secs(4));
                        let is_over = next.is_some_and(|at| at <= Mono::from_secs(4));
                        prop_assert_eq!(due.is_some(), is_over);
                        prop_assert!(due.is_none_or(|due| timers.at(due).is_none()));
                    }
                    at => timers.arm(timer_at(place), Mono::from_secs(at)),
                }
                let least = timers.all.iter().copied().filter(|at| *at != NEVER).min();
                prop_assert_eq!(timers.next(), least);
            }
        }
    }

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
