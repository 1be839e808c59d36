//! A Node on a thread of its own, commanded from another by its handle.
//!
//! `cargo run --example embed_thread`

use std::thread;
use std::time::Duration;

use podlife::model::{Container, Pod, RestartPolicy};
use podlife::node::{Cursor, Delete, EventKind};
use podlife::{Kind, Node, Result};

const SOON: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let mut node = Node::ephemeral()?;
    let handle = node.handle();
    let driver = thread::spawn(move || {
        // Until the handle closes it.
        match node.run_until(Duration::from_secs(3600), |_, _| false) {
            Err(error) if error.kind() == Kind::NodeClosed => Ok(()),
            other => other,
        }
    });

    let script = "for i in 1 2 3; do echo $i; sleep 0.1; done";
    let count = Container::new("count", "podlife.local/host").command(["sh", "-c", script]);
    let pod = Pod::new("count").restart_policy(RestartPolicy::Never);
    let id = handle.create(pod.container(count).validate()?).wait(SOON)?;
    let mut events = handle.watch(Cursor::START);
    for event in events.by_ref() {
        println!("{event}");
        if event.kind == EventKind::Terminated {
            break;
        }
    }
    handle.delete(id, Delete::now()).wait(SOON)?;
    let gone = events.any(|event| event.kind == EventKind::Deleted);
    println!("nothing is left: {gone}");
    handle.close().wait(SOON)?;
    driver.join().unwrap_or(Ok(()))
}
