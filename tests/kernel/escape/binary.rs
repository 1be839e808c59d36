//! The program that sets containers up, which they must not be able to change.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Instant;

use podlife::linux::pause::plan::{Plan, Step};
use podlife::linux::pause::{Key, Start};
use podlife::linux::process::{Process, Signal};

use super::Folder;
use crate::sandbox::{PATIENCE, TestPod, host_with, shell};

const FIRST: Key = Key::container(0, 0);

/// As the published exploit: takes hold of what a process executes, waits until that runs no more, and writes to it.
fn overwrite(process: &Process) -> Result<()> {
    let pid = process.pid().unwrap().unwrap();
    let held = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(format!("/proc/{pid}/exe"))?;
    process.signal(Signal::KILL).unwrap();
    assert!(process.wait(Some(PATIENCE)).unwrap());
    let again = format!("/proc/self/fd/{}", held.as_raw_fd());
    // What has ended is executed a moment longer, as far as the kernel goes.
    let mut program = unless_busy(|| OpenOptions::new().write(true).open(&again))?;
    program.write_all(b"#!/bin/sh\necho owned\n")
}

/// Another test's thread that just starts a program has this thread's descriptors until it is executed.
fn once_written<T>(run: impl FnMut() -> Result<T>) -> T {
    unless_busy(run).unwrap()
}

fn unless_busy<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(why) if why.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                std::thread::yield_now();
            }
            done => return done,
        }
    }
}

#[test]
fn cve_2019_5736_what_sets_containers_up_cannot_be_overwritten() {
    // The hole: a runtime that is a file is the attacker's as soon as it has been seen running.
    let folder = Folder::new("overwritten");
    let runtime = folder.join("runtime");
    std::fs::copy("/bin/sleep", &runtime).unwrap();
    let mut running = once_written(|| Command::new(&runtime).arg("1000").spawn());
    overwrite(&Process::open(running.id()).unwrap()).unwrap();
    running.wait().unwrap();
    let changed = once_written(|| Command::new(&runtime).output());
    assert_eq!(changed.stdout, b"owned\n");

    // The attacker is stronger than any container: the host's root, or whoever owns the pod's user namespace.
    let pod = TestPod::new();
    let error = overwrite(&pod.pause.process).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
}

/// The exploit's bait: a command of the image that says "execute whatever executes me".
#[test]
fn cve_2019_5736_an_image_that_executes_the_runtime_gets_nothing_of_it() {
    let bait = Step::File {
        path: "/tmp/bait".into(),
        mode: 0o755,
        bytes: b"#!/proc/self/exe\n".to_vec(),
    };
    let plan = shell(host_with([bait]), "exec sleep 1000");
    let mut pod = TestPod::new();
    pod.start(Start::new(FIRST, &plan));
    let mut bitten = Plan::inside(&plan);
    bitten.execute(["/tmp/bait"], [""]).unwrap();
    let start = Start {
        target: Some(FIRST),
        ..Start::new(FIRST.exec(1), &bitten)
    };
    // Pause's program, without a connection, plan or pod: it ends at once.
    pod.start(start);
    assert_eq!(pod.exit(FIRST.exec(1)).code(), 1);
    let (_, text) = pod.run(Key::container(1, 0), &shell(host_with([]), "echo well"));
    assert_eq!(text, "well\n");
}
