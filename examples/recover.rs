//! Kills its own embedder by SIGKILL and opens the state directory again: nothing of the pod is lost.
//!
//! `cargo run --example recover`

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use podlife::linux::Clock;
use podlife::model::{Container, Pod, RestartPolicy};
use podlife::node::{Delete, LogOptions, Until};
use podlife::{Kind, Node};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    if let Some(state) = std::env::args_os().nth(1) {
        return embed(Path::new(&state));
    }
    let state = std::env::temp_dir().join(format!("podlife-recover-{}", std::process::id()));
    let mut embedder = Command::new(std::env::current_exe()?)
        .arg(&state)
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(stdout) = embedder.stdout.take() {
        BufReader::new(stdout).lines().next(); // it says so when the pod runs
    }
    embedder.kill()?;
    embedder.wait()?;
    println!("the embedder is dead (SIGKILL); for two seconds the pod is alone");
    thread::sleep(Duration::from_secs(2));
    let outcome = recover(&state);
    std::fs::remove_dir_all(&state)?;
    outcome
}

/// The program that will not live long.
fn embed(state: &Path) -> Outcome {
    let script = "for n in 1 2 3 4 5 6; do echo line $n; sleep 0.5; done; exit 7";
    let counter =
        Container::new("counter", "podlife.local/host").command(["/bin/sh", "-c", script]);
    let mut node = Node::open(state)?;
    let pod = node.create(
        Pod::new("survivor")
            .container(counter)
            .restart_policy(RestartPolicy::Never),
    )?;
    node.wait(pod, Until::Ready, Duration::from_secs(30))?;
    println!("ready");
    loop {
        node.turn(None)?;
    }
}

/// The next one, which finds everything.
fn recover(state: &Path) -> Outcome {
    let mut node = Node::open(state)?;
    let pod = node
        .find("default", "survivor")
        .ok_or("the pod is lost")?
        .id();
    println!("a new Node found the pod again");
    match node.wait(pod, Until::Finished, Duration::from_secs(30)) {
        Err(why) if why.kind() == Kind::PodFailed => {} // as it should: it exits with 7
        outcome => drop(outcome?),
    }
    let mut output = String::new();
    node.logs(pod, "counter", LogOptions::default())?
        .read_to_string(&mut output)?;
    print!("{output}");
    let ended = node.pod(pod).ok_or("the pod is gone")?;
    print!("{}", ended.describe(Clock::wall()));
    node.delete(pod, Delete::default())?;
    node.wait(pod, Until::Deleted, Duration::from_secs(30))?;
    Ok(())
}
