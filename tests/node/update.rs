//! Living pods that change: resources in place, sidecars that come and go, restarts.

use std::time::Duration;

use podlife::Kind;
use podlife::lifecycle::rules::resize::Amounts;
use podlife::model::{ConditionType, PodStatus};
use podlife::node::{Delete, EventKind, Node, PodId, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, shell, spec, valid, with};

const SLEEP: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done";

fn limited(name: &str, memory: &str) -> Value {
    with(shell(name, SLEEP), resources(memory))
}

fn resources(memory: &str) -> Value {
    json!({ "resources": { "limits": { "memory": memory }, "requests": { "memory": memory, "cpu": "10m" } } })
}

fn condition(status: &PodStatus, type_: &ConditionType) -> Option<(String, String)> {
    let found = status.conditions.iter().find(|one| one.type_ == *type_)?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some((text(&found.reason), text(&found.message)))
}

fn memory(node: &Node, id: PodId, name: &str) -> (String, String) {
    let status = container(node.pod(id).unwrap().status(), name).clone();
    (
        status.resources.unwrap().limits["memory"].to_string(),
        status.allocated_resources["memory"].to_string(),
    )
}

fn restarts(node: &Node, id: PodId, name: &str) -> i32 {
    container(node.pod(id).unwrap().status(), name).restart_count
}

#[test]
fn resources_change_in_place() {
    let mut hosted = Hosted::ephemeral();
    let manifest = |memory: &str| pod("grows", "Always", json!([limited("main", memory)]));
    let id = hosted.create(&manifest("64Mi"));
    hosted.wait(id, Until::Ready);
    assert_eq!(
        memory(&hosted.node, id, "main"),
        ("64Mi".into(), "64Mi".into())
    );
    hosted.node.update(id, valid(&manifest("96Mi"))).unwrap();
    let started = hosted.until("ResizeStarted", "").message();
    let text = r#"{"containers":[{"name":"main","resources":{"limits":{"memory":"96Mi"},"requests":{"cpu":"10m","memory":"96Mi"}}}],"generation":0}"#;
    assert_eq!(started, format!("Pod resize started: {text}"));
    let completed = hosted.until("ResizeCompleted", "").message();
    assert_eq!(completed, format!("Pod resize completed: {text}"));
    assert_eq!(
        memory(&hosted.node, id, "main"),
        ("96Mi".into(), "96Mi".into())
    );
    assert_eq!(restarts(&hosted.node, id, "main"), 0);
    let status = hosted.node.pod(id).unwrap().status().clone();
    assert_eq!(
        condition(&status, &ConditionType::PodResizeInProgress),
        None
    );
    hosted.delete(id);
    hosted.end();
}

#[test]
fn a_container_that_wants_it_restarts_for_its_resources() {
    let mut hosted = Hosted::ephemeral();
    let policy = json!({ "resizePolicy": [{ "resourceName": "memory", "restartPolicy": "RestartContainer" }] });
    let manifest = |memory: &str| {
        let main = with(limited("main", memory), policy.clone());
        pod("anew", "OnFailure", json!([main, limited("other", memory)]))
    };
    let id = hosted.create(&manifest("64Mi"));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "up");
    hosted.node.update(id, valid(&manifest("96Mi"))).unwrap();
    hosted.until("Killing", "Container main resize requires restart");
    hosted.until("ResizeCompleted", "");
    assert_eq!(
        memory(&hosted.node, id, "main"),
        ("96Mi".into(), "96Mi".into())
    );
    hosted.wait(id, Until::Ready);
    assert_eq!(restarts(&hosted.node, id, "main"), 1);
    assert_eq!(restarts(&hosted.node, id, "other"), 0);
    hosted.delete(id);
    hosted.end();
}

/// Memory is not taken away from under what uses it; what is restarted anyway may use more than it will have.
#[test]
fn a_resize_in_place_leaves_alone_what_restarts_beside_it() {
    if super::limits::skipped("a resize beside a restart") {
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let policy = json!({ "resizePolicy": [{ "resourceName": "memory", "restartPolicy": "RestartContainer" }] });
    let hungry = format!("x=$(head -c 24M /dev/zero | tr '\\0' x); {SLEEP}");
    let manifest = |memory: &str| {
        let main = with(shell("main", &hungry), resources(memory));
        let main = with(main, policy.clone());
        pod("anew", "Always", json!([main, limited("other", memory)]))
    };
    let id = hosted.create(&manifest("128Mi"));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "up");
    hosted.node.update(id, valid(&manifest("16Mi"))).unwrap();
    hosted.until("Killing", "Container main resize requires restart");
    hosted.until("ResizeCompleted", "");
    assert!(!hosted.reasons().contains(&"ResizeError".to_owned()));
    assert_eq!(restarts(&hosted.node, id, "other"), 0);
    let other = super::limits::cgroup(id).join("other.0");
    assert_eq!(
        super::limits::value(&other, "memory.max"),
        (16 << 20).to_string()
    );
    hosted.kill(id);
    hosted.end();
}

/// What the host never has, and what it has not now.
#[test]
fn a_resize_waits_for_room() {
    let _before = Before::now();
    let room = Amounts {
        memory: "200Mi".parse().ok(),
        cpu: None,
    };
    let mut node = before::open(Node::options().capacity(room));
    let manifest =
        |name: &str, memory: &str| valid(&pod(name, "Always", json!([limited("main", memory)])));
    let other = node.create(manifest("other", "100Mi")).unwrap();
    let id = node.create(manifest("wants", "64Mi")).unwrap();
    node.wait(other, Until::Ready, LONG).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    node.update(id, manifest("wants", "300Mi")).unwrap();
    let pending = |node: &Node| {
        condition(
            node.pod(id).unwrap().status(),
            &ConditionType::PodResizePending,
        )
    };
    let why = "Node didn't have enough capacity: memory, requested: 314572800, capacity: 209715200";
    assert_eq!(pending(&node), Some(("Infeasible".into(), why.into())));
    assert_eq!(memory(&node, id, "main"), ("64Mi".into(), "64Mi".into()));
    node.update(id, manifest("wants", "150Mi")).unwrap();
    let why = "Node didn't have enough resource: memory, requested: 157286400, used: 104857600, capacity: 209715200";
    assert_eq!(pending(&node), Some(("Deferred".into(), why.into())));
    node.delete(other, Delete::now()).unwrap();
    let completed = |_: &Node, event: &podlife::node::Event| event.reason() == "ResizeCompleted";
    node.run_until(LONG, completed).unwrap();
    assert_eq!(pending(&node), None);
    assert_eq!(memory(&node, id, "main"), ("150Mi".into(), "150Mi".into()));
    node.drain(Duration::from_secs(2)).unwrap();
}

#[test]
fn what_cannot_change_is_forbidden_with_its_path() {
    let mut hosted = Hosted::ephemeral();
    let manifest = pod("fixed", "Always", json!([shell("main", SLEEP)]));
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Ready);
    let mut other = manifest.clone();
    other["spec"]["containers"][0]["command"] = json!(["/bin/true"]);
    other["spec"]["hostNetwork"] = json!(true);
    let error = hosted.node.update(id, valid(&other)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    for field in [
        "spec.containers[0].command: forbidden",
        "spec.hostNetwork: forbidden",
    ] {
        assert!(error.to_string().contains(field), "{error}");
    }
    hosted.delete(id);
    assert_eq!(
        hosted.node.update(id, valid(&manifest)).unwrap_err().kind(),
        Kind::NotFound
    );
    hosted.end();
}

/// OpenKruise's SidecarSet, in a living pod: the others do not notice.
#[test]
fn sidecars_come_change_and_go() {
    let mut hosted = Hosted::ephemeral();
    let manifest = |sidecars: Value| {
        spec(
            pod("beside", "Always", json!([limited("main", "64Mi")])),
            json!({ "initContainers": sidecars }),
        )
    };
    let sidecar = |name: &str, image: &str| {
        let more = json!({ "image": image, "restartPolicy": "Always" });
        with(with(limited(name, "32Mi"), more), json!({}))
    };
    let host = "podlife.local/host";
    let id = hosted.create(&manifest(json!([])));
    hosted.wait(id, Until::Ready);
    hosted
        .node
        .update(id, valid(&manifest(json!([sidecar("proxy", host)]))))
        .unwrap();
    hosted.until("Started", "proxy");
    hosted.seen.clear();
    let newer = sidecar("proxy", "podlife.local/host:latest");
    hosted
        .node
        .update(id, valid(&manifest(json!([newer, sidecar("more", host)]))))
        .unwrap();
    hosted.until("Killing", "proxy definition changed");
    hosted.until("Started", "more");
    hosted.until("Started", "proxy");
    hosted
        .node
        .update(id, valid(&manifest(json!([sidecar("more", host)]))))
        .unwrap();
    hosted.until("Exited", "proxy");
    let status = hosted.node.pod(id).unwrap().status().clone();
    assert_eq!(status.init_container_statuses.len(), 1);
    assert_eq!(restarts(&hosted.node, id, "main"), 0);
    hosted.delete(id);
    hosted.end();
}

#[test]
fn one_container_or_all_restart_on_request() {
    let mut hosted = Hosted::ephemeral();
    let containers = json!([shell("a", SLEEP), shell("b", SLEEP), shell("once", "true")]);
    let id = hosted.create(&pod("again", "Never", containers));
    hosted.printed(id, "a", "up");
    hosted.printed(id, "b", "up");
    hosted.until("Exited", "once");
    hosted.node.restart(id, Some("a")).unwrap();
    hosted.until("Killing", "Container a will be restarted on request");
    hosted.until("Exited", "Container a");
    hosted.seen.clear();
    hosted.until("Started", "a");
    hosted.node.restart(id, Some("once")).unwrap();
    hosted.until("Started", "once");
    let counts = ["a", "b", "once"].map(|name| restarts(&hosted.node, id, name));
    assert_eq!(counts, [1, 0, 1]);
    let error = hosted.node.restart(id, Some("nobody")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    hosted.seen.clear();
    hosted.node.restart(id, None).unwrap();
    hosted.until("Killing", "Container b will be restarted");
    hosted.seen.clear();
    hosted.until("Started", "b");
    hosted.kill(id);
    hosted.end();
}

/// Who is held back is not any more.
#[test]
fn a_restart_does_not_wait_for_the_back_off() {
    let mut hosted = Hosted::ephemeral();
    let mut manifest = pod("loop", "Always", json!([shell("main", "exit 1")]));
    manifest["metadata"]["annotations"] =
        json!({ "podlife.io/crashBackOff": r#"{"initial": "300s", "max": "300s"}"# });
    let id = hosted.create(&manifest);
    hosted.until("BackOff", "");
    hosted.seen.clear();
    hosted.node.restart(id, Some("main")).unwrap();
    // `until` waits less long than the back-off.
    hosted.until("Started", "main");
    hosted.kill(id);
    let error = hosted.node.restart(id, None).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(
        !hosted
            .seen
            .iter()
            .any(|event| matches!(event.kind, EventKind::Lagged { .. }))
    );
    hosted.end();
}

/// What is counted where, by the cgroup that there is, or by none.
#[test]
fn use_is_read_from_cgroups_as_far_as_there_are_any() {
    let mut hosted = Hosted::ephemeral();
    let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 1000";
    let containers = json!([shell("busy", busy), shell("ended", "true")]);
    let id = hosted.create(&pod("used", "Never", containers));
    hosted.printed(id, "busy", "done");
    hosted.until("Exited", "Container ended");
    let stats = hosted.node.stats(id).unwrap();
    let names: Vec<_> = stats.containers.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["busy"]);
    let own = &stats.containers[0].usage;
    match (&stats.usage.cpu, &own.cpu) {
        (Some(whole), Some(part)) => {
            assert!(
                part.usage > Duration::ZERO && whole.usage >= part.usage,
                "{stats:?}"
            );
            assert_eq!(own.processes, Some(1));
            assert!(
                stats.usage.processes > Some(1),
                "pause is counted: {stats:?}"
            );
        }
        (None, None) => println!("skipped: node: use of a pod: there is no cgroup"),
        other => panic!("{other:?}"),
    }
    if let Some(memory) = own.memory {
        assert!(memory.working_set() > 0 && memory.working_set() <= memory.current);
    }
    hosted.kill(id);
    assert_eq!(hosted.node.stats(id).unwrap_err().kind(), Kind::NotFound);
    hosted.end();
}

/// Another thread changes a pod as its own thread does.
#[test]
fn a_handle_has_the_same_verbs() {
    use podlife::model::EphemeralContainer;
    use podlife::node::Cursor;
    let _before = Before::now();
    let mut node = before::ephemeral();
    let handle = node.handle();
    let manifest = |memory: &str| valid(&pod("far", "Always", json!([limited("main", memory)])));
    let other = std::thread::spawn(move || {
        let mut watch = handle.watch(Cursor::START);
        let mut until = |reason: &str| while watch.next().unwrap().reason() != reason {};
        let id = handle.create(manifest("64Mi")).wait(LONG).unwrap();
        until("Started");
        handle.update(id, manifest("96Mi")).wait(LONG).unwrap();
        until("ResizeCompleted");
        let eye = EphemeralContainer::new("eye", "podlife.local/host").command(["sleep", "1000"]);
        handle.debug(id, eye).wait(LONG).unwrap();
        until("Started");
        assert_eq!(handle.stats(id).wait(LONG).unwrap().containers.len(), 2);
        handle.restart(id, Some("main")).wait(LONG).unwrap();
        until("Killing");
        until("Started");
        handle.delete(id, Delete::now()).wait(LONG).unwrap();
        until("Deleted");
        handle.close().wait(LONG).unwrap();
    });
    let stopped = node.run_until(LONG, |_, _| false).unwrap_err();
    assert_eq!(stopped.kind(), Kind::NodeClosed);
    other.join().unwrap();
}
