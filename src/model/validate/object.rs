//! ConfigMaps and Secrets: names, keys, size.

use super::super::errors::{ErrorType, FieldError};
use super::super::objects::Object;
use super::super::path::Path;
use super::{Findings, name};

/// All values together.
const BYTES_MAX: usize = 1 << 20;

pub(super) fn object(object: &Object, found: &mut Findings) {
    let meta = Path::Field(&Path::Root, "metadata");
    found.required_name(meta.field("name"), object.name(), name::subdomain);
    found.name(meta.field("namespace"), object.namespace(), name::label);
    let values = match object {
        Object::ConfigMap(map) => {
            for key in map
                .binary_data
                .keys()
                .filter(|key| map.data.contains_key(*key))
            {
                let at = Path::Field(&Path::Root, "binaryData");
                found.duplicate(at, key, "it is in data too");
            }
            map.values()
        }
        Object::Secret(secret) => secret.values(),
    };
    for key in values.keys() {
        found.name(Path::Field(&Path::Root, "data"), key, name::config_key);
    }
    let bytes: usize = values.values().map(|value| value.len()).sum();
    if bytes > BYTES_MAX {
        let detail = format!("{bytes} bytes in all values together, at most {BYTES_MAX}");
        found
            .0
            .push(FieldError::new("data", ErrorType::TooLong, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{ConfigMap, Secret};
    use super::*;

    fn wrong(object: impl Into<Object>) -> String {
        object.into().check().unwrap_err().to_string()
    }

    #[test]
    fn names_keys_and_size_are_checked() {
        assert!(wrong(ConfigMap::default()).contains("metadata.name: required"));
        assert!(wrong(ConfigMap::new("A")).contains("metadata.name: invalid value"));
        assert!(wrong(ConfigMap::new("a").entry("..b", "")).contains("data: invalid value"));
        assert!(
            wrong(Secret::new("a").entry("b", "x".repeat(BYTES_MAX + 1))).contains("1048577 bytes")
        );
        let whole = Secret::new("a").entry("b.c", "x".repeat(BYTES_MAX));
        assert!(Object::from(whole).check().is_ok());
    }
}
