//! Plans as bundles of the Open Container Initiative's runtime specification, and bundles as plans.
//!
//! [`Bundle::export`] writes a directory that `crun` and `runc` can run, [`Bundle::import`] reads one. What the other side cannot
//! say is never left out silently: an export lists it as [`Difference`]s, an import is an error that names the field.
//!
//! Seen from within, a container under crun is the one that pause makes, in ids, capabilities, namespaces, limits, environment, devices and
//! mounts, and so under runc, which a test compares. What remains: the pod's own files are on disk and not in a tmpfs; the host's root is
//! bound directory by directory, not as one; crun drops `nosuid`, `nodev` and `noexec` of paths that are made read-only; what a container
//! changes in a root that is a directory is not kept in memory: there the root is read-only.
//!
//! A bundle may name a network, IPC, UTS or PID namespace that is there, which its plan joins. A host name or a sysctl that would be the
//! host's is an error.
//!
//! Runtime specification 1.2, cgroup v2. Feature `oci`.

mod clocks;
mod devices;
mod export;
mod import;
mod mapped;
mod process;
mod resources;
mod sysctl;
mod usual;

use std::fmt;

use super::cgroup::{DeviceRules, Limits};
use super::namespace::Namespaces;
use super::pause::Plan;
use super::user::IdMaps;

/// One container, and the sandbox it is alone in: what a bundle describes. Which cgroup it is in is said when it is started; its
/// limits are for [`Cgroup::apply`](super::cgroup::Cgroup::apply), its devices for [`DeviceRules::load`].
///
/// ```
/// use podlife::Node;
/// use podlife::model::{Container, Pod};
///
/// let node = Node::ephemeral()?;
/// let hello = Container::new("hello", "podlife.local/host").command(["echo", "hello"]);
/// let plan = node.plan(&Pod::new("exported").container(hello).validate()?)?;
///
/// let directory = std::env::temp_dir().join(format!("podlife-doc-{}", std::process::id()));
/// plan.bundle("hello").unwrap().export(&directory)?; // crun run --bundle <directory> hello
/// let config = std::fs::read_to_string(directory.join("config.json"));
/// std::fs::remove_dir_all(&directory).unwrap();
/// assert!(config.unwrap().contains("\"hostname\": \"exported\""));
/// # Ok::<(), podlife::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Those that the sandbox gets anew. The container's own are in its plan.
    pub namespaces: Namespaces,
    /// The ids of a user namespace of its own. `None`: it is the host's.
    pub users: Option<IdMaps>,
    /// What is done for the sandbox.
    pub set_up: Plan,
    /// What is done for the container.
    pub container: Plan,
    /// What its cgroup shall hold it to.
    pub limits: Limits,
    /// Which devices may be used in its cgroup.
    pub devices: DeviceRules,
}

impl Bundle {
    /// A container and its sandbox, without limits, and with the [usual](DeviceRules::usual) devices.
    pub fn new(
        namespaces: Namespaces,
        users: Option<IdMaps>,
        set_up: Plan,
        container: Plan,
    ) -> Bundle {
        Bundle {
            namespaces,
            users,
            set_up,
            container,
            limits: Limits::new(),
            devices: DeviceRules::usual(),
        }
    }

    /// The same with limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Bundle {
        Bundle { limits, ..self }
    }

    /// The same with other devices.
    #[must_use]
    pub fn devices(self, devices: DeviceRules) -> Bundle {
        Bundle { devices, ..self }
    }
}

/// What a bundle does not say as the plan does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The step of the plan, or the limit, as it is printed.
    pub step: String,
    /// What becomes of it.
    pub why: &'static str,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.why)
    }
}
