//! Commands in namespaces and cgroups, without a pod.

use std::os::fd::AsFd;
use std::time::Duration;

use podlife::Kind;
use podlife::linux::Command;
use podlife::linux::process::{Exit, Signal};
use podlife::namespace::{Namespace, NamespaceKind, Namespaces};

use crate::nobody;
use crate::sandbox::read_all;
use crate::scratch::{LONG, Scratch};

fn output(command: Command<'_>) -> (Option<Exit>, String) {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let mut running = command
        .stdout(writer.as_fd())
        .stderr(writer.as_fd())
        .spawn()
        .unwrap();
    drop(writer);
    let text = read_all(reader);
    (running.wait(LONG).unwrap(), text)
}

fn sees_its_own_namespaces() {
    let all =
        Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::IPC | Namespaces::UTS;
    let script = "ls -d /proc/[0-9]* | wc -l; cat /proc/net/dev | tail -n +3 | cut -d: -f1; pwd; env; exit 7";
    let command = Command::new(["sh", "-c", script])
        .namespaces(all)
        .directory("/usr")
        .env("A", "b");
    let (exit, text) = output(command);
    assert_eq!(exit, Some(Exit::Code(7)), "{text}");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert!(
        lines[0].parse::<u32>().unwrap() < 8,
        "few processes: {text}"
    );
    assert_eq!(lines[1], "lo");
    assert!(lines.contains(&"/usr") && lines.contains(&"A=b"), "{text}");
    assert!(
        !text.contains("CARGO"),
        "nothing of the caller's environment: {text}"
    );
}

#[test]
fn a_command_sees_its_own_namespaces() {
    sees_its_own_namespaces();
}

#[test]
fn an_ordinary_users_command_does_too() {
    if nobody::stands_here("command::an_ordinary_users_command_does_too") {
        sees_its_own_namespaces();
    }
}

#[test]
fn a_command_is_in_its_cgroup_and_ends_with_it() {
    let Some(scratch) = Scratch::new("command") else {
        return;
    };
    let group = scratch.0.create("work").unwrap();
    let mut running = Command::new(["sleep", "600"])
        .cgroup(&group)
        .spawn()
        .unwrap();
    assert_eq!(
        group.processes().unwrap(),
        [running.process().pid().unwrap().unwrap()]
    );
    assert_eq!(running.wait(Duration::ZERO).unwrap(), None);
    group.kill().unwrap();
    assert_eq!(
        running.wait(LONG).unwrap(),
        Some(Exit::Signal(Signal::KILL))
    );
    assert_eq!(
        running.wait(LONG).unwrap(),
        Some(Exit::Signal(Signal::KILL))
    );
}

#[test]
fn a_cgroup_namespace_has_the_commands_cgroup_as_its_root() {
    let Some(scratch) = Scratch::new("cgroup namespace") else {
        return;
    };
    let command = Command::new(["cat", "/proc/self/cgroup"])
        .namespaces(Namespaces::CGROUP)
        .cgroup(&scratch.0);
    let (exit, text) = output(command);
    assert_eq!(exit, Some(Exit::Code(0)));
    assert!(text.lines().any(|line| line == "0::/"), "{text}");
}

#[test]
fn a_dropped_command_is_gone_with_what_it_started() {
    let all = Namespaces::PID | Namespaces::MOUNT;
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let script = "trap '' TERM HUP; (setsid sleep 600 &); sleep 600";
    let running = Command::new(["sh", "-c", script])
        .namespaces(all)
        .stdout(writer.as_fd())
        .spawn()
        .unwrap();
    drop(writer);
    let held = Namespace::of(running.process(), NamespaceKind::Pid).unwrap();
    assert_ne!(held, Namespace::own(NamespaceKind::Pid).unwrap());
    drop(running);
    // The pipe ends when the last of them is gone.
    assert_eq!(read_all(reader), "");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = Command::new(["/no/such/program"]).spawn().unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert_eq!(
        Command::new(Vec::<String>::new())
            .spawn()
            .unwrap_err()
            .kind(),
        Kind::Invalid
    );
}
