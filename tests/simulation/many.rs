//! Many lives, on all processors. A life depends on its seed alone, so it does not matter who lives it.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use podlife::lifecycle::Fault;

use super::check::{Broken, Checker};
use super::world::{Outcomes, World};

/// Nobody reads more than this.
const FAILURES: usize = 20;

/// What came of lives.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) lives: u64,
    pub(crate) crashes: u64,
    pub(crate) inputs: u64,
    /// Lives that were replayed from what the machine was told, and the most entries that took.
    pub(crate) replayed: u64,
    pub(crate) longest: usize,
    failures: Vec<Failure>,
}

/// A life that broke a rule: its seed, and before which output it crashed.
#[derive(Debug)]
struct Failure {
    seed: u64,
    crash_at: Option<u64>,
    broken: Broken,
}

impl Tally {
    /// Lives one life. What it came to is counted.
    pub(crate) fn live(&mut self, seed: u64, crash_at: Option<u64>) -> Outcomes {
        let life = || World::new(seed, Fault::None, crash_at, false).live();
        // The machine asserts its own steps; where it does, the seed is what matters.
        let outcome = catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(|_| Outcomes {
            broken: Some(Broken {
                checker: Checker::Panicked,
                text: "see above".into(),
            }),
            ..Outcomes::default()
        });
        self.lives += 1;
        self.crashes += outcome.crashed;
        self.inputs += outcome.inputs;
        self.replayed += u64::from(outcome.history > 0);
        self.longest = self.longest.max(outcome.history);
        self.failures
            .extend(outcome.broken.clone().map(|broken| Failure {
                seed,
                crash_at,
                broken,
            }));
        outcome
    }

    fn add(&mut self, other: Tally) {
        self.lives += other.lives;
        self.crashes += other.crashes;
        self.inputs += other.inputs;
        self.replayed += other.replayed;
        self.longest = self.longest.max(other.longest);
        self.failures.extend(other.failures);
    }

    /// Names every life that failed, and tells the first one whole.
    fn judge(mut self) -> Tally {
        self.failures
            .sort_by_key(|failure| (failure.seed, failure.crash_at));
        for Failure {
            seed,
            crash_at,
            broken,
        } in &self.failures
        {
            let at = crash_at.map_or(String::new(), |at| format!(", crash before output {at}"));
            println!("seed {seed}{at}: {:?}: {}", broken.checker, broken.text);
        }
        if let Some(first) = self.failures.first() {
            tell(first.seed, first.crash_at);
            panic!("of {} lives {} failed", self.lives, self.failures.len());
        }
        self
    }
}

/// Lives these, each by `one`.
pub(crate) fn live_all(seeds: Range<u64>, one: impl Fn(u64, &mut Tally) + Sync) -> Tally {
    println!("seeds {seeds:?}");
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        let mut tally = Tally::default();
        while tally.failures.len() < FAILURES {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                break;
            }
            one(seed, &mut tally);
        }
        tally
    };
    let mut all = Tally::default();
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, |number| number.get());
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            all.add(worker.join().expect("a life's panic is caught"));
        }
    });
    all.judge()
}

/// The last of what happened in this life, and what was wrong with it. Says whether all was well.
pub(crate) fn tell(seed: u64, crash_at: Option<u64>) -> bool {
    let outcome = World::new(seed, Fault::None, crash_at, true).live();
    let from = outcome.trace.len().saturating_sub(400);
    outcome.trace[from..]
        .iter()
        .for_each(|line| println!("{line}"));
    println!(
        "seed {seed}, crash before output {crash_at:?}: {:?}",
        outcome.broken
    );
    outcome.broken.is_none()
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (lives, crashes, inputs) = (self.lives, self.crashes, self.inputs);
        write!(f, "{lives} lives, {crashes} crashes, {inputs} inputs; ")?;
        write!(
            f,
            "{} lives replayed, the longest of {} entries",
            self.replayed, self.longest
        )
    }
}
