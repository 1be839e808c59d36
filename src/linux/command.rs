//! A command in a cgroup and in namespaces of its own, without a pod.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::Clock;
use super::cgroup::Cgroup;
use super::mount::{Attributes, Propagation};
use super::namespace::Namespaces;
use super::pause::plan::{Plan, Step};
use super::pause::{self, Input, Key, Output, Pause, Report, Request, Sandbox, Start, User, spawn};
use super::process::{Exit, Process, Signal, poll_timeout};
use super::user::IdMaps;
use crate::time::Mono;
use crate::{Error, Kind, Result};

/// The only process in its sandbox.
const KEY: Key = Key::container(0, 0);

/// No step of a start takes as long on a machine that works.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command to run in a cgroup and in new namespaces.
///
/// The program that calls gets no child: the command is the child of a [pause] process, which is
/// killed when [`Running`] is dropped or the program ends. In a PID namespace everything that the command started
/// ends with it.
///
/// As root the command stays root, with the host's file system: this confines resources and views, not rights. As an
/// ordinary user it runs in a user namespace, as its root, where no other user is mapped. A new network namespace has
/// `lo` up and nothing else; new mount and PID namespaces together have a `/proc` of their own.
///
/// Linux 5.12. `clone(2)`, `namespaces(7)`.
///
/// ```
/// use podlife::linux::Command;
/// use podlife::linux::process::Exit;
/// use podlife::namespace::Namespaces;
/// use std::time::Duration;
///
/// let namespaces = Namespaces::PID | Namespaces::MOUNT | Namespaces::NET;
/// let mut running = Command::new(["sh", "-c", "exit $$"]).namespaces(namespaces).spawn()?;
/// // Its process number in there is a small one.
/// let exit = running.wait(Duration::from_secs(10))?;
/// assert!(matches!(exit, Some(Exit::Code(2..10))), "{exit:?}");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Command<'a> {
    argv: Vec<OsString>,
    env: Vec<OsString>,
    directory: Option<PathBuf>,
    namespaces: Namespaces,
    cgroup: Option<&'a Cgroup>,
    users: Option<&'a IdMaps>,
    stdin: Input<'a>,
    stdout: Output<'a>,
    stderr: Output<'a>,
}

impl<'a> Command<'a> {
    /// The program, looked up in `PATH`, and its arguments. Its environment has nothing but what [`Command::env`] adds, its
    /// streams are `/dev/null`, its working directory is `/`.
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Command<'a> {
        Command {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            directory: None,
            namespaces: Namespaces::NONE,
            cgroup: None,
            users: None,
            stdin: Input::Null,
            stdout: Output::Null,
            stderr: Output::Null,
        }
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Command<'a> {
        self.env.push(format!("{name}={value}").into());
        self
    }

    /// Where it runs.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Command<'a> {
        self.directory = Some(path.into());
        self
    }

    /// New namespaces; all others are the caller's.
    #[must_use]
    pub fn namespaces(mut self, namespaces: Namespaces) -> Command<'a> {
        self.namespaces = namespaces;
        self
    }

    /// The cgroup that it is in from its first instruction on.
    #[must_use]
    pub fn cgroup(mut self, cgroup: &'a Cgroup) -> Command<'a> {
        self.cgroup = Some(cgroup);
        self
    }

    /// Runs it as root of a user namespace with these ids.
    #[must_use]
    pub fn users(mut self, maps: &'a IdMaps) -> Command<'a> {
        self.users = Some(maps);
        self
    }

    /// Its standard input.
    #[must_use]
    pub fn stdin(mut self, fd: BorrowedFd<'a>) -> Command<'a> {
        self.stdin = Input::Fd(fd);
        self
    }

    /// Its standard output: a file, a pipe, or `std::io::stdout().as_fd()`.
    #[must_use]
    pub fn stdout(mut self, fd: BorrowedFd<'a>) -> Command<'a> {
        self.stdout = Output::Fd(fd);
        self
    }

    /// Its standard error.
    #[must_use]
    pub fn stderr(mut self, fd: BorrowedFd<'a>) -> Command<'a> {
        self.stderr = Output::Fd(fd);
        self
    }

    /// Starts it. Returns when the program runs, after a few milliseconds, or says why it does not.
    ///
    /// # Errors
    /// What the kernel refused: a program that is not there, namespaces this user may not make …
    pub fn spawn(&self) -> Result<Running> {
        let (set_up, plan) = (self.set_up(), self.plan()?);
        let root = nix::unistd::geteuid().is_root();
        let pause = spawn(&Sandbox {
            namespaces: self.sandboxed(),
            user: match self.users {
                Some(maps) => User::Mapped(maps),
                None if root => User::Host,
                None => User::Single,
            },
            ephemeral: true,
            ..Sandbox::new(&set_up)
        })?;
        let mut running = Starting {
            pause,
            until: Clock::mono() + PATIENCE,
        };
        match running.report()? {
            Report::Ready { .. } => {}
            Report::SetUpFailed(failure) => return Err(set_up.explain(failure)),
            other => return Err(unexpected(&other)),
        }
        let procs = self
            .cgroup
            .filter(|_| !root)
            .map(Cgroup::procs)
            .transpose()?;
        let cgroup = match (self.cgroup, &procs) {
            (None, _) => pause::Cgroup::Inherit,
            (Some(_), Some(procs)) => pause::Cgroup::Procs(procs.as_fd()),
            (Some(cgroup), None) => pause::Cgroup::Into(cgroup.as_fd()),
        };
        let (stdin, stdout, stderr) = (self.stdin, self.stdout, self.stderr);
        let start = Start {
            cgroup,
            stdin,
            stdout,
            stderr,
            ..Start::new(KEY, &plan)
        };
        running.pause.connection.send(&Request::Start(start))?;
        match running.report()? {
            Report::Started { process, .. } => Ok(Running {
                pause: running.pause,
                process,
                exit: None,
            }),
            Report::StartFailed { failure, .. } => Err(plan.explain(failure)),
            other => Err(unexpected(&other)),
        }
    }

    /// A cgroup namespace is made by the command itself, once it is in its cgroup; a user namespace by pause.
    fn sandboxed(&self) -> Namespaces {
        let own = [
            super::namespace::NamespaceKind::Cgroup,
            super::namespace::NamespaceKind::User,
        ];
        self.namespaces
            .iter()
            .filter(|kind| !own.contains(kind))
            .collect()
    }

    /// What pause does to the new namespaces.
    fn set_up(&self) -> Plan {
        let mut plan = Plan::new(Namespaces::NONE);
        if self.namespaces.contains(Namespaces::MOUNT) {
            plan.push(Step::Propagation("/".into(), Propagation::Private));
        }
        if self
            .namespaces
            .contains(Namespaces::MOUNT | Namespaces::PID)
        {
            plan.push(Step::Filesystem {
                kind: "proc".into(),
                options: String::new(),
                target: "/proc".into(),
                attributes: Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC,
            });
        }
        if self.namespaces.contains(Namespaces::NET) {
            plan.push(Step::Loopback);
        }
        plan
    }

    /// What the command does before it is the program.
    fn plan(&self) -> Result<Plan> {
        let mut plan = Plan::new(Namespaces::NONE);
        if self.namespaces.contains(Namespaces::CGROUP) {
            plan.push(Step::CgroupNamespace);
        }
        plan.push(Step::Umask(0o022));
        plan.extend(self.directory.clone().map(Step::Chdir));
        let bytes = |words: &[OsString]| {
            words
                .iter()
                .cloned()
                .map(OsStringExt::into_vec)
                .collect::<Vec<_>>()
        };
        plan.execute(bytes(&self.argv), bytes(&self.env))?;
        Ok(plan)
    }
}

/// A command that has been started. Dropped, it is killed, with all that it started if it has a PID namespace.
///
/// [`AsFd`] gives a descriptor that is readable when [`Running::wait`] may have an answer.
#[derive(Debug)]
pub struct Running {
    pause: Pause,
    process: Process,
    exit: Option<Exit>,
}

impl Running {
    /// The command's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sends a signal to it. `false`: it has ended.
    pub fn signal(&self, signal: Signal) -> Result<bool> {
        self.process.signal(signal)
    }

    /// Waits until it ends, for at most `timeout`. `None`: it still runs.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<Exit>> {
        let until = Clock::mono() + timeout;
        while self.exit.is_none() {
            match receive(&mut self.pause, until)? {
                Some(Report::Exited { exit, .. }) => self.exit = Some(exit),
                Some(Report::Closed) => {
                    return Err(Error::new(
                        Kind::NotFound,
                        "wait for a command",
                        "its pause process was killed",
                    ));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(self.exit)
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pause.connection.as_fd()
    }
}

/// A pause process that has not said yet how the start went.
struct Starting {
    pause: Pause,
    until: Mono,
}

impl Starting {
    fn report(&mut self) -> Result<Report> {
        let late = || {
            Error::new(
                Kind::Timeout,
                "start a command",
                "its pause process does not answer",
            )
        };
        receive(&mut self.pause, self.until)?.ok_or_else(late)
    }
}

/// The next report; `None` if there is none until then.
fn receive(pause: &mut Pause, until: Mono) -> Result<Option<Report>> {
    loop {
        if let Some(report) = pause.connection.receive()? {
            return Ok(Some(report));
        }
        let left = until - Clock::mono();
        let mut fds = [PollFd::new(pause.connection.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut fds, poll_timeout(Some(left))) {
            Ok(0) if left.is_zero() => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::os("wait for a pause process", errno as i32)),
        }
    }
}

fn unexpected(report: &Report) -> Error {
    Error::new(
        Kind::Protocol,
        "start a command",
        format!("its pause process said {report:?}"),
    )
}
