//! Random lives of random pods in a random world, with crashes: see `world.rs` for the world, `check.rs` for what must
//! hold, `faults` below for the proof that it would be noticed.
//!
//! `PODLIFE_SIM_SEEDS=200000 cargo test --release --test simulation` runs as many lives. Every failure names its seed;
//! `PODLIFE_SIM_SEED=n` runs that one alone and prints what happened.

#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/containers.rs"]
mod containers;
#[path = "simulation/crashes.rs"]
mod crashes;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/ends.rs"]
mod ends;
#[path = "simulation/life.rs"]
mod life;
#[path = "simulation/outputs.rs"]
mod outputs;
#[path = "simulation/shown.rs"]
mod shown;
#[path = "simulation/starts.rs"]
mod starts;
#[path = "simulation/world.rs"]
mod world;

use check::Checker;
use podlife::lifecycle::Fault;
use world::World;

fn seeds(default: u64) -> u64 {
    std::env::var("PODLIFE_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn explain(seed: u64, crash_at: Option<u64>) -> ! {
    let outcome = World::new(seed, Fault::None, crash_at, true).live();
    for line in outcome
        .trace
        .iter()
        .rev()
        .take(400)
        .collect::<Vec<_>>()
        .iter()
        .rev()
    {
        println!("{line}");
    }
    let broken = outcome.broken.expect("the same seed fails again");
    panic!(
        "seed {seed}, crash before output {crash_at:?}: {:?}: {}",
        broken.checker, broken.text
    );
}

#[test]
fn lives() {
    if let Some(seed) = std::env::var("PODLIFE_SIM_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        let outcome = World::new(seed, Fault::None, None, true).live();
        outcome.trace.iter().for_each(|line| println!("{line}"));
        assert!(
            outcome.broken.is_none(),
            "seed {seed}: {:?}",
            outcome.broken
        );
        return;
    }
    let (mut crashes, mut inputs) = (0, 0);
    let count = seeds(3_000);
    for seed in 0..count {
        let outcome = World::new(seed, Fault::None, None, false).live();
        if outcome.broken.is_some() {
            explain(seed, None);
        }
        crashes += outcome.crashed;
        inputs += outcome.inputs;
    }
    println!("{count} lives, {crashes} crashes, {inputs} inputs");
}

/// A crash before every single output of a life.
#[test]
fn crash_before_every_output() {
    let (mut lives, mut points) = (0, 0);
    for seed in 0..seeds(3_000) / 100 {
        let seed = 1_000_000 + seed;
        let outputs = World::new(seed, Fault::None, Some(0), false).live().outputs;
        for at in 1..=outputs.min(400) {
            let outcome = World::new(seed, Fault::None, Some(at), false).live();
            if outcome.broken.is_some() {
                explain(seed, Some(at));
            }
            points += 1;
        }
        lives += 1;
    }
    println!("{points} crash points in {lives} lives");
}

/// Each mistake is made, and noticed by the checker that it is for, within so many lives.
const FAULTS: &[(Fault, &[Checker], u64)] = &[
    (
        Fault::PerformBeforePersist,
        &[Checker::PerformBeforePersist],
        20,
    ),
    (
        Fault::DeadlineNotRearmed,
        &[Checker::KillDeadline, Checker::Stuck],
        2_000,
    ),
    (Fault::NoMask, &[Checker::TwoLiveAttempts], 50),
    (Fault::VerdictRecomputed, &[Checker::VerdictKept], 2_000),
    (
        Fault::RestoredPiecemeal,
        &[Checker::TwoSandboxes, Checker::StopsLiveSandbox],
        200,
    ),
    (
        Fault::AcknowledgeBeforePersist,
        &[Checker::AcknowledgeBeforePersist],
        50,
    ),
    (Fault::RestartCountReset, &[Checker::RestartCount], 200),
    (Fault::HoldNotCleared, &[Checker::ProbesRun], 500),
    (Fault::SidecarEndedFirst, &[Checker::SidecarsOutlive], 200),
    (Fault::HookTwice, &[Checker::HookTwice], 100),
    (Fault::DeadlineDoubled, &[Checker::KillDeadline], 200),
    (Fault::LateTicket, &[Checker::LateTicket], 200),
    (
        Fault::TerminalLeft,
        &[Checker::TerminalLeft, Checker::StartAfterTerminal],
        200,
    ),
];

#[test]
fn every_fault_fires_and_is_caught() {
    for (fault, checkers, within) in FAULTS {
        let mut fired = 0;
        let mut others = std::collections::BTreeMap::new();
        let caught = (0..*within).find(|seed| {
            let outcome = World::new(*seed, *fault, None, false).live();
            fired += u64::from(outcome.fired);
            let Some(broken) = outcome.broken else {
                return false;
            };
            *others.entry(broken.checker).or_insert(0) += 1;
            assert!(
                outcome.fired,
                "{fault:?}, seed {seed}: {broken:?} without the fault"
            );
            checkers.contains(&broken.checker)
        });
        println!("{fault:?}: fired in {fired}, caught at seed {caught:?}; {others:?}");
        assert!(
            caught.is_some(),
            "{fault:?} fired {fired} times in {within} lives and nobody noticed; {others:?}"
        );
    }
}
