//! Starting a pause process so that the embedder never has a child.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

use super::connection::Connection;
use super::cure;
use super::ids::map;
use super::plan::{Namespaces, Plan};
use crate::linux::process::Process;
use crate::linux::sys::clone::{Orphan, Stage, Users};
use crate::linux::sys::{memfd, socket};
use crate::linux::user::IdMaps;
use crate::{Error, Kind, Result};

/// A pod's infrastructure before there is a pod: what [`spawn`] makes.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox<'a> {
    /// The program, if it shall be shared with other sandboxes: 50 KB of memory less for each.
    pub program: Option<&'a Program>,
    /// The namespaces it gets anew; all others stay the host's. With `PID`, pause is PID 1 and its end is the end of all.
    pub namespaces: Namespaces,
    /// Who it is.
    pub user: User<'a>,
    /// The cgroup pause lives in from its first instruction on: a directory on a cgroup2 mount.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// What pause does to itself and its namespaces before it takes requests: propagation, lo, host name, sysctls, tmpfs.
    pub set_up: &'a Plan,
    /// A socket from [`listener`](Sandbox::listener) for embedders to come.
    pub listener: Option<BorrowedFd<'a>>,
    /// An open `cgroup.kill` of the pod's cgroup, which pause writes to when it ends the pod: for a pod without a PID
    /// namespace of its own, whose processes do not end with pause.
    pub kill: Option<BorrowedFd<'a>>,
    /// The pod ends with this process, or with the connection, whatever comes first. Without a listener it always ends with
    /// the connection.
    pub ephemeral: bool,
}

/// The pause program in memory, sealed. A Node has one for all its pods.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// Puts it there. One descriptor; no file system is touched.
    ///
    /// # Errors
    /// [`Kind::Permission`] if the sysctl `vm.memfd_noexec` forbids it.
    pub fn load() -> Result<Program> {
        let made = memfd::program(c"podlife-pause", super::PROGRAM);
        made.map(Program).map_err(|errno| {
            let error = Error::os("put the pause program into memory", errno as i32);
            error.cure("set the sysctl vm.memfd_noexec to 0 or 1")
        })
    }
}

/// So long a pause process that cannot go on may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The user pause and its containers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User<'a> {
    /// The embedder's, in its own user namespace: for root.
    #[default]
    Host,
    /// Root in a user namespace of its own whose only user and group are the embedder's: for everybody else.
    Single,
    /// Root in a user namespace with these ids. As root any may be mapped; an ordinary user maps those of
    /// [`IdMaps::ranges`], with `newuidmap` and `newgidmap`, each a process of its own that takes milliseconds.
    Mapped(&'a IdMaps),
}

impl<'a> User<'a> {
    /// Root of a user namespace with these ids; the host's, without.
    pub fn of(users: Option<&'a IdMaps>) -> User<'a> {
        match users {
            None => User::Host,
            Some(maps) if maps.denies_groups() => User::Single,
            Some(maps) => User::Mapped(maps),
        }
    }
}

impl<'a> Sandbox<'a> {
    /// A sandbox with nothing of its own.
    pub fn new(set_up: &'a Plan) -> Sandbox<'a> {
        Sandbox {
            program: None,
            namespaces: Namespaces::NONE,
            user: User::Host,
            cgroup: None,
            set_up,
            listener: None,
            kill: None,
            ephemeral: false,
        }
    }

    /// Binds the socket at which a later embedder finds the pause process, mode 0600; its directory should be 0700. Any
    /// length of path.
    pub fn listener(path: &Path) -> Result<OwnedFd> {
        socket::bind(path)
            .map_err(|errno| Error::os(format!("bind the socket {}", path.display()), errno as i32))
    }
}

/// A pause process and the connection to it.
#[derive(Debug)]
pub struct Pause {
    /// The process. Its end is the end of every process in the sandbox, if that has its own PID namespace.
    pub process: Process,
    /// The connection. [`Report::Ready`](super::Report::Ready) or [`Report::SetUpFailed`](super::Report::SetUpFailed)
    /// comes first; requests may be sent before.
    pub connection: Connection,
}

/// Starts a pause process.
///
/// The caller gets no child and no SIGCHLD (unless it is PID 1 or a subreaper: then pause becomes its child, and
/// [`Process::reap`] takes the status), and nothing of it changes: not its signal mask, dumpable flag, working
/// directory, umask. The calling thread is suspended for about a millisecond. Linux 5.12.
///
/// # Errors
/// What the kernel refused, and the usual cure.
pub fn spawn(sandbox: &Sandbox<'_>) -> Result<Pause> {
    let failed = |what: &'static str| move |errno: Errno| Error::os(what, errno as i32);
    let own;
    let program = match sandbox.program {
        Some(program) => program,
        None => {
            own = Program::load()?;
            &own
        }
    };
    let plan = memfd::sealed(c"podlife-plan", &sandbox.set_up.encode()?)
        .map_err(failed("hand a plan to pause"))?;
    let (ours, theirs) = socket::pair().map_err(failed("make a socket pair"))?;
    let embedder = sandbox.ephemeral.then(Process::own).transpose()?;
    let embedder = embedder.as_ref().map(|embedder| embedder.as_fd());
    let gate = Gate::of(sandbox.user)?;
    let optional = [
        ("l", sandbox.listener),
        ("e", embedder),
        ("k", sandbox.kill),
        ("m", gate.as_ref().map(|gate| gate.reader.as_fd())),
    ];
    let letters = optional.map(|(letter, fd)| if fd.is_some() { letter } else { "" });
    let word = CString::new(letters.concat()).unwrap_or_default();
    let fds: Vec<_> = [theirs.as_fd(), plan.as_fd()]
        .into_iter()
        .chain(optional.into_iter().filter_map(|(_, fd)| fd))
        .chain(sandbox.set_up.handles())
        .map(|fd| fd.as_raw_fd())
        .collect();
    let own = own_maps(sandbox.user)?;
    let users = match (&own, &gate) {
        (Some(maps), _) => Users::Own(maps.each_ref().map(|map| map.as_bytes())),
        (None, Some(_)) => Users::Later,
        (None, None) => Users::Host,
    };
    let mut namespaces = sandbox.namespaces;
    if sandbox.user != User::Host {
        namespaces = namespaces | Namespaces::USER;
    }
    let orphan = Orphan {
        program: program.0.as_fd(),
        argv: &[c"podlife-pause", &word],
        fds: &fds,
        namespaces: u64::from(namespaces.bits()),
        cgroup: sandbox.cgroup,
        users,
    };
    let process = orphan
        .spawn()
        .map_err(|(stage, errno)| explain(stage, errno, namespaces))?;
    let process = Process::from(process);
    if let (User::Mapped(maps), Some(gate)) = (sandbox.user, gate) {
        // If this fails the gate closes, and pause ends.
        if let Err(error) = map(&process, maps).and_then(move |()| gate.open()) {
            process.wait(Some(PATIENCE))?;
            let _ = process.reap();
            return Err(error);
        }
    }
    Ok(Pause {
        process,
        connection: Connection::over(ours),
    })
}

/// Pause waits here until its ids are mapped; nobody at the other end means that they never are.
struct Gate {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Gate {
    fn of(user: User<'_>) -> Result<Option<Gate>> {
        if !matches!(user, User::Mapped(_)) {
            return Ok(None);
        }
        let made = pipe2(OFlag::O_CLOEXEC);
        let (reader, writer) = made.map_err(|errno| Error::os("make a pipe", errno as i32))?;
        Ok(Some(Gate { reader, writer }))
    }

    fn open(self) -> Result<()> {
        let opened = write(&self.writer, b"1");
        opened
            .map(drop)
            .map_err(|errno| Error::os("let the pod's pause process go on", errno as i32))
    }
}

/// The lines of `uid_map` and `gid_map` that pause writes itself.
fn own_maps(user: User<'_>) -> Result<Option<[String; 2]>> {
    if user != User::Single {
        return Ok(None);
    }
    // The child shares the caller's memory until it executes, and with it this flag: without it, it may not write its
    // own map.
    if !nix::sys::prctl::get_dumpable().unwrap_or(true) {
        return Err(Error::new(
            Kind::Unsupported,
            "make a user namespace",
            "this process is not dumpable (set-uid, file capabilities, or PR_SET_DUMPABLE)",
        )
        .cure("start podlife from an ordinary process"));
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    Ok(Some([format!("0 {uid} 1"), format!("0 {gid} 1")]))
}

fn explain(stage: Stage, errno: Errno, namespaces: Namespaces) -> Error {
    let attempt = match stage {
        Stage::Intermediate => "make a process".into(),
        Stage::Clone => format!("make a pause process with new namespaces:{namespaces}"),
        Stage::Maps => "map the user into the pod's user namespace".into(),
        Stage::Descriptors => "hand descriptors to the pause process".into(),
        Stage::Session => "give the pause process a session of its own".into(),
        Stage::Exec => "execute the pause program".into(),
    };
    let error = Error::os(attempt, errno as i32);
    match (stage, errno) {
        (_, Errno::ENOSYS) => {
            error.cure("use Linux 5.12 or later; in a container, let its seccomp profile allow clone3")
        }
        (Stage::Clone, Errno::EPERM) if !namespaces.contains(Namespaces::USER) => {
            error.cure("run as root, or give the pod a user namespace")
        }
        (Stage::Clone, Errno::EPERM | Errno::ENOSPC | Errno::EUSERS) => {
            error.cure("allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone")
        }
        (Stage::Clone, Errno::EACCES) => error.cure(
            "start the program in a leaf of the cgroup tree delegated to it (systemd-run --user --scope -p Delegate=yes)",
        ),
        _ => cure::with(error, cure::general(errno as i32)),
    }
}
