//! Random lives of random pods in a random world, with crashes: see `world.rs` for the world, `check.rs` for what must
//! hold, `faults` below for the proof that it would be noticed.
//!
//! `PODLIFE_SIM_SEEDS=200000 cargo test --release --test simulation` runs as many lives, on all processors;
//! `PODLIFE_SIM_FROM=n` begins at another seed. Every failure names its seed: `PODLIFE_SIM_SEED=n`, and
//! `PODLIFE_SIM_CRASH=n` where it says so, runs that one alone and prints what happened.
//!
//! A life is a whole one: from the creation of a pod until nothing is left of it, with every checker on after every
//! input. At its end it is lived again from what the machine was told, see `diary.rs`.

#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/containers.rs"]
mod containers;
#[path = "simulation/crashes.rs"]
mod crashes;
#[path = "simulation/diary.rs"]
mod diary;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/ends.rs"]
mod ends;
#[path = "simulation/facts.rs"]
mod facts;
#[path = "simulation/life.rs"]
mod life;
#[path = "simulation/many.rs"]
mod many;
#[path = "simulation/outputs.rs"]
mod outputs;
#[path = "simulation/resizes.rs"]
mod resizes;
#[path = "simulation/shown.rs"]
mod shown;
#[path = "simulation/starts.rs"]
mod starts;
#[path = "simulation/world.rs"]
mod world;

use check::Checker;
use many::{live_all, tell};
use podlife::lifecycle::Fault;
use world::World;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds(default: u64) -> u64 {
    number("PODLIFE_SIM_SEEDS").unwrap_or(default)
}

/// Whole lives, from the creation of a pod until nothing is left of it; crashes come at random.
#[test]
fn lives() {
    if let Some(seed) = number("PODLIFE_SIM_SEED") {
        let crash_at = number("PODLIFE_SIM_CRASH");
        assert!(tell(seed, crash_at), "seed {seed}, crash {crash_at:?}");
        return;
    }
    let from = number("PODLIFE_SIM_FROM").unwrap_or(0);
    let tally = live_all(from..from + seeds(3_000), |seed, tally| {
        tally.live(seed, None);
    });
    println!("{tally}");
}

/// For a crash before every output, one life in so many is taken, and no more than so many: each is some hundred lives.
const EVERY: u64 = 100;
const MOST: u64 = 100;

/// A crash before every single output of a life: each of them is a whole life again.
#[test]
fn crash_before_every_output() {
    if number("PODLIFE_SIM_SEED").is_some() {
        return;
    }
    let from = 1_000_000 + number("PODLIFE_SIM_FROM").unwrap_or(0) / EVERY;
    let number = (seeds(3_000) / EVERY).min(MOST);
    let tally = live_all(from..from + number, |seed, tally| {
        let outputs = tally.live(seed, Some(0)).outputs;
        for at in 1..=outputs.min(400) {
            tally.live(seed, Some(at));
        }
    });
    println!("{tally}");
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
        &[
            Checker::RecordExplained,
            Checker::TwoSandboxes,
            Checker::StopsLiveSandbox,
        ],
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
    (
        Fault::ResizeForgotten,
        &[Checker::ResizeShown, Checker::ResizeLost],
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
