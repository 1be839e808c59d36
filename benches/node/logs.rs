//! What a container that talks a lot costs: how fast its output is in its log, and whether the probes of another pod wait for it.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use podlife::Node;
use podlife::model::{Container, Pod, Probe, RestartPolicy};
use podlife::node::{ContainerChange, Delete, EventKind, Until};
use podlife::time::Mono;

use crate::container::{sleeper, talker};
use crate::exec::Probing;
use crate::turns::{self, Turn};

const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a usual line.
const LINE: usize = 100;

pub(crate) fn run(whole: bool) {
    throughput(if whole { 640_000 } else { 1000 }, whole);
    neighbours(whole);
}

fn throughput(lines: usize, whole: bool) {
    let directory = std::env::temp_dir().join(format!("podlife-bench-{}", std::process::id()));
    let mut memory = Node::ephemeral().unwrap();
    let disk = RefCell::new(Node::open(&directory).unwrap());
    let (usual, long) = (talker(lines, LINE), talker(lines / 40, 40 * LINE));
    println!(
        "  {lines} lines of {LINE} bytes, and the same bytes in lines of {}",
        40 * LINE
    );
    let turns = vec![
        Turn::timed("a pipe, copied to a file", || {
            copied(&usual, &directory.join("copy"))
        }),
        Turn::new("log in memory", || logged(&mut memory, &usual)),
        Turn::new("log on disk", || logged(&mut disk.borrow_mut(), &usual)),
        Turn::new("log on disk, long lines", || {
            logged(&mut disk.borrow_mut(), &long)
        }),
    ];
    let tenths = turns::take(if whole { 20 } else { 2 }, turns);
    for (what, time) in ["copied", "in memory", "on disk"].iter().zip(tenths) {
        let rate = lines as f64 / time.as_secs_f64();
        println!(
            "  {what}: {:.0} MB/s, {:.2} million lines/s",
            rate * LINE as f64 / 1e6,
            rate / 1e6
        );
    }
    drop(disk);
    let _ = std::fs::remove_dir_all(&directory);
}

/// From the program's start to the end of its output.
fn copied(talker: &Container, to: &Path) {
    let mut file = std::fs::File::create(to).unwrap();
    let mut child = Command::new(&talker.command[0])
        .args(&talker.command[1..])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut piece = vec![0; 64 << 10];
    loop {
        match output.read(&mut piece).unwrap() {
            0 => break,
            size => file.write_all(&piece[..size]).unwrap(),
        }
    }
    child.wait().unwrap();
}

/// From the container's start to its exit, which is told when all that it printed is in its log.
fn logged(node: &mut Node, talker: &Container) -> Duration {
    let pod = Pod::new("talks")
        .restart_policy(RestartPolicy::Never)
        .container(talker.clone());
    let id = node.create(pod).unwrap();
    let (mut started, mut exited) = (Mono::ZERO, Mono::ZERO);
    node.run_until(PATIENCE, |_, event| {
        if let EventKind::Container(container) = &event.kind {
            match container.change {
                ContainerChange::Started => started = event.at.mono,
                ContainerChange::Exited => exited = event.at.mono,
                _ => {}
            }
        }
        exited > Mono::ZERO
    })
    .unwrap();
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, PATIENCE).unwrap();
    exited - started
}

/// The exec probe of a pod, beside others. Two that compute without a word show what is the processors' doing.
fn neighbours(whole: bool) {
    let burner = || {
        Container::new("burner", "podlife.local/host").command([
            "/bin/sh",
            "-c",
            "while :; do :; done",
        ])
    };
    let mut burners = Pod::new("neighbour").container(burner());
    let mut other = burner();
    other.name = "other".into();
    burners.spec.containers.push(other);
    let neighbours = [
        (
            "exec probe, quiet neighbour",
            Pod::new("neighbour").container(sleeper()),
        ),
        ("  neighbour that computes twice", burners),
        (
            "  neighbour that talks",
            Pod::new("neighbour").container(talker(usize::MAX / LINE, LINE)),
        ),
    ];
    let probing = RefCell::new(Probing::new(
        sleeper().readiness(Probe::exec(["/bin/false"])),
    ));
    let probing = &probing;
    let turns = neighbours.iter().map(|(name, pod)| {
        Turn::new(name, move || {
            probing
                .borrow_mut()
                .beside(pod.clone(), if whole { 20 } else { 1 })
        })
    });
    turns::take(if whole { 20 } else { 2 }, turns.collect());
}
