//! What containers say at their end: termination messages.
//!
//! Upstream: `getTerminationMessage` in `pkg/kubelet/kuberuntime/kuberuntime_container.go`, `normalizeStatus` in
//! `pkg/kubelet/status/status_manager.go`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::host::Host;
use super::logs::{Log, LogOptions};
use super::resident::{Resident, key, spec_of};
use super::volumes::Scratch;
use crate::lifecycle::{ContainerIndex, Exit, Input};
use crate::model::{Pod, TerminationMessagePolicy};

/// So much of the file's end is read.
const FILE_MAX: u64 = 4096;
/// Of all messages of a pod together: each container has its share.
const POD_MAX: usize = 12 << 10;
/// So much of the log's end stands for a message that was not written.
const LOG_LINES: u64 = 80;
const LOG_BYTES: usize = 2048;

/// Whose last words are looked for, and where.
pub(super) struct Ended<'a> {
    pub(super) pod: &'a Pod,
    pub(super) name: &'a str,
    pub(super) attempt: u32,
    pub(super) log: Option<&'a Log>,
    pub(super) scratch: Option<&'a Scratch>,
}

impl Ended<'_> {
    /// The exit with what the container wrote to its termination message, or printed last.
    pub(super) fn with_message(&self, exit: Exit) -> Exit {
        let said = self.said(exit.code);
        let message = match (exit.message, said.is_empty()) {
            (message, true) => message,
            (Some(message), false) => Some(format!("{message}: {said}").into()),
            (None, false) => Some(said.into()),
        };
        Exit { message, ..exit }
    }

    fn said(&self, code: i32) -> String {
        let path = self
            .scratch
            .map(|scratch| message_file(&scratch.path(), self.name, self.attempt));
        let mut said = match path.map(|path| end_of_file(&path)) {
            Some(Ok(said)) => said,
            Some(Err(why)) if why.kind() != io::ErrorKind::NotFound => {
                format!("Error on reading the termination message: {why}").into()
            }
            _ => Vec::new(),
        };
        let policy =
            spec_of(self.pod, self.name).and_then(|spec| spec.termination_message_policy.as_ref());
        let falls_back = policy == Some(&TerminationMessagePolicy::FallbackToLogsOnError);
        if said.is_empty() && falls_back && code != 0 {
            said = self.log.and_then(end_of_log).unwrap_or_default();
        }
        let text = String::from_utf8_lossy(&said);
        cut(&text, share(self.pod)).to_owned()
    }
}

impl Resident {
    /// Tells the machine how an attempt ended, and what it said.
    pub(super) fn tell_exit(
        &mut self,
        host: &Host,
        container: ContainerIndex,
        attempt: u32,
        exit: Exit,
    ) {
        self.finish_attached(key(container, attempt), &exit);
        let scratch = self.sandbox.as_ref();
        let scratch =
            scratch.and_then(|sandbox| Scratch::open(sandbox.identity(), host.scratch()).ok());
        let exit = match self.sites.get(container.as_usize()) {
            None => exit,
            Some(site) => {
                let run = site.runs.iter().find(|run| run.attempt == attempt);
                let ended = Ended {
                    pod: &self.pod,
                    name: &site.name,
                    attempt,
                    log: run.map(|run| &run.log),
                    scratch: scratch.as_ref(),
                };
                ended.with_message(exit)
            }
        };
        self.tell(Input::Exited {
            container,
            attempt,
            exit: Box::new(exit),
        });
    }

    /// The exit is on record: its message is not needed any more.
    pub(super) fn forget_message(&self, host: &Host, index: ContainerIndex, attempt: u32) {
        let (Some(sandbox), Some(site)) = (&self.sandbox, self.sites.get(index.as_usize())) else {
            return;
        };
        if let Ok(scratch) = Scratch::open(sandbox.identity(), host.scratch()) {
            // Absent is what it shall be.
            let _ = std::fs::remove_file(message_file(&scratch.path(), &site.name, attempt));
        }
    }
}

/// Where a container's message is, in the pod's scratch file system. Names of containers have no dot.
pub(super) fn message_file(scratch: &Path, name: &str, attempt: u32) -> PathBuf {
    scratch.join("messages").join(format!("{name}.{attempt}"))
}

fn end_of_log(log: &Log) -> Option<Vec<u8>> {
    let options = LogOptions {
        tail: Some(LOG_LINES),
        ..LogOptions::default()
    };
    let mut text = Vec::new();
    log.open(options).ok()?.read_to_end(&mut text).ok()?;
    let start = text.len().saturating_sub(LOG_BYTES);
    Some(text.split_off(start))
}

fn end_of_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(FILE_MAX);
    let mut bytes = vec![0; FILE_MAX as usize];
    let count = file.read_at(&mut bytes, start)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Bytes that each container of the pod may say.
fn share(pod: &Pod) -> usize {
    let spec = &pod.spec;
    let containers =
        spec.containers.len() + spec.init_containers.len() + spec.ephemeral_containers.len();
    POD_MAX / containers.max(1)
}

/// The beginning of a text: at most so many bytes, and whole characters.
fn cut(text: &str, most: usize) -> &str {
    let ends = (0..=most.min(text.len())).rev();
    let mut ends = ends.filter(|end| text.is_char_boundary(*end));
    &text[..ends.next().unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aä", 3), "aä");
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("", 2), "");
    }
}
