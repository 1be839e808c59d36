//! A Node in a task of tokio: `AsyncFd` waits for its descriptor. The Node itself is no future and needs no runtime.
//!
//! `cargo run --example embed_tokio`

use std::error::Error;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use podlife::Node;
use podlife::model::{Container, Pod, RestartPolicy};
use podlife::node::{Delete, EventKind};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut node = Node::ephemeral()?;
    #[allow(
        deprecated,
        reason = "newer tokio asks for unsafe here; the Node outlives it"
    )]
    let ready = AsyncFd::with_interest(node.as_fd().as_raw_fd(), Interest::READABLE)?;

    let script = "for i in 1 2 3; do echo $i; sleep 0.1; done";
    let count = Container::new("count", "podlife.local/host").command(["sh", "-c", script]);
    let pod = Pod::new("count").restart_policy(RestartPolicy::Never);
    let id = node.create(pod.container(count))?;
    loop {
        // Cleared before the turn: what the turn leaves over makes the descriptor readable anew.
        ready.readable().await?.clear_ready();
        node.turn(Some(Duration::ZERO))?;
        while let Some(event) = node.next_event() {
            println!("{event}");
            match event.kind {
                EventKind::Terminated => node.delete(id, Delete::now())?,
                EventKind::Deleted => return Ok(()),
                _ => {}
            }
        }
    }
}
