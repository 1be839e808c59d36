//! What is left alone of the program that links the library.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Number};
use nix::sys::wait::{WaitPidFlag, waitpid};
use podlife::linux::pause::{Key, Sandbox};
use podlife::linux::process::{Exit, Signal};

use crate::nobody;
use crate::sandbox::{
    PATIENCE, TestPod, alone, host_container, sandbox, set_up, shell, status_lines,
};

/// A whole life: sandbox, container, end of the sandbox, seen from outside.
fn live() -> podlife::linux::Process {
    let mut pod = TestPod::new();
    pod.run(Key::container(0, 0), &shell(host_container(), "exit 3"));
    let pidfd = pod.pause.process.as_fd().try_clone_to_owned().unwrap();
    drop(pod);
    pidfd.into()
}

fn count_child_signals() -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGCHLD]).unwrap();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    count
}

/// Any child at all, of any thread, whatever signal it would send.
fn any_child() -> Result<nix::sys::wait::WaitStatus, Errno> {
    waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL))
}

#[test]
fn it_has_no_child_and_hears_of_none() {
    if !alone("pause::embedder::it_has_no_child_and_hears_of_none") {
        return;
    }
    let signals = count_child_signals();
    let mut pod = TestPod::new();
    assert_eq!(any_child(), Err(Errno::ECHILD));
    pod.run(Key::container(0, 0), &shell(host_container(), "exit 3"));
    assert_eq!(any_child(), Err(Errno::ECHILD));
    drop(pod);
    assert_eq!(any_child(), Err(Errno::ECHILD));
    assert_eq!(signals.load(Ordering::SeqCst), 0);
}

#[test]
fn a_thief_that_waits_for_everything_disturbs_nothing() {
    if !alone("pause::embedder::a_thief_that_waits_for_everything_disturbs_nothing") {
        return;
    }
    std::thread::spawn(|| {
        loop {
            if waitpid(None, Some(WaitPidFlag::__WALL)) == Err(Errno::ECHILD) {
                std::thread::yield_now();
            }
        }
    });
    for _ in 0..20 {
        live();
    }
}

#[test]
fn a_subreaper_gets_pause_as_its_child_when_it_ends_and_nothing_else() {
    if !alone("pause::embedder::a_subreaper_gets_pause_as_its_child_when_it_ends_and_nothing_else")
    {
        return;
    }
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let pause = live();
    assert_eq!(pause.reap().unwrap(), Some(Exit::Signal(Signal::KILL)));
    assert_eq!(any_child(), Err(Errno::ECHILD));
}

#[test]
fn nothing_of_it_changes() {
    if !alone("pause::embedder::nothing_of_it_changes") {
        return;
    }
    let mut own = SigSet::empty();
    own.add(Number::SIGUSR2);
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&own), None).unwrap();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o037));
    let before = (state(), open_descriptors());
    live();
    assert_eq!((state(), open_descriptors()), before);
}

fn state() -> Vec<String> {
    let mut all = status_lines(&[
        "Uid",
        "Gid",
        "Groups",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "Cap",
        "NoNewPrivs",
        "Seccomp",
        "Umask",
        "Threads",
        "NSpid",
        "NSsid",
    ]);
    all.push(format!("dumpable {:?}", nix::sys::prctl::get_dumpable()));
    all.push(format!("{:?}", std::env::current_dir()));
    all.extend(
        std::fs::read_dir("/proc/thread-self/ns")
            .unwrap()
            .map(|entry| format!("{:?}", std::fs::read_link(entry.unwrap().path()).unwrap())),
    );
    all.push(std::fs::read_to_string("/proc/self/oom_score_adj").unwrap());
    all.push(std::fs::read_to_string("/proc/self/cgroup").unwrap());
    all.push(std::fs::read_to_string("/proc/self/limits").unwrap());
    all
}

fn open_descriptors() -> BTreeSet<std::path::PathBuf> {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .collect()
}

#[test]
fn its_descriptors_and_its_signal_settings_do_not_reach_the_pod() {
    if !alone("pause::embedder::its_descriptors_and_its_signal_settings_do_not_reach_the_pod") {
        return;
    }
    // A pipe that is not close-on-exec: whoever inherited the writing end would keep the reader waiting.
    let (reader, writer) = nix::unistd::pipe().unwrap();
    nix::sys::signal::SigSet::all().thread_block().unwrap();
    let mut pod = TestPod::new();
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2 | tr '\\n' ' '; umask";
    let (_, text) = pod.run(Key::container(0, 0), &shell(host_container(), script));
    assert_eq!(text, "0000000000000000 0000000000000000 0022\n");
    drop(writer);
    assert_eq!(crate::sandbox::read_all(reader), "");
    drop(pod);
}

#[test]
fn it_may_have_closed_its_standard_streams() {
    if !alone("pause::embedder::it_may_have_closed_its_standard_streams") {
        return;
    }
    let kept: Vec<OwnedFd> = [
        std::io::stdin().as_fd(),
        std::io::stdout().as_fd(),
        std::io::stderr().as_fd(),
    ]
    .map(|fd| fd.try_clone_to_owned().unwrap())
    .into();
    for fd in 0..3 {
        nix::unistd::close(fd).unwrap();
    }
    let told = std::panic::catch_unwind(|| {
        let mut pod = TestPod::new();
        pod.run(
            Key::container(0, 0),
            &shell(host_container(), "echo here; exit 4"),
        )
    });
    for (fd, kept) in kept.iter().enumerate() {
        match fd {
            0 => nix::unistd::dup2_stdin(kept).unwrap(),
            1 => nix::unistd::dup2_stdout(kept).unwrap(),
            _ => nix::unistd::dup2_stderr(kept).unwrap(),
        }
    }
    assert_eq!(told.unwrap(), (Exit::Code(4), "here\n".into()));
}

#[test]
fn a_forked_holder_of_the_connection_does_not_keep_an_ephemeral_pod_alive() {
    if !alone(
        "pause::embedder::a_forked_holder_of_the_connection_does_not_keep_an_ephemeral_pod_alive",
    ) {
        return;
    }
    // The embedder is a process of its own here: it starts a pod, gives its connection to another process as well,
    // tells pause's number, and is killed.
    if std::env::var_os("PODLIFE_TEST_EMBEDDER").is_some() {
        let plan = set_up();
        let pod = TestPod::of(&Sandbox {
            ephemeral: true,
            ..sandbox(&plan)
        });
        let copy = pod.pause.connection.as_fd().try_clone_to_owned().unwrap();
        let mut holder = std::process::Command::new("sleep")
            .arg("1000")
            .stdin(copy)
            .spawn()
            .unwrap();
        eprintln!(
            "\npods {} {}",
            pod.pause.process.pid().unwrap().unwrap(),
            holder.id()
        );
        holder.wait().unwrap();
        return;
    }
    let mut embedder = std::process::Command::new("/proc/self/exe")
        .args(["pause::embedder::a_forked_holder_of_the_connection_does_not_keep_an_ephemeral_pod_alive"])
        .args(["--exact", "--nocapture"])
        .env("PODLIFE_TEST_EMBEDDER", "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(embedder.stderr.take().unwrap()));
    let line = lines
        .find_map(|line| line.unwrap().strip_prefix("pods ").map(String::from))
        .unwrap();
    let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
    let pause = podlife::linux::Process::open(numbers.next().unwrap()).unwrap();
    let holder = podlife::linux::Process::open(numbers.next().unwrap()).unwrap();
    assert!(pause.is_running().unwrap() && holder.is_running().unwrap());
    embedder.kill().unwrap();
    assert!(pause.wait(Some(PATIENCE)).unwrap());
    assert!(
        holder.is_running().unwrap(),
        "it ended too soon to prove anything"
    );
    holder.signal(Signal::KILL).unwrap();
    embedder.wait().unwrap();
}

#[test]
fn other_users_cannot_look_into_pause() {
    let pod = TestPod::new();
    let pid = pod.pause.process.pid().unwrap().unwrap();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(name, "podlife-pause\n");
    if !nobody::is_root() {
        return println!("skipped: a look into pause as another user: only root can become one");
    }
    let environment = format!("/proc/{pid}/environ");
    let other = |program: &str| {
        std::process::Command::new("setpriv")
            .args([
                "--reuid=1234",
                "--regid=1234",
                "--clear-groups",
                program,
                &environment,
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    assert!(other("ls") && !other("cat"));
}

#[test]
fn root_may_run_a_pod_in_a_user_namespace_too() {
    let plan = set_up();
    let mut pod = TestPod::of(&Sandbox {
        user: podlife::linux::pause::User::Single,
        ..sandbox(&plan)
    });
    let plan = shell(host_container(), "id -u; readlink /proc/self/ns/user");
    let (_, text) = pod.run(Key::container(0, 0), &plan);
    let (id, namespace) = text.split_once('\n').unwrap();
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    assert_eq!(id, "0");
    assert_ne!(namespace.trim_end(), own.to_str().unwrap());
}
