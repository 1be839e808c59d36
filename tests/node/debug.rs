//! Ephemeral containers.

use podlife::Kind;
use podlife::lifecycle::PodOptions;
use podlife::model::EphemeralContainer;
use podlife::node::{Exec, Until};
use serde_json::json;

use super::hosted::{Hosted, LONG, pod, shell, valid};

const SLEEP: &str = "exec sleep 1000";
const HOST: &str = "podlife.local/host";

fn debugger(name: &str, script: &str) -> EphemeralContainer {
    EphemeralContainer::new(name, HOST).command(["/bin/sh", "-c", script])
}

#[test]
fn a_debugger_sees_the_processes_of_its_target() {
    let mut hosted = Hosted::ephemeral();
    let main = "echo mark > /tmp/mark; exec sleep 1234";
    let id = hosted.create(&pod(
        "looked-at",
        "Always",
        json!([shell("main", main), shell("other", SLEEP)]),
    ));
    hosted.wait(id, Until::Ready);
    let look = "tr '\\0' ' ' < /proc/1/cmdline; echo; exec sleep 1000";
    hosted
        .node
        .debug(id, debugger("eye", look).target("main"))
        .unwrap();
    hosted.printed(id, "eye", "sleep 1234");
    let blind = "tr '\\0' ' ' < /proc/1/cmdline; echo; echo $$$$; exec sleep 1000";
    hosted.node.debug(id, debugger("blind", blind)).unwrap();
    hosted.printed(id, "blind", "1\n");
    assert!(!hosted.logs(id, "blind").contains("sleep 1234"));
    // Commands run in it, among the same processes.
    let command = Exec::new(["/bin/sh", "-c", "cat /proc/1/comm"]);
    let output = hosted.node.output(id, "eye", command, LONG).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "sleep\n");
    let status = hosted.node.pod(id).unwrap().status().clone();
    let names: Vec<_> = status
        .ephemeral_container_statuses
        .iter()
        .map(|one| &*one.name)
        .collect();
    assert_eq!(names, ["blind", "eye"]);
    let error = hosted.node.debug(id, debugger("eye", SLEEP)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_debugger_ends_with_its_target_and_is_not_restarted() {
    let mut hosted = Hosted::ephemeral();
    let main = "echo up; while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 3";
    let id = hosted.create(&pod(
        "ends",
        "Always",
        json!([shell("main", main), shell("other", SLEEP)]),
    ));
    hosted.wait(id, Until::Ready);
    hosted
        .node
        .debug(
            id,
            debugger("eye", "echo here; exec sleep 1000").target("main"),
        )
        .unwrap();
    hosted.printed(id, "eye", "here");
    hosted
        .node
        .output(id, "main", Exec::new(["touch", "/tmp/go"]), LONG)
        .unwrap();
    hosted.until("Exited", "Container eye");
    let status = hosted.node.pod(id).unwrap().status().clone();
    assert_eq!(status.ephemeral_container_statuses[0].restart_count, 0);
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_debugger_without_its_target_says_so_and_waits() {
    let mut hosted = Hosted::ephemeral();
    let done = shell("done", "true");
    let id = hosted.create(&pod("absent", "Never", json!([shell("main", SLEEP), done])));
    hosted.until("Exited", "Container done");
    hosted
        .node
        .debug(id, debugger("eye", SLEEP).target("done"))
        .unwrap();
    hosted.until("Failed", "unable to find target container done");
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_debugger_goes_where_the_pod_lets_it() {
    let mut hosted = Hosted::ephemeral();
    let manifest = valid(&pod("opened", "Always", json!([shell("main", SLEEP)])));
    let mut options = PodOptions::default();
    options.removable_ephemeral = true;
    let free = hosted.node.create_with(manifest.clone(), options).unwrap();
    hosted.wait(free, Until::Ready);
    hosted
        .node
        .debug(free, debugger("eye", "echo here; exec sleep 1000"))
        .unwrap();
    hosted.printed(free, "eye", "here");
    hosted.node.update(free, manifest.clone()).unwrap();
    hosted.until("Killing", "eye");
    hosted.until("Exited", "Container eye");
    assert!(
        hosted
            .node
            .pod(free)
            .unwrap()
            .status()
            .ephemeral_container_statuses
            .is_empty()
    );
    hosted.delete(free);
    let bound = hosted.create(&pod("opened", "Always", json!([shell("main", SLEEP)])));
    hosted.wait(bound, Until::Ready);
    hosted.node.debug(bound, debugger("eye", SLEEP)).unwrap();
    let error = hosted.node.update(bound, manifest).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("spec.ephemeralContainers: forbidden"),
        "{error}"
    );
    hosted
        .node
        .delete(bound, podlife::node::Delete::now())
        .unwrap();
    hosted.wait(bound, Until::Deleted);
    hosted.end();
}
