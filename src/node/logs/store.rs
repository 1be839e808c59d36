//! Where the output of a container's run is kept, in pieces of bounded size.
//!
//! On disk a piece that is full gets a name with the time, `0.log.20260102-120000.000000001`, and the newest keeps the plain one. The
//! new file is made as `0.log.new` and takes the plain name only when the logger has gone over to it: whoever sees the name change
//! knows that the old piece is whole. In memory there is one file, whose beginning is given back to the kernel.

use std::fs::{File, OpenOptions, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{LogOptions, Logs, Source};
use crate::linux::Clock;
use crate::node::store::make_directory;
use crate::time::Wall;
use crate::{Error, Result};

/// How much is kept of one run's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// A piece of the log that is larger is followed by another.
    pub(crate) size: u64,
    /// So many pieces are kept, the one that is written included.
    pub(crate) files: u32,
}

impl Default for Bounds {
    /// The kubelet's.
    fn default() -> Bounds {
        Bounds {
            size: 10 << 20,
            files: 5,
        }
    }
}

/// The output of one run.
#[derive(Debug)]
pub(crate) struct Log {
    place: Place,
    bounds: Bounds,
    /// The logger was asked to go over to a new file.
    rotating: bool,
    /// Nothing is added any more.
    ended: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Place {
    Disk(PathBuf),
    Memory(File),
}

impl Log {
    /// At this path, whether there is something or not.
    pub(crate) fn at(path: PathBuf, bounds: Bounds) -> Log {
        Log::new(Place::Disk(path), bounds)
    }

    fn new(place: Place, bounds: Bounds) -> Log {
        Log {
            place,
            bounds,
            rotating: false,
            ended: Arc::default(),
        }
    }

    /// On disk, and whoever writes it.
    pub(crate) fn on_disk(path: PathBuf, bounds: Bounds) -> Result<(Log, File)> {
        path.parent().map(make_directory).transpose()?;
        let writer = appended(&path)?;
        Ok((Log::at(path, bounds), writer))
    }

    /// In memory, and whoever writes it. The writer opens it again: what `memfd_create` returns notifies nobody.
    pub(crate) fn in_memory(bounds: Bounds) -> Result<(Log, File)> {
        let memory = memfd_create("podlife-log", MFdFlags::MFD_CLOEXEC)
            .map_err(|errno| Error::os("make a log in memory", errno as i32))?;
        let memory = File::from(memory);
        let writer = OpenOptions::new().append(true).open(descriptor(&memory));
        let writer =
            writer.map_err(|why| Error::io("open a log in memory", why).cure("mount /proc"))?;
        Ok((Log::new(Place::Memory(memory), bounds), writer))
    }

    /// Nothing is added any more: who follows it is woken.
    pub(crate) fn end(&mut self) {
        if self.rotating || self.is_half_rotated() {
            self.settle();
        }
        self.ended.store(true, Ordering::Release);
        let path = match &self.place {
            Place::Disk(path) => path.clone(),
            Place::Memory(memory) => descriptor(memory),
        };
        // Changes nothing, and is a change all the same to inotify(7).
        let _ = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Is it the same file?
    pub(crate) fn is(&self, other: &Log) -> bool {
        match (&self.place, &other.place) {
            (Place::Disk(path), Place::Disk(other)) => path == other,
            _ => false,
        }
    }

    /// Removes the files; readers that have them open keep them.
    pub(crate) fn remove(&mut self) {
        self.end();
        if let Place::Disk(path) = &self.place {
            for path in pieces(path).iter().chain([path]) {
                // Absent is what it shall be.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// A reader of its own.
    pub(crate) fn open(&self, options: LogOptions) -> Result<Logs> {
        let source = Source {
            path: match &self.place {
                Place::Disk(path) => Some(path.clone()),
                Place::Memory(_) => None,
            },
            ended: self.ended.clone(),
        };
        let files = match &self.place {
            Place::Disk(path) => opened(path)?,
            Place::Memory(memory) => {
                let path = descriptor(memory);
                let file =
                    File::open(&path).map_err(|why| Error::io("open a log in memory", why))?;
                vec![file]
            }
        };
        Logs::open(files, source, options)
    }

    /// So much was added that a new piece is due: the file that the logger is to go on in, if it has to be told.
    pub(crate) fn rotate(&mut self) -> Result<Option<File>> {
        match &self.place {
            Place::Memory(memory) => give_back(memory, self.bounds).map(|()| None),
            Place::Disk(path) => {
                let file = appended(&new(path))?;
                self.rotating = true;
                Ok(Some(file))
            }
        }
    }

    /// A Node before this one did not come to the end of a rotation.
    pub(crate) fn is_half_rotated(&self) -> bool {
        matches!(&self.place, Place::Disk(path) if new(path).exists())
    }

    /// The logger has gone over: the old piece is whole.
    pub(crate) fn rotated(&mut self) {
        self.rotating = false;
        let Place::Disk(path) = &self.place else {
            return;
        };
        let new = new(path);
        // Told once more than there is to do, after a restart.
        if !new.exists() {
            return;
        }
        // What cannot be renamed goes on growing, and is tried again when it has grown.
        if std::fs::rename(path, aged(path, Clock::wall())).is_ok() {
            let _ = std::fs::rename(&new, path);
        }
        let pieces = pieces(path);
        let most = (self.bounds.files as usize).saturating_sub(1).max(1);
        for old in &pieces[..pieces.len().saturating_sub(most)] {
            let _ = std::fs::remove_file(old);
        }
    }

    /// The logger has ended without a word: what the new file is shows in it.
    pub(crate) fn settle(&mut self) {
        self.rotating = false;
        let Place::Disk(path) = &self.place else {
            return;
        };
        let new = new(path);
        match std::fs::metadata(&new) {
            Ok(found) if found.len() > 0 => self.rotated(),
            _ => drop(std::fs::remove_file(new)),
        }
    }
}

/// Gives the memory of what is older than the bounds back, whole pages of it.
fn give_back(memory: &File, bounds: Bounds) -> Result<()> {
    const PAGE: u64 = 4096;
    let failed = |errno: i32| Error::os("shorten a log in memory", errno);
    let size = memory
        .metadata()
        .map_err(|why| Error::io("look at a log in memory", why))?
        .len();
    let kept = bounds.size.saturating_mul(u64::from(bounds.files.max(1)));
    let Ok(gone @ 1..) = i64::try_from(size.saturating_sub(kept) / PAGE * PAGE) else {
        return Ok(());
    };
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(memory, flags, 0, gone).map_err(|errno| failed(errno as i32))
}

fn appended(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(path);
    opened.map_err(|why| Error::io(format!("open the log {}", path.display()), why))
}

/// All pieces, oldest first. They are opened at once: while they are read they may get other names.
fn opened(path: &Path) -> Result<Vec<File>> {
    let failed = |path: &Path, why| Error::io(format!("open the log {}", path.display()), why);
    loop {
        let before = pieces(path);
        let mut files = Vec::new();
        for piece in &before {
            match File::open(piece) {
                Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
                opened => files.push(opened.map_err(|why| failed(piece, why))?),
            }
        }
        let last = File::open(path);
        // Otherwise a piece got its name between the two looks.
        if pieces(path) == before {
            files.push(last.map_err(|why| failed(path, why))?);
            return Ok(files);
        }
    }
}

fn descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn new(path: &Path) -> PathBuf {
    with_end(path, ".new")
}

/// As the kubelet names them, with nanoseconds: pieces may be full sooner than each second.
fn aged(path: &Path, at: Wall) -> PathBuf {
    let text: String = at.to_string().chars().take(19).collect();
    let text = text.replace(['-', ':'], "").replace('T', "-");
    let nanos = at.as_nanos().rem_euclid(1_000_000_000);
    with_end(path, &format!(".{text}.{nanos:09}"))
}

/// The pieces that are whole, oldest first.
pub(super) fn pieces(path: &Path) -> Vec<PathBuf> {
    let prefix = path
        .file_name()
        .map(|name| format!("{}.", name.to_string_lossy()));
    let (Some(prefix), Some(directory)) = (prefix, path.parent()) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_piece = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let end = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        end.is_some_and(|end| end.starts_with(|first: char| first.is_ascii_digit()))
    };
    let mut found: Vec<_> = entries.filter(is_piece).map(|entry| entry.path()).collect();
    found.sort();
    found
}
