//! The kernel as functions: every system call pause makes, with descriptors that close themselves.

use core::ffi::CStr;

use crate::numbers as number;
use crate::raw;
use crate::wire::At;

/// What the kernel said when it said no.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

pub type Result<T> = core::result::Result<T, Errno>;

impl Errno {
    pub const EPERM: Errno = Errno(1);
    pub const ENOENT: Errno = Errno(2);
    pub const ESRCH: Errno = Errno(3);
    pub const EINTR: Errno = Errno(4);
    pub const ENOEXEC: Errno = Errno(8);
    pub const EBADF: Errno = Errno(9);
    pub const EAGAIN: Errno = Errno(11);
    pub const EACCES: Errno = Errno(13);
    pub const EEXIST: Errno = Errno(17);
    pub const ENOTDIR: Errno = Errno(20);
    pub const EINVAL: Errno = Errno(22);
    pub const EPIPE: Errno = Errno(32);
    pub const ENAMETOOLONG: Errno = Errno(36);
    pub const EPROTO: Errno = Errno(71);
}

/// A descriptor that is ours to close.
pub struct Fd(i32);

impl Fd {
    pub fn own(fd: i32) -> Fd {
        Fd(fd)
    }

    pub fn raw(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        let _ = call(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]);
    }
}

/// A string with its NUL, wherever it lies.
#[derive(Clone, Copy)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// `None` if the last byte is not the only NUL.
    pub fn new(bytes_with_nul: &'a [u8]) -> Option<Text<'a>> {
        let end = bytes_with_nul.iter().position(|byte| *byte == 0)?;
        (end + 1 == bytes_with_nul.len()).then_some(Text(bytes_with_nul))
    }

    pub fn bytes(self) -> &'a [u8] {
        &self.0[..self.0.len() - 1]
    }

    fn pointer(self) -> usize {
        self.0.as_ptr() as usize
    }
}

impl<'a> From<&'a CStr> for Text<'a> {
    fn from(text: &'a CStr) -> Text<'a> {
        Text(text.to_bytes_with_nul())
    }
}

/// The one door. Every wrapper below passes pointers that live for the call and sizes that fit them.
fn call(number: usize, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: see above; calls that change our own memory map are only made through `map` and `unmap`.
    let result = unsafe { raw::syscall(number, arguments) };
    if (-4095..0).contains(&result) {
        Err(Errno(-result as i32))
    } else {
        Ok(result as usize)
    }
}

/// With three arguments or fewer.
fn brief(number: usize, a: usize, b: usize, c: usize) -> Result<usize> {
    call(number, [a, b, c, 0, 0, 0])
}

fn opened(result: Result<usize>) -> Result<Fd> {
    result.map(|fd| Fd(fd as i32))
}

pub fn exit(code: i32) -> ! {
    loop {
        let _ = brief(number::EXIT_GROUP, code as usize, 0, 0);
    }
}

/// The bytes of argument `index`, from the block the kernel starts a program with; empty if there is none.
pub fn argument(block: *const usize, index: usize) -> &'static [u8] {
    // SAFETY: the kernel's layout: the count, then as many pointers to strings that live as long as the program.
    unsafe {
        if index >= *block {
            return &[];
        }
        CStr::from_ptr(*block.add(1 + index) as *const _).to_bytes()
    }
}

// Descriptors.

pub const AT_FDCWD: i32 = -100;
pub const O_PATH: u64 = 0o10000000;
pub const O_CLOEXEC: u64 = 0o2000000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: u64 = 0o400000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: u64 = 0o100000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: u64 = 0o200000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: u64 = 0o40000;
pub const O_WRONLY: u64 = 1;
pub const O_CREAT: u64 = 0o100;
pub const O_TRUNC: u64 = 0o1000;
pub const O_NONBLOCK: u64 = 0o4000;
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub const RESOLVE_IN_ROOT: u64 = 0x10;

pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    brief(
        number::READ,
        fd as usize,
        buffer.as_mut_ptr() as usize,
        buffer.len(),
    )
}

pub fn pread(fd: i32, buffer: &mut [u8], offset: usize) -> Result<usize> {
    call(
        number::PREAD64,
        [
            fd as usize,
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            offset,
            0,
            0,
        ],
    )
}

pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    brief(
        number::WRITE,
        fd as usize,
        bytes.as_ptr() as usize,
        bytes.len(),
    )
}

pub fn openat2(directory: i32, path: Text<'_>, flags: u64, mode: u32, resolve: u64) -> Result<Fd> {
    let how = [flags | O_CLOEXEC, u64::from(mode), resolve];
    let arguments = [
        directory as usize,
        path.pointer(),
        how.as_ptr() as usize,
        size_of_val(&how),
        0,
        0,
    ];
    opened(call(number::OPENAT2, arguments))
}

pub fn dup3(from: i32, to: i32, flags: u64) -> Result<()> {
    brief(number::DUP3, from as usize, to as usize, flags as usize).map(drop)
}

/// A copy that nobody owns yet, not below `least`.
pub fn duplicate_above(fd: i32, least: i32) -> Result<i32> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    brief(number::FCNTL, fd as usize, F_DUPFD_CLOEXEC, least as usize).map(|fd| fd as i32)
}

pub fn duplicate(fd: i32) -> Result<Fd> {
    duplicate_above(fd, 3).map(Fd)
}

pub fn close_on_exec(fd: i32) -> Result<()> {
    const F_SETFD: usize = 2;
    const FD_CLOEXEC: usize = 1;
    brief(number::FCNTL, fd as usize, F_SETFD, FD_CLOEXEC).map(drop)
}

pub fn non_blocking(fd: i32) -> Result<()> {
    const F_SETFL: usize = 4;
    brief(number::FCNTL, fd as usize, F_SETFL, O_NONBLOCK as usize).map(drop)
}

/// Closes it and all above.
pub fn close_from(fd: i32) {
    let _ = brief(number::CLOSE_RANGE, fd as usize, u32::MAX as usize, 0);
}

/// The reading and the writing end.
pub fn pipe() -> Result<(Fd, Fd)> {
    let mut ends = [0i32; 2];
    brief(
        number::PIPE2,
        ends.as_mut_ptr() as usize,
        O_CLOEXEC as usize,
        0,
    )?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// Gives the file of a descriptor an owner.
pub fn fchown(fd: i32, uid: u32, gid: u32) -> Result<()> {
    brief(number::FCHOWN, fd as usize, uid as usize, gid as usize).map(drop)
}

pub fn fchmod(fd: i32, mode: u32) -> Result<()> {
    brief(number::FCHMOD, fd as usize, mode as usize, 0).map(drop)
}

/// Type and permission bits.
pub fn mode(fd: i32) -> Result<u32> {
    const AT_EMPTY_PATH: usize = 0x1000;
    const STATX_TYPE_AND_MODE: usize = 3;
    let mut answer = [0u64; 32];
    let pointer = answer.as_mut_ptr() as usize;
    call(
        number::STATX,
        [
            fd as usize,
            c"".as_ptr() as usize,
            AT_EMPTY_PATH,
            STATX_TYPE_AND_MODE,
            pointer,
            0,
        ],
    )?;
    // stx_mode is the upper half of the fourth 64-bit word.
    Ok((answer[3] >> 32) as u32 & 0xffff)
}

pub fn is_directory(fd: i32) -> Result<bool> {
    Ok(mode(fd)? & 0o170000 == 0o040000)
}

// Memory.

/// Maps `size` bytes of `fd` (or of nothing, if negative), private and writable. Never unmapped.
pub fn map(fd: i32, size: usize) -> Result<&'static mut [u8]> {
    const READ_WRITE: usize = 3;
    const PRIVATE: usize = 2;
    const ANONYMOUS: usize = 0x20;
    let flags = if fd < 0 { PRIVATE | ANONYMOUS } else { PRIVATE };
    let address = call(number::MMAP, [0, size, READ_WRITE, flags, fd as usize, 0])?;
    // SAFETY: the kernel chose fresh memory of this size for us; it stays until `unmap` takes it back by value.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, size) })
}

pub fn unmap(memory: &'static mut [u8]) {
    let _ = brief(
        number::MUNMAP,
        memory.as_mut_ptr() as usize,
        memory.len(),
        0,
    );
}

// Time.

pub fn now() -> At {
    let read = |clock: usize| {
        let mut time = [0i64; 2];
        let _ = brief(number::CLOCK_GETTIME, clock, time.as_mut_ptr() as usize, 0);
        time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
    };
    At {
        mono: read(1) as u64,
        wall: read(0),
    }
}

// Signals and processes.

const SIG_SETMASK: usize = 2;
const SIGCHLD: u64 = 17;

fn set_mask(mask: u64) -> Result<()> {
    call(
        number::RT_SIGPROCMASK,
        [SIG_SETMASK, &raw const mask as usize, 0, 8, 0, 0],
    )
    .map(drop)
}

pub fn block_all_signals() -> Result<()> {
    set_mask(u64::MAX)
}

pub fn block_no_signal() -> Result<()> {
    set_mask(0)
}

pub fn default_dispositions() {
    let default = [0u64; 4];
    for signal in 1..=64 {
        let _ = call(
            number::RT_SIGACTION,
            [signal, default.as_ptr() as usize, 0, 8, 0, 0],
        );
    }
}

/// Readable when a child has ended.
pub fn child_signals() -> Result<Fd> {
    let mask = 1u64 << (SIGCHLD - 1);
    let flags = (O_NONBLOCK | O_CLOEXEC) as usize;
    opened(call(
        number::SIGNALFD4,
        [usize::MAX, &raw const mask as usize, 8, flags, 0, 0],
    ))
}

/// Waits for a child to end; all signals must be blocked.
pub fn wait_for_child_signal() {
    let mask = 1u64 << (SIGCHLD - 1);
    let _ = call(
        number::RT_SIGTIMEDWAIT,
        [&raw const mask as usize, 0, 0, 8, 0, 0],
    );
}

/// One child that has ended: its number and its status word.
pub fn reap() -> Option<(i32, i32)> {
    const WNOHANG: usize = 1;
    const WALL: usize = 0x4000_0000;
    let mut status = 0i32;
    match call(
        number::WAIT4,
        [
            usize::MAX,
            &raw mut status as usize,
            WNOHANG | WALL,
            0,
            0,
            0,
        ],
    ) {
        Ok(pid) if pid > 0 => Some((pid as i32, status)),
        _ => None,
    }
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
pub const CLONE_NEWPID: u32 = 0x2000_0000;
pub const CLONE_NEWCGROUP: u32 = 0x0200_0000;

/// Forks, with a copy of our memory. `None` in the child.
pub fn fork(namespaces: u32, cgroup: Option<i32>) -> Result<Option<(i32, Fd)>> {
    let mut pidfd = -1i32;
    let mut arguments = [0u64; 11];
    arguments[0] = u64::from(namespaces) | CLONE_PIDFD;
    arguments[1] = &raw mut pidfd as u64;
    arguments[4] = SIGCHLD;
    if let Some(cgroup) = cgroup {
        arguments[0] |= CLONE_INTO_CGROUP;
        arguments[10] = cgroup as u64;
    }
    match brief(
        number::CLONE3,
        arguments.as_ptr() as usize,
        size_of_val(&arguments),
        0,
    )? {
        0 => Ok(None),
        pid => Ok(Some((pid as i32, Fd(pidfd)))),
    }
}

pub fn yield_now() {
    let _ = brief(number::SCHED_YIELD, 0, 0, 0);
}

pub fn own_pid() -> i32 {
    brief(number::GETPID, 0, 0, 0).map_or(0, |pid| pid as i32)
}

pub fn pidfd_open(pid: i32) -> Result<Fd> {
    opened(brief(number::PIDFD_OPEN, pid as usize, 0, 0))
}

pub fn pidfd_send_signal(pidfd: i32, signal: u32) -> Result<()> {
    call(
        number::PIDFD_SEND_SIGNAL,
        [pidfd as usize, signal as usize, 0, 0, 0, 0],
    )
    .map(drop)
}

pub fn setns(fd: i32, namespaces: u32) -> Result<()> {
    brief(number::SETNS, fd as usize, namespaces as usize, 0).map(drop)
}

pub fn unshare(namespaces: u32) -> Result<()> {
    brief(number::UNSHARE, namespaces as usize, 0, 0).map(drop)
}

pub fn setsid() -> Result<()> {
    brief(number::SETSID, 0, 0, 0).map(drop)
}

pub fn umask(mask: u32) {
    let _ = brief(number::UMASK, mask as usize, 0, 0);
}

pub fn execve(path: Text<'_>, argv: &[usize], env: &[usize]) -> Errno {
    let done = brief(
        number::EXECVE,
        path.pointer(),
        argv.as_ptr() as usize,
        env.as_ptr() as usize,
    );
    done.err().unwrap_or(Errno::ENOEXEC)
}

pub fn prctl(option: usize, a: usize, b: usize) -> Result<usize> {
    call(number::PRCTL, [option, a, b, 0, 0, 0])
}

pub fn set_dumpable(yes: bool) -> Result<()> {
    const PR_SET_DUMPABLE: usize = 4;
    prctl(PR_SET_DUMPABLE, usize::from(yes), 0).map(drop)
}

pub fn set_name(name: &CStr) -> Result<()> {
    const PR_SET_NAME: usize = 15;
    prctl(PR_SET_NAME, name.as_ptr() as usize, 0).map(drop)
}

pub fn prlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = [soft, hard];
    call(
        number::PRLIMIT64,
        [0, resource as usize, limit.as_ptr() as usize, 0, 0, 0],
    )
    .map(drop)
}

pub fn nice(value: i32) -> Result<()> {
    brief(number::SETPRIORITY, 0, 0, value as usize).map(drop)
}

pub fn all_processors() -> Result<()> {
    let all = [u64::MAX; 128];
    brief(
        number::SCHED_SETAFFINITY,
        0,
        size_of_val(&all),
        all.as_ptr() as usize,
    )
    .map(drop)
}

pub fn sethostname(name: &[u8]) -> Result<()> {
    brief(number::SETHOSTNAME, name.as_ptr() as usize, name.len(), 0).map(drop)
}

pub fn setdomainname(name: &[u8]) -> Result<()> {
    brief(number::SETDOMAINNAME, name.as_ptr() as usize, name.len(), 0).map(drop)
}

pub fn take_terminal() -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    brief(number::IOCTL, 0, TIOCSCTTY, 0).map(drop)
}

// Credentials.

pub fn setgroups(groups: &[u8]) -> Result<()> {
    brief(
        number::SETGROUPS,
        groups.len() / 4,
        groups.as_ptr() as usize,
        0,
    )
    .map(drop)
}

pub fn setresgid(gid: u32) -> Result<()> {
    brief(number::SETRESGID, gid as usize, gid as usize, gid as usize).map(drop)
}

pub fn setresuid(uid: u32) -> Result<()> {
    brief(number::SETRESUID, uid as usize, uid as usize, uid as usize).map(drop)
}

const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// Effective, permitted, inheritable.
pub fn capget() -> Result<[u64; 3]> {
    let mut data = [0u32; 6];
    brief(
        number::CAPGET,
        CAPABILITY_HEADER.as_ptr() as usize,
        data.as_mut_ptr() as usize,
        0,
    )?;
    Ok([0, 1, 2].map(|set| u64::from(data[set]) | u64::from(data[set + 3]) << 32))
}

/// Effective, permitted, inheritable.
pub fn capset(sets: [u64; 3]) -> Result<()> {
    let mut data = [0u32; 6];
    for (index, set) in sets.into_iter().enumerate() {
        data[index] = set as u32;
        data[index + 3] = (set >> 32) as u32;
    }
    brief(
        number::CAPSET,
        CAPABILITY_HEADER.as_ptr() as usize,
        data.as_ptr() as usize,
        0,
    )
    .map(drop)
}

pub fn seccomp(flags: u32, program: &[u8]) -> Result<()> {
    #[repr(C)]
    struct Program {
        count: u16,
        filter: *const u8,
    }
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let count = u16::try_from(program.len() / 8).map_err(|_| Errno::EINVAL)?;
    let program = Program {
        count,
        filter: program.as_ptr(),
    };
    brief(
        number::SECCOMP,
        SECCOMP_SET_MODE_FILTER,
        flags as usize,
        &raw const program as usize,
    )
    .map(drop)
}

// Files by path.

pub fn mkdirat(directory: i32, name: Text<'_>, mode: u32) -> Result<()> {
    brief(
        number::MKDIRAT,
        directory as usize,
        name.pointer(),
        mode as usize,
    )
    .map(drop)
}

pub fn mknodat(directory: i32, name: Text<'_>, mode: u32, device: u64) -> Result<()> {
    let arguments = [
        directory as usize,
        name.pointer(),
        mode as usize,
        device as usize,
        0,
        0,
    ];
    call(number::MKNODAT, arguments).map(drop)
}

pub fn symlinkat(to: Text<'_>, directory: i32, name: Text<'_>) -> Result<()> {
    brief(
        number::SYMLINKAT,
        to.pointer(),
        directory as usize,
        name.pointer(),
    )
    .map(drop)
}

/// Does not follow a symbolic link.
pub fn fchownat(directory: i32, name: Text<'_>, uid: u32, gid: u32) -> Result<()> {
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    let arguments = [
        directory as usize,
        name.pointer(),
        uid as usize,
        gid as usize,
        AT_SYMLINK_NOFOLLOW,
        0,
    ];
    call(number::FCHOWNAT, arguments).map(drop)
}

pub fn fchmodat(directory: i32, name: Text<'_>, mode: u32) -> Result<()> {
    brief(
        number::FCHMODAT,
        directory as usize,
        name.pointer(),
        mode as usize,
    )
    .map(drop)
}

pub fn chdir(path: Text<'_>) -> Result<()> {
    brief(number::CHDIR, path.pointer(), 0, 0).map(drop)
}

pub fn fchdir(fd: i32) -> Result<()> {
    brief(number::FCHDIR, fd as usize, 0, 0).map(drop)
}

// Mounts.

const EMPTY: &CStr = c"";
const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;

/// `mount(2)` with nothing but flags: a change of propagation.
pub fn change_propagation(path: Text<'_>, flags: u64) -> Result<()> {
    call(number::MOUNT, [0, path.pointer(), 0, flags as usize, 0, 0]).map(drop)
}

/// A detached copy of the mounts at a path and below; of the descriptor itself, without a path.
pub fn open_tree(directory: i32, path: Option<Text<'_>>) -> Result<Fd> {
    const OPEN_TREE_CLONE: usize = 1;
    let flags = OPEN_TREE_CLONE | O_CLOEXEC as usize | AT_RECURSIVE;
    let (path, flags) = match path {
        Some(path) => (path.pointer(), flags),
        None => (EMPTY.as_ptr() as usize, flags | AT_EMPTY_PATH),
    };
    opened(brief(number::OPEN_TREE, directory as usize, path, flags))
}

/// Attaches a detached mount.
pub fn move_mount(mount: i32, target: i32) -> Result<()> {
    const BOTH_BY_DESCRIPTOR: usize = 0x4 | 0x40;
    let empty = EMPTY.as_ptr() as usize;
    call(
        number::MOVE_MOUNT,
        [
            mount as usize,
            empty,
            target as usize,
            empty,
            BOTH_BY_DESCRIPTOR,
            0,
        ],
    )
    .map(drop)
}

pub fn mount_setattr(mount: i32, set: u64, recursive: bool) -> Result<()> {
    let attributes = [set, 0, 0, 0];
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let (empty, pointer) = (EMPTY.as_ptr() as usize, attributes.as_ptr() as usize);
    call(
        number::MOUNT_SETATTR,
        [
            mount as usize,
            empty,
            flags,
            pointer,
            size_of_val(&attributes),
            0,
        ],
    )
    .map(drop)
}

pub fn fsopen(kind: Text<'_>) -> Result<Fd> {
    const FSOPEN_CLOEXEC: usize = 1;
    opened(brief(number::FSOPEN, kind.pointer(), FSOPEN_CLOEXEC, 0))
}

/// `None`: an option without a value.
pub fn fsconfig_set(context: i32, key: Text<'_>, value: Option<Text<'_>>) -> Result<()> {
    const FSCONFIG_SET_FLAG: usize = 0;
    const FSCONFIG_SET_STRING: usize = 1;
    let (command, value) = match value {
        Some(value) => (FSCONFIG_SET_STRING, value.pointer()),
        None => (FSCONFIG_SET_FLAG, 0),
    };
    call(
        number::FSCONFIG,
        [context as usize, command, key.pointer(), value, 0, 0],
    )
    .map(drop)
}

pub fn fsconfig_create(context: i32) -> Result<()> {
    const FSCONFIG_CMD_CREATE: usize = 6;
    call(
        number::FSCONFIG,
        [context as usize, FSCONFIG_CMD_CREATE, 0, 0, 0, 0],
    )
    .map(drop)
}

pub fn fsmount(context: i32, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: usize = 1;
    opened(brief(
        number::FSMOUNT,
        context as usize,
        FSMOUNT_CLOEXEC,
        attributes as usize,
    ))
}

/// `pivot_root(".", ".")`, and lets go of the old root, which is then on top.
pub fn pivot() -> Result<()> {
    const MNT_DETACH: usize = 2;
    let here = c".".as_ptr() as usize;
    brief(number::PIVOT_ROOT, here, here, 0)?;
    brief(number::UMOUNT2, here, MNT_DETACH, 0).map(drop)
}

// Sockets.

pub const SOCK_CLOEXEC: u32 = O_CLOEXEC as u32;

pub fn socket(family: u32, kind: u32) -> Result<Fd> {
    opened(brief(
        number::SOCKET,
        family as usize,
        (kind | SOCK_CLOEXEC) as usize,
        0,
    ))
}

pub fn seqpacket_pair() -> Result<(Fd, Fd)> {
    const AF_UNIX: usize = 1;
    const SOCK_SEQPACKET: usize = 5;
    let mut ends = [0i32; 2];
    let kind = SOCK_SEQPACKET | SOCK_CLOEXEC as usize;
    call(
        number::SOCKETPAIR,
        [AF_UNIX, kind, 0, ends.as_mut_ptr() as usize, 0, 0],
    )?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

pub fn listen(socket: i32) -> Result<()> {
    brief(number::LISTEN, socket as usize, 8, 0).map(drop)
}

pub fn accept(socket: i32) -> Result<Fd> {
    let flags = (O_CLOEXEC | O_NONBLOCK) as usize;
    opened(call(number::ACCEPT4, [socket as usize, 0, 0, flags, 0, 0]))
}

/// Sets `IFF_UP` on `lo`.
pub fn loopback_up() -> Result<()> {
    const AF_INET: u32 = 2;
    const SOCK_DGRAM: u32 = 2;
    const SIOCGIFFLAGS: usize = 0x8913;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u8 = 1;
    let socket = socket(AF_INET, SOCK_DGRAM)?;
    // struct ifreq: sixteen bytes of name, then the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    brief(
        number::IOCTL,
        socket.raw() as usize,
        SIOCGIFFLAGS,
        request.as_mut_ptr() as usize,
    )?;
    request[16] |= IFF_UP;
    brief(
        number::IOCTL,
        socket.raw() as usize,
        SIOCSIFFLAGS,
        request.as_ptr() as usize,
    )
    .map(drop)
}

/// `struct msghdr`.
#[repr(C)]
pub struct Message {
    pub name: usize,
    pub name_size: u32,
    pub pieces: *const [usize; 2],
    pub piece_count: usize,
    pub control: *mut u8,
    pub control_size: usize,
    pub flags: i32,
}

pub const MSG_CTRUNC: i32 = 0x8;
pub const MSG_TRUNC: i32 = 0x20;
const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;

/// # Safety
/// The message's pointers fit their sizes.
pub unsafe fn sendmsg(socket: i32, message: &Message) -> Result<usize> {
    let flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    brief(
        number::SENDMSG,
        socket as usize,
        message as *const Message as usize,
        flags,
    )
}

/// # Safety
/// The message's pointers fit their sizes.
pub unsafe fn recvmsg(socket: i32, message: &mut Message) -> Result<usize> {
    let flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    brief(
        number::RECVMSG,
        socket as usize,
        message as *mut Message as usize,
        flags,
    )
}

// Waiting for events.

#[derive(Clone, Copy, Default)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
pub struct Event {
    pub events: u32,
    pub token: u64,
}

pub const EPOLLIN: u32 = 1;
pub const EPOLLOUT: u32 = 4;

/// One epoll.
pub struct Epoll(Fd);

impl Epoll {
    pub fn new() -> Result<Epoll> {
        opened(brief(number::EPOLL_CREATE1, O_CLOEXEC as usize, 0, 0)).map(Epoll)
    }

    pub fn add(&self, fd: i32, events: u32, token: u64) -> Result<()> {
        self.control(1, fd, events, token)
    }

    pub fn change(&self, fd: i32, events: u32, token: u64) -> Result<()> {
        self.control(3, fd, events, token)
    }

    /// Before it is closed: a child that is just being made may hold a copy, which would keep the events coming.
    pub fn remove(&self, fd: i32) {
        let _ = self.control(2, fd, 0, 0);
    }

    fn control(&self, what: usize, fd: i32, events: u32, token: u64) -> Result<()> {
        let event = Event { events, token };
        let pointer = &raw const event as usize;
        call(
            number::EPOLL_CTL,
            [self.0.raw() as usize, what, fd as usize, pointer, 0, 0],
        )
        .map(drop)
    }

    /// How many events there are, at least one unless a signal came in between.
    pub fn wait(&self, events: &mut [Event]) -> usize {
        let (pointer, room) = (events.as_mut_ptr() as usize, events.len());
        call(
            number::EPOLL_PWAIT,
            [self.0.raw() as usize, pointer, room, usize::MAX, 0, 8],
        )
        .unwrap_or(0)
    }
}
