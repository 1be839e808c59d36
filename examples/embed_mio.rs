//! A Node in a loop of mio, which asks the kernel edge-triggered: one descriptor among those of the program.
//!
//! `cargo run --example embed_mio`

use std::error::Error;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use podlife::Node;
use podlife::model::{Container, Pod, RestartPolicy};
use podlife::node::{Delete, EventKind};

const NODE: Token = Token(0);

fn main() -> Result<(), Box<dyn Error>> {
    let mut node = Node::ephemeral()?;
    let mut poll = Poll::new()?;
    let fd = node.as_fd().as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), NODE, Interest::READABLE)?;

    let script = "for i in 1 2 3; do echo $i; sleep 0.1; done";
    let count = Container::new("count", "podlife.local/host").command(["sh", "-c", script]);
    let pod = Pod::new("count").restart_policy(RestartPolicy::Never);
    let id = node.create(pod.container(count))?;
    let mut ready = Events::with_capacity(16);
    loop {
        poll.poll(&mut ready, None)?;
        if ready.iter().any(|event| event.token() == NODE) {
            node.turn(Some(Duration::ZERO))?;
        }
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
