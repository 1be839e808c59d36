//! Nodes that are killed, and what the next one finds.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use podlife::model::Phase;
use podlife::node::{Delete, EventKind, LogOptions, Node, PodId, Until};
use podlife::{Kind, linux::Process, linux::Signal};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{LONG, container, exit_code, pod, shell, valid};

/// A state directory and its Nodes' cgroup, gone with the value.
pub(crate) struct State(pub(crate) PathBuf);

impl State {
    pub(crate) fn new(name: &str) -> State {
        // Long: the sockets in it have longer paths than an address can hold.
        let name = format!(
            "podlife-state-{name}-{}-{}",
            std::process::id(),
            "x".repeat(80)
        );
        State(std::env::temp_dir().join(name))
    }

    pub(crate) fn node(&self) -> Node {
        before::open(options(&self.0))
    }

    /// The process that holds the sandbox.
    pub(crate) fn pause(&self, id: PodId) -> Process {
        let path = self.0.join("pods").join(id.to_string()).join("pause");
        let identity: podlife::linux::process::Identity =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        identity.open().unwrap().unwrap()
    }

    fn only_pod(&self) -> PodId {
        let mut pods = std::fs::read_dir(self.0.join("pods")).unwrap().flatten();
        let name = pods.next().unwrap().file_name().into_string().unwrap();
        name.parse().unwrap()
    }

    /// Facts that cost nothing to lose are on record within a second.
    fn wait_for_record(&self, id: PodId, text: &str) {
        let path = self.0.join("pods").join(id.to_string()).join("record");
        let until = Instant::now() + LONG;
        let there = || String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text);
        while !there() {
            assert!(Instant::now() < until, "no {text:?} on record");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing is left in it but its own three names.
    pub(crate) fn check(&self) {
        for (directory, left) in [("pods", 0), ("logs", 0), ("", 3)] {
            let path = self.0.join(directory);
            assert_eq!(
                std::fs::read_dir(&path).unwrap().count(),
                left,
                "{}",
                path.display()
            );
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            remove_cgroup(&self.0);
        }
    }
}

/// After the last Node of a state directory.
pub(crate) fn remove_cgroup(state: &Path) {
    if let Some(cgroup) = cgroup(state).filter(|cgroup| cgroup.exists()) {
        std::fs::remove_dir(cgroup).unwrap();
    }
}

/// Root's tests have a cgroup of their own: that of Nodes with a state directory is the same for all. An ephemeral Node
/// of another test would sweep it away if it were named like one of its own.
pub(crate) fn cgroup(state: &Path) -> Option<PathBuf> {
    let hierarchy = podlife::cgroup::Hierarchy::find().unwrap()?;
    let name = state.file_name().unwrap_or_default().to_str().unwrap();
    nix::unistd::geteuid()
        .is_root()
        .then(|| hierarchy.mount.join(name.trim_start_matches("podlife-")))
}

pub(crate) fn options(state: &Path) -> podlife::node::NodeOptions {
    let options = Node::options().state(state);
    match cgroup(state) {
        Some(cgroup) => {
            let _ = std::fs::create_dir(&cgroup);
            options.cgroup_root(cgroup)
        }
        None => options,
    }
}

/// Another process that has a Node with one pod, until it is killed.
struct Embedder(Child);

impl Embedder {
    fn start(state: &State, script: &str) -> Embedder {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "recovery::embedder", "--ignored", "--nocapture"])
            .env("PODLIFE_TEST_STATE", &state.0)
            .env("PODLIFE_TEST_SCRIPT", script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap() == "ready"),
            "the embedder ended"
        );
        Embedder(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "the other process of the tests below"]
fn embedder() {
    let Some(state) = std::env::var_os("PODLIFE_TEST_STATE") else {
        return;
    };
    let script = std::env::var("PODLIFE_TEST_SCRIPT").unwrap();
    let mut node = options(Path::new(&state)).open().unwrap();
    let id = node
        .create(valid(&pod(
            "survivor",
            "Never",
            json!([shell("main", &script)]),
        )))
        .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    println!("ready");
    loop {
        node.turn(None).unwrap();
    }
}

fn survivor(node: &Node) -> PodId {
    node.find("default", "survivor")
        .expect("the pod is lost")
        .id()
}

fn log(node: &Node, id: PodId) -> String {
    let mut text = String::new();
    node.logs(id, "main", LogOptions::default())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn finish(state: State, mut node: Node, id: PodId) {
    node.delete(id, Delete::default()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    state.check();
}

/// Waits for a file of the container, which tells how far its script is.
fn wait_for_log(state: &Path, text: &str) {
    let until = Instant::now() + LONG;
    let logs = state.join("logs");
    loop {
        let found = std::fs::read_dir(&logs).unwrap().flatten().any(|pod| {
            let log = std::fs::read_to_string(pod.path().join("main/0.log"));
            log.is_ok_and(|log| log.contains(text))
        });
        if found {
            return;
        }
        assert!(Instant::now() < until, "no {text:?} in the log");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_pod_outlives_its_embedder() {
    let _before = Before::now();
    let state = State::new("outlives");
    let script = "for n in 1 2 3 4 5 6; do echo line $n; sleep 0.3; done; exit 7";
    Embedder::start(&state, script).kill();
    wait_for_log(&state.0, "line 3");
    let mut node = state.node();
    let id = survivor(&node);
    let events: Vec<_> = std::iter::from_fn(|| node.next_event()).collect();
    assert!(
        events.iter().any(|event| event.kind == EventKind::Restored),
        "{events:?}"
    );
    assert_eq!(
        node.wait(id, Until::Finished, LONG).unwrap_err().kind(),
        Kind::PodFailed
    );
    let status = node.pod(id).unwrap().status().clone();
    let main = container(&status, "main");
    assert_eq!((exit_code(&main.state), main.restart_count), (Some(7), 0));
    assert_eq!(
        log(&node, id),
        (1..=6).map(|n| format!("line {n}\n")).collect::<String>()
    );
    finish(state, node, id);
}

#[test]
fn an_exit_that_nobody_saw_is_not_lost() {
    let _before = Before::now();
    let state = State::new("unseen");
    Embedder::start(&state, "sleep 0.3; echo bye; exit 0").kill();
    wait_for_log(&state.0, "bye");
    std::thread::sleep(Duration::from_millis(100));
    let mut node = state.node();
    let id = survivor(&node);
    let status = node.wait(id, Until::Finished, LONG).unwrap();
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert_eq!(log(&node, id), "bye\n");
    finish(state, node, id);
}

#[test]
fn a_sandbox_that_died_alone_is_noticed() {
    sandbox_dies_alone("alone", |state, id| state.wait_for_record(id, "Running"));
}

/// What was asked for and may have run is not run again, though nobody wrote down that it ran.
#[test]
fn a_start_that_was_not_written_yet_counts() {
    sandbox_dies_alone("counts", |_, _| {});
}

fn sandbox_dies_alone(name: &str, wait: impl Fn(&State, PodId)) {
    let _before = Before::now();
    let state = State::new(name);
    let embedder = Embedder::start(&state, "exec sleep 1000");
    let id = state.only_pod();
    wait(&state, id);
    embedder.kill();
    let pause = state.pause(id);
    pause.signal(Signal::KILL).unwrap();
    assert!(pause.wait(Some(LONG)).unwrap());
    let mut node = state.node();
    let outcome = node.wait(id, Until::Finished, LONG);
    let story: Vec<_> = std::iter::from_fn(|| node.next_event())
        .map(|event| event.to_string())
        .collect();
    assert_eq!(outcome.unwrap_err().kind(), Kind::PodFailed, "{story:#?}");
    let status = node.pod(id).unwrap().status().clone();
    assert_eq!(exit_code(&container(&status, "main").state), Some(137));
    finish(state, node, id);
}

#[test]
fn a_dropped_node_leaves_its_pods_running() {
    let _before = Before::now();
    let state = State::new("dropped");
    let mut node = state.node();
    let id = node
        .create(valid(&pod(
            "survivor",
            "Always",
            json!([shell("main", "exec sleep 1000")]),
        )))
        .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    let error = Node::open(&state.0).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    let pause = state.pause(id);
    for _ in 0..3 {
        drop(node);
        node = state.node();
        assert_eq!(survivor(&node), id);
        node.wait(id, Until::Ready, LONG).unwrap();
        assert!(pause.is_running().unwrap());
        let status = node.pod(id).unwrap().status();
        assert_eq!(container(status, "main").restart_count, 0);
    }
    finish(state, node, id);
}

#[test]
fn a_deletion_goes_on() {
    let _before = Before::now();
    let state = State::new("deletion");
    let mut node = state.node();
    let script = "trap '' TERM; while :; do sleep 0.05; done";
    let id = node
        .create(valid(&pod(
            "survivor",
            "Always",
            json!([shell("main", script)]),
        )))
        .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    node.delete(id, Delete::within(Duration::from_secs(2)))
        .unwrap();
    let started = Instant::now();
    node.turn(Some(Duration::ZERO)).unwrap();
    drop(node);
    let mut node = state.node();
    node.wait(id, Until::Deleted, LONG).unwrap();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(node);
    state.check();
}

/// A pod that was not wholly created never was, and a record that was cut off counts as far as it is whole.
#[test]
fn what_is_half_written_does_no_harm() {
    let _before = Before::now();
    let state = State::new("half");
    let mut node = state.node();
    let id = node
        .create(valid(&pod(
            "survivor",
            "Always",
            json!([shell("main", "exec sleep 1000")]),
        )))
        .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    drop(node);
    let pods = state.0.join("pods");
    std::fs::create_dir(pods.join("0f0e7d3c-6a5b-4c8d-9e0f-123456789abc")).unwrap();
    let record = pods.join(id.to_string()).join("record");
    let mut bytes = std::fs::read(&record).unwrap();
    bytes.extend_from_slice(&[0x40, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
    std::fs::write(&record, bytes).unwrap();
    let mut node = state.node();
    assert_eq!(node.pods().count(), 1);
    node.wait(id, Until::Ready, LONG).unwrap();
    finish(state, node, id);
}

/// Pause dies while the Node lives: the pod is made anew, and whoever follows a log of before sees its end.
#[test]
fn a_pause_that_is_killed_is_replaced() {
    let _before = Before::now();
    let state = State::new("replaced");
    let mut node = state.node();
    let manifest = pod(
        "survivor",
        "Always",
        json!([shell("main", "echo up; exec sleep 1000")]),
    );
    let id = node.create(valid(&manifest)).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    super::hosted::printed(&mut node, id, "main", "up");
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut logs = node.logs(id, "main", options).unwrap();
    state.pause(id).signal(Signal::KILL).unwrap();
    told(&mut node, "SandboxChanged");
    told(&mut node, "Started");
    let mut text = String::new();
    logs.read_to_string(&mut text).unwrap();
    assert_eq!(text, "up\n");
    let status = node.wait(id, Until::Ready, LONG).unwrap();
    assert_eq!(container(&status, "main").restart_count, 1);
    finish(state, node, id);
}

/// A killed pause whose parent has reaped it before the Node looks: nothing is left to wait for.
#[test]
fn a_pause_that_is_reaped_at_once_is_missed() {
    let _before = Before::now();
    let state = State::new("reaped");
    let mut node = state.node();
    prctl::set_child_subreaper(true).unwrap();
    let manifest = pod(
        "survivor",
        "Always",
        json!([shell("main", "exec sleep 1000")]),
    );
    let id = node.create(valid(&manifest)).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    let pause = state.pause(id);
    pause.signal(Signal::KILL).unwrap();
    while pause.reap().unwrap().is_none() {
        std::thread::yield_now();
    }
    prctl::set_child_subreaper(false).unwrap();
    told(&mut node, "SandboxChanged");
    told(&mut node, "Started");
    finish(state, node, id);
}

/// Drives until there is an event of this reason.
pub(crate) fn told(node: &mut Node, reason: &str) {
    let mut seen = String::new();
    let done = node.run_until(LONG, |_, event| {
        seen += &format!("{event}\n");
        event.reason() == reason
    });
    done.unwrap_or_else(|error| panic!("no {reason}: {error}\n{seen}"));
}

/// The Node died when the manifest was written, and nothing else: the next one resizes.
#[test]
fn a_resize_is_not_lost_between_manifest_and_record() {
    let _before = Before::now();
    let state = State::new("resize");
    let mut node = state.node();
    let limits = json!({ "resources": { "limits": { "memory": "64Mi" } } });
    let main = super::hosted::with(shell("main", "exec sleep 1000"), limits);
    let id = node
        .create(valid(&pod("resized", "Always", json!([main]))))
        .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    drop(node);
    let path = state.0.join("pods").join(id.to_string()).join("manifest");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("64Mi", "96Mi")).unwrap();
    let mut node = state.node();
    let resized = |node: &Node, _: &podlife::node::Event| {
        let status = container(node.pod(id).unwrap().status(), "main").clone();
        status.resources.unwrap().limits["memory"].to_string() == "96Mi"
    };
    node.run_until(LONG, |node, event| {
        event.reason() == "ResizeCompleted" && resized(node, event)
    })
    .unwrap();
    assert_eq!(
        container(node.pod(id).unwrap().status(), "main").restart_count,
        0
    );
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    state.check();
}
