//! A host program that is not nice: it ignores SIGCHLD, waits for every child there is, has no standard streams, has deleted its
//! working directory. Pods run all the same, and nothing of the program changes.

#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use podlife::Node;
use podlife::model::Phase;
use podlife::node::{Delete, Exec, LogOptions, Until};

const LONG: Duration = Duration::from_secs(120);
const MANIFEST: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guest"}, "spec": {
    "restartPolicy": "Never", "volumes": [{"name": "shared", "emptyDir": {}}], "containers": [
        {"name": "main", "image": "podlife.local/host", "command": ["/bin/sh", "-c", "echo out; exit 5"]},
        {"name": "other", "image": "podlife.local/host", "volumeMounts": [{"name": "shared", "mountPath": "/tmp/shared"}],
         "command": ["/bin/sh", "-c", "until [ -e /tmp/shared/go ]; do sleep 0.02; done"]}]}}"#;

/// Runs the pod: exit codes, output and commands are as they should be.
fn run_a_pod() {
    let mut node = Node::ephemeral().unwrap();
    let id = node.create(MANIFEST).unwrap();
    let running = |node: &Node| {
        let status = node.pod(id).unwrap().status();
        status.phase == Some(Phase::Running)
    };
    node.run_until(LONG, |node, _| running(node)).unwrap();
    let script = Exec::new(["sh", "-c", "echo inside; exit 9"]);
    let output = node.output(id, "other", script, LONG).unwrap();
    assert_eq!((output.code, &*output.stdout), (9, &b"inside\n"[..]));
    // Its container may end before it does.
    let go = Exec::new(["touch", "/tmp/shared/go"]);
    node.output(id, "other", go, LONG).ok();
    assert_eq!(
        node.wait(id, Until::Finished, LONG).unwrap_err().kind(),
        podlife::Kind::PodFailed
    );
    let status = node.pod(id).unwrap().status();
    let ended = status.container_statuses[0]
        .state
        .as_ref()
        .unwrap()
        .terminated
        .as_ref()
        .unwrap();
    assert_eq!(ended.exit_code, 5);
    let mut text = String::new();
    node.logs(id, "main", LogOptions::default())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "out\n");
    node.delete(id, Delete::default()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
}

/// Each case is a process of its own: what it does to itself would spoil the others.
fn in_a_process(case: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "case",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("PODLIFE_TEST_CASE", case)
        .output()
        .unwrap();
    // Indented, so that nobody counts the other process's tests with these.
    let said = [output.stderr, output.stdout].map(|text| {
        String::from_utf8_lossy(&text)
            .lines()
            .map(|line| format!("  | {line}\n"))
            .collect::<String>()
    });
    assert!(output.status.success(), "{case}:\n{}", said.concat());
}

#[test]
fn sigchld_is_ignored() {
    in_a_process("ignored");
}

#[test]
fn no_sigchld_arrives() {
    in_a_process("counted");
}

#[test]
fn a_thread_waits_for_every_child() {
    in_a_process("thief");
}

#[test]
fn the_standard_streams_are_closed() {
    in_a_process("closed");
}

#[test]
fn the_working_directory_is_gone() {
    in_a_process("nowhere");
}

#[test]
fn the_program_is_its_own_subreaper() {
    in_a_process("subreaper");
}

#[test]
fn the_program_stays_as_it_is() {
    in_a_process("unchanged");
}

#[test]
#[ignore = "the other process of the tests above"]
fn case() {
    match std::env::var("PODLIFE_TEST_CASE").as_deref() {
        Ok("ignored") => ignored(),
        Ok("counted") => counted(),
        Ok("thief") => thief(),
        Ok("closed") => closed(),
        Ok("nowhere") => nowhere(),
        Ok("subreaper") => subreaper(),
        Ok("unchanged") => unchanged(),
        other => panic!("no case {other:?}"),
    }
}

#[expect(unsafe_code, reason = "a signal disposition is what this is about")]
fn on_sigchld(handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only adds to a counter.
    unsafe { sigaction(Signal::SIGCHLD, &action).unwrap() };
}

fn ignored() {
    on_sigchld(SigHandler::SigIgn);
    run_a_pod();
}

static ARRIVED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: i32) {
    ARRIVED.fetch_add(1, Ordering::Relaxed);
}

fn counted() {
    on_sigchld(SigHandler::Handler(count));
    run_a_pod();
    assert_eq!(ARRIVED.load(Ordering::Relaxed), 0);
    // The counter does count.
    Command::new("true").status().unwrap();
    assert_eq!(ARRIVED.load(Ordering::Relaxed), 1);
}

/// It takes every exit status it can get, and must get none.
fn thief() {
    let stop = AtomicBool::new(false);
    let stolen = std::thread::scope(|scope| {
        let thief = scope.spawn(|| {
            let mut stolen = 0;
            while !stop.load(Ordering::Relaxed) {
                match waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => std::thread::yield_now(),
                    Ok(_) => stolen += 1,
                    Err(errno) => panic!("{errno}"),
                }
            }
            stolen
        });
        let outcome = std::panic::catch_unwind(run_a_pod);
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
        thief.join().unwrap()
    });
    assert_eq!(stolen, 0);
}

fn closed() {
    for fd in 0..3 {
        nix::unistd::close(fd).unwrap();
    }
    run_a_pod();
    let low = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
            // The directory that is being listed has one of them.
            number < 3
                && std::fs::read_link(entry.path()).is_ok_and(|target| !target.ends_with("fd"))
        });
    assert_eq!(low.count(), 0);
}

fn nowhere() {
    let directory = std::env::temp_dir().join(format!("podlife-nowhere-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    std::env::set_current_dir(&directory).unwrap();
    std::fs::remove_dir(&directory).unwrap();
    run_a_pod();
    assert!(std::env::current_dir().is_err());
}

/// The exception: pause becomes its child, and is taken away by its pidfd, so that no zombie is left.
fn subreaper() {
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    run_a_pod();
    assert_eq!(
        waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)),
        Err(Errno::ECHILD)
    );
}

fn unchanged() {
    let look = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = [
            "Umask",
            "Uid",
            "Gid",
            "Groups",
            "NoNewPrivs",
            "Seccomp",
            "Threads",
            // Not SigQ, which counts what is queued for any process of this user.
            "SigPnd",
            "SigBlk",
            "SigIgn",
            "SigCgt",
            "ShdPnd",
            "Cap",
            "Cpus_allowed:",
        ];
        let kept: String = status
            .lines()
            .filter(|line| lines.iter().any(|name| line.starts_with(name)))
            .collect();
        let dumpable = nix::sys::prctl::get_dumpable().unwrap();
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
        let namespaces: Vec<_> = std::fs::read_dir("/proc/self/ns")
            .unwrap()
            .flatten()
            .map(|entry| std::fs::read_link(entry.path()).unwrap())
            .collect();
        (
            kept,
            dumpable,
            read("limits"),
            read("cgroup"),
            read("oom_score_adj"),
            namespaces,
            std::env::current_dir().unwrap(),
        )
    };
    let before = look();
    run_a_pod();
    assert_eq!(look(), before);
}
