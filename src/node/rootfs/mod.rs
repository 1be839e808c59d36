//! What stands for an image: where a container's root comes from.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::{Error, Kind, Result};

/// The image that is always there: the host's own root.
pub const HOST_IMAGE: &str = "podlife.local/host";

/// Where the root of a container comes from, in place of an image.
///
/// ```
/// use podlife::node::Rootfs;
///
/// let tools = Rootfs::directory("/srv/tools").entrypoint(["/bin/tool", "--serve"]).env("LANG", "C.UTF-8");
/// assert_eq!(tools.to_string(), "dir:/srv/tools");
/// ```
#[derive(Clone, Debug)]
pub struct Rootfs {
    pub(super) base: Base,
    pub(super) programs: Vec<(PathBuf, Arc<OwnedFd>)>,
    pub(super) entrypoint: Vec<String>,
    pub(super) env: Vec<(String, String)>,
}

/// What lies at the bottom of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The host's root, read-only, with `/tmp`, `/run`, `/dev` and `/proc` of its own.
    Host,
    /// A directory of the host, never written: what the container changes is gone with it.
    Directory(PathBuf),
}

impl Rootfs {
    /// The host's own root: read-only, with private `/tmp`, `/run`, `/dev`, `/sys` and `/proc`.
    pub fn host() -> Rootfs {
        Rootfs::on(Base::Host)
    }

    /// A directory of the host, as the container's root. It is never written: the container's changes are kept in memory, and
    /// are gone when it ends. Linux 5.11 for an ordinary user.
    pub fn directory(path: impl Into<PathBuf>) -> Rootfs {
        Rootfs::on(Base::Directory(path.into()))
    }

    fn on(base: Base) -> Rootfs {
        Rootfs {
            base,
            programs: Vec::new(),
            entrypoint: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Puts an executable into the root, copied from a descriptor, a sealed memfd for instance: so a user can bring a program
    /// whose folder the container could not reach. On the host's root the path must lie in `/run`, `/tmp` or `/dev`, the only
    /// places where something can be added; any other path is an error when the Node opens.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>, program: impl Into<OwnedFd>) -> Rootfs {
        self.programs.push((path.into(), Arc::new(program.into())));
        self
    }

    /// Whether its programs can be where they shall be.
    fn check(&self) -> Result<()> {
        for (path, _) in &self.programs {
            let inside =
                |directory: &&str| path.starts_with(directory) && path != Path::new(directory);
            let possible = match self.base {
                Base::Host => ["/run", "/tmp", "/dev"].iter().any(inside),
                Base::Directory(_) => path.is_absolute(),
            };
            if !possible || path.components().any(|part| part == Component::ParentDir) {
                let attempt = format!("put a program at {}", path.display());
                return Err(
                    Error::new(Kind::Invalid, attempt, "nothing can be added there")
                        .cure("use /run/<name>"),
                );
            }
        }
        Ok(())
    }

    /// What runs when the container names no command.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Rootfs {
        self.entrypoint = argv.into_iter().map(Into::into).collect();
        self
    }

    /// A variable of the image's environment; the container's own ones override it.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Rootfs {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// `host` or `dir:PATH`, then its programs.
impl std::fmt::Display for Rootfs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.base {
            Base::Host => f.write_str("host")?,
            Base::Directory(path) => write!(f, "dir:{}", path.display())?,
        }
        for (path, fd) in &self.programs {
            write!(f, "+{}@fd{}", path.display(), fd.as_raw_fd())?;
        }
        Ok(())
    }
}

/// Which images are here.
#[derive(Clone, Debug)]
pub(super) struct Images(BTreeMap<String, Rootfs>);

impl Default for Images {
    fn default() -> Images {
        Images(BTreeMap::from([(HOST_IMAGE.to_owned(), Rootfs::host())]))
    }
}

impl Images {
    pub(super) fn insert(&mut self, image: String, rootfs: Rootfs) {
        self.0.insert(plain(&image).to_owned(), rootfs);
    }

    /// Whether all of them can be had.
    pub(super) fn check(&self) -> Result<()> {
        self.0.values().try_for_each(Rootfs::check)
    }

    /// What stands for an image, with or without its tag `latest`.
    pub(super) fn find(&self, image: &str) -> Option<&Rootfs> {
        self.0.get(plain(image))
    }
}

fn plain(image: &str) -> &str {
    image.strip_suffix(":latest").unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_with_and_without_latest() {
        let mut images = Images::default();
        images.insert("podlife.local/demo:latest".into(), Rootfs::host());
        assert!(images.find("podlife.local/demo").is_some());
        assert!(images.find("podlife.local/host:latest").is_some());
        assert!(images.find("podlife.local/host:1").is_none());
    }

    #[test]
    fn a_program_goes_only_where_something_can_be_added() {
        let file = || std::fs::File::open("/dev/null").unwrap();
        for (path, possible) in [
            ("/run/demo", true),
            ("/run", false),
            ("/usr/bin/x", false),
            ("/run/../bin/x", false),
        ] {
            assert_eq!(
                Rootfs::host().program(path, file()).check().is_ok(),
                possible,
                "{path}"
            );
        }
        assert!(
            Rootfs::directory("/srv")
                .program("/usr/bin/x", file())
                .check()
                .is_ok()
        );
    }
}
