//! Paths of the host.

use std::fs::{DirBuilder, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use crate::model::{HostPathType, HostPathVolumeSource};
use crate::{Error, Kind, Result};

/// Checks that what is at the path is what the source's `type` asks for, and makes a directory (0755) or an empty file (0644), less
/// the umask, where that says `OrCreate` and nothing is there. Links are followed.
///
/// ```
/// use podlife::model::HostPathVolumeSource;
/// use podlife::node::volumes::check_host_path;
///
/// let source = |json| serde_json::from_str::<HostPathVolumeSource>(json).unwrap();
/// assert!(check_host_path(&source(r#"{"path": "/proc", "type": "Directory"}"#)).is_ok());
/// let error = check_host_path(&source(r#"{"path": "/dev/null", "type": "Directory"}"#)).unwrap_err();
/// assert_eq!(error.to_string(), "could not mount /dev/null of the host: it is not a directory, as hostPath.type says");
/// ```
///
/// # Errors
/// [`Kind::NotFound`], or [`Kind::Invalid`] if something else is there.
pub fn check_host_path(source: &HostPathVolumeSource) -> Result<()> {
    let path = Path::new(&source.path);
    let wanted = match &source.type_ {
        None | Some(HostPathType::Unset) => return Ok(()),
        Some(wanted) => wanted,
    };
    let attempt = || format!("mount {} of the host", path.display());
    let failed = |why: io::Error| Error::io(attempt(), why);
    let found = match std::fs::metadata(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => {
            make(path, wanted).map_err(failed)?;
            std::fs::metadata(path).map_err(failed)?
        }
        found => found.map_err(failed)?,
    };
    let (fits, what) = fits(wanted, found.file_type());
    if fits {
        return Ok(());
    }
    let why = format!("it is not a {what}, as hostPath.type says");
    Err(Error::new(Kind::Invalid, attempt(), why))
}

fn make(path: &Path, wanted: &HostPathType) -> io::Result<()> {
    match wanted {
        HostPathType::DirectoryOrCreate => {
            DirBuilder::new().recursive(true).mode(0o755).create(path)
        }
        HostPathType::FileOrCreate => {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o644);
            options.open(path).map(drop)
        }
        _ => Ok(()),
    }
}

fn fits(wanted: &HostPathType, found: FileType) -> (bool, &'static str) {
    match wanted {
        HostPathType::Directory | HostPathType::DirectoryOrCreate => (found.is_dir(), "directory"),
        HostPathType::File | HostPathType::FileOrCreate => (found.is_file(), "file"),
        HostPathType::Socket => (found.is_socket(), "socket"),
        HostPathType::CharDevice => (found.is_char_device(), "character device"),
        HostPathType::BlockDevice => (found.is_block_device(), "block device"),
        HostPathType::Unset | HostPathType::Other(_) => (true, "anything"),
    }
}
