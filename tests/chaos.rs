//! Embedders and pauses are killed at random points; nothing is lost and nothing is left.
//!
//! `PODLIFE_CHAOS_ROUNDS` says how often (12), `PODLIFE_CHAOS_SEED` with which dice; the seed is printed.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "what the other tests need")]
#[path = "node/before.rs"]
mod before;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use before::Before;
use podlife::linux::Signal;
use podlife::linux::process::Identity;
use podlife::model::{Pod, Valid};
use podlife::node::{Node, NodeOptions, PodId};

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn seeded() -> Dice {
        let given = std::env::var("PODLIFE_CHAOS_SEED").ok();
        let seed = given.map_or_else(
            || u64::from(std::process::id()) << 20 | 1,
            |text| text.parse().unwrap(),
        );
        println!("PODLIFE_CHAOS_SEED={seed}");
        Dice(seed.max(1))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

fn options(state: &Path) -> NodeOptions {
    let options = Node::options().state(state);
    match cgroup(state) {
        Some(cgroup) => {
            let _ = std::fs::create_dir(&cgroup);
            options.cgroup_root(cgroup)
        }
        None => options,
    }
}

/// Root's test has a cgroup of its own.
fn cgroup(state: &Path) -> Option<PathBuf> {
    let hierarchy = podlife::cgroup::Hierarchy::find().unwrap()?;
    let root = nix::unistd::geteuid().is_root();
    root.then(|| hierarchy.mount.join(state.file_name().unwrap()))
}

/// Containers that stay, that end, that fail, that have an init container and a hook.
const SCRIPTS: [&str; 4] = [
    "exec sleep 1000",
    "sleep 0.05",
    "sleep 0.02; exit 1",
    "trap '' TERM; while :; do sleep 0.05; done",
];

fn pod(number: usize) -> Valid<Pod> {
    let container = |name: &str, script: &str| serde_json::json!({ "name": name, "image": "podlife.local/host", "command": ["/bin/sh", "-c", script] });
    let options = r#"{"initial": "10ms", "max": "50ms"}"#;
    let manifest = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("p{number}"), "annotations": { "podlife.io/crashBackOff": options } },
        "spec": {
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 1,
            "initContainers": [container("init", "true")],
            "containers": [container("main", SCRIPTS[number % SCRIPTS.len()]), container("other", SCRIPTS[(number + 1) % SCRIPTS.len()])],
        }
    });
    Valid::try_from(&*manifest.to_string()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Creates what is missing, says what was created, and drives until it is killed.
#[test]
#[ignore = "the other process of the test below"]
fn embedder() {
    let Some(state) = std::env::var_os("PODLIFE_TEST_STATE") else {
        return;
    };
    let mut node = options(Path::new(&state)).open().unwrap();
    for number in 0..SCRIPTS.len() {
        if node.find("default", &format!("p{number}")).is_none() {
            println!("created {}", node.create(pod(number)).unwrap());
        }
    }
    loop {
        node.turn(None).unwrap();
    }
}

/// Runs an embedder for a while; what it created before it was killed.
fn brief(state: &Path, span: Duration) -> Vec<PodId> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedder", "--ignored", "--nocapture"])
        .env("PODLIFE_TEST_STATE", state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(span);
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    lines
        .filter_map(|line| line.strip_prefix("created ")?.parse().ok())
        .collect()
}

/// Kills the pause of a pod, if the dice say so.
fn maybe_kill_a_pause(state: &Path, dice: &mut Dice) {
    let pods = std::fs::read_dir(state.join("pods"))
        .into_iter()
        .flatten()
        .flatten();
    for pod in pods {
        let identity = std::fs::read(pod.path().join("pause")).unwrap_or_default();
        let Ok(identity) = serde_json::from_slice::<Identity>(&identity) else {
            continue;
        };
        if dice.below(4) == 0
            && let Ok(Some(pause)) = identity.open()
        {
            pause.signal(Signal::KILL).unwrap();
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_is_left() {
    let _before = Before::now();
    let mut dice = Dice::seeded();
    let rounds = std::env::var("PODLIFE_CHAOS_ROUNDS").map_or(12, |text| text.parse().unwrap());
    let state = std::env::temp_dir().join(format!("podlife-chaos-{}", std::process::id()));
    let mut created = BTreeSet::new();
    for _ in 0..rounds {
        created.extend(brief(&state, Duration::from_millis(dice.below(400))));
        maybe_kill_a_pause(&state, &mut dice);
    }
    let mut node = before::open(options(&state));
    let living: BTreeSet<_> = node.pods().map(|pod| pod.id()).collect();
    println!("{} pods created, {} living", created.len(), living.len());
    let lost: Vec<_> = created.difference(&living).collect();
    assert!(lost.is_empty(), "lost {lost:?} of {created:?}");
    let names: BTreeSet<_> = node.pods().map(|pod| pod.name().to_owned()).collect();
    assert_eq!(names.len(), living.len(), "a name twice");
    node.drain(Duration::from_secs(5)).unwrap();
    drop(node);
    for directory in ["pods", "logs"] {
        let left: Vec<_> = std::fs::read_dir(state.join(directory))
            .unwrap()
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    std::fs::remove_dir_all(&state).unwrap();
    if let Some(cgroup) = cgroup(&state) {
        std::fs::remove_dir(cgroup).unwrap();
    }
}
