//! Puts a command into a cgroup with limits and into fresh namespaces: no pod, no image, no daemon.
//!
//! `cargo run --example limits -- sh -c 'ls /proc; cat /proc/net/dev'`

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use podlife::Result;
use podlife::cgroup::{
    Bound, CPU_MAX, CpuMax, Delegation, Enforcement, Limits, MEMORY_MAX, PIDS_MAX,
};
use podlife::linux::Command;
use podlife::namespace::Namespaces;

fn main() -> Result<()> {
    let mut argv: Vec<_> = std::env::args_os().skip(1).collect();
    if argv.is_empty() {
        argv = ["sh", "-c", "echo I am process $$"]
            .map(Into::into)
            .to_vec();
    }

    let limits = Limits::new()
        .set(&MEMORY_MAX, Bound::At(64 << 20))
        .set(&CPU_MAX, CpuMax::millicores(500))
        .set(&PIDS_MAX, Bound::At(32));
    let group = match Delegation::find()? {
        Delegation::Granted(root) => {
            root.enable(limits.controllers(), Enforcement::BestEffort)?;
            let group = root.create(&format!("podlife-limits-{}", std::process::id()))?;
            for missing in group.apply(&limits, Enforcement::BestEffort)? {
                eprintln!("{missing}");
            }
            Some(group)
        }
        Delegation::Missing(missing) => {
            eprintln!("without limits: {missing}");
            None
        }
    };
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let namespaces = Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::IPC;
    let command = Command::new(argv)
        .namespaces(namespaces)
        .env("TERM", "dumb");
    let command = command
        .stdin(stdin.as_fd())
        .stdout(stdout.as_fd())
        .stderr(stderr.as_fd());
    let command = match &group {
        Some(group) => command.cgroup(group),
        None => command,
    };
    let started = command.spawn();
    let exit = started.and_then(|mut running| running.wait(Duration::MAX));
    if let Some(group) = &group {
        println!("it used {:?} of processor time", group.cpu_stat()?.usage);
        group.destroy(Duration::from_secs(5))?;
    }
    println!("it ended: {:?}", exit?);
    Ok(())
}
