//! Where something is, or shall be: a directory that is open, and a name in it.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::tree::Why;
use crate::linux::mount::Beneath;

/// Whose paths they are.
pub(super) enum Side {
    /// The host's: as this program sees them.
    Host,
    /// A container's: nothing in them leads out of its root.
    Inside(Beneath),
}

/// A name in an open directory.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) parent: OwnedFd,
    pub(super) name: OsString,
    /// For sentences.
    pub(super) path: PathBuf,
}

impl Side {
    /// The directory at `path`, as `O_PATH`.
    fn directory(&self, path: &Path) -> Result<OwnedFd, Why> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match self {
            Side::Host => {
                open(path, flags, Mode::empty()).map_err(|errno| Why::os("find", path, errno))
            }
            Side::Inside(root) => {
                let found = root.look_up(path).map_err(|error| Why::of(path, error))?;
                let stat = fstat(&found).map_err(|errno| Why::os("look at", path, errno))?;
                match is(&stat, SFlag::S_IFDIR) {
                    true => Ok(found),
                    false => Err(Why::os("find", path, Errno::ENOTDIR)),
                }
            }
        }
    }
}

impl Place {
    /// Of what is at `path`; a link at its end is that link.
    pub(super) fn of(side: &Side, path: &Path) -> Result<Place, Why> {
        let place = Place::named(side, path)?;
        match place.stat()? {
            Some(_) => Ok(place),
            None => Err(Why::os("find", path, Errno::ENOENT)),
        }
    }

    /// Of what a copy of `source` at `path` shall be: in `path` if that is a directory.
    pub(super) fn for_copy(side: &Side, path: &Path, source: &Place) -> Result<Place, Why> {
        let into = || -> Result<Place, Why> {
            Ok(Place {
                parent: side.directory(path)?,
                name: source.name.clone(),
                path: path.join(&source.name),
            })
        };
        // With a slash at its end, or as `/` or `..`, it can only be a directory, also one behind a link.
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return into();
        }
        let place = Place::named(side, path)?;
        match place.stat()? {
            Some(stat) if is(&stat, SFlag::S_IFDIR) => into(),
            _ => Ok(place),
        }
    }

    fn named(side: &Side, path: &Path) -> Result<Place, Why> {
        let name = path.file_name().ok_or_else(|| {
            let why = "the path does not end in a name; name the directory itself";
            Why::invalid(path, why)
        })?;
        Ok(Place {
            parent: side.directory(path.parent().unwrap_or(Path::new("/")))?,
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// What is there itself; none if nothing is.
    pub(super) fn stat(&self) -> Result<Option<FileStat>, Why> {
        match fstatat(
            &self.parent,
            self.name.as_os_str(),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        ) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Why::os("look at", &self.path, errno)),
        }
    }
}

pub(super) fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}
