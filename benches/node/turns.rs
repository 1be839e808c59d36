//! Things to measure that take turns, so that whatever else the host does comes over all of them alike.

use std::time::{Duration, Instant};

/// One of them, and how long it took each time.
pub(crate) struct Turn<'a> {
    name: &'a str,
    run: Box<dyn FnMut() -> Duration + 'a>,
    times: Vec<Duration>,
}

impl<'a> Turn<'a> {
    /// Something that says itself how long it took.
    pub(crate) fn new(name: &'a str, run: impl FnMut() -> Duration + 'a) -> Turn<'a> {
        Turn {
            name,
            run: Box::new(run),
            times: Vec::new(),
        }
    }

    /// Something that takes as long as it is called.
    pub(crate) fn timed(name: &'a str, mut run: impl FnMut() + 'a) -> Turn<'a> {
        Turn::new(name, move || {
            let begin = Instant::now();
            run();
            begin.elapsed()
        })
    }
}

/// Runs them one after another, so many times, and prints how long they took and how much that is of the first. Gives how long the
/// fastest tenth of each took at most.
pub(crate) fn take(rounds: usize, mut turns: Vec<Turn<'_>>) -> Vec<Duration> {
    for _ in 0..rounds {
        for turn in &mut turns {
            let time = (turn.run)();
            turn.times.push(time);
        }
    }
    let mut first = None;
    let mut tenths = Vec::new();
    println!(
        "  {:<34} {:>10}         {:>10}         {:>10}",
        "", "tenth", "median", "p99"
    );
    for turn in &mut turns {
        turn.times.sort();
        let [tenth, median, last] = [10, 50, 99].map(|percent| turn.times[rounds * percent / 100]);
        tenths.push(tenth);
        let (base_tenth, base_median) = *first.get_or_insert((tenth, median));
        println!(
            "  {:<34} {tenth:>10.2?} {:>5.2} x {median:>10.2?} {:>5.2} x {last:>10.1?}",
            turn.name,
            tenth.as_secs_f64() / base_tenth.as_secs_f64(),
            median.as_secs_f64() / base_median.as_secs_f64(),
        );
    }
    tenths
}
