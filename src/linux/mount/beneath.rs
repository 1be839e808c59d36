//! Paths that cannot lead out of a directory.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::unistd::{Gid, Uid, fchownat};

use crate::{Error, Kind, Result};

/// How often to walk again when somebody renames directories all the time.
const TRIES: usize = 128;
/// As many links the kernel follows too.
const LINKS_MAX: usize = 40;

/// What becomes of a path that would lead out of a [`Beneath`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Links {
    /// It goes on inside, as in a `chroot(2)`: `RESOLVE_IN_ROOT`.
    #[default]
    Rooted,
    /// It is refused; links that stay inside are followed, also those that name the directory from the host's root on:
    /// `RESOLVE_BENEATH`.
    Inside,
    /// It is refused, and so is every symbolic link: `RESOLVE_NO_SYMLINKS` too.
    Refused,
}

impl Links {
    fn resolve(self) -> ResolveFlag {
        let way = match self {
            Links::Rooted => ResolveFlag::RESOLVE_IN_ROOT,
            Links::Inside => ResolveFlag::RESOLVE_BENEATH,
            Links::Refused => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
        };
        way | ResolveFlag::RESOLVE_NO_MAGICLINKS
    }
}

/// A directory that paths are resolved in as if it were `/`: neither `..` nor a symbolic link, absolute or not, planted
/// before or while it is walked, leads out of it, and the magic links of `/proc` are refused. [`Beneath::links`] refuses more.
///
/// Linux 5.6. `openat2(2)`, `RESOLVE_IN_ROOT`.
///
/// ```
/// use podlife::linux::mount::Beneath;
///
/// # let scratch = std::env::temp_dir().join(format!("podlife-beneath-{}", std::process::id()));
/// # std::fs::create_dir(&scratch)?;
/// std::os::unix::fs::symlink("/etc", scratch.join("trap"))?;
/// let root = Beneath::open(&scratch)?;
/// assert!(root.look_up("trap/passwd").is_err());
/// assert!(root.look_up("../../../etc/passwd").is_err());
///
/// root.create_directory("a/b", 0o700)?;
/// assert!(scratch.join("a/b").is_dir());
/// # std::fs::remove_dir_all(&scratch)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Beneath {
    dir: OwnedFd,
    path: PathBuf,
    links: Links,
    owner: Option<(Uid, Gid)>,
}

impl Beneath {
    /// The directory at `path`, which is trusted.
    pub fn open(path: impl Into<PathBuf>) -> Result<Beneath> {
        let path = path.into();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(&path, flags, Mode::empty()).map_err(|errno| {
            Error::os(
                format!("open the directory {}", path.display()),
                errno as i32,
            )
        })?;
        Ok(Beneath {
            dir,
            path,
            links: Links::default(),
            owner: None,
        })
    }

    /// Treats links otherwise.
    #[must_use]
    pub fn links(mut self, links: Links) -> Beneath {
        self.links = links;
        self
    }

    /// Gives the directories it makes to this user and group: they are the caller's otherwise.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Beneath {
        self.owner = Some((uid.into(), gid.into()));
        self
    }

    /// The file or directory at `path`, as `O_PATH`. Symbolic links are followed, inside.
    pub fn look_up(&self, path: impl AsRef<Path>) -> Result<OwnedFd> {
        let path = path.as_ref();
        self.resolve(path, OFlag::O_PATH, 0)
            .map_err(|errno| self.explain("find", path, errno))
    }

    /// The file at `path`, opened with flags of `open(2)` and, where it is made, this mode less the umask.
    pub fn open_file(&self, path: impl AsRef<Path>, flags: OFlag, mode: u32) -> Result<OwnedFd> {
        let path = path.as_ref();
        self.resolve(path, flags | OFlag::O_NOCTTY, mode)
            .map_err(|errno| self.explain("open", path, errno))
    }

    /// Makes the directory at `path` and those above it, where they are missing, and opens it as `O_PATH`. What is made has
    /// this mode, whatever the umask.
    pub fn create_directory(&self, path: impl AsRef<Path>, mode: u32) -> Result<OwnedFd> {
        let path = path.as_ref();
        let names: Vec<_> = path
            .components()
            .filter(|part| *part != Component::RootDir)
            .collect();
        let mut done = PathBuf::new();
        let mut above = self
            .resolve(Path::new("."), OFlag::O_PATH, 0)
            .map_err(|errno| self.explain("open", path, errno))?;
        for name in &names {
            done.push(name);
            above = self
                .step(&above, &done, name, mode)
                .map_err(|errno| self.explain("make the directory", path, errno))?;
        }
        Ok(above)
    }

    /// From the directory `above` to the one called `name`, which is `path` from the root.
    fn step(
        &self,
        above: &OwnedFd,
        path: &Path,
        name: &Component<'_>,
        mode: u32,
    ) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        if let Component::Normal(name) = name {
            match self.resolve(path, flags, 0) {
                // In the directory that was resolved before, so that nobody can move it away under us.
                Err(Errno::ENOENT) => match mkdirat(above, *name, Mode::from_bits_truncate(mode)) {
                    Ok(()) => {
                        return self
                            .resolve(path, flags, 0)
                            .and_then(|made| self.as_wanted(made, mode));
                    }
                    Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno),
                },
                found => return found,
            }
        }
        self.resolve(path, flags, 0)
    }

    fn resolve(&self, path: &Path, flags: OFlag, mode: u32) -> Result<OwnedFd, Errno> {
        match self.walk(path, flags, mode) {
            // The kernel refuses every absolute link. Wherever this path leads, it is walked by the same rules.
            Err(Errno::EXDEV) if self.links == Links::Inside => match self.without_links(path) {
                Some(path) => self.walk(&path, flags, mode),
                None => Err(Errno::EXDEV),
            },
            done => done,
        }
    }

    /// The path with its links read, if none of them leads out.
    fn without_links(&self, path: &Path) -> Option<PathBuf> {
        let root = std::fs::read_link(format!("/proc/self/fd/{}", self.dir.as_raw_fd())).ok()?;
        let mut plain = PathBuf::new();
        let mut rest: Vec<_> = path.iter().rev().map(OsStr::to_owned).collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                plain.pop().then_some(())?;
                continue;
            }
            plain.push(&name);
            let Ok(target) = readlinkat(&self.dir, &plain) else {
                continue;
            };
            links += 1;
            let target = Path::new(&target);
            let target = if target.is_absolute() {
                plain.clear();
                target.strip_prefix(&root).ok()?
            } else {
                plain.pop();
                target
            };
            rest.extend(target.iter().rev().map(OsStr::to_owned));
            (links <= LINKS_MAX).then_some(())?;
        }
        Some(if plain.as_os_str().is_empty() {
            ".".into()
        } else {
            plain
        })
    }

    fn walk(&self, path: &Path, flags: OFlag, mode: u32) -> Result<OwnedFd, Errno> {
        // The kernel refuses a mode without O_CREAT and O_TMPFILE.
        let creates = flags.intersects(OFlag::O_CREAT | OFlag::O_TMPFILE);
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(if creates {
                Mode::from_bits_truncate(mode)
            } else {
                Mode::empty()
            })
            .resolve(self.links.resolve());
        // EAGAIN: something was renamed while it walked, so the kernel cannot tell whether it stayed inside.
        let mut tries = (0..TRIES).map(|_| openat2(&self.dir, path, how));
        tries
            .find(|done| !matches!(done, Err(Errno::EAGAIN)))
            .unwrap_or(Err(Errno::EAGAIN))
    }

    /// The umask is the embedder's, and `mkdir(2)` knows no set-id bits.
    fn as_wanted(&self, directory: OwnedFd, mode: u32) -> Result<OwnedFd, Errno> {
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        if let Some((uid, gid)) = self.owner {
            let flags = AtFlags::AT_EMPTY_PATH;
            fchownat(&directory, "", Some(uid), Some(gid), flags)?;
        }
        let mode = Mode::from_bits_truncate(mode);
        fchmodat(AT_FDCWD, path.as_str(), mode, FchmodatFlags::FollowSymlink)?;
        Ok(directory)
    }

    fn explain(&self, verb: &str, path: &Path, errno: Errno) -> Error {
        let error = Error::os(
            format!("{verb} {} in {}", path.display(), self.path.display()),
            errno as i32,
        );
        match errno {
            Errno::ELOOP | Errno::EXDEV => error
                .as_kind(Kind::Invalid)
                .cure("it goes through a link that leads nowhere good"),
            Errno::ENOSYS => error.cure("it needs Linux 5.6"),
            _ => error,
        }
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}
