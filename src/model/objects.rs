//! The ConfigMaps and Secrets that a pod refers to.

use std::collections::BTreeMap;
use std::fmt;

use super::errors::Errors;
use super::{ConfigMap, ObjectMeta, Secret, ServiceAccountTokenProjection, validate};

/// A ConfigMap or a Secret: what pods refer to by its name.
///
/// ```
/// use podlife::model::ConfigMap;
/// use podlife::model::objects::Object;
///
/// let map = ConfigMap::new("settings").entry("colour", "blue");
/// assert_eq!(Object::from(map).to_string(), "ConfigMap default/settings");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// Configuration for everybody's eyes.
    ConfigMap(ConfigMap),
    /// Configuration that is not.
    Secret(Secret),
}

impl Object {
    /// `ConfigMap` or `Secret`.
    pub fn kind(&self) -> &'static str {
        match self {
            Object::ConfigMap(_) => "ConfigMap",
            Object::Secret(_) => "Secret",
        }
    }

    /// Its name, if it has one.
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    /// Its namespace; `default` unless it says otherwise.
    pub fn namespace(&self) -> &str {
        let namespace = self.meta().namespace.as_deref();
        namespace
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or("default")
    }

    /// Whether what is in it may never change.
    pub fn is_immutable(&self) -> bool {
        let immutable = match self {
            Object::ConfigMap(map) => map.immutable,
            Object::Secret(secret) => secret.immutable,
        };
        immutable == Some(true)
    }

    /// Whether it holds the same keys and values as another.
    pub fn has_the_values_of(&self, other: &Object) -> bool {
        match (self, other) {
            (Object::ConfigMap(a), Object::ConfigMap(b)) => {
                (&a.data, &a.binary_data) == (&b.data, &b.binary_data)
            }
            (Object::Secret(a), Object::Secret(b)) => a.values() == b.values(),
            _ => false,
        }
    }

    /// Checks what Kubernetes checks: names, keys, and that all of it is at most 1 MiB.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn check(&self) -> Result<(), Errors> {
        Errors::check(validate::object(self))
    }

    /// Names, labels and annotations.
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Object::ConfigMap(map) => &map.metadata,
            Object::Secret(secret) => &secret.metadata,
        }
    }

    /// With another annotation.
    #[must_use]
    pub fn annotated(mut self, key: impl Into<String>, value: impl Into<String>) -> Object {
        let meta = match &mut self {
            Object::ConfigMap(map) => &mut map.metadata,
            Object::Secret(secret) => &mut secret.metadata,
        };
        meta.annotations.insert(key.into(), value.into());
        self
    }
}

/// Kind, namespace and name.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind(), self.namespace(), self.name())
    }
}

impl From<ConfigMap> for Object {
    fn from(map: ConfigMap) -> Object {
        Object::ConfigMap(map)
    }
}

impl From<Secret> for Object {
    fn from(secret: Secret) -> Object {
        Object::Secret(secret)
    }
}

/// Who knows the objects of the pod's namespace.
pub trait Objects {
    /// The ConfigMap of that name.
    fn config_map(&self, name: &str) -> Option<&ConfigMap>;

    /// The Secret of that name.
    fn secret(&self, name: &str) -> Option<&Secret>;

    /// A token for the pod's service account; `None` if nobody here issues any.
    fn service_account_token(&self, token: &ServiceAccountTokenProjection) -> Option<Vec<u8>> {
        let _ = token;
        None
    }
}

/// Objects by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectMap {
    /// The ConfigMaps.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// The Secrets.
    pub secrets: BTreeMap<String, Secret>,
}

impl ObjectMap {
    /// Adds an object, in the place of one of the same kind and name.
    pub fn insert(&mut self, object: Object) {
        let name = object.name().to_owned();
        match object {
            Object::ConfigMap(map) => drop(self.config_maps.insert(name, map)),
            Object::Secret(secret) => drop(self.secrets.insert(name, secret)),
        }
    }

    /// All of them.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        let maps = self.config_maps.values().cloned().map(Object::from);
        maps.chain(self.secrets.values().cloned().map(Object::from))
    }

    /// The object of the same kind and name.
    pub fn like(&self, object: &Object) -> Option<Object> {
        match object {
            Object::ConfigMap(_) => self
                .config_maps
                .get(object.name())
                .cloned()
                .map(Object::from),
            Object::Secret(_) => self.secrets.get(object.name()).cloned().map(Object::from),
        }
    }

    /// Takes the object of the same kind and name away: whether there was one.
    pub fn remove(&mut self, object: &Object) -> bool {
        match object {
            Object::ConfigMap(_) => self.config_maps.remove(object.name()).is_some(),
            Object::Secret(_) => self.secrets.remove(object.name()).is_some(),
        }
    }
}

impl Objects for ObjectMap {
    fn config_map(&self, name: &str) -> Option<&ConfigMap> {
        self.config_maps.get(name)
    }

    fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }
}

impl Secret {
    /// A Secret without keys.
    pub fn new(name: impl Into<String>) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.into());
        secret
    }

    /// Adds a key with its value as text.
    #[must_use]
    pub fn entry(mut self, key: impl Into<String>, value: impl Into<String>) -> Secret {
        self.string_data.insert(key.into(), value.into());
        self
    }

    /// Keys and values, in order of the keys. What `stringData` says takes the place of `data`, as when the API stores it.
    ///
    /// ```
    /// use podlife::model::Secret;
    ///
    /// let secret: Secret = serde_json::from_str(r#"{"data":{"a":"aGk="},"stringData":{"b":"there"}}"#).unwrap();
    /// assert_eq!(secret.values()["a"], b"hi");
    /// assert_eq!(secret.values()["b"], b"there");
    /// ```
    pub fn values(&self) -> BTreeMap<&str, &[u8]> {
        let data = self
            .data
            .iter()
            .map(|(key, value)| (key.as_str(), value.0.as_slice()));
        data.chain(
            self.string_data
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_bytes())),
        )
        .collect()
    }

    /// The value at a key.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        let text = self.string_data.get(key).map(String::as_bytes);
        text.or_else(|| self.data.get(key).map(|value| value.0.as_slice()))
    }
}

impl ConfigMap {
    /// A ConfigMap without keys.
    pub fn new(name: impl Into<String>) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.into());
        map
    }

    /// Adds a key with its value as text.
    #[must_use]
    pub fn entry(mut self, key: impl Into<String>, value: impl Into<String>) -> ConfigMap {
        self.data.insert(key.into(), value.into());
        self
    }

    /// Keys and values, of `data` and `binaryData`, in order of the keys.
    pub fn values(&self) -> BTreeMap<&str, &[u8]> {
        let binary = self
            .binary_data
            .iter()
            .map(|(key, value)| (key.as_str(), value.0.as_slice()));
        binary
            .chain(
                self.data
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_bytes())),
            )
            .collect()
    }

    /// The value at a key of `data` or `binaryData`.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        let text = self.data.get(key).map(String::as_bytes);
        text.or_else(|| self.binary_data.get(key).map(|value| value.0.as_slice()))
    }
}
