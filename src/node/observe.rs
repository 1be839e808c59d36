//! What pause reports, told to the pod's machine.

use std::sync::Arc;
use std::time::Duration;

use super::host::{Due, Host};
use super::lower::sandbox::{self, Pids, REAPER};
use super::resident::Resident;
use super::work::explain;
use crate::lifecycle::{ContainerIndex, Exit, Failure, Input, Outcome};
use crate::linux::pause::{Asked, Key, Report, Request, Start};
use crate::linux::process::Exit as ProcessExit;
use crate::linux::{Clock, Process};
use crate::time::Now;

/// So long an exit waits for the end of the container's output; a writer in front of a frozen file system has none.
const DRAIN: Duration = Duration::from_millis(500);

impl Resident {
    /// Takes up to `most` reports. True if there may be more.
    pub(super) fn hear(&mut self, host: &mut Host, most: usize) -> bool {
        for _ in 0..most {
            let Some(sandbox) = &mut self.sandbox else {
                return false;
            };
            match sandbox.connection.receive() {
                Ok(Some(Report::Closed)) | Err(_) => {
                    self.sandbox_closed(host);
                    return false;
                }
                Ok(Some(report)) => self.observe(host, report),
                Ok(None) => return false,
            }
        }
        true
    }

    fn observe(&mut self, host: &mut Host, report: Report) {
        match report {
            Report::Ready { .. } => self.sandbox_ready(),
            Report::SetUpFailed(failure) => self.sandbox_made(Err(failure)),
            Report::Started { key: REAPER, .. } => self.sandbox_made(Ok(())),
            Report::StartFailed {
                key: REAPER,
                failure,
            } => {
                self.sandbox_made(Err(failure));
                self.ask(&Request::Quit);
            }
            // All that shared its PID namespace went with it.
            Report::Exited { key: REAPER, .. } => self.ask(&Request::Quit),
            Report::Started { key, process, at } if key.exec == 0 => {
                self.started(key, &process, at);
            }
            Report::Started { key, process, .. } => self.exec_started(host, key, process),
            Report::StartFailed { key, failure } if key.exec == 0 => {
                self.start_failed(host, key, failure)
            }
            Report::StartFailed { key, failure } => self.exec_failed(host, key, failure),
            Report::Exited {
                key,
                exit,
                started,
                ended,
            } if key.exec == 0 => {
                self.exited(host, key, exit, started, ended);
            }
            Report::Exited { key, exit, .. } => self.exec_exited(host, key, exit),
            Report::OutputEnded { key, .. } => self.output_ended(host, key),
            Report::LogFull(key) => {
                if let Some((index, attempt)) = named(key) {
                    self.log_full(index, attempt);
                }
            }
            Report::Attached { ticket, input } => self.attached(ticket, input),
            Report::Socket { ticket, socket } if self.forwards.contains_key(&ticket) => {
                self.forward_made(host, ticket, socket);
            }
            Report::Rotated(key) => {
                let run = named(key).and_then(|(index, attempt)| self.run(index, attempt));
                if let Some(run) = run {
                    run.log.rotated();
                }
            }
            Report::Socket { ticket, socket } => self.socket_made(host, ticket, socket),
            Report::Refused {
                request: Asked::Start,
                key,
                errno,
            } => self.start_refused(host, key, errno),
            // A signal to what has ended, an acknowledgement of what is forgotten.
            Report::Listed | Report::Refused { .. } | Report::Closed => {}
        }
    }

    /// Containers that share a PID namespace need its PID 1 first.
    fn sandbox_ready(&mut self) {
        if Pids::of(&self.pod) != Pids::Shared {
            return self.sandbox_made(Ok(()));
        }
        let plan = sandbox::reaper();
        self.ask(&Request::Start(Start::new(REAPER, &plan)));
        if let Some((_, creating)) = self.sandbox.as_mut().and_then(|own| own.creating.as_mut()) {
            *creating = plan;
        }
    }

    fn sandbox_made(&mut self, made: Result<(), crate::linux::pause::Failure>) {
        let Some((ticket, plan)) = self
            .sandbox
            .as_mut()
            .and_then(|sandbox| sandbox.creating.take())
        else {
            return;
        };
        let outcome = match made {
            Ok(()) => Outcome::Sandbox { ip: None },
            Err(failure) => {
                let why: Arc<str> = plan.explain(failure).to_string().into();
                self.sandbox_failed(why.clone());
                Outcome::Failed(Failure::new("FailedCreatePodSandBox", why))
            }
        };
        self.tell(Input::Done(ticket, outcome));
    }

    /// The connection ended: so has pause, or does now.
    fn sandbox_closed(&mut self, host: &mut Host) {
        match self.end_sandbox(host, None) {
            Ok(false) => {
                // Nothing more is heard from it; the process itself says when it is gone.
                if let Some(sandbox) = &self.sandbox {
                    host.deafen(&sandbox.connection);
                }
            }
            Ok(true) | Err(_) => self.sandbox_ended(host),
        }
    }

    /// Pause itself has ended, and so has everything in its PID namespace.
    pub(super) fn sandbox_ended(&mut self, host: &mut Host) {
        let Some(attempt) = self.sandbox.as_ref().map(|sandbox| sandbox.attempt) else {
            return;
        };
        if self.pod.spec.host_pid == Some(true) {
            self.kill_cgroup(host);
        }
        let creating = self
            .sandbox
            .as_mut()
            .and_then(|sandbox| sandbox.creating.take());
        let stopping = self.drop_sandbox(host);
        if let Some((ticket, _)) = creating {
            let why: Arc<str> = "the pod's pause process ended before the sandbox stood".into();
            self.sandbox_failed(why.clone());
            self.tell(Input::Done(
                ticket,
                Outcome::Failed(Failure::new("FailedCreatePodSandBox", why)),
            ));
        }
        match stopping {
            Some(ticket) => self.tell(Input::Done(ticket, Outcome::Done)),
            None => self.tell(Input::SandboxLost { attempt }),
        }
    }

    fn started(&mut self, key: Key, process: &Process, at: Now) {
        let Some((index, attempt)) = named(key) else {
            return;
        };
        let starting = self.run(index, attempt).and_then(|run| {
            run.identity = process.identity().ok().flatten();
            run.starting.take()
        });
        if let Some((ticket, _)) = starting {
            self.tell(Input::Done(ticket, Outcome::Started { at }));
        }
    }

    fn start_failed(&mut self, host: &Host, key: Key, failure: crate::linux::pause::Failure) {
        let Some((index, attempt)) = named(key) else {
            return;
        };
        let starting = self.run(index, attempt).and_then(|run| {
            run.log.end();
            run.starting.take()
        });
        if let Some((ticket, plan)) = starting {
            let why = explain(&plan, failure);
            self.remove_container_cgroup(host, index, attempt);
            self.tell(Input::Done(
                ticket,
                Outcome::Failed(Failure::new("RunContainerError", why)),
            ));
        }
    }

    /// Pause itself is at an end of something, and remembers nothing of it.
    fn start_refused(&mut self, host: &mut Host, key: Key, errno: i32) {
        let failure = crate::linux::pause::Failure {
            step: crate::linux::pause::Failure::ENTRY,
            errno,
        };
        match key.exec {
            _ if key == REAPER => {
                self.sandbox_made(Err(failure));
                self.ask(&Request::Quit);
            }
            0 => self.start_failed(host, key, failure),
            _ => self.exec_failed(host, key, failure),
        }
    }

    fn exited(&mut self, host: &mut Host, key: Key, exit: ProcessExit, started: Now, ended: Now) {
        let Some((index, attempt)) = named(key) else {
            return;
        };
        self.end_orphans(host, index, attempt);
        let reason = if self.oom_killed(host, index, attempt) {
            "OOMKilled"
        } else {
            "Error"
        };
        let exit = exit_of(exit, reason, started, ended);
        match self.run(index, attempt) {
            Some(run) if !run.log.has_ended() => {
                let until = Clock::mono() + DRAIN;
                run.exit = Some((exit, until));
                host.schedule(until, Due::Drained(self.id));
            }
            _ => self.tell_exit(host, index, attempt, exit),
        }
    }

    /// All output of a process is in its log.
    fn output_ended(&mut self, host: &Host, key: Key) {
        let Some((index, attempt)) = named(key).filter(|_| key.exec == 0) else {
            return;
        };
        let Some(run) = self.run(index, attempt) else {
            return;
        };
        run.log.end();
        if let Some((exit, _)) = run.exit.take() {
            self.tell_exit(host, index, attempt, exit);
        }
    }

    /// Exits whose output does not end are told all the same.
    pub(super) fn drained(&mut self, host: &Host) {
        let now = Clock::mono();
        for index in 0..self.sites.len() {
            for run in 0..self.sites[index].runs.len() {
                let run = &mut self.sites[index].runs[run];
                let attempt = run.attempt;
                if let Some((exit, _)) = run.exit.take_if(|(_, until)| *until <= now) {
                    let container = ContainerIndex(index as u16);
                    self.tell_exit(host, container, attempt, exit);
                }
            }
        }
    }
}

/// How a container's process ended, as its status says it; `failed` is the reason if it did not exit with 0.
pub(super) fn exit_of(exit: ProcessExit, failed: &'static str, started: Now, ended: Now) -> Exit {
    let signal = match exit {
        ProcessExit::Signal(signal) => Some(signal.number()),
        ProcessExit::Code(_) => None,
    };
    let reason = if exit.code() == 0 {
        "Completed"
    } else {
        failed
    };
    let (code, started) = (exit.code(), Some(started));
    Exit {
        code,
        signal,
        reason: reason.into(),
        message: None,
        started,
        finished: ended,
    }
}

/// The container and attempt that pause means.
pub(super) fn named(key: Key) -> Option<(ContainerIndex, u32)> {
    Some((
        ContainerIndex(u16::try_from(key.container).ok()?),
        key.attempt,
    ))
}
