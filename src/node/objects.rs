//! The ConfigMaps and Secrets that the Node knows.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::store::make_directory;
use crate::model::objects::{Object, ObjectMap};
use crate::{Error, Kind, Result};

/// Objects by namespace and name, and a copy of them in the state directory, readable only by the Node's user:
///
/// ```text
/// <state>/objects/<namespace>/{ConfigMap,Secret}/<name>
/// ```
#[derive(Debug, Default)]
pub(super) struct ObjectStore {
    namespaces: BTreeMap<String, ObjectMap>,
    nothing: ObjectMap,
    directory: Option<PathBuf>,
    changes: u64,
}

impl ObjectStore {
    /// Those of a state directory; none without one.
    pub(super) fn open(directory: Option<PathBuf>) -> Result<ObjectStore> {
        let mut store = ObjectStore {
            directory,
            ..ObjectStore::default()
        };
        if let Some(directory) = store.directory.clone() {
            store.read(&directory)?;
        }
        Ok(store)
    }

    /// The objects of a namespace.
    pub(super) fn of(&self, namespace: &str) -> &ObjectMap {
        self.namespaces.get(namespace).unwrap_or(&self.nothing)
    }

    /// All of all namespaces.
    pub(super) fn all(&self) -> Vec<Object> {
        let objects = self.namespaces.values().flat_map(ObjectMap::objects);
        objects.collect()
    }

    /// Grows with each change.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Keeps an object, in the place of one of the same kind and name. False if nothing changed.
    pub(super) fn put(&mut self, object: Object) -> Result<bool> {
        object.check()?;
        let old = self.of(object.namespace()).like(&object);
        if let Some(old) = &old {
            if old.has_the_values_of(&object) && old.is_immutable() == object.is_immutable() {
                return Ok(false);
            }
            if old.is_immutable() {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("change the {object}"),
                    "it is immutable",
                )
                .cure("remove it first, or put one with another name"));
            }
        }
        if let Some(directory) = &self.directory {
            write(directory, &object)?;
        }
        self.insert(object);
        Ok(true)
    }

    /// Forgets the object of this one's kind, namespace and name. False if there is none.
    pub(super) fn remove(&mut self, object: &Object) -> Result<bool> {
        let Some(map) = self.namespaces.get_mut(object.namespace()) else {
            return Ok(false);
        };
        if let Some(directory) = &self.directory {
            let path = place(directory, object);
            match std::fs::remove_file(&path) {
                Err(why) if why.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(format!("remove {}", path.display()), why));
                }
                _ => {}
            }
        }
        self.changes += 1;
        Ok(map.remove(object))
    }

    fn insert(&mut self, object: Object) {
        self.changes += 1;
        let namespace = self.namespaces.entry(object.namespace().to_owned());
        namespace.or_default().insert(object);
    }

    fn read(&mut self, directory: &Path) -> Result<()> {
        for namespace in entries(directory)? {
            for path in entries(&namespace.join("ConfigMap"))? {
                self.insert(Object::ConfigMap(parse(&path)?));
            }
            for path in entries(&namespace.join("Secret"))? {
                self.insert(Object::Secret(parse(&path)?));
            }
        }
        Ok(())
    }
}

fn place(directory: &Path, object: &Object) -> PathBuf {
    let namespace = directory.join(object.namespace());
    namespace.join(object.kind()).join(object.name())
}

/// Written beside and renamed: a crash leaves the old one or the new one.
fn write(directory: &Path, object: &Object) -> Result<()> {
    let path = place(directory, object);
    let failed = |why| Error::io(format!("write {}", path.display()), why);
    path.parent().map(make_directory).transpose()?;
    let json = match object {
        Object::Secret(secret) => serde_json::to_vec(secret),
        Object::ConfigMap(map) => serde_json::to_vec(map),
    };
    let json =
        json.map_err(|why| Error::caused(Kind::Invalid, format!("keep the {object}"), why))?;
    // Not below a namespace: no name collides with it there.
    let new = directory.join(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new).map_err(failed)?;
    file.write_all(&json).map_err(failed)?;
    std::fs::rename(&new, &path).map_err(failed)
}

/// Directories and files in a directory; nothing if there is none.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |why| Error::io(format!("list {}", directory.display()), why);
    let listed = match std::fs::read_dir(directory) {
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        listed => listed.map_err(failed)?,
    };
    listed
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let attempt = || format!("read {}", path.display());
    let text = std::fs::read(path).map_err(|why| Error::io(attempt(), why))?;
    serde_json::from_slice(&text).map_err(|why| {
        Error::caused(Kind::Protocol, attempt(), why)
            .cure("it was written by another version, or damaged")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConfigMap, Secret};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn objects_survive_and_only_their_user_reads_them() {
        let directory =
            std::env::temp_dir().join(format!("podlife-objects-{}", std::process::id()));
        let mut store = ObjectStore::open(Some(directory.clone())).unwrap();
        let settings: Object = ConfigMap::new("settings").entry("colour", "blue").into();
        assert!(store.put(settings.clone()).unwrap());
        assert!(!store.put(settings.clone()).unwrap(), "nothing changed");
        assert!(
            store
                .put(Secret::new("key").entry("word", "xyzzy").into())
                .unwrap()
        );
        drop(store);

        let mut store = ObjectStore::open(Some(directory.clone())).unwrap();
        assert_eq!(
            store.of("default").config_maps["settings"].data["colour"],
            "blue"
        );
        assert_eq!(
            store.of("default").secrets["key"].values()["word"],
            b"xyzzy"
        );
        assert!(store.of("other").secrets.is_empty());
        let file = std::fs::metadata(directory.join("default/Secret/key")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert!(store.remove(&settings).unwrap());
        assert!(!store.remove(&settings).unwrap());
        assert!(!directory.join("default/ConfigMap/settings").exists());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_immutable_stays() {
        let mut store = ObjectStore::default();
        let mut fixed = ConfigMap::new("fixed").entry("a", "1");
        fixed.immutable = Some(true);
        store.put(fixed.clone().into()).unwrap();
        assert!(!store.put(fixed.clone().into()).unwrap());
        let error = store.put(fixed.entry("a", "2").into()).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict, "{error}");
    }
}
