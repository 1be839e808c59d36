//! Which devices containers may use: a program in each one's cgroup, beside mounts on which none opens.

use std::sync::Arc;

use super::host::Host;
use super::lower::limits;
use super::resident::Resident;
use crate::Result;
use crate::lifecycle::ContainerIndex;
use crate::linux::cgroup::{Cgroup, DeviceProgram, DeviceRules};
use crate::linux::namespace::{Namespace, NamespaceKind};

/// What this Node can do about devices.
#[derive(Debug)]
pub(super) enum Devices {
    /// Each cgroup of a container gets it, unless that is privileged.
    Program(DeviceProgram),
    /// It cannot be had, and why.
    Refused(Arc<str>),
    /// Whoever runs the Node can make no device, so its containers cannot either.
    Needless,
}

impl Devices {
    pub(super) fn open() -> Result<Devices> {
        // PROC_USER_INIT_INO: in any other user namespace the kernel makes no devices.
        const HOST: u64 = 0xEFFF_FFFD;
        let user = Namespace::own(NamespaceKind::User)?.identity().inode;
        if !nix::unistd::geteuid().is_root() || user != HOST {
            return Ok(Devices::Needless);
        }
        Ok(match DeviceRules::usual().load() {
            Ok(program) => Devices::Program(program),
            Err(why) => Devices::Refused(why.to_string().into()),
        })
    }

    fn guard(&self, cgroup: Option<&Cgroup>) -> Result<(), Arc<str>> {
        match (self, cgroup) {
            (Devices::Program(program), Some(cgroup)) => {
                let attached = program.attach(cgroup);
                attached.map_err(|why| why.to_string().into())
            }
            (Devices::Program(_), None) => Err("it has no cgroup that could ask".into()),
            (Devices::Refused(why), _) => Err(why.clone()),
            (Devices::Needless, _) => Ok(()),
        }
    }
}

impl Resident {
    /// Before anything is in it: the cgroup of a container, or of what runs beside one. Where it cannot be done the container runs as it
    /// did before there were such programs, and that is told.
    pub(super) fn guard_devices(
        &mut self,
        host: &mut Host,
        index: ContainerIndex,
        cgroup: Option<&Cgroup>,
    ) {
        let rules = self.spec(index).map(limits::devices);
        if rules.is_some_and(|rules| rules.is_everything()) {
            return;
        }
        if let Err(why) = host.devices.guard(cgroup) {
            let why = format!(
                "a container with CAP_MKNOD and CAP_SYS_ADMIN can open the host's devices: {why}"
            );
            self.degrade(host, "devices", &why);
        }
    }
}
