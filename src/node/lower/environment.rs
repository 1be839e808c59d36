//! Environment and command line of a container.

use super::{Lowering, config_error};
use crate::lifecycle::Failure;
use crate::model::expansion::expand;
use crate::model::{Container, EnvVarSource};

/// Where programs are looked for, unless the container says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables in order; each name once.
#[derive(Debug, Default)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    pub(crate) fn of(container: &Lowering<'_>) -> Result<Environment, Failure> {
        let mut environment = Environment::default();
        environment.set("PATH", PATH.into());
        environment.set("HOSTNAME", container.hostname());
        environment.set("HOME", "/root".into());
        for (name, value) in &container.rootfs.env {
            environment.set(name, value.clone());
        }
        for source in &container.spec.env_from {
            let config_map = source
                .config_map_ref
                .as_ref()
                .map(|map| ("configmap", &map.name, map.optional));
            let secret = source
                .secret_ref
                .as_ref()
                .map(|secret| ("secret", &secret.name, secret.optional));
            for (kind, name, optional) in config_map.into_iter().chain(secret) {
                absent(kind, name, optional)?;
            }
        }
        for variable in &container.spec.env {
            let value = match (&variable.value, &variable.value_from) {
                (Some(value), _) if !value.is_empty() => {
                    let text = expand(value, |name| environment.value(name)).into_owned();
                    Some(text)
                }
                (_, Some(source)) => container.source(source)?,
                (_, None) => Some(String::new()),
            };
            if let Some(value) = value {
                environment.set(&variable.name, value);
            }
        }
        Ok(environment)
    }

    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// `NAME=value`, as `execve` takes it.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(name, value)| format!("{name}={value}"))
    }

    /// `command` in place of the image's entry point, and `args`; with `$(NAME)` expanded.
    pub(crate) fn argv(&self, container: &Lowering<'_>) -> Result<Vec<String>, Failure> {
        let spec = container.spec;
        let command = if spec.command.is_empty() {
            &container.rootfs.entrypoint
        } else {
            &spec.command
        };
        let words = command.iter().chain(&spec.args);
        let argv: Vec<String> = words
            .map(|word| expand(word, |name| self.value(name)).into_owned())
            .collect();
        match argv.is_empty() {
            true => Err(Failure::new("CreateContainerError", "no command specified")),
            false => Ok(argv),
        }
    }
}

impl Lowering<'_> {
    fn hostname(&self) -> String {
        crate::model::hostname::PodHostname::of(self.pod, "cluster.local")
            .map(|name| name.hostname)
            .unwrap_or_default()
    }

    fn source(&self, source: &EnvVarSource) -> Result<Option<String>, Failure> {
        if let Some(map) = &source.config_map_key_ref {
            return absent("configmap", &map.name, map.optional).map(|()| None);
        }
        if let Some(secret) = &source.secret_key_ref {
            return absent("secret", &secret.name, secret.optional).map(|()| None);
        }
        match &source.field_ref {
            Some(field) => self.field(&field.field_path).map(Some),
            None => Err(config_error(
                "this source of an environment variable is not supported yet",
            )),
        }
    }

    fn field(&self, path: &str) -> Result<String, Failure> {
        let metadata = &self.pod.metadata;
        let text = |text: &Option<String>| Ok(text.clone().unwrap_or_default());
        match path {
            "metadata.name" => text(&metadata.name),
            "metadata.namespace" => text(&metadata.namespace),
            "metadata.uid" => Ok(self.uid.clone()),
            "spec.nodeName" => text(&self.pod.spec.node_name),
            "spec.serviceAccountName" => text(&self.pod.spec.service_account_name),
            "status.podIP" | "status.podIPs" | "status.hostIP" | "status.hostIPs" => {
                Ok("127.0.0.1".into())
            }
            _ => {
                let key = path
                    .split_once("['")
                    .and_then(|(map, key)| Some((map, key.strip_suffix("']")?)));
                let value = match key {
                    Some(("metadata.labels", key)) => metadata.labels.get(key),
                    Some(("metadata.annotations", key)) => metadata.annotations.get(key),
                    _ => return Err(config_error(format!("the field {path} is not supported"))),
                };
                Ok(value.cloned().unwrap_or_default())
            }
        }
    }
}

/// There are no ConfigMaps and Secrets yet.
fn absent(kind: &str, name: &str, optional: Option<bool>) -> Result<(), Failure> {
    match optional {
        Some(true) => Ok(()),
        _ => Err(config_error(format!("{kind} \"{name}\" not found"))),
    }
}

/// The command of a probe or hook: only literal values are expanded, and only the container's own.
pub(crate) fn handler_command(command: &[String], spec: &Container) -> Vec<String> {
    let value = |name: &str| {
        let variable = spec
            .env
            .iter()
            .rev()
            .find(|variable| variable.name == name)?;
        Some(variable.value.clone().unwrap_or_default())
    };
    command
        .iter()
        .map(|word| expand(word, value).into_owned())
        .collect()
}
