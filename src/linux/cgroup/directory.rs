//! One cgroup, held by its directory.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};

use super::limits::{self, Absent};
use super::{Controllers, Degraded, Enforcement, Hierarchy, Limits, Setting, Value};
use crate::{Error, Kind, Result};

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);

/// A cgroup: an open directory of the cgroup2 file system.
///
/// Dropping it closes the directory and does nothing to the cgroup. [`AsFd`] gives the descriptor that
/// `CLONE_INTO_CGROUP` (Linux 5.7) takes. All operations go through it, so they never reach another group of the same name.
#[derive(Debug)]
pub struct Cgroup {
    dir: OwnedFd,
    path: PathBuf,
}

impl Cgroup {
    /// The cgroup at this absolute path, which must lie in a cgroup2 file system.
    pub fn open(path: impl Into<PathBuf>) -> Result<Cgroup> {
        let path = path.into();
        let attempt = || format!("open the cgroup {}", path.display());
        let dir = nix::fcntl::open(&path, DIRECTORY, Mode::empty())
            .map_err(|errno| Error::os(attempt(), errno as i32))?;
        let kind = fstatfs(&dir)
            .map_err(|errno| Error::os(attempt(), errno as i32))?
            .filesystem_type();
        if kind != CGROUP2_SUPER_MAGIC {
            return Err(Error::new(
                Kind::Invalid,
                attempt(),
                "it is not in a cgroup2 file system",
            )
            .cure("name a directory below the mount of cgroup2, often /sys/fs/cgroup"));
        }
        Ok(Cgroup { dir, path })
    }

    /// The cgroup the caller stands in.
    pub fn own() -> Result<Cgroup> {
        let attempt = "find the program's own cgroup";
        let hierarchy = Hierarchy::find()?.ok_or_else(|| {
            Error::new(Kind::NotFound, attempt, "cgroup2 is not mounted")
                .cure("mount it on /sys/fs/cgroup")
        })?;
        let path = hierarchy.own()?;
        Cgroup::open(path.ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                attempt,
                "it lies outside of what is mounted",
            )
        })?)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last part of its path.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Makes a child. [`Kind::AlreadyExists`] if there is one.
    ///
    /// Any process may be put there until it has children with controllers of its own ("no internal processes").
    pub fn create(&self, name: &str) -> Result<Cgroup> {
        let path = self.path.join(name);
        let attempt = || format!("make the cgroup {}", path.display());
        // cgroupfs itself would take names longer than any C program can list.
        if name.is_empty()
            || name.len() > 255
            || name.contains(['/', '\n', '\0'])
            || name == "."
            || name == ".."
        {
            return Err(
                Error::new(Kind::Invalid, attempt(), "this cannot be a name")
                    .cure("use 1 to 255 bytes, without a slash"),
            );
        }
        mkdirat(&self.dir, name, Mode::from_bits_truncate(0o755)).map_err(|errno| {
            let error = Error::os(attempt(), errno as i32);
            match errno {
                Errno::EACCES | Errno::EPERM | Errno::EROFS => {
                    error.cure("run as root, or in a delegated cgroup")
                }
                Errno::EAGAIN => {
                    error.cure("raise cgroup.max.descendants or cgroup.max.depth above it")
                }
                _ => error,
            }
        })?;
        self.child(name)
    }

    /// An existing cgroup below this one: a name, or names with slashes.
    pub fn child(&self, below: impl AsRef<Path>) -> Result<Cgroup> {
        let below = below.as_ref();
        let path = self.path.join(below);
        let attempt = || format!("open the cgroup {}", path.display());
        if below
            .components()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(Error::new(
                Kind::Invalid,
                attempt(),
                "this would lead out of the tree",
            ));
        }
        let dir = openat(&self.dir, below, DIRECTORY, Mode::empty());
        Ok(Cgroup {
            dir: dir.map_err(|errno| Error::os(attempt(), errno as i32))?,
            path,
        })
    }

    /// The child of this name, made if it is not there.
    pub fn ensure(&self, name: &str) -> Result<Cgroup> {
        match self.create(name) {
            Err(error) if error.kind() == Kind::AlreadyExists => self.child(name),
            done => done,
        }
    }

    /// The names of its children, in no order.
    pub fn children(&self) -> Result<Vec<String>> {
        let attempt = || format!("list the cgroup {}", self.path.display());
        // A new open file, so that no other reader's position moves.
        let mut dir = nix::dir::Dir::openat(&self.dir, ".", DIRECTORY, Mode::empty())
            .map_err(|errno| Error::os(attempt(), errno as i32))?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(|errno| Error::os(attempt(), errno as i32))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_string_lossy();
            if entry.file_type() == Some(nix::dir::Type::Directory) && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    /// The controllers that are available here: those its parent has enabled, and whose files are in this directory.
    pub fn controllers(&self) -> Result<Controllers> {
        self.read_text("cgroup.controllers")
            .map(|names| Controllers::parse(&names))
    }

    /// The controllers that are enabled for its children.
    pub fn enabled(&self) -> Result<Controllers> {
        self.read_text("cgroup.subtree_control")
            .map(|names| Controllers::parse(&names))
    }

    /// Enables `wanted` for the children. It must be done from the top of a tree downwards, and where no process stands in
    /// the group itself. What cannot be enabled is an error or a list, as `enforcement` says.
    pub fn enable(&self, wanted: Controllers, enforcement: Enforcement) -> Result<Vec<Degraded>> {
        let available = self.controllers()?;
        let mut degraded = Vec::new();
        if self.enable_all(wanted.and(available)).is_err() {
            // One of them is the culprit: the kernel takes all or none.
            for controller in wanted.and(available).iter() {
                if let Err(errno) = self.enable_all(controller.into()) {
                    let absent = Absent::Refused { controller, errno };
                    degraded.push(enforcement.decide(limits::diagnose(self, absent))?);
                }
            }
        }
        for controller in (wanted - available).iter() {
            let absent = Absent::Controller { controller };
            degraded.push(enforcement.decide(limits::diagnose(self, absent))?);
        }
        Ok(degraded)
    }

    fn enable_all(&self, controllers: Controllers) -> Result<(), Errno> {
        let words: Vec<_> = controllers
            .iter()
            .map(|controller| format!("+{controller}"))
            .collect();
        if words.is_empty() {
            Ok(())
        } else {
            self.write_raw("cgroup.subtree_control", &words.join(" "))
        }
    }

    /// Sets all `limits`, in their order. One that the kernel or the delegation does not allow is an error or an entry of
    /// the list, as `enforcement` says; a value that the kernel refuses is always an error.
    pub fn apply(&self, limits: &Limits, enforcement: Enforcement) -> Result<Vec<Degraded>> {
        let mut degraded = Vec::new();
        // The saved-up time may never exceed the quota, so a quota that shrinks needs the old one gone first.
        if limits
            .files()
            .any(|file| file == super::CPU_MAX_BURST.file())
        {
            let _ = self.write_raw(super::CPU_MAX_BURST.file(), "0");
        }
        for limit in limits.entries() {
            match self.write_lines(&limit.file, &limit.text) {
                Ok(()) => {}
                Err(errno) if Absent::is(errno) => {
                    degraded.push(
                        enforcement
                            .decide(limits::diagnose(self, Absent::Limit { limit, errno }))?,
                    );
                }
                Err(errno) => return Err(self.refused(&limit.file, &limit.text, errno)),
            }
        }
        Ok(degraded)
    }

    /// Sets one file.
    pub fn write<T: Value>(&self, setting: &Setting<T>, value: &T) -> Result<()> {
        let text = value.render();
        self.write_lines(setting.file(), &text)
            .map_err(|errno| match errno {
                Errno::ENOENT => self.no_file(setting),
                errno => self.refused(setting.file(), &text, errno),
            })
    }

    /// Reads one file.
    pub fn read<T: Value>(&self, setting: &Setting<T>) -> Result<T> {
        let text = self.read_raw(setting.file()).map_err(|errno| match errno {
            Errno::ENOENT => self.no_file(setting),
            errno => Error::os(self.reading(setting.file()), errno as i32),
        })?;
        let other = || {
            Error::new(
                Kind::Protocol,
                self.reading(setting.file()),
                format!("{text:?} has another form"),
            )
        };
        T::parse(text.trim()).ok_or_else(other)
    }

    fn no_file<T>(&self, setting: &Setting<T>) -> Error {
        let attempt = format!("use {} of {}", setting.file(), self.path.display());
        let (controller, since) = (setting.controller(), setting.since());
        Error::new(Kind::NotFound, attempt, "there is no such file").cure(format!(
            "enable the controller {controller} in the cgroup above; the file needs Linux {since}"
        ))
    }

    fn refused(&self, file: &str, text: &str, errno: Errno) -> Error {
        let error = Error::os(
            format!("write {text:?} to {file} of {}", self.path.display()),
            errno as i32,
        );
        match errno {
            Errno::EINVAL | Errno::ERANGE => error
                .as_kind(Kind::Invalid)
                .cure("the kernel does not take this value"),
            Errno::EACCES | Errno::EPERM => error.cure("run as root, or in a delegated cgroup"),
            _ => error,
        }
    }

    /// Processes directly in this group, by their numbers in the caller's PID namespace (0: not visible there).
    pub fn processes(&self) -> Result<Vec<u32>> {
        let text = self.read_text("cgroup.procs")?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// `cgroup.procs`, open for writing: a process that writes `0` there moves itself into this group. The kernel checks
    /// the privileges of the one who opened it, so it may be handed to a process that could not open it.
    pub fn procs(&self) -> Result<OwnedFd> {
        openat(
            &self.dir,
            "cgroup.procs",
            OFlag::O_WRONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| {
            Error::os(
                format!("open cgroup.procs of {}", self.path.display()),
                errno as i32,
            )
        })
    }

    fn reading(&self, file: &str) -> String {
        format!("read {file} of {}", self.path.display())
    }

    pub(super) fn read_text(&self, file: &str) -> Result<String> {
        self.read_raw(file)
            .map_err(|errno| Error::os(self.reading(file), errno as i32))
    }

    pub(super) fn read_raw(&self, file: &str) -> Result<String, Errno> {
        let fd = openat(
            &self.dir,
            file,
            OFlag::O_RDONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        read_all(fd)
    }

    /// Writes text to a file; it is the kernel's own errno that comes back.
    pub(super) fn write_raw(&self, file: &str, text: &str) -> Result<(), Errno> {
        let fd = openat(
            &self.dir,
            file,
            OFlag::O_WRONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        nix::unistd::write(fd, text.as_bytes()).map(drop)
    }

    /// The kernel takes one line a write.
    fn write_lines(&self, file: &str, text: &str) -> Result<(), Errno> {
        text.lines().try_for_each(|line| self.write_raw(file, line))
    }

    pub(super) fn dir(&self) -> &OwnedFd {
        &self.dir
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn read_all(fd: OwnedFd) -> Result<String, Errno> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match nix::unistd::read(&fd, &mut chunk)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
}
