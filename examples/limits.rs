//! Puts a command into a cgroup with limits and into fresh namespaces: no pod, no image, no daemon.
//!
//! `cargo run --example limits -- sh -c 'ls /proc; cat /proc/net/dev'`

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use podlife::cgroup::{
    Bound, CPU_MAX, CpuMax, Delegation, Enforcement, Limits, MEMORY_MAX, PIDS_MAX,
};
use podlife::linux::Command;
use podlife::namespace::Namespaces;
use podlife::{Kind, Result};

/// Limits that this host cannot enforce are told; the command runs without them.
fn limited(command: Command<'_>) -> Result<()> {
    let limits = Limits::new()
        .set(&MEMORY_MAX, Bound::At(64 << 20))
        .set(&CPU_MAX, CpuMax::millicores(500))
        .set(&PIDS_MAX, Bound::At(32));
    let root = Delegation::find()?.granted()?;
    root.enable(limits.controllers(), Enforcement::BestEffort)?;
    let group = root.create(&format!("podlife-limits-{}", std::process::id()))?;
    let told = group.apply(&limits, Enforcement::BestEffort)?;
    told.iter().for_each(|missing| eprintln!("{missing}"));
    let started = command.cgroup(&group).spawn();
    let exit = started.and_then(|mut running| running.wait(Duration::MAX));
    println!("it used {:?} of processor time", group.cpu_stat()?.usage);
    group.destroy(Duration::from_secs(5))?;
    println!("it ended: {:?}", exit?);
    Ok(())
}

fn main() -> Result<()> {
    let mut argv: Vec<OsString> = std::env::args_os().skip(1).collect();
    if argv.is_empty() {
        argv = ["sh", "-c", "echo I am process $$"].map(Into::into).into();
    }
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let namespaces = Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::IPC;
    let command = Command::new(argv)
        .namespaces(namespaces)
        .env("TERM", "dumb")
        .stdin(stdin.as_fd())
        .stdout(stdout.as_fd())
        .stderr(stderr.as_fd());
    match limited(command.clone()) {
        // An ordinary user to whom no cgroup is delegated.
        Err(error) if error.kind() == Kind::Permission => {
            eprintln!("without limits: {error}");
            println!("it ended: {:?}", command.spawn()?.wait(Duration::MAX)?);
            Ok(())
        }
        done => done,
    }
}
