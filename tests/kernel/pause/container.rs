//! Processes of a pod: how they start, what they see, how they end.

use std::os::fd::AsFd;

use podlife::linux::Capabilities;
use podlife::linux::pause::plan::{Namespaces, Plan, Step};
use podlife::linux::pause::{Cgroup, Key, Output, Report, Request, Start};
use podlife::linux::process::{Exit, Signal};

use crate::nobody;
use crate::sandbox::{TestPod, host_container, read_all, root_with, shell};
use crate::scratch::Scratch;

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
    let process = pod.start(Start::new(key, &plan));
    process.signal(Signal::KILL).unwrap();
    assert_eq!(pod.exit(key), Exit::Signal(Signal::KILL));
}

#[test]
fn a_signal_reaches_the_container_and_only_while_it_lives() {
    let mut pod = TestPod::new();
    let plan = shell(
        host_container(),
        "trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done",
    );
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let out = Output::Fd(writer.as_fd());
    pod.start(Start {
        stdout: out,
        ..Start::new(FIRST, &plan)
    });
    assert_eq!(nix::unistd::read(&reader, &mut [0; 16]), Ok(6));
    pod.send(Request::Signal(FIRST, Signal::USR1));
    assert_eq!(pod.exit(FIRST), Exit::Code(9));
    pod.send(Request::Signal(FIRST, Signal::USR1));
    let refused = pod.wait(|report| matches!(report, Report::Refused { .. }));
    assert!(
        matches!(
            refused,
            Report::Refused {
                key: FIRST,
                errno: libc::ESRCH,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[test]
fn each_container_is_the_first_process_of_its_namespace_and_they_share_the_pods() {
    let mut pod = TestPod::new();
    let script =
        "echo $$; cd /proc/self/ns; readlink net uts ipc pid mnt; exec >&-; exec sleep 1000";
    let plan = shell(host_container(), script);
    // Both live at the same time: the number of a namespace that is gone may be used again.
    let mut look = |container| {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let stdout = Output::Fd(writer.as_fd());
        pod.start(Start {
            stdout,
            ..Start::new(Key::container(container, 0), &plan)
        });
        drop(writer);
        read_all(reader)
    };
    let (one, two) = (look(0), look(1));
    let (one, two): (Vec<_>, Vec<_>) = (one.lines().collect(), two.lines().collect());
    assert_eq!(one[..4], two[..4]);
    assert_eq!(one[0], "1");
    assert_ne!(one[4], two[4], "pid");
    assert_ne!(one[5], two[5], "mnt");
}

#[test]
fn an_exec_is_in_the_containers_namespaces_and_outlived_by_it() {
    let mut pod = TestPod::new();
    let plan = shell(host_container(), "echo mark > /tmp/mark; exec sleep 1000");
    pod.start(Start::new(FIRST, &plan));
    let mut look = Plan::inside(&plan);
    // The file is there as soon as the container's shell has come so far.
    let script = "until grep -qsx sleep /proc/1/comm; do sleep 0.01; done; cat /tmp/mark; tr '\\0' ' ' < /proc/1/cmdline; echo $PPID; exit 5";
    look.execute(["/bin/sh", "-c", script], ["PATH=/usr/bin:/bin"])
        .unwrap();
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let key = FIRST.exec(1);
    let out = Output::Fd(writer.as_fd());
    pod.start(Start {
        target: Some(FIRST),
        stdout: out,
        ..Start::new(key, &look)
    });
    drop(writer);
    assert_eq!(read_all(reader), "mark\nsleep 1000 0\n");
    assert_eq!(pod.exit(key), Exit::Code(5));

    pod.send(Request::Signal(FIRST, Signal::KILL));
    assert_eq!(pod.exit(FIRST), Exit::Signal(Signal::KILL));
    let start = Start {
        target: Some(FIRST),
        ..Start::new(FIRST.exec(2), &look)
    };
    pod.send(Request::Start(start));
    let failed = pod.wait(|report| matches!(report, Report::StartFailed { .. }));
    let Report::StartFailed { failure, .. } = failed else {
        unreachable!()
    };
    let text = look.explain(failure).to_string();
    assert!(
        text.contains("join the container's namespaces") && text.contains("No such process"),
        "{text}"
    );
    // And pause is still its own: what it starts next is in a new namespace of its own.
    let (_, text) = pod.run(Key::container(1, 0), &shell(host_container(), "echo $$"));
    assert_eq!(text, "1\n");
}

#[test]
fn containers_of_a_shared_pid_namespace_see_each_other_and_a_harmless_first_process() {
    let mut pod = TestPod::new();
    let reaper = Key::container(u32::MAX, 0);
    let mut plan = Plan::new(Namespaces::PID | Namespaces::MOUNT);
    plan.push(Step::EmptyRoot {
        options: "size=0,mode=555".into(),
    })
    .push(Step::Pivot);
    plan.drop_to(&root_with(Capabilities::NONE))
        .push(Step::Reap);
    pod.start(Start::new(reaper, &plan));

    let sleeper = shell(host_container_joining(), "exec sleep 1001");
    pod.start(Start {
        target: Some(reaper),
        ..Start::new(FIRST, &sleeper)
    });
    let mut looking = host_container_joining();
    looking.drop_to(&root_with(Capabilities::CONTAINER));
    let looking = shell(
        looking,
        "until grep -qs sleep /proc/[0-9]*/comm; do sleep 0.01; done; cat /proc/1/comm; ls /proc/1/fd; \
         for way in root cwd; do ls /proc/1/$way/ 2>/dev/null && echo open; done; \
         for way in maps environ; do cat /proc/1/$way 2>/dev/null && echo open; done; \
         (sh -c 'exit 3' &) ; kill -9 1; while grep -qs 'State:.Z' /proc/[0-9]*/status; do sleep 0.01; done; \
         cat /proc/1/comm",
    );
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let key = Key::container(1, 0);
    let stdout = Output::Fd(writer.as_fd());
    pod.start(Start {
        target: Some(reaper),
        stdout,
        ..Start::new(key, &looking)
    });
    drop(writer);
    assert_eq!(read_all(reader), "podlife-reaper\npodlife-reaper\n");
    pod.exit(key);
}

fn host_container_joining() -> Plan {
    let alone = host_container();
    let mut plan = Plan::new(Namespaces::MOUNT).joining(Namespaces::PID);
    plan.extend(alone.steps().iter().cloned());
    plan
}

#[test]
fn a_container_is_in_its_cgroup_from_the_first_instruction() {
    if !nobody::is_root() {
        return println!("skipped: a container in a cgroup: no cgroup is delegated to this user");
    }
    let Some(scratch) = Scratch::new("a container in a cgroup") else {
        return;
    };
    let directory = std::fs::File::open(scratch.0.path()).unwrap();
    let procs = std::fs::OpenOptions::new()
        .write(true)
        .open(scratch.0.path().join("cgroup.procs"))
        .unwrap();
    let name = scratch
        .0
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let mut pod = TestPod::new();
    let plan = shell(host_container(), "grep ^0: /proc/self/cgroup");
    for (attempt, cgroup) in [
        Cgroup::Into(directory.as_fd()),
        Cgroup::Procs(procs.as_fd()),
    ]
    .into_iter()
    .enumerate()
    {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let key = Key::container(0, attempt as u32);
        pod.start(Start {
            cgroup,
            stdout: Output::Fd(writer.as_fd()),
            ..Start::new(key, &plan)
        });
        drop(writer);
        let text = read_all(reader);
        assert!(text.trim_end().ends_with(&name), "{text}");
        pod.exit(key);
    }
}

#[test]
fn sockets_are_of_the_pods_network() {
    use std::net::{TcpListener, TcpStream};
    let mut pod = TestPod::new();
    let mut socket = |ticket| {
        pod.send(Request::Socket {
            ticket,
            family: libc::AF_INET,
            kind: libc::SOCK_STREAM,
        });
        match pod.wait(
            |report| matches!(report, Report::Socket { ticket: other, .. } if *other == ticket),
        ) {
            Report::Socket { socket, .. } => socket.unwrap(),
            _ => unreachable!(),
        }
    };
    let (server, client) = (socket(1), socket(2));
    let address = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 0);
    nix::sys::socket::bind(std::os::fd::AsRawFd::as_raw_fd(&server), &address).unwrap();
    nix::sys::socket::listen(&server, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let server = TcpListener::from(server);
    let port = server.local_addr().unwrap().port();
    let address = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, port);
    nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&client), &address).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    std::io::Write::write_all(&mut accepted, b"hello").unwrap();
    drop(accepted);
    assert_eq!(
        std::io::read_to_string(TcpStream::from(client)).unwrap(),
        "hello"
    );

    pod.send(Request::Socket {
        ticket: 3,
        family: 9999,
        kind: libc::SOCK_STREAM,
    });
    let told = pod.wait(|report| matches!(report, Report::Socket { .. }));
    assert!(
        matches!(
            told,
            Report::Socket {
                ticket: 3,
                socket: Err(libc::EAFNOSUPPORT)
            }
        ),
        "{told:?}"
    );
}

#[test]
fn what_a_container_inherits_is_nothing_of_pauses_or_the_embedders() {
    let mut pod = TestPod::new();
    let script = "tr '\\0' '\\n' < /proc/self/environ; ls /proc/self/fd | tr '\\n' ' '; umask; pwd; \
        grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let (_, text) = pod.run(FIRST, &shell(host_container(), script));
    // `ls` has the directory itself open as 3.
    let zero = "0000000000000000";
    assert_eq!(
        text,
        format!("PATH=/usr/bin:/bin\n0 1 2 3 0022\n/\nSigBlk:\t{zero}\nSigIgn:\t{zero}\n")
    );
}
