//! One Node per state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{Error, Kind, Result};

/// Held as long as the Node lives. The kernel lets go of it when the process ends, however it ends; a child that the embedder
/// forked may keep it, so the file also names its owner, and a lock whose owner is dead is taken over.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Lock {
    /// Takes the lock of a state directory.
    pub(crate) fn take(directory: &Path) -> Result<Lock> {
        let path = directory.join("lock");
        loop {
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => return Lock::owned(file, &path),
                Ok(()) => continue, // somebody took it over between our two looks
                Err(TryLockError::WouldBlock) => take_over(file, &path)?,
                Err(TryLockError::Error(why)) => {
                    return Err(Error::io(format!("lock {}", path.display()), why));
                }
            }
        }
    }

    fn owned(file: File, path: &Path) -> Result<Lock> {
        let failed = |why| Error::io(format!("write {}", path.display()), why);
        let owner = format!("{}\n", Owner::this()?.text());
        file.set_len(0).map_err(failed)?;
        file.write_all_at(owner.as_bytes(), 0).map_err(failed)?;
        Ok(Lock(file))
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|why| Error::io(format!("open {}", path.display()), why))
}

fn is_at(file: &File, path: &Path) -> bool {
    let inode = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (here, there) = (file.metadata(), std::fs::metadata(path));
    matches!((here.map(inode), there.map(inode)), (Ok(here), Ok(there)) if here == there)
}

/// Removes the lock of a dead owner, so that a new one can be made; a living owner is an error.
fn take_over(mut file: File, path: &Path) -> Result<()> {
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|why| Error::io(format!("read {}", path.display()), why))?;
    match Owner::parse(&text) {
        Some(owner) if owner.lives() => Err(Error::new(
            Kind::Conflict,
            format!("open the state directory {}", directory_of(path).display()),
            format!("a Node in process {} uses it", owner.pid),
        )
        .cure("end that process first, or use another directory")),
        Some(_) => std::fs::remove_file(path)
            .map_err(|why| Error::io(format!("remove the dead lock {}", path.display()), why)),
        // Locked, not yet signed: its owner is just starting.
        None => Err(Error::new(
            Kind::Conflict,
            format!("open the state directory {}", directory_of(path).display()),
            "another Node is opening it",
        )),
    }
}

fn directory_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// A process that cannot be mistaken for a later one with its pid.
#[derive(Debug, PartialEq)]
struct Owner {
    pid: i32,
    start: u64,
}

impl Owner {
    fn this() -> Result<Owner> {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        match start_time(pid) {
            Some(start) => Ok(Owner { pid, start }),
            None => Err(Error::new(
                Kind::Unsupported,
                "read /proc/self/stat",
                "it does not show this process",
            )
            .cure("mount /proc")),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.pid, self.start)
    }

    fn parse(text: &str) -> Option<Owner> {
        let (pid, start) = text.trim_end().split_once(' ')?;
        Some(Owner {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    fn lives(&self) -> bool {
        start_time(self.pid) == Some(self.start)
    }
}

/// In clock ticks since boot; none if there is no such process, or only its zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = procfs::process::Process::new(pid).ok()?.stat().ok()?;
    (stat.state != 'Z').then_some(stat.starttime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("podlife-lock-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_second_one_is_told_whose_it_is() {
        let directory = directory("second");
        let lock = Lock::take(&directory).unwrap();
        let error = Lock::take(&directory).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(
            error
                .to_string()
                .contains(&format!("process {}", std::process::id()))
        );
        drop(lock);
        drop(Lock::take(&directory).unwrap());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_lock_that_a_fork_of_a_dead_owner_keeps_is_taken_over() {
        let directory = directory("fork");
        let kept = open(&directory.join("lock")).unwrap();
        kept.lock().unwrap();
        let dead = Owner {
            pid: std::process::id() as i32,
            start: 1,
        };
        kept.write_all_at(dead.text().as_bytes(), 0).unwrap();
        drop(Lock::take(&directory).unwrap());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
