//! Container statuses, the whole status, and what becomes of it.

use podlife::lifecycle::Eviction;
use podlife::lifecycle::rules::deadline::{DEADLINE_EXCEEDED, deadline};
use podlife::lifecycle::rules::facts::PodFacts;
use podlife::lifecycle::rules::restart_count::restart_count_from_logs;
use podlife::lifecycle::rules::shape::Shape;
use podlife::lifecycle::rules::status::container::{Around, any_regular_created, convert};
use podlife::lifecycle::rules::status::image_volume::write_image_refs;
use podlife::lifecycle::rules::status::merge::merge;
use podlife::lifecycle::rules::status::terminate::{has_initialized, terminate};
use podlife::lifecycle::rules::status::transition::{is_legal, last_transition_time};
use podlife::lifecycle::rules::status::{begin, conditions, containers, settle};
use podlife::model::{ConditionType, ContainerStatus, Pod, PodStatus};
use podlife::time::{Mono, Wall};
use serde_json::{Map, Value, json};

use super::observed::{World, brief, list, state_brief, text, time};
use super::{Answer, Case, covers, same, sorted};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "convertContainerStatuses" => convert_statuses(case),
        "generatePodStatus" => generate(case),
        "terminatePod" => terminate_pod(case),
        "mergePodStatus" => merge_status(case),
        "stateTransition" => {
            let pod: Pod = case.read("pod");
            let (old, new) = (case.read("old"), case.read("new"));
            Answer::Is(json!({ "allowed": is_legal(&Shape::new(&pod), &old, &new) }))
        }
        "activeDeadline" => active_deadline(case),
        "restartCountFromLogs" => {
            let files: Vec<String> = case.read("files");
            let count = restart_count_from_logs(files.iter().map(String::as_str));
            Answer::Is(json!({ "restartCount": count }))
        }
        "lastTransitionTime" => {
            let (old, new): (PodStatus, PodStatus) = (case.read("old"), case.read("new"));
            let type_ = ConditionType::from(case.text("condition"));
            let at = last_transition_time(&old.conditions, &new.conditions, &type_, now(case));
            Answer::Is(json!({ "lastTransitionTime": at }))
        }
        "imageVolumeStatus" => image_volume(case),
        _ => Answer::UnknownOp,
    }
}

fn now(case: &Case) -> Wall {
    time(&case.input["now"]).unwrap_or_default()
}

fn convert_statuses(case: &Case) -> Answer {
    let world = World::new(&case.input["pod"], &case.input["observed"], &Value::Null);
    let world = world.start_errors(&case.input["startErrors"]);
    let shape = &world.shape;
    let indexes = match case.text("which") {
        "containers" => &shape.regular,
        "initContainers" => &shape.init,
        _ => &shape.ephemeral,
    };
    let mut by_slot = indexes.clone();
    by_slot.sort_by_key(|index| shape.containers[*index].slot);
    let previous: Option<Vec<ContainerStatus>> = case.read("previousStatuses");
    let previous = previous.unwrap_or_default();
    let around = Around {
        pod_deleted: world.is_deleted(),
        restarting_all: case.input["allContainersRestarting"] == true,
        regular_created: any_regular_created(shape, None, |index| world.seen(index)),
    };
    let converted = by_slot.into_iter().map(|index| {
        let name = world.name(index);
        let old = previous.iter().find(|status| status.name == name).cloned();
        let mut status = old.unwrap_or_default();
        name.clone_into(&mut status.name);
        world.adopt(&mut status);
        convert(&mut status, shape, index, &world.seen(index), around);
        brief(&status)
    });
    let got = json!({ "statuses": converted.collect::<Vec<_>>() });
    let expect = json!({ "statuses": briefs(&case.expect["statuses"]) });
    Answer::Judged(same(&expect, &got), got)
}

/// Statuses of an expectation, absent and `{}` made equal.
fn briefs(statuses: &Value) -> Vec<Value> {
    let brief = |status: &Value| {
        json!({
            "name": status["name"],
            "state": state_brief(&status["state"]),
            "lastState": state_brief(&status["lastState"]),
            "restartCount": status["restartCount"],
        })
    };
    list(statuses).iter().map(brief).collect()
}

fn generate(case: &Case) -> Answer {
    let observed = &case.input["observed"];
    let world = World::new(
        &case.input["pod"],
        &observed["containers"],
        &observed["sandboxes"],
    );
    let (shape, stored) = (&world.shape, &world.pod.status);
    let seen = |index: usize| world.seen(index);
    let evict = &case.input["evict"];
    let eviction = evict.is_object().then(|| Eviction {
        reason: text(evict, "reason").to_owned().into(),
        message: text(evict, "message").into(),
        grace: None,
    });
    let pod = PodFacts {
        sandboxes: &world.sandboxes,
        deleted: world.is_deleted(),
        terminal: case.input["podIsTerminal"] == true,
        decided: None,
        eviction: eviction.as_ref(),
        resizing: None,
    };
    let previous: Option<PodStatus> = case.read("previousStatus");
    let previous = previous.unwrap_or_else(|| stored.clone());
    // The steps of `status::generate`, with the stub that the upstream table has between the second and the third.
    let mut status = begin(&previous, stored);
    status
        .init_container_statuses
        .iter_mut()
        .chain(&mut status.container_statuses)
        .for_each(|status| world.adopt(status));
    containers(&mut status, shape, &pod, seen);
    if case.input["allContainersReady"] == true {
        status
            .container_statuses
            .iter_mut()
            .for_each(|status| status.ready = true);
    }
    let decided = settle(&mut status, shape, stored, &pod, seen);
    conditions(&mut status, shape, &pod, seen, &decided, now(case));
    let got = json!({
        "phase": status.phase,
        "reason": status.reason.as_deref().unwrap_or_default(),
        "message": status.message.as_deref().unwrap_or_default(),
        "conditions": condition_set(&json!(status.conditions)),
        "containerStatuses": status.container_statuses.iter().map(brief).collect::<Vec<_>>(),
    });
    let mut expect = case.expect.clone();
    expect["conditions"] = condition_set(&expect["conditions"]);
    expect["containerStatuses"] = json!(briefs(&expect["containerStatuses"]));
    let types = |status: &Value| status["conditions"].as_object().map(|set| set.len());
    Answer::Judged(covers(&expect, &got) && types(&expect) == types(&got), got)
}

/// Conditions by type. A reason that is not there is "" in what was got, and not compared where nothing is expected.
fn condition_set(conditions: &Value) -> Value {
    let by_type = list(conditions).iter().map(|condition| {
        let mut condition = condition.clone();
        if condition["lastTransitionTime"].is_string() {
            let reason = condition["reason"].as_str().unwrap_or_default().to_owned();
            condition = json!({ "type": condition["type"], "status": condition["status"], "reason": reason });
        }
        (text(&condition, "type").to_owned(), condition)
    });
    Value::Object(by_type.collect::<Map<_, _>>())
}

fn terminate_pod(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    let shape = Shape::new(&pod);
    let cached: Option<PodStatus> = case.read("cachedStatus");
    let mut status = cached.unwrap_or_else(|| pod.status.clone());
    terminate(&mut status, &shape, has_initialized(&shape, &pod.status));
    let by_name = |list: &[ContainerStatus]| {
        let states = list.iter().map(|status| {
            let brief = brief(status);
            (
                status.name.clone(),
                json!({ "state": brief["state"], "lastState": brief["lastState"] }),
            )
        });
        states.collect::<Map<_, _>>()
    };
    Answer::Covers(json!({
        "phase": status.phase,
        "containers": by_name(&status.container_statuses),
        "initContainers": by_name(&status.init_container_statuses),
    }))
}

fn merge_status(case: &Case) -> Answer {
    let old: PodStatus = case.read("old");
    let merged = merge(
        &old,
        case.read("new"),
        case.input["couldHaveRunningContainers"] == true,
    );
    let conditions = merged.conditions.iter().map(|condition| {
        json!({
            "type": condition.type_,
            "status": condition.status,
            "reason": condition.reason.as_deref().unwrap_or_default(),
        })
    });
    let got = json!({
        "phase": merged.phase,
        "reason": merged.reason.as_deref().unwrap_or_default(),
        "message": merged.message.as_deref().unwrap_or_default(),
        "conditions": sorted(&json!(conditions.collect::<Vec<_>>())),
    });
    let mut expect = case.expect.clone();
    expect["conditions"] = sorted(&expect["conditions"]);
    Answer::Judged(same(&expect, &got), got)
}

fn active_deadline(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    // The case's clock as monotonic time: whole seconds since 1970.
    let mono = |wall: Wall| Mono::from_nanos(u64::try_from(wall.as_nanos()).unwrap());
    let passes = deadline(
        pod.status.start_time.map(mono),
        pod.spec.active_deadline_seconds,
    );
    let exceeded = passes.is_some_and(|passes| mono(now(case)) >= passes);
    let mut got = json!({ "exceeded": exceeded });
    if exceeded {
        got["phase"] = json!("Failed");
        got["reason"] = json!(DEADLINE_EXCEEDED);
    }
    Answer::Covers(got)
}

fn image_volume(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    let mut statuses: Vec<ContainerStatus> = case.read("previousStatuses");
    let mut mounts = Map::new();
    for status in &mut statuses {
        write_image_refs(status, &pod.spec.volumes, |reference| {
            case.input["imageRefs"][reference].as_str()
        });
        mounts.insert(status.name.clone(), json!(status.volume_mounts));
    }
    Answer::Is(json!({ "volumeMounts": mounts }))
}
