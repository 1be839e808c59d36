//! Pods that do something and end.

use podlife::model::Phase;
use podlife::node::{LogOptions, Stream, Until};
use podlife::{Kind, Node};
use serde_json::json;
use std::io::Read;

use super::hosted::{Hosted, LONG, container, exit_code, pod, shell, spec, valid};

#[test]
fn a_job_prints_and_succeeds() {
    let mut hosted = Hosted::ephemeral();
    let id = hosted.create(&pod(
        "job",
        "Never",
        json!([shell("main", "echo hello; echo oh >&2")]),
    ));
    let status = hosted.wait(id, Until::Finished);
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert_eq!(exit_code(&container(&status, "main").state), Some(0));
    assert_eq!(hosted.logs(id, "main"), "hello\noh\n");
    let mut only = String::new();
    let options = LogOptions {
        stream: Some(Stream::Stderr),
        ..LogOptions::default()
    };
    hosted
        .node
        .logs(id, "main", options)
        .unwrap()
        .read_to_string(&mut only)
        .unwrap();
    assert_eq!(only, "oh\n");
    hosted.delete(id);
    hosted.end();
}

#[test]
fn a_failing_job_fails() {
    let mut hosted = Hosted::ephemeral();
    let id = hosted.create(&pod(
        "job",
        "Never",
        json!([shell("main", "exit 3"), shell("other", "exit 5")]),
    ));
    let error = hosted.node.wait(id, Until::Finished, LONG).unwrap_err();
    assert_eq!(error.kind(), Kind::PodFailed, "{error}");
    let status = hosted.node.pod(id).unwrap().status().clone();
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(exit_code(&container(&status, "main").state), Some(3));
    let state = container(&status, "other")
        .state
        .clone()
        .unwrap()
        .terminated
        .unwrap();
    assert_eq!(
        (state.exit_code, state.reason.as_deref()),
        (5, Some("Error"))
    );
    hosted.delete(id);
    hosted.end();
}

/// What a container sees: its own processes, names, files; no descriptor of anyone else.
#[test]
fn a_container_sees_what_is_its_own() {
    let mut hosted = Hosted::ephemeral();
    let script = "echo pid $$$$; ls /proc | grep -c '^[0-9]'; hostname; ls /proc/self/fd | wc -l; cat /etc/hostname; \
                  touch /usr/x 2>/dev/null || echo read-only; touch /tmp/x && echo writable; echo $WHO $FIELD; \
                  ls /dev | tr '\\n' ' '; echo; cat /proc/1/cgroup | grep ^0:";
    let main = super::hosted::with(
        shell("main", script),
        json!({ "env": [
            { "name": "WHO", "value": "me" },
            { "name": "FIELD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }] }),
    );
    let id = hosted.create(&spec(
        pod("seen", "Never", json!([main])),
        json!({ "hostname": "here" }),
    ));
    hosted.wait(id, Until::Finished);
    let text = hosted.logs(id, "main");
    let lines: Vec<&str> = text.lines().collect();
    // The shell, grep and ls; and ls has a descriptor for the directory.
    assert_eq!(
        lines[..8],
        [
            "pid 1",
            "3",
            "here",
            "4",
            "here",
            "read-only",
            "writable",
            "me seen"
        ],
        "{text}"
    );
    assert_eq!(
        lines[8].trim(),
        "fd full mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero"
    );
    assert_eq!(lines.get(9).copied().unwrap_or("0::/"), "0::/");
    hosted.delete(id);
    hosted.end();
}

#[test]
fn two_containers_share_network_and_volume() {
    let mut hosted = Hosted::ephemeral();
    let mount = json!({ "volumeMounts": [{ "name": "shared", "mountPath": "/data" }] });
    let writer = super::hosted::with(
        shell("writer", "echo from the writer > /data/x"),
        mount.clone(),
    );
    let reader = shell(
        "reader",
        "until [ -s /data/x ]; do sleep 0.02; done; cat /data/x; cat /proc/net/dev | grep -c :",
    );
    let reader = super::hosted::with(reader, mount);
    let manifest = spec(
        pod("two", "Never", json!([writer, reader])),
        json!({ "volumes": [{ "name": "shared", "emptyDir": {} }] }),
    );
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Finished);
    assert_eq!(hosted.logs(id, "reader"), "from the writer\n1\n");
    hosted.delete(id);
    hosted.end();
}

#[test]
fn a_name_is_taken_once() {
    let mut hosted = Hosted::ephemeral();
    let manifest = pod("one", "Never", json!([shell("main", "sleep 60")]));
    let id = hosted.create(&manifest);
    let error = hosted.node.create(valid(&manifest)).unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    hosted.delete(id);
    assert_eq!(
        hosted.node.wait(id, Until::Ready, LONG).unwrap_err().kind(),
        Kind::NotFound
    );
    hosted.end();
}

#[test]
fn an_invalid_pod_changes_nothing() {
    let hosted = Hosted::ephemeral();
    let mut node: Node = hosted.node;
    let errors = node
        .create("apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec: {}\n")
        .unwrap_err();
    assert!(errors.to_string().contains("spec.containers"), "{errors}");
    assert_eq!(node.pods().count(), 0);
}
