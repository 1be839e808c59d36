//! In which order, and with how much time, all pods of a node end: lowest priority first, each group within its own share.
//!
//! Source: `groupByPriority` in `pkg/kubelet/nodeshutdown/nodeshutdown_manager.go` of Kubernetes, KEP-2712.

/// `status.reason` of a pod that a shutdown ended.
pub const SHUTDOWN_REASON: &str = "Terminated";
/// `status.message` of a pod that a shutdown ended.
pub const SHUTDOWN_MESSAGE: &str = "Pod was terminated in response to imminent node shutdown.";
/// Pods of at least this priority are critical to the system.
pub const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// The time that pods of some priority get: an entry of the kubelet's `shutdownGracePeriodByPodPriority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownPeriod {
    /// The least priority it is for.
    pub priority: i32,
    /// Seconds for all pods of the group together.
    pub grace: i64,
}

impl ShutdownPeriod {
    /// The kubelet's simpler form, `shutdownGracePeriod` and `shutdownGracePeriodCriticalPods`: of `total` seconds the last
    /// `critical` are for critical pods, once the others have ended.
    pub fn two(total: i64, critical: i64) -> [ShutdownPeriod; 2] {
        let others = ShutdownPeriod {
            priority: 0,
            grace: total.saturating_sub(critical),
        };
        [
            others,
            ShutdownPeriod {
                priority: SYSTEM_CRITICAL_PRIORITY,
                grace: critical,
            },
        ]
    }
}

/// Pods that end together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownGroup {
    /// Their period: at its end the next group's turn comes, whatever is left of this one.
    pub period: ShutdownPeriod,
    /// Their places among the priorities asked about.
    pub pods: Vec<usize>,
}

impl ShutdownGroup {
    /// The grace period in seconds of one of its pods: the group's, or the pod's own if that is shorter.
    pub fn grace(&self, termination_grace: Option<i64>) -> i64 {
        termination_grace.map_or(self.period.grace, |own| own.min(self.period.grace))
    }
}

/// Sorts pods into groups, in the order in which the groups end. A pod belongs to the highest period that is not above its
/// priority, one below all periods to the lowest. A group without pods is not waited for: it is left out. Without any period
/// there is no group.
///
/// ```
/// use podlife::lifecycle::rules::shutdown::{ShutdownPeriod, shutdown_groups};
///
/// let periods = ShutdownPeriod::two(30, 10);
/// let groups = shutdown_groups(&periods, [0, 2_000_001_000, -5]);
/// assert_eq!((&*groups[0].pods, groups[0].grace(Some(60))), (&[0, 2][..], 20));
/// assert_eq!((&*groups[1].pods, groups[1].grace(Some(5))), (&[1][..], 5));
/// ```
pub fn shutdown_groups(
    periods: &[ShutdownPeriod],
    priorities: impl IntoIterator<Item = i32>,
) -> Vec<ShutdownGroup> {
    let mut periods = periods.to_vec();
    periods.sort_by_key(|period| period.priority);
    let empty = |period| ShutdownGroup {
        period,
        pods: Vec::new(),
    };
    let mut groups: Vec<ShutdownGroup> = periods.into_iter().map(empty).collect();
    for (pod, priority) in priorities.into_iter().enumerate() {
        let above = groups.partition_point(|group| group.period.priority <= priority);
        if let Some(group) = groups.get_mut(above.saturating_sub(1)) {
            group.pods.push(pod);
        }
    }
    groups.retain(|group| !group.pods.is_empty());
    groups
}
