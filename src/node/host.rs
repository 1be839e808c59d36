//! What all pods of a Node share: the event loop, the events, the place for cgroups, the images, the state directory.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::{File, TryLockError};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::admission::Admission;
use super::devices::Devices;
use super::event::{Degraded, Event, EventKind, Ring};
use super::id::Ids;
use super::logs::Bounds;
use super::lower::seccomp::Profiles;
use super::lower::{self, Ground, SecurityModules};
use super::objects::ObjectStore;
use super::options::NodeOptions;
use super::resize::Promises;
use super::rootfs::Images;
use super::store::StateDirectory;
use super::users::{self, Pool};
use super::watch::WatchQueue;
use super::work::WorkId;
use super::{Cursor, PodId, PodName};
use crate::lifecycle::rules::resize::Amounts;
use crate::linux::capabilities::CapabilitySet;
use crate::linux::cgroup::layout::Layout;
use crate::linux::cgroup::{Cgroup, Controllers, Delegation, Enforcement, Missing};
use crate::linux::features::{self, Support};
use crate::linux::pause::Program;
use crate::linux::process::BootId;
use crate::linux::reactor::{Interest, Token};
use crate::linux::user::{IdMap, IdMaps};
use crate::linux::{Capabilities, Clock, Reactor, security};
use crate::model::ResourceList;
use crate::model::quantity::Format;
use crate::model::{Pod, Quantity};
use crate::time::Mono;
use crate::{Error, Kind, Result};

/// Everything that is not about one pod.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) reactor: Reactor,
    watched: HashMap<u64, Watched>,
    tokens: u64,
    deadlines: BinaryHeap<Reverse<(Mono, Due)>>,
    pub(super) events: Ring,
    watches: Vec<Arc<WatchQueue>>,
    pub(super) ids: Ids,
    pub(super) boot: BootId,
    pub(super) images: Images,
    /// The pause program, one for all pods.
    pub(super) program: Program,
    pub(super) cgroups: Cgroups,
    pub(super) devices: Devices,
    pub(super) enforcement: Enforcement,
    pub(super) log_bounds: Bounds,
    /// So many inputs of each pod's machine are kept.
    pub(super) history: usize,
    pub(super) promises: Promises,
    pub(super) state: Option<StateDirectory>,
    /// ConfigMaps and Secrets.
    pub(super) objects: ObjectStore,
    /// What the host can give to pods: the limits of those that have none.
    pub(super) allocatable: ResourceList,
    pub(super) admission: Admission,
    /// The ids of pods' user namespaces, if an ordinary user runs them: its own, and the ranges it was given.
    users: Option<IdMaps>,
    /// Those that are there for the pods of root.
    pub(super) pool: Pool,
    /// Why a user namespace cannot have a `/proc` of its own, if it cannot.
    hidden_proc: Option<Arc<str>>,
    /// Nobody was told yet that no process can be made less likely to be killed for want of memory.
    pub(super) cannot_rank: bool,
    seccomp: Profiles,
    modules: SecurityModules,
    /// See [`Ground::scratch`].
    scratch: PathBuf,
    /// Bytes of memory.
    memory: u64,
}

/// What a descriptor that became ready is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// The connection to a pod's pause process.
    Pause(PodId),
    /// A pause process that is asked to end, or has.
    Process(PodId),
    /// A socket or pipe of something under way.
    Work(PodId, WorkId),
    /// The directory of static pods.
    Manifests,
    /// A connection into a pod that is being made.
    Forward(PodId, u32),
}

/// What is due at some time. An entry may be out of date: whoever it is about knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A pod's machine waits for this time.
    Machine(PodId),
    /// Something under way.
    Work(PodId, WorkId),
    /// An exit is told although the output of the container has not ended.
    Drained(PodId),
    /// Cgroups that were not empty may be now.
    Teardown(PodId),
    /// A manifest that could not be used is tried again.
    Manifests,
    /// Those that are being killed one by one may have ended.
    Kin(PodId),
    /// The next group of pods is to be ended.
    Drain,
}

impl Due {
    /// Which pod it is about, if it is about one.
    pub(super) fn pod(self) -> Option<PodId> {
        match self {
            Due::Machine(pod)
            | Due::Work(pod, _)
            | Due::Drained(pod)
            | Due::Teardown(pod)
            | Due::Kin(pod) => Some(pod),
            Due::Manifests | Due::Drain => None,
        }
    }
}

/// The place for cgroups, or why there is none.
#[derive(Debug)]
pub(super) enum Cgroups {
    /// Below here.
    Tree(
        Layout,
        #[expect(dead_code, reason = "held, never read")] Option<File>,
    ),
    /// Nowhere.
    None(Missing),
}

impl Host {
    pub(super) fn open(options: NodeOptions) -> Result<Host> {
        options.images.check()?;
        let state = options.state.map(StateDirectory::open).transpose()?;
        let mut objects = ObjectStore::open(state.as_ref().map(StateDirectory::objects))?;
        for object in options.objects {
            objects.put(object)?;
        }
        let mut ids = Ids::open()?;
        let delegation = match &options.cgroup_root {
            Some(path) => Delegation::at(path)?,
            None => Delegation::find()?,
        };
        let cgroups = match delegation {
            Delegation::Granted(root) => Cgroups::below(&root, state.is_none(), &mut ids)?,
            Delegation::Missing(missing) => Cgroups::None(missing),
        };
        Ok(Host {
            reactor: Reactor::new()?,
            watched: HashMap::new(),
            tokens: 0,
            deadlines: BinaryHeap::new(),
            events: Ring::new(options.events),
            watches: Vec::new(),
            ids,
            boot: BootId::current()?,
            images: options.images,
            program: Program::load()?,
            cgroups,
            devices: Devices::open()?,
            enforcement: options.enforcement,
            log_bounds: options.log_bounds,
            history: options.history,
            promises: Promises::new(capacity(&options.capacity)),
            state,
            objects,
            allocatable: allocatable(),
            admission: Admission::new(&options.sysctls)?,
            users: (!nix::unistd::geteuid().is_root()).then(own_users),
            pool: Pool::new(options.pod_ids),
            hidden_proc: match features::proc_in_user_namespace()? {
                Support::Yes => None,
                Support::No { why, .. } => Some(why.into()),
            },
            cannot_rank: !Capabilities::own(CapabilitySet::Effective)?
                .contains(Capabilities::named("SYS_RESOURCE")?),
            seccomp: options.seccomp,
            modules: SecurityModules {
                apparmor_default: options.apparmor_default,
                selinux: security::has_selinux(),
            },
            scratch: lower::scratch()?,
            memory: memory(),
        })
    }

    /// See [`Ground::scratch`].
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Starts watching a descriptor.
    pub(super) fn watch(
        &mut self,
        fd: impl AsFd,
        interest: Interest,
        what: Watched,
    ) -> Result<Token> {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.reactor.add(fd, interest, token)?;
        self.watched.insert(token.0, what);
        Ok(token)
    }

    /// Stops watching it; before it is closed.
    pub(super) fn unwatch(&mut self, fd: impl AsFd, token: Token) {
        self.watched.remove(&token.0);
        // It is only not there if it was closed before, and then there is nothing to remove.
        let _ = self.reactor.remove(fd);
    }

    /// What a ready descriptor is about; none if it was unwatched meanwhile.
    pub(super) fn watched(&self, token: Token) -> Option<Watched> {
        self.watched.get(&token.0).copied()
    }

    /// Hears no more of it, but keeps it.
    pub(super) fn deafen(&self, fd: impl AsFd) {
        let _ = self.reactor.remove(fd);
    }

    /// Makes sure that a pod can be made: a start takes so many descriptors for a moment.
    pub(super) fn reserve(&self, attempt: &str) -> Result<()> {
        const START: usize = 16;
        let failed = |why| {
            Error::io(attempt, why)
                .as_kind(Kind::Exhausted)
                .cure("raise RLIMIT_NOFILE, or end other pods first")
        };
        let taken: Result<Vec<_>> = (0..START)
            .map(|_| self.reactor.as_fd().try_clone_to_owned().map_err(failed))
            .collect();
        taken.map(drop)
    }

    /// Is it an ordinary user who runs the pods?
    pub(super) fn is_rootless(&self) -> bool {
        self.users.is_some()
    }

    /// The ids of its pods then.
    pub(super) fn users(&self) -> Option<&IdMaps> {
        self.users.as_ref()
    }

    /// What pods stand on here.
    pub(super) fn ground(&self, volumes: Option<PathBuf>) -> Ground {
        Ground {
            scratch: self.scratch.clone(),
            volumes,
            users: self.users.clone(),
            separate: false,
            hidden_proc: self.users.as_ref().and(self.hidden_proc.clone()),
            seccomp: self.seccomp.clone(),
            modules: self.modules.clone(),
            cgroups: matches!(self.cgroups, Cgroups::Tree(..)),
            memory: self.memory,
        }
    }

    /// The same for a pod with ids and a user namespace of its own.
    pub(super) fn ground_with(&self, volumes: Option<PathBuf>, ids: Option<IdMap>) -> Ground {
        let ground = self.ground(volumes);
        match ids {
            None => ground,
            Some(ids) => Ground {
                users: Some(users::both(ids)),
                separate: true,
                hidden_proc: self.hidden_proc.clone(),
                ..ground
            },
        }
    }

    /// Does a pod get ids of its own here? An ordinary user's pods have a user namespace anyway.
    pub(super) fn separates(&self, pod: &Pod) -> bool {
        self.users.is_none() && pod.spec.host_users == Some(false)
    }

    /// Says that a pod of the state directory cannot be taken up.
    pub(super) fn tell_lost(&mut self, pod: PodId, error: &Error) {
        let name = PodName {
            namespace: "default".into(),
            name: pod.to_string().into(),
        };
        let why = error.to_string().into();
        self.tell(
            pod,
            &name,
            EventKind::Degraded(Degraded {
                what: "state".into(),
                why,
            }),
        );
    }

    /// Has `due` come up at `at`.
    pub(super) fn schedule(&mut self, at: Mono, due: Due) {
        self.deadlines.push(Reverse((at, due)));
    }

    /// What is due now, one by one.
    pub(super) fn take_due(&mut self, now: Mono) -> Option<Due> {
        let Reverse((at, due)) = *self.deadlines.peek()?;
        if at > now {
            return None;
        }
        self.deadlines.pop();
        Some(due)
    }

    /// When the next thing is due.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Tells everybody.
    pub(super) fn tell(&mut self, pod: PodId, name: &PodName, kind: EventKind) -> Event {
        let event = self.events.push(Clock::now(), pod, name.clone(), kind);
        self.watches.retain(|watch| watch.push(event.clone()));
        event
    }

    /// Replays to a new watch, and keeps it.
    pub(super) fn add_watch(&mut self, after: Cursor, watch: Arc<WatchQueue>) {
        for event in self.events.after(after) {
            watch.push(event);
        }
        self.watches.push(watch);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.watches.iter().for_each(|watch| watch.end());
        if let Cgroups::Tree(tree, _) = &self.cgroups {
            // Whoever still uses it keeps it.
            let _ = tree.remove_if_unused();
        }
    }
}

/// The caller, and the ranges it may map with helpers; without them the caller alone.
fn own_users() -> IdMaps {
    let ranges = IdMaps::ranges();
    ranges
        .ok()
        .and_then(std::result::Result::ok)
        .unwrap_or_else(IdMaps::single)
}

/// What this host has, unless its owner says otherwise.
fn capacity(said: &Amounts) -> Amounts {
    let whole = |number: u64| {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        Quantity::new(number, 0, Format::DecimalSI)
    };
    let processors = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN);
    let processors = processors.ok().flatten().unwrap_or(1).unsigned_abs();
    Amounts {
        memory: said.memory.or_else(|| Some(whole(memory()))),
        cpu: said.cpu.or_else(|| Some(whole(processors))),
    }
}

/// Of the host, in bytes; only the oom scores of burstable pods are made of it.
fn memory() -> u64 {
    use procfs::Current;
    procfs::Meminfo::current().map_or(u64::MAX, |memory| memory.mem_total)
}

fn allocatable() -> ResourceList {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let amounts = [
        ("cpu", processors.to_string()),
        ("memory", memory().to_string()),
    ];
    let amounts = amounts.into_iter();
    amounts
        .filter_map(|(name, amount)| Some((name, amount.parse().ok()?)))
        .collect()
}

impl Cgroups {
    /// The controllers that limits can use.
    pub(super) fn controllers(&self) -> Controllers {
        match self {
            Cgroups::Tree(tree, _) => tree.controllers(),
            Cgroups::None(_) => Controllers::NONE,
        }
    }

    /// One child of `root` is ours. That of an ephemeral Node is its own, and locked as long as it lives; those that nobody
    /// locks any more were left behind by pods that ended after their Node, and are removed.
    fn below(root: &Cgroup, ephemeral: bool, ids: &mut Ids) -> Result<Cgroups> {
        if !nix::unistd::geteuid().is_root() {
            // Delegated to this user, whose it is to arrange; what is missing is told when a limit needs it.
            root.enable(Controllers::ALL, Enforcement::BestEffort)?;
        }
        if !ephemeral {
            return Ok(Cgroups::Tree(Layout::new(root.ensure("podlife")?)?, None));
        }
        sweep(root);
        let (own, lock) = create_locked(root, ids)?;
        Ok(Cgroups::Tree(Layout::new(own)?, lock))
    }
}

/// One that another Node swept away before it was locked is made anew. No lock where cgroups cannot be locked.
fn create_locked(root: &Cgroup, ids: &mut Ids) -> Result<(Cgroup, Option<File>)> {
    for _ in 0..16 {
        let id = ids.next().to_string();
        let name = format!("{EPHEMERAL}{}", id.split('-').next().unwrap_or_default());
        let own = match root.create(&name) {
            Err(error) if error.kind() == Kind::NotFound => continue,
            made => made?,
        };
        match lock(&own) {
            Ok(lock) if root.child(&name).is_ok() => return Ok((own, Some(lock))),
            Err(TryLockError::Error(_)) => return Ok((own, None)),
            _ => drop(own.remove()),
        }
    }
    let attempt = format!("make a cgroup below {}", root.path().display());
    let error = Error::new(Kind::Os, attempt, "others remove it before it is locked");
    Err(error.cure("see which program removes cgroups there"))
}

/// How the cgroups of ephemeral Nodes are called.
const EPHEMERAL: &str = "podlife-";

fn lock(cgroup: &Cgroup) -> std::result::Result<File, TryLockError> {
    let file = File::from(
        cgroup
            .as_fd()
            .try_clone_to_owned()
            .map_err(TryLockError::Error)?,
    );
    file.try_lock().map(|()| file)
}

/// Removes what ephemeral Nodes left behind.
fn sweep(root: &Cgroup) {
    let children = root.children().unwrap_or_default();
    for name in children.iter().filter(|name| name.starts_with(EPHEMERAL)) {
        let Ok(left) = root.child(name) else { continue };
        if let Ok(_lock) = lock(&left) {
            // Not yet empty, if it was left only just now: the next Node does it.
            let _ = left.remove_tree();
        }
    }
}
