//! Other threads.

use std::time::Duration;

use podlife::Kind;
use podlife::node::{Cursor, Delete, EventKind};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{LONG, pod, shell, valid};

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
