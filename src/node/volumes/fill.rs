//! What the volumes of a pod are made of, checked before its sandbox is made and written before its containers start.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc;

use super::{AtomicDirectory, Place, check_host_path, in_scratch, make_sub_path};
use crate::lifecycle::{ContainerIndex, Failure, Input};
use crate::linux::process::Identity;
use crate::model::payload::{Payload, PayloadSources, TokenReader};
use crate::model::{Pod, Volume};
use crate::node::event::EventKind;
use crate::node::host::Host;
use crate::node::lower::config_error;
use crate::node::resident::Resident;
use crate::{Error, Kind, Result};

/// A pod's scratch file system, reached through the pause process that has it mounted. It holds a descriptor, so it is used and
/// dropped.
#[derive(Debug)]
pub(in crate::node) struct Scratch(File);

impl Scratch {
    /// Of this pause process. Its root is looked into with the privileges of whoever made its user namespace.
    pub(in crate::node) fn open(pause: &Identity, scratch: &Path) -> Result<Scratch> {
        let attempt = || "reach the files of a pod through its pause process";
        let path = format!("/proc/{}/root{}", pause.pid, scratch.display());
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(path);
        let opened = opened.map_err(|why| Error::io(attempt(), why).cure("mount /proc"))?;
        // Only now is it known that the number was still that process's.
        match pause.open()? {
            Some(_) => Ok(Scratch(opened)),
            None => Err(Error::new(Kind::NotFound, attempt(), "it has ended")),
        }
    }

    /// For as long as this value lives.
    pub(in crate::node) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

impl Resident {
    /// Whether everything is there that the volumes are made of; makes what a hostPath asks to be made.
    pub(in crate::node) fn check_volumes(&self, host: &Host) -> Result<(), Arc<str>> {
        for volume in &self.pod.spec.volumes {
            let checked = match &volume.host_path {
                Some(source) => check_host_path(source),
                None => self.payload(host, volume).map(drop),
            };
            checked.map_err(|error| set_up_failed(volume, &error))?;
        }
        Ok(())
    }

    /// Brings the files of volumes up to date. One that was written before and can no more be made stays as it is, and an
    /// event says why.
    pub(in crate::node) fn fill_volumes(&mut self, host: &mut Host) -> Result<(), Arc<str>> {
        let content = |volume: &&Volume| Place::of(volume) == Some(Place::Content);
        let Some(sandbox) = &self.sandbox else {
            return Ok(());
        };
        let now = (sandbox.attempt, host.objects.changes());
        if self.filled == Some(now) || !self.pod.spec.volumes.iter().any(|volume| content(&volume))
        {
            return Ok(());
        }
        let scratch = Scratch::open(sandbox.identity(), host.scratch());
        let scratch = scratch.map_err(|error| Arc::from(error.to_string()))?;
        let pod = self.pod.clone();
        for volume in pod.spec.volumes.iter().filter(content) {
            let place = in_scratch(&scratch.path(), &volume.name);
            let group = fs_group(&pod, host.is_rootless());
            // One that the pod does not have is told with the first container.
            let group =
                group.filter(|group| self.ids.is_none_or(|ids| ids.outside(*group).is_some()));
            let directory = AtomicDirectory::new(place).group(group).users(self.ids);
            let written = self
                .payload(host, volume)
                .and_then(|files| directory.write(&files));
            if let Err(error) = written {
                let why = set_up_failed(volume, &error);
                if !directory.is_written() {
                    return Err(why);
                }
                self.say(host, EventKind::FailedMount(why));
            }
        }
        self.filled = Some(now);
        Ok(())
    }

    /// Objects changed: files follow, and what waited for one goes on.
    pub(in crate::node) fn objects_changed(&mut self, host: &mut Host) {
        if let Err(why) = self.fill_volumes(host) {
            self.say(host, EventKind::FailedMount(why));
        }
        self.tell(Input::Retry);
    }

    /// Makes the parts of volumes that a container mounts, where they are missing.
    pub(in crate::node) fn make_sub_paths(
        &self,
        host: &Host,
        index: ContainerIndex,
        attempt: u32,
    ) -> Result<(), Failure> {
        let parts = self.lowered(host, (index, attempt), |lowering| {
            let parts = lowering.mounts()?.into_iter();
            Ok(parts
                .filter_map(|mount| Some((mount.place, mount.sub_path?)))
                .collect::<Vec<_>>())
        })?;
        if parts.is_empty() {
            return Ok(());
        }
        let failed = |error: Error| config_error(format!("failed to prepare subPath: {error}"));
        let sandbox = self.sandbox.as_ref().map(|sandbox| sandbox.identity());
        let scratch = sandbox.map(|pause| Scratch::open(pause, host.scratch()));
        let scratch = scratch.transpose().map_err(failed)?;
        for (place, part) in parts {
            // What pause has mounted there is seen through it only, and belongs to the pod's own users.
            let inside = place.strip_prefix(host.scratch()).ok();
            let (place, root) = match inside.zip(scratch.as_ref()) {
                Some((rest, scratch)) => (scratch.path().join(rest), self.ids),
                None => (place, None),
            };
            make_sub_path(&place, &part, root.map(|ids| ids.outside)).map_err(failed)?;
        }
        Ok(())
    }

    /// Nothing for volumes that are not made of objects.
    fn payload(&self, host: &Host, volume: &Volume) -> Result<Payload> {
        let sources = PayloadSources {
            pod: &self.pod,
            objects: host.objects.of(&self.name.namespace),
            allocatable: &host.allocatable,
            token_reader: TokenReader::default(),
        };
        sources.payload(volume).map(Option::unwrap_or_default)
    }
}

/// An ordinary user has but one group, and everything is that one's anyway.
fn fs_group(pod: &Pod, rootless: bool) -> Option<u32> {
    let context = pod.spec.security_context.as_ref()?;
    let group = context.fs_group.and_then(|group| u32::try_from(group).ok());
    group.filter(|_| !rootless)
}

/// The kubelet's words.
fn set_up_failed(volume: &Volume, error: &Error) -> Arc<str> {
    format!(
        "MountVolume.SetUp failed for volume \"{}\" : {error}",
        volume.name
    )
    .into()
}
