//! Nonsense on the wire, and limits.

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, send};
use podlife::linux::pause::plan::{Namespaces, Plan, Step};
use podlife::linux::pause::{Failure, Key, Report, Request, Sandbox, Start, spawn};

use crate::sandbox::{TestPod, host_container, sandbox, set_up, shell};

#[test]
fn what_is_no_message_is_refused_and_the_pod_goes_on() {
    let mut pod = TestPod::new();
    let seed = u64::from(std::process::id()) ^ podlife::linux::Clock::mono().as_nanos();
    println!("seed {seed}");
    let mut random = seed | 1;
    for _ in 0..500 {
        let mut bytes = [0; 200];
        for byte in &mut bytes {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            *byte = (random >> 56) as u8;
        }
        let size = bytes[0] as usize % bytes.len() + 1;
        let socket = pod.pause.connection.as_fd().as_raw_fd();
        send(socket, &bytes[..size], MsgFlags::MSG_NOSIGNAL).unwrap();
        let told = pod.wait(|_| true);
        assert!(
            matches!(
                told,
                Report::Refused {
                    errno: libc::EPROTO,
                    ..
                }
            ),
            "{told:?}"
        );
    }
    let (exit, _) = pod.run(Key::container(0, 0), &shell(host_container(), "exit 6"));
    assert_eq!(exit.code(), 6);
}

#[test]
fn a_key_is_used_once() {
    let mut pod = TestPod::new();
    let key = Key::container(3, 1);
    let plan = shell(host_container(), "exit 0");
    pod.run(key, &plan);
    pod.send(Request::Start(Start::new(key, &plan)));
    let told = pod.wait(|report| matches!(report, Report::Refused { .. }));
    assert!(
        matches!(told, Report::Refused { key: other, errno: libc::EEXIST, .. } if other == key),
        "{told:?}"
    );
}

#[test]
fn what_is_not_there_cannot_be_acknowledged_or_rotated() {
    let mut pod = TestPod::new();
    let key = Key::container(3, 1);
    let file = std::fs::File::open("/dev/null").unwrap();
    for request in [
        Request::Acknowledge(key),
        Request::Rotate(key, file.as_fd()),
    ] {
        pod.send(request);
        let told = pod.wait(|_| true);
        assert!(
            matches!(told, Report::Refused { key: other, errno: libc::ESRCH, .. } if other == key),
            "{told:?}"
        );
    }
}

#[test]
fn more_processes_than_pause_remembers_are_refused_until_some_are_acknowledged() {
    let mut pod = TestPod::new();
    let mut plan = Plan::new(Namespaces::NONE);
    plan.push(Step::Umask(0o22));
    let mut refused = 0;
    for attempt in 0..140 {
        pod.send(Request::Start(Start::new(
            Key::container(0, attempt),
            &plan,
        )));
        if let Report::Refused { errno, .. } =
            pod.wait(|report| matches!(report, Report::Exited { .. } | Report::Refused { .. }))
        {
            assert_eq!(errno, libc::EAGAIN);
            refused += 1;
        }
    }
    assert_eq!(refused, 140 - 128);
    for attempt in 0..128 {
        pod.send(Request::Acknowledge(Key::container(0, attempt)));
    }
    let (exit, _) = pod.run(Key::container(1, 0), &shell(host_container(), "exit 5"));
    assert_eq!(exit.code(), 5);
}

#[test]
fn reports_wait_for_a_slow_reader() {
    let mut pod = TestPod::new();
    // More answers than a socket holds: nothing is lost, and nothing more is read from us until there is room.
    let mut asked = 0;
    while pod.pause.connection.send(&Request::List).is_ok() && asked < 5_000 {
        asked += 1;
    }
    pod.wait(|report| matches!(report, Report::Listed));
    let (exit, _) = pod.run(Key::container(0, 0), &shell(host_container(), "exit 6"));
    assert_eq!(exit.code(), 6);
}

#[test]
fn a_sandbox_that_cannot_be_set_up_says_which_step() {
    let mut plan = set_up();
    plan.push(Step::Sysctl {
        name: "net.ipv4.no_such_thing".into(),
        value: "1".into(),
    });
    let mut pause = spawn(&Sandbox {
        ephemeral: true,
        ..sandbox(&plan)
    })
    .unwrap();
    assert!(pause.process.wait(Some(crate::sandbox::PATIENCE)).unwrap());
    let Some(Report::SetUpFailed(failure)) = pause.connection.receive().unwrap() else {
        panic!()
    };
    assert_eq!(
        failure,
        Failure {
            step: 3,
            errno: libc::ENOENT
        }
    );
    assert_eq!(
        plan.explain(failure).to_string(),
        "could not set the sysctl net.ipv4.no_such_thing to 1: No such file or directory (errno 2); \
         leave it out, or load the module that has it: this kernel has no such sysctl here"
    );
    assert!(matches!(
        pause.connection.receive().unwrap(),
        Some(Report::Closed)
    ));
    assert_eq!(
        pause.connection.send(&Request::List).unwrap_err().kind(),
        podlife::Kind::NotFound
    );
}
