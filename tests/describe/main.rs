//! The page of `describe`, against the text that kubectl 1.33 printed for the same pods.
//!
//! It was asked of an API server that had nothing but the pod of the `.json` beside it and the events below.

#![allow(clippy::unwrap_used)]

use podlife::lifecycle::describe::{Describe, EventRow};
use podlife::model::Pod;
use podlife::time::Wall;

fn now() -> Wall {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn event(
    type_: &'static str,
    reason: &'static str,
    ages: [i64; 2],
    count: u32,
    message: &str,
) -> EventRow {
    let ago = |seconds: i64| Wall::from_nanos(now().as_nanos() - seconds * 1_000_000_000);
    let [first, last] = ages.map(ago);
    EventRow {
        type_,
        reason,
        first,
        last,
        count,
        message: message.into(),
    }
}

fn same(text: &str, wanted: &str) {
    for (number, (line, wanted)) in text.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(line, wanted, "line {}", number + 1);
    }
    assert_eq!(text, wanted);
}

#[test]
fn a_rich_pod_is_described_as_kubectl_does() {
    let pod: Pod = serde_json::from_str(include_str!("rich.json")).unwrap();
    let back_off = "Back-off restarting failed container web in pod \
                    rich_shop(0f0e7d3c-6a5b-4c8d-9e0f-123456789abc)";
    let present = "Container image \"example.com/web:3\" already present on machine";
    let unhealthy = "Readiness probe failed: dial\n second line \n";
    let events = vec![
        event("Normal", "Pulled", [3700, 3700], 1, present),
        event("Warning", "Unhealthy", [600, 30], 12, unhealthy),
        event("Warning", "BackOff", [63, 9], 4, back_off),
    ];
    let text = Describe::of(&pod, now()).events(events).to_string();
    same(&text, include_str!("rich.txt"));
}

#[test]
fn a_bare_pod_that_ends_is_described_as_kubectl_does() {
    let pod: Pod = serde_json::from_str(include_str!("bare.json")).unwrap();
    let text = Describe::of(&pod, now()).events(Vec::new()).to_string();
    same(&text, include_str!("bare.txt"));
}

#[test]
fn without_events_the_page_says_nothing_of_them() {
    let pod: Pod = serde_json::from_str(include_str!("bare.json")).unwrap();
    let text = Describe::of(&pod, now()).to_string();
    let (wanted, _) = include_str!("bare.txt").rsplit_once("Events:").unwrap();
    same(&text, wanted);
}
