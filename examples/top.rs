//! Live statistics of a cgroup and those below it, as they are read through `podlife::cgroup`.
//!
//! `cargo run --example top [-- [--once] [CGROUP]]`; without a path the whole tree is shown. Ctrl-C ends it.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podlife::cgroup::{Cgroup, Hierarchy, Resource};
use podlife::linux::{Clock, Reactor};
use podlife::time::Mono;
use podlife::{Error, Kind, Result};

const PERIOD: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    let (mut once, mut path) = (false, None);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--once" => once = true,
            "--help" => {
                println!("usage: top [--once] [CGROUP]");
                return Ok(());
            }
            _ => path = Some(PathBuf::from(argument)),
        }
    }
    let top = match path {
        Some(path) => path,
        None => hierarchy()?,
    };
    let mut reactor = Reactor::new()?;
    let mut before = HashMap::new();
    loop {
        let now = Clock::mono();
        let rows = rows(&top, now, &mut before)?;
        show(&rows).map_err(|error| Error::io("write to the terminal", error))?;
        if once {
            return Ok(());
        }
        reactor.set_deadline(Some(now + PERIOD))?;
        while !reactor.wait(None, &mut Vec::new())?.deadline {}
    }
}

fn hierarchy() -> Result<PathBuf> {
    let found = Hierarchy::find()?.map(|hierarchy| hierarchy.mount);
    found.ok_or_else(|| {
        Error::new(Kind::NotFound, "find a cgroup", "cgroup2 is not mounted")
            .cure("mount it on /sys/fs/cgroup")
    })
}

/// One cgroup, as it is shown.
struct Row {
    name: String,
    cpu: Option<f64>,
    memory: Option<u64>,
    processes: usize,
    stalled: Option<f64>,
}

/// Processor time used, and when that was.
type Before = HashMap<PathBuf, (Mono, Duration)>;

fn rows(top: &Path, now: Mono, before: &mut Before) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut open = vec![Cgroup::open(top)?];
    while let Some(group) = open.pop() {
        let name = group
            .path()
            .strip_prefix(top)
            .unwrap_or(group.path())
            .display()
            .to_string();
        // A cgroup may be removed while it is looked at.
        if let Ok(row) = row(&group, name, now, before) {
            rows.push(row);
        }
        let mut names = group.children().unwrap_or_default();
        names.sort_by(|one, other| other.cmp(one));
        open.extend(names.iter().filter_map(|name| group.child(name).ok()));
    }
    Ok(rows)
}

fn row(group: &Cgroup, name: String, now: Mono, before: &mut Before) -> Result<Row> {
    let usage = group.cpu_stat()?.usage;
    let last = before.insert(group.path().to_owned(), (now, usage));
    let cpu = last.map(|(then, used)| {
        let (spent, span) = (usage.saturating_sub(used), now - then);
        100.0 * spent.as_secs_f64() / span.as_secs_f64().max(1e-9)
    });
    Ok(Row {
        name: if name.is_empty() { "/".into() } else { name },
        cpu,
        memory: group.memory_stat()?.map(|memory| memory.working_set()),
        processes: group.processes()?.len(),
        stalled: group
            .pressure(Resource::Cpu)?
            .map(|pressure| pressure.some.avg10),
    })
}

fn show(rows: &[Row]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        out.write_all(b"\x1b[H\x1b[J")?;
    }
    writeln!(
        out,
        "{:<48} {:>7} {:>10} {:>6} {:>8}",
        "CGROUP", "CPU%", "MEMORY", "PROCS", "STALL%"
    )?;
    for row in rows {
        let cpu = row.cpu.map_or("-".into(), |cpu| format!("{cpu:.1}"));
        let memory = row
            .memory
            .map_or("-".into(), |memory| format!("{}Ki", memory >> 10));
        let stalled = row
            .stalled
            .map_or("-".into(), |stalled| format!("{stalled:.1}"));
        writeln!(
            out,
            "{:<48} {cpu:>7} {memory:>10} {:>6} {stalled:>8}",
            row.name, row.processes
        )?;
    }
    out.flush()
}
