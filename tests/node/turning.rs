//! The Node's descriptor, as event loops use it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use podlife::model::Phase;
use podlife::node::{Delete, EventKind};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{LONG, pod, shell, valid};

/// An edge-triggered loop, as tokio and mio have: it must see an edge for everything there is to do.
#[test]
fn an_edge_triggered_loop_misses_nothing() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let outer = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    outer
        .add(
            node.as_fd(),
            EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0),
        )
        .unwrap();
    let mut living = std::collections::BTreeSet::new();
    for number in 0..8 {
        let manifest = pod(
            &format!("p{number}"),
            "Never",
            json!([shell("a", "echo a"), shell("b", "sleep 0.1; echo b")]),
        );
        living.insert(node.create(valid(&manifest)).unwrap());
    }
    let until = Instant::now() + LONG;
    while !living.is_empty() {
        let edges = outer.wait(&mut [EpollEvent::empty()], 60000u16).unwrap();
        assert_eq!(edges, 1, "no edge, and {} pods left", living.len());
        assert!(Instant::now() < until);
        node.turn(Some(Duration::ZERO)).unwrap();
        while let Some(event) = node.next_event() {
            match event.kind {
                EventKind::Phase(Phase::Succeeded) => {
                    node.delete(event.pod, Delete::default()).unwrap()
                }
                EventKind::Deleted => assert!(living.remove(&event.pod)),
                EventKind::Phase(Phase::Failed) => panic!("{event}"),
                _ => {}
            }
        }
    }
}

#[test]
fn an_idle_node_is_not_readable() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let id = node
        .create(valid(&pod(
            "idle",
            "Always",
            json!([shell("main", "exec sleep 1000")]),
        )))
        .unwrap();
    node.wait(id, podlife::node::Until::Ready, super::hosted::LONG)
        .unwrap();
    while node
        .turn(Some(Duration::from_millis(50)))
        .unwrap()
        .progressed
        > 0
    {}
    let outer = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    outer
        .add(node.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))
        .unwrap();
    assert_eq!(outer.wait(&mut [EpollEvent::empty()], 50u8).unwrap(), 0);
    node.drain(Duration::from_secs(1)).unwrap();
}

/// More is asked than one turn answers: an edge-triggered loop comes back for the rest.
#[test]
fn a_turn_that_stops_early_gives_a_new_edge() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    node.turn(Some(Duration::ZERO)).unwrap();
    let outer = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    outer
        .add(
            node.as_fd(),
            EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0),
        )
        .unwrap();
    let nobody = "0f0e7d3c-6a5b-4c8d-9e0f-123456789abc".parse().unwrap();
    let handle = node.handle();
    let mut asked: Vec<_> = (0..100).map(|_| handle.snapshot(nobody)).collect();
    let mut turns = 0;
    while !asked.is_empty() {
        let edges = outer.wait(&mut [EpollEvent::empty()], 60000u16).unwrap();
        assert_eq!(edges, 1, "no edge, and {} calls left", asked.len());
        node.turn(Some(Duration::ZERO)).unwrap();
        turns += 1;
        asked.retain_mut(|pending| match pending.try_take() {
            Some(answer) => answer.unwrap_err().kind() != podlife::Kind::NotFound,
            None => true,
        });
    }
    assert!(turns > 1, "a turn is bounded");
}
