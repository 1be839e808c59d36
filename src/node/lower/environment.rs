//! Environment and command line of a container.

use super::{Lowering, config_error};
use crate::lifecycle::Failure;
use crate::model::command::{ImageCommand, argv};
use crate::model::environment::{Environment, EnvironmentSources, over_image};
use crate::model::field_path::Addresses;
use crate::model::hostname::PodHostname;

/// Where programs are looked for, unless the container says otherwise.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a pod without an address of its own is told: all of its containers are there.
const LOOPBACK: &str = "127.0.0.1";

impl Lowering<'_> {
    /// Variables by name: the runtime's, over them the image's, over them the container's.
    pub(super) fn environment(&self, home: &str, own: Environment) -> Environment {
        let hostname = PodHostname::of(self.pod, super::sandbox::CLUSTER_DOMAIN);
        let hostname = hostname.map(|name| name.hostname).unwrap_or_default();
        let runtime = [
            PATH.to_owned(),
            format!("HOSTNAME={hostname}"),
            format!("HOME={home}"),
        ];
        let image = self
            .rootfs
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        over_image(&runtime.into_iter().chain(image).collect::<Vec<_>>(), own)
    }

    /// What the manifest says.
    pub(super) fn own_environment(&self) -> Result<Environment, Failure> {
        let addresses = [LOOPBACK.to_owned()];
        let sources = EnvironmentSources {
            pod: self.pod,
            addresses: Addresses {
                pod: &addresses,
                host: &addresses,
            },
            objects: self.objects,
            allocatable: self.allocatable,
        };
        sources
            .environment(self.spec)
            .map_err(|error| config_error(error.to_string()))
    }

    /// `command` in place of the image's entry point, and `args`; with `$(NAME)` expanded.
    pub(super) fn argv(&self, environment: &Environment) -> Result<Vec<String>, Failure> {
        let image = ImageCommand {
            entrypoint: self.rootfs.entrypoint.clone(),
            cmd: Vec::new(),
        };
        argv(self.spec, &image, environment).map_err(super::create_error)
    }
}
