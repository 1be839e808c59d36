//! Probes and hooks that cannot be made: what is said of them, what they are to their container, and that nothing is left of them.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use podlife::linux::seccomp::{Comparison, Condition};
use podlife::linux::{Process, Signal};
use podlife::model::Phase;
use podlife::node::{Delete, Node, PodId, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, printed, shell, valid, with};
use super::recovery::{State, told};
use super::refused::{INSIDE, members, refuse, refuse_if};

const RUN: &str = "exec sleep 1000";
const TICK: Duration = Duration::from_millis(1);

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn exec(words: &[&str]) -> Value {
    json!({ "exec": { "command": words } })
}

/// A probe that tells all that it finds.
fn probe(handler: Value) -> Value {
    with(
        json!({ "failureThreshold": 1, "timeoutSeconds": 60 }),
        handler,
    )
}

/// A pod with these parts to its container, whose probes are made all the time.
fn asked(name: &str, script: &str, more: Value) -> Value {
    let main = with(shell("main", script), more);
    let mut manifest = pod(name, "Always", json!([main, shell("other", RUN)]));
    let often = json!({ "main": { "readiness": "20ms", "liveness": "20ms", "startup": "20ms" } });
    let often = json!({ "podlife.io/probePeriods": often.to_string() });
    manifest["metadata"]["annotations"] = often;
    manifest
}

fn restarts(node: &Node, id: PodId) -> i32 {
    container(node.pod(id).unwrap().status(), "main").restart_count
}

fn delete(node: &mut Node, id: PodId) {
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
}

/// What is said next with this reason.
fn said(node: &mut Node, reason: &str) -> String {
    let mut message = String::new();
    node.run_until(LONG, |_, event| {
        message = event.message();
        event.reason() == reason
    })
    .unwrap_or_else(|error| panic!("no {reason}: {error}; last: {message}"));
    message
}

/// What its readiness probe came to after what is already told.
fn found(node: &mut Node) -> String {
    while node.next_event().is_some() {}
    said(node, "Unhealthy")
}

#[test]
fn a_probe_whose_program_cannot_be_started_says_nothing_of_its_container() {
    let mut hosted = Hosted::ephemeral();
    let main = json!({
        "readinessProbe": probe(exec(&["no-such-program"])),
        "livenessProbe": probe(exec(&["/etc/passwd"])),
    });
    let mut manifest = asked("errors", RUN, main);
    let slow = with(
        shell("slow", RUN),
        json!({ "startupProbe": probe(exec(&["/no/such/program"])) }),
    );
    manifest["spec"]["containers"][1] = slow;
    let id = hosted.create(&manifest);
    for _ in 0..2 {
        hosted.seen.clear();
        for told in [
            "Readiness probe errored and resulted in unknown state: \
             exec: \"no-such-program\": executable file not found in $PATH",
            "Liveness probe errored and resulted in unknown state: \
             exec: \"/etc/passwd\": permission denied",
            "Startup probe errored and resulted in unknown state: \
             exec: \"/no/such/program\": stat /no/such/program: no such file or directory",
        ] {
            hosted.until("Unhealthy", told);
        }
        let ended = |reason: &String| ["Killing", "Probed", "Exited"].contains(&&**reason);
        assert!(!hosted.reasons().iter().any(ended), "{}", hosted.story(id));
    }
    let status = hosted.node.pod(id).unwrap().status();
    assert_eq!(status.phase, Some(Phase::Running));
    let state = |name| {
        let it = container(status, name);
        (it.ready, it.started, it.restart_count)
    };
    assert_eq!(state("main"), (false, Some(true), 0));
    assert_eq!(state("slow"), (false, Some(false), 0));
    hosted.kill(id);
    hosted.end();
}

/// As the kubelet's, it is tried three times at once before that is told, and what was known before stays.
#[test]
fn a_probe_is_made_three_times_and_what_cannot_be_made_is_not_counted() {
    let mut hosted = Hosted::ephemeral();
    let file = State::new("tries");
    std::fs::create_dir(&file.0).unwrap();
    let program = file.0.join("program");
    // A shell that runs it already can still read it.
    let permit = |mode| {
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let script = "#!/bin/sh\ngrep ^0: /proc/self/cgroup\ntest -e ${0%/*}/well\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(file.0.join("well"), "").unwrap();
    permit(0o755);
    let volume = json!([{ "name": "v", "hostPath": { "path": file.0 } }]);
    let main = json!({
        "readinessProbe": probe(exec(&["/tmp/v/program"])),
        "volumeMounts": [{ "name": "v", "mountPath": "/tmp/v" }],
    });
    let mut manifest = asked("tries", RUN, main);
    manifest["spec"]["volumes"] = volume;
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Ready);
    // What is well stays so, however often it cannot be asked.
    permit(0o644);
    for _ in 0..3 {
        let told = found(&mut hosted.node);
        assert!(
            told.contains("probe errored and resulted in unknown"),
            "{told}"
        );
    }
    assert!(container(hosted.node.pod(id).unwrap().status(), "main").ready);
    if is_root() && podlife::cgroup::Hierarchy::find().unwrap().is_some() {
        std::fs::remove_file(file.0.join("well")).unwrap();
        permit(0o755);
        let before = number(&failed(&mut hosted.node));
        permit(0o644);
        let mut told: Vec<String> = Vec::new();
        while told.iter().filter(|told| is_error(told)).count() < 3 {
            told.push(said(&mut hosted.node, "Unhealthy"));
        }
        permit(0o755);
        while told.last().is_none_or(|told| is_error(told)) {
            told.push(said(&mut hosted.node, "Unhealthy"));
        }
        let errors = told.iter().filter(|told| is_error(told)).count();
        let made = number(told.last().unwrap()) - before;
        let tries = made - (told.len() - errors);
        // The last of them may have been made at the second or third.
        assert!(
            (3 * errors..3 * errors + 3).contains(&tries),
            "{tries} tries: {told:?}"
        );
    } else {
        println!("skipped: node: how often a probe is tried: only its cgroup tells");
    }
    hosted.kill(id);
    hosted.end();
}

fn is_error(told: &str) -> bool {
    told.contains("probe errored and resulted in unknown state: exec: ")
}

/// The next that was made.
fn failed(node: &mut Node) -> String {
    loop {
        let told = said(node, "Unhealthy");
        if !is_error(&told) {
            return told;
        }
    }
}

/// Processes beside a container are numbered, and this one has printed its cgroup.
fn number(told: &str) -> usize {
    let number = told
        .split(".exec-")
        .nth(1)
        .unwrap_or_else(|| panic!("{told}"));
    number.trim().parse().unwrap()
}

#[test]
fn a_hook_whose_program_cannot_be_started_is_told_and_the_rest_goes_on() {
    let mut hosted = Hosted::ephemeral();
    let script = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    let hooks = json!({ "lifecycle": { "postStart": exec(&["no-such-program"]) } });
    let id = hosted.create(&asked("begins", script, hooks));
    hosted.until(
        "FailedPostStartHook",
        "PostStartHook failed: exec: \"no-such-program\": executable file not found in $PATH",
    );
    hosted.until("Killing", "FailedPostStartHook");
    hosted.until("Exited", "main");
    hosted.until("Started", "other");
    // The first restart comes at once.
    hosted.seen.clear();
    hosted.until("FailedPostStartHook", "executable file not found");
    let status = hosted.node.pod(id).unwrap().status();
    assert_eq!(container(status, "other").restart_count, 0);
    assert!(container(status, "other").ready);
    hosted.kill(id);

    let hooks = json!({ "lifecycle": { "preStop": exec(&["/etc/passwd"]) } });
    let id = hosted.create(&asked("ends", script, hooks));
    hosted.wait(id, Until::Ready);
    hosted.seen.clear();
    hosted.node.delete(id, Delete::default()).unwrap();
    hosted.until(
        "FailedPreStopHook",
        "PreStopHook failed: exec: \"/etc/passwd\": permission denied",
    );
    hosted.until("Exited", "main");
    hosted.wait(id, Until::Deleted);
    hosted.end();
}

/// Runs `test` in a thread that may not make that call.
fn without<T: Send>(call: &str, test: impl FnOnce() -> T + Send) -> T {
    let run = || {
        refuse(call);
        test()
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|_| panic!("without {call}: see above"))
}

#[test]
fn a_probe_for_which_the_node_lacks_a_call_is_an_error_and_the_next_is_made() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let no = probe(exec(&["sh", "-c", "echo no; exit 1"]));
    let id = asked("probed", RUN, json!({ "readinessProbe": no }));
    let id = node.create(valid(&id)).unwrap();
    assert_eq!(found(&mut node), "Readiness probe failed: no");
    let mut failed = Vec::new();
    for call in INSIDE {
        let told = without(call, || (found(&mut node), found(&mut node)).1);
        if told != "Readiness probe failed: no" {
            let expected = "Readiness probe errored and resulted in unknown state: could not ";
            assert!(told.starts_with(expected), "without {call}: {told}");
            failed.push(call);
        }
        let told = (found(&mut node), found(&mut node)).1;
        assert_eq!(told, "Readiness probe failed: no", "after {call}");
        let left = |name: &String| name.starts_with("main.0.exec-");
        let until = Instant::now() + LONG;
        // The one under way, and the one that is begun after it.
        while members(id).iter().filter(|name| left(name)).count() > 1 {
            assert!(Instant::now() < until, "without {call}: {:?}", members(id));
            node.turn(Some(TICK)).unwrap();
        }
    }
    assert!(failed.len() > 2, "only {failed:?} made a difference");
    assert_eq!(restarts(&node, id), 0);
    delete(&mut node, id);
    drop(node);
}

#[test]
fn a_hook_for_which_the_node_lacks_a_call_fails_and_the_pod_ends() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let mut failed = Vec::new();
    for call in INSIDE {
        let no = exec(&["sh", "-c", "echo no; exit 1"]);
        let manifest = asked("hooked", RUN, json!({ "lifecycle": { "preStop": no } }));
        let id = node.create(valid(&manifest)).unwrap();
        node.wait(id, Until::Ready, LONG).unwrap();
        let told = without(call, || {
            node.delete(id, Delete::within(LONG)).unwrap();
            said(&mut node, "FailedPreStopHook")
        });
        if told != "PreStopHook failed: command exited with 1: no" {
            let expected = "PreStopHook failed: could not ";
            assert!(told.starts_with(expected), "without {call}: {told}");
            failed.push(call);
        }
        delete(&mut node, id);
    }
    assert!(failed.len() > 2, "only {failed:?} made a difference");
    drop(node);
}

/// What pause is refused, its children are too: to join the namespaces of the container.
#[test]
fn a_namespace_that_cannot_be_joined_is_an_error_of_the_probe() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let main = json!({ "livenessProbe": probe(exec(&["true"])) });
    let manifest = valid(&asked("apart", RUN, main));
    let id = without("setns", || {
        let id = node.create(manifest).unwrap();
        let told = said(&mut node, "Unhealthy");
        let expected = "Liveness probe errored and resulted in unknown state: could not ";
        assert!(told.starts_with(expected), "{told}");
        id
    });
    found(&mut node);
    assert_eq!(restarts(&node, id), 0);
    delete(&mut node, id);
    drop(node);
}

/// Handlers of each kind that goes over the network.
fn network() -> [Value; 3] {
    [
        json!({ "tcpSocket": { "port": 7 } }),
        json!({ "httpGet": { "port": 7 } }),
        json!({ "grpc": { "port": 7 } }),
    ]
}

/// Without a socket nothing is known of the container; one that leads nowhere tells that it does not answer.
#[test]
fn a_socket_that_cannot_be_had_is_an_error_and_one_that_cannot_connect_a_failure() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let stream = Condition {
        argument: 1,
        comparison: Comparison::MaskedEq(0xf),
        value: libc::SOCK_STREAM as u64,
    };
    for host_network in [false, true] {
        for handler in network() {
            let main = json!({ "readinessProbe": probe(handler) });
            let mut manifest = asked("network", RUN, main);
            manifest["spec"]["hostNetwork"] = json!(host_network);
            let manifest = valid(&manifest);
            let whole = |node: &mut Node| {
                let id = node.create(manifest.clone()).unwrap();
                (id, found(node))
            };
            let run = |node: &mut Node| {
                for family in [libc::AF_INET, libc::AF_INET6] {
                    let family = Condition {
                        argument: 0,
                        comparison: Comparison::Eq,
                        value: family as u64,
                    };
                    refuse_if("socket", &[family, stream]);
                }
                whole(node)
            };
            let thread = std::thread::scope(|scope| scope.spawn(|| run(&mut node)).join());
            let (id, told) = thread.unwrap();
            let expected = "Readiness probe errored and resulted in unknown state: \
                            could not make a socket: Operation not permitted";
            assert!(told.starts_with(expected), "{told}");
            delete(&mut node, id);

            let (id, told) = without("connect", || whole(&mut node));
            assert!(told.starts_with("Readiness probe failed: "), "{told}");
            assert!(told.contains("connect: operation not permitted"), "{told}");
            delete(&mut node, id);
        }
    }
    drop(node);
}

/// Where its root is an ordinary user of the host the kernel counts a pod's processes with that user's.
#[test]
fn a_fork_that_is_refused_is_an_error_of_the_probe_and_fails_the_hook() {
    let _before = Before::now();
    let state = State::new("forks");
    let mut node = state.node();
    let parts = json!({
        "readinessProbe": probe(exec(&["sh", "-c", "echo no; exit 1"])),
        "lifecycle": { "preStop": exec(&["true"]) },
    });
    let mut manifest = asked("forks", RUN, parts);
    manifest["spec"]["hostUsers"] = json!(false);
    let id = node.create(valid(&manifest)).unwrap();
    assert_eq!(found(&mut node), "Readiness probe failed: no");
    let pause = state.pause(id);
    let (own, _) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NPROC).unwrap();
    if !limit_processes(&pause, 0) {
        println!("skipped: node: a pod that may not fork: there is no prlimit (util-linux)");
        return finish(state, node, id);
    }
    // The first may have been under way.
    let told = (found(&mut node), found(&mut node)).1;
    let expected = "could not make a process: Resource temporarily unavailable";
    assert!(
        told.contains("errored") && told.contains(expected),
        "{told}"
    );
    assert!(limit_processes(&pause, own));
    let told = (found(&mut node), found(&mut node)).1;
    assert_eq!(told, "Readiness probe failed: no");
    assert!(limit_processes(&pause, 0));
    node.delete(id, Delete::within(LONG)).unwrap();
    let told = said(&mut node, "FailedPreStopHook");
    assert!(told.contains(expected), "{told}");
    finish(state, node, id);
}

/// How many processes the user of this one may have; false if that cannot be said.
fn limit_processes(of: &Process, most: u64) -> bool {
    let pid = of.pid().unwrap().unwrap().to_string();
    let limit = std::process::Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nproc={most}:")])
        .status();
    limit.is_ok_and(|status| status.success())
}

fn finish(state: State, mut node: Node, id: PodId) {
    delete(&mut node, id);
    drop(node);
    state.check();
}

/// Tells that it has begun, and does not end.
fn stuck() -> Value {
    exec(&["sh", "-c", "echo begun > /proc/1/fd/1; exec sleep 1000"])
}

/// With a pod that is made anew they are made anew; a pod that ends has ended.
#[test]
fn a_probe_or_hook_whose_pause_is_killed_goes_with_it() {
    let _before = Before::now();
    let state = State::new("middle");
    let mut node = state.node();
    let patient = with(probe(stuck()), json!({ "timeoutSeconds": 1000 }));
    for (name, parts) in [
        ("probe", json!({ "livenessProbe": patient })),
        ("begins", json!({ "lifecycle": { "postStart": stuck() } })),
        ("ends", json!({ "lifecycle": { "preStop": stuck() } })),
    ] {
        let id = node.create(valid(&asked(name, RUN, parts))).unwrap();
        if name == "ends" {
            node.wait(id, Until::Ready, LONG).unwrap();
            node.delete(id, Delete::within(100 * LONG)).unwrap();
        }
        printed(&mut node, id, "main", "begun");
        state.pause(id).signal(Signal::KILL).unwrap();
        if name != "ends" {
            told(&mut node, "SandboxChanged");
            told(&mut node, "Started");
            printed(&mut node, id, "main", "begun");
            assert_eq!(restarts(&node, id), 1);
            node.delete(id, Delete::now()).unwrap();
        }
        node.wait(id, Until::Deleted, LONG).unwrap();
    }
    drop(node);
    state.check();
}

/// Pause is too slow to make it; and when it can, the container has ended.
#[test]
fn a_probe_whose_container_has_ended_meanwhile_leaves_nothing() {
    let _before = Before::now();
    let state = State::new("slow");
    let mut node = state.node();
    let brief = with(probe(exec(&["true"])), json!({ "timeoutSeconds": 1 }));
    let main = json!({ "readinessProbe": brief });
    let id = node.create(valid(&asked("slow", RUN, main))).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    let pause = state.pause(id);
    pause.signal(Signal::STOP).unwrap();
    let late = "Readiness probe failed: command timed out";
    assert_eq!(found(&mut node), late);
    assert_eq!(found(&mut node), late);
    for container in containers(&pause) {
        nix::sys::signal::kill(container, nix::sys::signal::SIGKILL).unwrap();
    }
    pause.signal(Signal::CONT).unwrap();
    told(&mut node, "Exited");
    told(&mut node, "Started");
    let status = node.wait(id, Until::Ready, LONG).unwrap();
    for name in ["main", "other"] {
        assert_eq!(container(&status, name).restart_count, 1, "{name}");
    }
    let kept = |name: &String| name.contains(".exec-");
    let until = Instant::now() + LONG;
    while members(id).iter().filter(|name| kept(name)).count() > 1 {
        assert!(Instant::now() < until, "{:?}", members(id));
        node.turn(Some(TICK)).unwrap();
    }
    finish(state, node, id);
}

fn containers(pause: &Process) -> Vec<nix::unistd::Pid> {
    let pid = pause.pid().unwrap().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    let all = children
        .split_whitespace()
        .filter(|pid| name(pid) == "sleep\n");
    all.map(|pid| nix::unistd::Pid::from_raw(pid.parse().unwrap()))
        .collect()
}
