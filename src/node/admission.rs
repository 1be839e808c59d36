//! Whether this host can take a pod on at all, beyond what its manifest alone says.

use nix::sys::utsname::uname;

use crate::linux::features::Version;
use crate::linux::security;
use crate::model::sysctl::Allowlist;
use crate::model::{AppArmorProfile, AppArmorProfileType, Pod};
use crate::{Error, Kind, Result};

/// What pods may ask of this host.
#[derive(Debug)]
pub(super) struct Admission {
    sysctls: Allowlist,
    apparmor: bool,
}

impl Admission {
    /// The safe sysctls, and those that the host's owner allows besides.
    pub(super) fn new(unsafe_sysctls: &[String]) -> Result<Admission> {
        let release = uname().map(|name| name.release().to_string_lossy().into_owned());
        let kernel = Version::parse(&release.unwrap_or_default()).major_minor();
        Ok(Admission {
            sysctls: Allowlist::new(kernel, unsafe_sysctls)?,
            apparmor: security::has_apparmor(),
        })
    }

    /// The kubelet's refusals. It shows them as a pod that failed with the reason `SysctlForbidden` or `AppArmor`; here
    /// the pod is not taken on.
    pub(super) fn admit(&self, pod: &Pod) -> Result<()> {
        let spec = &pod.spec;
        let sysctls = spec
            .security_context
            .iter()
            .flat_map(|context| &context.sysctls);
        for sysctl in sysctls {
            let own = |shared: Option<bool>| shared == Some(true);
            self.sysctls
                .admit(&sysctl.name, own(spec.host_network), own(spec.host_ipc))?;
        }
        if !self.apparmor && profiles(pod).any(is_confining) {
            return Err(Error::new(
                Kind::Unsupported,
                "confine a container with AppArmor",
                "Cannot enforce AppArmor: AppArmor is not enabled on the host",
            )
            .cure(
                "switch it on with lsm= on the kernel's command line, or use the type Unconfined",
            ));
        }
        Ok(())
    }
}

fn profiles(pod: &Pod) -> impl Iterator<Item = &AppArmorProfile> {
    let spec = &pod.spec;
    let whole = spec.security_context.iter();
    let whole = whole.filter_map(|context| context.app_armor_profile.as_ref());
    let containers = spec.init_containers.iter().chain(&spec.containers);
    let own = containers.filter_map(|container| container.security_context.as_ref());
    whole.chain(own.filter_map(|context| context.app_armor_profile.as_ref()))
}

fn is_confining(profile: &AppArmorProfile) -> bool {
    !matches!(profile.type_, None | Some(AppArmorProfileType::Unconfined))
}
