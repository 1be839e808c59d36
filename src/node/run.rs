//! One attempt at running a container: its start, and where its output goes.

use std::fs::{File, OpenOptions, Permissions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::host::Host;
use super::logs::Source;
use super::lower::sandbox::REAPER;
use super::resident::{Resident, key};
use super::store::make_directory;
use crate::lifecycle::{ContainerIndex, Exit, Failure, Outcome, Ticket};
use crate::linux::pause::plan::Namespaces;
use crate::linux::pause::{self, Plan, Request, Start};
use crate::time::Mono;
use crate::{Error, Result};

/// One attempt at running a container.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) attempt: u32,
    /// Its start, while that is not answered; for its sentence, should it fail.
    pub(super) starting: Option<(Ticket, Plan)>,
    pub(super) log: Log,
    /// How it ended, as long as its output has not.
    pub(super) exit: Option<(Exit, Mono)>,
}

/// Where the output of a run is.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// In the state directory.
    path: Option<PathBuf>,
    /// In memory.
    memory: Option<File>,
    /// Nothing is added any more.
    pub(super) ended: Arc<AtomicBool>,
}

impl Log {
    /// Nothing is added any more: who follows it is woken.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let path = match (&self.path, &self.memory) {
            (Some(path), _) => path.clone(),
            (None, Some(memory)) => descriptor(memory),
            (None, None) => return,
        };
        // Changes nothing, and is a change all the same to inotify(7).
        let _ = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    }

    /// Is it the same file?
    pub(super) fn is(&self, other: &Log) -> bool {
        self.path.is_some() && self.path == other.path
    }

    /// Removes the file; readers that have it open keep it.
    pub(super) fn remove(&self) {
        self.end();
        if let Some(path) = &self.path {
            // Absent is what it shall be.
            let _ = std::fs::remove_file(path);
        }
    }

    /// A reader's own open file, and where it is from.
    pub(super) fn open(&self) -> Result<(File, Source)> {
        let path = match (&self.path, &self.memory) {
            (Some(path), _) => path.clone(),
            (None, Some(memory)) => descriptor(memory),
            (None, None) => PathBuf::from("/dev/null"),
        };
        let file = File::open(&path)
            .map_err(|why| Error::io(format!("open the log {}", path.display()), why))?;
        Ok((
            file,
            Source {
                path: self.path.clone(),
                ended: self.ended.clone(),
            },
        ))
    }

    /// In the state directory, and whoever writes it.
    fn on_disk(path: PathBuf) -> Result<(Log, File)> {
        let open = || {
            OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)
        };
        let writer = match open() {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                path.parent().map(make_directory).transpose()?;
                open()
            }
            opened => opened,
        };
        let writer =
            writer.map_err(|why| Error::io(format!("open the log {}", path.display()), why))?;
        Ok((
            Log {
                path: Some(path),
                ..Log::default()
            },
            writer,
        ))
    }

    /// In memory, and whoever writes it. The writer opens it again: what `memfd_create` returns notifies nobody.
    fn in_memory() -> Result<(Log, File)> {
        let memory = memfd_create("podlife-log", MFdFlags::MFD_CLOEXEC)
            .map_err(|errno| Error::os("make a log in memory", errno as i32))?;
        let memory = File::from(memory);
        let writer = OpenOptions::new().append(true).open(descriptor(&memory));
        let writer =
            writer.map_err(|why| Error::io("open a log in memory", why).cure("mount /proc"))?;
        Ok((
            Log {
                memory: Some(memory),
                ..Log::default()
            },
            writer,
        ))
    }
}

fn descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

impl Resident {
    pub(super) fn start(
        &mut self,
        host: &mut Host,
        ticket: Ticket,
        index: ContainerIndex,
        attempt: u32,
        restart_count: u32,
    ) -> Option<Outcome> {
        match self.send_start(host, ticket, index, attempt, restart_count) {
            Ok(()) => None,
            Err(failure) => {
                self.remove_container_cgroup(host, index, attempt);
                Some(Outcome::Failed(failure))
            }
        }
    }

    fn send_start(
        &mut self,
        host: &mut Host,
        ticket: Ticket,
        index: ContainerIndex,
        attempt: u32,
        restart_count: u32,
    ) -> Result<(), Failure> {
        let refused = |error: Error| Failure::new("CreateContainerError", error.to_string());
        self.fill_volumes(host)
            .map_err(|why| Failure::new("CreateContainerError", why))?;
        self.make_sub_paths(host, index)?;
        let plan = self.lowered(host, index, |lowering| lowering.container())?;
        let cgroup = self
            .make_container_cgroup(host, index, attempt)
            .map_err(refused)?;
        let (log, writer) = self.open_log(host, index, restart_count).map_err(refused)?;
        let sandbox = self
            .sandbox
            .as_mut()
            .ok_or_else(|| Failure::new("CreateContainerError", "the pod's sandbox is gone"))?;
        let start = Start {
            target: (plan.joined() != Namespaces::NONE).then_some(REAPER),
            cgroup: cgroup.as_ref().map_or(pause::Cgroup::Inherit, |cgroup| {
                pause::Cgroup::Into(cgroup.as_fd())
            }),
            stdout: pause::Output::Log,
            stderr: pause::Output::Log,
            log: Some(writer.as_fd()),
            ..Start::new(key(index, attempt), &plan)
        };
        sandbox
            .connection
            .send(&Request::Start(start))
            .map_err(refused)?;
        if let Some(site) = self.sites.get_mut(index.as_usize()) {
            site.runs.push(Run {
                attempt,
                starting: Some((ticket, plan)),
                log,
                exit: None,
            });
        }
        Ok(())
    }

    /// Where the log of that run is, or was.
    pub(super) fn log_on_disk(
        &self,
        host: &Host,
        index: ContainerIndex,
        restart_count: u32,
    ) -> Log {
        Log {
            path: self.log_path(host, index, restart_count),
            ..Log::default()
        }
    }

    fn log_path(&self, host: &Host, index: ContainerIndex, restart_count: u32) -> Option<PathBuf> {
        let directory = host.state.as_ref()?.logs(self.id, &self.name);
        Some(
            directory
                .join(&*self.sites[index.as_usize()].name)
                .join(format!("{restart_count}.log")),
        )
    }

    fn open_log(
        &self,
        host: &Host,
        index: ContainerIndex,
        restart_count: u32,
    ) -> Result<(Log, File)> {
        match self.log_path(host, index, restart_count) {
            None => Log::in_memory(),
            Some(path) => Log::on_disk(path),
        }
    }
}
