//! Containers that end and are started again, or not.

use std::time::Duration;

use podlife::node::Until;
use serde_json::json;

use super::hosted::{Hosted, container, exit_code, pod, shell, with};

#[test]
fn a_container_that_keeps_failing_is_held_back() {
    let mut hosted = Hosted::ephemeral();
    let id = hosted.create(&pod(
        "loop",
        "Always",
        json!([shell("main", "echo here I go; exit 1")]),
    ));
    let event = hosted.until(
        "BackOff",
        "restarting failed container main in pod loop_default",
    );
    assert!(event.to_string().starts_with("Warning"));
    let pod = hosted.node.pod(id).unwrap();
    let status = container(pod.status(), "main").clone();
    let waiting = status.state.unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert!(
        waiting
            .message
            .unwrap()
            .starts_with("back-off 10s restarting failed container=main pod=loop_default(")
    );
    assert_eq!(
        (status.restart_count, exit_code(&status.last_state)),
        (1, Some(1))
    );
    assert_eq!(
        pod.row(podlife::linux::Clock::wall()).status,
        "CrashLoopBackOff"
    );
    hosted.delete(id);
    hosted.end();
}

#[test]
fn on_failure_restarts_what_failed_only() {
    let mut hosted = Hosted::ephemeral();
    let mount = json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v" }] });
    let flaky = with(
        shell("flaky", "[ -e /v/x ] || { touch /v/x; exit 7; }"),
        mount,
    );
    let manifest = pod("some", "OnFailure", json!([flaky, shell("fine", "true")]));
    let id = hosted.create(&super::hosted::spec(
        manifest,
        json!({ "volumes": [{ "name": "v", "emptyDir": {} }] }),
    ));
    let status = hosted.wait(id, Until::Finished);
    assert_eq!(container(&status, "flaky").restart_count, 1);
    assert_eq!(exit_code(&container(&status, "flaky").last_state), Some(7));
    assert_eq!(container(&status, "fine").restart_count, 0);
    hosted.delete(id);
    hosted.end();
}

/// Its logs, of this run and the one before.
#[test]
fn the_previous_log_is_kept() {
    use podlife::node::LogOptions;
    use std::io::Read;
    let mut hosted = Hosted::ephemeral();
    let mount = json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v" }] });
    let script =
        "if [ -e /v/x ]; then echo second; sleep 60; else touch /v/x; echo first; exit 1; fi";
    let manifest = pod(
        "logs",
        "Always",
        json!([with(shell("main", script), mount)]),
    );
    let id = hosted.create(&super::hosted::spec(
        manifest,
        json!({ "volumes": [{ "name": "v", "emptyDir": {} }] }),
    ));
    let second = |hosted: &Hosted| {
        let status = container(hosted.node.pod(id).unwrap().status(), "main").clone();
        status.restart_count == 1 && status.state.is_some_and(|state| state.running.is_some())
    };
    while !second(&hosted) {
        hosted.node.turn(Some(Duration::from_secs(10))).unwrap();
    }
    let mut text = String::new();
    let options = LogOptions {
        previous: true,
        ..LogOptions::default()
    };
    hosted
        .node
        .logs(id, "main", options)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "first\n");
    hosted.kill(id);
    hosted.end();
}
