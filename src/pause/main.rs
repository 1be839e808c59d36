//! pause: the process that holds a pod.
//!
//! Its own crate root, built by `build.rs` into a freestanding static program and put into the library. It allocates
//! nothing, opens no file of its own accord, and blocks on nothing but its one epoll. [`serve`] is its main loop,
//! [`child`] what its children do before they are containers, [`logger`] the one that writes the logs.
//!
//! The embedder has arranged its descriptors: 3 is the connection, 4 the sandbox's own plan, then those that the first
//! argument has a letter for (`l`istener, `e`mbedder's pidfd, `cgroup.kill`, `m`aps are written), then the plan's handles.
#![no_std]
#![no_main]
#![no_builtins]

mod channel;
mod child;
mod credentials;
mod entry;
mod files;
#[path = "../linux/pause/flat.rs"]
#[allow(dead_code)]
mod flat;
mod kernel;
mod line;
mod logger;
mod memory;
mod mounts;
mod numbers;
#[path = "../linux/sys/raw.rs"]
mod raw;
mod serve;
mod slots;
mod tap;
mod terminal;
mod walk;
#[path = "../linux/pause/wire.rs"]
#[allow(dead_code)]
mod wire;

use kernel::{Fd, Result};
use serve::Pause;
use wire::{Failure, Report};

const CONNECTION: i32 = 3;
const PLAN: i32 = 4;

// Where the kernel starts us: the stack pointer is the argument block.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym main
);

// Where the kernel starts us: the stack pointer is the argument block.
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {main}",
    "brk #1",
    main = sym main
);

/// Nothing in here panics but by a mistake of ours; the pod's end is then the loudest thing we can do.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::exit(101)
}

extern "C" fn main(block: *const usize) -> ! {
    let connection = Fd::own(CONNECTION);
    match boot(block, &connection) {
        Ok(given) => Pause::new(connection, given).run(),
        Err(failure) => {
            let report = Report::SetUpFailed { failure }.encode();
            let _ = channel::send(connection.raw(), &report, &[]);
            kernel::exit(1)
        }
    }
}

/// What pause may be given for its whole life.
pub struct Given {
    /// A bound socket for embedders to come.
    pub listener: Option<Fd>,
    /// The process whose end is the pod's.
    pub embedder: Option<Fd>,
    /// The pod's `cgroup.kill`.
    pub kill: Option<Fd>,
}

/// Makes the process what it shall be, whatever it inherited, and does the sandbox's own plan.
fn boot(block: *const usize, connection: &Fd) -> core::result::Result<Given, Failure> {
    let of_pause = |errno: kernel::Errno| Failure {
        step: Failure::PAUSE,
        errno: errno.0,
    };
    become_nobodys().map_err(of_pause)?;
    kernel::close_on_exec(connection.raw()).map_err(of_pause)?;
    let mut next = PLAN;
    let mut take = || {
        next += 1;
        kernel::close_on_exec(next - 1).map_err(of_pause)?;
        Ok(Fd::own(next - 1))
    };
    let plan = take()?;
    let letters = kernel::argument(block, 1);
    let mut take_if = |letter| letters.contains(&letter).then(&mut take).transpose();
    let given = Given {
        listener: take_if(b'l')?,
        embedder: take_if(b'e')?,
        kill: take_if(b'k')?,
    };
    if let Some(gate) = take_if(b'm')? {
        wait_for_ids(&gate).map_err(of_pause)?;
    }
    let plan = walk::plan(plan.raw())?;
    walk::Walk::new(next, plan.header.handles).all(&plan)?;
    kernel::close_from(next);
    Ok(given)
}

/// We are nobody until somebody outside has mapped our ids; then we become root of our user namespace.
fn wait_for_ids(gate: &Fd) -> Result<()> {
    if kernel::read(gate.raw(), &mut [0; 1])? != 1 {
        return Err(kernel::Errno::ESRCH);
    }
    kernel::setgroups(&[])?;
    kernel::setresgid(0)?;
    kernel::setresuid(0)?;
    // The kernel has set it as the sysctl fs.suid_dumpable says.
    kernel::set_dumpable(false)?;
    let [effective, permitted, _] = kernel::capget()?;
    kernel::capset([effective, permitted, 0])?;
    credentials::ambient(0)
}

/// Dumpable first: until then another process of the same user could look into us.
fn become_nobodys() -> Result<()> {
    kernel::set_dumpable(false)?;
    kernel::block_all_signals()?;
    kernel::default_dispositions();
    kernel::umask(0);
    kernel::set_name(c"podlife-pause")
}
