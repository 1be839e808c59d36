//! Paths in a root that may be hostile: each is resolved below the root's descriptor, and what is made is made relative
//! to a descriptor of its directory.

use crate::kernel::{
    self, AT_FDCWD, Errno, Fd, O_PATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, Result, Text,
};

// Functions with large buffers are never inlined: pause itself, which does without them, would touch their stack too.

const PATH_MAX: usize = 4096;

/// Where paths are resolved: in a new root that is being built, or as the process sees them.
#[derive(Clone, Copy)]
pub struct Root(Option<i32>);

impl Root {
    pub const OWN: Root = Root(None);

    pub fn at(fd: i32) -> Root {
        Root(Some(fd))
    }

    pub fn open(self, path: Text<'_>, flags: u64, mode: u32) -> Result<Fd> {
        match self.0 {
            Some(root) => kernel::openat2(
                root,
                path,
                flags,
                mode,
                RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
            ),
            None => kernel::openat2(AT_FDCWD, path, flags, mode, 0),
        }
    }

    /// What is at `path`, whatever it is.
    pub fn find(self, path: Text<'_>) -> Result<Fd> {
        self.open(path, O_PATH, 0)
    }

    /// The directory `path`; made with `mode`, and those above it with 755, if it is not there.
    #[inline(never)]
    pub fn directory(self, path: Text<'_>, mode: u32) -> Result<Fd> {
        match self.find(path) {
            Err(Errno::ENOENT) => {}
            found => return found,
        }
        let mut copy = Copied::EMPTY;
        copy.fill(path)?;
        let mut parent = self.find(c"/".into())?;
        let (mut start, size) = (0, path.bytes().len());
        while let Some((from, to)) = component(&copy.0[..size], start) {
            start = to;
            let mode = if component(&copy.0[..size], to).is_none() {
                mode
            } else {
                0o755
            };
            copy.cut(to, |copy| {
                parent = match self.find(copy.up_to(0, to)?) {
                    Err(Errno::ENOENT) => {
                        kernel::mkdirat(parent.raw(), copy.up_to(from, to)?, mode)?;
                        self.find(copy.up_to(0, to)?)?
                    }
                    found => found?,
                };
                Ok(())
            })?;
        }
        Ok(parent)
    }

    /// Calls `make` with the directory of `path`, made if missing, and its last component.
    #[inline(never)]
    pub fn in_directory<T>(
        self,
        path: Text<'_>,
        make: impl FnOnce(i32, Text<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut copy = Copied::EMPTY;
        copy.fill(path)?;
        let size = path.bytes().len();
        let (mut from, mut to) = component(&copy.0[..size], 0).ok_or(Errno::EEXIST)?;
        while let Some(next) = component(&copy.0[..size], to) {
            (from, to) = next;
        }
        // What follows the last component can only be slashes.
        copy.0[to] = 0;
        let parent = match from {
            0 => self.find(c".".into())?,
            1 => self.find(c"/".into())?,
            _ => copy.cut(from - 1, |copy| {
                self.directory(copy.up_to(0, from - 1)?, 0o755)
            })?,
        };
        make(parent.raw(), copy.up_to(from, to)?)
    }

    /// Attaches a mount at `path`; an empty directory or file is made there if nothing is.
    pub fn attach(self, mount: &Fd, path: Text<'_>, directory: bool) -> Result<()> {
        let target = match self.find(path) {
            Err(Errno::ENOENT) if directory => self.directory(path, 0o755)?,
            Err(Errno::ENOENT) => return self.attach_to_new_file(mount, path),
            found => found?,
        };
        kernel::move_mount(mount.raw(), target.raw(), None)
    }

    fn attach_to_new_file(self, mount: &Fd, path: Text<'_>) -> Result<()> {
        const S_IFREG: u32 = 0o100000;
        self.in_directory(path, |parent, name| {
            kernel::mknodat(parent, name, S_IFREG | 0o644, 0)?;
            // By its name, at which the kernel follows no link.
            kernel::move_mount(mount.raw(), parent, Some(name))
        })
    }

    /// The file `path`, empty, for writing, with `mode`. A symbolic link at its end is an error.
    pub fn create(self, path: Text<'_>, mode: u32) -> Result<Fd> {
        self.in_directory(path, |parent, name| {
            let flags = kernel::O_WRONLY | kernel::O_CREAT | kernel::O_TRUNC | kernel::O_NOFOLLOW;
            let file = kernel::openat2(parent, name, flags, mode, 0)?;
            kernel::fchmod(file.raw(), mode)?;
            Ok(file)
        })
    }
}

/// Writes all of it.
pub fn write_all(file: i32, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match kernel::write(file, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Copies a file from its beginning.
#[inline(never)]
pub fn copy(from: i32, to: i32) -> Result<()> {
    let mut buffer = [0; 16384];
    let mut offset = 0;
    loop {
        let size = kernel::pread(from, &mut buffer, offset)?;
        if size == 0 {
            return Ok(());
        }
        write_all(to, &buffer[..size])?;
        offset += size;
    }
}

/// A path that can be cut short for a while.
struct Copied([u8; PATH_MAX]);

impl Copied {
    const EMPTY: Copied = Copied([0; PATH_MAX]);

    /// Where it lies: each page of stack more is one more to be had from the kernel.
    fn fill(&mut self, path: Text<'_>) -> Result<()> {
        let bytes = path.bytes();
        self.0
            .get_mut(..bytes.len())
            .filter(|_| bytes.len() < PATH_MAX)
            .ok_or(Errno::ENAMETOOLONG)?
            .copy_from_slice(bytes);
        Ok(())
    }

    fn cut<T>(&mut self, at: usize, use_it: impl FnOnce(&Copied) -> Result<T>) -> Result<T> {
        let kept = core::mem::replace(&mut self.0[at], 0);
        let result = use_it(self);
        self.0[at] = kept;
        result
    }

    /// The text from `from` to the NUL at `to`.
    fn up_to(&self, from: usize, to: usize) -> Result<Text<'_>> {
        self.0
            .get(from..=to)
            .and_then(Text::new)
            .ok_or(Errno::EINVAL)
    }
}

/// Where the first component at or after `start` begins and ends.
fn component(path: &[u8], start: usize) -> Option<(usize, usize)> {
    let from = start + path.get(start..)?.iter().position(|byte| *byte != b'/')?;
    let size = path[from..]
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(path.len() - from);
    Some((from, from + size))
}
