//! A Node in a program that draws frames by a timer, as games and user interfaces do: a bounded turn in each.
//!
//! `cargo run --example embed_frames`

use std::thread;
use std::time::{Duration, Instant};

use podlife::model::{Container, Pod, RestartPolicy};
use podlife::node::{Delete, EventKind};
use podlife::{Node, Result};

const FRAME: Duration = Duration::from_millis(16);

fn main() -> Result<()> {
    let mut node = Node::ephemeral()?;
    let script = "for i in 1 2 3; do echo $i; sleep 0.1; done";
    let count = Container::new("count", "podlife.local/host").command(["sh", "-c", script]);
    let pod = Pod::new("count").restart_policy(RestartPolicy::Never);
    let id = node.create(pod.container(count))?;
    let mut frames = 0;
    loop {
        let next = Instant::now() + FRAME;
        node.turn(Some(Duration::ZERO))?;
        while let Some(event) = node.next_event() {
            println!("frame {frames:>3}: {event}");
            match event.kind {
                EventKind::Terminated => node.delete(id, Delete::now())?,
                EventKind::Deleted => return Ok(()),
                _ => {}
            }
        }
        // Here the program draws.
        frames += 1;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
