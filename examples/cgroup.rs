//! A cgroup without a pod: a limit, a process in it, and its end with everything it started.
//!
//! `cargo run --example cgroup`

use std::time::Duration;

use podlife::Result;
use podlife::cgroup::{Bound, Delegation, Enforcement, Limits, PIDS_MAX};
use podlife::linux::Command;

const SOON: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let root = match Delegation::find()? {
        Delegation::Granted(root) => root,
        Delegation::Missing(why) => {
            println!("no cgroup for this user: {why}");
            return Ok(());
        }
    };
    let limits = Limits::new().set(&PIDS_MAX, Bound::At(16));
    for missing in root.enable(limits.controllers(), Enforcement::BestEffort)? {
        println!("{missing}");
    }
    let group = root.create(&format!("podlife-example-{}", std::process::id()))?;
    group.apply(&limits, Enforcement::BestEffort)?;
    let family = Command::new(["sh", "-c", "sleep 1000 & sleep 1000 & wait"])
        .cgroup(&group)
        .spawn()?;
    let state = group.events()?.wait(SOON, |state| state.populated)?;
    println!("{}: {state:?}", group.path().display());
    group.destroy(SOON)?;
    println!("all of it is gone");
    drop(family);
    Ok(())
}
