//! What a pod can choose: the host's namespaces, limits, a new image, hooks.

use std::time::Duration;

use podlife::model::Enforcement;
use podlife::node::{Delete, EventKind, Until};
use podlife::{Kind, Node};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, shell, spec, valid, with};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn the_hosts_namespaces_are_the_hosts() {
    let mut hosted = Hosted::ephemeral();
    let script = "readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts; echo $$$$";
    let host = json!({ "hostNetwork": true, "hostIPC": true });
    let id = hosted.create(&spec(
        pod("host", "Never", json!([shell("main", script)])),
        host,
    ));
    hosted.wait(id, Until::Finished);
    let own = |kind: &str| {
        std::fs::read_link(format!("/proc/self/ns/{kind}"))
            .unwrap()
            .display()
            .to_string()
    };
    let text = hosted.logs(id, "main");
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [&own("net"), &own("ipc"), &own("uts"), "1"]
    );
    hosted.delete(id);
    hosted.end();
}

/// Pause is not PID 1 of anything here: the cgroup is what ends such a pod.
#[test]
fn a_pod_in_the_hosts_pid_namespace_ends_wholly() {
    if !is_root() {
        println!("skipped: node: there is no cgroup to end the pod with");
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let script = "readlink /proc/self/ns/pid; setsid sleep 1000 & exec sleep 1000";
    let id = hosted.create(&spec(
        pod("pids", "Always", json!([shell("main", script)])),
        json!({ "hostPID": true }),
    ));
    hosted.wait(id, Until::Ready);
    hosted
        .node
        .delete(id, Delete::within(Duration::from_secs(1)))
        .unwrap();
    hosted.wait(id, Until::Deleted);
    hosted.end();
}

#[test]
fn a_startup_probe_holds_back_the_others() {
    let mut hosted = Hosted::ephemeral();
    let probe = |command: &str, threshold: u32| json!({ "exec": { "command": ["/bin/sh", "-c", command] }, "periodSeconds": 1, "timeoutSeconds": 60, "failureThreshold": threshold });
    let main = with(
        shell("main", "exec sleep 1000"),
        json!({ "startupProbe": probe("test -e /tmp/up", 300), "livenessProbe": probe("test -e /tmp/up", 1) }),
    );
    let id = hosted.create(&pod("slow", "Always", json!([main])));
    hosted.until("Unhealthy", "Startup probe failed");
    let touch = podlife::node::Exec::new(["touch", "/tmp/up"]);
    hosted.node.output(id, "main", touch, LONG).unwrap();
    hosted.wait(id, Until::Ready);
    assert_eq!(
        container(hosted.node.pod(id).unwrap().status(), "main").restart_count,
        0
    );
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_failing_post_start_hook_kills_its_container() {
    let mut hosted = Hosted::ephemeral();
    let hook = json!({ "lifecycle": { "postStart": { "exec": { "command": ["/bin/sh", "-c", "echo no; exit 3"] } } } });
    let id = hosted.create(&pod(
        "hooked",
        "Never",
        json!([with(shell("main", "exec sleep 1000"), hook)]),
    ));
    hosted.until("FailedPostStartHook", "");
    assert_eq!(
        hosted
            .node
            .wait(id, Until::Finished, LONG)
            .unwrap_err()
            .kind(),
        Kind::PodFailed
    );
    hosted.delete(id);
    hosted.end();
}

#[test]
fn another_image_restarts_the_container() {
    let mut hosted = Hosted::ephemeral();
    let manifest = pod(
        "updated",
        "Always",
        json!([shell("main", "exec sleep 1000")]),
    );
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Ready);
    let mut newer = manifest.clone();
    newer["spec"]["containers"][0]["image"] = json!("podlife.local/host:latest");
    hosted.node.update(id, valid(&newer)).unwrap();
    hosted.until("Killing", "definition changed");
    hosted.seen.clear();
    hosted.until("Started", "main");
    let mut renamed = manifest;
    renamed["metadata"]["name"] = json!("other");
    assert_eq!(
        hosted.node.update(id, valid(&renamed)).unwrap_err().kind(),
        Kind::Invalid
    );
    hosted.kill(id);
    hosted.end();
}

/// A limit that cannot be enforced is said once, or refuses the pod.
#[test]
fn a_missing_controller_is_never_ignored() {
    let controllers = match podlife::cgroup::Delegation::find().unwrap() {
        podlife::cgroup::Delegation::Granted(root) => root.controllers().unwrap(),
        podlife::cgroup::Delegation::Missing(_) => podlife::cgroup::Controllers::NONE,
    };
    if controllers.contains(podlife::cgroup::Controller::Memory) {
        println!("skipped: node: this host has the memory controller");
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let limit = json!({ "resources": { "limits": { "memory": "64Mi" } } });
    let manifest = pod(
        "limited",
        "Never",
        json!([
            with(shell("a", "true"), limit.clone()),
            with(shell("b", "true"), limit)
        ]),
    );
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Finished);
    // Scores are another matter, told where root may not lower them.
    let said = hosted.seen.iter().filter(
        |event| matches!(&event.kind, EventKind::Degraded(told) if &*told.what != "oom_score_adj"),
    );
    let said: Vec<_> = said.map(|event| event.to_string()).collect();
    assert_eq!(said.len(), 1, "{said:#?}");
    hosted.delete(id);
    hosted.seen.clear();
    let mut options = podlife::lifecycle::PodOptions::default();
    options.enforcement = Some(Enforcement::Required);
    let id = hosted.node.create_with(valid(&manifest), options).unwrap();
    let event = hosted.until("FailedCreatePodSandBox", "");
    assert!(
        event.message().contains("memory") || event.message().contains("cgroup"),
        "{event}"
    );
    hosted.delete(id);
    hosted.end();
}

#[test]
fn a_dry_run_prints_what_would_be_done() {
    let _before = Before::now();
    let node = before::ephemeral();
    let plans = node
        .plan(&valid(&pod(
            "dry",
            "Never",
            json!([shell("main", "echo hi")]),
        )))
        .unwrap();
    let text = plans.to_string();
    assert!(text.contains("execute /bin/sh -c"), "{text}");
    assert!(text.contains("mount proc on /proc"), "{text}");
    assert_eq!(node.pods().count(), 0);
    let absent = with(
        shell("main", "true"),
        json!({ "image": "example.com/absent:1" }),
    );
    let error = node
        .plan(&valid(&pod("dry", "Never", json!([absent]))))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

/// Each sweeps away what dead Nodes left, and none what another has only just made.
#[test]
fn nodes_that_are_opened_at_once_are_all_opened() {
    let _before = Before::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(Node::ephemeral().unwrap())));
        }
    });
}

/// At the limit of descriptors a pod is refused in words, and the others go on.
#[test]
fn at_the_limit_of_descriptors_a_pod_is_refused() {
    let _before = Before::now();
    let mut node: Node = before::ephemeral();
    let id = node
        .create(valid(&pod(
            "first",
            "Always",
            json!([shell("main", "exec sleep 1000")]),
        )))
        .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let (soft, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, open + 8, hard)
        .unwrap();
    let refused = node.create(valid(&pod(
        "second",
        "Always",
        json!([shell("main", "exec sleep 1000")]),
    )));
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
    assert_eq!(node.pods().count(), 1);
    node.drain(Duration::from_secs(1)).unwrap();
}
