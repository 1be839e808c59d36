//! From nothing to the first container's `execve`: podlife's way, and a bare one with the same namespaces and mounts.

use std::cell::Cell;
use std::ffi::CStr;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::Node;
use podlife::lifecycle::AttemptState;
use podlife::linux::Clock;
use podlife::linux::pause::plan::{Attributes, Namespaces, Plan, Propagation, Source, Step};
use podlife::linux::pause::{Key, Program, Report, Request, Sandbox, Start, User, spawn};
use podlife::linux::process::Signal;
use podlife::model::{Pod, Valid};
use podlife::node::{Delete, Until};

use crate::turns::{self, Turn};

pub(crate) fn run(whole: bool) {
    let program = Program::load().unwrap();
    let mut node = Node::ephemeral().unwrap();
    let stages = Cell::new((Duration::ZERO, Duration::ZERO));
    let turns = vec![
        Turn::new("clone, mount(2), execve", bare),
        Turn::new("pause, to execve", || {
            let (spawned, ready, started) = podlife(&program);
            stages.set((spawned, ready));
            started
        }),
        Turn::new("  of it spawn()", || stages.get().0),
        Turn::new("  and until Ready", || stages.get().1),
        Turn::new("Node, create to execve", || created(&mut node)),
    ];
    turns::take(if whole { 200 } else { 3 }, turns);
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn podlife(program: &Program) -> (Duration, Duration, Duration) {
    let namespaces =
        Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::IPC | Namespaces::UTS;
    let mut set_up = Plan::new(Namespaces::NONE);
    set_up
        .push(Step::Propagation("/".into(), Propagation::Private))
        .push(Step::Loopback);
    let user = if is_root() { User::Host } else { User::Single };
    let begin = Instant::now();
    let program = Some(program);
    let sandbox = Sandbox {
        program,
        namespaces,
        user,
        ephemeral: true,
        ..Sandbox::new(&set_up)
    };
    let mut pause = spawn(&sandbox).unwrap();
    let spawned = begin.elapsed();
    let plan = container();
    pause
        .connection
        .send(&Request::Start(Start::new(Key::container(0, 0), &plan)))
        .unwrap();
    let mut ready = Duration::ZERO;
    let started = loop {
        let mut fds = [PollFd::new(pause.connection.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE).unwrap();
        match pause.connection.receive().unwrap() {
            Some(Report::Ready { .. }) => ready = begin.elapsed(),
            Some(Report::Started { .. }) => break begin.elapsed(),
            None => {}
            Some(other) => panic!("{other:?}"),
        }
    };
    pause.process.signal(Signal::KILL).unwrap();
    pause.process.wait(None).unwrap();
    (spawned, ready, started)
}

/// A whole pod: cgroups, volumes, `/dev`, `/sys`, masked paths, capabilities; nothing is left out.
fn created(node: &mut Node) -> Duration {
    const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bench"}, "spec": {"containers": [
        {"name": "main", "image": "podlife.local/host", "command": ["/bin/sleep", "1000"]}]}}"#;
    let pod: Valid<Pod> = POD.try_into().unwrap();
    let begin = Clock::mono();
    let id = node.create(pod).unwrap();
    let started = loop {
        node.turn(None).unwrap();
        let attempts = node.pod(id).unwrap().record().containers()[0].attempts();
        match attempts.first().map(|attempt| &attempt.state) {
            Some(AttemptState::Running { started }) => break started.mono - begin,
            Some(AttemptState::Exited(exit)) => panic!("{exit:?}"),
            _ => {}
        }
    };
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, Duration::from_secs(10))
        .unwrap();
    started
}

fn container() -> Plan {
    let mut plan = Plan::new(Namespaces::MOUNT | Namespaces::PID);
    plan.push(Step::Root {
        source: Source::Host("/".into()),
        attributes: Attributes::READ_ONLY,
    });
    for (kind, target) in [("proc", "/proc"), ("tmpfs", "/tmp"), ("tmpfs", "/run")] {
        plan.push(Step::Filesystem {
            kind: kind.into(),
            options: String::new(),
            target: target.into(),
            attributes: Attributes::NOSUID,
        });
    }
    plan.push(Step::Pivot);
    plan.execute(["/bin/sleep", "1000"], ["PATH=/bin"]).unwrap();
    plan
}

/// clone, the same mounts by mount(2), pivot_root, execve. The pipe's end is the moment of the last.
fn bare() -> Duration {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let maps = [format!("0 {uid} 1"), format!("0 {gid} 1")];
    let begin = Instant::now();
    let mut flags = libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    if !is_root() {
        flags |= libc::CLONE_NEWUSER;
    }
    let mut pidfd: i32 = -1;
    let arguments: [u64; 8] = [
        (flags | libc::CLONE_PIDFD) as u64,
        &raw mut pidfd as u64,
        0,
        0,
        libc::SIGCHLD as u64,
        0,
        0,
        0,
    ];
    // SAFETY: a fork of a program with one thread; the child executes or ends.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            arguments.as_ptr(),
            size_of_val(&arguments),
        )
    };
    assert!(pid >= 0);
    if pid == 0 {
        bare_child(&maps);
    }
    drop(writer);
    assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0));
    let time = begin.elapsed();
    // SAFETY: CLONE_PIDFD made it for us.
    let process = podlife::linux::Process::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
    assert!(process.is_running().unwrap(), "the bare way failed");
    process.signal(Signal::KILL).unwrap();
    process.wait(None).unwrap();
    process.reap().unwrap();
    time
}

fn bare_child(maps: &[String; 2]) -> ! {
    let none: Option<&CStr> = None;
    if !is_root() && std::fs::write("/proc/self/setgroups", "deny").is_ok() {
        std::fs::write("/proc/self/uid_map", &maps[0]).unwrap();
        std::fs::write("/proc/self/gid_map", &maps[1]).unwrap();
    }
    let mount = |source: Option<&CStr>, target: &CStr, kind: Option<&CStr>, flags| {
        nix::mount::mount(source, target, kind, flags, none).unwrap();
    };
    mount(None, c"/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    // A root of one's own: any directory will do as the place, what is on it is left behind.
    mount(
        Some(c"/"),
        c"/mnt",
        None,
        MsFlags::MS_BIND | MsFlags::MS_REC,
    );
    nix::unistd::chdir(c"/mnt").unwrap();
    mount(
        Some(c"proc"),
        c"/mnt/proc",
        Some(c"proc"),
        MsFlags::MS_NOSUID,
    );
    mount(
        Some(c"tmpfs"),
        c"/mnt/tmp",
        Some(c"tmpfs"),
        MsFlags::MS_NOSUID,
    );
    mount(
        Some(c"tmpfs"),
        c"/mnt/run",
        Some(c"tmpfs"),
        MsFlags::MS_NOSUID,
    );
    nix::unistd::pivot_root(c".", c".").unwrap();
    nix::mount::umount2(c".", MntFlags::MNT_DETACH).unwrap();
    nix::unistd::chdir(c"/").unwrap();
    let _ = nix::unistd::execve(c"/bin/sleep", &[c"sleep", c"1000"], &[c"PATH=/bin"]);
    std::process::exit(1)
}
