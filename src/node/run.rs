//! One attempt at running a container: its start, and where its output goes.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::host::Host;
use super::logs::Log;
use super::lower::sandbox::{Pids, REAPER};
use super::lower::{Settled, config_error};
use super::prepared::Preparation;
use super::resident::{Resident, key};
use crate::lifecycle::{AttemptState, ContainerIndex, Exit, Failure, Outcome, Ticket};
use crate::linux::pause::plan::Namespaces;
use crate::linux::pause::{self, Input, Key, Plan, Request, Start};
use crate::linux::process::Identity;
use crate::time::Mono;
use crate::{Error, Result};

/// One attempt at running a container.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) attempt: u32,
    /// Its start, while that is not answered; for its sentence, should it fail.
    pub(super) starting: Option<(Ticket, Plan)>,
    pub(super) log: Log,
    /// Not known of one that an earlier Node started.
    pub(super) settled: Option<Settled>,
    /// Its process, once that runs.
    pub(super) identity: Option<Identity>,
    /// How it ended, as long as its output has not.
    pub(super) exit: Option<(Exit, Mono)>,
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
        self.make_sub_paths(host, index, attempt)?;
        let Preparation {
            mut plan,
            settled,
            cgroup,
        } = self.prepared(host, index, attempt)?;
        if let Some(view) = &self.view {
            view.make_mounts(&mut plan).map_err(refused)?;
        }
        let target = self.target(index)?;
        if target.is_some() {
            plan = plan.sharing(Namespaces::PID);
        }
        let spec = self.spec(index);
        let terminal = spec.is_some_and(|spec| spec.tty == Some(true));
        let kept = !terminal && spec.is_some_and(|spec| spec.stdin == Some(true));
        let (log, writer) = self.open_log(host, index, restart_count).map_err(refused)?;
        let start = Start {
            target: target.or((plan.joined() != Namespaces::NONE).then_some(REAPER)),
            cgroup: cgroup.for_pause(),
            stdin: if kept { Input::Kept } else { Input::Null },
            stdout: pause::Output::Log,
            stderr: pause::Output::Log,
            log: Some(writer.as_fd()),
            log_size: host.log_bounds.size,
            terminal,
            ..Start::new(key(index, attempt), &plan)
        };
        let sent = match &mut self.sandbox {
            Some(sandbox) => sandbox
                .connection
                .send(&Request::Start(start))
                .map_err(refused),
            None => Err(Failure::new(
                "CreateContainerError",
                "the pod's sandbox is gone",
            )),
        };
        if let Some(site) = self.sites.get_mut(index.as_usize()) {
            site.runs.push(Run {
                attempt,
                starting: Some((ticket, plan)),
                log,
                settled: Some(settled),
                identity: None,
                exit: None,
            });
            // A log that is there means, after a crash, that it may have run.
            if sent.is_err() {
                site.forget(attempt);
            }
        }
        sent
    }

    /// Whose processes an ephemeral container sees; it must run. Where the pod shares them, all see all.
    fn target(&self, index: ContainerIndex) -> Result<Option<Key>, Failure> {
        let own = &self.sites[index.as_usize()].name;
        let mut all = self.pod.spec.ephemeral_containers.iter();
        let spec = all.find(|container| container.name == **own);
        let named = spec.and_then(|spec| spec.target_container_name.as_deref());
        let Some(name) = named.filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        if Pids::of(&self.pod) != Pids::Own {
            return Ok(None);
        }
        let record = self.machine.record();
        let index = record.index(name);
        let newest = index.and_then(|index| record.container(index)?.attempts().first());
        match (index, newest) {
            (Some(index), Some(newest)) if matches!(newest.state, AttemptState::Running { .. }) => {
                Ok(Some(key(index, newest.number)))
            }
            _ => Err(config_error(format!(
                "unable to find target container {name}: it does not run"
            ))),
        }
    }

    /// Where the log of that run is, or was.
    pub(super) fn log_path(
        &self,
        host: &Host,
        index: ContainerIndex,
        restart_count: u32,
    ) -> Option<PathBuf> {
        let container = &self.sites[index.as_usize()].name;
        Some(
            host.state
                .as_ref()?
                .log(self.id, &self.name, container, restart_count),
        )
    }

    fn open_log(
        &self,
        host: &Host,
        index: ContainerIndex,
        restart_count: u32,
    ) -> Result<(Log, File)> {
        match self.log_path(host, index, restart_count) {
            None => Log::in_memory(host.log_bounds),
            Some(path) => Log::on_disk(path, host.log_bounds),
        }
    }

    /// A log has grown by as much as a piece of it may have: another one is begun.
    pub(super) fn log_full(&mut self, index: ContainerIndex, attempt: u32) {
        let Some(run) = self.run(index, attempt).filter(|run| !run.log.has_ended()) else {
            return;
        };
        // What cannot be done now is tried again when it has grown more.
        if let Ok(Some(file)) = run.log.rotate() {
            self.ask(&Request::Rotate(key(index, attempt), file.as_fd()));
        }
    }
}
