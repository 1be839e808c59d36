//! What a Node keeps on disk, so that its pods outlive it.
//!
//! ```text
//! <state>/lock                                    the pid of the Node that uses it
//! <state>/pods/<uid>/manifest                     the pod, as JSON
//! <state>/pods/<uid>/record                       frames: boot, options, the machine's record
//! <state>/pods/<uid>/pause                        which process holds the sandbox
//! <state>/pods/<uid>/pause.sock                   where it listens
//! <state>/pods/<uid>/volumes/<name>/              emptyDir volumes
//! <state>/objects/<namespace>/<kind>/<name>       ConfigMaps and Secrets, as JSON, for the Node's user only
//! <state>/logs/<namespace>_<name>_<uid>/<container>/<restarts>.log, and .log.<time> for older pieces
//! ```

mod frames;
mod lock;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{PodId, PodName};
use crate::lifecycle::{PodOptions, Record};
use crate::linux::process::{BootId, Identity};
use crate::model::Pod;
use crate::{Error, Kind, Result};
use frames::Frames;
use lock::Lock;

/// A state directory in use.
#[derive(Debug)]
pub(super) struct StateDirectory {
    root: PathBuf,
    _lock: Lock,
}

/// One pod's part of it.
#[derive(Debug)]
pub(super) struct PodFiles {
    directory: PathBuf,
    record: Frames,
}

/// What a frame of the record file holds.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    pub(super) boot: BootId,
    pub(super) options: PodOptions,
    pub(super) record: Record,
}

/// The same, borrowed.
#[derive(Debug, Serialize)]
pub(super) struct Saving<'a> {
    pub(super) boot: &'a BootId,
    pub(super) options: &'a PodOptions,
    pub(super) record: &'a Record,
}

/// A pod as it was left.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: PodFiles,
    pub(super) pod: Pod,
    pub(super) saved: Saved,
    pub(super) pause: Option<Identity>,
}

impl StateDirectory {
    /// Makes it, if need be, and locks it.
    pub(super) fn open(root: PathBuf) -> Result<StateDirectory> {
        // Paths in plans are resolved by other processes.
        let root = std::path::absolute(&root).map_err(|why| {
            Error::io(format!("find the state directory {}", root.display()), why)
        })?;
        for directory in [root.clone(), root.join("pods"), root.join("logs")] {
            make_directory(&directory)?;
        }
        let lock = Lock::take(&root)?;
        Ok(StateDirectory { root, _lock: lock })
    }

    /// Writes down a new pod. Only when its record is whole does it exist.
    pub(super) fn create(&self, id: PodId, pod: &Pod, saving: &Saving<'_>) -> Result<PodFiles> {
        let directory = self.directory(id);
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|why| Error::io(format!("make {}", directory.display()), why))?;
        let written = write_json(&directory.join("manifest"), pod)
            .and_then(|()| Frames::create(directory.join("record"), &json(saving)?));
        match written {
            Ok(record) => Ok(PodFiles { directory, record }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    /// The pods that are in there. One that was not wholly created never was: its leftovers are removed.
    pub(super) fn found(&self) -> Result<Vec<(PodId, Result<Found>)>> {
        let pods = self.root.join("pods");
        let failed = |why| Error::io(format!("list {}", pods.display()), why);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&pods).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(id) = entry.file_name().to_string_lossy().parse::<PodId>() else {
                continue;
            };
            match PodFiles::open(entry.path()) {
                Ok(None) => remove_tree(&entry.path())?,
                Ok(Some(pod)) => found.push((id, Ok(pod))),
                Err(error) => found.push((id, Err(error))),
            }
        }
        found.sort_by_key(|(id, _)| *id);
        Ok(found)
    }

    /// Where the logs of a pod are.
    pub(super) fn logs(&self, id: PodId, name: &PodName) -> PathBuf {
        self.root
            .join("logs")
            .join(format!("{}_{}_{id}", name.namespace, name.name))
    }

    /// Where the log of a container's run is.
    pub(super) fn log(
        &self,
        id: PodId,
        name: &PodName,
        container: &str,
        restart_count: u32,
    ) -> PathBuf {
        let directory = self.logs(id, name).join(container);
        directory.join(format!("{restart_count}.log"))
    }

    /// Where the ConfigMaps and Secrets are.
    pub(super) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    fn directory(&self, id: PodId) -> PathBuf {
        self.root.join("pods").join(id.to_string())
    }
}

impl PodFiles {
    /// None if it was never wholly created.
    fn open(directory: PathBuf) -> Result<Option<Found>> {
        let (record, last) = match Frames::open(directory.join("record")) {
            Ok((record, Some(last))) => (record, last),
            Ok((_, None)) => return Ok(None),
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let saved = parse(&directory.join("record"), &last)?;
        let path = directory.join("manifest");
        let manifest = std::fs::read(&path)
            .map_err(|why| Error::io(format!("read {}", path.display()), why))?;
        let pod = parse(&path, &manifest)?;
        // Torn or absent, it says the same: no sandbox that could be found again.
        let pause = std::fs::read(directory.join("pause")).ok();
        let pause = pause.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Some(Found {
            files: PodFiles { directory, record },
            pod,
            saved,
            pause,
        }))
    }

    /// Adds what the machine remembers now: one write.
    pub(super) fn save(&mut self, saving: &Saving<'_>) -> Result<()> {
        self.record.append(&json(saving)?)
    }

    /// Writes down a changed manifest, in the place of the one before.
    pub(super) fn save_manifest(&self, pod: &Pod) -> Result<()> {
        let (path, new) = (
            self.directory.join("manifest"),
            self.directory.join("manifest.new"),
        );
        write_json(&new, pod)?;
        std::fs::rename(&new, &path)
            .map_err(|why| Error::io(format!("write {}", path.display()), why))
    }

    /// Writes down which process holds the sandbox.
    pub(super) fn save_pause(&self, pause: &Identity) -> Result<()> {
        write_json(&self.directory.join("pause"), pause)
    }

    /// No process holds the sandbox any more, and nobody listens.
    pub(super) fn forget_pause(&self) {
        for name in ["pause", "pause.sock"] {
            // Absent is what it shall be.
            let _ = std::fs::remove_file(self.directory.join(name));
        }
    }

    /// Where pause listens for the next Node.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("pause.sock")
    }

    /// Where the volumes are.
    pub(super) fn volumes(&self) -> PathBuf {
        self.directory.join("volumes")
    }

    /// Forgets the pod, and removes what it kept.
    pub(super) fn remove(self) -> Result<()> {
        // The record first: without it the pod does not exist, whatever else is left.
        let record = self.directory.join("record");
        std::fs::remove_file(&record)
            .map_err(|why| Error::io(format!("remove {}", record.display()), why))?;
        remove_tree(&self.directory)
    }
}

/// A directory for this user only, if there is none yet; its parents too.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|why| Error::io(format!("make {}", path.display()), why))
}

/// Removes a directory and all in it; none is fine.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), why))
        }
        _ => Ok(()),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    std::fs::write(path, json(value)?)
        .map_err(|why| Error::io(format!("write {}", path.display()), why))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|why| Error::caused(Kind::Invalid, "write down a pod", why))
}

fn parse<'t, T: Deserialize<'t>>(path: &Path, text: &'t [u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|why| {
        Error::caused(
            Kind::Protocol,
            format!("understand {}", path.display()),
            why,
        )
        .cure("it was written by another version, or damaged")
    })
}
