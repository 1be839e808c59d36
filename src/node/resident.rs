//! One pod on this Node: its machine, its sandbox, and what is under way for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{EventKind, PodEvents};
use super::host::{Due, Host};
use super::lower::{Ground, Lowering, config_error};
use super::prepared::Prepared;
use super::run::Run;
use super::sandbox::Sandbox;
use super::session::{Forward, Held, Kin};
use super::store::{PodFiles, Saving};
use super::users::View;
use super::work::{Purpose, Work, WorkId};
use super::{PodId, PodName};
use crate::lifecycle::history::History;
use crate::lifecycle::{
    ContainerIndex, Failure, Input, Output as Asked, Persisted, PodMachine, PodOptions, Ticket,
};
use crate::linux::Clock;
use crate::linux::cgroup::Enforcement;
use crate::linux::pause::Key;
use crate::linux::user::IdMap;
use crate::model::{self, Container, Pod, Valid};
use crate::time::Mono;

/// A pod that this Node runs.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) id: PodId,
    pub(super) name: PodName,
    pub(super) pod: Valid<Pod>,
    /// Its ephemeral containers as ordinary ones.
    pub(super) ephemeral: Vec<Container>,
    pub(super) options: PodOptions,
    pub(super) machine: PodMachine,
    /// Its part of the state directory; none for an ephemeral Node.
    pub(super) files: Option<PodFiles>,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) prepared: Option<Prepared>,
    /// By [`ContainerIndex`].
    pub(super) sites: Vec<Site>,
    pub(super) work: BTreeMap<WorkId, Work>,
    /// Programs that callers run in its containers, and containers they have attached to.
    pub(super) sessions: BTreeMap<u64, Held>,
    /// Connections into its network that are being made.
    pub(super) forwards: BTreeMap<u32, Forward>,
    /// Processes in its containers, where they have no cgroup.
    pub(super) kin: BTreeMap<Key, Kin>,
    /// Those whose cgroup was not empty when they ended.
    pub(super) stale: Vec<Key>,
    /// Numbers for processes inside containers; never used twice while pause remembers.
    pub(super) execs: u32,
    /// Numbers for what pause answers.
    pub(super) tickets: u32,
    /// What a failed probe or hook said last.
    pub(super) said: BTreeMap<(ContainerIndex, Purpose), Arc<str>>,
    /// Why the sandbox could not be made.
    pub(super) sandbox_error: Option<EventKind>,
    /// For which sandbox, and which state of all objects, the files of volumes were written.
    pub(super) filled: Option<(u32, u64)>,
    /// What was said already of what the pod has to do without.
    pub(super) degraded: BTreeSet<Arc<str>>,
    /// Its end waits for cgroups to become empty.
    pub(super) tearing_down: Option<Ticket>,
    /// The ids of the host that are its own, as long as it has a sandbox, and its user namespace.
    pub(super) ids: Option<IdMap>,
    pub(super) view: Option<View>,
    /// What the machine waits for.
    pub(super) deadline: Option<Mono>,
    /// What was said of it.
    pub(super) events: PodEvents,
    /// What its machine was told.
    pub(super) history: Option<History>,
}

/// What is known of one container beside its record.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: Arc<str>,
    pub(super) image: Arc<str>,
    /// The newest last; as many as the record has.
    pub(super) runs: Vec<Run>,
}

/// How far a pod got with its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Nothing more to do.
    Idle,
    /// The budget is used up.
    More,
    /// Nothing is left of the pod.
    Gone,
}

impl Resident {
    pub(super) fn new(
        id: PodId,
        pod: Valid<Pod>,
        options: PodOptions,
        machine: PodMachine,
        history: usize,
    ) -> Resident {
        let name = PodName::of(&pod);
        let history = (history > 0).then(|| History::bounded(&machine, history));
        let mut resident = Resident {
            id,
            name,
            ephemeral: ephemeral(&pod),
            pod,
            options,
            machine,
            files: None,
            sandbox: None,
            prepared: None,
            sites: Vec::new(),
            work: BTreeMap::new(),
            sessions: BTreeMap::new(),
            forwards: BTreeMap::new(),
            kin: BTreeMap::new(),
            stale: Vec::new(),
            execs: 0,
            tickets: 0,
            said: BTreeMap::new(),
            sandbox_error: None,
            filled: None,
            degraded: BTreeSet::new(),
            tearing_down: None,
            ids: None,
            view: None,
            deadline: None,
            events: PodEvents::default(),
            history,
        };
        resident.add_sites();
        resident
    }

    /// A site for each container of the record that has none yet.
    pub(super) fn add_sites(&mut self) {
        for container in &self.machine.record().containers()[self.sites.len()..] {
            let name: Arc<str> = container.name().into();
            let spec = find(&self.pod, &self.ephemeral, &name);
            let image = spec.and_then(|spec| spec.image.as_deref());
            self.sites.push(Site {
                image: image.unwrap_or_default().into(),
                name,
                runs: Vec::new(),
            });
        }
    }

    /// Tells the machine something.
    pub(super) fn tell(&mut self, input: Input) {
        let now = Clock::now();
        if let Some(history) = &mut self.history {
            history.push(now, input.clone());
        }
        self.machine.handle(now, input);
    }

    /// Does what the machine asks, at most `budget` things of it.
    pub(super) fn pump(&mut self, host: &mut Host, budget: &mut usize) -> Pumped {
        while *budget > 0 {
            *budget -= 1;
            match self.machine.poll_output() {
                Asked::Wait(deadline) => {
                    self.wait_until(host, deadline);
                    return Pumped::Idle;
                }
                Asked::Persist => {
                    let persisted = self.persist(host);
                    self.tell(Input::Persisted(persisted));
                }
                Asked::Perform(ticket, action) => {
                    if let Some(outcome) = self.perform(host, ticket, action) {
                        self.tell(Input::Done(ticket, outcome));
                    }
                }
                Asked::Cancel(ticket) => self.cancel(host, WorkId(ticket)),
                Asked::Notify(change) => {
                    if self.notify(host, change) {
                        return Pumped::Gone;
                    }
                }
            }
        }
        Pumped::More
    }

    fn wait_until(&mut self, host: &mut Host, deadline: Option<Mono>) {
        if let Some(at) = deadline.filter(|_| deadline != self.deadline) {
            host.schedule(at, Due::Machine(self.id));
        }
        self.deadline = deadline;
    }

    /// An ephemeral Node has nothing that would outlive it: there it is done as soon as it is asked.
    fn persist(&mut self, host: &Host) -> Persisted {
        let record = self.machine.record();
        let saving = Saving {
            boot: &host.boot,
            options: &self.options,
            record,
        };
        match self.files.as_mut().map(|files| files.save(&saving)) {
            None | Some(Ok(())) => Persisted::Written,
            Some(Err(_)) => Persisted::Failed,
        }
    }

    /// What the manifest says of a container.
    pub(super) fn spec(&self, index: ContainerIndex) -> Option<&Container> {
        let name = &self.sites.get(index.as_usize())?.name;
        find(&self.pod, &self.ephemeral, name)
    }

    /// What the pod stands on.
    pub(super) fn ground(&self, host: &Host) -> Ground {
        let volumes = self.files.as_ref().map(PodFiles::volumes);
        host.ground_with(volumes, self.ids)
    }

    /// A plan, or something else that is made from a container's manifest and what it stands on.
    pub(super) fn lowered<T>(
        &self,
        host: &Host,
        (index, attempt): (ContainerIndex, u32),
        of: impl FnOnce(&Lowering<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let site = &self.sites[index.as_usize()];
        let spec = self
            .spec(index)
            .ok_or_else(|| config_error("it is not in the manifest any more"))?;
        let rootfs = host.images.find(&site.image);
        let rootfs =
            rootfs.ok_or_else(|| config_error(format!("the image {} is absent", site.image)))?;
        let ground = self.ground(host);
        let run = site.runs.iter().find(|run| run.attempt == attempt);
        of(&Lowering {
            pod: &self.pod,
            spec,
            rootfs,
            ground: &ground,
            objects: host.objects.of(&self.name.namespace),
            allocatable: &host.allocatable,
            options: &self.options,
            attempt,
            settled: run.and_then(|run| run.settled.as_ref()),
        })
    }

    /// Whether memory ran out in an attempt's cgroup.
    pub(super) fn oom_killed(&self, host: &Host, index: ContainerIndex, attempt: u32) -> bool {
        let events = self
            .container_cgroup(host, index, attempt)
            .and_then(|cgroup| cgroup.memory_events().ok()?);
        events
            .and_then(|events| events.counts().ok())
            .is_some_and(|counts| counts.oom_kill > 0)
    }

    /// What happens where a limit of this pod cannot be enforced.
    pub(super) fn enforcement(&self, host: &Host) -> Enforcement {
        match self.options.enforcement {
            Some(model::Enforcement::Required) => Enforcement::Required,
            Some(model::Enforcement::BestEffort) => Enforcement::BestEffort,
            None => host.enforcement,
        }
    }

    /// A new number for what pause will answer.
    pub(super) fn ticket(&mut self) -> u32 {
        self.tickets = self.tickets.wrapping_add(1);
        self.tickets
    }

    /// The run of an attempt.
    pub(super) fn run(&mut self, index: ContainerIndex, attempt: u32) -> Option<&mut Run> {
        let site = self.sites.get_mut(index.as_usize())?;
        site.runs.iter_mut().find(|run| run.attempt == attempt)
    }
}

/// A container by its name; no two have the same.
fn find<'p>(pod: &'p Pod, ephemeral: &'p [Container], name: &str) -> Option<&'p Container> {
    spec_of(pod, name).or_else(|| ephemeral.iter().find(|container| container.name == name))
}

pub(super) fn ephemeral(pod: &Pod) -> Vec<Container> {
    let all = &pod.spec.ephemeral_containers;
    all.iter()
        .map(|container| container.as_container())
        .collect()
}

/// An init or regular container by its name.
pub(super) fn spec_of<'p>(pod: &'p Pod, name: &str) -> Option<&'p Container> {
    let containers = pod.spec.init_containers.iter().chain(&pod.spec.containers);
    containers
        .into_iter()
        .find(|container| container.name == name)
}

impl Site {
    /// Forgets a run, and removes its log unless another run has the same.
    pub(super) fn forget(&mut self, attempt: u32) {
        let (gone, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.runs)
            .into_iter()
            .partition(|run| run.attempt == attempt);
        self.runs = left;
        for mut run in gone {
            if !self.runs.iter().any(|other| other.log.is(&run.log)) {
                run.log.remove();
            }
        }
    }
}

/// The key by which pause knows an attempt.
pub(super) fn key(index: ContainerIndex, attempt: u32) -> Key {
    Key::container(u32::from(index.0), attempt)
}
