//! Many pods with a probe each second: what the Node and the pause processes take of a processor, and of memory.

use std::fs;
use std::time::{Duration, Instant};

use podlife::Node;
use podlife::model::{Pod, Probe};
use podlife::node::Until;

use crate::container::{self, PORT};

pub(crate) fn run(whole: bool) {
    let (count, span) = match whole {
        true => (500, Duration::from_secs(20)),
        false => (2, Duration::from_secs(1)),
    };
    for (name, probe) in [
        ("none", None),
        ("tcpSocket", Some(Probe::tcp(i32::from(PORT)))),
        ("httpGet", Some(Probe::http("/healthz", i32::from(PORT)))),
        ("exec", Some(Probe::exec(["/bin/true"]))),
    ] {
        println!("  {count} pods, probe each second: {name}");
        measure(
            count,
            span,
            probe.map(|probe| probe.period(1).failures(1000)),
        );
    }
}

fn measure(count: usize, span: Duration, probe: Option<Probe>) {
    let mut node = Node::ephemeral().unwrap();
    let (memory, available) = (resident(), available());
    let begin = Instant::now();
    let pods: Vec<_> = (0..count)
        .map(|number| {
            let mut server = container::server(200);
            if let Some(probe) = &probe {
                server = server.liveness(probe.clone());
            }
            let pod = Pod::new(format!("pod-{number}")).container(server);
            let id = node.create(pod).unwrap();
            // As pods come one after another, their probes do not all fall due at once.
            node.wait(id, Until::Ready, Duration::from_secs(60))
                .unwrap();
            id
        })
        .collect();
    println!("    made in {:.1?}", begin.elapsed());
    drive(&mut node, Duration::from_secs(2));
    let pauses = pauses();
    assert!(pauses.len() >= 2 * pods.len(), "{} processes", pauses.len());
    let before = (own(), all(&pauses));
    let turns = drive(&mut node, span);
    let after = (own(), all(&pauses));
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / span.as_secs_f64();
    println!(
        "    of one processor: the Node {:.2} %, pause and loggers {:.2} %; {:.0} turns a second",
        percent(after.0 - before.0),
        percent(after.1 - before.1),
        turns as f64 / span.as_secs_f64(),
    );
    let each = |bytes: u64| bytes as f64 / 1024.0 / count as f64;
    println!(
        "    a pod: the Node {:.1} KiB, pause and logger {:.1} KiB, all that the host had less {:.0} KiB",
        each(resident().saturating_sub(memory)),
        each(proportional(&pauses)),
        each(available.saturating_sub(self::available())),
    );
}

/// Drives as an event loop does, and says how often.
fn drive(node: &mut Node, span: Duration) -> usize {
    let end = Instant::now() + span;
    let mut turns = 0;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        node.turn(Some(left)).unwrap();
        turns += 1;
    }
    turns
}

/// The parents of this program in containers, and those of their children that are pause's own.
fn pauses() -> Vec<u32> {
    let numbers = |path: &str| -> Vec<u32> {
        let names = fs::read_dir(path).unwrap().flatten();
        names
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    };
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap().as_bytes();
    let all = numbers("/proc");
    let parent = |pid: u32| -> Option<u32> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
    };
    let is_server = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != std::process::id() && words.split(|byte| *byte == 0).next() == Some(program)
    };
    let pauses: std::collections::BTreeSet<_> = all
        .iter()
        .copied()
        .filter(is_server)
        .filter_map(parent)
        .collect();
    let is_logger = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name == "podlife-logger\n" && parent(*pid).is_some_and(|parent| pauses.contains(&parent))
    };
    let loggers: Vec<_> = all.iter().copied().filter(is_logger).collect();
    pauses.iter().copied().chain(loggers).collect()
}

/// The processors' time this program took.
fn own() -> Duration {
    ran("/proc/self/schedstat")
}

fn all(processes: &[u32]) -> Duration {
    processes
        .iter()
        .map(|pid| ran(&format!("/proc/{pid}/schedstat")))
        .sum()
}

/// `/proc/<pid>/schedstat`: nanoseconds on a processor, of the first thread.
fn ran(path: &str) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    let first = text
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}

fn resident() -> u64 {
    kibibytes("/proc/self/status", "VmRSS:")
}

fn available() -> u64 {
    kibibytes("/proc/meminfo", "MemAvailable:")
}

/// What is shared is divided among those who share it. 0 where one may not look.
fn proportional(processes: &[u32]) -> u64 {
    processes
        .iter()
        .map(|pid| kibibytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:"))
        .sum()
}

fn kibibytes(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    1024 * number.unwrap_or(0)
}
