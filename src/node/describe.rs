//! A pod as its Node shows it.

use std::fmt;

use super::PodId;
use super::event::EventSeries;
use super::resident::Resident;
use crate::lifecycle::rules::column::{Listed, Row};
use crate::lifecycle::{Record, State};
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

    /// Everything about it, for people.
    pub fn describe(&self, now: Wall) -> Describe<'n> {
        Describe { pod: *self, now }
    }
}

/// A pod as `kubectl describe pod` prints it, in short.
#[derive(Clone, Copy, Debug)]
pub struct Describe<'n> {
    pod: PodRef<'n>,
    now: Wall,
}

impl fmt::Display for Describe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pod = &self.pod;
        let status = pod.status();
        let row = pod.row(self.now);
        writeln!(f, "Name:       {}", pod.name())?;
        writeln!(f, "Namespace:  {}", pod.namespace())?;
        writeln!(f, "UID:        {}", pod.id())?;
        writeln!(f, "Status:     {} (for {})", row.status, row.age)?;
        if let Some(message) = &status.message {
            writeln!(f, "Message:    {message}")?;
        }
        let init = [
            ("Init Containers", &status.init_container_statuses),
            ("Containers", &status.container_statuses),
        ];
        for (title, statuses) in init
            .into_iter()
            .filter(|(_, statuses)| !statuses.is_empty())
        {
            writeln!(f, "{title}:")?;
            statuses
                .iter()
                .try_for_each(|status| write_container(f, pod, status))?;
        }
        writeln!(f, "Conditions:")?;
        for condition in &status.conditions {
            writeln!(f, "  {:<26} {}", condition.type_, condition.status)?;
        }
        Ok(())
    }
}

fn write_container(
    f: &mut fmt::Formatter<'_>,
    pod: &PodRef<'_>,
    status: &crate::model::ContainerStatus,
) -> fmt::Result {
    writeln!(f, "  {}:", status.name)?;
    writeln!(f, "    Image:          {}", status.image)?;
    let state = status.state.clone().unwrap_or_default();
    let (word, more) = match (state.running, state.terminated, state.waiting) {
        (Some(running), ..) => (
            "Running",
            running.started_at.map(|at| format!("since {at}")),
        ),
        (_, Some(ended), _) => {
            let reason = ended.reason.unwrap_or_default();
            (
                "Terminated",
                Some(format!("{reason}, exit code {}", ended.exit_code)),
            )
        }
        (_, _, Some(waiting)) => ("Waiting", waiting.reason),
        _ => ("Waiting", None),
    };
    match more {
        Some(more) => writeln!(f, "    State:          {word} ({more})")?,
        None => writeln!(f, "    State:          {word}")?,
    }
    writeln!(f, "    Ready:          {}", status.ready)?;
    writeln!(f, "    Restart Count:  {}", status.restart_count)?;
    let machine = &pod.0.machine;
    let doing = machine
        .record()
        .index(&status.name)
        .and_then(|index| machine.state(index));
    match doing {
        None | Some(State::Waiting | State::Running) => Ok(()),
        Some(doing) => writeln!(f, "    Now:            {doing:?}"),
    }
}
