//! `clone3(2)` twice and `execveat(2)`: a process that is nobody's child, made in the caller's memory without copying it.
//!
//! Between clone and exec the two children run in the embedder's memory while its thread is suspended (`CLONE_VFORK`).
//! They make system calls and nothing else: no C library, no allocation, no panic, no lock.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::pidfd;
use super::raw::syscall;

/// What to execute, and in what.
pub(crate) struct Orphan<'a> {
    /// An executable file.
    pub(crate) program: BorrowedFd<'a>,
    /// Its arguments.
    pub(crate) argv: &'a [&'a CStr],
    /// What it finds from descriptor 3 on; 0 to 2 are `/dev/null`, all others are closed.
    pub(crate) fds: &'a [RawFd],
    /// `CLONE_NEW*`.
    pub(crate) namespaces: u64,
    /// For `CLONE_INTO_CGROUP`.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// Who it is, if it has a user namespace of its own.
    pub(crate) users: Users<'a>,
}

/// The ids of a new user namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Users<'a> {
    /// There is none.
    Host,
    /// The contents of `uid_map` and `gid_map`, which an ordinary user may write for itself.
    Own([&'a [u8]; 2]),
    /// They are written from outside, once it runs. Until then it is nobody, and keeps what it may as ambient capabilities.
    Later,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Intermediate,
    Clone,
    Maps,
    Descriptors,
    Session,
    Exec,
}

/// The most descriptors that can be handed over.
const FDS_MAX: usize = 80;
const STACK_SIZE: usize = 64 * 1024;

type Stack = [MaybeUninit<u128>; STACK_SIZE / 16];

/// `struct clone_args`, as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What the three processes share.
struct Shared<'a> {
    orphan: &'a Orphan<'a>,
    argv: *const *const libc::c_char,
    stack: *mut Stack,
    pidfd: c_int,
    failure: Option<(Stage, i32)>,
}

impl Orphan<'_> {
    /// Makes it, and gives its pidfd. The caller's thread gets no child it could ever see, no SIGCHLD, and its signal
    /// mask back.
    pub(crate) fn spawn(&self) -> Result<OwnedFd, (Stage, Errno)> {
        if self.fds.len() > FDS_MAX {
            return Err((Stage::Descriptors, Errno::EMFILE));
        }
        let argv: Vec<_> = self
            .argv
            .iter()
            .map(|word| word.as_ptr())
            .chain([std::ptr::null()])
            .collect();
        // Two stacks: the intermediate waits on its own while the orphan runs on the other.
        let mut stacks = [Box::<Stack>::new_uninit(), Box::<Stack>::new_uninit()];
        let [own, inner] = stacks.each_mut().map(|stack| stack.as_mut_ptr());
        let mut shared = Shared {
            orphan: self,
            argv: argv.as_ptr(),
            stack: inner,
            pidfd: -1,
            failure: None,
        };
        let shared = &raw mut shared;
        let mask = SignalsBlocked::new();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_PIDFD;
        let mut intermediate: c_int = -1;
        let arguments = Arguments::new(flags as u64, own, &raw mut intermediate);
        // SAFETY: `shared` and both stacks outlive the intermediate: it is gone when this returns, by CLONE_VFORK.
        let made = unsafe { clone_onto(&arguments, run_intermediate, shared) };
        if made >= 0 {
            // SAFETY: the kernel has just put it into our table (CLONE_FILES is for what the intermediate clones).
            let intermediate = unsafe { OwnedFd::from_raw_fd(intermediate) };
            // ECHILD: a `waitpid(__WALL)` elsewhere took it. It has ended in any case.
            let _ = pidfd::wait(intermediate.as_fd(), libc::WEXITED | libc::__WALL);
        }
        drop(mask);
        // SAFETY: nobody else is left; volatile, because the writes were made behind the compiler's back.
        let (pidfd, failure) = unsafe {
            (
                (&raw const (*shared).pidfd).read_volatile(),
                (&raw const (*shared).failure).read_volatile(),
            )
        };
        // SAFETY: CLONE_PIDFD put it into the table that the intermediate shared with us.
        let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
        match (made, failure, pidfd) {
            (errno, _, _) if errno < 0 => {
                Err((Stage::Intermediate, Errno::from_raw(-errno as i32)))
            }
            (_, Some((stage, errno)), _) => Err((stage, Errno::from_raw(errno))),
            (_, None, Some(pidfd)) => Ok(pidfd),
            (_, None, None) => Err((Stage::Clone, Errno::ECHILD)),
        }
    }
}

impl Arguments {
    fn new(flags: u64, stack: *mut Stack, pidfd: *mut c_int) -> Arguments {
        let (stack, stack_size) = (stack as u64, STACK_SIZE as u64);
        Arguments {
            flags,
            pidfd: pidfd as u64,
            stack,
            stack_size,
            ..Arguments::default()
        }
    }
}

/// All signals kept from the calling thread, those of the C library too: a handler of the embedder's must not run in a
/// child that shares its memory. Restored when dropped.
struct SignalsBlocked(u64);

impl SignalsBlocked {
    fn new() -> SignalsBlocked {
        SignalsBlocked(set_mask(u64::MAX))
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        set_mask(self.0);
    }
}

fn set_mask(mask: u64) -> u64 {
    let mut old = 0u64;
    let arguments = [
        libc::SIG_SETMASK as usize,
        &raw const mask as usize,
        &raw mut old as usize,
        8,
        0,
        0,
    ];
    // SAFETY: two sets of eight bytes that live for the call. It cannot fail with these arguments.
    unsafe { syscall(libc::SYS_rt_sigprocmask as usize, arguments) };
    old
}

/// The first child: shares the embedder's memory and descriptors, makes the second and ends.
extern "C" fn run_intermediate(shared: *mut Shared<'_>) -> ! {
    // SAFETY: the embedder's thread is suspended until we end, so this is ours.
    let shared = unsafe { &mut *shared };
    let orphan = shared.orphan;
    let mut flags =
        orphan.namespaces | (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64;
    let mut cgroup = 0;
    if let Some(directory) = orphan.cgroup {
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        flags |= CLONE_INTO_CGROUP;
        cgroup = raw_number(directory) as u64;
    }
    let arguments = Arguments {
        cgroup,
        ..Arguments::new(flags, shared.stack, &raw mut shared.pidfd)
    };
    let shared = &raw mut *shared;
    // SAFETY: both live until we end, and we end after the second child's exec or exit, by CLONE_VFORK.
    let made = unsafe { clone_onto(&arguments, run_orphan, shared) };
    if made < 0 {
        // SAFETY: there is no second child; the embedder is suspended.
        unsafe { (*shared).failure = Some((Stage::Clone, -made as i32)) };
    // SAFETY: the second child has executed or ended.
    } else if unsafe { (&raw const (*shared).failure).read_volatile() }.is_some() {
        call(
            libc::SYS_wait4,
            [made as usize, 0, libc::__WALL as usize, 0, 0, 0],
        );
    }
    exit()
}

/// The second child: shares the embedder's memory, but nothing else any more.
extern "C" fn run_orphan(shared: *mut Shared<'_>) -> ! {
    // SAFETY: everybody else who has this is suspended until we execute or end.
    let shared = unsafe { &mut *shared };
    shared.failure = become_program(shared).err();
    exit()
}

fn become_program(shared: &Shared<'_>) -> Result<(), (Stage, i32)> {
    let at = |stage| move |errno| (stage, errno);
    let orphan = shared.orphan;
    match orphan.users {
        Users::Host => {}
        Users::Own([uid_map, gid_map]) => {
            write_file(c"/proc/self/setgroups", b"deny").map_err(at(Stage::Maps))?;
            write_file(c"/proc/self/uid_map", uid_map).map_err(at(Stage::Maps))?;
            write_file(c"/proc/self/gid_map", gid_map).map_err(at(Stage::Maps))?;
        }
        Users::Later => keep_capabilities().map_err(at(Stage::Maps))?,
    }
    let program = arrange(orphan).map_err(at(Stage::Descriptors))?;
    check(call(libc::SYS_setsid, [0; 6])).map_err(at(Stage::Session))?;
    check(call(
        libc::SYS_chdir,
        [c"/".as_ptr() as usize, 0, 0, 0, 0, 0],
    ))
    .map_err(at(Stage::Session))?;
    let environment = [0usize];
    let (empty, argv) = (c"".as_ptr() as usize, shared.argv as usize);
    let arguments = [
        program,
        empty,
        argv,
        environment.as_ptr() as usize,
        libc::AT_EMPTY_PATH as usize,
        0,
    ];
    check(call(libc::SYS_execveat, arguments))
        .map_err(at(Stage::Exec))
        .map(drop)
}

/// The hand-over to 3 and after, the program behind it, `/dev/null` before it, and nothing else.
fn arrange(orphan: &Orphan<'_>) -> Result<usize, i32> {
    let count = orphan.fds.len();
    let program = 3 + count;
    // First all above the last place, so that none is overwritten before its turn: 0 to 2 may be among them.
    let mut moved = [0usize; FDS_MAX + 1];
    for (index, fd) in orphan
        .fds
        .iter()
        .copied()
        .chain([raw_number(orphan.program)])
        .enumerate()
    {
        moved[index] = check(call(
            libc::SYS_fcntl,
            [fd as usize, libc::F_DUPFD as usize, program + 1, 0, 0, 0],
        ))?;
    }
    let path = c"/dev/null".as_ptr() as usize;
    let null = check(call(
        libc::SYS_openat,
        [
            libc::AT_FDCWD as usize,
            path,
            libc::O_RDWR as usize,
            0,
            0,
            0,
        ],
    ))?;
    for place in 0..3 {
        if place != null {
            check(call(libc::SYS_dup3, [null, place, 0, 0, 0, 0]))?;
        }
    }
    for (index, fd) in moved[..=count].iter().enumerate() {
        let flags = if 3 + index == program {
            libc::O_CLOEXEC as usize
        } else {
            0
        };
        check(call(libc::SYS_dup3, [*fd, 3 + index, flags, 0, 0, 0]))?;
    }
    check(call(
        libc::SYS_close_range,
        [program + 1, u32::MAX as usize, 0, 0, 0, 0],
    ))?;
    Ok(program)
}

/// Makes all capabilities of the new user namespace ambient. This changes no id, so the embedder stays as dumpable as it is.
fn keep_capabilities() -> Result<(), i32> {
    let header = [0x2008_0522_u32, 0];
    // Effective, permitted and inheritable; the lower halves, then the upper ones.
    let mut sets = [0u32; 6];
    let (header, pointer) = (header.as_ptr() as usize, sets.as_mut_ptr() as usize);
    check(call(libc::SYS_capget, [header, pointer, 0, 0, 0, 0]))?;
    (sets[2], sets[5]) = (sets[1], sets[4]);
    let pointer = sets.as_ptr() as usize;
    check(call(libc::SYS_capset, [header, pointer, 0, 0, 0, 0]))?;
    let permitted = u64::from(sets[1]) | u64::from(sets[4]) << 32;
    for capability in (0..64).filter(|capability| permitted >> capability & 1 == 1) {
        let (option, raise) = (libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE);
        let arguments = [option as usize, raise as usize, capability, 0, 0, 0];
        check(call(libc::SYS_prctl, arguments))?;
    }
    Ok(())
}

fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), i32> {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    let file = check(call(
        libc::SYS_openat,
        [
            libc::AT_FDCWD as usize,
            path.as_ptr() as usize,
            flags,
            0,
            0,
            0,
        ],
    ))?;
    let written = check(call(
        libc::SYS_write,
        [file, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0],
    ));
    call(libc::SYS_close, [file, 0, 0, 0, 0, 0]);
    written.map(drop)
}

fn raw_number(fd: BorrowedFd<'_>) -> RawFd {
    std::os::fd::AsRawFd::as_raw_fd(&fd)
}

fn call(number: libc::c_long, arguments: [usize; 6]) -> isize {
    // SAFETY: every caller passes pointers that live for the call, and changes nothing of the embedder's but by design.
    unsafe { syscall(number as usize, arguments) }
}

fn check(result: isize) -> Result<usize, i32> {
    if result < 0 {
        Err(-result as i32)
    } else {
        Ok(result as usize)
    }
}

fn exit() -> ! {
    loop {
        call(libc::SYS_exit_group, [0; 6]);
    }
}

/// `clone3`, the child starting in `entry` on the stack in `arguments`. Gives what the call gives, to the parent only.
///
/// # Safety
/// Stack, shared memory and what `entry` uses of them must outlive the child.
unsafe fn clone_onto<'a>(
    arguments: &Arguments,
    entry: extern "C" fn(*mut Shared<'a>) -> !,
    shared: *mut Shared<'a>,
) -> isize {
    let size = size_of::<Arguments>();
    let result;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the parent's path is a plain system call; the child's never comes back, and has its own stack.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") arguments, in("rsi") size, in("r8") entry, in("r9") shared,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x3",
            "blr x2",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") arguments => result,
            in("x1") size, in("x2") entry, in("x3") shared,
        );
    }
    result
}
