//! Mounts that are held by a descriptor before they are anywhere.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{Attributes, Propagation};
use crate::linux::namespace::Namespace;
use crate::linux::sys::mount::{self, AT_RECURSIVE, Attr, Config, OPEN_TREE_CLONE};
use crate::{Error, Kind, Result};

/// How far down something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// This mount only.
    One,
    /// All mounts below it too. An ordinary user must take them all: some may hide what the user shall not see.
    All,
}

impl Depth {
    fn flag(self) -> i64 {
        match self {
            Depth::One => 0,
            Depth::All => AT_RECURSIVE,
        }
    }
}

/// A detached mount: a file system, or a copy of a part of the tree, that nobody sees until it is attached. Dropped before
/// that, it is unmounted.
///
/// Linux 5.2, its attributes 5.12; CAP_SYS_ADMIN in the user namespace that owns the caller's mount namespace. Attaching changes
/// the mount namespace that the *target's descriptor* was opened in. `open_tree(2)`, `move_mount(2)`.
///
/// ```no_run
/// use podlife::linux::mount::{Attributes, Depth, Tree};
///
/// let tree = Tree::copy("/srv/data", Depth::All)?;
/// tree.set(Attributes::READ_ONLY | Attributes::NOSUID, Depth::All)?;
/// tree.attach("/mnt")?;
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Debug)]
pub struct Tree(OwnedFd);

impl Tree {
    /// A copy of the mount at `path`, whose root is that file or directory: what a bind mount is made of.
    pub fn copy(path: impl AsRef<Path>, depth: Depth) -> Result<Tree> {
        let path = path.as_ref();
        let attempt = || format!("copy the mount at {}", path.display());
        let tree = look_up(path)
            .and_then(|file| mount::open_tree(file.as_fd(), c"", OPEN_TREE_CLONE | depth.flag()));
        tree.map(Tree).map_err(|errno| explain(attempt(), errno))
    }

    /// The same of a file or directory held by a descriptor, which must belong to the caller's own mount namespace.
    pub fn copy_of(file: impl AsFd, depth: Depth) -> Result<Tree> {
        let tree = mount::open_tree(file.as_fd(), c"", OPEN_TREE_CLONE | depth.flag());
        tree.map(Tree)
            .map_err(|errno| explain("copy a mount".into(), errno))
    }

    /// Gives it attributes. Linux 5.12.
    pub fn set(&self, attributes: Attributes, depth: Depth) -> Result<()> {
        let attr = Attr {
            set: attributes.0,
            ..Attr::default()
        };
        self.change(&attr, depth, || format!("make a mount{attributes}"))
    }

    /// Decides how it is told of mounts elsewhere. Linux 5.12.
    pub fn propagate(&self, propagation: Propagation, depth: Depth) -> Result<()> {
        let attr = Attr {
            propagation: propagation.bits(),
            ..Attr::default()
        };
        self.change(&attr, depth, || format!("make a mount {propagation:?}"))
    }

    /// Shows its files as owned by the ids of this user namespace: what is 0 in there owns what 0 owns on disk. Linux 5.12, and
    /// a file system that can do it (ext4 and xfs from then on, btrfs 5.15, overlay 5.19, tmpfs 6.3); CAP_SYS_ADMIN
    /// in the user namespace the file system was mounted in.
    pub fn map_ids(&self, user: &Namespace, depth: Depth) -> Result<()> {
        use std::os::fd::AsRawFd;
        const IDMAP: u64 = 0x10_0000;
        let attr = Attr {
            set: IDMAP,
            userns_fd: user.as_fd().as_raw_fd() as u64,
            ..Attr::default()
        };
        self.change(&attr, depth, || "map the ids of a mount".into())
    }

    fn change(&self, attr: &Attr, depth: Depth, attempt: impl Fn() -> String) -> Result<()> {
        mount::setattr(self.as_fd(), depth.flag(), attr).map_err(|errno| explain(attempt(), errno))
    }

    /// Attaches it over the file or directory at `path`.
    pub fn attach(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let attempt = || format!("mount on {}", path.display());
        let target = look_up(path).map_err(|errno| explain(attempt(), errno))?;
        mount::move_mount(self.as_fd(), target.as_fd()).map_err(|errno| explain(attempt(), errno))
    }

    /// Attaches it over a file or directory held by a descriptor.
    pub fn attach_on(&self, target: impl AsFd) -> Result<()> {
        let attached = mount::move_mount(self.as_fd(), target.as_fd());
        attached.map_err(|errno| explain("attach a mount".into(), errno))
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// To be handed to another process.
impl From<Tree> for OwnedFd {
    fn from(tree: Tree) -> OwnedFd {
        tree.0
    }
}

/// A file system about to be mounted. `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`.
///
/// ```no_run
/// use podlife::linux::mount::{Attributes, Filesystem};
///
/// let tree = Filesystem::new("tmpfs")?.option("size", "64k")?.option("mode", "700")?.mount(Attributes::NODEV)?;
/// tree.attach("/mnt")?;
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Debug)]
pub struct Filesystem {
    fd: OwnedFd,
    kind: String,
}

impl Filesystem {
    /// Of this type, as in `/proc/filesystems`. Linux 5.2; CAP_SYS_ADMIN.
    pub fn new(kind: &str) -> Result<Filesystem> {
        let attempt = || format!("mount a {kind}");
        let name = c_string(kind, attempt())?;
        let fd = mount::fsopen(&name).map_err(|errno| explain(attempt(), errno))?;
        Ok(Filesystem {
            fd,
            kind: kind.to_owned(),
        })
    }

    /// Sets an option that has a value.
    pub fn option(self, key: &str, value: &str) -> Result<Filesystem> {
        let attempt = || format!("mount a {} with {key}={value}", self.kind);
        let (key, value) = (c_string(key, attempt())?, c_string(value, attempt())?);
        let done = mount::fsconfig(self.fd.as_fd(), Config::SetString, Some(&key), Some(&value));
        done.map_err(|errno| self.explain(attempt(), errno))?;
        Ok(self)
    }

    /// Sets an option that has none.
    pub fn flag(self, key: &str) -> Result<Filesystem> {
        let attempt = || format!("mount a {} with {key}", self.kind);
        let key = c_string(key, attempt())?;
        let done = mount::fsconfig(self.fd.as_fd(), Config::SetFlag, Some(&key), None);
        done.map_err(|errno| self.explain(attempt(), errno))?;
        Ok(self)
    }

    /// Mounts it, detached.
    pub fn mount(self, attributes: Attributes) -> Result<Tree> {
        let made = mount::fsconfig(self.fd.as_fd(), Config::Create, None, None)
            .and_then(|()| mount::fsmount(self.fd.as_fd(), attributes.0));
        made.map(Tree)
            .map_err(|errno| self.explain(format!("mount a {}", self.kind), errno))
    }

    /// The file system's own words, which the descriptor keeps, say more than the number.
    fn explain(&self, attempt: String, errno: Errno) -> Error {
        let mut line = [0; 512];
        let said = nix::unistd::read(&self.fd, &mut line)
            .ok()
            .and_then(|count| std::str::from_utf8(&line[..count]).ok());
        match said.map(|said| said.trim_start_matches("e ").trim()) {
            Some(said) if !said.is_empty() => Error::new(
                Kind::of_errno(errno as i32),
                attempt,
                format!("{said} ({})", errno.desc()),
            ),
            _ => explain(attempt, errno),
        }
    }
}

fn look_up(path: &Path) -> Result<OwnedFd, Errno> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

fn c_string(text: &str, attempt: String) -> Result<CString> {
    CString::new(Path::new(text).as_os_str().as_bytes()).map_err(|_| {
        Error::new(
            Kind::Invalid,
            attempt,
            format!("{text:?} has a NUL byte in it"),
        )
    })
}

fn explain(attempt: String, errno: Errno) -> Error {
    let error = Error::os(attempt, errno as i32);
    match errno {
        Errno::EPERM => error.cure("it takes CAP_SYS_ADMIN in the user namespace that owns the mount namespace"),
        Errno::ENODEV => error.as_kind(Kind::Unsupported).cure("the kernel has no such file system"),
        Errno::EINVAL => error.cure("a mount of another mount namespace cannot be named, and one with hidden mounts must be copied whole"),
        _ => error,
    }
}
