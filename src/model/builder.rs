//! Writing pods in code. Every field is public; these are the short ways to the common ones.

use super::container::{
    Container, ContainerPort, ContainerRestartPolicy, EphemeralContainer, VolumeMount,
};
use super::env::EnvVar;
use super::hook::{ExecAction, HttpGetAction, LifecycleHandler, SleepAction, TcpSocketAction};
use super::meta::IntOrString;
use super::pod::{Pod, PodSpec, RestartPolicy};
use super::probe::{GrpcAction, Probe};
use super::quantity::Quantity;
use super::volume::{ConfigMapVolumeSource, HostPathVolumeSource, SecretVolumeSource, Volume};

/// Text that should be a [`Quantity`]; if it is not, [`Pod::validate`] says so.
#[derive(Clone, Debug)]
pub struct QuantityText(String);

impl From<&str> for QuantityText {
    fn from(text: &str) -> QuantityText {
        QuantityText(text.into())
    }
}

impl From<String> for QuantityText {
    fn from(text: String) -> QuantityText {
        QuantityText(text)
    }
}

impl From<Quantity> for QuantityText {
    fn from(quantity: Quantity) -> QuantityText {
        QuantityText(quantity.to_string())
    }
}

impl From<u32> for QuantityText {
    fn from(whole: u32) -> QuantityText {
        QuantityText(whole.to_string())
    }
}

impl Pod {
    /// A pod of this name in the namespace `default`, without containers yet.
    ///
    /// ```
    /// use podlife::model::{Container, Pod, RestartPolicy};
    ///
    /// let pod = Pod::new("job")
    ///     .label("app", "demo")
    ///     .restart_policy(RestartPolicy::Never)
    ///     .init(Container::new("prepare", "busybox:1.36").command(["mkdir", "/work/out"]))
    ///     .container(Container::new("work", "busybox:1.36").command(["true"]));
    /// assert!(pod.validate().is_ok());
    /// ```
    pub fn new(name: impl Into<String>) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.into());
        pod
    }

    /// Puts it into a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Pod {
        self.metadata.namespace = Some(namespace.into());
        self
    }

    /// Adds a main container.
    #[must_use]
    pub fn container(mut self, container: impl Into<Container>) -> Pod {
        self.spec.containers.push(container.into());
        self
    }

    /// Adds an init container: it has to end well before the next one starts.
    #[must_use]
    pub fn init(mut self, container: impl Into<Container>) -> Pod {
        self.spec.init_containers.push(container.into());
        self
    }

    /// Adds a sidecar: an init container that goes on beside the main ones, and ends after them.
    #[must_use]
    pub fn sidecar(self, container: impl Into<Container>) -> Pod {
        let always = ContainerRestartPolicy::Always;
        self.init(
            container
                .into()
                .with(|container| container.restart_policy = Some(always)),
        )
    }

    /// Adds a volume.
    #[must_use]
    pub fn volume(mut self, volume: Volume) -> Pod {
        self.spec.volumes.push(volume);
        self
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Pod {
        self.metadata.labels.insert(key.into(), value.into());
        self
    }

    /// Sets an annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Pod {
        self.metadata.annotations.insert(key.into(), value.into());
        self
    }

    /// Says what happens to containers that end.
    #[must_use]
    pub fn restart_policy(mut self, policy: RestartPolicy) -> Pod {
        self.spec.restart_policy = Some(policy);
        self
    }

    /// Gives it this many seconds between SIGTERM and SIGKILL when it ends.
    #[must_use]
    pub fn grace(mut self, seconds: u32) -> Pod {
        self.spec.termination_grace_period_seconds = Some(seconds.into());
        self
    }

    /// Edits any field of the specification.
    #[must_use]
    pub fn with(mut self, edit: impl FnOnce(&mut PodSpec)) -> Pod {
        edit(&mut self.spec);
        self
    }
}

impl EphemeralContainer {
    /// A container for debugging, of this name and image.
    ///
    /// ```
    /// use podlife::model::EphemeralContainer;
    ///
    /// let debugger = EphemeralContainer::new("debugger", "busybox:1.36").target("web").command(["sleep", "600"]);
    /// assert_eq!(debugger.target_container_name.as_deref(), Some("web"));
    /// ```
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> EphemeralContainer {
        EphemeralContainer {
            name: name.into(),
            image: Some(image.into()),
            ..EphemeralContainer::default()
        }
    }

    /// Sees the processes of this container.
    #[must_use]
    pub fn target(mut self, container: impl Into<String>) -> EphemeralContainer {
        self.target_container_name = Some(container.into());
        self
    }

    /// Runs this instead of the image's program.
    #[must_use]
    pub fn command<S: Into<String>>(
        mut self,
        command: impl IntoIterator<Item = S>,
    ) -> EphemeralContainer {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }
}

impl Container {
    /// A container of this name from an image.
    ///
    /// ```
    /// use podlife::model::{Container, LifecycleHandler, Pod, Probe, Volume};
    ///
    /// let web = Container::new("web", "nginx:1.29")
    ///     .env("COLOUR", "blue")
    ///     .port(8080)
    ///     .limit("memory", "64Mi")
    ///     .mount("data", "/data")
    ///     .readiness(Probe::http("/", 8080).period(2))
    ///     .pre_stop(LifecycleHandler::sleep(1));
    /// assert!(Pod::new("web").container(web).volume(Volume::empty_dir("data")).validate().is_ok());
    /// ```
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> Container {
        Container {
            name: name.into(),
            image: Some(image.into()),
            ..Container::default()
        }
    }

    /// Runs this instead of what the image says.
    #[must_use]
    pub fn command<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Container {
        self.command = argv.into_iter().map(Into::into).collect();
        self
    }

    /// Passes these arguments instead of the image's.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Container {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Container {
        self.env.push(EnvVar {
            name: name.into(),
            value: Some(value.into()),
            value_from: None,
        });
        self
    }

    /// Says that it listens on a port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Container {
        self.ports.push(ContainerPort {
            container_port: port.into(),
            ..ContainerPort::default()
        });
        self
    }

    /// Shows it a volume at a path.
    #[must_use]
    pub fn mount(mut self, volume: impl Into<String>, path: impl Into<String>) -> Container {
        self.volume_mounts.push(VolumeMount {
            name: volume.into(),
            mount_path: path.into(),
            ..VolumeMount::default()
        });
        self
    }

    /// Asks for this much of a resource.
    #[must_use]
    pub fn request(
        mut self,
        resource: impl Into<String>,
        amount: impl Into<QuantityText>,
    ) -> Container {
        self.amount("requests", resource.into(), amount.into());
        self
    }

    /// Allows it this much of a resource.
    #[must_use]
    pub fn limit(
        mut self,
        resource: impl Into<String>,
        amount: impl Into<QuantityText>,
    ) -> Container {
        self.amount("limits", resource.into(), amount.into());
        self
    }

    fn amount(&mut self, list: &'static str, resource: String, QuantityText(text): QuantityText) {
        let resources = self.resources.get_or_insert_default();
        let amounts = if list == "limits" {
            &mut resources.limits
        } else {
            &mut resources.requests
        };
        match text.parse() {
            Ok(quantity) => drop(amounts.insert(&resource, quantity)),
            Err(_) => self.misread.push((list, resource, text)),
        }
    }

    /// Restarts it when this fails.
    #[must_use]
    pub fn liveness(mut self, probe: Probe) -> Container {
        self.liveness_probe = Some(probe);
        self
    }

    /// Holds it not ready while this fails.
    #[must_use]
    pub fn readiness(mut self, probe: Probe) -> Container {
        self.readiness_probe = Some(probe);
        self
    }

    /// Lets the other probes wait for this.
    #[must_use]
    pub fn startup(mut self, probe: Probe) -> Container {
        self.startup_probe = Some(probe);
        self
    }

    /// Does this right after the start.
    #[must_use]
    pub fn post_start(mut self, hook: LifecycleHandler) -> Container {
        self.lifecycle.get_or_insert_default().post_start = Some(hook);
        self
    }

    /// Does this before the stop signal.
    #[must_use]
    pub fn pre_stop(mut self, hook: LifecycleHandler) -> Container {
        self.lifecycle.get_or_insert_default().pre_stop = Some(hook);
        self
    }

    /// Edits any field.
    #[must_use]
    pub fn with(mut self, edit: impl FnOnce(&mut Container)) -> Container {
        edit(&mut self);
        self
    }
}

impl Probe {
    /// An HTTP GET at a port by number or name.
    pub fn http(path: impl Into<String>, port: impl Into<IntOrString>) -> Probe {
        let get = HttpGetAction {
            path: Some(path.into()),
            port: port.into(),
            ..HttpGetAction::default()
        };
        Probe {
            http_get: Some(get),
            ..Probe::default()
        }
    }

    /// A connection to a port by number or name.
    pub fn tcp(port: impl Into<IntOrString>) -> Probe {
        let socket = TcpSocketAction {
            host: None,
            port: port.into(),
        };
        Probe {
            tcp_socket: Some(socket),
            ..Probe::default()
        }
    }

    /// A program run in the container.
    pub fn exec<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Probe {
        Probe {
            exec: Some(ExecAction::new(argv)),
            ..Probe::default()
        }
    }

    /// A gRPC health service.
    pub fn grpc(port: u16) -> Probe {
        let grpc = GrpcAction {
            port: port.into(),
            service: None,
        };
        Probe {
            grpc: Some(grpc),
            ..Probe::default()
        }
    }

    /// Seconds between checks.
    #[must_use]
    pub fn period(mut self, seconds: i32) -> Probe {
        self.period_seconds = Some(seconds);
        self
    }

    /// Seconds from the container's start to the first check.
    #[must_use]
    pub fn initial_delay(mut self, seconds: i32) -> Probe {
        self.initial_delay_seconds = Some(seconds);
        self
    }

    /// Seconds a check may take.
    #[must_use]
    pub fn timeout(mut self, seconds: i32) -> Probe {
        self.timeout_seconds = Some(seconds);
        self
    }

    /// Failures in a row until it counts as failed.
    #[must_use]
    pub fn failures(mut self, threshold: i32) -> Probe {
        self.failure_threshold = Some(threshold);
        self
    }
}

impl LifecycleHandler {
    /// Runs a program in the container.
    pub fn exec<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> LifecycleHandler {
        LifecycleHandler {
            exec: Some(ExecAction::new(argv)),
            ..LifecycleHandler::default()
        }
    }

    /// Sends an HTTP GET to a port by number or name.
    pub fn http(path: impl Into<String>, port: impl Into<IntOrString>) -> LifecycleHandler {
        LifecycleHandler {
            http_get: Probe::http(path, port).http_get,
            ..LifecycleHandler::default()
        }
    }

    /// Waits.
    pub fn sleep(seconds: u32) -> LifecycleHandler {
        let sleep = SleepAction {
            seconds: seconds.into(),
        };
        LifecycleHandler {
            sleep: Some(sleep),
            ..LifecycleHandler::default()
        }
    }
}

impl ExecAction {
    /// Program and arguments.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> ExecAction {
        ExecAction {
            command: argv.into_iter().map(Into::into).collect(),
        }
    }
}

impl Volume {
    /// A volume without a source yet.
    pub fn new(name: impl Into<String>) -> Volume {
        Volume {
            name: name.into(),
            ..Volume::default()
        }
    }

    /// An empty directory that lives as long as the pod.
    pub fn empty_dir(name: impl Into<String>) -> Volume {
        Volume {
            empty_dir: Some(Default::default()),
            ..Volume::new(name)
        }
    }

    /// A path of the host.
    pub fn host_path(name: impl Into<String>, path: impl Into<String>) -> Volume {
        let source = HostPathVolumeSource {
            path: path.into(),
            type_: None,
        };
        Volume {
            host_path: Some(source),
            ..Volume::new(name)
        }
    }

    /// The keys of a ConfigMap as files.
    pub fn config_map(name: impl Into<String>, object: impl Into<String>) -> Volume {
        let source = ConfigMapVolumeSource {
            name: object.into(),
            ..Default::default()
        };
        Volume {
            config_map: Some(source),
            ..Volume::new(name)
        }
    }

    /// The keys of a Secret as files.
    pub fn secret(name: impl Into<String>, object: impl Into<String>) -> Volume {
        let source = SecretVolumeSource {
            secret_name: Some(object.into()),
            ..Default::default()
        };
        Volume {
            secret: Some(source),
            ..Volume::new(name)
        }
    }
}
