//! When probes run, and what becomes of their findings. What they mean is decided by the rules.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::fault::Fault;
use super::input::{Finding, Outcome};
use super::machine::PodMachine;
use super::output::{Action, ContainerChange, Output, ProbeKind, Ticket};
use super::rules::facts::{ProbeResult, Results};
use super::rules::probe::{ProbeTarget, ProbeWorker, TargetState, Tick, is_started};
use super::rules::shape::{ContainerView, ProbeView, Role};
use super::timer::{ContainerTimer, Due};
use crate::time::{Mono, Now};

/// A container's probes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Probes {
    probers: Box<[Prober]>,
    /// The attempt counted as started before this process knew it.
    pub(super) was_started: bool,
    /// What a published result came to when it was last looked at.
    pub(super) results: Results,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Prober {
    worker: ProbeWorker,
    /// The run under way.
    ticket: Option<Ticket>,
    /// When the next run is due.
    next: Mono,
}

impl Probes {
    pub(super) fn new(view: &ContainerView) -> Probes {
        let prober = |(kind, _): (ProbeKind, &ProbeView)| Prober {
            worker: ProbeWorker::new(kind),
            ticket: None,
            next: Mono::ZERO,
        };
        Probes {
            probers: view.workers().map(prober).collect(),
            ..Probes::default()
        }
    }

    /// Another attempt: what was published is about an earlier one.
    pub(super) fn forget(&mut self) {
        self.was_started = false;
        self.results = Results::default();
    }

    /// Which probe waits for this answer.
    pub(super) fn awaiting(&self, ticket: Ticket) -> Option<ProbeKind> {
        let prober = self
            .probers
            .iter()
            .find(|prober| prober.ticket == Some(ticket))?;
        Some(prober.worker.kind())
    }

    fn of(&mut self, kind: ProbeKind) -> Option<&mut Prober> {
        self.probers
            .iter_mut()
            .find(|prober| prober.worker.kind() == kind)
    }

    fn read(&mut self, attempt: u32) {
        self.results = Results::default();
        for prober in &self.probers {
            let result = prober.worker.result_of(attempt);
            match prober.worker.kind() {
                ProbeKind::Liveness => self.results.liveness = result,
                ProbeKind::Readiness => self.results.readiness = result,
                ProbeKind::Startup => self.results.startup = result,
            }
        }
    }
}

impl PodMachine {
    /// The container runs, and its postStart hook is over.
    pub(super) fn begin_probes(&mut self, index: usize) {
        for kind in [
            ProbeKind::Startup,
            ProbeKind::Liveness,
            ProbeKind::Readiness,
        ] {
            self.tick(index, kind);
        }
    }

    /// Nothing more is asked, and no answer is taken: of these kinds.
    pub(super) fn end_probes(&mut self, index: usize, kinds: &[ProbeKind]) {
        for kind in kinds {
            let Some(prober) = self.containers[index].probes.of(*kind) else {
                continue;
            };
            if let Some(ticket) = prober.ticket.take() {
                self.outbox.push(Output::Cancel(ticket));
            }
            self.timers.disarm(timer(index, *kind));
        }
    }

    /// Time for a run, or the run under way took too long, which is a failure.
    pub(super) fn probe_due(&mut self, index: usize, kind: ProbeKind) -> bool {
        let Some(prober) = self.containers[index].probes.of(kind) else {
            return false;
        };
        match prober.ticket.take() {
            Some(ticket) => {
                self.outbox.push(Output::Cancel(ticket));
                self.found(index, kind, Some(false))
            }
            None => self.tick(index, kind),
        }
    }

    pub(super) fn probe_done(&mut self, index: usize, kind: ProbeKind, outcome: Outcome) -> bool {
        if let Some(prober) = self.containers[index].probes.of(kind) {
            prober.ticket = None;
        }
        let success = match outcome {
            Outcome::Probe(Finding::Success | Finding::Warning) | Outcome::Done => Some(true),
            Outcome::Probe(Finding::Failure) => Some(false),
            _ => None,
        };
        self.found(index, kind, success)
    }

    /// One tick of a worker. Says whether what is published changed.
    fn tick(&mut self, index: usize, kind: ProbeKind) -> bool {
        let Some(target) = self.probe_target(index) else {
            return false;
        };
        let (now, since) = (self.now.mono, self.probing_since);
        let newest = self.newest(index);
        let Some((probe, prober)) = self.prober(index, kind) else {
            return false;
        };
        let before = prober.worker.result_of(newest);
        let tick = prober.worker.tick(probe, &target, since, now);
        let changed = prober.worker.result_of(newest) != before;
        match (tick, target.state) {
            (Tick::Run, _) => {
                prober.next = now + probe.period;
                let timeout = probe.timeout;
                self.run_probe(index, kind, timeout);
            }
            (Tick::Wait, TargetState::Running { started })
                if now < started + probe.initial_delay =>
            {
                let begins = started + probe.initial_delay;
                self.timers.arm(timer(index, kind), begins);
            }
            // On hold, or not its turn: who ends that asks again.
            (Tick::Wait | Tick::End, _) => {}
        }
        if changed {
            self.containers[index].probes.read(newest);
        }
        changed
    }

    fn run_probe(&mut self, index: usize, kind: ProbeKind, timeout: Duration) {
        let action = Action::Probe {
            container: self.name(index),
            attempt: self.newest(index),
            probe: kind,
        };
        let ticket = self.outbox.perform(action);
        if let Some(prober) = self.containers[index].probes.of(kind) {
            prober.ticket = Some(ticket);
        }
        self.timers.arm(timer(index, kind), self.now.mono + timeout);
    }

    /// A run is over: what it found, if anything.
    fn found(&mut self, index: usize, kind: ProbeKind, success: Option<bool>) -> bool {
        let Some((attempt, _)) = self.probed(index) else {
            return false;
        };
        let now = self.now.mono;
        let Some((probe, prober)) = self.prober(index, kind) else {
            return false;
        };
        let changed = success.is_some_and(|success| prober.worker.finding(probe, attempt, success));
        let (on_hold, next) = (prober.worker.on_hold(), prober.next.max(now));
        if on_hold {
            self.timers.disarm(timer(index, kind));
        } else {
            self.timers.arm(timer(index, kind), next);
        }
        match success {
            Some(true) => {}
            Some(false) => self.tell(index, ContainerChange::Unhealthy(kind)),
            None => self.tell(index, ContainerChange::ProbeErrored(kind)),
        }
        if changed {
            self.published(index, kind);
        }
        changed
    }

    /// A published result changed. The startup probe's success is what the other two wait for.
    fn published(&mut self, index: usize, kind: ProbeKind) {
        let attempt = self.newest(index);
        let probes = &mut self.containers[index].probes;
        probes.read(attempt);
        let success = probes.results.of(kind) == Some(ProbeResult::Success);
        self.tell(index, ContainerChange::Probed(kind, success));
        if kind == ProbeKind::Startup && success {
            self.tick(index, ProbeKind::Liveness);
            self.tick(index, ProbeKind::Readiness);
        }
        self.may_write();
    }

    /// A probe's numbers, and who runs it.
    fn prober(&mut self, index: usize, kind: ProbeKind) -> Option<(&ProbeView, &mut Prober)> {
        let probe = self.shape.containers[index].probe(kind)?;
        Some((probe, self.containers[index].probes.of(kind)?))
    }

    /// The attempt that runs, and since when.
    fn probed(&mut self, index: usize) -> Option<(u32, Now)> {
        let started = self.record.containers[index].running_since()?;
        let attempt = match self.injected(Fault::HoldNotCleared) {
            true => 0,
            false => self.newest(index),
        };
        Some((attempt, started))
    }

    /// What probes see of a container; none while it does not run.
    fn probe_target(&mut self, index: usize) -> Option<ProbeTarget> {
        let (attempt, started) = self.probed(index)?;
        let probes = &self.containers[index].probes;
        Some(ProbeTarget {
            attempt,
            state: TargetState::Running {
                started: started.mono,
            },
            started: is_started(
                &self.shape.containers[index],
                &probes.results,
                probes.was_started,
            ),
            sidecar: self.shape.containers[index].role == Role::Sidecar,
            pod_deleted: self.record.ending.is_some(),
        })
    }
}

/// Which probes go on while a container is being ended: none that could end it again.
pub(super) const ENDED_BY_KILL: &[ProbeKind] = &[ProbeKind::Liveness, ProbeKind::Startup];
/// All of them.
pub(super) const ALL: &[ProbeKind] = &[
    ProbeKind::Liveness,
    ProbeKind::Readiness,
    ProbeKind::Startup,
];

fn timer(index: usize, kind: ProbeKind) -> Due {
    Due::Container(index, ContainerTimer::of_probe(kind))
}
