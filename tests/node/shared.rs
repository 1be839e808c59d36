//! Containers that share one PID namespace.

use podlife::linux::{Process, Signal};
use podlife::node::{Delete, Exec, Node, PodId, Until};
use serde_json::json;

use super::before::Before;
use super::hosted::{Hosted, LONG, container, pod, shell, spec, valid, with};
use super::recovery::{State, told};

fn sharing(name: &str, containers: serde_json::Value) -> serde_json::Value {
    spec(
        pod(name, "Always", containers),
        json!({ "shareProcessNamespace": true }),
    )
}

/// What they see of it is a process with nothing in it, which takes the orphans.
#[test]
fn containers_see_each_other_and_a_closed_reaper() {
    let mut hosted = Hosted::ephemeral();
    let script = "until grep -qs sleep /proc/[0-9]*/comm; do :; done; cat /proc/1/comm; ls -A /proc/1/fd; \
        for way in root cwd; do ls /proc/1/$way/ 2>/dev/null && echo open; done; \
        for way in maps environ; do cat /proc/1/$way 2>/dev/null && echo open; done; \
        (sh -c 'exit 3' &); kill -9 1; while grep -qs 'State:.Z' /proc/[0-9]*/status; do :; done; \
        cat /proc/1/comm; grep -E 'Cap(Eff|Prm|Bnd)|NoNewPrivs' /proc/1/status; echo done; exec sleep 1000";
    let probe = json!({ "readinessProbe": { "exec": { "command": ["grep", "reaper", "/proc/1/comm"] }, "periodSeconds": 1 } });
    let id = hosted.create(&sharing(
        "shared",
        json!([
            shell("other", "exec sleep 1000"),
            with(shell("main", script), probe)
        ]),
    ));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "done");
    let none = "0000000000000000";
    let sets: String = ["Prm", "Eff", "Bnd"]
        .map(|set| format!("Cap{set}:\t{none}\n"))
        .concat();
    let expected = format!("podlife-reaper\npodlife-reaper\n{sets}NoNewPrivs:\t1\ndone\n");
    assert_eq!(hosted.logs(id, "main"), expected);
    hosted.kill(id);
    hosted.end();
}

/// The end of its PID 1 is what ends a container's processes elsewhere; here the cgroup does.
#[test]
fn what_a_container_leaves_behind_ends_with_it() {
    if let podlife::cgroup::Delegation::Missing(missing) =
        podlife::cgroup::Delegation::find().unwrap()
    {
        println!("skipped: orphans in a shared PID namespace: {missing}");
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let orphan = "setsid sh -c 'echo orphan > /proc/self/comm; while :; do sleep 1; done' &";
    let leaving = format!("{orphan} echo leaver > /proc/self/comm; while :; do sleep 1; done");
    let watching = "for name in orphan leaver; do until grep -qsx $name /proc/[0-9]*/comm; do :; done; done; \
        for at in /proc/[0-9]*; do grep -qsx leaver $at/comm && kill -9 ${at#/proc/}; done; \
        while grep -qsx orphan /proc/[0-9]*/comm; do :; done; echo gone; exec sleep 1000";
    let containers = json!([shell("watching", watching), shell("leaving", &leaving)]);
    let mut manifest = sharing("orphans", containers);
    manifest["spec"]["restartPolicy"] = json!("Never");
    let id = hosted.create(&manifest);
    hosted.printed(id, "watching", "gone");
    hosted.kill(id);
    hosted.end();
}

/// The PID 1 of a pod whose pause is known.
fn reaper(pause: &Process) -> Process {
    let pause = pause.pid().unwrap().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pause}/task/{pause}/children")).unwrap();
    let is_it = |pid: &&str| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm == "podlife-reaper\n")
    };
    let pid = children.split_whitespace().find(is_it).unwrap();
    Process::open(pid.parse().unwrap()).unwrap()
}

fn restarts(node: &Node, id: PodId) -> i32 {
    container(node.pod(id).unwrap().status(), "main").restart_count
}

/// The next Node finds it, and one that died meanwhile is the end of all that shared it.
#[test]
fn the_reaper_is_part_of_the_sandbox() {
    let _before = Before::now();
    let state = State::new("shared");
    let mut node = state.node();
    let manifest = sharing("shared", json!([shell("main", "exec sleep 1000")]));
    let id = node.create(valid(&manifest)).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    drop(node);
    let mut node = state.node();
    node.wait(id, Until::Ready, LONG).unwrap();
    assert_eq!(restarts(&node, id), 0);
    let command = Exec::new(["/bin/cat", "/proc/1/comm"]);
    let output = node.output(id, "main", command, LONG).unwrap();
    assert_eq!(output.stdout, b"podlife-reaper\n");

    reaper(&state.pause(id)).signal(Signal::KILL).unwrap();
    told(&mut node, "SandboxChanged");
    told(&mut node, "SandboxCreated");
    node.wait(id, Until::Ready, LONG).unwrap();
    let before = restarts(&node, id);
    assert!(before > 0);

    drop(node);
    let dead = reaper(&state.pause(id));
    dead.signal(Signal::KILL).unwrap();
    assert!(dead.wait(Some(LONG)).unwrap());
    let mut node = state.node();
    told(&mut node, "SandboxCreated");
    node.wait(id, Until::Ready, LONG).unwrap();
    assert!(restarts(&node, id) > before);
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    state.check();
}
