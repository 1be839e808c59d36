//! Runs the conformance vectors: every `*.json` in `tests/vectors/`, then our own rows of upstream's tables in
//! `tests/vectors_rows/`; or those in the directory that `PODLIFE_VECTORS` names.
//!
//! A line per file says how many cases passed, failed and were skipped; a failing case prints its number, its name, its
//! input, what was expected and what was got. Unknown kinds, unknown ops and cases of another form are failures, one each,
//! and so is an empty directory.
//! Arguments narrow the run to cases whose `kind/name` contains one of them: `cargo test --test vectors -- quantity/parse`.
//!
//! What a kind means is in [`vectors_kinds`], one module each.

// Without libtest's `#[test]` clippy does not see that all of it is a test.
#![allow(clippy::unwrap_used)]

mod vectors_kinds;

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use vectors_kinds::{Answer, Case, DISPUTED, KINDS, covers, same};

fn main() -> ExitCode {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let directories = match std::env::var_os("PODLIFE_VECTORS") {
        Some(directory) => vec![PathBuf::from(directory)],
        None => vec![tests.join("vectors"), tests.join("vectors_rows")],
    };
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    // A panic is a failed case, and its message is printed there.
    std::panic::set_hook(Box::new(|_| {}));
    let mut total = Tally::default();
    for directory in directories {
        match vector_files(&directory) {
            Ok(files) => files
                .iter()
                .for_each(|file| run_file(file, &filters, &mut total)),
            Err(why) => total.broken(&format!("{}: {why}", directory.display())),
        }
    }
    println!("\nvectors: {}", total.line());
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How the cases of one kind, or of all, went.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Why, and how many.
    skipped: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        for (why, count) in other.skipped {
            *self.skipped.entry(why).or_default() += count;
        }
    }

    fn broken(&mut self, why: &str) {
        println!("FAILED {why}");
        self.failed += 1;
    }

    fn line(&self) -> String {
        let skipped: usize = self.skipped.values().sum();
        format!(
            "{:>5} passed {:>4} failed {:>4} skipped",
            self.passed, self.failed, skipped
        )
    }
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

fn vector_files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(directory).map_err(|why| why.to_string())?;
    let paths: Result<Vec<PathBuf>, _> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut files = paths.map_err(|why| why.to_string())?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    if files.is_empty() {
        Err("no *.json in here".into())
    } else {
        Ok(files)
    }
}

fn run_file(path: &Path, filters: &[String], total: &mut Tally) {
    let (kind, cases) = match read(path) {
        Ok(read) => read,
        Err(why) => return total.broken(&format!("{}: {why}", path.display())),
    };
    let mut tally = Tally::default();
    for (number, case) in cases.iter().enumerate() {
        let Some(case) = Case::new(case) else {
            tally.broken(&format!(
                "{kind} #{number}: a case without name, input or expect"
            ));
            continue;
        };
        let name = format!("{kind}/{}", case.name);
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter)) {
            continue;
        }
        match judge(&kind, &case) {
            Verdict::Passed => tally.passed += 1,
            Verdict::Skipped(why) => *tally.skipped.entry(why).or_default() += 1,
            Verdict::Failed(got) => {
                tally.failed += 1;
                println!(
                    "FAILED {name} (#{number})\n    input    {}\n    expected {}\n    got      {got}",
                    case.input, case.expect
                );
            }
        }
    }
    println!("{kind:<18} {}", tally.line());
    tally
        .skipped
        .iter()
        .for_each(|(why, count)| println!("{:<18} skipped {count}: {why}", ""));
    total.add(tally);
}

fn read(path: &Path) -> Result<(String, Vec<Value>), String> {
    let bytes = fs::read(path).map_err(|why| why.to_string())?;
    let file: Value = serde_json::from_slice(&bytes).map_err(|why| why.to_string())?;
    let kind = file["kind"].as_str().ok_or("no kind")?.to_owned();
    match file["cases"].as_array() {
        Some(cases) if !cases.is_empty() => Ok((kind, cases.clone())),
        _ => Err("no cases".into()),
    }
}

/// A disputed case is run all the same: an entry in [`DISPUTED`] that passes is stale, and fails.
fn judge(kind: &str, case: &Case) -> Verdict {
    let verdict = run(kind, case);
    let Some((_, _, why)) = DISPUTED
        .iter()
        .find(|(of, name, _)| *of == kind && *name == case.name)
    else {
        return verdict;
    };
    match verdict {
        Verdict::Passed => {
            Verdict::Failed("what is expected, though the case is listed as disputed".into())
        }
        _ => Verdict::Skipped(format!("disputed: {} ({why})", case.name)),
    }
}

fn run(kind: &str, case: &Case) -> Verdict {
    let Some((_, run)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Verdict::Failed(format!("no module for the kind {kind}"));
    };
    if case
        .expect
        .as_object()
        .is_none_or(|expect| expect.is_empty())
    {
        return Verdict::Failed("nothing: the case expects nothing".into());
    }
    let answer = match catch_unwind(AssertUnwindSafe(|| run(case))) {
        Ok(answer) => answer,
        Err(panic) => return Verdict::Failed(format!("a panic: {}", message(&*panic))),
    };
    let (right, got) = match answer {
        Answer::Is(got) => (same(&case.expect, &got), got),
        Answer::Covers(got) => (covers(&case.expect, &got), got),
        Answer::Judged(right, got) => (right, got),
        Answer::Skip(why) => return Verdict::Skipped(why.into()),
        Answer::UnknownOp => {
            return Verdict::Failed(format!("no op {:?} in the kind {kind}", case.op()));
        }
    };
    if right {
        Verdict::Passed
    } else {
        Verdict::Failed(got.to_string())
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
