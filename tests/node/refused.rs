//! A host that refuses something: one system call after the other, as an outer container's seccomp profile would.

use std::time::{Duration, Instant};

use podlife::linux::seccomp::{Action, Condition, Profile};
use podlife::node::{Delete, Event, Exec, Node, NodeOptions, PodId, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{LONG, pod, shell, spec, valid};
use super::recovery::{State, options};

/// Without these no program of any kind runs, this test's thread neither; the last three are how the Node
/// and pause talk, and how pause hears of an end.
const NEEDED: [&str; 12] = [
    "READ",
    "WRITE",
    "CLOSE",
    "MMAP",
    "MUNMAP",
    "EXIT_GROUP",
    "RT_SIGPROCMASK",
    "FCNTL",
    "EPOLL_PWAIT",
    "SENDMSG",
    "RECVMSG",
    "WAIT4",
];

/// By their names in the pause program.
fn calls() -> Vec<String> {
    let text = include_str!("../../src/pause/numbers.rs");
    let table = text.split_once("\ncalls! {").unwrap().1;
    let lines = table.lines().filter(|line| line.starts_with("    "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    // Without a cgroup there is no other way to end something.
    let root = nix::unistd::geteuid().is_root();
    let spare = |name: &&str| !NEEDED.contains(name) && (root || *name != "PIDFD_SEND_SIGNAL");
    let names: Vec<_> = names.filter(spare).collect();
    assert!(names.len() > 40, "{names:?}");
    names.iter().map(|name| name.to_lowercase()).collect()
}

/// From here on this thread, and all that it starts, may not make that call.
pub(crate) fn refuse(call: &str) {
    refuse_if(call, &[]);
}

/// The same with these arguments.
pub(crate) fn refuse_if(call: &str, when: &[Condition]) {
    let profile = Profile::new(Action::Allow).rule(call, when, Action::Errno(1));
    let program = profile.compile().unwrap();
    let filter: Vec<_> = program
        .instructions()
        .iter()
        .map(|i| seccompiler::sock_filter {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        })
        .collect();
    seccompiler::apply_filter(&filter).unwrap();
}

fn decides(event: &Event) -> bool {
    matches!(
        event.reason(),
        "Started" | "Failed" | "FailedCreatePodSandBox" | "FailedMount"
    )
}

/// What a pod's life came to, without the call: `None` if it did not need it.
fn life(call: &str, options: NodeOptions, more: Value) -> Option<String> {
    let mut node = before::open(options);
    refuse(call);
    let main = json!([shell("main", "exec sleep 1000")]);
    let manifest = spec(pod("refused", "Never", main), more);
    let id = match node.create(valid(&manifest)) {
        Ok(id) => id,
        Err(error) => return Some(error.to_string()),
    };
    let mut told = None;
    node.run_until(LONG, |_, event| {
        told = decides(event).then(|| event.clone());
        told.is_some()
    })
    .unwrap_or_else(|error| panic!("{call}: {error}"));
    let told = told.unwrap();
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG)
        .unwrap_or_else(|error| panic!("{call}: it cannot be deleted: {error}"));
    (told.reason() != "Started").then(|| told.message())
}

/// Runs a pod for each call, and gives what was said where it was missed.
fn lives(
    calls: &[String],
    options: impl Fn(&str) -> NodeOptions + Sync,
    more: &Value,
) -> Vec<(String, String)> {
    let mut said = Vec::new();
    for call in calls {
        let life = || life(call, options(call), more.clone());
        let told = std::thread::scope(|scope| scope.spawn(life).join());
        let told = told.unwrap_or_else(|_| panic!("{call} refused: see above"));
        said.extend(told.map(|told| (call.clone(), told)));
    }
    assert!(said.len() > 15, "only {said:?} made a difference");
    said
}

#[test]
fn whatever_call_is_refused_it_is_said_and_nothing_half_made_is_left() {
    // Looked at once, at the end: where PID 1 is slow to reap, each look takes a while.
    let _before = Before::now();
    for (call, said) in lives(&calls(), |_| Node::options(), &json!({})) {
        let named = said.contains("could not ") || said.contains("pause process ended");
        assert!(named, "without {call} it does not say what failed: {said}");
    }
}

/// What the Node calls to have a program run beside a container: its cgroup, its plan, its pipes.
pub(crate) const INSIDE: [&str; 10] = [
    "mkdir",
    "mkdirat",
    "openat",
    "openat2",
    "memfd_create",
    "ftruncate",
    "pipe2",
    "epoll_ctl",
    "readlink",
    "statx",
];

/// What is in the pod's cgroup; nothing, where there is none.
pub(crate) fn members(id: PodId) -> Vec<String> {
    let Some(hierarchy) = podlife::cgroup::Hierarchy::find().unwrap() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut below = vec![hierarchy.mount];
    while let Some(directory) = below.pop() {
        for entry in std::fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                if path.to_string_lossy().contains(&format!("/pod{id}/")) {
                    found.push(entry.file_name().into_string().unwrap());
                }
                below.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A session that cannot be had, with a terminal or without, is no matter to the pod, nor to the next.
#[test]
fn nor_of_a_session_for_which_the_node_lacks_a_call() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let main = json!([shell("main", "exec sleep 1000")]);
    let id = node.create(valid(&pod("inside", "Never", main))).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    let cgroups = members(id);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let open = descriptors();
    let mut failed = Vec::new();
    for call in INSIDE {
        for terminal in [false, true] {
            let mut exec = Exec::new(["echo", "there"]);
            if terminal {
                exec = exec.terminal(Default::default());
            }
            let without = std::thread::scope(|scope| {
                let node = &mut node;
                let exec = exec.clone();
                let run = move || {
                    refuse(call);
                    node.output(id, "main", exec, LONG)
                };
                scope.spawn(run).join().unwrap()
            });
            if let Err(error) = without {
                let text = error.to_string();
                assert!(text.contains("could not "), "without {call}: {text}");
                failed.push(call);
            }
            let with = node.output(id, "main", exec, LONG).unwrap();
            assert_eq!(with.stdout.trim_ascii(), b"there", "after {call}");
            let until = Instant::now() + LONG;
            while members(id) != cgroups || descriptors() != open {
                assert!(Instant::now() < until, "without {call}: {:?}", members(id));
                node.turn(Some(Duration::from_millis(1))).unwrap();
            }
        }
    }
    failed.dedup();
    assert!(failed.len() > 2, "only {failed:?} made a difference");
    assert_eq!(
        node.pod(id).unwrap().status().container_statuses[0].restart_count,
        0
    );
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
}

/// The PID 1 of a shared namespace is made after the sandbox and before the containers.
#[test]
fn nor_of_a_pod_whose_containers_share_a_pid_namespace() {
    let _before = Before::now();
    let shared = json!({ "shareProcessNamespace": true });
    for (call, said) in lives(&calls(), |_| Node::options(), &shared) {
        let named = said.contains("could not ") || said.contains("pause process ended");
        assert!(named, "without {call} it does not say what failed: {said}");
    }
}

/// Pods that outlive their Node would outlive a failure too, if nobody saw to it.
#[test]
fn nor_is_anything_left_of_a_pod_that_is_kept_on_disk() {
    let _before = Before::now();
    let state = State::new("refused");
    // Without statx the Node itself cannot remove what is on its disk.
    let here = |call: &&String| *call != "statx";
    let calls: Vec<_> = calls().iter().filter(here).cloned().collect();
    lives(
        &calls,
        |call| options(&state.0).state(state.0.join(call)),
        &json!({}),
    );
    for call in calls {
        let pods = std::fs::read_dir(state.0.join(&call).join("pods")).unwrap();
        assert_eq!(pods.count(), 0, "without {call}");
    }
}
