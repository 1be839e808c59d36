//! Logs that are bounded, and read while they grow.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use podlife::node::{Delete, LogOptions, Logs, Node, PodId, Stream, Until};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, exit_code, pod, shell};
use super::volumes::Directory;

fn numbers(to: u32) -> String {
    (1..=to).map(|number| format!("{number}\n")).collect()
}

/// What a follower has read when the log has ended.
fn follow(node: &mut Node, logs: &mut Logs) -> String {
    let (mut text, mut piece) = (Vec::new(), vec![0; 4096]);
    loop {
        match logs.read(&mut piece) {
            Ok(0) => return String::from_utf8(text).unwrap(),
            Ok(count) => text.extend_from_slice(&piece[..count]),
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                node.turn(Some(std::time::Duration::from_millis(20)))
                    .unwrap();
            }
            Err(why) => panic!("{why}"),
        }
    }
}

fn all(node: &Node, id: PodId, options: LogOptions) -> String {
    let mut text = String::new();
    node.logs(id, "main", options)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn files(state: &Directory) -> Vec<PathBuf> {
    let pods = std::fs::read_dir(state.0.join("logs")).unwrap().flatten();
    let containers = pods.flat_map(|pod| std::fs::read_dir(pod.path()).unwrap().flatten());
    let files = containers.flat_map(|container| std::fs::read_dir(container.path()).unwrap());
    files.flatten().map(|file| file.path()).collect()
}

/// In bursts, so that there is something between them to go on with.
const BURSTS: &str = "i=0; while [ $i -lt 20 ]; do seq $((i * 250 + 1)) $((i * 250 + 250)); i=$((i + 1)); sleep 0.02; done";

#[test]
fn no_line_is_lost_between_pieces() {
    let before = Before::now();
    let state = Directory::new("pieces");
    let options = super::recovery::options(&state.0)
        .log_max_size(8192)
        .log_max_files(1000);
    let mut node = before::open(options);
    let manifest = pod("bursts", "Never", json!([shell("main", BURSTS)]));
    let id = node.create(&*manifest.to_string()).unwrap();
    let mut logs = loop {
        let follow = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        match node.logs(id, "main", follow) {
            Ok(logs) => break logs,
            Err(_) => node.turn(Some(LONG)).map(drop).unwrap(),
        }
    };
    assert_eq!(follow(&mut node, &mut logs), numbers(5000));
    drop(logs);
    node.wait(id, Until::Finished, LONG).unwrap();
    assert_eq!(all(&node, id, LogOptions::default()), numbers(5000));
    let pieces = files(&state);
    assert!(pieces.len() > 10, "{pieces:?}");
    assert!(
        !pieces
            .iter()
            .any(|piece| piece.extension().is_some_and(|end| end == "new"))
    );
    // A tail reaches over pieces.
    let tail = LogOptions {
        tail: Some(2000),
        ..LogOptions::default()
    };
    assert_eq!(
        all(&node, id, tail),
        (3001..=5000)
            .map(|number| format!("{number}\n"))
            .collect::<String>()
    );
    node.delete(id, Delete::default()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    super::recovery::remove_cgroup(&state.0);
    drop((state, before));
}

#[test]
fn so_many_pieces_are_kept() {
    let before = Before::now();
    let state = Directory::new("bounded");
    let options = super::recovery::options(&state.0)
        .log_max_size(8192)
        .log_max_files(3);
    let mut node = before::open(options);
    let manifest = pod("bounded", "Never", json!([shell("main", BURSTS)]));
    let id = node.create(&*manifest.to_string()).unwrap();
    node.wait(id, Until::Finished, LONG).unwrap();
    let pieces = files(&state);
    assert_eq!(pieces.len(), 3, "{pieces:?}");
    let text = all(&node, id, LogOptions::default());
    assert!(
        numbers(5000).ends_with(&text) && text.len() > 1000,
        "{text}"
    );
    node.delete(id, Delete::default()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    super::recovery::remove_cgroup(&state.0);
    drop((state, before));
}

/// Bytes of memory that logs of this process's Nodes take.
fn log_memory() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_log = |path: &PathBuf| {
        std::fs::read_link(path).is_ok_and(|link| link.to_string_lossy().contains("podlife-log"))
    };
    let paths = entries.map(|entry| entry.path()).filter(is_log);
    paths
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|file| file.blocks() * 512)
        .sum()
}

#[test]
fn a_log_in_memory_is_bounded_too() {
    let before = Before::now();
    let mut node = before::open(Node::options().log_max_size(64 << 10).log_max_files(2));
    let manifest = pod("chatty", "Never", json!([shell("main", "seq 1 300000")]));
    let id = node.create(&*manifest.to_string()).unwrap();
    node.wait(id, Until::Finished, LONG).unwrap();
    // Twelve megabytes were written.
    let (memory, text) = (log_memory(), all(&node, id, LogOptions::default()));
    assert!((64 << 10..512 << 10).contains(&memory), "{memory}");
    let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    let first = numbers[0];
    assert!(
        first > 200_000 && numbers.iter().copied().eq(first..=300_000),
        "{first}"
    );
    let tail = LogOptions {
        tail: Some(1_000_000),
        ..LogOptions::default()
    };
    let tail = all(&node, id, tail);
    assert!(
        tail == text,
        "{:?} {:?}",
        tail.lines().next(),
        text.lines().next()
    );
    let tail = LogOptions {
        tail: Some(2),
        timestamps: true,
        ..LogOptions::default()
    };
    let tail = all(&node, id, tail);
    assert!(
        tail.lines().count() == 2 && tail.ends_with("Z 300000\n"),
        "{tail}"
    );
    node.delete(id, Delete::default()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop((node, before));
}

/// What the run before printed, by each of the ways to ask.
#[test]
fn a_part_of_a_log_of_the_run_before() {
    let mut hosted = Hosted::ephemeral();
    let script = "if [ -e /run/data/again ]; then echo second; exec sleep 1000; fi; touch /run/data/again; \
                  echo oh >&2; echo one; echo two; echo three; exit 3";
    let mut manifest = pod("before", "OnFailure", json!([shell("main", script)]));
    manifest["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "data", "mountPath": "/run/data" }]);
    manifest["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    manifest["metadata"]["annotations"] =
        json!({ "podlife.io/crashBackOff": r#"{"initial": "10ms", "max": "1s"}"# });
    let id = hosted.create(&manifest);
    hosted.printed(id, "main", "second");
    let status = hosted.node.pod(id).unwrap().status().clone();
    assert_eq!(exit_code(&container(&status, "main").last_state), Some(3));
    // Which of two streams was written first is not known, so they are read apart.
    let of = |stream| LogOptions {
        previous: true,
        stream: Some(stream),
        ..LogOptions::default()
    };
    let (out, err) = (of(Stream::Stdout), of(Stream::Stderr));
    let read = |options: &LogOptions| all(&hosted.node, id, options.clone());
    assert_eq!(read(&out), "one\ntwo\nthree\n");
    assert_eq!(read(&err), "oh\n");
    let limited = LogOptions {
        limit_bytes: Some(5),
        ..out.clone()
    };
    assert_eq!(read(&limited), "one\nt");
    let with_times = read(&LogOptions {
        timestamps: true,
        ..out.clone()
    });
    let second = with_times
        .lines()
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let since = Some(second.parse().unwrap());
    assert!(
        read(&LogOptions {
            since,
            ..out.clone()
        })
        .ends_with("two\nthree\n")
    );
    let later = Some("2999-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(
        read(&LogOptions {
            since: later,
            ..out
        }),
        ""
    );
    let both = LogOptions {
        previous: true,
        tail: Some(3),
        ..LogOptions::default()
    };
    assert_eq!(read(&both).lines().count(), 3);
    hosted.delete(id);
    hosted.end();
}
