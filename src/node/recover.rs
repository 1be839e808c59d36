//! Taking up pods that an earlier Node left, with everything that happened meanwhile.

use std::path::Path;
use std::time::Duration;

use super::{PodId, PodName};

use super::event::EventKind;
use super::host::{Host, Watched};
use super::logs::Log;
use super::lower::sandbox::{Pids, REAPER};
use super::node::Node;
use super::resident::{Resident, key};
use super::run::Run;
use super::sandbox::Sandbox;
use super::store::Found;
use super::termination::Ended;
use super::volumes::Scratch;
use crate::lifecycle::{ContainerIndex, Observed, PodMachine, Record, SandboxVerdict, Verdict};
use crate::linux::pause::{Connection, Key, Pause, Report, Request};
use crate::linux::process::Identity;
use crate::linux::reactor::Interest;
use crate::linux::{Clock, Process};

use crate::model::Pod;
use crate::{Error, Kind, Result};

/// So long a pause may take to say what it knows. It answers within microseconds, unless it is stopped.
const ANSWER: Duration = Duration::from_secs(2);

/// What a pause process knows.
#[derive(Debug, Default)]
struct Known {
    attempts: Vec<(ContainerIndex, u32, Verdict)>,
    /// Exits whose output is complete, and starts that failed.
    finished: Vec<Key>,
    /// Containers that run.
    running: Vec<(Key, Identity)>,
    /// Probes, hooks and commands of the Node before.
    execs: Vec<(Key, Option<Process>)>,
    /// The PID 1 of a shared PID namespace runs.
    reaper: bool,
}

impl Node {
    /// Takes up every pod of the state directory. One that cannot be read is told and left alone: it is never the reason
    /// that others are lost.
    pub(super) fn recover(&mut self) -> Result<()> {
        let found = match &self.host.state {
            Some(state) => state.found()?,
            None => return Ok(()),
        };
        for (id, found) in found {
            match found.and_then(|found| take_up(&mut self.host, id, found)) {
                Ok(resident) => {
                    let promised = resident.allocated_pod();
                    self.host.promise(id, &promised.spec);
                    drop(promised);
                    self.pods.insert(id, resident);
                    self.step(id);
                }
                Err(error) => self.host.tell_lost(id, &error),
            }
        }
        self.host.reactor.wake();
        Ok(())
    }
}

fn take_up(host: &mut Host, id: PodId, found: Found) -> Result<Resident> {
    let pod = found.pod.validate()?;
    let same_boot = found.saved.boot == host.boot;
    let identity = found
        .pause
        .filter(|pause| same_boot && pause.boot == host.boot);
    let mut connected = connect(&found.files.socket(), identity)?;
    let (mut sandbox, mut known) = match &mut connected {
        Some((pause, _)) => (
            SandboxVerdict::Running { ip: None },
            ask(&mut pause.connection)?,
        ),
        None => (SandboxVerdict::Gone, Known::default()),
    };
    let was_asked = connected.is_some();
    if Pids::of(&pod) == Pids::Shared && !known.reaper {
        // Its PID 1 was never made, or has ended and taken all of them along.
        if let Some((pause, _)) = connected.take() {
            end(pause)?;
            sandbox = SandboxVerdict::Gone;
        }
    }
    let record = found.saved.record;
    let pause = connected.as_ref().map(|(_, identity)| identity);
    known.hear_last_words(host, (id, &pod), &record, pause);
    let untold = |container| match was_asked {
        false if has_log(host, (id, &pod), &record, container) => Verdict::Gone,
        // Pause forgets nothing that it was not told to forget, and that is told only of what is on record.
        _ => Verdict::NeverStarted,
    };
    known.complete(record.in_doubt(), untold);
    let attempt = record.sandbox_in_doubt();
    let observed = Observed {
        same_boot,
        sandbox,
        attempts: std::mem::take(&mut known.attempts),
    };
    let options = found.saved.options;
    let machine =
        PodMachine::restore(pod.clone(), options.clone(), record, observed, Clock::now())?;
    let mut resident = Resident::new(id, pod, options, machine, host.history);
    resident.files = Some(found.files);
    resident.find_runs(host, &known);
    match (connected, attempt) {
        (Some((pause, identity)), Some(attempt)) => {
            let token = host.watch(&pause.connection, Interest::Read, Watched::Pause(id))?;
            resident.find_ids(host, &pause.process)?;
            resident.sandbox = Some(Sandbox::found(attempt, pause.connection, token, identity));
            resident.end_execs(host, known.execs);
            resident.go_on_rotating();
            // The Node before may have been killed between keeping an object and writing what is made of it.
            if let Err(why) = resident.fill_volumes(host) {
                resident.say(host, EventKind::FailedMount(why));
            }
        }
        (Some((pause, _)), None) => end(pause)?,
        (None, _) => resident.kill_cgroup(host),
    }
    Ok(resident)
}

/// Whether the next attempt's log is there: it is made before a start is asked for, and survives pause and boot.
fn has_log(
    host: &Host,
    (id, pod): (PodId, &Pod),
    record: &Record,
    container: ContainerIndex,
) -> bool {
    let (Some(state), Some(container)) = (&host.state, record.container(container)) else {
        return false;
    };
    let (name, count) = (PodName::of(pod), container.next_count());
    state.log(id, &name, container.name(), count).exists()
}

/// The pause process that was written down, if it still runs; one that was not is ended.
fn connect(socket: &Path, written: Option<Identity>) -> Result<Option<(Pause, Identity)>> {
    match written {
        Some(identity) => Ok(reconnect(socket, &identity)?.map(|pause| (pause, identity))),
        None => end_unknown(socket).map(|()| None),
    }
}

/// Ends a pause process that nobody knows: its embedder was killed between starting it and writing down which it is.
fn end_unknown(socket: &Path) -> Result<()> {
    match Connection::find(socket) {
        Ok(pause) => end(pause),
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn end(mut pause: Pause) -> Result<()> {
    // One that is gone already has nothing to be asked.
    let _ = pause.connection.send(&Request::Quit);
    if !pause.process.wait(Some(ANSWER))? {
        pause.process.signal(crate::linux::Signal::KILL)?;
    }
    Ok(())
}

/// The pause process, unless it has ended. One that lives but cannot be reached is of no use to anyone, and is ended.
fn reconnect(socket: &Path, identity: &Identity) -> Result<Option<Pause>> {
    match Connection::reconnect(socket, identity) {
        Ok(pause) => Ok(Some(pause)),
        Err(_) => {
            if let Some(process) = identity.open()? {
                process.signal(crate::linux::Signal::KILL)?;
                process.wait(Some(ANSWER))?;
            }
            Ok(None)
        }
    }
}

/// Everything that pause knows.
fn ask(connection: &mut Connection) -> Result<Known> {
    connection.send(&Request::List)?;
    let deadline = Clock::mono() + ANSWER;
    let mut known = Known::default();
    loop {
        match connection.receive()? {
            Some(Report::Listed) => return Ok(known),
            Some(report) => known.add(report),
            None => wait(connection, deadline - Clock::mono())?,
        }
    }
}

fn wait(connection: &Connection, left: Duration) -> Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let attempt = "hear from a pause process what became of its containers";
    if left.is_zero() {
        return Err(Error::new(Kind::Timeout, attempt, "it does not answer")
            .cure("see whether it is stopped"));
    }
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(
        &mut [PollFd::new(connection.as_fd(), PollFlags::POLLIN)],
        timeout,
    ) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::os(attempt, errno as i32)),
    }
}

impl Known {
    fn add(&mut self, report: Report) {
        match report {
            Report::Started { key: REAPER, .. } => self.reaper = true,
            Report::Exited { key: REAPER, .. } => self.reaper = false,
            Report::Started { key, process, .. } if key.exec > 0 => {
                self.execs.push((key, Some(process)))
            }
            Report::Exited { key, .. } if key.exec > 0 => self.execs.push((key, None)),
            Report::Started { key, process, at } => {
                let identity = process.identity().ok().flatten();
                self.running
                    .extend(identity.map(|identity| (key, identity)));
                self.attempt(key, Verdict::Running { started: at });
            }
            Report::Exited {
                key,
                exit,
                started,
                ended,
            } => {
                self.finished.push(key);
                self.attempt(
                    key,
                    Verdict::Exited(super::observe::exit_of(exit, "Error", started, ended)),
                );
            }
            Report::StartFailed { key, .. } if key.exec > 0 => self.execs.push((key, None)),
            Report::StartFailed { key, .. } => {
                self.finished.push(key);
                self.attempt(key, Verdict::NeverStarted);
            }
            _ => {}
        }
    }

    /// A verdict for each attempt in doubt.
    fn complete(
        &mut self,
        in_doubt: impl Iterator<Item = (ContainerIndex, u32)>,
        untold: impl Fn(ContainerIndex) -> Verdict,
    ) {
        for (container, attempt) in in_doubt {
            let mut told = self.attempts.iter();
            if !told.any(|(at, number, _)| (*at, *number) == (container, attempt)) {
                self.attempts.push((container, attempt, untold(container)));
            }
        }
    }

    /// What containers said that ended while nobody was there.
    fn hear_last_words(
        &mut self,
        host: &Host,
        (id, pod): (PodId, &Pod),
        record: &Record,
        pause: Option<&Identity>,
    ) {
        let scratch = pause.and_then(|pause| Scratch::open(pause, host.scratch()).ok());
        for (index, attempt, verdict) in &mut self.attempts {
            let (Verdict::Exited(exit), Some(known)) = (verdict, record.container(*index)) else {
                continue;
            };
            let number = *attempt;
            let on_record = known.attempts().iter().find(|known| known.number == number);
            let restart_count = on_record.map_or(known.next_count(), |known| known.restart_count);
            let path = host
                .state
                .as_ref()
                .map(|state| state.log(id, &PodName::of(pod), known.name(), restart_count));
            let log = path.map(|path| Log::at(path, host.log_bounds));
            let ended = Ended {
                pod,
                name: known.name(),
                attempt: number,
                log: log.as_ref(),
                scratch: scratch.as_ref(),
            };
            *exit = ended.with_message(exit.clone());
        }
    }

    fn attempt(&mut self, key: Key, verdict: Verdict) {
        if let Some((container, attempt)) = super::observe::named(key) {
            // What is told last is true: an exit may come between the lines of the list.
            self.attempts
                .retain(|(at, number, _)| (*at, *number) != (container, attempt));
            self.attempts.push((container, attempt, verdict));
        }
    }
}

impl Resident {
    /// The logs of the attempts on record are where they were.
    fn find_runs(&mut self, host: &Host, known: &Known) {
        for index in 0..self.sites.len() {
            let container = ContainerIndex(index as u16);
            let attempts = self
                .machine
                .record()
                .container(container)
                .map(|record| record.attempts().to_vec());
            for attempt in attempts.unwrap_or_default().iter().rev() {
                let path = self.log_path(host, container, attempt.restart_count);
                let mut log = Log::at(path.unwrap_or_default(), host.log_bounds);
                let exited = matches!(attempt.state, crate::lifecycle::AttemptState::Exited(_));
                let key = key(container, attempt.number);
                if exited || known.finished.contains(&key) {
                    log.end();
                    self.end_orphans(host, container, attempt.number);
                }
                let identity = known.running.iter().find(|(running, _)| *running == key);
                self.sites[index].runs.push(Run {
                    attempt: attempt.number,
                    starting: None,
                    log,
                    settled: None,
                    identity: identity.map(|(_, identity)| identity.clone()),
                    exit: None,
                });
            }
        }
    }

    /// What the Node before had begun: the logger is asked again, and answers once more.
    fn go_on_rotating(&mut self) {
        for index in 0..self.sites.len() {
            let begun = |run: &&Run| !run.log.has_ended() && run.log.is_half_rotated();
            let runs = self.sites[index].runs.iter().filter(begun);
            let attempts: Vec<u32> = runs.map(|run| run.attempt).collect();
            for attempt in attempts {
                self.log_full(ContainerIndex(index as u16), attempt);
            }
        }
    }
}
