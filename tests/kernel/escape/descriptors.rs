//! What a container could inherit of those who set it up.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use podlife::linux::pause::plan::{Plan, Step};
use podlife::linux::pause::{Input, Key, Output, Request, Start};

use super::Folder;
use crate::sandbox::{TestPod, alone, host_container, read_all, shell};

const FIRST: Key = Key::container(0, 0);
/// More than a child of pause ever has.
const DESCRIPTORS: u32 = 64;

fn look(pod: &mut TestPod, start: Start<'_>) -> String {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let out = Output::Fd(writer.as_fd());
    pod.start(Start {
        stdout: out,
        stderr: out,
        ..start
    });
    drop(writer);
    let text = read_all(reader);
    pod.exit(start.key);
    text
}

#[test]
fn cve_2024_21626_no_working_directory_leads_out_of_the_root() {
    let folder = Folder::new("leaked");
    std::fs::write(folder.join("secret"), "of the host\n").unwrap();
    let leaked = File::open(&folder.0).unwrap();
    let mut pod = TestPod::new();

    // The hole: any descriptor of a host's directory is a way out; here the guard is left out by giving one.
    let plan = shell(host_container(), "cd /proc/self/fd/0/. && cat secret");
    let text = look(
        &mut pod,
        Start {
            stdin: Input::Fd(leaked.as_fd()),
            ..Start::new(FIRST, &plan)
        },
    );
    assert_eq!(text, "of the host\n");

    // One that is there until exec, as runc's was: the working directory is looked at before it is used.
    let mut plan = host_container();
    plan.hand_over(OwnedFd::from(leaked));
    plan.push(Step::Chdir("/proc/self/fd/4".into()));
    let error = pod.failure(Key::container(1, 0), &shell(plan, "cat secret"));
    assert_eq!(error.errno(), Some(libc::EACCES), "{error}");

    // And podlife has none: of all numbers.
    for fd in 0..DESCRIPTORS {
        let mut plan = host_container();
        plan.push(Step::Chdir(format!("/proc/self/fd/{fd}").into()));
        let key = Key::container(2, fd);
        let error = pod.failure(key, &shell(plan, "pwd"));
        assert!(error.to_string().contains("working directory"), "{error}");
        pod.send(Request::Acknowledge(key));
    }
}

/// The same of a process inside a running container, whose set-up joins rather than makes the namespaces.
#[test]
fn cve_2024_21626_nor_does_that_of_an_exec() {
    let mut pod = TestPod::new();
    let container = shell(host_container(), "exec sleep 1000");
    pod.start(Start::new(FIRST, &container));
    for fd in 0..DESCRIPTORS {
        let mut plan = Plan::inside(&container);
        plan.push(Step::Chdir(format!("/proc/self/fd/{fd}").into()));
        plan.execute(["/bin/pwd"], [""]).unwrap();
        let start = Start {
            target: Some(FIRST),
            ..Start::new(FIRST.exec(fd + 1), &plan)
        };
        let error = pod.refusal(start);
        assert!(error.to_string().contains("working directory"), "{error}");
        pod.send(Request::Acknowledge(start.key));
    }
}

#[test]
fn descriptors_and_environment_of_the_embedder_are_not_in_the_pod() {
    if !alone("escape::descriptors::descriptors_and_environment_of_the_embedder_are_not_in_the_pod")
    {
        return;
    }
    let folder = Folder::new("inherited");
    std::fs::write(folder.join("secret"), "of the embedder").unwrap();
    let file = File::open(folder.join("secret")).unwrap();
    // One that a careless program leaves open for its children.
    nix::fcntl::fcntl(
        &file,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    let number = file.as_raw_fd();
    let script = format!("env | grep PODLIFE_TEST_ALONE; (cat <&{number}) 2>/dev/null; true");

    // The hole: what the embedder starts itself has both.
    let child = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    assert_eq!(text, "PODLIFE_TEST_ALONE=1\nof the embedder");

    let mut pod = TestPod::new();
    assert_eq!(pod.run(FIRST, &shell(host_container(), &script)).1, "");
    // Nor has pause, from which a container might get them.
    let pid = pod.pause.process.pid().unwrap().unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!(environment, b"");
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    for entry in open {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap();
        assert!(!target.starts_with(&folder.0), "{}", target.display());
    }
}
