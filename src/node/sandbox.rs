//! A pod's pause process, from its start to its end.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::event::{EventKind, SandboxChange};
use super::host::{Host, Watched};
use super::resident::Resident;
use super::users::{self, View};
use super::{lower, volumes};
use crate::lifecycle::{Failure, Outcome, Ticket};
use crate::linux::pause::{self, Connection, Plan, Request};
use crate::linux::process::{Identity, Process, Signal};
use crate::linux::reactor::{Interest, Token};
use crate::{Error, Kind, Result};

/// A pause process, and what is asked of it.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) attempt: u32,
    pub(super) connection: Connection,
    token: Token,
    identity: Identity,
    /// Its making, while that is not answered; for its sentence, should it fail.
    pub(super) creating: Option<(Ticket, Plan)>,
    /// Its end is asked for, or has come.
    ending: Option<Ending>,
}

/// A pause process on its way out.
#[derive(Debug)]
struct Ending {
    ticket: Option<Ticket>,
    process: Process,
    token: Token,
}

impl Sandbox {
    /// Which process it is.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// One that an earlier Node made.
    pub(super) fn found(
        attempt: u32,
        connection: Connection,
        token: Token,
        identity: Identity,
    ) -> Sandbox {
        Sandbox {
            attempt,
            connection,
            token,
            identity,
            creating: None,
            ending: None,
        }
    }
}

impl Resident {
    pub(super) fn create_sandbox(
        &mut self,
        host: &mut Host,
        ticket: Ticket,
        attempt: u32,
    ) -> Option<Outcome> {
        if let Err(why) = self.check_volumes(host) {
            self.sandbox_error = Some(EventKind::FailedMount(why.clone()));
            return Some(Outcome::Failed(Failure::new("FailedMount", why)));
        }
        match self.spawn_sandbox(host, ticket, attempt) {
            Ok(()) => {
                self.prepare_first(host);
                None
            }
            Err(error) => {
                let why: Arc<str> = error.to_string().into();
                self.sandbox_failed(why.clone());
                self.remove_cgroup(host);
                self.give_back_ids(host);
                Some(Outcome::Failed(Failure::new("FailedCreatePodSandBox", why)))
            }
        }
    }

    /// For the event that will tell of it.
    pub(super) fn sandbox_failed(&mut self, why: Arc<str>) {
        self.sandbox_error = Some(EventKind::Sandbox(SandboxChange::Failed, Some(why)));
    }

    fn spawn_sandbox(&mut self, host: &mut Host, ticket: Ticket, attempt: u32) -> Result<()> {
        if host.separates(&self.pod) && self.ids.is_none() {
            self.ids = Some(host.pool.take()?);
        }
        let ground = self.ground(host);
        if let Some(why) = &ground.hidden_proc {
            let why = format!("its containers see the processes outside of them: {why}");
            self.degrade(host, "proc", &why);
        }
        if ground.users.is_none() && std::mem::take(&mut host.cannot_rank) {
            let why = "the program that runs the Node has no CAP_SYS_RESOURCE: when memory runs out, pause processes and \
                       Guaranteed pods are killed as soon as others";
            self.degrade(host, "oom_score_adj", why);
        }
        if let Some(volumes) = &ground.volumes {
            // An ordinary user is not in the group: pause gives it the volume, as root of its user namespace.
            let group = lower::sandbox::fs_group(&self.pod).filter(|_| !host.is_rootless());
            volumes::make(volumes, &self.pod, group)?;
        }
        let mut plan = lower::sandbox::plan(&self.pod, &ground)?;
        if let Some(ids) = &self.ids {
            users::make_file_systems(&mut plan, ids)?;
        }
        let cgroup = self.make_cgroup(host)?;
        let listener = match &self.files {
            Some(files) => {
                files.forget_pause();
                Some(pause::Sandbox::listener(&files.socket())?)
            }
            None => None,
        };
        let spawned = pause::spawn(&pause::Sandbox {
            namespaces: lower::sandbox::namespaces(&self.pod),
            user: pause::User::of(ground.users.as_ref()),
            cgroup: cgroup.as_ref().map(AsFd::as_fd),
            listener: listener.as_ref().map(AsFd::as_fd),
            program: Some(&host.program),
            ephemeral: self.files.is_none(),
            ..pause::Sandbox::new(&plan)
        })?;
        // With a listener it would outlive the connection, and nobody would know of it.
        let (identity, token) = self
            .see(&spawned)
            .and_then(|()| self.know(host, &spawned))
            .inspect_err(|_| {
                let _ = spawned.process.signal(Signal::KILL);
            })?;
        let creating = Some((ticket, plan));
        self.sandbox = Some(Sandbox {
            attempt,
            connection: spawned.connection,
            token,
            identity,
            creating,
            ending: None,
        });
        Ok(())
    }

    /// Holds the user namespace of a pod that has ids of its own.
    fn see(&mut self, spawned: &pause::Pause) -> Result<()> {
        if self.ids.is_some() {
            self.view = Some(View::of(&spawned.process)?);
        }
        Ok(())
    }

    /// Writes down which process it is, and listens to it.
    fn know(&self, host: &mut Host, spawned: &pause::Pause) -> Result<(Identity, Token)> {
        let identity = spawned.process.identity()?.ok_or_else(|| {
            Error::new(
                Kind::Os,
                "start the pod's pause process",
                "it ended at once",
            )
        })?;
        if let Some(files) = &self.files {
            files.save_pause(&identity)?;
        }
        let token = host.watch(&spawned.connection, Interest::Read, Watched::Pause(self.id))?;
        Ok((identity, token))
    }

    pub(super) fn stop_sandbox(
        &mut self,
        host: &mut Host,
        ticket: Ticket,
        attempt: u32,
    ) -> Option<Outcome> {
        match &mut self.sandbox {
            Some(sandbox) if sandbox.attempt == attempt => {}
            _ => return Some(Outcome::Done),
        }
        self.ask(&Request::Quit);
        self.thaw(host);
        match self.end_sandbox(host, Some(ticket)) {
            Ok(true) => {
                self.drop_sandbox(host);
                Some(Outcome::Done)
            }
            Ok(false) => None,
            Err(error) => Some(Outcome::Failed(Failure::new(
                "KillPodSandboxError",
                error.to_string(),
            ))),
        }
    }

    /// Waits for the end of pause; true if it has ended already.
    pub(super) fn end_sandbox(&mut self, host: &mut Host, ticket: Option<Ticket>) -> Result<bool> {
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(true);
        };
        if let Some(ending) = &mut sandbox.ending {
            ending.ticket = ticket.or(ending.ticket);
            return Ok(false);
        }
        match sandbox.identity.open()? {
            None => Ok(true),
            Some(process) => {
                let token = host.watch(&process, Interest::Read, Watched::Process(self.id))?;
                sandbox.ending = Some(Ending {
                    ticket,
                    process,
                    token,
                });
                Ok(false)
            }
        }
    }

    fn give_back_ids(&mut self, host: &mut Host) {
        self.view = None;
        if let Some(ids) = self.ids.take() {
            host.pool.give_back(&ids);
        }
    }

    /// Takes up the ids that the sandbox of a Node before has.
    pub(super) fn find_ids(&mut self, host: &mut Host, pause: &Process) -> Result<()> {
        if !host.separates(&self.pod) {
            return Ok(());
        }
        self.ids = users::of(pause)?.map(|first| host.pool.keep(first));
        self.view = Some(View::of(pause)?);
        Ok(())
    }

    /// Pause is gone, and with it everything in the sandbox.
    pub(super) fn drop_sandbox(&mut self, host: &mut Host) -> Option<Ticket> {
        let sandbox = self.sandbox.take()?;
        host.unwatch(&sandbox.connection, sandbox.token);
        self.give_back_ids(host);
        let ended: Vec<_> = self.work.keys().copied().collect();
        for id in ended {
            if let Some(mut work) = self.work.remove(&id) {
                work.close(host);
            }
        }
        self.end_forwards(host);
        self.sessions.clear();
        self.kin.clear();
        // Nobody writes logs any more; who follows one need not wait for it.
        for run in self.sites.iter_mut().flat_map(|site| &mut site.runs) {
            run.log.end();
        }
        let ending = sandbox.ending?;
        host.unwatch(&ending.process, ending.token);
        // An embedder that is PID 1 or a subreaper has become its parent.
        let _ = ending.process.reap();
        ending.ticket
    }
}
