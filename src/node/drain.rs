//! The orderly end of all pods.

use std::time::Duration;

use std::collections::VecDeque;

use super::command::Delete;
use super::handle::{Answer, pending};
use super::host::Due;
use super::node::Node;
use super::{Pending, PodId};
use crate::Result;
use crate::lifecycle::rules::shutdown::{ShutdownPeriod, shutdown_groups};
use crate::linux::Clock;
use crate::time::Mono;

/// Of three parts of the time, the last is for pods that are critical to the system, as in the kubelet's own example.
const PARTS: (i64, i64) = (3, 1);
/// How long the end of what was killed may take.
const BURIAL: Duration = Duration::from_secs(10);

/// The orderly end of all pods, under way.
#[derive(Debug)]
pub(super) struct Drain {
    all: Vec<PodId>,
    /// The first is being ended.
    waves: VecDeque<Wave>,
    answer: Answer<()>,
}

/// Pods that end together, and when the next wave begins at the latest.
#[derive(Debug)]
struct Wave {
    pods: Vec<PodId>,
    until: Mono,
}

impl Node {
    /// Deletes all pods that there are, and drives until nothing is left of them: gracefully, those that are critical to the system
    /// (`priority` of two thousand million and more) after the others, inside one deadline, at which what is left is killed.
    /// Where there are both, the last third of the time is kept for the critical ones.
    ///
    /// # Errors
    /// [`Kind::Timeout`](crate::Kind::Timeout) if even killing them took more than ten seconds.
    pub fn drain(&mut self, total: Duration) -> Result<()> {
        let (answer, pending) = pending();
        self.begin_drain(total, answer);
        self.see_drained(pending, total)
    }

    /// The same with a time for each priority, as the kubelet's `shutdownGracePeriodByPodPriority`: lowest first. What a group
    /// does not need of its time the next one has beside its own.
    ///
    /// ```no_run
    /// use podlife::Node;
    /// use podlife::lifecycle::rules::shutdown::ShutdownPeriod;
    ///
    /// let mut node = Node::ephemeral()?;
    /// node.drain_by(&[ShutdownPeriod { priority: 0, grace: 20 }, ShutdownPeriod { priority: 1000, grace: 10 }])?;
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`drain`](Node::drain).
    pub fn drain_by(&mut self, periods: &[ShutdownPeriod]) -> Result<()> {
        let (answer, pending) = pending();
        self.begin_drain_by(periods, answer);
        self.see_drained(pending, whole(periods))
    }

    pub(super) fn begin_drain(&mut self, total: Duration, answer: Answer<()>) {
        let (all, critical) = PARTS;
        self.end_all(&ShutdownPeriod::two(all, critical), total, answer);
    }

    pub(super) fn begin_drain_by(&mut self, periods: &[ShutdownPeriod], answer: Answer<()>) {
        self.end_all(periods, whole(periods), answer);
    }

    fn see_drained(&mut self, mut pending: Pending<()>, total: Duration) -> Result<()> {
        let deadline = Clock::mono() + total + BURIAL;
        loop {
            if let Some(done) = pending.try_take() {
                return done;
            }
            self.turn_before(deadline, || "see the end of all pods".to_owned())?;
        }
    }

    /// The periods say in which proportion the groups share the time.
    fn end_all(&mut self, periods: &[ShutdownPeriod], total: Duration, answer: Answer<()>) {
        let start = Clock::mono();
        let ids: Vec<PodId> = self.pods.keys().copied().collect();
        let priority = |resident: &super::resident::Resident| resident.pod.spec.priority;
        let priorities = self.pods.values().map(|one| priority(one).unwrap_or(0));
        let groups = shutdown_groups(periods, priorities.collect::<Vec<_>>());
        let parts = |grace: i64| u32::try_from(grace.max(0)).unwrap_or(u32::MAX);
        let whole = groups.iter().fold(0, |sum: u32, group| {
            sum.saturating_add(parts(group.period.grace))
        });
        let mut passed = 0;
        let waves = groups.iter().map(|group| {
            passed = parts(group.period.grace).saturating_add(passed);
            let share = f64::from(passed) / f64::from(whole.max(1));
            let share = total.as_secs_f64() * share.min(1.0);
            Wave {
                pods: group.pods.iter().map(|place| ids[*place]).collect(),
                until: start + Duration::try_from_secs_f64(share).unwrap_or(total),
            }
        });
        let waves = waves.collect();
        let drain = Drain {
            all: ids,
            waves,
            answer,
        };
        self.begin_wave(&drain);
        self.drains.push(drain);
        self.host.reactor.wake();
    }

    /// What the time brings: the next wave, and the end.
    pub(super) fn go_on_draining(&mut self) {
        for mut drain in std::mem::take(&mut self.drains) {
            while drain.waves.front().is_some_and(|wave| self.is_over(wave)) {
                drain.waves.pop_front();
                self.begin_wave(&drain);
            }
            if drain.waves.is_empty() && self.are_gone(&drain.all) {
                drain.answer.give(Ok(()));
            } else {
                self.drains.push(drain);
            }
        }
    }

    fn is_over(&self, wave: &Wave) -> bool {
        Clock::mono() >= wave.until || self.are_gone(&wave.pods)
    }

    fn are_gone(&self, pods: &[PodId]) -> bool {
        !pods.iter().any(|id| self.pods.contains_key(id))
    }

    /// Deletes the pods of the first wave. When there is none any more, whoever is left is killed.
    fn begin_wave(&mut self, drain: &Drain) {
        let (pods, how) = match drain.waves.front() {
            Some(wave) => {
                self.host.schedule(wave.until, Due::Drain);
                let left = Some(wave.until - Clock::mono());
                let how = Delete {
                    strict_deadline: left,
                    ..Delete::default()
                };
                (&wave.pods, how)
            }
            None => (&drain.all, Delete::now()),
        };
        for id in pods {
            // One that is gone has had its end.
            let _ = self.delete(*id, how);
        }
    }
}

fn whole(periods: &[ShutdownPeriod]) -> Duration {
    let graces = periods.iter().map(|period| period.grace.max(0));
    let seconds = graces.fold(0, i64::saturating_add);
    Duration::from_secs(seconds.unsigned_abs())
}
