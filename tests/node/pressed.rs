//! Pods at their limits: pause answers all the same, what is asked of the pod is done, and nothing of it is left. Where cgroup v2
//! has no controllers some of it cannot be had: the virtual machine of `tests/vm` has them all.

use std::path::Path;

use podlife::linux::{Capabilities, capabilities::CapabilitySet};
use podlife::node::{Delete, Exec, PodId, Until};
use serde_json::json;

use super::before::Before;
use super::hosted::{Hosted, LONG, pod, printed, shell, spec, valid, with};
use super::limits::{cgroup, limited, skipped, value};
use super::recovery::State;

const SPIN: &str = "echo up; while :; do :; done";

/// Pause has another process made, and tells of its end.
fn answers(hosted: &mut Hosted, id: PodId, name: &str) {
    let echo = Exec::new(["echo", "there"]);
    let output = hosted.node.output(id, name, echo, LONG).unwrap();
    assert_eq!(output.stdout, b"there\n");
}

/// The sandbox is the first one.
fn stays(hosted: &mut Hosted) {
    let changed = hosted.reasons();
    assert!(!changed.iter().any(|reason| reason == "SandboxChanged"));
}

/// The memory is the pod's, so pause is among those that may be killed for it: where a file system in memory is what is full, no
/// container's process is large, and Guaranteed ones are ranked behind all but pause.
#[test]
fn a_pod_over_its_memory_loses_a_container_and_not_pause() {
    if skipped("a pod without memory") {
        return;
    }
    let amounts = json!({ "memory": "40Mi", "cpu": "1" });
    let little = json!({ "memory": "1Mi", "cpu": "10m" });
    for (name, script, resources) in [
        (
            "burstable",
            "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done",
            json!({ "limits": amounts, "requests": little }),
        ),
        (
            "guaranteed",
            "exec head -c 64M /dev/zero > /tmp/memory/file",
            json!({ "limits": amounts }),
        ),
    ] {
        let mut hosted = Hosted::ephemeral();
        let mount = json!([{ "name": "memory", "mountPath": "/tmp/memory" }]);
        let volume = json!([{ "name": "memory", "emptyDir": { "medium": "Memory" } }]);
        let hungry = with(shell("hungry", script), json!({ "volumeMounts": mount }));
        let containers = json!([shell("modest", "exec sleep 1000"), hungry]);
        let whole = json!({ "resources": resources, "volumes": volume });
        let id = hosted.create(&spec(pod(name, "Never", containers), whole));
        hosted.until("Exited", "hungry ended: OOMKilled");
        stays(&mut hosted);
        hosted.kill(id);
        stays(&mut hosted);
        hosted.end();
    }
}

#[test]
fn a_pod_with_hardly_any_processor_answers_and_ends() {
    if skipped("a pod without processor") {
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let manifest = pod(
        "slow",
        "Never",
        json!([limited("main", SPIN, "64Mi", "50m")]),
    );
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "up");
    answers(&mut hosted, id, "main");
    let throttled = value(&cgroup(id), "cpu.stat");
    let periods = throttled
        .lines()
        .find_map(|line| line.strip_prefix("nr_throttled "));
    assert!(periods.unwrap().parse::<u32>().unwrap() > 0, "{throttled}");
    stays(&mut hosted);
    hosted.kill(id);
    hosted.end();
}

/// A limit of the container, which a process beside it does not share, or one of the whole pod: then there is none to spare.
#[test]
fn a_fork_bomb_does_not_keep_a_pod_from_its_end() {
    if skipped("a fork bomb") {
        return;
    }
    for whole in [false, true] {
        let mut hosted = Hosted::ephemeral();
        // A shell that cannot fork ends; what it is in does not.
        let bomb = "until test -e /tmp/go; do sleep 0.02; done; \
            (while :; do sleep 1000 & done) & wait; exec sleep 1000";
        let id = hosted.create(&pod("bomb", "Never", json!([shell("main", bomb)])));
        hosted.wait(id, Until::Ready);
        let group = cgroup(id);
        let limited = if whole {
            group.clone()
        } else {
            group.join("main.0")
        };
        std::fs::write(limited.join("pids.max"), "20").unwrap();
        let go = Exec::new(["touch", "/tmp/go"]);
        hosted.node.output(id, "main", go, LONG).unwrap();
        let until = std::time::Instant::now() + LONG;
        // Before Linux 6.11 it is counted where the process is, not where the limit is.
        let places = [&group, &group.join("main.0")];
        while places
            .iter()
            .all(|place| value(place, "pids.events") == "max 0")
        {
            assert!(std::time::Instant::now() < until, "{}", hosted.story(id));
            hosted
                .node
                .turn(Some(std::time::Duration::from_millis(10)))
                .unwrap();
        }
        if whole {
            let error = hosted.node.output(id, "main", Exec::new(["true"]), LONG);
            if let Err(error) = error {
                assert!(
                    error.to_string().contains("could not make a process"),
                    "{error}"
                );
            }
        } else {
            answers(&mut hosted, id, "main");
        }
        hosted.kill(id);
        hosted.end();
    }
}

/// Somebody freezes the containers, or the whole pod with its pause: the end thaws what it must.
#[test]
fn a_frozen_pod_can_be_deleted() {
    if let podlife::cgroup::Delegation::Missing(missing) =
        podlife::cgroup::Delegation::find().unwrap()
    {
        return println!("skipped: a frozen pod: {missing}");
    }
    for whole in [false, true] {
        let mut hosted = Hosted::ephemeral();
        let id = hosted.create(&pod("frozen", "Never", json!([shell("main", SPIN)])));
        hosted.wait(id, Until::Ready);
        hosted.printed(id, "main", "up");
        let group = cgroup(id);
        let frozen = if whole {
            group.clone()
        } else {
            group.join("main.0")
        };
        std::fs::write(frozen.join("cgroup.freeze"), "1").unwrap();
        while !value(&frozen, "cgroup.events").contains("frozen 1") {}
        if !whole {
            answers(&mut hosted, id, "main");
        }
        hosted.kill(id);
        hosted.end();
    }
}

/// What a process and its children have.
fn scores(of: &podlife::linux::Process) -> Vec<(String, String)> {
    let pid = of.pid().unwrap().unwrap().to_string();
    let read = |pid: &str, file: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        text.trim().to_owned()
    };
    let children = read(&pid, &format!("task/{pid}/children"));
    let all = std::iter::once(&*pid).chain(children.split_whitespace());
    all.map(|pid| (read(pid, "comm"), read(pid, "oom_score_adj")))
        .collect()
}

/// When memory runs out, what holds the pod is killed last. Where no score can be lowered nothing is ranked before it either.
#[test]
fn pause_is_killed_after_its_containers() {
    let _before = Before::now();
    let own = value(Path::new("/proc/self"), "oom_score_adj");
    let root = nix::unistd::geteuid().is_root();
    let able = Capabilities::own(CapabilitySet::Effective).unwrap();
    let able = root && able.contains(Capabilities::named("SYS_RESOURCE").unwrap());
    let lowered = |score: &str| if able { score.to_owned() } else { own.clone() };
    let state = State::new("scores");
    let mut node = state.node();
    let mut told = 0;
    let script = "cat /proc/self/oom_score_adj; exec sleep 1000";
    for (name, main, expected) in [
        ("besteffort", shell("main", script), "1000".to_owned()),
        (
            "guaranteed",
            limited("main", script, "64Mi", "1"),
            lowered("-997"),
        ),
    ] {
        let mut manifest = pod(name, "Never", json!([main]));
        manifest["spec"]["shareProcessNamespace"] = json!(true);
        let id = node.create(valid(&manifest)).unwrap();
        node.wait(id, Until::Ready, LONG).unwrap();
        printed(&mut node, id, "main", &format!("{expected}\n"));
        let cat = Exec::new(["cat", "/proc/self/oom_score_adj"]);
        let output = node.output(id, "main", cat, LONG).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{expected}\n")
        );
        let pause = lowered("-998");
        let mut seen = scores(&state.pause(id));
        seen.sort();
        let all = [
            ("podlife-logger", &pause),
            ("podlife-pause", &pause),
            ("podlife-reaper", &pause),
            ("sleep", &expected),
        ];
        assert_eq!(
            seen,
            all.map(|(name, score)| (name.to_owned(), score.clone()))
        );
        node.delete(id, Delete::now()).unwrap();
        node.wait(id, Until::Deleted, LONG).unwrap();
        let events = std::iter::from_fn(|| node.next_event());
        told += events
            .filter(|event| event.message().contains("no CAP_SYS_RESOURCE"))
            .count();
    }
    assert_eq!(told, usize::from(root && !able));
    drop(node);
    state.check();
}
