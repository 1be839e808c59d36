//! The orderly end of all pods.

use std::time::Duration;

use super::PodId;
use super::command::Delete;
use super::node::Node;
use crate::Result;
use crate::lifecycle::rules::shutdown::{ShutdownPeriod, shutdown_groups};
use crate::linux::Clock;

/// Of three parts of the time, the last is for pods that are critical to the system, as in the kubelet's own example.
const PARTS: (i64, i64) = (3, 1);
/// How long the end of what was killed may take.
const BURIAL: Duration = Duration::from_secs(10);

impl Node {
    /// Deletes all pods, and drives until nothing is left of them: gracefully, those that are critical to the system
    /// (`priority` of two thousand million and more) after the others, inside one deadline, at which what is left is killed.
    /// Where there are both, the last third of the time is kept for the critical ones.
    ///
    /// # Errors
    /// [`Kind::Timeout`](crate::Kind::Timeout) if even killing them took more than ten seconds.
    pub fn drain(&mut self, total: Duration) -> Result<()> {
        let (all, critical) = PARTS;
        self.end_all(&ShutdownPeriod::two(all, critical), total)
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
        let total = periods
            .iter()
            .map(|period| period.grace.max(0))
            .sum::<i64>();
        self.end_all(periods, Duration::from_secs(total.unsigned_abs()))
    }

    /// The periods say in which proportion the groups share the time.
    fn end_all(&mut self, periods: &[ShutdownPeriod], total: Duration) -> Result<()> {
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
        for group in &groups {
            passed += parts(group.period.grace);
            let share = f64::from(passed) / f64::from(whole.max(1));
            let wave: Vec<PodId> = group.pods.iter().map(|place| ids[*place]).collect();
            self.end_wave(&wave, start + total.mul_f64(share.min(1.0)))?;
        }
        let left: Vec<_> = self.pods.keys().copied().collect();
        left.into_iter()
            .try_for_each(|id| self.delete(id, Delete::now()))?;
        let deadline = Clock::mono().max(start + total) + BURIAL;
        while !self.pods.is_empty() {
            self.turn_before(deadline, || "see the end of all pods".to_owned())?;
        }
        Ok(())
    }

    /// Deletes these, and drives until they are gone or the time is up.
    fn end_wave(&mut self, wave: &[PodId], until: crate::time::Mono) -> Result<()> {
        for id in wave
            .iter()
            .filter(|id| self.pods.contains_key(*id))
            .copied()
            .collect::<Vec<_>>()
        {
            let how = Delete {
                strict_deadline: Some(until - Clock::mono()),
                ..Delete::default()
            };
            self.delete(id, how)?;
        }
        while wave.iter().any(|id| self.pods.contains_key(id)) && Clock::mono() < until {
            self.turn(Some(until - Clock::mono()))?;
        }
        Ok(())
    }
}
