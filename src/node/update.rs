//! A living pod changed: its manifest, a container more to look into it, a restart.

use super::PodId;
use super::node::{Node, unknown};
use super::resident::{Resident, ephemeral};
use crate::lifecycle::{ContainerIndex, Input};
use crate::model::{EphemeralContainer, Pod, Valid};
use crate::{Error, Kind, Result};

impl Node {
    /// Changes a living pod: its images, its resources in place, sidecars and ephemeral containers that come and go, and what
    /// else [may change](Pod::check_update). It is written before this returns.
    ///
    /// Resources that this host cannot give are not an error: the condition `PodResizePending` says `Deferred`, and they are
    /// tried again, or `Infeasible`. A container whose `resizePolicy` is `RestartContainer` is restarted, any other is not.
    ///
    /// ```no_run
    /// use podlife::Node;
    /// use podlife::model::{Container, Pod};
    ///
    /// let web = |memory: &str| {
    ///     let container = Container::new("web", "podlife.local/host").command(["sleep", "60"]);
    ///     Pod::new("web").container(container.limit("memory", memory))
    /// };
    /// let mut node = Node::ephemeral()?;
    /// let id = node.create(web("64Mi"))?;
    /// node.update(id, web("96Mi").validate()?)?;
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is no such pod, it has ended, the change is Forbidden, this host cannot take it on (AppArmor, https without the feature
    /// `tls`), or it could not be written down. Then nothing has changed.
    pub fn update(&mut self, id: PodId, pod: Valid<Pod>) -> Result<()> {
        let resident = self
            .pods
            .get_mut(&id)
            .ok_or_else(|| unknown("update", id))?;
        self.host.admission.admit(&pod)?;
        resident.update(pod)?;
        resident.objects_changed(&mut self.host);
        self.step(id);
        self.host.reactor.wake();
        Ok(())
    }

    /// Adds a container to look into a living pod with, as `kubectl debug` does. With
    /// [`target`](EphemeralContainer::target) it sees that container's processes. What it prints is in its
    /// [`logs`](Node::logs), and [`output`](Node::output) runs commands in it. It is never restarted, and goes with the pod; with
    /// the option [`removable_ephemeral`](crate::model::PodOptions::removable_ephemeral), also by an
    /// [`update`](Node::update) without it.
    ///
    /// # Errors
    /// As for [`update`](Node::update); the pod has a container of that name.
    pub fn debug(&mut self, id: PodId, container: EphemeralContainer) -> Result<()> {
        let resident = self.pods.get(&id).ok_or_else(|| unknown("debug", id))?;
        let mut pod = resident.pod.clone().edit();
        pod.spec.ephemeral_containers.push(container);
        self.update(id, pod.validate()?)
    }

    /// Ends a container, with its hook and grace period, and starts it again, whatever its restart policy and back-off; or,
    /// with `None`, all sidecars and regular containers.
    ///
    /// # Errors
    /// There is no such pod or container; the pod has ended; the container is one that runs once.
    pub fn restart(&mut self, id: PodId, container: Option<&str>) -> Result<()> {
        let resident = self
            .pods
            .get_mut(&id)
            .ok_or_else(|| unknown("restart", id))?;
        resident.restart(container)?;
        self.step(id);
        self.host.reactor.wake();
        Ok(())
    }
}

impl Resident {
    fn update(&mut self, pod: Valid<Pod>) -> Result<()> {
        self.is_open("update")?;
        let pod = self.completed(pod)?;
        self.pod.check_update(&pod, &self.options)?;
        pod.report().accept()?;
        if let Some(files) = &self.files {
            files.save_manifest(&pod)?;
        }
        self.ephemeral = ephemeral(&pod);
        self.pod = pod.clone();
        self.filled = None;
        self.tell(Input::Update(pod));
        self.add_sites();
        for index in 0..self.sites.len() {
            let spec = self.spec(ContainerIndex(index as u16));
            if let Some(image) = spec.map(|spec| spec.image.clone().unwrap_or_default()) {
                self.sites[index].image = image.into();
            }
        }
        Ok(())
    }

    /// With what this Node added when the pod came.
    fn completed(&self, pod: Valid<Pod>) -> Result<Valid<Pod>> {
        let own = &self.pod.metadata;
        let mut pod = pod.edit();
        let meta = &mut pod.metadata;
        meta.uid = meta.uid.take().or_else(|| own.uid.clone());
        meta.creation_timestamp = own.creation_timestamp;
        Ok(pod.validate()?)
    }

    fn restart(&mut self, container: Option<&str>) -> Result<()> {
        self.is_open("restart")?;
        let index = container.map(|name| self.restartable(name)).transpose()?;
        self.tell(Input::Restart(index));
        Ok(())
    }

    fn restartable(&self, name: &str) -> Result<ContainerIndex> {
        let attempt = || format!("restart the container {name}");
        let spec = &self.pod.spec;
        let sidecar = |name: &str| {
            let mut init = spec.init_containers.iter();
            init.find(|container| container.name == name)
                .map(|container| container.restart_policy.is_some())
        };
        let is_regular = spec
            .containers
            .iter()
            .any(|container| container.name == name);
        let index = self.machine.record().index(name).filter(|_| {
            is_regular
                || sidecar(name).is_some()
                || self.ephemeral.iter().any(|one| one.name == name)
        });
        let index = index.ok_or_else(|| {
            Error::new(Kind::NotFound, attempt(), "the pod has no such container")
        })?;
        if is_regular || sidecar(name) == Some(true) {
            return Ok(index);
        }
        Err(Error::new(Kind::Conflict, attempt(), "it runs once")
            .cure("restart sidecars and regular containers only"))
    }

    /// What has ended, or is about to, is left alone.
    fn is_open(&self, verb: &str) -> Result<()> {
        match self.machine.record().cause() {
            None => Ok(()),
            Some(_) => Err(Error::new(
                Kind::Conflict,
                format!("{verb} the pod {}", self.name),
                "it has ended, or is ending",
            )),
        }
    }
}
