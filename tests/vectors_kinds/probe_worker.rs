//! Probe workers tick by tick, which there are, and what statuses say of their results.

use std::collections::BTreeMap;
use std::time::Duration;

use podlife::lifecycle::ProbeKind;
use podlife::lifecycle::rules::condition::holds;
use podlife::lifecycle::rules::facts::{ProbeResult, Results, Seen};
use podlife::lifecycle::rules::phase::Statuses;
use podlife::lifecycle::rules::probe::{ProbeTarget, ProbeWorker, TargetState, Tick};
use podlife::lifecycle::rules::restart::{Restart, on_exit};
use podlife::lifecycle::rules::shape::{ContainerView, Role, Shape};
use podlife::lifecycle::rules::status::container::fill;
use podlife::model::{ConditionType, ContainerStatus, Phase, Pod, PodStatus};
use podlife::time::{Mono, Wall};
use serde_json::{Map, Value, json};

use super::observed::{list, text, time};
use super::{Answer, Case, lenient, same, sorted};

pub(crate) fn run(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    let shape = Shape::new(&pod);
    match case.op() {
        "worker" => worker(case, &shape),
        "podStatus" => Answer::Is(pod_status(case, &shape)),
        "workers" => {
            let workers = shape.containers.iter().flat_map(|view| {
                let worker =
                    |(kind, _)| json!({ "container": &*view.name, "probeType": word(kind) });
                view.workers().map(worker)
            });
            let got = json!({ "workers": sorted(&json!(workers.collect::<Vec<_>>())) });
            let expect = json!({ "workers": sorted(&case.expect["workers"]) });
            Answer::Judged(same(&expect, &got), got)
        }
        _ => Answer::UnknownOp,
    }
}

/// A case's steps, one worker over all of them.
fn worker(case: &Case, shape: &Shape) -> Answer {
    let index = shape
        .index(case.text("container"))
        .expect("a container that is not in the pod");
    let kind = kind(case.text("probeType"));
    let mut played = Played {
        worker: ProbeWorker::new(kind),
        shape,
        view: &shape.containers[index],
        ids: Vec::new(),
        since: time(&case.input["managerStartedAt"]).map_or(Mono::ZERO, mono),
    };
    let steps = list(&case.input["steps"])
        .iter()
        .map(|step| played.step(step));
    Answer::Covers(json!({ "steps": steps.collect::<Vec<_>>() }))
}

struct Played<'a> {
    worker: ProbeWorker,
    shape: &'a Shape,
    view: &'a ContainerView,
    /// Container ids by attempt number.
    ids: Vec<String>,
    since: Mono,
}

impl Played<'_> {
    fn step(&mut self, step: &Value) -> Value {
        let status: Option<PodStatus> = lenient(&step["podStatus"]).unwrap();
        let ended = status
            .as_ref()
            .is_some_and(|status| matches!(status.phase, Some(Phase::Succeeded | Phase::Failed)));
        if ended {
            return self.answer(false, false);
        }
        let all = status.iter().flat_map(|status| {
            status
                .container_statuses
                .iter()
                .chain(&status.init_container_statuses)
        });
        let is_named = |status: &&ContainerStatus| {
            let has_id = status
                .container_id
                .as_ref()
                .is_some_and(|id| !id.is_empty());
            status.name == *self.view.name && has_id
        };
        let all_restart = status
            .as_ref()
            .is_some_and(|status| restarts_all(self.shape, status));
        let mut named = all.filter(is_named);
        let Some(target) = named
            .next()
            .map(|status| self.target(status, all_restart, step["podDeleted"] == true))
        else {
            return self.answer(true, false);
        };
        let probe = *self
            .view
            .probe(self.worker.kind())
            .expect("a probe that is not in the pod");
        let now = mono(time(&step["now"]).expect("a step without now"));
        let tick = self.worker.tick(&probe, &target, self.since, now);
        if tick == Tick::Run {
            match text(step, "probeResult") {
                "Success" => self.worker.finding(&probe, target.attempt, true),
                "Failure" => self.worker.finding(&probe, target.attempt, false),
                "Error" | "" => false,
                other => panic!("a probe result {other}"),
            };
        }
        self.answer(tick != Tick::End, tick == Tick::Run)
    }

    fn target(
        &mut self,
        status: &ContainerStatus,
        all_restart: bool,
        pod_deleted: bool,
    ) -> ProbeTarget {
        let id = status.container_id.as_deref().unwrap_or_default();
        let known = self.ids.iter().position(|known| known == id);
        let attempt = known.unwrap_or_else(|| {
            self.ids.push(id.to_owned());
            self.ids.len() - 1
        });
        let state = status.state.clone().unwrap_or_default();
        let state = match (state.running, state.terminated) {
            (Some(running), _) => TargetState::Running {
                started: mono(running.started_at.unwrap_or_default()),
            },
            (None, Some(ended)) => TargetState::Terminated {
                restarts: all_restart || on_exit(self.view, ended.exit_code).restarts(),
            },
            (None, None) => TargetState::Waiting,
        };
        ProbeTarget {
            attempt: u32::try_from(attempt).unwrap(),
            state,
            started: status.started == Some(true),
            sidecar: self.view.role == Role::Sidecar,
            pod_deleted,
        }
    }

    fn answer(&self, goes_on: bool, probed: bool) -> Value {
        json!({
            "continue": goes_on,
            "published": self.worker.published().map(|result| format!("{result:?}")),
            "probed": probed,
            "onHold": self.worker.on_hold(),
            "resultRun": self.worker.run(),
        })
    }
}

/// Whether a published status says that all containers restart: by its condition, or by an exit that asks for it.
fn restarts_all(shape: &Shape, status: &PodStatus) -> bool {
    let statuses = Statuses {
        init: &status.init_container_statuses,
        regular: &status.container_statuses,
    };
    let asks = |index: &usize| {
        let view = &shape.containers[*index];
        let state = statuses.of(view).and_then(|status| status.state.clone());
        let ended = state.and_then(|state| state.terminated);
        ended.is_some_and(|ended| on_exit(view, ended.exit_code) == Restart::All)
    };
    holds(&status.conditions, &ConditionType::AllContainersRestarting)
        || shape.init.iter().chain(&shape.regular).any(asks)
}

/// A case's clock starts where `Wall` does, so the two run together; both are whole seconds here.
fn mono(wall: Wall) -> Mono {
    Mono::ZERO + Duration::from_nanos(u64::try_from(wall.as_nanos()).unwrap())
}

fn pod_status(case: &Case, shape: &Shape) -> Value {
    let status: PodStatus = case.read("podStatus");
    let results = &case.input["results"];
    let mut lists = BTreeMap::new();
    for (key, list) in [
        ("containers", status.container_statuses),
        ("initContainers", status.init_container_statuses),
    ] {
        let filled = list.into_iter().map(|mut status| {
            let view = &shape.containers[shape.index(&status.name).unwrap()];
            let id = status.container_id.clone().unwrap_or_default();
            let of = |kind| match results[word(kind)][&id].as_str()? {
                "Success" => Some(ProbeResult::Success),
                "Failure" => Some(ProbeResult::Failure),
                _ => Some(ProbeResult::Unknown),
            };
            let results = Results {
                liveness: of(ProbeKind::Liveness),
                readiness: of(ProbeKind::Readiness),
                startup: of(ProbeKind::Startup),
            };
            fill(
                &mut status,
                view,
                &Seen {
                    results,
                    ..Seen::default()
                },
            );
            let said = json!({ "started": status.started, "ready": status.ready });
            (status.name, said)
        });
        let filled: Map<String, Value> = filled.collect();
        if !filled.is_empty() {
            lists.insert(key, filled);
        }
    }
    json!(lists)
}

fn kind(word: &str) -> ProbeKind {
    match word {
        "liveness" => ProbeKind::Liveness,
        "readiness" => ProbeKind::Readiness,
        "startup" => ProbeKind::Startup,
        other => panic!("a probe of type {other}"),
    }
}

fn word(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Liveness => "liveness",
        ProbeKind::Readiness => "readiness",
        ProbeKind::Startup => "startup",
    }
}
