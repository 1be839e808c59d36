//! A container's process that looks into whatever sets up its neighbours.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::linux::Capabilities;
use podlife::linux::pause::plan::{Plan, Step};
use podlife::linux::pause::{Input, Key, Output, Request, Start};

use super::{attacker, is_attacker};
use crate::sandbox::{PATIENCE, TestPod, root_with};

const FIRST: Key = Key::container(0, 0);
const NAME: &str = "podlife-pause";
/// So long is a set-up held up, for the attacker to find it, after it has given up its capabilities.
const STEPS: usize = 20_000;
/// So often it is looked into.
const ROUNDS: usize = 30;

#[test]
fn a_container_cannot_look_into_what_sets_up_a_process_in_it() {
    if is_attacker() {
        return attack();
    }
    // The hole: CAP_SYS_PTRACE opens what this is about, so a container that has it owns its pod.
    let found = tried(
        Capabilities::CONTAINER
            .adjusted(["SYS_PTRACE"], [])
            .unwrap(),
    );
    for way in ["mem", "environ", "root", "fd/3", "ptrace"] {
        assert!(found.contains(&format!("open {way}\n")), "{way}: {found}");
    }
    let found = tried(Capabilities::CONTAINER);
    assert!(!found.contains("open"), "{found}");
}

/// What an attacker with these capabilities says of processes that are set up beside it.
fn tried(set: Capabilities) -> String {
    let test = "escape::memory::a_container_cannot_look_into_what_sets_up_a_process_in_it";
    let container = attacker(test, set);
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let (stdin, go) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let mut pod = TestPod::new();
    pod.start(Start {
        stdin: Input::Fd(stdin.as_fd()),
        stdout: Output::Fd(writer.as_fd()),
        ..Start::new(FIRST, &container)
    });
    drop(writer);
    let mut found = String::new();
    let until = Instant::now() + PATIENCE;
    let mut run = 0;
    while !found.contains("done\n") {
        assert!(Instant::now() < until, "it was not found: {found}");
        run += 1;
        let key = FIRST.exec(run);
        set_up_slowly(&mut pod, key, &container, set);
        found += &what_is_there(&reader);
    }
    drop(go);
    pod.exit(FIRST);
    found
}

fn set_up_slowly(pod: &mut TestPod, key: Key, container: &Plan, set: Capabilities) {
    let mut plan = Plan::inside(container);
    plan.drop_to(&root_with(set));
    plan.extend((0..STEPS).map(|_| Step::Nice(0)));
    plan.execute(["/bin/true"], [""]).unwrap();
    pod.send(Request::Start(Start {
        target: Some(FIRST),
        ..Start::new(key, &plan)
    }));
    pod.exit(key);
    pod.send(Request::Acknowledge(key));
}

fn what_is_there(reader: &std::os::fd::OwnedFd) -> String {
    let mut bytes = [0; 65536];
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO).unwrap() {
        0 => String::new(),
        _ => {
            let size = nix::unistd::read(reader, &mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..size]).into_owned()
        }
    }
}

/// Inside the container: tries every way into every process that pause is still setting up, until it has had enough.
fn attack() {
    let mut rounds = 0;
    while rounds < ROUNDS {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            if is_set_up(pid) && look_into(pid) {
                rounds += 1;
            }
        }
    }
    say("done");
    std::io::read_to_string(std::io::stdin()).unwrap();
}

fn say(text: &str) {
    // The harness has standard output; nothing of it may hold this up.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{text}")
        .and_then(|()| out.flush())
        .unwrap();
}

fn is_set_up(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == NAME)
}

/// What was open is said, if the process was still pause's when all was tried.
fn look_into(pid: i32) -> bool {
    let path = |file: &str| format!("/proc/{pid}/{file}");
    let file = |name: &str| std::fs::File::open(path(name)).is_ok();
    let link = |name: &str| std::fs::read_link(path(name)).is_ok();
    let mut found = Vec::new();
    let ways = ["mem", "environ", "maps", "auxv"]
        .into_iter()
        .filter(|way| file(way));
    found.extend(ways);
    let links = ["exe", "root", "cwd", "fd/0", "fd/3"];
    found.extend(links.into_iter().filter(|way| link(way)));
    found.extend(descriptor_of(pid).then_some("pidfd"));
    if is_set_up(pid) {
        found.extend(traced(pid).then_some("ptrace"));
        found.iter().for_each(|way| say(&format!("open {way}")));
        return true;
    }
    false
}

/// `pidfd_getfd(2)` with the first few.
fn descriptor_of(pid: i32) -> bool {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    let Ok(process) = podlife::linux::Process::open(pid as u32) else {
        return false;
    };
    let pidfd = process.as_fd().as_raw_fd();
    (0..8).any(|fd| {
        // SAFETY: three numbers; what comes back is a new descriptor, and ours.
        #[allow(unsafe_code)]
        unsafe {
            let taken = libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0);
            (taken >= 0)
                .then(|| OwnedFd::from_raw_fd(taken as i32))
                .is_some()
        }
    })
}

fn traced(pid: i32) -> bool {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: attaching reads and writes no memory of ours.
    #[allow(unsafe_code)]
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, nothing, nothing) };
    let early = is_set_up(pid);
    if seized == 0 {
        let_it_run(pid);
    }
    seized == 0 && early
}

/// To its end, which is its tracer's to hear first. One that stops on the way would stay so, and pause would wait for it.
fn let_it_run(pid: i32) {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    loop {
        let signal = match waitpid(nix::unistd::Pid::from_raw(pid), Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Stopped(_, signal)) => signal as i32,
            Ok(WaitStatus::PtraceEvent(..)) => 0,
            _ => return,
        };
        // SAFETY: numbers only.
        #[allow(unsafe_code)]
        unsafe {
            libc::ptrace(libc::PTRACE_CONT, pid, 0, signal)
        };
    }
}
