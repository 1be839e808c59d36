//! The environment of a container.
//!
//! Upstream: `makeEnvironmentVariables` in `pkg/kubelet/kubelet_pods.go`.

use std::collections::BTreeMap;

use super::expansion::expand;
use super::field_path::{Addresses, env_field, resource_field, selected};
use super::objects::Objects;
use super::resource_list::ResourceList;
use super::{Container, EnvFromSource, EnvVar, EnvVarSource, Pod};
use crate::error::{Error, Kind, Result};

/// Variables by name.
pub type Environment = BTreeMap<String, String>;

/// What an environment is made from, besides the container.
#[derive(Clone, Copy)]
pub struct EnvironmentSources<'a> {
    /// The pod of the container.
    pub pod: &'a Pod,
    /// Its addresses and the host's.
    pub addresses: Addresses<'a>,
    /// Where ConfigMaps and Secrets are.
    pub objects: &'a dyn Objects,
    /// What the node can give to pods: the value of limits that are not set.
    pub allocatable: &'a ResourceList,
}

impl EnvironmentSources<'_> {
    /// The environment of a container: what `envFrom` brings, in order, and over it `env`, in order. A literal value is expanded
    /// against what is set so far. There are no Services, so nothing comes from them.
    ///
    /// ```
    /// use podlife::model::environment::EnvironmentSources;
    /// use podlife::model::objects::ObjectMap;
    /// use podlife::model::Pod;
    ///
    /// let pod: Pod = serde_json::from_str(r#"{"metadata":{"name":"web"},"spec":{"containers":[{"name":"c","env":[
    ///     {"name":"NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},
    ///     {"name":"GREETING","value":"hello $(NAME), $(LATER)"}]}]}}"#).unwrap();
    /// let sources = EnvironmentSources {
    ///     pod: &pod,
    ///     addresses: Default::default(),
    ///     objects: &ObjectMap::default(),
    ///     allocatable: &Default::default(),
    /// };
    /// assert_eq!(sources.environment(&pod.spec.containers[0])?["GREETING"], "hello web, $(LATER)");
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`] if an object or key is missing that is not optional, [`Kind::Invalid`] if a field cannot be read. The container
    /// waits with `CreateContainerConfigError`.
    pub fn environment(&self, container: &Container) -> Result<Environment> {
        let mut environment = Environment::new();
        for source in &container.env_from {
            self.add_all(&mut environment, source)?;
        }
        for variable in &container.env {
            if let Some(value) = self.value(&environment, container, variable)? {
                environment.insert(variable.name.clone(), value);
            }
        }
        Ok(environment)
    }

    /// Values from `envFrom` are not expanded.
    fn add_all(&self, environment: &mut Environment, source: &EnvFromSource) -> Result<()> {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let name = |key: &str| format!("{prefix}{key}");
        if let Some(reference) = &source.config_map_ref {
            match self.objects.config_map(&reference.name) {
                // Binary data is for files only.
                Some(map) => environment.extend(
                    map.data
                        .iter()
                        .map(|(key, value)| (name(key), value.clone())),
                ),
                None => unless_optional(reference.optional, "ConfigMap", &reference.name)?,
            }
        } else if let Some(reference) = &source.secret_ref {
            match self.objects.secret(&reference.name) {
                Some(secret) => {
                    for (key, value) in secret.values() {
                        environment.insert(name(key), text(value, key, &reference.name)?);
                    }
                }
                None => unless_optional(reference.optional, "Secret", &reference.name)?,
            }
        }
        Ok(())
    }

    /// `None` leaves the variable as it is: something optional is not there.
    fn value(
        &self,
        known: &Environment,
        container: &Container,
        variable: &EnvVar,
    ) -> Result<Option<String>> {
        match (variable.value.as_deref(), &variable.value_from) {
            (Some(value), _) if !value.is_empty() => {
                Ok(Some(expand(value, |name| known.get(name)).into_owned()))
            }
            (_, Some(source)) => self.source(container, source),
            (_, None) => Ok(Some(String::new())),
        }
    }

    fn source(&self, container: &Container, source: &EnvVarSource) -> Result<Option<String>> {
        if let Some(field) = &source.field_ref {
            env_field(self.pod, field, &self.addresses).map(Some)
        } else if let Some(field) = &source.resource_field_ref {
            let container = selected(self.pod, field, container)?;
            resource_field(container, field, self.allocatable).map(Some)
        } else if let Some(key) = &source.config_map_key_ref {
            let map = self.objects.config_map(&key.name);
            match map.map(|map| map.data.get(&key.key)) {
                Some(Some(value)) => Ok(Some(value.clone())),
                Some(None) => {
                    unless_optional(key.optional, "key of a ConfigMap", &key.key).map(|()| None)
                }
                None => unless_optional(key.optional, "ConfigMap", &key.name).map(|()| None),
            }
        } else if let Some(key) = &source.secret_key_ref {
            let secret = self.objects.secret(&key.name);
            match secret.map(|secret| secret.value(&key.key)) {
                Some(Some(value)) => text(value, &key.key, &key.name).map(Some),
                Some(None) => {
                    unless_optional(key.optional, "key of a Secret", &key.key).map(|()| None)
                }
                None => unless_optional(key.optional, "Secret", &key.name).map(|()| None),
            }
        } else if source.file_key_ref.is_some() {
            Err(Error::new(
                Kind::Unsupported,
                "set a variable from a file (fileKeyRef)",
                "the feature is alpha upstream",
            ))
        } else {
            Ok(Some(String::new()))
        }
    }
}

/// Variables as an image has them, `NAME=value`, under those of the container: a runtime's order.
///
/// ```
/// use podlife::model::environment::{Environment, over_image};
///
/// let own = Environment::from([("HOME".to_owned(), "/app".to_owned())]);
/// let both = over_image(&["PATH=/bin".to_owned(), "HOME=/".to_owned()], own);
/// assert_eq!((both["PATH"].as_str(), both["HOME"].as_str()), ("/bin", "/app"));
/// ```
pub fn over_image(image: &[String], own: Environment) -> Environment {
    let split = |entry: &String| {
        entry
            .split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let mut both: Environment = image.iter().filter_map(split).collect();
    both.extend(own);
    both
}

/// A `subPathExpr`, expanded.
///
/// # Errors
///
/// [`Kind::Invalid`] if a variable it refers to is not set, or empty.
pub fn sub_path(expression: &str, environment: &Environment) -> Result<String> {
    let mut missing: Option<String> = None;
    let expanded = expand(expression, |name| {
        let value = environment.get(name).filter(|value| !value.is_empty());
        if value.is_none() {
            missing.get_or_insert_with(|| name.to_owned());
        }
        value
    });
    match missing {
        None => Ok(expanded.into_owned()),
        Some(name) => Err(Error::new(
            Kind::Invalid,
            format!("expand the subPathExpr {expression:?}"),
            format!("the variable {name} is not set, or empty"),
        )
        .cure("set it in the container's env")),
    }
}

fn unless_optional(optional: Option<bool>, kind: &str, name: &str) -> Result<()> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(Error::new(
        Kind::NotFound,
        format!("make the environment from the {kind} {name:?}"),
        "there is none of that name",
    )
    .cure("put it beside the pod, or mark the reference optional"))
}

fn text(value: &[u8], key: &str, secret: &str) -> Result<String> {
    String::from_utf8(value.to_vec()).map_err(|_| {
        let attempt = format!("set a variable from {key:?} of the Secret {secret:?}");
        Error::new(Kind::Invalid, attempt, "its value is not UTF-8 text")
            .cure("mount the Secret as a volume")
    })
}
