//! A command in a cgroup and in namespaces of its own, without a pod.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::geteuid;

use super::Clock;
use super::cgroup::Cgroup;
use super::namespace::{Namespace, NamespaceKind, Namespaces};
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
    joins: Vec<&'a Namespace>,
    clocks: [i64; 2],
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
            joins: Vec::new(),
            clocks: [0; 2],
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

    /// New namespaces; all others are the caller's. In a new user namespace the caller is root, unless [`Command::users`] says more.
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

    /// A namespace that is there already, in place of the caller's own: a [held](Namespace) one, whoever made it. One of each kind
    /// at most, and not of a kind that is new.
    ///
    /// In a user namespace the command becomes its root. What else is new belongs to that namespace then, and in a new PID namespace the
    /// command itself is the first process. In a mount namespace the program and its directory are looked for, in a time namespace
    /// clocks are those of it. The calling program stays where it is.
    ///
    /// It takes CAP_SYS_ADMIN over the namespace. An ordinary user has that over what belongs to a user namespace that it has made, and
    /// joins that one too.
    ///
    /// ```
    /// use podlife::linux::Command;
    /// use podlife::namespace::{Namespace, NamespaceKind, Namespaces};
    ///
    /// let net = &Namespace::create(Namespaces::NET)?[0];
    /// let (own, owner) = (Namespace::own(NamespaceKind::User)?, net.owner()?);
    /// let mut command = Command::new(["sleep", "1000"]).join(net);
    /// if owner != own {
    ///     command = command.join(&owner); // an ordinary user's
    /// }
    /// let running = command.spawn()?;
    /// assert_eq!(Namespace::of(running.process(), NamespaceKind::Net)?, *net);
    /// assert_ne!(Namespace::own(NamespaceKind::Net)?, *net);
    /// # Ok::<(), podlife::Error>(())
    /// ```
    #[must_use]
    pub fn join(mut self, namespace: &'a Namespace) -> Command<'a> {
        self.joins.push(namespace);
        self
    }

    /// In a new time namespace, whose clocks are that many seconds ahead of the caller's, or behind: `CLOCK_MONOTONIC` and
    /// `CLOCK_BOOTTIME`, which `/proc/uptime` shows. Linux 5.6. `time_namespaces(7)`.
    #[must_use]
    pub fn clocks(mut self, monotonic: i64, boottime: i64) -> Command<'a> {
        self.namespaces = self.namespaces | Namespaces::TIME;
        self.clocks = [monotonic, boottime];
        self
    }

    /// Starts it. Returns when the program runs, after a few milliseconds, or says why it does not.
    ///
    /// # Errors
    /// What the kernel refused: a program that is not there, namespaces this user may not make or join …
    pub fn spawn(&self) -> Result<Running> {
        self.joins_agree()?;
        let (set_up, plan) = (self.set_up()?, self.plan()?);
        let root = geteuid().is_root();
        let at_birth = match self.joins_user() {
            true => Namespaces::NONE,
            false => self.namespaces.within(Namespaces::OF_BIRTH),
        };
        let mut running = Starting::spawn(&Sandbox {
            namespaces: at_birth,
            user: self.user(),
            ephemeral: true,
            ..Sandbox::new(&set_up)
        })?;
        let procs = self
            .cgroup
            .filter(|_| !root || self.joins_user())
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

    /// Each kind once: joined, or new.
    fn joins_agree(&self) -> Result<()> {
        let mut taken = self.namespaces;
        if self.users.is_some() {
            taken = taken | Namespaces::USER;
        }
        for namespace in &self.joins {
            let kind = namespace.kind();
            if taken.has(kind) {
                let attempt = format!("join a {kind} namespace");
                let why = "the command shall be in a new one, or joins another";
                return Err(Error::new(Kind::Invalid, attempt, why).cure("leave one of them out"));
            }
            taken = taken | Namespaces::from_iter([kind]);
        }
        Ok(())
    }

    fn joins_user(&self) -> bool {
        let mut kinds = self.joins.iter().map(|namespace| namespace.kind());
        kinds.any(|kind| kind == NamespaceKind::User)
    }

    fn user(&self) -> User<'_> {
        let own = self.namespaces.has(NamespaceKind::User) || !geteuid().is_root();
        match self.users {
            _ if self.joins_user() => User::Host,
            None if own => User::Single,
            users => User::of(users),
        }
    }

    /// What pause does to itself and the new namespaces, which the command is then born into.
    fn set_up(&self) -> Result<Plan> {
        let mut plan = Plan::new(Namespaces::NONE);
        if !self.joins_user() {
            plan.extend(self.namespaces.furnishing());
        }
        // Root may do everything until it is in another user namespace, others only from then on.
        let root = geteuid().is_root();
        let (user, mut others): (Vec<_>, Vec<_>) = self
            .joins
            .iter()
            .copied()
            .partition(|namespace| namespace.kind() == NamespaceKind::User);
        // The mount namespace last: /proc may not be in it.
        others.sort_by_key(|namespace| namespace.kind() == NamespaceKind::Mount);
        let (first, last) = match root {
            true => (Vec::new(), user),
            false => (user, Vec::new()),
        };
        join(&mut plan, &first)?;
        if self.namespaces.has(NamespaceKind::Time) {
            let [monotonic, boottime] = self.clocks;
            plan.push(Step::TimeNamespace {
                monotonic,
                boottime,
            });
        }
        join(&mut plan, &others)?;
        if !last.is_empty() {
            // Those of the caller would still open its groups' files.
            plan.push(Step::Groups(Vec::new()));
        }
        join(&mut plan, &last)?;
        Ok(plan)
    }

    /// What the command does before it is the program.
    fn plan(&self) -> Result<Plan> {
        let late = match self.joins_user() {
            true => self.namespaces.within(Namespaces::OF_BIRTH),
            false => Namespaces::NONE,
        };
        let mut plan = Plan::new(late);
        plan.extend(late.furnishing());
        if self.namespaces.contains(Namespaces::CGROUP) {
            plan.push(Step::CgroupNamespace);
        }
        plan.push(Step::Umask(0o022));
        plan.extend(self.directory.clone().map(Step::Chdir));
        if self.joins_user() {
            plan.push(Step::Gid(0)).push(Step::Uid(0));
        }
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

fn join(plan: &mut Plan, namespaces: &[&Namespace]) -> Result<()> {
    for namespace in namespaces {
        let kind = namespace.kind();
        let copied = namespace.as_fd().try_clone_to_owned();
        let fd = copied.map_err(|why| Error::io(format!("hand over a {kind} namespace"), why))?;
        let handle = plan.hand_over(fd);
        plan.push(Step::Join {
            namespace: handle,
            kind,
        });
    }
    Ok(())
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

/// A pause process that stands, and has not said yet how the start went.
pub(super) struct Starting {
    pause: Pause,
    until: Mono,
}

impl Starting {
    pub(super) fn spawn(sandbox: &Sandbox<'_>) -> Result<Starting> {
        let mut starting = Starting {
            pause: spawn(sandbox)?,
            until: Clock::mono() + PATIENCE,
        };
        match starting.report()? {
            Report::Ready { .. } => Ok(starting),
            Report::SetUpFailed(failure) => Err(sandbox.set_up.explain(failure)),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn process(&self) -> &Process {
        &self.pause.process
    }

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
