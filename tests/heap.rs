//! How much a pod's machine holds beside its manifest: what a host with many pods pays for each.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use podlife::lifecycle::{
    Action, Finding, Input, Outcome, Output, Persisted, PodMachine, PodOptions,
};
use podlife::model::{Phase, Pod, Valid};
use podlife::time::{Mono, Now, Wall};

/// Bytes of a pod with one container, and of each further one, while there are few.
const FIRST: usize = 4096;
const FURTHER: usize = 1536;
const FEW: usize = 5;
/// Of each container of many.
const EACH: usize = 2048;

/// Counts what a thread allocated and did not free.
struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
// SAFETY: hands everything to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get().wrapping_add(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

fn pod(containers: usize) -> Valid<Pod> {
    let probe = r#"{"tcpSocket": {"port": 80}}"#;
    let amounts = r#"{"cpu": "100m", "memory": "64Mi"}"#;
    let container = |i| {
        format!(
            r#"{{"name": "c{i}", "image": "nginx", "livenessProbe": {probe}, "readinessProbe": {probe},
                "resources": {{"requests": {amounts}, "limits": {amounts}}}}}"#
        )
    };
    let containers: Vec<String> = (0..containers).map(container).collect();
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "web"}}, "spec": {{"containers": [{}]}}}}"#,
        containers.join(",")
    );
    text.as_str().try_into().unwrap()
}

/// Does at once what the machine asks for, until all its containers run and their probes have succeeded.
fn run(machine: &mut PodMachine, mut now: Now) {
    for _ in 0..10 {
        machine.handle(now, Input::Tick);
        loop {
            let input = match machine.poll_output() {
                Output::Wait(_) => break,
                Output::Notify(_) | Output::Cancel(_) => continue,
                Output::Persist => Input::Persisted(Persisted::Written),
                Output::Perform(ticket, action) => {
                    let outcome = match action {
                        Action::CreateSandbox { .. } => Outcome::Sandbox { ip: None },
                        Action::Start { .. } => Outcome::Started { at: now },
                        Action::Probe { .. } => Outcome::Probe(Finding::Success),
                        _ => Outcome::Done,
                    };
                    Input::Done(ticket, outcome)
                }
            };
            machine.handle(now, input);
        }
        now = now.after(std::time::Duration::from_secs(10));
    }
}

#[test]
fn a_pod_holds_little_beside_its_manifest() {
    let now = Now {
        mono: Mono::from_secs(100),
        wall: Wall::from_secs(1_700_000_000),
    };
    println!("the machine itself: {} bytes", size_of::<PodMachine>());
    for containers in 1..=17 {
        let pod = pod(containers);
        let before = LIVE.get();
        let mut machine = PodMachine::new(pod, PodOptions::default(), now);
        run(&mut machine, now);
        let held = LIVE.get() - before;
        let status = machine.status();
        assert_eq!(status.phase, Some(Phase::Running));
        assert!(status.container_statuses.iter().all(|status| status.ready));
        println!("{containers} containers: {held} bytes");
        let most = match containers {
            ..=FEW => FIRST + (containers - 1) * FURTHER,
            _ => EACH * containers,
        };
        assert!(
            held <= most,
            "{containers} containers: {held} of {most} bytes"
        );
    }
}
