//! Probes, hooks and commands: begun, and brought to their end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::command::Output;
use super::host::{Due, Host};
use super::probes::http::Get;
use super::probes::talk::Talk;
use super::probes::{Verdict, target};
use super::resident::{Resident, key, spec_of};
use super::work::{Doing, Exec, Net, Pipe, Progress, Purpose, Work, WorkId};
use crate::lifecycle::{AttemptState, ContainerIndex, Hook, Input, Outcome, ProbeKind};
use crate::linux::pause::{self, Key, Request, Start};
use crate::linux::process::Exit;
use crate::linux::{Clock, Signal};
use crate::model::command::expand_literal;
use crate::model::{Container, ExecAction, GrpcAction, HttpGetAction, TcpSocketAction};
use crate::{Error, Kind, Result};

/// Most of the output of a probe or hook that is kept.
const OUTPUT_MAX: usize = 10 << 10;
/// Most of each stream of a session that is kept.
const SESSION_MAX: usize = 1 << 20;

/// What a handler of the manifest says.
enum Handler<'m> {
    Exec(&'m ExecAction),
    Http(&'m HttpGetAction),
    Tcp(&'m TcpSocketAction),
    Grpc(&'m GrpcAction),
    Sleep(Duration),
    None,
}

/// A command to run in a container.
pub(super) struct Command {
    argv: Vec<String>,
    /// Keep standard error apart from standard output.
    apart: bool,
    /// So much of each is kept.
    most: usize,
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
        let pod = self.pod.clone();
        let spec = spec_of(&pod, &self.sites.get(container.as_usize())?.name)?;
        let work = match self.doing(host, id, (container, attempt), spec, purpose) {
            Ok(doing) => Work {
                container,
                purpose,
                doing,
            },
            Err(why) => {
                let work = Work {
                    container,
                    purpose,
                    doing: Doing::Sleep,
                };
                return Some(self.judge(&work, &Verdict::Unknown(why)));
            }
        };
        self.work.insert(id, work);
        self.ask_socket(host, id)
            .map(|(work, verdict)| self.judge(&work, &verdict))
    }

    fn doing(
        &mut self,
        host: &mut Host,
        id: WorkId,
        (container, attempt): (ContainerIndex, u32),
        spec: &Container,
        purpose: Purpose,
    ) -> Result<Doing, String> {
        let ip = self.machine.status().pod_ip.clone();
        match handler(spec, purpose) {
            Handler::Exec(action) => {
                let argv = expand_literal(&action.command, &spec.env);
                let command = Command {
                    argv,
                    apart: false,
                    most: OUTPUT_MAX,
                };
                let exec = self.begin_exec(host, id, container, attempt, &command);
                exec.map(Doing::Exec).map_err(|error| error.to_string())
            }
            Handler::Http(action) => {
                let request = target::http(action, spec, ip.as_deref())?;
                let address = target::address(&request.host, request.port)?;
                let get = Get::new(request);
                let talk = match purpose {
                    Purpose::Hook(_) => Talk::Call(get),
                    Purpose::Probe(_) | Purpose::Session => Talk::Get(get),
                };
                Ok(Doing::Net(Net::new(address, talk)))
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
            Handler::None => Err("it names no handler that is supported".into()),
        }
    }

    /// Runs a command for a caller of the Node.
    pub(super) fn begin_session(
        &mut self,
        host: &mut Host,
        id: WorkId,
        container: &str,
        argv: Vec<String>,
    ) -> Result<()> {
        let refused = |why: String| {
            Error::new(
                Kind::Conflict,
                format!("run a command in the container {container}"),
                why,
            )
        };
        let index = self.machine.record().index(container).ok_or_else(|| {
            refused("the pod has no such container".into()).as_kind(Kind::NotFound)
        })?;
        let newest = self
            .machine
            .record()
            .container(index)
            .and_then(|record| record.attempts().first());
        let attempt = newest
            .filter(|attempt| matches!(attempt.state, AttemptState::Running { .. }))
            .ok_or_else(|| refused("it is not running".into()))?;
        let attempt = attempt.number;
        let command = Command {
            argv,
            apart: true,
            most: SESSION_MAX,
        };
        let exec = self.begin_exec(host, id, index, attempt, &command)?;
        self.work.insert(
            id,
            Work {
                container: index,
                purpose: Purpose::Session,
                doing: Doing::Exec(exec),
            },
        );
        Ok(())
    }

    fn begin_exec(
        &mut self,
        host: &mut Host,
        id: WorkId,
        container: ContainerIndex,
        attempt: u32,
        command: &Command,
    ) -> Result<Exec> {
        let attempted = "run a command in the container";
        let plan = self.lowered(host, (container, attempt), |lowering| {
            lowering.inside(&command.argv)
        });
        let plan =
            plan.map_err(|failure| Error::new(Kind::Invalid, attempted, &*failure.message))?;
        self.execs += 1;
        let key = key(container, attempt).exec(self.execs);
        let cgroup = self.make_exec_cgroup(host, key)?;
        let (stdout, out) = Pipe::open(host, self.id, id, command.most)?;
        let (stderr, err) = match command.apart {
            true => {
                Pipe::open(host, self.id, id, command.most).map(|(pipe, end)| (pipe, Some(end)))?
            }
            false => (Pipe::default(), None),
        };
        let start = Start {
            target: Some(Key { exec: 0, ..key }),
            cgroup: cgroup.as_ref().map_or(pause::Cgroup::Inherit, |cgroup| {
                pause::Cgroup::Into(cgroup.as_fd())
            }),
            stdout: pause::Output::Fd(out.as_fd()),
            stderr: pause::Output::Fd(err.as_ref().unwrap_or(&out).as_fd()),
            ..Start::new(key, &plan)
        };
        let gone = || Error::new(Kind::Conflict, attempted, "the pod's sandbox is gone");
        let sandbox = self.sandbox.as_mut().ok_or_else(gone);
        let sent = sandbox.and_then(|sandbox| sandbox.connection.send(&Request::Start(start)));
        let mut exec = Exec {
            key,
            stdout,
            stderr,
            plan,
        };
        if let Err(error) = sent {
            exec.close(host);
            self.remove_exec_cgroup(host, key);
            return Err(error);
        }
        Ok(exec)
    }

    /// Gets the connection its socket: of the pod's network, or of the host's if the pod uses that. What is returned
    /// has ended at once.
    fn ask_socket(&mut self, host: &mut Host, id: WorkId) -> Option<(Work, Verdict)> {
        let host_network = self.pod.spec.host_network == Some(true);
        self.sockets = self.sockets.wrapping_add(1);
        let number = self.sockets;
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
        let family = if family == libc::AF_INET {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let made = socket(family, SockType::Stream, flags, None).map_err(|errno| errno as i32);
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
            self.answer(id, ended);
        }
    }

    /// A socket or pipe has something.
    pub(super) fn work_ready(&mut self, host: &mut Host, id: WorkId) {
        let progress = match self.work.get_mut(&id).map(|work| &mut work.doing) {
            Some(Doing::Net(net)) => net.advance(host),
            Some(Doing::Exec(exec)) => {
                exec.read(host);
                Progress::Wait
            }
            Some(Doing::Sleep) | None => Progress::Wait,
        };
        let ended = self.progressed(host, id, progress);
        self.answer(id, ended);
    }

    /// Its time has come: only a hook that sleeps waits for one.
    pub(super) fn work_due(&mut self, id: WorkId) {
        if matches!(
            self.work.get(&id),
            Some(Work {
                doing: Doing::Sleep,
                ..
            })
        ) {
            let ended = self.work.remove(&id).map(|work| (work, Verdict::Success));
            self.answer(id, ended);
        }
    }

    /// A process in a container could not be started.
    pub(super) fn exec_failed(&mut self, host: &mut Host, key: Key, failure: pause::Failure) {
        let why = |exec: &mut Exec| (Verdict::Unknown(exec.explain(failure)), 127);
        self.exec_ended(host, key, why);
    }

    /// A process in a container ended.
    pub(super) fn exec_exited(&mut self, host: &mut Host, key: Key, exit: Exit) {
        let said = |exec: &mut Exec| match exit.code() {
            0 => (Verdict::Success, 0),
            code => (Verdict::Failure(exec.text()), code),
        };
        self.exec_ended(host, key, said);
    }

    fn exec_ended(
        &mut self,
        host: &mut Host,
        key: Key,
        how: impl FnOnce(&mut Exec) -> (Verdict, i32),
    ) {
        self.ask(&Request::Acknowledge(key));
        self.remove_exec_cgroup(host, key);
        let is_it = |work: &Work| matches!(&work.doing, Doing::Exec(exec) if exec.key == key);
        let Some(id) = self
            .work
            .iter()
            .find(|(_, work)| is_it(work))
            .map(|(id, _)| *id)
        else {
            return;
        };
        let Some(mut work) = self.work.remove(&id) else {
            return;
        };
        let Doing::Exec(exec) = &mut work.doing else {
            return;
        };
        // All that it printed before its end is in the pipe; what its own children may add later is not waited for.
        exec.read(host);
        let (verdict, code) = how(exec);
        exec.close(host);
        if let WorkId::Session(_) = id {
            let stderr = match &verdict {
                Verdict::Unknown(why) => why.clone().into_bytes(),
                _ => exec.stderr.take(),
            };
            self.outputs.insert(
                id,
                Output {
                    code,
                    stdout: exec.stdout.take(),
                    stderr,
                },
            );
        }
        self.answer(id, Some((work, verdict)));
    }

    /// Nobody waits for it any more.
    pub(super) fn cancel(&mut self, host: &mut Host, id: WorkId) {
        self.outputs.remove(&id);
        let Some(mut work) = self.work.remove(&id) else {
            return;
        };
        work.close(host);
        if let Doing::Exec(exec) = &work.doing {
            self.kill_exec(host, exec.key);
            if let Purpose::Probe(probe) = work.purpose {
                self.unhealthy
                    .insert((work.container, probe), "command timed out".into());
            }
        } else if let (Purpose::Probe(probe), Doing::Net(net)) = (work.purpose, &work.doing) {
            self.unhealthy
                .insert((work.container, probe), net.timed_out().into());
        }
    }

    pub(super) fn kill_exec(&mut self, host: &Host, key: Key) {
        if let Some(cgroup) = self.exec_cgroup(host, key) {
            let _ = cgroup.kill();
        }
        self.ask(&Request::Signal(key, Signal::KILL));
    }

    fn answer(&mut self, id: WorkId, ended: Option<(Work, Verdict)>) {
        let Some((work, verdict)) = ended else { return };
        let outcome = self.judge(&work, &verdict);
        if let WorkId::Ticket(ticket) = id {
            self.tell(Input::Done(ticket, outcome));
        }
    }

    /// What it means to the machine; what a probe said is kept for the event that tells of it.
    fn judge(&mut self, work: &Work, verdict: &Verdict) -> Outcome {
        if let (
            Purpose::Probe(probe),
            Verdict::Failure(why) | Verdict::Warning(why) | Verdict::Unknown(why),
        ) = (work.purpose, verdict)
        {
            self.unhealthy
                .insert((work.container, probe), Arc::from(why.as_str()));
        }
        work.outcome(verdict)
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
        Purpose::Session => Handler::None,
    }
}
