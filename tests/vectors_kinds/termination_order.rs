//! Who waits for whom when a whole pod ends, and for how long: the rule, played on a clock of its own.

use std::collections::{BTreeMap, BTreeSet};

use podlife::lifecycle::rules::order::waits_for;
use podlife::lifecycle::rules::shape::Shape;
use podlife::model::Pod;
use serde_json::{Value, json};

use super::observed::list;
use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let pod: Pod = case.read("pod");
    let shape = Shape::new(&pod);
    let names = list(&case.input["running"]).iter();
    let running: BTreeSet<usize> = names
        .map(|name| shape.index(name.as_str().unwrap()).unwrap())
        .collect();
    let running: Vec<usize> = running.into_iter().collect();
    let waits = play(case, &shape, &running);
    let named = |index: usize| &*shape.containers[index].name;
    let seconds: BTreeMap<&str, u64> = waits
        .iter()
        .map(|(index, wait)| (named(*index), *wait as u64))
        .collect();
    let whom = running.iter().map(|&index| {
        let mut whom: Vec<&str> = waits_for(&shape, index, |other| running.contains(&other))
            .map(named)
            .collect();
        whom.sort_unstable();
        (named(index), whom)
    });
    let whom: BTreeMap<_, _> = whom.collect();
    Answer::Covers(json!({ "waitSeconds": seconds, "waitsFor": whom }))
}

/// When each is told to stop: as soon as it waits for nobody, or its grace is used up. It ends `exitSeconds` later.
fn play(case: &Case, shape: &Shape, running: &[usize]) -> BTreeMap<usize, f64> {
    let number = |value: &Value, index: usize| {
        let own = value.get(&*shape.containers[index].name);
        own.unwrap_or(value).as_f64().unwrap_or(0.0)
    };
    let mut told: BTreeMap<usize, f64> = BTreeMap::new();
    let mut ended: BTreeMap<usize, f64> = BTreeMap::new();
    while told.len() < running.len() {
        let undecided: Vec<usize> = running
            .iter()
            .copied()
            .filter(|index| !told.contains_key(index))
            .collect();
        for index in undecided {
            let grace = number(&case.input["gracePeriodSeconds"], index).max(0.0);
            let whom: Vec<usize> =
                waits_for(shape, index, |other| running.contains(&other)).collect();
            let known = whom.iter().all(|other| ended.contains_key(other));
            if !known && grace > 0.0 {
                continue;
            }
            let turn = whom
                .iter()
                .map(|other| ended.get(other).copied().unwrap_or(0.0))
                .fold(0.0, f64::max);
            let at = turn.min(grace);
            told.insert(index, at);
            ended.insert(index, at + number(&case.input["exitSeconds"], index));
        }
    }
    told
}
