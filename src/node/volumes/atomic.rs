//! Files that change all at once.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::linux::Clock;
use crate::linux::user::IdMap;
use crate::model::payload::{Payload, PayloadFile, removed_paths, validate_path};
use crate::{Error, Result};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// A directory whose files change all at once, as the kubelet writes configMap, secret, downwardAPI and projected volumes.
///
/// The files are in a directory named by the time; `..data` is a link to it, and each visible name one into `..data`. A
/// change writes a new directory and renames the link: a reader sees all of the old files or all of the new. One writer at a time.
///
/// Upstream: `pkg/volume/util/atomic_writer.go`.
///
/// ```
/// use podlife::model::payload::{Payload, PayloadFile};
/// use podlife::node::volumes::AtomicDirectory;
///
/// # let path = std::env::temp_dir().join(format!("podlife-atomic-{}", std::process::id()));
/// # std::fs::create_dir(&path)?;
/// let file = |text: &str| PayloadFile { content: text.into(), mode: 0o644, owner: None };
/// let directory = AtomicDirectory::new(&path);
/// assert!(directory.write(&Payload::from([("colour".to_owned(), file("blue"))]))?);
/// assert!(directory.write(&Payload::from([("colour".to_owned(), file("red"))]))?);
/// assert_eq!(std::fs::read_to_string(path.join("colour"))?, "red");
/// assert_eq!(std::fs::read_link(path.join("colour"))?.to_str(), Some("..data/colour"));
/// # std::fs::remove_dir_all(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AtomicDirectory {
    path: PathBuf,
    group: Option<u32>,
    users: Option<IdMap>,
}

impl AtomicDirectory {
    /// The directory at `path`, which is there and which nobody else writes.
    pub fn new(path: impl Into<PathBuf>) -> AtomicDirectory {
        AtomicDirectory {
            path: path.into(),
            group: None,
            users: None,
        }
    }

    /// Gives what is written to a group that can read it: a pod's `fsGroup`.
    #[must_use]
    pub fn group(mut self, group: Option<u32>) -> AtomicDirectory {
        self.group = group;
        self
    }

    /// Gives what is written to root of a user namespace with these ids. Groups and owners are as they are called in there.
    #[must_use]
    pub fn users(mut self, users: Option<IdMap>) -> AtomicDirectory {
        self.users = users;
        self
    }

    /// Whether it was ever written.
    pub fn is_written(&self) -> bool {
        self.current().is_some()
    }

    /// Makes these the files. False if they were already, as far as names and contents go: modes alone change nothing.
    ///
    /// # Errors
    /// A path leads out of the directory or begins with two dots; it cannot be written.
    pub fn write(&self, files: &Payload) -> Result<bool> {
        files.keys().try_for_each(|path| validate_path(path))?;
        let failed = |why| Error::io(format!("write the files of {}", self.path.display()), why);
        let current = self.current();
        let changed = match &current {
            Some(current) => self.differs(current, files).map_err(failed)?,
            None => true,
        };
        if changed {
            let new = self.fill(files).map_err(failed)?;
            self.switch(&new).map_err(failed)?;
        }
        // Also when nothing changed: whoever wrote before may have been killed here.
        self.show(files).map_err(failed)?;
        self.clean().map_err(failed)?;
        Ok(changed)
    }

    /// The directory that `..data` leads to.
    fn current(&self) -> Option<PathBuf> {
        std::fs::read_link(self.path.join(DATA)).ok()
    }

    fn differs(&self, current: &Path, files: &Payload) -> io::Result<bool> {
        let root = self.path.join(current);
        let mut before = Vec::new();
        list(&root, "", &mut before)?;
        let removed = removed_paths(
            before.iter().map(String::as_str),
            files.keys().map(String::as_str),
        );
        if !removed.is_empty() {
            return Ok(true);
        }
        for (path, file) in files {
            match std::fs::read(root.join(path)) {
                Ok(content) if content == file.content => {}
                Ok(_) => return Ok(true),
                Err(why) if why.kind() == ErrorKind::NotFound => return Ok(true),
                Err(why) => return Err(why),
            }
        }
        Ok(false)
    }

    /// Writes the files into a new directory.
    fn fill(&self, files: &Payload) -> io::Result<PathBuf> {
        let name = self.make_directory()?;
        let root = self.path.join(&name);
        for (path, file) in files {
            let mut directory = root.clone();
            let parts: Vec<&str> = path.split('/').collect();
            for part in &parts[..parts.len() - 1] {
                directory.push(part);
                match DirBuilder::new().mode(0o700).create(&directory) {
                    Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
                    made => made.and_then(|()| self.open_up(&directory))?,
                }
            }
            self.write_file(&root.join(path), file)?;
        }
        self.open_up(&root)?;
        Ok(name)
    }

    fn make_directory(&self) -> io::Result<PathBuf> {
        loop {
            let now = Clock::wall();
            let seconds: String = now.to_string().chars().take(19).collect();
            let name = format!(
                "..{}.{:09}",
                seconds.replace(['-', ':', 'T'], "_"),
                now.as_nanos().rem_euclid(1_000_000_000)
            );
            match DirBuilder::new().mode(0o700).create(self.path.join(&name)) {
                Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
                made => return made.map(|()| name.into()),
            }
        }
    }

    /// Modes are set: the umask is the embedder's.
    fn open_up(&self, directory: &Path) -> io::Result<()> {
        const SET_GID: u32 = 0o2000;
        let set_gid = self.group.map_or(0, |_| SET_GID);
        let mode = set_gid | 0o755;
        self.give(directory, None)?;
        std::fs::set_permissions(directory, Permissions::from_mode(mode))
    }

    fn write_file(&self, path: &Path, file: &PayloadFile) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut written = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        written.write_all(&file.content)?;
        self.give(path, file.owner)?;
        let mode = match self.group {
            Some(_) => file.mode | 0o440,
            None => file.mode,
        };
        written.set_permissions(Permissions::from_mode(mode))
    }

    /// To whom it shall belong; a link itself, not what it leads to.
    fn give(&self, path: &Path, owner: Option<u32>) -> io::Result<()> {
        let (owner, group) = match &self.users {
            None => (owner, self.group),
            Some(users) => {
                let outside = |id: Option<u32>| {
                    let id = id.unwrap_or(0);
                    let why = || io::Error::other(format!("the pod has no user or group {id}"));
                    users.outside(id).ok_or_else(why).map(Some)
                };
                (outside(owner)?, outside(self.group)?)
            }
        };
        match (owner, group) {
            (None, None) => Ok(()),
            _ => lchown(path, owner, group),
        }
    }

    fn switch(&self, new: &Path) -> io::Result<()> {
        let link = self.path.join(NEW_DATA);
        match std::fs::remove_file(&link) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        symlink(new, &link)?;
        self.give(&link, None)?;
        std::fs::rename(&link, self.path.join(DATA))
    }

    /// Links for the names that are new, none for those that are gone.
    fn show(&self, files: &Payload) -> io::Result<()> {
        let tops = files.keys().filter_map(|path| path.split('/').next());
        let tops: BTreeSet<&str> = tops.collect();
        for name in &tops {
            let link = self.path.join(name);
            match symlink(Path::new(DATA).join(name), &link) {
                Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
                made => made.and_then(|()| self.give(&link, None))?,
            }
        }
        for name in names(&self.path)? {
            if !name.starts_with("..") && !tops.contains(&*name) {
                std::fs::remove_file(self.path.join(name))?;
            }
        }
        Ok(())
    }

    /// Removes the directories that nothing leads to any more.
    fn clean(&self) -> io::Result<()> {
        let current = self.current();
        for name in names(&self.path)? {
            let kept = name == DATA || current.as_deref() == Some(Path::new(&name));
            if name.starts_with("..") && name != NEW_DATA && !kept {
                std::fs::remove_dir_all(self.path.join(name))?;
            }
        }
        Ok(())
    }
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(directory)?;
    entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// The files below a directory, by path.
fn list(root: &Path, below: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        match entry.file_type()?.is_dir() {
            true => list(root, &path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}
