//! Starting a pause process so that the embedder never has a child.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use super::connection::Connection;
use super::plan::{Namespaces, Plan};
use crate::linux::process::Process;
use crate::linux::sys::socket;
use crate::{Error, Result};

/// A pod's infrastructure before there is a pod: what [`spawn`] makes.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox<'a> {
    /// The namespaces it gets anew; all others stay the host's. With `PID`, pause is PID 1 and its end is the end of all.
    pub namespaces: Namespaces,
    /// Who it is.
    pub user: User,
    /// The cgroup pause lives in from its first instruction on: a directory on a cgroup2 mount.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// What pause does to itself and its namespaces before it takes requests: propagation, lo, host name, sysctls, tmpfs.
    pub set_up: &'a Plan,
    /// A socket from [`listener`](Sandbox::listener) for embedders to come.
    pub listener: Option<BorrowedFd<'a>>,
    /// The pod ends with this process, or with the connection, whatever comes first.
    pub ephemeral: bool,
}

/// The user pause and its containers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// The embedder's, in its own user namespace: for root.
    #[default]
    Host,
    /// Root in a user namespace of its own whose only user and group are the embedder's: for everybody else.
    Single,
}

impl<'a> Sandbox<'a> {
    /// A sandbox with nothing of its own.
    pub fn new(set_up: &'a Plan) -> Sandbox<'a> {
        let (namespaces, user) = (Namespaces::NONE, User::Host);
        Sandbox {
            namespaces,
            user,
            cgroup: None,
            set_up,
            listener: None,
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
/// directory, umask. The calling thread is suspended for about a millisecond. Linux 5.14.
///
/// # Errors
/// What the kernel refused, and the usual cure.
pub fn spawn(sandbox: &Sandbox<'_>) -> Result<Pause> {
    let (_ours, _theirs) =
        socket::pair().map_err(|errno| Error::os("make a socket pair", errno as i32))?;
    todo!("{sandbox:?}")
}
