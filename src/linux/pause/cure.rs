//! What usually helps when a step failed.

use super::step::{Source, Step};
use super::wire::Failure;
use crate::Error;

/// Numbers, as the wire has them.
const EPERM: i32 = libc::EPERM;
const ENOENT: i32 = libc::ENOENT;
const EACCES: i32 = libc::EACCES;
const EINVAL: i32 = libc::EINVAL;
const ENOSPC: i32 = libc::ENOSPC;

/// The error, saying it.
pub(super) fn with(error: Error, cure: Option<&str>) -> Error {
    match cure {
        Some(cure) => error.cure(cure),
        None => error,
    }
}

/// For what comes before the first step of a plan.
pub(super) fn of_start(step: u32, errno: i32) -> Option<&'static str> {
    Some(match (step, errno) {
        (Failure::CLONE, libc::EAGAIN) => {
            "raise pids.max of the cgroup, RLIMIT_NPROC of the user, or kernel.pid_max"
        }
        (Failure::CLONE, ENOSPC) => "raise the sysctls user.max_*_namespaces",
        (Failure::CLONE, EPERM) => {
            "run as root, or in a user namespace; in a container, let its seccomp profile allow clone3"
        }
        (Failure::CLONE, libc::EBUSY) => "the cgroup has children with controllers: use a leaf",
        (Failure::ENTRY, libc::EAGAIN) => "let others end first: pause remembers 128",
        (Failure::ENTRY, libc::EMFILE) => "raise RLIMIT_NOFILE of the embedding program",
        (Failure::JOIN, libc::ESRCH) => "start the container first: it has ended",
        (Failure::CGROUP, _) => "delegate the cgroup to the user, and use a leaf of it",
        (Failure::CLONE, libc::ENOMEM) => {
            "raise memory.max of the cgroup; into a PID namespace whose first process has ended nothing can be brought"
        }
        (Failure::JOIN | Failure::STREAMS | Failure::PLAN, libc::ENOMEM) => {
            "raise memory.max of the pod's cgroup"
        }
        _ => return general(errno),
    })
}

/// For a step of a plan.
pub(super) fn of_step(step: &Step, errno: i32) -> Option<&'static str> {
    Some(match (step, errno) {
        (Step::Bind { source, .. } | Step::Root { source, .. }, ENOENT) => match source {
            Source::Below { .. } => "make that path in the volume first, or correct the subPath",
            _ => "make it on the host first, or correct the path",
        },
        (Step::Filesystem { kind, .. }, EPERM) if kind == "proc" => {
            "run where nothing is mounted over /proc: a container hides parts of it"
        }
        (Step::Filesystem { .. }, libc::ENODEV) => "load the kernel module of that file system",
        (Step::Filesystem { .. }, EINVAL) => "correct the options: this kernel does not know one",
        (Step::Sysctl { .. }, ENOENT) => {
            "leave it out, or load the module that has it: this kernel has no such sysctl here"
        }
        (Step::Sysctl { .. }, EINVAL) => "correct the value",
        (Step::Sysctl { .. }, EPERM | EACCES) => {
            "choose one that belongs to the pod's namespaces, or run as root"
        }
        (Step::Sysctl { .. } | Step::OomScoreAdj { .. }, libc::EXDEV) => {
            "run where nothing is mounted over /proc"
        }
        (Step::Chdir(_), ENOENT | libc::ENOTDIR) => {
            "make the directory in the image, or correct workingDir"
        }
        (Step::Chdir(_), EACCES) => "choose a directory inside of the root that the user may enter",
        (Step::Exec { .. }, ENOENT) => {
            "correct the command, or PATH: the image has no such program"
        }
        (Step::Exec { .. }, EACCES) => "make it executable, and not on a mount that is noexec",
        (Step::Exec { .. }, libc::ENOEXEC) => {
            "use a program for this processor, or begin the script with #!"
        }
        (Step::Exec { .. }, libc::E2BIG) => "pass less in arguments and environment",
        (Step::Groups(_) | Step::Gid(_) | Step::Uid(_) | Step::Owner { .. }, EINVAL | EPERM) => {
            "choose an id that the pod's user namespace has, or run as root"
        }
        (Step::Rlimit { .. }, EPERM) => "raise the hard limit of the embedding program",
        (Step::Join { .. }, EPERM) => {
            "run as root, or join the user namespace that owns it too: Namespace::owner"
        }
        (Step::Join { .. }, EINVAL) => {
            "join a user namespace that the caller is not in, a PID namespace below the caller's own"
        }
        (Step::TimeNamespace { .. }, libc::ERANGE) => "choose clocks that are not below 0",
        (Step::OomScoreAdj { .. }, EPERM | EACCES) => "give the program CAP_SYS_RESOURCE",
        (Step::Device { .. }, EPERM) => "run as root, outside of a user namespace",
        _ => return general(errno),
    })
}

/// Whatever was attempted.
pub(super) fn general(errno: i32) -> Option<&'static str> {
    Some(match errno {
        EPERM => {
            "let the seccomp profile, the Linux security module and the capabilities of the embedding program allow it"
        }
        libc::ENOSYS => "use a newer Linux; in a container, let its seccomp profile allow it",
        ENOSPC | libc::EDQUOT => "make room on that file system",
        libc::EROFS => "mount a volume there: the root is read-only",
        libc::ENOMEM => "raise memory.max of the pod's cgroup",
        libc::ENAMETOOLONG => "use shorter names: 255 bytes each, 4095 in all",
        libc::ELOOP => "remove the symbolic link, or the circle of them",
        libc::ENOTDIR => "make it a directory, or correct the path",
        _ => return None,
    })
}
