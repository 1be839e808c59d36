//! Whether this host can take a pod on at all, beyond what its manifest alone says.

use nix::sys::utsname::uname;

use super::probes::NO_TLS;
use crate::linux::features::Version;
use crate::linux::security;
use crate::model::sysctl::Allowlist;
use crate::model::{AppArmorProfile, AppArmorProfileType, HttpGetAction, Pod, Probe, Scheme};
use crate::{Error, Kind, Result};

/// What pods may ask of this host.
#[derive(Debug)]
pub(super) struct Admission {
    sysctls: Allowlist,
    apparmor: bool,
    tls: bool,
}

impl Admission {
    /// The safe sysctls, and those that the host's owner allows besides.
    pub(super) fn new(unsafe_sysctls: &[String]) -> Result<Admission> {
        let release = uname().map(|name| name.release().to_string_lossy().into_owned());
        let kernel = Version::parse(&release.unwrap_or_default()).major_minor();
        Ok(Admission {
            sysctls: Allowlist::new(kernel, unsafe_sysctls)?,
            apparmor: security::has_apparmor(),
            tls: cfg!(feature = "tls"),
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
        if let (false, Some(what)) = (self.tls, first_https(pod)) {
            let error = Error::new(Kind::Unsupported, format!("ask {what} over https"), NO_TLS);
            return Err(error.cure("build it with that feature, or use the scheme HTTP"));
        }
        Ok(())
    }
}

/// The first probe or hook that is to be asked over https.
fn first_https(pod: &Pod) -> Option<String> {
    let spec = &pod.spec;
    let containers = spec.init_containers.iter().chain(&spec.containers);
    containers.into_iter().find_map(|container| {
        let probe = |probe: &Option<Probe>| probe.as_ref()?.http_get.clone();
        let hooks = container.lifecycle.as_ref();
        let asked = [
            ("startupProbe", probe(&container.startup_probe)),
            ("livenessProbe", probe(&container.liveness_probe)),
            ("readinessProbe", probe(&container.readiness_probe)),
            (
                "postStart",
                hooks.and_then(|hooks| hooks.post_start.as_ref()?.http_get.clone()),
            ),
            (
                "preStop",
                hooks.and_then(|hooks| hooks.pre_stop.as_ref()?.http_get.clone()),
            ),
        ];
        let is_https = |get: &HttpGetAction| get.scheme == Some(Scheme::Https);
        let mut asked = asked
            .into_iter()
            .filter(|(_, get)| get.as_ref().is_some_and(is_https));
        let (what, _) = asked.next()?;
        Some(format!("the {what} of container {}", container.name))
    })
}

fn profiles(pod: &Pod) -> impl Iterator<Item = &AppArmorProfile> {
    let spec = &pod.spec;
    let whole = spec.security_context.iter();
    let whole = whole.filter_map(|context| context.app_armor_profile.as_ref());
    let containers = spec.init_containers.iter().chain(&spec.containers);
    let own = containers.filter_map(|container| container.security_context.as_ref());
    let ephemeral = spec.ephemeral_containers.iter();
    let own = own.chain(ephemeral.filter_map(|container| container.security_context.as_ref()));
    whole.chain(own.filter_map(|context| context.app_armor_profile.as_ref()))
}

fn is_confining(profile: &AppArmorProfile) -> bool {
    !matches!(profile.type_, None | Some(AppArmorProfileType::Unconfined))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_refused_where_it_cannot_be_asked() {
        let text = r#"{ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "main",
            "lifecycle": { "preStop": { "httpGet": { "port": 1, "scheme": "HTTPS" } } },
            "livenessProbe": { "httpGet": { "port": 1, "scheme": "HTTP" } } }] } }"#;
        let mut pod: Pod = serde_json::from_str(text).unwrap();
        let mut admission = Admission::new(&[]).unwrap();
        admission.tls = true;
        admission.admit(&pod).unwrap();
        admission.tls = false;
        let error = admission.admit(&pod).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        let text = error.to_string();
        assert!(
            text.contains("ask the preStop of container main over https"),
            "{text}"
        );
        assert!(text.contains("this build has no TLS"), "{text}");
        pod.spec.containers[0].lifecycle = None;
        admission.admit(&pod).unwrap();
    }
}
