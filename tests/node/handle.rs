//! Other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use podlife::Kind;
use podlife::lifecycle::rules::shutdown::ShutdownPeriod;
use podlife::node::{Cursor, Delete, EventKind, LogOptions, NodeHandle};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{LONG, pod, printed, shell, valid};

#[test]
fn other_threads_use_a_handle() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let handle = node.handle();
    let other = std::thread::spawn(move || {
        let mut watch = handle.watch(Cursor::START);
        let id = handle
            .create(valid(&pod("far", "Never", json!([shell("main", "true")]))))
            .wait(LONG)
            .unwrap();
        while !matches!(
            watch.next().unwrap().kind,
            EventKind::Phase(podlife::model::Phase::Succeeded)
        ) {}
        let snapshot = handle.snapshot(id).wait(LONG).unwrap();
        assert_eq!(
            snapshot.status.phase,
            Some(podlife::model::Phase::Succeeded)
        );
        handle.delete(id, Delete::default()).wait(LONG).unwrap();
        while watch.next().unwrap().kind != EventKind::Deleted {}
        assert_eq!(
            handle.snapshot(id).wait(LONG).unwrap_err().kind(),
            Kind::NotFound
        );
        handle.close().wait(LONG).unwrap();
        (watch.count(), handle)
    });
    let stopped = node.run_until(LONG, |_, _| false).unwrap_err();
    assert_eq!(stopped.kind(), Kind::NodeClosed);
    drop(node);
    let (left, handle) = other.join().unwrap();
    assert_eq!(left, 0);
    let answer = handle.close().wait(Duration::from_secs(1));
    assert_eq!(answer.unwrap_err().kind(), Kind::NodeClosed);
}

/// Drives a Node with a pod that does not care about SIGTERM, while `other` has its handle. The flag says that whoever drives it has
/// seen that the pod is being ended.
fn beside_a_stubborn_pod(other: impl FnOnce(&NodeHandle, &AtomicBool) + Send + 'static) {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let manifest = pod("stubborn", "Always", json!([shell("main", script)]));
    let id = node.create(valid(&manifest)).unwrap();
    printed(&mut node, id, "main", "up");
    let handle = node.handle();
    let seen = Arc::new(AtomicBool::new(false));
    let flag = seen.clone();
    let other = std::thread::spawn(move || {
        other(&handle, &flag);
        handle.close().wait(LONG).unwrap();
    });
    let stopped = node.run_until(LONG, |_, event| {
        seen.fetch_or(matches!(event.kind, EventKind::Terminating(_)), Relaxed);
        false
    });
    assert_eq!(stopped.unwrap_err().kind(), Kind::NodeClosed);
    other.join().unwrap();
    assert_eq!(node.pods().count(), 0);
}

#[test]
fn a_drain_keeps_the_driving_thread_from_nothing() {
    beside_a_stubborn_pod(|handle, seen| {
        let mut done = handle.drain(Duration::MAX);
        let until = Instant::now() + LONG;
        while !seen.load(Relaxed) {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(5));
        }
        let pods = handle.with(|node| Ok(node.pods().map(|pod| pod.id()).collect::<Vec<_>>()));
        let pods = pods.wait(LONG).unwrap();
        assert!(done.try_take().is_none());
        let logs = handle.logs(pods[0], "main", LogOptions::default());
        let said = std::io::read_to_string(logs.wait(LONG).unwrap()).unwrap();
        assert_eq!(said, "up\n");
        handle.drain(Duration::ZERO).wait(LONG).unwrap();
        done.wait(LONG).unwrap();
    });
}

#[test]
fn drains_do_not_mind_each_other() {
    beside_a_stubborn_pod(|handle, _| {
        let long = handle.drain(Duration::MAX);
        let period = |priority, grace| ShutdownPeriod { priority, grace };
        let short = handle.drain_by(&[period(0, 1), period(1000, 0)]);
        short.wait(LONG).unwrap();
        long.wait(LONG).unwrap();
        // There is nobody left.
        handle.drain(Duration::MAX).wait(LONG).unwrap();
    });
}
