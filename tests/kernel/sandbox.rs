//! A sandbox to test with: one pause process, waited for by events, killed when dropped.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::linux::Capabilities;
use podlife::linux::pause::plan::{
    Attributes, CapabilityBits, Credentials, Namespaces, Plan, Propagation, Source, Step,
};
use podlife::linux::pause::{Key, Output, Pause, Report, Request, Sandbox, Start, User, spawn};
use podlife::linux::process::{Exit, Signal};

/// No event of these tests takes as long unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct TestPod {
    pub(crate) pause: Pause,
    heard: Vec<Report>,
}

/// As root in the host's user namespace, as anybody else in one of its own.
pub(crate) fn user() -> User<'static> {
    if nix::unistd::geteuid().is_root() {
        User::Host
    } else {
        User::Single
    }
}

pub(crate) fn pod_namespaces() -> Namespaces {
    Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::IPC | Namespaces::UTS
}

pub(crate) fn set_up() -> Plan {
    let mut plan = Plan::new(Namespaces::NONE);
    plan.push(Step::Propagation("/".into(), Propagation::Private))
        .push(Step::Loopback)
        .push(Step::Hostname("test-pod".into()));
    plan
}

/// The host's root, read-only, with a few mounts of its own.
pub(crate) fn host_container() -> Plan {
    let mut plan = Plan::new(Namespaces::MOUNT | Namespaces::PID);
    let tmpfs = |target: &str| Step::Filesystem {
        kind: "tmpfs".into(),
        options: "mode=1777".into(),
        target: target.into(),
        attributes: Attributes::NOSUID | Attributes::NODEV,
    };
    plan.push(Step::Root {
        source: Source::Host("/".into()),
        attributes: Attributes::READ_ONLY,
    })
    .push(Step::Filesystem {
        kind: "proc".into(),
        options: String::new(),
        target: "/proc".into(),
        attributes: Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC,
    })
    .push(tmpfs("/tmp"))
    .push(tmpfs("/run"))
    .push(Step::Pivot);
    plan
}

/// The same with more before it enters its root: paths are those of the root that is being built.
pub(crate) fn host_with(more: impl IntoIterator<Item = Step>) -> Plan {
    let base = host_container();
    let mut plan = Plan::new(base.namespaces());
    let steps = base.steps().iter().filter(|step| **step != Step::Pivot);
    plan.extend(steps.cloned()).extend(more).push(Step::Pivot);
    plan
}

/// Root with these capabilities, as far as pause has them.
pub(crate) fn root_with(set: Capabilities) -> Credentials {
    let set = CapabilityBits(set.bits());
    Credentials {
        uid: 0,
        gid: 0,
        groups: None,
        bounding: set,
        permitted: set,
        inheritable: CapabilityBits(0),
        ambient: CapabilityBits(0),
        no_new_privileges: false,
        seccomp: None,
    }
}

pub(crate) fn shell(mut plan: Plan, script: &str) -> Plan {
    plan.execute(["/bin/sh", "-c", script], ["PATH=/usr/bin:/bin"])
        .unwrap();
    plan
}

impl TestPod {
    pub(crate) fn new() -> TestPod {
        let plan = set_up();
        TestPod::of(&Sandbox {
            ephemeral: true,
            ..sandbox(&plan)
        })
    }

    pub(crate) fn of(sandbox: &Sandbox<'_>) -> TestPod {
        let mut pod = TestPod {
            pause: spawn(sandbox).unwrap(),
            heard: Vec::new(),
        };
        pod.wait(|report| matches!(report, Report::Ready { .. }));
        pod
    }

    /// The first report that fits; others are kept for later waits.
    pub(crate) fn wait(&mut self, fits: impl Fn(&Report) -> bool) -> Report {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(index) = self.heard.iter().position(&fits) {
                return self.heard.remove(index);
            }
            match self.pause.connection.receive().unwrap() {
                Some(report) => self.heard.push(report),
                None => {
                    let left = until.saturating_duration_since(Instant::now());
                    assert!(!left.is_zero(), "not heard; but: {:?}", self.heard);
                    let mut fds = [PollFd::new(
                        self.pause.connection.as_fd(),
                        PollFlags::POLLIN,
                    )];
                    poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
                }
            }
        }
    }

    /// Hears reports while pause's queue is full.
    pub(crate) fn send(&mut self, request: Request<'_>) {
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.pause.connection.send(&request) {
            assert!(
                error.kind() == podlife::Kind::Exhausted && Instant::now() < until,
                "{error}"
            );
            self.heard.extend(self.pause.connection.receive().unwrap());
        }
    }

    /// The sentence with which a start of this plan fails.
    pub(crate) fn failure(&mut self, key: Key, plan: &Plan) -> podlife::Error {
        self.refusal(Start::new(key, plan))
    }

    /// The sentence with which this start fails.
    pub(crate) fn refusal(&mut self, start: Start<'_>) -> podlife::Error {
        self.send(Request::Start(start));
        match self
            .wait(|report| matches!(report, Report::Started { .. } | Report::StartFailed { .. }))
        {
            Report::StartFailed { key, failure } if key == start.key => start.plan.explain(failure),
            other => panic!("{other:?}"),
        }
    }

    /// Starts, and waits until it runs.
    pub(crate) fn start(&mut self, start: Start<'_>) -> podlife::linux::Process {
        self.send(Request::Start(start));
        let key = start.key;
        let told = self.wait(|report| match report {
            Report::Started { key: other, .. } | Report::StartFailed { key: other, .. } => {
                *other == key
            }
            Report::Refused { .. } => true,
            _ => false,
        });
        match told {
            Report::Started { process, .. } => process,
            Report::StartFailed { failure, .. } => panic!("{}", start.plan.explain(failure)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn exit(&mut self, key: Key) -> Exit {
        match self
            .wait(|report| matches!(report, Report::Exited { key: other, .. } if *other == key))
        {
            Report::Exited { exit, .. } => exit,
            _ => unreachable!(),
        }
    }

    /// Runs a script in a container of the host's root: its exit and what it wrote.
    pub(crate) fn run(&mut self, key: Key, plan: &Plan) -> (Exit, String) {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let out = Output::Fd(writer.as_fd());
        self.start(Start {
            stdout: out,
            stderr: out,
            ..Start::new(key, plan)
        });
        drop(writer);
        let text = read_all(reader);
        (self.exit(key), text)
    }
}

impl Drop for TestPod {
    fn drop(&mut self) {
        let _ = self.pause.process.signal(Signal::KILL);
        assert!(
            self.pause.process.wait(Some(PATIENCE)).unwrap(),
            "pause outlives SIGKILL"
        );
    }
}

/// Runs the named test once more, in a process of its own that nothing else happens in. True in that process.
pub(crate) fn alone(test: &str) -> bool {
    if std::env::var_os("PODLIFE_TEST_ALONE").is_some() {
        return true;
    }
    let output = std::process::Command::new("/proc/self/exe")
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("PODLIFE_TEST_ALONE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "alone: {text}"
    );
    false
}

/// The lines of `/proc/self/status` that begin with one of these words.
pub(crate) fn status_lines(words: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    text.lines()
        .filter(|line| words.iter().any(|word| line.starts_with(word)))
        .map(String::from)
        .collect()
}

pub(crate) fn sandbox(plan: &Plan) -> Sandbox<'_> {
    Sandbox {
        namespaces: pod_namespaces(),
        user: user(),
        ..Sandbox::new(plan)
    }
}

/// Reads to the end, which must come within patience.
pub(crate) fn read_all(fd: OwnedFd) -> String {
    let until = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
        assert!(
            ready > 0,
            "no end after {:?}",
            String::from_utf8_lossy(&bytes)
        );
        match nix::unistd::read(&fd, &mut piece).unwrap() {
            0 => return String::from_utf8(bytes).unwrap(),
            size => bytes.extend_from_slice(&piece[..size]),
        }
    }
}
