//! The files of configMap, secret, downwardAPI and projected volumes.
//!
//! Upstream: `pkg/volume/{configmap,secret,downwardapi,projected}`, and the checks of `pkg/volume/util/atomic_writer.go`.

use std::collections::{BTreeMap, BTreeSet};

use super::field_path::{metadata_field, named, resource_field};
use super::objects::Objects;
use super::resource_list::ResourceList;
use super::{
    ConfigMap, DownwardApiVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use crate::error::{Error, Kind, Result};

/// The mode of files if nothing says otherwise: `rw-r--r--`.
pub const DEFAULT_MODE: u32 = 0o644;

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadFile {
    /// What is in it.
    pub content: Vec<u8>,
    /// Its permissions, to be set with `chmod`: the umask does not count.
    pub mode: u32,
    /// The user it belongs to, if not root.
    pub owner: Option<u32>,
}

/// Files by path below the volume's root.
pub type Payload = BTreeMap<String, PayloadFile>;

/// What a payload is made from, besides the volume.
#[derive(Clone, Copy)]
pub struct PayloadSources<'a> {
    /// The pod that mounts it.
    pub pod: &'a Pod,
    /// Where ConfigMaps and Secrets are.
    pub objects: &'a dyn Objects,
    /// What the node can give to pods: the value of limits that are not set.
    pub allocatable: &'a ResourceList,
    /// Who the files of service account tokens are for.
    pub token_reader: TokenReader,
}

/// Who is to read a projected service account token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenReader {
    /// The user, if all containers of the pod run as the same one.
    pub user: Option<u32>,
    /// The pod's `fsGroup`.
    pub fs_group: Option<u32>,
}

impl TokenReader {
    /// The token's file: only for its reader, if one is known.
    ///
    /// ```
    /// use podlife::model::payload::TokenReader;
    ///
    /// let reader = TokenReader { user: Some(1000), fs_group: None };
    /// assert_eq!(reader.file(Vec::new(), 0o644).mode, 0o600);
    /// assert_eq!(TokenReader::default().file(Vec::new(), 0o644).mode, 0o644);
    /// ```
    pub fn file(self, token: Vec<u8>, default_mode: u32) -> PayloadFile {
        let known = self.user.is_some() || self.fs_group.is_some();
        PayloadFile {
            content: token,
            mode: if known { 0o600 } else { default_mode },
            owner: self.user,
        }
    }
}

impl PayloadSources<'_> {
    /// The files of a volume; `None` if it is of a kind that has no files of its own.
    ///
    /// ```
    /// use podlife::model::objects::ObjectMap;
    /// use podlife::model::payload::PayloadSources;
    /// use podlife::model::{Pod, Volume};
    ///
    /// let pod: Pod = serde_json::from_str(r#"{"metadata":{"labels":{"app":"web"}}}"#).unwrap();
    /// let volume: Volume = serde_json::from_str(r#"{"name":"v","downwardAPI":{"items":[
    ///     {"path":"labels","fieldRef":{"fieldPath":"metadata.labels"},"mode":256}]}}"#).unwrap();
    /// let sources = PayloadSources {
    ///     pod: &pod,
    ///     objects: &ObjectMap::default(),
    ///     allocatable: &Default::default(),
    ///     token_reader: Default::default(),
    /// };
    /// let files = sources.payload(&volume)?.unwrap();
    /// assert_eq!(files["labels"].content, b"app=\"web\"");
    /// assert_eq!(files["labels"].mode, 0o400);
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`] if an object or key is missing that is not optional, [`Kind::Invalid`] if a path or field cannot be used,
    /// [`Kind::Unsupported`] for tokens and certificates that nobody here issues. The pod waits.
    pub fn payload(&self, volume: &Volume) -> Result<Option<Payload>> {
        let mut files = Payload::new();
        if let Some(source) = &volume.config_map {
            let keys = Keys {
                name: &source.name,
                items: &source.items,
                optional: source.optional,
                mode: mode(source.default_mode),
            };
            self.config_map(&mut files, &keys)?;
        } else if let Some(source) = &volume.secret {
            let keys = Keys {
                name: source.secret_name.as_deref().unwrap_or_default(),
                items: &source.items,
                optional: source.optional,
                mode: mode(source.default_mode),
            };
            self.secret(&mut files, &keys)?;
        } else if let Some(source) = &volume.downward_api {
            self.downward_api(&mut files, &source.items, mode(source.default_mode))?;
        } else if let Some(source) = &volume.projected {
            self.projected(&mut files, source)?;
        } else {
            return Ok(None);
        }
        cleaned(files).map(Some)
    }

    /// A later source writes over what an earlier one has at the same path.
    fn projected(&self, files: &mut Payload, source: &ProjectedVolumeSource) -> Result<()> {
        let mode = mode(source.default_mode);
        source
            .sources
            .iter()
            .try_for_each(|source| self.projection(files, source, mode))
    }

    fn projection(&self, files: &mut Payload, source: &VolumeProjection, mode: u32) -> Result<()> {
        if let Some(source) = &source.config_map {
            let keys = Keys {
                name: &source.name,
                items: &source.items,
                optional: source.optional,
                mode,
            };
            self.config_map(files, &keys)
        } else if let Some(source) = &source.secret {
            let keys = Keys {
                name: &source.name,
                items: &source.items,
                optional: source.optional,
                mode,
            };
            self.secret(files, &keys)
        } else if let Some(source) = &source.downward_api {
            self.downward_api(files, &source.items, mode)
        } else if let Some(source) = &source.service_account_token {
            self.token(files, source, mode)
        } else if source.cluster_trust_bundle.is_some() || source.pod_certificate.is_some() {
            Err(Error::new(
                Kind::Unsupported,
                "project certificates into a volume",
                "there is no cluster that issues them",
            ))
        } else {
            Ok(())
        }
    }

    fn config_map(&self, files: &mut Payload, keys: &Keys<'_>) -> Result<()> {
        let map = self.objects.config_map(keys.name);
        keys.add(files, "ConfigMap", map.map(ConfigMap::values))
    }

    fn secret(&self, files: &mut Payload, keys: &Keys<'_>) -> Result<()> {
        let secret = self.objects.secret(keys.name);
        keys.add(files, "Secret", secret.map(Secret::values))
    }

    fn downward_api(
        &self,
        files: &mut Payload,
        items: &[DownwardApiVolumeFile],
        default_mode: u32,
    ) -> Result<()> {
        for item in items {
            let text = if let Some(field) = &item.field_ref {
                metadata_field(self.pod, &field.field_path)?
            } else if let Some(field) = &item.resource_field_ref {
                let container = named(
                    self.pod,
                    field.container_name.as_deref().unwrap_or_default(),
                )?;
                resource_field(container, field, self.allocatable)?
            } else {
                String::new()
            };
            put(
                files,
                &item.path,
                text.into_bytes(),
                item.mode,
                default_mode,
            );
        }
        Ok(())
    }

    fn token(
        &self,
        files: &mut Payload,
        source: &ServiceAccountTokenProjection,
        mode: u32,
    ) -> Result<()> {
        let token = self.objects.service_account_token(source).ok_or_else(|| {
            Error::new(
                Kind::Unsupported,
                "project a service account token",
                "nobody here issues tokens",
            )
            .cure("remove the source, or give the Node an issuer")
        })?;
        files.insert(source.path.clone(), self.token_reader.file(token, mode));
        Ok(())
    }
}

/// Modes are validated before; only the permission bits count.
fn mode(written: Option<i32>) -> u32 {
    written.map_or(DEFAULT_MODE, |mode| mode.unsigned_abs() & 0o7777)
}

fn put(
    files: &mut Payload,
    path: &str,
    content: Vec<u8>,
    item_mode: Option<i32>,
    default_mode: u32,
) {
    let mode = item_mode.map_or(default_mode, |item_mode| mode(Some(item_mode)));
    files.insert(
        path.to_owned(),
        PayloadFile {
            content,
            mode,
            owner: None,
        },
    );
}

/// Which keys of an object become files, and where; all if there are no items.
struct Keys<'a> {
    name: &'a str,
    items: &'a [KeyToPath],
    optional: Option<bool>,
    mode: u32,
}

impl Keys<'_> {
    fn add(
        &self,
        files: &mut Payload,
        kind: &str,
        values: Option<BTreeMap<&str, &[u8]>>,
    ) -> Result<()> {
        let Some(values) = values else {
            return unless_optional(self.optional, kind, self.name);
        };
        if self.items.is_empty() {
            for (key, value) in &values {
                put(files, key, value.to_vec(), None, self.mode);
            }
        }
        for item in self.items {
            match values.get(item.key.as_str()) {
                Some(value) => put(files, &item.path, value.to_vec(), item.mode, self.mode),
                None => unless_optional(self.optional, "key", &item.key)?,
            }
        }
        Ok(())
    }
}

fn unless_optional(optional: Option<bool>, kind: &str, name: &str) -> Result<()> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(Error::new(
        Kind::NotFound,
        format!("fill the volume from the {kind} {name:?}"),
        "there is none of that name",
    )
    .cure("put it beside the pod, or mark the source optional"))
}

/// The same files at plain paths: `a//b` is `a/b`.
fn cleaned(files: Payload) -> Result<Payload> {
    let mut clean = Payload::new();
    for (path, file) in files {
        validate_path(&path)?;
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.is_empty() {
            return Err(refused(&path, "it names no file"));
        }
        // Again: `./..data` begins with no dots of its own.
        let path = parts.join("/");
        validate_path(&path)?;
        clean.insert(path, file);
    }
    match clean
        .keys()
        .find(|path| ancestors(path).any(|parent| clean.contains_key(parent)))
    {
        None => Ok(clean),
        Some(path) => Err(refused(
            path,
            "one of its directories is a file of the same volume",
        )),
    }
}

/// The longest path of a file in a volume.
const PATH_MAX: usize = 4096;
/// The longest name of a file.
const NAME_MAX: usize = 255;

/// Whether a file can be put at this path of such a volume: it is relative, does not lead out of it, and does not collide
/// with the names beginning in `..` that the writer uses.
///
/// ```
/// use podlife::model::payload::validate_path;
/// assert!(validate_path("a/..b").is_ok());
/// assert!(validate_path("..b/a").is_err());
/// ```
///
/// # Errors
///
/// [`Kind::Invalid`].
pub fn validate_path(path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(refused(path, "it is empty"));
    }
    if path.starts_with('/') {
        return Err(refused(path, "it is not relative"));
    }
    if path.len() > PATH_MAX || path.split('/').any(|part| part.len() > NAME_MAX) {
        return Err(refused(
            path,
            "it is longer than 4096 bytes, or a part of it than 255",
        ));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(refused(path, "it has a part .."));
    }
    if path.starts_with("..") {
        return Err(refused(
            path,
            "it begins with .., as only the volume's own names do",
        ));
    }
    Ok(())
}

fn refused(path: &str, why: &str) -> Error {
    let shown: String = path.chars().take(100).collect();
    Error::new(
        Kind::Invalid,
        format!("put a file at {shown:?} of a volume"),
        why,
    )
}

/// Files and directories that go when a payload takes the place of another, in order: each directory before what is in it.
///
/// ```
/// use podlife::model::payload::removed_paths;
/// assert_eq!(removed_paths(["a/b/c", "d"], ["a/e"]), ["a/b", "a/b/c", "d"]);
/// ```
pub fn removed_paths<'p>(
    before: impl IntoIterator<Item = &'p str>,
    after: impl IntoIterator<Item = &'p str>,
) -> Vec<&'p str> {
    let all = |paths: &mut dyn Iterator<Item = &'p str>| -> BTreeSet<&'p str> {
        paths
            .flat_map(|path| ancestors(path).chain([path]))
            .collect()
    };
    let kept = all(&mut after.into_iter());
    all(&mut before.into_iter())
        .into_iter()
        .filter(|path| !kept.contains(path))
        .collect()
}

fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files(paths: &[&str]) -> Payload {
        paths
            .iter()
            .map(|path| ((*path).to_owned(), PayloadFile::default()))
            .collect()
    }

    #[test]
    fn a_file_is_no_directory() {
        assert!(cleaned(files(&["a", "a/b"])).is_err());
        assert!(cleaned(files(&["a", "ab/c"])).is_ok());
        assert!(cleaned(files(&["."])).is_err());
        assert_eq!(cleaned(files(&["./a//b/"])).unwrap(), files(&["a/b"]));
    }

    proptest! {
        /// What is left is a plain relative path, or an error.
        #[test]
        fn paths_stay_inside(path in "[./a]{0,12}") {
            if let Ok(clean) = cleaned(files(&[&path])) {
                for path in clean.keys() {
                    prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", path);
                    prop_assert!(validate_path(path).is_ok());
                }
            }
        }
    }
}
