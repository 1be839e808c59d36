//! A cgroup without a pod: limits, a process in it, and its end with everything it started.
//!
//! `cargo run --example cgroup`

use std::process::{Command, Stdio};
use std::time::Duration;

use podlife::cgroup::{Bound, Delegation, Enforcement, Limits, PIDS_MAX};
use podlife::{Error, Result};

fn main() -> Result<()> {
    let root = match Delegation::find()?.granted() {
        Ok(root) => root,
        Err(why) => {
            println!("no cgroup for this user: {why}");
            return Ok(());
        }
    };
    let group = root.create(&format!("podlife-example-{}", std::process::id()))?;
    let limits = Limits::new().set(&PIDS_MAX, Bound::At(16));
    for missing in group.apply(&limits, Enforcement::BestEffort)? {
        println!("without a limit: {missing}");
    }
    let script = r#"echo 0 > "$0/cgroup.procs"; sleep 1000 & sleep 1000"#;
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .arg(group.path())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|why| Error::io("start sh", why))?;
    let state = group
        .events()?
        .wait(Duration::from_secs(5), |state| state.populated)?;
    println!(
        "{}: {state:?}, processes {:?}",
        group.path().display(),
        group.processes()?
    );
    group.destroy(Duration::from_secs(5))?;
    println!("all of it is gone");
    shell
        .kill()
        .and_then(|()| shell.wait())
        .map_err(|why| Error::io("end sh", why))?;
    Ok(())
}
