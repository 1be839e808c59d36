//! A pod as its Node shows it.

use super::resident::Resident;
use super::{EventKind, EventSeries, PodId};
use crate::lifecycle::describe::{Deleting, Describe, EventRow};
use crate::lifecycle::history::History;
use crate::lifecycle::rules::column::{Listed, Row};
use crate::lifecycle::{ContainerChange, Record};
use crate::model::report::FieldReport;
use crate::model::{Pod, PodStatus};
use crate::time::Wall;

/// A pod of a [`Node`](crate::Node), borrowed from it.
#[derive(Clone, Copy, Debug)]
pub struct PodRef<'n>(pub(super) &'n Resident);

impl<'n> PodRef<'n> {
    /// Its id.
    pub fn id(&self) -> PodId {
        self.0.id
    }

    /// Its namespace.
    pub fn namespace(&self) -> &'n str {
        &self.0.name.namespace
    }

    /// Its name.
    pub fn name(&self) -> &'n str {
        &self.0.name.name
    }

    /// Its manifest, with defaults filled in.
    pub fn spec(&self) -> &'n Pod {
        &self.0.pod
    }

    /// What it is now.
    pub fn status(&self) -> &'n PodStatus {
        self.0.machine.status()
    }

    /// What podlife does with each field of its manifest.
    pub fn report(&self) -> &'n FieldReport {
        self.0.pod.report()
    }

    /// What its machine remembers.
    pub fn record(&self) -> &'n Record {
        self.0.machine.record()
    }

    /// What was said of it since this Node has it, oldest first: the last 64 different things, each with how often it was said. Unlike
    /// [`Node::events`](crate::Node::events) other pods do not push them out.
    ///
    /// ```
    /// use podlife::Node;
    /// use podlife::model::{Container, Pod};
    ///
    /// let mut node = Node::ephemeral()?;
    /// let id = node.create(Pod::new("web").container(Container::new("web", "absent")))?;
    /// let pod = node.pod(id).unwrap();
    /// let accepted = pod.events().next().unwrap();
    /// assert_eq!((accepted.event.reason(), accepted.count), ("Accepted", 1));
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn events(&self) -> impl Iterator<Item = &'n EventSeries> + use<'n> {
        self.0.events.all()
    }

    /// What its machine was told since this Node has it, the oldest folded together: told it again, a machine comes to the same
    /// [`status`](PodRef::status). It belongs into a bug report; the
    /// manifest is part of it. `None` if [`NodeOptions::history`](super::NodeOptions::history) is 0.
    ///
    /// ```
    /// use podlife::Node;
    /// use podlife::lifecycle::history::History;
    /// use podlife::model::{Container, Pod};
    ///
    /// let mut node = Node::ephemeral()?;
    /// let id = node.create(Pod::new("web").container(Container::new("web", "absent")))?;
    /// let pod = node.pod(id).unwrap();
    /// let report = serde_json::to_string(&pod.history()).unwrap();
    ///
    /// let history: History = serde_json::from_str(&report).unwrap();
    /// assert_eq!(history.replay(|_, _, _| {}).status(), pod.status());
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn history(&self) -> Option<&'n History> {
        self.0.history.as_ref()
    }

    /// Its row in `kubectl get pods`.
    pub fn row(&self, now: Wall) -> Row {
        let deleted = self.record().is_deleted();
        let (pod, status) = (&*self.0.pod, self.status());
        Row::new(
            &Listed {
                pod,
                status,
                deleted,
                created: pod.metadata.creation_timestamp,
            },
            now,
        )
    }

    /// Everything about it, for people. Of its [events](PodRef::events) not those that repeat what the rest of the page shows:
    /// phase, conditions, readiness.
    ///
    /// ```
    /// use podlife::linux::Clock;
    /// use podlife::model::{Container, Pod, RestartPolicy};
    /// use podlife::node::{Node, Until};
    /// use std::time::Duration;
    ///
    /// let mut node = Node::ephemeral()?;
    /// let sum = Container::new("sum", "podlife.local/host").command(["true"]);
    /// let id = node.create(Pod::new("job").restart_policy(RestartPolicy::Never).container(sum))?;
    /// node.wait(id, Until::Finished, Duration::from_secs(30))?;
    /// let text = node.pod(id).unwrap().describe(Clock::wall()).to_string();
    /// assert!(text.contains("    State:          Terminated\n      Reason:       Completed\n"), "{text}");
    /// assert!(text.contains("podlife  Started container sum\n"), "{text}");
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn describe(&self, now: Wall) -> Describe<'n> {
        Describe::of(self.spec(), now)
            .status(self.status())
            .deletion(self.deletion())
            .events(self.events().filter_map(row).collect())
    }

    fn deletion(&self) -> Option<Deleting> {
        let record = self.record();
        let ends = |said: &&EventSeries| matches!(said.event.kind, EventKind::Terminating(_));
        record.is_deleted().then(|| Deleting {
            since: self.events().find(ends).map(|said| said.first.wall),
            grace: record.grace().unwrap_or(0),
        })
    }
}

fn row(said: &EventSeries) -> Option<EventRow> {
    let elsewhere = match &said.event.kind {
        EventKind::Phase(_) | EventKind::Condition(..) => true,
        EventKind::Container(event) => matches!(
            event.change,
            ContainerChange::Ready(_) | ContainerChange::Probed(..)
        ),
        _ => false,
    };
    (!elsewhere).then(|| EventRow {
        type_: said.event.event_type().as_str(),
        reason: said.event.reason(),
        first: said.first.wall,
        last: said.event.at.wall,
        count: said.count,
        message: said.event.message(),
    })
}
