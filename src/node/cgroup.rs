//! A pod's cgroups, made where there is a place for them.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::event::{Degraded, EventKind};
use super::host::{Cgroups, Host};
use super::lower::limits;
use super::lower::sandbox::Pids;
use super::resident::Resident;
use crate::lifecycle::ContainerIndex;
use crate::linux::cgroup::layout::{Member, Tier};
use crate::linux::cgroup::{Cgroup, Degraded as Missing, Limits};
use crate::linux::pause::{self, Key};
use crate::model::QosClass;
use crate::model::qos::qos_class;
use crate::{Kind, Result};

/// How a process of a pod gets into its cgroup.
#[derive(Debug)]
pub(super) enum Entry {
    /// There is none.
    Inherit,
    /// Made in it.
    Into(Cgroup),
    /// By writing itself in, where the pod's root is nobody to the cgroup's owner.
    Procs(OwnedFd),
}

impl Entry {
    /// As pause is told.
    pub(super) fn for_pause(&self) -> pause::Cgroup<'_> {
        match self {
            Entry::Inherit => pause::Cgroup::Inherit,
            Entry::Into(cgroup) => pause::Cgroup::Into(cgroup.as_fd()),
            Entry::Procs(file) => pause::Cgroup::Procs(file.as_fd()),
        }
    }
}

impl Resident {
    /// How a process gets into a cgroup.
    pub(super) fn entry(&self, cgroup: Option<Cgroup>) -> Result<Entry> {
        Ok(match cgroup {
            None => Entry::Inherit,
            Some(cgroup) if self.ids.is_some() => Entry::Procs(cgroup.procs()?),
            Some(cgroup) => Entry::Into(cgroup),
        })
    }

    /// The pod's cgroup, and pause's in it. None where there is no place for cgroups.
    pub(super) fn make_cgroup(&mut self, host: &mut Host) -> Result<Option<Cgroup>> {
        let limits = limits::pod(&self.allocated_pod(), host.cgroups.controllers());
        let (group, missing) = match &host.cgroups {
            Cgroups::None(missing) => {
                missing.limits(&limits, self.enforcement(host))?;
                let why = missing.to_string();
                self.degrade(host, "cgroup", &why);
                return Ok(None);
            }
            Cgroups::Tree(tree, _) => {
                let (tier, uid) = (tier(&self.pod), self.id.to_string());
                match tree.create(tier, &uid, &limits, self.enforcement(host)) {
                    Err(error) if error.kind() == Kind::AlreadyExists => {
                        (tree.find(tier, &uid)?, Vec::new())
                    }
                    made => made.map(|(group, missing)| (Some(group), missing))?,
                }
            }
        };
        self.degrade_all(host, &missing);
        host.weigh_burstable();
        group.map(|group| pauses_own(&group)).transpose()
    }

    /// The cgroup of an attempt, new.
    pub(super) fn make_container_cgroup(
        &mut self,
        host: &mut Host,
        index: ContainerIndex,
        attempt: u32,
    ) -> Result<Option<Cgroup>> {
        let group = self.cgroup(host)?;
        let (Cgroups::Tree(tree, _), Some(group)) = (&host.cgroups, group) else {
            self.guard_devices(host, index, None);
            return Ok(None);
        };
        let name = self.sites[index.as_usize()].name.clone();
        let pod = self.allocated_pod();
        let limits = match self.allocated_spec(&pod, index) {
            Some(spec) => limits::container(&pod, spec, host.cgroups.controllers()),
            None => Limits::new(),
        };
        let member = Member::Container {
            name: &name,
            attempt,
        };
        let (cgroup, missing) = tree.member(&group, member, &limits, self.enforcement(host))?;
        self.degrade_all(host, &missing);
        self.guard_devices(host, index, Some(&cgroup));
        Ok(Some(cgroup))
    }

    /// The cgroup of an attempt.
    pub(super) fn container_cgroup(
        &self,
        host: &Host,
        index: ContainerIndex,
        attempt: u32,
    ) -> Option<Cgroup> {
        let member = Member::Container {
            name: &self.sites[index.as_usize()].name,
            attempt,
        };
        self.cgroup(host).ok()??.child(member.to_string()).ok()
    }

    /// The cgroup of a process in a container, new. It stands beside the container's and has no limits of its own.
    pub(super) fn make_exec_cgroup(
        &mut self,
        host: &mut Host,
        container: ContainerIndex,
        key: Key,
    ) -> Result<Option<Cgroup>> {
        let Some(group) = self.cgroup(host)? else {
            return Ok(None);
        };
        let cgroup = group.create(&self.exec_name(key))?;
        self.guard_devices(host, container, Some(&cgroup));
        Ok(Some(cgroup))
    }

    pub(super) fn exec_cgroup(&self, host: &Host, key: Key) -> Option<Cgroup> {
        self.find_exec_cgroup(host, key).ok()?
    }

    fn find_exec_cgroup(&self, host: &Host, key: Key) -> Result<Option<Cgroup>> {
        let group = self.cgroup(host)?;
        group
            .map(|group| group.child(self.exec_name(key)))
            .transpose()
    }

    /// And those of earlier ones in which something still lived then. If a child of a process lives on, it goes with the
    /// container.
    pub(super) fn remove_exec_cgroup(&mut self, host: &Host, key: Key) {
        self.stale.push(key);
        let stale = std::mem::take(&mut self.stale).into_iter();
        // One that cannot be opened now may be there all the same.
        let is_there = |key: &Key| match self.find_exec_cgroup(host, *key) {
            Ok(cgroup) => cgroup.is_some_and(|cgroup| cgroup.remove().is_err()),
            Err(error) => error.kind() != Kind::NotFound,
        };
        self.stale = stale.filter(is_there).collect();
    }

    /// Ends whatever is in the cgroups of a dead attempt, and removes them.
    pub(super) fn remove_container_cgroup(&self, host: &Host, index: ContainerIndex, attempt: u32) {
        let Ok(Some(group)) = self.cgroup(host) else {
            return;
        };
        let name = Member::Container {
            name: &self.sites[index.as_usize()].name,
            attempt,
        }
        .to_string();
        let execs = format!("{name}.exec-");
        for child in group.children().unwrap_or_default() {
            if child == name || child.starts_with(&execs) {
                remove(&group, &child);
            }
        }
    }

    /// Ends what a dead attempt left in a PID namespace that is not its own: nothing else does, and it may hold the
    /// container's output open.
    pub(super) fn end_orphans(&self, host: &Host, index: ContainerIndex, attempt: u32) {
        if Pids::of(&self.pod) == Pids::Own {
            return;
        }
        if let Some(cgroup) = self.container_cgroup(host, index, attempt) {
            let _ = cgroup.kill();
        }
    }

    /// Somebody may have frozen the pod, and pause with it: it has to see what it held end.
    pub(super) fn thaw(&self, host: &Host) {
        if let Some(group) = self.pod_cgroup(host) {
            let _ = group.thaw();
        }
    }

    /// Ends whatever is in the pod's cgroups: no pause answers for it any more.
    pub(super) fn kill_cgroup(&self, host: &Host) {
        let Ok(Some(group)) = self.cgroup(host) else {
            return;
        };
        for child in group.children().unwrap_or_default() {
            if let Ok(child) = group.child(child) {
                let _ = child.kill();
            }
        }
    }

    /// Removes all of the pod's cgroups, and ends what may still be in them; true when they are gone.
    pub(super) fn remove_cgroup(&self, host: &Host) -> bool {
        let Ok(Some(group)) = self.cgroup(host) else {
            return true;
        };
        for child in group.children().unwrap_or_default() {
            remove(&group, &child);
        }
        group.remove().is_ok()
    }

    /// The pod's own, with all its containers below it.
    pub(super) fn pod_cgroup(&self, host: &Host) -> Option<Cgroup> {
        self.cgroup(host).ok()?
    }

    pub(super) fn cgroup(&self, host: &Host) -> Result<Option<Cgroup>> {
        match &host.cgroups {
            Cgroups::Tree(tree, _) => tree.find(tier(&self.pod), &self.id.to_string()),
            Cgroups::None(_) => Ok(None),
        }
    }

    fn exec_name(&self, key: Key) -> String {
        let name = &self.sites[key.container as usize].name;
        Member::Exec {
            name,
            attempt: key.attempt,
            run: u64::from(key.exec),
        }
        .to_string()
    }

    pub(super) fn degrade_all(&mut self, host: &mut Host, missing: &[Missing]) {
        for missing in missing {
            self.degrade(host, missing.controller.name(), &missing.to_string());
        }
    }

    /// Says once what the pod has to do without.
    pub(super) fn degrade(&mut self, host: &mut Host, what: &str, why: &str) {
        if !self.degraded.contains(what) {
            let what: Arc<str> = what.into();
            self.degraded.insert(what.clone());
            let why = why.into();
            self.say(host, EventKind::Degraded(Degraded { what, why }));
        }
    }
}

/// Pause's cgroup, new: kernels that count what `cgroup.kill` did to a cgroup (6.18 does) kill
/// whatever is cloned into one that was ever killed from outside of it.
fn pauses_own(group: &Cgroup) -> Result<Cgroup> {
    let name = Member::Pause.to_string();
    if let Ok(old) = group.child(&name) {
        // One that is still in use is as good as it can be.
        let _ = old.remove();
    }
    group.ensure(&name)
}

fn remove(group: &Cgroup, child: &str) {
    let Ok(child) = group.child(child) else {
        return;
    };
    if child.remove().is_err() {
        let _ = child.kill();
        let _ = child.remove();
    }
}

/// Which level of the tree.
fn tier(pod: &crate::model::Pod) -> Tier {
    match qos_class(&pod.spec) {
        QosClass::Guaranteed => Tier::Guaranteed,
        QosClass::Burstable => Tier::Burstable,
        _ => Tier::BestEffort,
    }
}
