//! What ends with pause, and what outlives the embedder's connection.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use podlife::linux::pause::plan::{Namespaces, Plan};
use podlife::linux::pause::{
    Connection, Key, Output, Pause, Report, Request, Sandbox, Start, spawn,
};
use podlife::linux::process::{Exit, Identity, Signal};
use podlife::{Kind, linux::Process};

use crate::nobody;
use crate::sandbox::{PATIENCE, TestPod, host_container, read_all, sandbox, set_up, shell};
use crate::scratch::Scratch;

const FIRST: Key = Key::container(0, 0);

/// Everything a process can do to get away: a session of its own, another user, another parent.
fn getaway() -> &'static str {
    if nobody::is_root() {
        "(setsid setpriv --reuid=1234 --regid=1234 --clear-groups --pdeathsig=clear sleep 1000 &) ; \
         setsid sleep 1000 & echo ready; exec setpriv --reuid=1234 --regid=1234 --clear-groups sleep 1000"
    } else {
        "(setsid sleep 1000 &) ; setsid sleep 1000 & echo ready; exec sleep 1000"
    }
}

/// Starts it; the pipe's end is the end of all that came of it.
fn start_getaway(pod: &mut TestPod) -> std::os::fd::OwnedFd {
    let plan = shell(host_container(), getaway());
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    pod.start(Start {
        stdout: Output::Fd(writer.as_fd()),
        ..Start::new(FIRST, &plan)
    });
    assert_eq!(nix::unistd::read(&reader, &mut [0; 16]), Ok(6));
    reader
}

fn ended_within_patience(reader: &std::os::fd::OwnedFd, milliseconds: u16) -> bool {
    let mut fds = [nix::poll::PollFd::new(
        reader.as_fd(),
        nix::poll::PollFlags::POLLIN,
    )];
    nix::poll::poll(&mut fds, milliseconds).unwrap() == 1
}

#[test]
fn killing_pause_ends_whatever_a_container_did_to_get_away() {
    let mut pod = TestPod::new();
    let reader = start_getaway(&mut pod);
    assert!(!ended_within_patience(&reader, 0));
    pod.pause.process.signal(Signal::KILL).unwrap();
    assert!(ended_within_patience(&reader, PATIENCE.as_millis() as u16));
    assert_eq!(read_all(reader), "");
}

/// A hostPID pod with a container that got away; the pipe's end is the end of all that came of it.
fn host_pid_pod(cgroup: &Scratch, ephemeral: bool) -> (TestPod, std::os::fd::OwnedFd) {
    let directory = std::fs::File::open(cgroup.0.path()).unwrap();
    let mut kill = std::fs::File::options();
    let kill = kill
        .write(true)
        .open(cgroup.0.path().join("cgroup.kill"))
        .unwrap();
    let plan = set_up();
    let namespaces = Namespaces::MOUNT | Namespaces::NET | Namespaces::UTS | Namespaces::IPC;
    let mut pod = TestPod::of(&Sandbox {
        namespaces,
        cgroup: Some(directory.as_fd()),
        kill: Some(kill.as_fd()),
        ephemeral,
        ..sandbox(&plan)
    });
    let mut plan = Plan::new(Namespaces::MOUNT);
    plan.extend(host_container().steps().iter().cloned());
    let plan = shell(plan, getaway());
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let stdout = Output::Fd(writer.as_fd());
    pod.start(Start {
        stdout,
        ..Start::new(FIRST, &plan)
    });
    assert_eq!(nix::unistd::read(&reader, &mut [0; 16]), Ok(6));
    (pod, reader)
}

#[test]
fn a_pod_in_the_hosts_pid_namespace_is_ended_by_its_cgroup() {
    if !nobody::is_root() {
        return println!("skipped: a hostPID pod: no cgroup is delegated to this user");
    }
    let Some(cgroup) = Scratch::new("a hostPID pod") else {
        return;
    };
    let (pod, reader) = host_pid_pod(&cgroup, false);
    drop(pod);
    // The hole that the pod's PID namespace closes: pause was killed, and here they are, still.
    assert!(!ended_within_patience(&reader, 50));
    std::fs::write(cgroup.0.path().join("cgroup.kill"), "1").unwrap();
    assert!(ended_within_patience(&reader, PATIENCE.as_millis() as u16));
}

#[test]
fn an_ephemeral_pod_in_the_hosts_pid_namespace_ends_with_its_connection() {
    if !nobody::is_root() {
        return println!("skipped: an ephemeral hostPID pod: no cgroup is delegated to this user");
    }
    let Some(cgroup) = Scratch::new("an ephemeral hostPID pod") else {
        return;
    };
    let (mut pod, reader) = host_pid_pod(&cgroup, true);
    pod.send(Request::Quit);
    assert!(ended_within_patience(&reader, PATIENCE.as_millis() as u16));
}

/// A directory of a test's own, gone when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("podlife-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const NOT_FOUND: &str = "could not execute /no/such/program: No such file or directory (errno 2); \
         correct the command, or PATH: the image has no such program";

#[test]
fn a_lost_connection_loses_no_exit() {
    let directory = Directory::new("reconnect");
    // Longer than a socket address can be.
    let deep = directory.0.join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let path = deep.join("pause.sock");
    let listener = Sandbox::listener(&path).unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let plan = set_up();
    let mut pod = TestPod::of(&Sandbox {
        listener: Some(listener.as_fd()),
        ..sandbox(&plan)
    });
    drop(listener);
    let identity = pod.pause.process.identity().unwrap().unwrap();

    let (waits, go) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let dies = shell(host_container(), "read line; exit 17");
    let lives = shell(host_container(), "exec sleep 1000");
    let mut broken = Plan::new(Namespaces::MOUNT);
    broken.execute(["/no/such/program"], [""]).unwrap();
    let input = podlife::linux::pause::Input::Fd(waits.as_fd());
    let process = pod.start(Start {
        stdin: input,
        ..Start::new(FIRST, &dies)
    });
    let living = Key::container(1, 4);
    pod.start(Start::new(living, &lives));
    let never = Key::container(2, 9);
    pod.send(Request::Start(Start::new(never, &broken)));
    pod.wait(|report| matches!(report, Report::StartFailed { .. }));

    // Nobody is there while the first one ends.
    let nobody_there = Connection::reconnect(&path, &identity).unwrap();
    drop(std::mem::replace(&mut pod.pause, nobody_there));
    drop(waits);
    let Pause {
        process: pause,
        connection,
    } = std::mem::replace(
        &mut pod.pause,
        Connection::reconnect(&path, &identity).unwrap(),
    );
    drop(connection);
    drop(go);
    assert!(process.wait(Some(PATIENCE)).unwrap());
    assert!(pause.is_running().unwrap());

    pod.pause = Connection::reconnect(&path, &identity).unwrap();
    assert_eq!(
        everything(&mut pod, &broken),
        [
            (FIRST, format!("{:?}", Exit::Code(17))),
            (living, "runs".into()),
            (never, NOT_FOUND.into()),
        ]
    );

    for key in [FIRST, never] {
        pod.send(Request::Acknowledge(key));
    }
    assert_eq!(everything(&mut pod, &broken), [(living, "runs".into())]);

    it_is_itself_until_its_end(pod, &path, &identity);
}

fn it_is_itself_until_its_end(mut pod: TestPod, path: &Path, identity: &Identity) {
    let own = Process::own().unwrap().identity().unwrap().unwrap();
    assert_eq!(
        Connection::reconnect(path, &own).unwrap_err().kind(),
        Kind::Conflict
    );
    pod.pause = Connection::reconnect(path, identity).unwrap();
    pod.send(Request::Quit);
    assert!(pod.pause.process.wait(Some(PATIENCE)).unwrap());
    assert!(matches!(pod.wait(|_| true), Report::Closed));
    assert_eq!(
        Connection::reconnect(path, identity).unwrap_err().kind(),
        Kind::NotFound
    );
}

/// What pause remembers of each container; `broken` is the plan of those that did not start.
fn everything(pod: &mut TestPod, broken: &Plan) -> Vec<(Key, String)> {
    pod.send(Request::List);
    let mut told = Vec::new();
    loop {
        match pod.wait(|_| true) {
            Report::Listed => {
                // An exit that is noticed just now is reported, and listed.
                told.dedup();
                return told;
            }
            Report::Exited {
                key,
                exit,
                started,
                ended,
            } => {
                assert!(started.mono < ended.mono && started.wall < ended.wall);
                told.push((key, format!("{exit:?}")));
            }
            Report::Started { key, process, .. } => {
                assert!(process.is_running().unwrap());
                told.push((key, "runs".into()));
            }
            Report::StartFailed { key, failure } => {
                told.push((key, broken.explain(failure).to_string()))
            }
            other => panic!("{other:?}"),
        }
    }
}

/// An embedder that is killed right after the start has not written down that there is a pause.
#[test]
fn a_pause_that_nobody_used_ends_with_its_first_connection() {
    let directory = Directory::new("unused");
    let path = directory.0.join("pause.sock");
    let listener = Sandbox::listener(&path).unwrap();
    let plan = set_up();
    let Pause {
        process,
        connection,
    } = spawn(&Sandbox {
        listener: Some(listener.as_fd()),
        ..sandbox(&plan)
    })
    .unwrap();
    drop(listener);
    drop(connection);
    assert!(process.wait(Some(PATIENCE)).unwrap());
}

#[test]
fn the_newest_connection_wins() {
    let directory = Directory::new("newest");
    let path = directory.0.join("pause.sock");
    let listener = Sandbox::listener(&path).unwrap();
    let plan = set_up();
    let mut pod = TestPod::of(&Sandbox {
        listener: Some(listener.as_fd()),
        ..sandbox(&plan)
    });
    let identity = pod.pause.process.identity().unwrap().unwrap();
    let newer = Connection::reconnect(&path, &identity).unwrap();
    assert!(matches!(pod.wait(|_| true), Report::Closed));
    pod.pause = newer;
    pod.send(Request::List);
    assert!(matches!(pod.wait(|_| true), Report::Listed));
}

#[test]
fn an_ephemeral_pod_ends_with_its_connection() {
    let mut pod = TestPod::new();
    let reader = start_getaway(&mut pod);
    let process: std::os::fd::OwnedFd = pod.pause.process.as_fd().try_clone_to_owned().unwrap();
    let process = Process::from(process);
    drop(pod);
    assert!(process.wait(Some(PATIENCE)).unwrap());
    assert_eq!(read_all(reader), "");
}
