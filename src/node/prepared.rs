//! A container prepared ahead: while the pod's pause process sets itself up there is nothing else to do for the pod.

use super::cgroup::Entry;
use super::host::Host;
use super::lower::{Settled, create_error};
use super::resident::Resident;
use crate::lifecycle::{ContainerIndex, Failure};
use crate::linux::pause::Plan;
use crate::model::{Pod, Valid};

/// What the start of a container needs.
#[derive(Debug)]
pub(super) struct Preparation {
    pub(super) plan: Plan,
    pub(super) settled: Settled,
    pub(super) cgroup: Entry,
}

/// That of the container that comes first, and what it was made from.
#[derive(Debug)]
pub(super) struct Prepared {
    container: ContainerIndex,
    attempt: u32,
    pod: Valid<Pod>,
    /// Which state of all objects.
    objects: u64,
    preparation: Preparation,
}

impl Resident {
    /// The number of a container's first attempt is on record with the pod, so what is left of it after a crash will be found.
    /// What cannot be done is told when the machine asks for it.
    pub(super) fn prepare_first(&mut self, host: &mut Host) {
        self.forget_prepared(host);
        let first = self.machine.record().containers().first();
        if !first.is_some_and(|first| first.attempts().is_empty()) {
            return;
        }
        let (container, attempt) = (ContainerIndex(0), 0);
        match self.prepare(host, container, attempt) {
            Ok(preparation) => {
                self.prepared = Some(Prepared {
                    container,
                    attempt,
                    pod: self.pod.clone(),
                    objects: host.objects.changes(),
                    preparation,
                });
            }
            Err(_) => self.remove_container_cgroup(host, container, attempt),
        }
    }

    /// What the start of an attempt needs, made ahead or now.
    pub(super) fn prepared(
        &mut self,
        host: &mut Host,
        container: ContainerIndex,
        attempt: u32,
    ) -> Result<Preparation, Failure> {
        let objects = host.objects.changes();
        let fits = |prepared: &mut Prepared| {
            (prepared.container, prepared.attempt, prepared.objects)
                == (container, attempt, objects)
                && prepared.pod == self.pod
        };
        if let Some(prepared) = self.prepared.take_if(fits) {
            return Ok(prepared.preparation);
        }
        self.forget_prepared(host);
        self.prepare(host, container, attempt)
    }

    fn forget_prepared(&mut self, host: &Host) {
        if let Some(prepared) = self.prepared.take() {
            self.remove_container_cgroup(host, prepared.container, prepared.attempt);
        }
    }

    fn prepare(
        &mut self,
        host: &mut Host,
        container: ContainerIndex,
        attempt: u32,
    ) -> Result<Preparation, Failure> {
        let (plan, settled) =
            self.lowered(host, (container, attempt), |lowering| lowering.container())?;
        let cgroup = self
            .make_container_cgroup(host, container, attempt)
            .and_then(|cgroup| self.entry(cgroup))
            .map_err(create_error)?;
        Ok(Preparation {
            plan,
            settled,
            cgroup,
        })
    }
}
