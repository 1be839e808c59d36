//! A command in namespaces of its own: which it shares with us and which not, as the kernel numbers them.
//!
//! `cargo run --example namespace`

use std::time::Duration;

use podlife::Result;
use podlife::linux::Command;
use podlife::namespace::{Namespace, NamespaceKind, Namespaces};

fn main() -> Result<()> {
    let fresh = Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::UTS;
    let mut running = Command::new(["sleep", "1000"]).namespaces(fresh).spawn()?;
    for kind in NamespaceKind::ALL {
        let ours = Namespace::own(kind)?.identity();
        let theirs = Namespace::of(running.process(), kind)?.identity();
        let word = if ours == theirs { "shared" } else { "its own" };
        println!("{:<8} {word}", kind.to_string());
    }
    running.signal(podlife::linux::Signal::KILL)?;
    println!("it ended: {:?}", running.wait(Duration::from_secs(5))?);
    Ok(())
}
