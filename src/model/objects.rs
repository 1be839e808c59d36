//! The ConfigMaps and Secrets that a pod refers to.

use std::collections::BTreeMap;

use super::{ConfigMap, Secret, ServiceAccountTokenProjection};

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

impl Objects for ObjectMap {
    fn config_map(&self, name: &str) -> Option<&ConfigMap> {
        self.config_maps.get(name)
    }

    fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }
}

impl Secret {
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
