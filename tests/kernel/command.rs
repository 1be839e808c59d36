//! Commands in namespaces and cgroups, without a pod.

use std::os::fd::AsFd;
use std::time::Duration;

use podlife::Kind;
use podlife::linux::Command;
use podlife::linux::command::Running;
use podlife::linux::process::{Exit, Signal};
use podlife::linux::user::{IdMap, IdMaps};
use podlife::namespace::{Namespace, NamespaceKind, Namespaces};

use crate::nobody;
use crate::sandbox::{alone, read_all};
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

/// All of the calling thread's.
fn ours() -> Vec<Namespace> {
    let kinds = NamespaceKind::ALL.into_iter();
    kinds.map(|kind| Namespace::own(kind).unwrap()).collect()
}

/// The command joins this one, and what an ordinary user needs for it.
fn joining<'a>(command: Command<'a>, held: &'a Namespace, owner: &'a Namespace) -> Command<'a> {
    let own = Namespace::own(NamespaceKind::User).unwrap();
    let command = command.join(held);
    match held.kind() == NamespaceKind::User || *owner == own {
        true => command,
        false => command.join(owner),
    }
}

/// A namespace of the kind, and whoever must live for it.
fn made(kind: NamespaceKind) -> (Namespace, Option<Running>) {
    if kind != NamespaceKind::Pid {
        let mut made = Namespace::create(Namespaces::from_iter([kind])).unwrap();
        return (made.remove(0), None);
    }
    let sleeper = Command::new(["sleep", "600"]).namespaces(Namespaces::PID);
    let sleeper = sleeper.spawn().unwrap();
    (
        Namespace::of(sleeper.process(), kind).unwrap(),
        Some(sleeper),
    )
}

fn every_kind_is_made_held_and_joined() {
    let before = ours();
    for kind in NamespaceKind::ALL {
        let (held, _alive) = made(kind);
        assert_eq!(held.kind(), kind);
        assert!(!before.contains(&held), "{kind}");
        let owner = match kind {
            NamespaceKind::User => Namespace::own(kind).unwrap(),
            _ => held.owner().unwrap(),
        };
        let link = format!("/proc/self/ns/{}", kind.file());
        let (exit, text) = output(joining(Command::new(["readlink", &link]), &held, &owner));
        assert_eq!(exit, Some(Exit::Code(0)), "{kind}: {text}");
        let expected = format!("{}:[{}]", kind.file(), held.identity().inode);
        assert_eq!(text.trim(), expected);
        let running = joining(Command::new(["sleep", "600"]), &held, &owner);
        let running = running.spawn().unwrap();
        assert_eq!(Namespace::of(running.process(), kind).unwrap(), held);
    }
    assert_eq!(ours(), before);
}

#[test]
fn a_command_joins_every_kind_of_namespace() {
    every_kind_is_made_held_and_joined();
}

#[test]
fn an_ordinary_users_command_joins_what_is_its_own() {
    if nobody::stands_here("command::an_ordinary_users_command_joins_what_is_its_own") {
        every_kind_is_made_held_and_joined();
    }
}

fn is_root_of_the_namespace_that_it_joins() {
    let users = &Namespace::create(Namespaces::USER).unwrap()[0];
    let new = Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::UTS;
    let script = "echo $$; id -u; hostname inner; hostname; ls -d /proc/[0-9]* | wc -l; \
        cat /sys/class/net/lo/flags 2>/dev/null; cat /proc/net/dev | wc -l; exit 3";
    let command = Command::new(["sh", "-c", script])
        .join(users)
        .namespaces(new);
    let before = nix::unistd::gethostname().unwrap();
    let (exit, text) = output(command.clone());
    assert_eq!(exit, Some(Exit::Code(3)), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        (lines[0], lines[1], lines[2]),
        ("1", "0", "inner"),
        "{text}"
    );
    assert!(lines[3].parse::<u32>().unwrap() < 8, "{text}");
    assert_eq!(nix::unistd::gethostname().unwrap(), before);

    // It ends when it is let go of, with all that it has started.
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let family = Command::new(["sh", "-c", "(setsid sleep 600 &); sleep 600"]);
    let family = family.join(users).namespaces(new).stdout(writer.as_fd());
    let running = family.spawn().unwrap();
    drop(writer);
    drop(running);
    assert_eq!(read_all(reader), "");
}

#[test]
fn a_command_is_root_of_the_user_namespace_that_it_joins() {
    is_root_of_the_namespace_that_it_joins();
}

#[test]
fn an_ordinary_users_command_is_root_there_too() {
    if nobody::stands_here("command::an_ordinary_users_command_is_root_there_too") {
        is_root_of_the_namespace_that_it_joins();
    }
}

fn has_clocks_of_its_own() {
    let ahead = 40 * 365 * 86_400;
    let (exit, text) = output(Command::new(["cat", "/proc/uptime"]).clocks(0, ahead));
    assert_eq!(exit, Some(Exit::Code(0)), "{text}");
    let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
    assert!(uptime > ahead as f64, "{text}");
    let error = Command::new(["true"])
        .clocks(-ahead, 0)
        .spawn()
        .unwrap_err();
    assert!(
        error.to_string().contains("monotonic -1261440000 s"),
        "{error}"
    );
}

#[test]
fn a_command_has_clocks_of_its_own() {
    has_clocks_of_its_own();
}

#[test]
fn an_ordinary_users_command_has_them_too() {
    if nobody::stands_here("command::an_ordinary_users_command_has_them_too") {
        has_clocks_of_its_own();
    }
}

#[test]
fn what_cannot_be_joined_is_said() {
    let made = Namespace::create(Namespaces::NET | Namespaces::USER).unwrap();
    let [users, net] = &made[..] else {
        panic!("{made:?}")
    };
    let maps = IdMaps::single();
    let command = || Command::new(["true"]);
    for wrong in [
        command().join(net).join(net),
        command().join(net).namespaces(Namespaces::NET),
        command().join(users).users(&maps),
    ] {
        let error = wrong.spawn().unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    }
    let error = Namespace::create(Namespaces::PID).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);

    let own = Namespace::own(NamespaceKind::User).unwrap();
    let error = command().join(&own).spawn().unwrap_err();
    assert!(
        error.to_string().contains("join the user namespace"),
        "{error}"
    );
}

#[test]
fn an_ordinary_user_joins_nothing_of_others() {
    if !nobody::stands_here("command::an_ordinary_user_joins_nothing_of_others") {
        return;
    }
    let hosts = Namespace::own(NamespaceKind::Uts).unwrap();
    let error = Command::new(["true"]).join(&hosts).spawn().unwrap_err();
    assert_eq!(error.kind(), Kind::Permission, "{error}");
    assert!(error.to_string().contains("Namespace::owner"), "{error}");
}

#[test]
fn a_pid_namespace_whose_first_process_has_ended_takes_no_other() {
    let (held, first) = made(NamespaceKind::Pid);
    let owner = held.owner().unwrap();
    drop(first);
    let mut last = None;
    // Its first process is pause, which ends a moment later; who comes in that moment is killed with it.
    for _ in 0..1000 {
        match joining(Command::new(["true"]), &held, &owner).spawn() {
            Err(error) if !error.to_string().contains("was killed before") => {
                last = Some(error.to_string());
                break;
            }
            _ => std::thread::yield_now(),
        }
    }
    let error = last.unwrap();
    assert!(error.contains("first process has ended"), "{error}");
}

#[test]
fn root_becomes_root_of_a_user_namespace_that_is_mapped_elsewhere() {
    if !nobody::is_root() {
        return println!("skipped: a user namespace of other users: needs root");
    }
    let range = IdMap {
        inside: 0,
        outside: 500_000,
        count: 10,
    };
    let maps = IdMaps::new([range], [range]);
    let sleeper = Command::new(["sleep", "600"]).users(&maps).spawn().unwrap();
    let users = Namespace::of(sleeper.process(), NamespaceKind::User).unwrap();
    let look = ["grep", "-E", "^(Uid|Gid|CapEff)", "/proc/self/status"];
    let (_, text) = output(Command::new(look).join(&users));
    let all = podlife::linux::Capabilities::supported().unwrap().bits();
    let expected = format!("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t{all:016x}\n");
    assert_eq!(text, expected);
}

/// They would still open its groups' files.
#[test]
fn groups_of_root_do_not_come_along_into_a_user_namespace() {
    const NAME: &str = "command::groups_of_root_do_not_come_along_into_a_user_namespace";
    if !nobody::is_root() {
        return println!("skipped: root's groups: needs root");
    }
    if alone(NAME) {
        nix::unistd::setgroups(&[7777.into()]).unwrap();
        let groups = ["grep", "^Groups:", "/proc/self/status"];
        assert!(output(Command::new(groups)).1.contains("7777"));
        let users = &Namespace::create(Namespaces::USER).unwrap()[0];
        let (_, text) = output(Command::new(groups).join(users));
        assert_eq!(text.trim(), "Groups:");
    }
}
