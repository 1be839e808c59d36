//! A pod's life to look at, from what the Node told of it.

use super::{Event, EventKind, Events};
use crate::lifecycle::ContainerChange;
use crate::lifecycle::timeline::{Timeline, What};
use crate::node::PodId;

impl Events<'_> {
    /// One pod's life as lines or as a picture, from these events: what the ring still holds of it.
    ///
    /// Of its probes it shows the runs that failed and the first that succeeded after a change: a Node tells no more of them.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use podlife::Node;
    /// use podlife::model::{Container, Pod};
    /// use podlife::node::{Cursor, Until};
    /// use std::time::Duration;
    ///
    /// let mut node = Node::ephemeral()?;
    /// let sum = Container::new("sum", "podlife.local/host").command(["true"]);
    /// let pod = node.create(Pod::new("job").restart_policy(podlife::model::RestartPolicy::Never).container(sum))?;
    /// node.wait(pod, Until::Finished, Duration::from_secs(30))?;
    /// let timeline = node.events(Cursor::START).timeline(pod);
    /// assert!(timeline.to_string().contains("sum               exited with 0"));
    /// assert!(timeline.svg().contains("exit code 0"));
    /// # }
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn timeline(self, pod: PodId) -> Timeline {
        let mut events = self.filter(|event| event.pod == pod).peekable();
        let name = events.peek().map(|event| event.name.name.to_string());
        let mut timeline = Timeline::new(name.unwrap_or_default());
        for event in events {
            match event.told() {
                Some(what) => {
                    timeline.tell(event.at, what);
                }
                None => {
                    timeline.until(event.at);
                }
            }
        }
        timeline
    }
}

impl Event {
    /// What of it a timeline shows.
    fn told(&self) -> Option<What> {
        Some(match &self.kind {
            EventKind::Phase(phase) => What::Phase(phase.clone()),
            EventKind::Sandbox(change, _) => What::Sandbox(*change),
            EventKind::Container(event) => What::Container {
                name: event.container.clone(),
                attempt: event.attempt,
                change: event.change,
                exit_code: event.exit_code,
                detail: match event.change {
                    ContainerChange::Exited => None,
                    _ => event.detail.clone(),
                },
            },
            EventKind::Terminating(cause) => What::Terminating(*cause),
            EventKind::Terminated => What::Terminated,
            EventKind::Restored => What::Restored,
            EventKind::Deleted => What::Deleted,
            EventKind::Created
            | EventKind::Condition(..)
            | EventKind::FailedMount(_)
            | EventKind::FailedManifest(_)
            | EventKind::LifecycleHTTPFallback(_)
            | EventKind::Resize(..)
            | EventKind::Degraded(_)
            | EventKind::Store(_)
            | EventKind::Lagged { .. } => return None,
        })
    }
}
