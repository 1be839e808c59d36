//! One tree copied to another, a step at a time, by descriptors: no path is ever walked twice.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, OwningIter};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, symlinkat, unlinkat};

use super::Copied;
use super::place::{Place, is};
use crate::{Error, Kind};

/// Directories in directories; each holds three descriptors.
const DEPTH_MAX: usize = 100;
/// Bytes in one go.
const PIECE: usize = 64 << 10;
/// Pieces of a file that one step copies.
const PIECES: usize = 16;

#[derive(Debug)]
pub(super) struct Tree {
    /// What it begins with, until it has begun.
    first: Option<(Place, Place)>,
    levels: Vec<Level>,
    file: Option<Open>,
    owner: Option<(Uid, Gid)>,
    copied: Copied,
    buffer: Box<[u8]>,
}

/// A directory being copied.
#[derive(Debug)]
struct Level {
    names: Names,
    from: OwnedFd,
    to: OwnedFd,
    path: PathBuf,
    target: PathBuf,
    /// What it shall have in the end; none if it was there before.
    mode: Option<Mode>,
}

struct Names(OwningIter);

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

/// A file being copied.
#[derive(Debug)]
struct Open {
    from: File,
    to: File,
    left: u64,
    mode: Mode,
    path: PathBuf,
    target: PathBuf,
}

/// Why something could not be copied.
pub(super) struct Why {
    kind: Option<Kind>,
    errno: Option<i32>,
    text: String,
}

impl Why {
    pub(super) fn os(verb: &str, path: &Path, errno: Errno) -> Why {
        Why {
            kind: None,
            errno: Some(errno as i32),
            text: format!("could not {verb} {}", path.display()),
        }
    }

    pub(super) fn invalid(path: &Path, why: &str) -> Why {
        Why {
            kind: Some(Kind::Invalid),
            errno: None,
            text: format!("{}: {why}", path.display()),
        }
    }

    pub(super) fn of(path: &Path, error: Error) -> Why {
        Why {
            kind: Some(error.kind()),
            errno: error.errno(),
            text: format!("could not find {}", path.display()),
        }
    }

    fn io(verb: &str, path: &Path, error: &io::Error) -> Why {
        Why::os(
            verb,
            path,
            Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)),
        )
    }

    fn taken(path: &Path, what: &str) -> Why {
        Why {
            kind: Some(Kind::Conflict),
            errno: None,
            text: format!("{} is {what} there", path.display()),
        }
    }

    pub(super) fn explain(self, attempt: &str) -> Error {
        let kind = self.kind.or(self.errno.map(Kind::of_errno));
        match self.errno {
            Some(errno) => Error::os(format!("{attempt}: {}", self.text), errno)
                .as_kind(kind.unwrap_or(Kind::Os)),
            None => Error::new(kind.unwrap_or(Kind::Os), attempt, self.text),
        }
    }
}

impl Tree {
    pub(super) fn new(from: Place, to: Place, owner: Option<(u32, u32)>) -> Tree {
        Tree {
            first: Some((from, to)),
            levels: Vec::new(),
            file: None,
            owner: owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid))),
            copied: Copied::default(),
            buffer: vec![0; PIECE].into_boxed_slice(),
        }
    }

    pub(super) fn copied(&self) -> Copied {
        self.copied
    }

    /// False when all is done.
    pub(super) fn step(&mut self) -> Result<bool, Why> {
        if let Some((from, to)) = self.first.take() {
            self.enter(&from, &to)?;
        } else if let Some(mut file) = self.file.take() {
            if self.copy_pieces(&mut file)? {
                self.file = Some(file);
            }
        } else if let Some(mut level) = self.levels.pop() {
            match level.names.0.next() {
                Some(entry) => {
                    let entry = entry.map_err(|errno| Why::os("read", &level.path, errno))?;
                    let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
                    let places = level.places(name)?;
                    self.levels.push(level);
                    if let Some((from, to)) = places {
                        self.enter(&from, &to)?;
                    }
                }
                None => self.leave(&level)?,
            }
        }
        Ok(self.file.is_some() || !self.levels.is_empty())
    }

    /// Begins to copy whatever is at `from`.
    fn enter(&mut self, from: &Place, to: &Place) -> Result<(), Why> {
        let failed = |errno| Why::os("open", &from.path, errno);
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        // From here on it is this one, whatever takes its name.
        let found = openat(&from.parent, from.name.as_os_str(), flags, Mode::empty());
        let found = found.map_err(failed)?;
        let stat = fstat(&found).map_err(failed)?;
        let mode = Mode::from_bits_truncate(stat.st_mode & 0o777);
        if is(&stat, SFlag::S_IFDIR) {
            return self.enter_directory(&found, mode, from, to);
        }
        if is(&stat, SFlag::S_IFREG) {
            make_room(to)?;
            return self.open_file(&found, &stat, mode, from, to);
        }
        if is(&stat, SFlag::S_IFLNK) {
            make_room(to)?;
            let says = readlinkat(&found, OsStr::new("")).map_err(failed)?;
            return self.link(&says, to);
        }
        self.copied.passed_over += 1;
        Ok(())
    }

    fn enter_directory(
        &mut self,
        found: &OwnedFd,
        mode: Mode,
        from: &Place,
        to: &Place,
    ) -> Result<(), Why> {
        if self.levels.len() >= DEPTH_MAX {
            return Err(Why {
                kind: Some(Kind::Exhausted),
                ..Why::invalid(&from.path, "it is more than 100 directories deep")
            });
        }
        let failed = |errno| Why::os("open", &from.path, errno);
        let (read, other) = (
            reopen(found, OFlag::O_DIRECTORY),
            reopen(found, OFlag::O_DIRECTORY),
        );
        let names = Dir::from_fd(read.map_err(failed)?).map_err(failed)?;
        let made = make_directory(to)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = openat(&to.parent, to.name.as_os_str(), flags, Mode::empty());
        self.levels.push(Level {
            names: Names(names.into_iter()),
            from: other.map_err(failed)?,
            to: target.map_err(|errno| Why::os("open", &to.path, errno))?,
            path: from.path.clone(),
            target: to.path.clone(),
            mode: made.then_some(mode),
        });
        self.copied.directories += u64::from(made);
        Ok(())
    }

    /// All that is in it is copied: now it may become read-only.
    fn leave(&self, level: &Level) -> Result<(), Why> {
        match level.mode {
            Some(mode) => self.settle(&level.to, mode, &level.target),
            None => Ok(()),
        }
    }

    fn open_file(
        &mut self,
        found: &OwnedFd,
        stat: &FileStat,
        mode: Mode,
        from: &Place,
        to: &Place,
    ) -> Result<(), Why> {
        let source = reopen(found, OFlag::O_NONBLOCK | OFlag::O_NOCTTY);
        let source = source.map_err(|errno| Why::os("open", &from.path, errno))?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        let target = openat(&to.parent, to.name.as_os_str(), flags, private);
        self.file = Some(Open {
            from: source.into(),
            to: target
                .map_err(|errno| Why::os("make", &to.path, errno))?
                .into(),
            left: u64::try_from(stat.st_size).unwrap_or_default(),
            mode,
            path: from.path.clone(),
            target: to.path.clone(),
        });
        Ok(())
    }

    /// True if there is more.
    fn copy_pieces(&mut self, file: &mut Open) -> Result<bool, Why> {
        for _ in 0..PIECES {
            let most = PIECE.min(usize::try_from(file.left).unwrap_or(PIECE));
            let read = match file.from.read(&mut self.buffer[..most]) {
                Ok(count) => count,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) => return Err(Why::io("read", &file.path, &why)),
            };
            let written = file.to.write_all(&self.buffer[..read]);
            written.map_err(|why| Why::io("write", &file.target, &why))?;
            file.left -= read as u64;
            self.copied.bytes += read as u64;
            if read == 0 || file.left == 0 {
                self.copied.files += 1;
                return self
                    .settle(&file.to, file.mode, &file.target)
                    .map(|()| false);
            }
        }
        Ok(true)
    }

    fn link(&mut self, says: &OsStr, to: &Place) -> Result<(), Why> {
        let failed = |errno| Why::os("make", &to.path, errno);
        symlinkat(says, &to.parent, to.name.as_os_str()).map_err(failed)?;
        if let Some((uid, gid)) = self.owner {
            let itself = AtFlags::AT_SYMLINK_NOFOLLOW;
            fchownat(
                &to.parent,
                to.name.as_os_str(),
                Some(uid),
                Some(gid),
                itself,
            )
            .map_err(failed)?;
        }
        self.copied.links += 1;
        Ok(())
    }

    /// Its owner, and then its mode, which a change of owner may cut.
    fn settle(&self, fd: impl AsFd, mode: Mode, path: &Path) -> Result<(), Why> {
        if let Some((uid, gid)) = self.owner {
            fchown(&fd, Some(uid), Some(gid)).map_err(|errno| Why::os("give away", path, errno))?;
        }
        fchmod(&fd, mode).map_err(|errno| Why::os("set the mode of", path, errno))
    }
}

impl Level {
    /// Of an entry; none of the directory itself and the one above.
    fn places(&self, name: OsString) -> Result<Option<(Place, Place)>, Why> {
        if name == "." || name == ".." || name.as_bytes().contains(&b'/') {
            return Ok(None);
        }
        let place = |directory: &OwnedFd, path: &Path| {
            let parent = directory.try_clone();
            Ok(Place {
                parent: parent.map_err(|why| Why::io("open", path, &why))?,
                path: path.join(&name),
                name: name.clone(),
            })
        };
        Ok(Some((
            place(&self.from, &self.path)?,
            place(&self.to, &self.target)?,
        )))
    }
}

/// What a descriptor that only names something names, for reading.
fn reopen(found: &OwnedFd, flags: OFlag) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    open(
        path.as_str(),
        flags | OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
}

/// True if it was made, false if it was there.
fn make_directory(to: &Place) -> Result<bool, Why> {
    match to.stat()? {
        Some(stat) if is(&stat, SFlag::S_IFDIR) => Ok(false),
        Some(stat) => Err(Why::taken(&to.path, what(&stat))),
        None => mkdirat(&to.parent, to.name.as_os_str(), Mode::S_IRWXU)
            .map(|()| true)
            .map_err(|errno| Why::os("make the directory", &to.path, errno)),
    }
}

/// A file is replaced by a new one; nothing else is.
fn make_room(to: &Place) -> Result<(), Why> {
    match to.stat()? {
        None => Ok(()),
        Some(stat) if is(&stat, SFlag::S_IFREG) => {
            unlinkat(&to.parent, to.name.as_os_str(), UnlinkatFlags::NoRemoveDir)
                .map_err(|errno| Why::os("replace", &to.path, errno))
        }
        Some(stat) => Err(Why::taken(&to.path, what(&stat))),
    }
}

fn what(stat: &FileStat) -> &'static str {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFLNK => {
            "a symbolic link, which is not written through: name what it points to, or remove what is"
        }
        SFlag::S_IFREG => "a file",
        _ => "something that is neither file nor directory",
    }
}
