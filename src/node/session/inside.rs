//! Processes in a container beside its own, of probes, hooks and sessions: their start, their end, and how they are killed
//! with all that came of them.

use std::os::fd::BorrowedFd;

use crate::lifecycle::ContainerIndex;
use crate::linux::descendants::Descendants;
use crate::linux::pause::{Input, Key, Output, Plan, Request, Start};
use crate::linux::process::Process;
use crate::linux::{Clock, Signal};
use crate::node::host::{Due, Host};
use crate::node::lower::Inside;
use crate::node::resident::{Resident, key};
use crate::time::Mono;
use crate::{Error, Kind, Result};

/// How long until those that are being killed are looked at again.
const ROUND: std::time::Duration = std::time::Duration::from_millis(1);

/// The ends that a process gets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends<'a> {
    pub(crate) stdin: Option<BorrowedFd<'a>>,
    pub(crate) stdout: Option<BorrowedFd<'a>>,
    pub(crate) stderr: Option<BorrowedFd<'a>>,
}

/// What is known of a process that has no cgroup of its own, to end it with all that came of it.
#[derive(Debug)]
pub(crate) enum Kin {
    /// Pause has not said yet that it runs.
    Starting,
    /// It shall end as soon as it runs.
    Doomed,
    Running(Process),
    Dying(Descendants),
}

impl Resident {
    /// Has pause start a process in a running container.
    pub(in crate::node) fn start_inside(
        &mut self,
        host: &mut Host,
        container: ContainerIndex,
        attempt: u32,
        program: &Inside<'_>,
        ends: Ends<'_>,
    ) -> Result<(Key, Plan)> {
        let attempted = "run a command in the container";
        self.execs += 1;
        let key = key(container, attempt).exec(self.execs);
        let cgroup = self.make_exec_cgroup(host, container, key)?;
        let program = Inside {
            subreaper: cgroup.is_none(),
            ..*program
        };
        let plan = self.lowered(host, (container, attempt), |lowering| {
            lowering.inside(&program)
        });
        let sent = plan
            .map_err(|failure| Error::new(Kind::Invalid, attempted, &*failure.message))
            .and_then(|plan| Ok((plan, self.entry(cgroup)?)))
            .and_then(|(plan, entry)| {
                let output = |fd: Option<_>| fd.map_or(Output::Null, Output::Fd);
                let start = Start {
                    target: Some(Key { exec: 0, ..key }),
                    cgroup: entry.for_pause(),
                    stdin: ends.stdin.map_or(Input::Null, Input::Fd),
                    stdout: output(ends.stdout),
                    stderr: output(ends.stderr),
                    terminal: program.terminal.is_some(),
                    ..Start::new(key, &plan)
                };
                let gone = || Error::new(Kind::Conflict, attempted, "the pod's sandbox is gone");
                let sandbox = self.sandbox.as_mut().ok_or_else(gone)?;
                sandbox.connection.send(&Request::Start(start))?;
                Ok(plan)
            });
        match &sent {
            Ok(_) if program.subreaper => drop(self.kin.insert(key, Kin::Starting)),
            Ok(_) => {}
            Err(_) => self.remove_exec_cgroup(host, key),
        }
        sent.map(|plan| (key, plan))
    }

    /// It runs.
    pub(in crate::node) fn exec_started(&mut self, host: &mut Host, key: Key, process: Process) {
        self.ask_terminal(key);
        match self.kin.get_mut(&key) {
            Some(kin @ Kin::Starting) => *kin = Kin::Running(process),
            Some(kin @ Kin::Doomed) => {
                *kin = Kin::Dying(Descendants::of(process));
                self.kill_kin(host);
            }
            Some(Kin::Running(_) | Kin::Dying(_)) | None => {}
        }
    }

    /// It is over: whoever waits for it is told.
    pub(in crate::node) fn exec_over(&mut self, host: &Host, key: Key) {
        self.kin.remove(&key);
        self.ask(&Request::Acknowledge(key));
        self.remove_exec_cgroup(host, key);
    }

    /// Kills it with all that came of it: by its cgroup, or one after another.
    pub(in crate::node) fn kill_exec(&mut self, host: &mut Host, key: Key) {
        if let Some(cgroup) = self.exec_cgroup(host, key) {
            let _ = cgroup.kill();
            self.ask(&Request::Signal(key, Signal::KILL));
            return;
        }
        let kin = match self.kin.remove(&key) {
            Some(Kin::Running(process)) => Kin::Dying(Descendants::of(process)),
            Some(kin @ Kin::Dying(_)) => kin,
            Some(Kin::Starting | Kin::Doomed) => Kin::Doomed,
            None => return,
        };
        self.kin.insert(key, kin);
        self.kill_kin(host);
    }

    /// What an earlier Node had run in containers is ended: nobody waits for it.
    pub(in crate::node) fn end_execs(
        &mut self,
        host: &mut Host,
        execs: Vec<(Key, Option<Process>)>,
    ) {
        for (key, process) in execs {
            self.execs = self.execs.max(key.exec);
            self.kin
                .extend(process.map(|process| (key, Kin::Running(process))));
            self.kill_exec(host, key);
            self.ask(&Request::Acknowledge(key));
        }
    }

    /// One round of killing. Those that are over stay until pause tells their end.
    pub(in crate::node) fn kill_kin(&mut self, host: &mut Host) {
        let mut again = false;
        for kin in self.kin.values_mut() {
            if let Kin::Dying(descendants) = kin {
                again |= !descendants.kill();
            }
        }
        if again {
            host.schedule(soon(), Due::Kin(self.id));
        }
    }
}

fn soon() -> Mono {
    Clock::mono() + ROUND
}
