//! The pause process: what it is, what it does, and what of the embedder it leaves alone.

use podlife::linux::pause::Key;
use podlife::linux::process::{Exit, Signal};

use crate::sandbox::{TestPod, host_container, shell};

const FIRST: Key = Key::container(0, 0);

#[test]
fn a_container_runs_and_its_exit_code_comes_back() {
    let mut pod = TestPod::new();
    let plan = shell(
        host_container(),
        "echo hello from $$ on $(hostname); exit 42",
    );
    let (exit, text) = pod.run(FIRST, &plan);
    assert_eq!(text, "hello from 1 on test-pod\n");
    assert_eq!(exit, Exit::Code(42));
}

#[test]
fn a_container_that_is_killed_says_by_what() {
    let mut pod = TestPod::new();
    let (exit, _) = pod.run(
        FIRST,
        &shell(host_container(), "sh -c 'kill -9 $$'; exit 7"),
    );
    assert_eq!(exit, Exit::Code(7));
    let plan = shell(host_container(), "exec sleep 1000");
    let key = Key::container(1, 0);
    let process = pod.start(podlife::linux::pause::Start::new(key, &plan));
    process.signal(Signal::KILL).unwrap();
    assert_eq!(pod.exit(key), Exit::Signal(Signal::KILL));
}
