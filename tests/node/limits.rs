//! What the kernel enforces: here only where cgroup v2 has its controllers, as in the virtual machine of `tests/vm`.

use std::path::{Path, PathBuf};

use podlife::cgroup::{Delegation, Hierarchy};
use podlife::node::{PodId, Until};
use serde_json::{Value, json};

use super::hosted::{Hosted, container, pod, shell, valid, with};

/// Whether memory and cpu can be limited; says so if not.
pub(crate) fn skipped(what: &str) -> bool {
    let Delegation::Granted(root) = Delegation::find().unwrap() else {
        println!("skipped: node: {what}: no cgroup is delegated");
        return true;
    };
    let controllers = std::fs::read_to_string(root.path().join("cgroup.controllers")).unwrap();
    let there = |name| controllers.split_whitespace().any(|word| word == name);
    let missing = !there("memory") || !there("cpu");
    if missing {
        println!("skipped: node: {what}: cgroup v2 has no memory or no cpu controller here");
    }
    missing
}

/// The pod's cgroup, wherever the Node put it.
pub(crate) fn cgroup(id: PodId) -> PathBuf {
    fn find(directory: &Path, name: &str) -> Option<PathBuf> {
        let entries = std::fs::read_dir(directory).ok()?.flatten();
        let mut below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        below.find_map(|entry| match entry.file_name() == *name {
            true => Some(entry.path()),
            false => find(&entry.path(), name),
        })
    }
    let hierarchy = Hierarchy::find().unwrap().unwrap();
    find(&hierarchy.mount, &format!("pod{id}")).unwrap()
}

pub(crate) fn value(directory: &Path, file: &str) -> String {
    let text = std::fs::read_to_string(directory.join(file)).unwrap();
    text.trim().to_owned()
}

pub(crate) fn limited(name: &str, script: &str, memory: &str, cpu: &str) -> Value {
    let amounts = json!({ "memory": memory, "cpu": cpu });
    with(
        shell(name, script),
        json!({ "resources": { "limits": amounts } }),
    )
}

/// The one that needs too much dies of it; pause and the container beside it do not.
#[test]
fn what_needs_too_much_memory_is_oom_killed() {
    if skipped("an OOM kill") {
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let hungry = limited(
        "hungry",
        "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done",
        "24Mi",
        "1",
    );
    let modest = limited(
        "modest",
        "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done",
        "24Mi",
        "1",
    );
    let id = hosted.create(&pod("oom", "Never", json!([hungry, modest])));
    hosted.printed(id, "modest", "up");
    hosted.until("Exited", "hungry");
    let status = hosted.node.pod(id).unwrap().status().clone();
    let state = container(&status, "hungry").state.clone().unwrap();
    let ended = state.terminated.unwrap();
    assert_eq!(
        (ended.reason.as_deref(), ended.exit_code),
        (Some("OOMKilled"), 137)
    );
    assert!(
        container(&status, "modest")
            .state
            .as_ref()
            .unwrap()
            .running
            .is_some()
    );
    assert!(
        !hosted
            .reasons()
            .iter()
            .any(|reason| reason == "SandboxChanged")
    );
    hosted.delete(id);
    hosted.end();
}

/// The values of the cgroups that containers live in, before and after.
#[test]
fn a_resize_is_written_to_the_living_cgroups() {
    if skipped("a resize") {
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let script = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    let manifest = |memory: &str, cpu: &str| {
        pod(
            "grows",
            "Always",
            json!([limited("main", script, memory, cpu)]),
        )
    };
    let id = hosted.create(&manifest("64Mi", "500m"));
    hosted.wait(id, Until::Ready);
    let whole = cgroup(id);
    let read = |file: &str| (value(&whole, file), value(&whole.join("main.0"), file));
    let both = |text: &str| (text.to_owned(), text.to_owned());
    assert_eq!(read("memory.max"), both("67108864"));
    assert_eq!(read("cpu.max"), both("50000 100000"));
    let process = value(&whole.join("main.0"), "cgroup.procs");
    for (memory, cpu, bytes, quota) in [
        ("96Mi", "1", "100663296", "100000 100000"),
        ("48Mi", "250m", "50331648", "25000 100000"),
    ] {
        hosted.drain_events();
        hosted.seen.clear();
        hosted
            .node
            .update(id, valid(&manifest(memory, cpu)))
            .unwrap();
        hosted.until("ResizeCompleted", "");
        assert_eq!(read("memory.max"), both(bytes));
        assert_eq!(read("cpu.max"), both(quota));
    }
    let still = value(&whole.join("main.0"), "cgroup.procs");
    assert!(
        still.contains(process.lines().next().unwrap()),
        "{process} {still}"
    );
    hosted.delete(id);
    hosted.end();
}

/// By QoS class: what asked for nothing gets what is left.
#[test]
fn who_asked_for_more_weighs_more() {
    if skipped("weights") {
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let script = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    let asking = |name: &str| {
        let requests = json!({ "resources": { "requests": { "cpu": "500m" } } });
        pod(
            name,
            "Always",
            json!([with(shell("main", script), requests)]),
        )
    };
    let burstable = hosted.create(&asking("burstable"));
    let idle = hosted.create(&pod("idle", "Always", json!([shell("main", script)])));
    hosted.wait(burstable, Until::Ready);
    hosted.wait(idle, Until::Ready);
    let (one, idle_tier) = (cgroup(burstable), cgroup(idle).parent().unwrap().to_owned());
    let tier = one.parent().unwrap();
    assert!(tier.ends_with("burstable") && idle_tier.ends_with("besteffort"));
    let weight = |directory: &Path| value(directory, "cpu.weight").parse::<u32>().unwrap();
    assert_eq!(weight(&idle_tier), 1);
    assert_eq!(
        weight(tier),
        weight(&one),
        "one pod weighs as much as its tier"
    );
    let second = hosted.create(&asking("second"));
    hosted.wait(second, Until::Ready);
    let both = weight(tier);
    assert!(both > weight(&one), "{both}");
    hosted.delete(second);
    assert_eq!(weight(tier), weight(&one));
    hosted.delete(burstable);
    hosted.delete(idle);
    hosted.end();
}
