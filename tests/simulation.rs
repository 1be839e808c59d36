//! Random lives of random pods in a random world, with crashes: see `world.rs` for the world, `check.rs` for what must
//! hold, `faults` below for the proof that it would be noticed.
//!
//! `PODLIFE_SIM_SEEDS=200000 cargo test --release --test simulation` runs as many lives. Every failure names its seed;
//! `PODLIFE_SIM_SEED=n` runs that one alone and prints what happened.

#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/life.rs"]
mod life;
#[path = "simulation/world.rs"]
mod world;

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
    for seed in 0..seeds(3_000) / 50 {
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
