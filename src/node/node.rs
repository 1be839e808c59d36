//! The Node itself.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use super::command::{Delete, Snapshot};
use super::drain::Drain;
use super::handle::Inbox;
use super::host::Host;
use super::manifests::Manifests;
use super::resident::Resident;
use super::store::Saving;
use super::{
    Cursor, Event, EventKind, Events, LogOptions, Logs, NodeHandle, NodeOptions, PodId, PodRef,
};
use crate::lifecycle::{Input, PodMachine, PodOptions};
use crate::linux::Clock;
use crate::linux::reactor::Ready;
use crate::model::objects::Object;
use crate::model::{Pod, Valid};
use crate::{Error, Kind, Result};

/// Runs pods on this host, inside the program that has it.
///
/// A Node is driven by whoever owns it: [`turn`](Node::turn) does what there is to do, a bounded amount of it, and
/// [`AsFd`] gives one descriptor that is readable when there is something. The conveniences [`wait`](Node::wait),
/// [`run_until`](Node::run_until), [`output`](Node::output) and [`drain`](Node::drain) are loops over it. There are no callbacks and no
/// threads, and nothing happens while nobody drives; containers run all the same, each pod under its own small process.
///
/// A command's `Err` means that nothing changed. What happens to a pod later is told by [events](Node::events) and stands
/// in its [status](PodRef::status).
///
/// Dropping it never blocks. An [ephemeral](Node::ephemeral) Node's pods are killed then, without grace (an orderly end is
/// [`drain`](Node::drain)); those of one [opened](Node::open) on a directory run on, and the next Node opened there takes them up.
///
/// ```no_run
/// use podlife::model::{Container, Pod};
/// use podlife::node::{Delete, Node, Until};
/// use std::time::Duration;
///
/// let mut node = Node::ephemeral()?;
/// let hello = Container::new("hello", "podlife.local/host").command(["sleep", "60"]);
/// let pod = node.create(Pod::new("hello").container(hello))?;
/// node.wait(pod, Until::Ready, Duration::from_secs(30))?;
/// node.delete(pod, Delete::default())?;
/// node.wait(pod, Until::Deleted, Duration::from_secs(40))?;
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Debug)]
pub struct Node {
    pub(super) host: Host,
    pub(super) pods: BTreeMap<PodId, Resident>,
    /// Pods that have more to do than one turn allows.
    pub(super) backlog: VecDeque<PodId>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) ready: Vec<Ready>,
    /// A handle asked the driving thread to stop.
    pub(super) closing: bool,
    pub(super) sessions: u64,
    /// The directory of static pods.
    pub(super) manifests: Option<Manifests>,
    /// Orderly ends of all pods that are under way.
    pub(super) drains: Vec<Drain>,
    _not_sync: PhantomData<Cell<()>>,
}

/// A Node can be moved to another thread, and is driven by one at a time.
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<podlife::Node>();
/// ```
const _: () = {
    const fn send<T: Send>() {}
    send::<Node>();
};

impl Node {
    /// A Node that keeps nothing on disk: its pods end with it, however it ends.
    ///
    /// # Errors
    /// See [`NodeOptions::open`].
    pub fn ephemeral() -> Result<Node> {
        Node::options().open()
    }

    /// A Node that keeps everything in `state`: its pods outlive it, and those that are in there are taken up again.
    ///
    /// # Errors
    /// See [`NodeOptions::open`].
    pub fn open(state: impl Into<PathBuf>) -> Result<Node> {
        Node::options().state(state).open()
    }

    /// How to open it otherwise.
    pub fn options() -> NodeOptions {
        NodeOptions::default()
    }

    pub(super) fn with(options: NodeOptions) -> Result<Node> {
        let manifests = options.manifests.clone();
        let host = Host::open(options)?;
        let inbox = Arc::new(Inbox::new(host.reactor.waker()));
        let mut node = Node {
            host,
            pods: BTreeMap::new(),
            backlog: VecDeque::new(),
            inbox,
            ready: Vec::new(),
            closing: false,
            sessions: 0,
            manifests: None,
            drains: Vec::new(),
            _not_sync: PhantomData,
        };
        node.recover()?;
        if let Some(directory) = manifests {
            node.watch_manifests(directory)?;
        }
        Ok(node)
    }

    /// Takes on a pod: a [`Pod`], a [`Valid<Pod>`](Valid), or its manifest as text.
    ///
    /// # Errors
    /// The pod is invalid or has a field that is [refused](crate::manual::fields), one of that name exists, or it could not be written
    /// down. Then nothing has changed.
    pub fn create<P>(&mut self, pod: P) -> Result<PodId>
    where
        P: TryInto<Valid<Pod>>,
        Error: From<P::Error>,
    {
        self.create_with(pod.try_into()?, PodOptions::default())
    }

    /// The same, with choices beyond Kubernetes. They win over those that annotations of the pod say.
    ///
    /// # Errors
    /// As for [`create`](Node::create).
    pub fn create_with(&mut self, pod: Valid<Pod>, options: PodOptions) -> Result<PodId> {
        pod.report().accept()?;
        self.host.admission.admit(&pod)?;
        let options = options.or(PodOptions::of(&pod)?);
        let id = match pod.metadata.uid.as_deref().filter(|uid| !uid.is_empty()) {
            Some(uid) => uid.parse()?,
            None => self.host.ids.next(),
        };
        let (namespace, name) = (
            pod.metadata.namespace.as_deref(),
            pod.metadata.name.as_deref(),
        );
        let (namespace, name) = (namespace.unwrap_or("default"), name.unwrap_or_default());
        if self.find(namespace, name).is_some() || self.pods.contains_key(&id) {
            let attempt = format!("create the pod {namespace}/{name}");
            return Err(Error::new(
                Kind::AlreadyExists,
                attempt,
                "there is one of that name or uid",
            )
            .cure("delete it and wait until it is gone, or choose another name"));
        }
        self.host
            .reserve(&format!("create the pod {namespace}/{name}"))?;
        let pod = named(pod, id)?;
        let machine = PodMachine::new(pod.clone(), options.clone(), Clock::now());
        let mut resident = Resident::new(id, pod, options, machine, self.host.history);
        if let Some(state) = &self.host.state {
            let record = resident.machine.record();
            let saving = Saving {
                boot: &self.host.boot,
                options: &resident.options,
                record,
            };
            resident.files = Some(state.create(id, &resident.pod, &saving)?);
        }
        resident.say(&mut self.host, EventKind::Created);
        self.host.promise(id, &resident.pod.spec);
        self.pods.insert(id, resident);
        self.step(id);
        self.host.reactor.wake();
        Ok(id)
    }

    /// Begins the end of a pod: hooks, stop signals, SIGKILL after the grace period. [`EventKind::Deleted`] says that nothing is
    /// left of it. A second call can shorten the grace period.
    ///
    /// # Errors
    /// There is no such pod.
    pub fn delete(&mut self, id: PodId, how: Delete) -> Result<()> {
        let resident = self
            .pods
            .get_mut(&id)
            .ok_or_else(|| unknown("delete", id))?;
        resident.tell(Input::Delete(how.into()));
        self.step(id);
        self.host.reactor.wake();
        Ok(())
    }

    /// Keeps a ConfigMap or Secret, in the place of one of that kind, namespace and name, and in the state directory if there
    /// is one (a Secret too, as it is: in a file that only the Node's user can read).
    ///
    /// Pods that wait for it go on. The files of volumes change all at once, in running containers too, except where a
    /// container mounts a `subPath` of them. Environments do not change until a container is started again.
    ///
    /// # Errors
    /// It is not valid, immutable and not the same, or cannot be written. Then nothing has changed.
    pub fn put(&mut self, object: impl Into<Object>) -> Result<()> {
        let object = object.into();
        let namespace = object.namespace().to_owned();
        if self.host.objects.put(object)? {
            self.objects_changed(&namespace);
        }
        Ok(())
    }

    /// Forgets the ConfigMap or Secret of this one's kind, namespace and name. Files that were made from it stay where they
    /// are mounted; whatever needs it later waits. False if there is none.
    ///
    /// # Errors
    /// It cannot be removed from the state directory.
    pub fn remove(&mut self, object: &Object) -> Result<bool> {
        self.host.objects.remove(object)
    }

    fn objects_changed(&mut self, namespace: &str) {
        let in_it = |resident: &&mut Resident| &*resident.name.namespace == namespace;
        let mut told = Vec::new();
        for resident in self.pods.values_mut().filter(in_it) {
            resident.objects_changed(&mut self.host);
            told.push(resident.id);
        }
        told.retain(|id| !self.backlog.contains(id));
        self.backlog.extend(told);
        self.host.reactor.wake();
    }

    /// A pod by its id. `None` if it is gone, or never was.
    pub fn pod(&self, id: PodId) -> Option<PodRef<'_>> {
        self.pods.get(&id).map(PodRef)
    }

    /// The pod of that name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<PodRef<'_>> {
        self.pods
            .values()
            .map(PodRef)
            .find(|pod| (pod.namespace(), pod.name()) == (namespace, name))
    }

    /// All pods, ordered by namespace, name and id.
    pub fn pods(&self) -> impl Iterator<Item = PodRef<'_>> {
        let mut pods: Vec<_> = self.pods.values().map(PodRef).collect();
        pods.sort_by_key(|pod| (pod.0.name.clone(), pod.id()));
        pods.into_iter()
    }

    /// What a container prints, or printed in its previous run. The value is independent of the Node.
    ///
    /// # Errors
    /// There is no such pod or container, or it has not run yet.
    pub fn logs(&self, id: PodId, container: &str, options: LogOptions) -> Result<Logs> {
        let attempt = || format!("read the logs of the container {container}");
        let resident = self
            .pods
            .get(&id)
            .ok_or_else(|| unknown("read the logs of", id))?;
        let site = resident.sites.iter().find(|site| &*site.name == container);
        let site = site.ok_or_else(|| {
            Error::new(Kind::NotFound, attempt(), "the pod has no such container")
        })?;
        let mut runs = site.runs.iter().rev();
        let run = match options.attempt {
            Some(attempt) => runs.find(|run| run.attempt == attempt),
            None => runs.nth(usize::from(options.previous)),
        };
        let why = match (options.attempt, options.previous && !site.runs.is_empty()) {
            (Some(_), _) => "that run is not on record",
            (None, true) => "it has not run before",
            (None, false) => "it has not run yet",
        };
        let run = run.ok_or_else(|| Error::new(Kind::Conflict, attempt(), why))?;
        run.log.open(options)
    }

    /// Events behind a cursor that are still there.
    pub fn events(&self, after: Cursor) -> Events<'_> {
        self.host.events.after(after)
    }

    /// The next event that this has not given before. Drain it after each turn: the ring is bounded, and says
    /// [`EventKind::Lagged`] when it overflowed.
    pub fn next_event(&mut self) -> Option<Event> {
        self.host.events.pop()
    }

    /// A way for other threads to use the Node.
    pub fn handle(&self) -> NodeHandle {
        NodeHandle(self.inbox.clone())
    }

    pub(super) fn snapshot(&self, id: PodId) -> Result<Snapshot> {
        let resident = self.pods.get(&id).ok_or_else(|| unknown("look at", id))?;
        Ok(Snapshot {
            id,
            name: resident.name.clone(),
            status: resident.machine.status().clone(),
        })
    }
}

/// Level-triggered: readable when [`Node::turn`] has something to do.
impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.host.reactor.as_fd()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

pub(super) fn unknown(verb: &str, id: PodId) -> Error {
    Error::new(
        Kind::NotFound,
        format!("{verb} the pod {id}"),
        "there is none with that id",
    )
}

/// What an API server adds to a pod: its uid, and when it was created.
fn named(pod: Valid<Pod>, id: PodId) -> Result<Valid<Pod>> {
    let mut pod = pod.edit();
    pod.metadata.uid = Some(id.to_string());
    pod.metadata.creation_timestamp.get_or_insert(Clock::wall());
    pod.metadata
        .namespace
        .get_or_insert_with(|| "default".into());
    Ok(pod.validate()?)
}
