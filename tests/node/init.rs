//! Init containers and sidecars.

use podlife::model::Phase;
use podlife::node::Until;
use serde_json::json;

use super::hosted::{Hosted, container, pod, shell, spec, with};

#[test]
fn init_containers_run_one_after_another_and_again_when_they_fail() {
    let mut hosted = Hosted::ephemeral();
    let mount = json!({ "volumeMounts": [{ "name": "work", "mountPath": "/work" }] });
    let flaky = "echo first >> /work/order; [ -e /work/tried ] || { touch /work/tried; exit 1; }";
    let inits = json!([
        with(shell("flaky", flaky), mount.clone()),
        with(shell("second", "echo second >> /work/order"), mount.clone()),
    ]);
    let main = with(shell("main", "cat /work/order"), mount);
    let more = json!({ "initContainers": inits, "volumes": [{ "name": "work", "emptyDir": {} }] });
    let id = hosted.create(&spec(pod("order", "OnFailure", json!([main])), more));
    let status = hosted.wait(id, Until::Finished);
    assert_eq!(hosted.logs(id, "main"), "first\nfirst\nsecond\n");
    assert_eq!(container(&status, "flaky").restart_count, 1);
    assert_eq!(status.phase, Some(Phase::Succeeded));
    hosted.delete(id);
    hosted.end();
}

#[test]
fn a_sidecar_runs_before_and_ends_after() {
    let mut hosted = Hosted::ephemeral();
    let script =
        "trap 'echo sidecar ends; exit 0' TERM; echo sidecar; while :; do sleep 0.02; done";
    let sidecar = with(
        shell("sidecar", script),
        json!({ "restartPolicy": "Always" }),
    );
    let manifest = spec(
        pod(
            "helped",
            "Never",
            json!([shell("main", "echo main; sleep 0.2")]),
        ),
        json!({ "initContainers": [sidecar], "terminationGracePeriodSeconds": 60 }),
    );
    let id = hosted.create(&manifest);
    let status = hosted.wait(id, Until::Finished);
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert_eq!(hosted.logs(id, "sidecar"), "sidecar\nsidecar ends\n");
    hosted.delete(id);
    hosted.end();
}
