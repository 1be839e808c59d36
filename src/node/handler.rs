//! Probes, hooks and commands: begun, and brought to their end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::event::EventKind;
use super::host::{Due, Host};
use super::lower::Inside;
use super::probes::http::Use;
use super::probes::talk::Talk;
use super::probes::{Verdict, target};
use super::resident::{Resident, spec_of};
use super::session::{End, Ends};
use super::work::{Doing, Exec, Net, Pipe, Progress, Purpose, Task, Work, WorkId};
use crate::lifecycle::{ContainerIndex, Hook, Input, Outcome, ProbeKind};
use crate::linux::Clock;
use crate::linux::pause::{self, Key, Request};
use crate::linux::process::Exit;
use crate::model::command::expand_literal;
use crate::model::{Container, ExecAction, GrpcAction, HttpGetAction, TcpSocketAction};
use crate::{Error, Result};

/// Most of the output of a probe or hook that is kept.
const OUTPUT_MAX: usize = 10 << 10;

/// What a handler of the manifest says.
enum Handler<'m> {
    Exec(&'m ExecAction),
    Http(&'m HttpGetAction),
    Tcp(&'m TcpSocketAction),
    Grpc(&'m GrpcAction),
    Sleep(Duration),
    None,
}

impl Resident {
    /// Begins a probe or hook. What is returned is the answer; otherwise it comes later.
    pub(super) fn begin(
        &mut self,
        host: &mut Host,
        id: WorkId,
        container: ContainerIndex,
        attempt: u32,
        purpose: Purpose,
    ) -> Option<Outcome> {
        let task = Task {
            container,
            attempt,
            purpose,
            tries: 1,
        };
        let verdict = self.begin_try(host, id, task)?;
        self.conclude(host, id, task, verdict)
    }

    /// One try. What is returned has ended at once.
    fn begin_try(&mut self, host: &mut Host, id: WorkId, task: Task) -> Option<Verdict> {
        let pod = self.pod.clone();
        let spec = spec_of(&pod, &self.sites.get(task.container.as_usize())?.name)?;
        match self.doing(host, id, task, spec) {
            Ok(doing) => drop(self.work.insert(id, Work { task, doing })),
            Err(verdict) => return Some(verdict),
        }
        let (_, verdict) = self.ask_socket(host, id)?;
        Some(verdict)
    }

    /// What it means to the machine; none if a probe that could not be made is made again.
    fn conclude(
        &mut self,
        host: &mut Host,
        id: WorkId,
        mut task: Task,
        mut verdict: Verdict,
    ) -> Option<Outcome> {
        while matches!(verdict, Verdict::Unknown(_)) && task.may_try_again() {
            task.tries += 1;
            verdict = self.begin_try(host, id, task)?;
        }
        Some(self.judge(host, task, &verdict))
    }

    fn doing(
        &mut self,
        host: &mut Host,
        id: WorkId,
        task: Task,
        spec: &Container,
    ) -> Result<Doing, Verdict> {
        let ip = self.machine.status().pod_ip.clone();
        match handler(spec, task.purpose) {
            Handler::Exec(action) => {
                let argv = expand_literal(&action.command, &spec.env);
                let exec = self.begin_exec(host, id, task, &argv);
                exec.map(Doing::Exec)
                    .map_err(|error| Verdict::Unknown(error.to_string()))
            }
            Handler::Http(action) => {
                let use_ = match task.purpose {
                    Purpose::Hook(_) => Use::Hook,
                    Purpose::Probe(_) => Use::Probe,
                };
                let (address, get) = target::http(use_, action, spec, ip.as_deref())?;
                Ok(Doing::Net(Net::new(address, Talk::Get(Box::new(get)))))
            }
            Handler::Tcp(action) => Ok(Doing::Net(Net::new(
                target::tcp(action, spec, ip.as_deref())?,
                Talk::Nothing,
            ))),
            Handler::Grpc(action) => {
                let (address, check) = target::grpc(action, ip.as_deref())?;
                Ok(Doing::Net(Net::new(address, Talk::Check(check))))
            }
            Handler::Sleep(span) => {
                host.schedule(Clock::mono() + span, Due::Work(self.id, id));
                Ok(Doing::Sleep)
            }
            Handler::None => Err(Verdict::Unknown(
                "it names no handler that is supported".into(),
            )),
        }
    }

    fn begin_exec(
        &mut self,
        host: &mut Host,
        id: WorkId,
        task: Task,
        argv: &[String],
    ) -> Result<Exec> {
        let (mut output, end) = Pipe::open(host, self.id, id, OUTPUT_MAX)?;
        let program = Inside {
            argv,
            ..Inside::default()
        };
        let ends = Ends {
            stdout: Some(end.as_fd()),
            stderr: Some(end.as_fd()),
            ..Ends::default()
        };
        match self.start_inside(host, task.container, task.attempt, &program, ends) {
            Ok((key, plan)) => Ok(Exec { key, output, plan }),
            Err(error) => {
                output.close(host);
                Err(error)
            }
        }
    }

    /// Gets the connection its socket: of the pod's network, or of the host's if the pod uses that. What is returned
    /// has ended at once.
    fn ask_socket(&mut self, host: &mut Host, id: WorkId) -> Option<(Work, Verdict)> {
        let host_network = self.pod.spec.host_network == Some(true);
        let number = self.ticket();
        let Work {
            doing: Doing::Net(net),
            ..
        } = self.work.get_mut(&id)?
        else {
            return None;
        };
        net.socket_ticket = number;
        let family = net.family();
        if !host_network {
            let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
            self.ask(&Request::Socket {
                ticket: number,
                family,
                kind,
            });
            return None;
        }
        let made = host_socket(family);
        self.begin_net(host, id, made)
    }

    fn begin_net(
        &mut self,
        host: &mut Host,
        id: WorkId,
        socket: Result<OwnedFd, i32>,
    ) -> Option<(Work, Verdict)> {
        let pod = self.id;
        let Work {
            doing: Doing::Net(net),
            ..
        } = self.work.get_mut(&id)?
        else {
            return None;
        };
        let progress = match socket {
            Ok(socket) => net.begin(host, pod, id, socket),
            Err(errno) => Progress::Done(Verdict::Unknown(
                Error::os("make a socket", errno).to_string(),
            )),
        };
        self.progressed(host, id, progress)
    }

    fn progressed(
        &mut self,
        host: &mut Host,
        id: WorkId,
        progress: Progress,
    ) -> Option<(Work, Verdict)> {
        match progress {
            Progress::Wait => None,
            Progress::Socket => self.ask_socket(host, id),
            Progress::Done(verdict) => {
                let mut work = self.work.remove(&id)?;
                work.close(host);
                Some((work, verdict))
            }
        }
    }

    /// Pause has made a socket.
    pub(super) fn socket_made(
        &mut self,
        host: &mut Host,
        number: u32,
        socket: Result<OwnedFd, i32>,
    ) {
        let waits =
            |work: &Work| matches!(&work.doing, Doing::Net(net) if net.socket_ticket == number);
        let id = self
            .work
            .iter()
            .find(|(_, work)| waits(work))
            .map(|(id, _)| *id);
        if let Some(id) = id {
            let ended = self.begin_net(host, id, socket);
            self.answer(host, id, ended);
        }
    }

    /// A socket or pipe has something.
    pub(super) fn work_ready(&mut self, host: &mut Host, id: WorkId) {
        let progress = match self.work.get_mut(&id).map(|work| &mut work.doing) {
            Some(Doing::Net(net)) => net.advance(host),
            Some(Doing::Exec(exec)) => {
                exec.output.read(host);
                Progress::Wait
            }
            Some(Doing::Sleep) | None => Progress::Wait,
        };
        let ended = self.progressed(host, id, progress);
        self.answer(host, id, ended);
    }

    /// Its time has come: only a hook that sleeps waits for one.
    pub(super) fn work_due(&mut self, host: &mut Host, id: WorkId) {
        if matches!(
            self.work.get(&id),
            Some(Work {
                doing: Doing::Sleep,
                ..
            })
        ) {
            let ended = self.work.remove(&id).map(|work| (work, Verdict::Success));
            self.answer(host, id, ended);
        }
    }

    /// A process in a container could not be started.
    pub(super) fn exec_failed(&mut self, host: &mut Host, key: Key, failure: pause::Failure) {
        self.exec_over(host, key);
        self.session_failed(key, failure);
        self.exec_ended(host, key, |_, exec| Verdict::Unknown(exec.explain(failure)));
    }

    /// A process in a container ended.
    pub(super) fn exec_exited(&mut self, host: &mut Host, key: Key, exit: Exit) {
        self.exec_over(host, key);
        self.finish_sessions(key, |_| End::Exit(exit));
        self.exec_ended(host, key, |work, exec| match (exit.code(), work) {
            (0, _) => Verdict::Success,
            (_, Purpose::Probe(_)) => Verdict::Failure(exec.text()),
            (code, Purpose::Hook(_)) => {
                Verdict::Failure(exec.told(&format!("command exited with {code}")))
            }
        });
    }

    fn exec_ended(
        &mut self,
        host: &mut Host,
        key: Key,
        how: impl FnOnce(Purpose, &Exec) -> Verdict,
    ) {
        let is_it = |work: &Work| matches!(&work.doing, Doing::Exec(exec) if exec.key == key);
        let id = self
            .work
            .iter()
            .find(|(_, work)| is_it(work))
            .map(|(id, _)| *id);
        let Some((id, mut work)) = id.and_then(|id| Some((id, self.work.remove(&id)?))) else {
            return;
        };
        let Doing::Exec(exec) = &mut work.doing else {
            return;
        };
        // All that it printed before its end is in the pipe; what its own children may add later is not waited for.
        exec.output.read(host);
        let verdict = how(work.task.purpose, exec);
        exec.output.close(host);
        self.answer(host, id, Some((work, verdict)));
    }

    /// Nobody waits for it any more.
    pub(super) fn cancel(&mut self, host: &mut Host, id: WorkId) {
        let Some(mut work) = self.work.remove(&id) else {
            return;
        };
        let why = match &mut work.doing {
            Doing::Exec(exec) => {
                self.kill_exec(host, exec.key);
                exec.output.read(host);
                Some(exec.told("command timed out"))
            }
            Doing::Net(net) => Some(net.timed_out()),
            Doing::Sleep => None,
        };
        work.close(host);
        if let Some(why) = why {
            self.remember(work.task, &why);
        }
    }

    fn answer(&mut self, host: &mut Host, id: WorkId, ended: Option<(Work, Verdict)>) {
        let Some((work, verdict)) = ended else { return };
        if let Some(outcome) = self.conclude(host, id, work.task, verdict) {
            self.tell(Input::Done(id.0, outcome));
        }
    }

    fn judge(&mut self, host: &mut Host, task: Task, verdict: &Verdict) -> Outcome {
        match verdict {
            Verdict::Success => {}
            Verdict::Warning(why) | Verdict::Failure(why) | Verdict::Unknown(why) => {
                self.remember(task, why);
            }
        }
        if let (Purpose::Hook(_), Verdict::Warning(why)) = (task.purpose, verdict) {
            let kind = EventKind::LifecycleHTTPFallback(why.as_str().into());
            self.say(host, kind);
        }
        task.outcome(verdict)
    }

    /// For the event that tells of it.
    fn remember(&mut self, task: Task, why: &str) {
        self.said
            .insert((task.container, task.purpose), Arc::from(why));
    }
}

fn handler(spec: &Container, purpose: Purpose) -> Handler<'_> {
    match purpose {
        Purpose::Probe(kind) => {
            let probe = match kind {
                ProbeKind::Liveness => &spec.liveness_probe,
                ProbeKind::Readiness => &spec.readiness_probe,
                ProbeKind::Startup => &spec.startup_probe,
            };
            let Some(probe) = probe else {
                return Handler::None;
            };
            let exec = probe.exec.as_ref().map(Handler::Exec);
            let exec = exec.or(probe.http_get.as_ref().map(Handler::Http));
            exec.or(probe.tcp_socket.as_ref().map(Handler::Tcp))
                .or(probe.grpc.as_ref().map(Handler::Grpc))
                .unwrap_or(Handler::None)
        }
        Purpose::Hook(hook) => {
            let lifecycle = spec.lifecycle.as_ref();
            let hook = lifecycle.and_then(|lifecycle| match hook {
                Hook::PostStart => lifecycle.post_start.as_ref(),
                Hook::PreStop => lifecycle.pre_stop.as_ref(),
            });
            let Some(hook) = hook else {
                return Handler::None;
            };
            let sleep = hook
                .sleep
                .as_ref()
                .map(|sleep| Duration::from_secs(sleep.seconds.max(0) as u64));
            let exec = hook.exec.as_ref().map(Handler::Exec);
            exec.or(hook.http_get.as_ref().map(Handler::Http))
                .or(sleep.map(Handler::Sleep))
                .unwrap_or(Handler::None)
        }
    }
}

/// A socket of the host's network, for a pod that uses it.
pub(super) fn host_socket(family: i32) -> Result<OwnedFd, i32> {
    let family = match family {
        libc::AF_INET => AddressFamily::Inet,
        _ => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(family, SockType::Stream, flags, None).map_err(|errno| errno as i32)
}
