//! How pods end.

use std::time::{Duration, Instant};

use podlife::node::{Delete, Until};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, pod, shell, spec, valid, with};

/// The time that is not waited for is 30 s or more: Kubernetes' grace, if no other is given.
const FAR_BELOW: Duration = Duration::from_secs(20);

#[test]
fn a_pod_is_asked_first() {
    let mut hosted = Hosted::ephemeral();
    let script = "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.02; done";
    let hook = json!({ "lifecycle": { "preStop": { "exec": { "command": ["/bin/sh", "-c", "echo hook > /proc/1/fd/1"] } } } });
    let manifest = pod(
        "asked",
        "Always",
        json!([with(shell("main", script), hook)]),
    );
    let id = hosted.create(&spec(
        manifest,
        json!({ "terminationGracePeriodSeconds": 60 }),
    ));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "up");
    let mut logs = hosted
        .node
        .logs(
            id,
            "main",
            podlife::node::LogOptions {
                follow: true,
                ..Default::default()
            },
        )
        .unwrap();
    let started = Instant::now();
    hosted.delete(id);
    assert!(started.elapsed() < FAR_BELOW);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut logs, &mut text).unwrap();
    assert_eq!(text, "up\nhook\nasked\n");
    drop(logs);
    hosted.end();
}

#[test]
fn a_stubborn_one_is_killed_after_its_grace() {
    let mut hosted = Hosted::ephemeral();
    let manifest = pod(
        "stubborn",
        "Always",
        json!([shell(
            "main",
            "trap '' TERM; echo up; while :; do sleep 0.05; done"
        )]),
    );
    let id = hosted.create(&spec(
        manifest,
        json!({ "terminationGracePeriodSeconds": 2 }),
    ));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "up");
    let started = Instant::now();
    hosted.delete(id);
    let took = started.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < FAR_BELOW,
        "{took:?}"
    );
    assert!(hosted.reasons().contains(&"Killed".to_owned()));
    hosted.end();
}

#[test]
fn force_does_not_ask() {
    let mut hosted = Hosted::ephemeral();
    let id = hosted.create(&pod(
        "forced",
        "Always",
        json!([shell("main", "trap '' TERM; while :; do sleep 0.05; done")]),
    ));
    hosted.wait(id, Until::Ready);
    let started = Instant::now();
    hosted.kill(id);
    let took = started.elapsed();
    assert!(took < FAR_BELOW, "{took:?}");
    hosted.end();
}

/// A Node that is dropped takes its pods along, and does not wait for them.
#[test]
fn an_ephemeral_node_takes_its_pods_along() {
    let before = Before::now();
    let mut node = before::ephemeral();
    let id = node
        .create(valid(&pod(
            "brief",
            "Always",
            json!([shell("main", "setsid sleep 1000 & sleep 1000")]),
        )))
        .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    let started = Instant::now();
    drop(node);
    let took = started.elapsed();
    assert!(took < FAR_BELOW, "{took:?}");
    before.no_process();
    // What it could not remove without waiting, the next one does.
    drop(before::ephemeral());
}

/// The stubborn ones of a low priority leave the others their time.
#[test]
fn a_drain_shares_its_time_between_priorities() {
    use podlife::lifecycle::rules::shutdown::ShutdownPeriod;
    let _before = Before::now();
    let mut node = before::ephemeral();
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let polite = "trap 'sleep 0.3; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    for (name, script, priority) in [("low", stubborn, 0), ("high", polite, 1000)] {
        let manifest = pod(name, "Always", json!([shell("main", script)]));
        let id = node
            .create(valid(&spec(manifest, json!({ "priority": priority }))))
            .unwrap();
        super::hosted::printed(&mut node, id, "main", "up");
    }
    let high = node.find("default", "high").unwrap().id();
    let started = Instant::now();
    let period = |priority, grace| ShutdownPeriod { priority, grace };
    node.drain_by(&[period(0, 2), period(1000, 60)]).unwrap();
    let took = started.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < FAR_BELOW,
        "{took:?}"
    );
    let events = node.events(podlife::node::Cursor::START);
    let of_high: Vec<_> = events.filter(|event| event.pod == high).collect();
    assert!(!of_high.iter().any(|event| event.reason() == "Killed"));
    let exited = of_high
        .iter()
        .find(|event| event.reason() == "Exited")
        .unwrap();
    assert!(exited.message().contains("exit code 0"), "{exited}");
}

/// A second deletion can make the time shorter, in each way.
#[test]
fn a_deletion_is_shortened_by_the_next() {
    let mut hosted = Hosted::ephemeral();
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let strict = Delete {
        strict_deadline: Some(Duration::from_secs(1)),
        ..Delete::default()
    };
    for how in [
        strict,
        Delete::within(Duration::from_secs(2)),
        Delete::now(),
    ] {
        let manifest = pod("held", "Always", json!([shell("main", stubborn)]));
        let id = hosted.create(&spec(
            manifest,
            json!({ "terminationGracePeriodSeconds": 600 }),
        ));
        hosted.printed(id, "main", "up");
        hosted.node.delete(id, Delete::default()).unwrap();
        let started = Instant::now();
        hosted.node.delete(id, how).unwrap();
        hosted.wait(id, Until::Deleted);
        let took = started.elapsed();
        assert!(took < FAR_BELOW, "{how:?}: {took:?}");
    }
    hosted.end();
}

#[test]
fn a_drain_ends_all_pods() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    for name in ["a", "b", "c"] {
        node.create(valid(&pod(
            name,
            "Always",
            json!([shell("main", "sleep 1000 & wait")]),
        )))
        .unwrap();
    }
    let started = Instant::now();
    node.drain(Duration::from_secs(3)).unwrap();
    assert!(started.elapsed() < FAR_BELOW);
    assert_eq!(node.pods().count(), 0);
}
