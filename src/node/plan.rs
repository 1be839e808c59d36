//! What would be done for a pod.

use std::fmt;

use super::lower::sandbox::Pids;
use super::{Node, lower};
use crate::lifecycle::PodOptions;
use crate::linux::cgroup::{DeviceRules, Limits};
use crate::linux::namespace::Namespaces;
use crate::linux::pause::Plan;
use crate::linux::user::IdMaps;
use crate::model::{Pod, Valid};
use crate::{Error, Kind, Result};

/// What [`Node::plan`] found: all that would be done for a pod. Its [`Display`](fmt::Display) has one line a step.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct PodPlan {
    /// Those that the pod's pause process gets anew, and its containers share.
    pub namespaces: Namespaces,
    /// The ids of the user namespace they are in. `None`: it is the host's.
    pub users: Option<IdMaps>,
    /// What pause does before there are containers.
    pub sandbox: Plan,
    /// The PID 1 of the containers, if they share a PID namespace.
    pub reaper: Option<Plan>,
    /// Each container's, in the order of the manifest, init containers first.
    pub containers: Vec<ContainerPlan>,
}

/// What would be done for one container.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ContainerPlan {
    /// The container's name.
    pub name: String,
    /// What its process does before it is the container.
    pub plan: Plan,
    /// What its cgroup holds it to, as far as this host can.
    pub limits: Limits,
    /// Which devices may be used in its cgroup, as far as this host can.
    pub devices: DeviceRules,
}

impl PodPlan {
    /// A container's.
    pub fn container(&self, name: &str) -> Option<&Plan> {
        self.of(name).map(|container| &container.plan)
    }

    fn of(&self, name: &str) -> Option<&ContainerPlan> {
        self.containers
            .iter()
            .find(|container| container.name == name)
    }

    /// A container, alone in the pod's sandbox, for the OCI runtime specification.
    #[cfg(feature = "oci")]
    pub fn bundle(&self, name: &str) -> Option<crate::linux::oci::Bundle> {
        let ContainerPlan {
            plan,
            limits,
            devices,
            ..
        } = self.of(name)?.clone();
        let (set_up, users) = (self.sandbox.clone(), self.users.clone());
        let bundle = crate::linux::oci::Bundle::new(self.namespaces, users, set_up, plan);
        Some(bundle.limits(limits).devices(devices))
    }
}

impl fmt::Display for PodPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sandbox:")?;
        if let Some(users) = &self.users {
            let [uids, gids] =
                [users.uid_map(), users.gid_map()].map(|map| map.replace('\n', ", "));
            writeln!(f, "new user namespace: users {uids}, groups {gids}")?;
        }
        writeln!(f, "new namespaces:{}", self.namespaces)?;
        write!(f, "{}", self.sandbox)?;
        if let Some(reaper) = &self.reaper {
            write!(f, "\nreaper:\n{reaper}")?;
        }
        for container in &self.containers {
            write!(f, "\ncontainer {}:\n", container.name)?;
            if !container.limits.is_empty() {
                writeln!(f, "limits: {}", container.limits)?;
            }
            writeln!(f, "devices: {}", container.devices)?;
            write!(f, "{}", container.plan)?;
        }
        Ok(())
    }
}

impl Node {
    /// What would be done for a pod and each of its containers. Nothing is changed. Volumes are those of an ephemeral Node.
    ///
    /// ```
    /// use podlife::Node;
    /// use podlife::model::{Container, Pod};
    ///
    /// let node = Node::ephemeral()?;
    /// let hello = Container::new("hello", "podlife.local/host").command(["echo", "hello"]);
    /// let plan = node.plan(&Pod::new("dry-run").container(hello).validate()?)?;
    /// assert!(plan.to_string().contains("set the host name to dry-run"));
    /// assert!(plan.container("hello").unwrap().to_string().ends_with("/bin/echo hello\n"));
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// The manifest cannot be met here: an image that is absent, a user that does not exist, a volume of an unknown kind.
    pub fn plan(&self, pod: &Valid<Pod>) -> Result<PodPlan> {
        let separate = self.host.separates(pod);
        let ids = separate.then(|| self.host.pool.free()).transpose()?;
        let ground = self.host.ground_with(None, ids);
        let options = PodOptions::of(pod)?;
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let containers = pod.spec.init_containers.iter().chain(&pod.spec.containers);
        let plans = containers.map(|spec| {
            let attempt = || format!("plan the container {}", spec.name);
            let image = spec.image.as_deref().unwrap_or_default();
            let absent = || {
                let why = format!("the image {image} is absent");
                Error::new(Kind::NotFound, attempt(), why)
                    .cure("give it a root by NodeOptions::rootfs, or use podlife.local/host")
            };
            let lowering = lower::Lowering {
                pod,
                spec,
                rootfs: self.host.images.find(image).ok_or_else(absent)?,
                ground: &ground,
                objects: self.host.objects.of(namespace),
                allocatable: &self.host.allocatable,
                options: &options,
                attempt: 0,
                settled: None,
            };
            let plan = lowering.container().map(|(plan, _)| plan);
            let plan =
                plan.map_err(|failure| Error::new(Kind::Invalid, attempt(), &*failure.message));
            let limits = lower::limits::container(pod, spec, self.host.cgroups.controllers());
            Ok(ContainerPlan {
                name: spec.name.clone(),
                plan: plan?,
                limits,
                devices: lower::limits::devices(spec),
            })
        });
        Ok(PodPlan {
            namespaces: lower::sandbox::namespaces(pod),
            sandbox: lower::sandbox::plan(pod, &ground)?,
            users: ground.users.clone(),
            reaper: (Pids::of(pod) == Pids::Shared).then(lower::sandbox::reaper),
            containers: plans.collect::<Result<_>>()?,
        })
    }
}
