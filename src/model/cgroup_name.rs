//! Where a pod's cgroup is, by the kubelet's layout.
//!
//! Upstream: `pkg/kubelet/cm/{cgroup_manager_linux,pod_container_manager_linux,node_container_manager_linux}.go`.

use super::QosClass;

/// Who makes the directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CgroupDriver {
    /// podlife itself, with `mkdir`.
    #[default]
    Cgroupfs,
    /// systemd, as nested slices.
    Systemd,
}

/// The parts of a cgroup's path from the root on.
///
/// ```
/// use podlife::model::{QosClass, cgroup_name::{CgroupDriver, CgroupName}};
///
/// let pod = CgroupName::new("/").child("kubepods").pod(&QosClass::Burstable, "1-2");
/// assert_eq!(pod.path(CgroupDriver::Cgroupfs), "/kubepods/burstable/pod1-2");
/// assert_eq!(
///     pod.path(CgroupDriver::Systemd),
///     "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice",
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CgroupName(Vec<String>);

impl CgroupName {
    /// The name of a path as cgroupfs has it.
    pub fn new(path: &str) -> CgroupName {
        CgroupName(
            path.split('/')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// The group of that name in this one.
    #[must_use]
    pub fn child(mut self, part: &str) -> CgroupName {
        self.0.push(part.to_owned());
        self
    }

    /// A pod's group, in the one of its class. Guaranteed pods are directly in this group.
    #[must_use]
    pub fn pod(self, qos: &QosClass, uid: &str) -> CgroupName {
        let tier = match qos {
            QosClass::Burstable => self.child("burstable"),
            QosClass::BestEffort => self.child("besteffort"),
            _ => self,
        };
        tier.child(&pod_leaf(uid))
    }

    /// The path below the hierarchy's root.
    pub fn path(&self, driver: CgroupDriver) -> String {
        match driver {
            _ if self.0.is_empty() => "/".to_owned(),
            CgroupDriver::Cgroupfs => format!("/{}", self.0.join("/")),
            CgroupDriver::Systemd => self.slices(),
        }
    }

    /// systemd nests slices by the dashes in their names, so a part's own dashes become underscores.
    fn slices(&self) -> String {
        let mut path = String::new();
        let mut slice = String::new();
        for part in &self.0 {
            if !slice.is_empty() {
                slice.push('-');
            }
            slice.push_str(&part.replace('-', "_"));
            path = path + "/" + &slice + ".slice";
        }
        path
    }
}

/// The last part of the path of a pod's group.
pub fn pod_leaf(uid: &str) -> String {
    format!("pod{uid}")
}
