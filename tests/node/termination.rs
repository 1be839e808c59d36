//! What containers say at their end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use podlife::model::ContainerStateTerminated;
use podlife::node::{Delete, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, shell, valid, with};
use super::recovery::State;
use super::volumes::Directory;

fn ended(hosted: &mut Hosted, manifest: &Value, name: &str) -> Box<ContainerStateTerminated> {
    let id = hosted.create(manifest);
    let _ = hosted.node.wait(id, Until::Finished, LONG);
    let status = hosted.node.pod(id).unwrap().status().clone();
    hosted.delete(id);
    container(&status, name)
        .state
        .clone()
        .unwrap()
        .terminated
        .unwrap()
}

#[test]
fn a_message_is_what_the_file_says() {
    let mut hosted = Hosted::ephemeral();
    let script = "stat -c %a /dev/termination-log > /dev/termination-log; echo printed; exit 3";
    let state = ended(
        &mut hosted,
        &pod("file", "Never", json!([shell("main", script)])),
        "main",
    );
    assert_eq!(state.message.as_deref(), Some("666\n"));
    assert_eq!(
        (state.exit_code, state.reason.as_deref()),
        (3, Some("Error"))
    );
    // Success has one too; its end counts, at most 4096 bytes of it.
    let script = "{ head -c 5000 /dev/zero | tr '\\0' a; echo end; } > /tmp/why";
    let main = with(
        shell("main", script),
        json!({ "terminationMessagePath": "/tmp/why" }),
    );
    let message = ended(&mut hosted, &pod("long", "Never", json!([main])), "main")
        .message
        .unwrap();
    assert_eq!((message.len(), &message[4090..]), (4096, "aaend\n"));
    hosted.end();
}

/// Four containers have 3072 bytes each.
#[test]
fn the_containers_of_a_pod_share_12_kib() {
    let mut hosted = Hosted::ephemeral();
    let script = "head -c 4000 /dev/zero | tr '\\0' a > /dev/termination-log";
    let containers: Vec<Value> = (0..4).map(|i| shell(&format!("c{i}"), script)).collect();
    let state = ended(&mut hosted, &pod("share", "Never", json!(containers)), "c3");
    assert_eq!(state.message.unwrap().len(), 3072);
    hosted.end();
}

#[test]
fn an_error_without_a_message_is_told_by_the_log() {
    let mut hosted = Hosted::ephemeral();
    let policy = json!({ "terminationMessagePolicy": "FallbackToLogsOnError" });
    let last = |hosted: &mut Hosted, script: &str| {
        let main = with(shell("main", script), policy.clone());
        ended(hosted, &pod("log", "Never", json!([main])), "main").message
    };
    let lines: String = (21..=100).map(|line| format!("{line}\n")).collect();
    assert_eq!(last(&mut hosted, "seq 1 100; exit 1"), Some(lines));
    let long = last(
        &mut hosted,
        "head -c 3000 /dev/zero | tr '\\0' a; echo; exit 1",
    )
    .unwrap();
    assert_eq!((long.len(), long.ends_with("aa\n")), (2048, true));
    assert_eq!(
        last(
            &mut hosted,
            "echo said > /dev/termination-log; echo no; exit 1"
        )
        .as_deref(),
        Some("said\n")
    );
    assert_eq!(last(&mut hosted, "echo no"), None);
    hosted.end();
}

/// A container that ends while no Node is there.
#[test]
fn a_message_waits_for_the_next_node() {
    let before = Before::now();
    let directory = Directory::new("message");
    let mut node = before::open(super::recovery::options(&directory.0));
    let script = "until [ -e /run/go/now ]; do sleep 0.02; done; echo last words > /dev/termination-log; exit 4";
    let main = with(
        shell("main", script),
        json!({ "volumeMounts": [{ "name": "go", "mountPath": "/run/go" }] }),
    );
    let mut manifest = pod("waits", "OnFailure", json!([main]));
    let go = directory.0.join("go");
    manifest["spec"]["volumes"] =
        json!([{ "name": "go", "hostPath": { "path": go, "type": "DirectoryOrCreate" } }]);
    let id = node.create(&*manifest.to_string()).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    drop(node);
    std::fs::write(go.join("now"), "").unwrap();
    let mut node = before::open(super::recovery::options(&directory.0));
    let mut message = None;
    while message.is_none() {
        node.turn(Some(LONG)).unwrap();
        let status = node.pod(id).unwrap().status().clone();
        let main = container(&status, "main");
        let states = [main.state.clone(), main.last_state.clone()];
        let mut ended = states
            .into_iter()
            .flatten()
            .filter_map(|state| state.terminated);
        message = ended
            .find(|ended| ended.exit_code == 4)
            .map(|ended| ended.message);
    }
    assert_eq!(message.unwrap().as_deref(), Some("last words\n"));
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    super::recovery::remove_cgroup(&directory.0);
    drop((directory, before));
}

/// It is in the memory of the pod, which runs on.
#[test]
fn a_message_that_is_on_record_is_not_kept_in_the_pod() {
    let _before = Before::now();
    let state = State::new("message");
    let mut node = state.node();
    let wrote = shell("wrote", "echo why > /dev/termination-log; exit 3");
    let containers = json!([wrote, shell("runs", "exec sleep 1000")]);
    let id = node
        .create(valid(&pod("message", "Never", containers)))
        .unwrap();
    node.run_until(LONG, |_, event| event.reason() == "Exited")
        .unwrap();
    let pid = state.pause(id).pid().unwrap().unwrap();
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let places = mounts.lines().map(|line| line.split(' ').nth(4).unwrap());
    let mut places = places.map(|at| PathBuf::from(format!("/proc/{pid}/root{at}/messages")));
    let messages = places.find(|place| place.is_dir()).unwrap();
    let kept = || {
        let all = std::fs::read_dir(&messages).unwrap().flatten();
        let mut names: Vec<_> = all
            .map(|one| one.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let until = Instant::now() + LONG;
    while kept() != ["runs.0"] {
        assert!(Instant::now() < until, "{:?}", kept());
        node.turn(Some(Duration::from_millis(1))).unwrap();
    }
    let status = node.pod(id).unwrap().status().clone();
    let ended = container(&status, "wrote")
        .state
        .clone()
        .unwrap()
        .terminated
        .unwrap();
    assert_eq!(ended.message.as_deref(), Some("why\n"));
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    state.check();
}
