//! Programs as the kernel takes them. Each is loaded by a thread of its own, which it stays with.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use podlife::linux::Capabilities;
use podlife::linux::seccomp::{Action, Comparison, Condition, Profile, Program};

fn load(program: &Program) -> Duration {
    let filter: Vec<_> = program
        .instructions()
        .iter()
        .map(|i| seccompiler::sock_filter {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        })
        .collect();
    let start = Instant::now();
    seccompiler::apply_filter(&filter).unwrap();
    start.elapsed()
}

/// Runs `test` in a thread that has loaded the profile.
fn under<T: Send>(profile: &Profile, test: impl FnOnce() -> T + Send) -> T {
    let program = profile.compile().unwrap();
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                load(&program);
                test()
            })
            .join()
            .unwrap()
    })
}

#[test]
fn runtime_default_lets_programs_work_and_keeps_them_in() {
    let profile = Profile::runtime_default(Capabilities::CONTAINER);
    let vsock = under(&profile, || {
        let status = std::process::Command::new("true").status().unwrap();
        assert!(status.success());
        assert_eq!(unshare(CloneFlags::CLONE_NEWNS), Err(Errno::EPERM));
        assert_eq!(unshare(CloneFlags::CLONE_NEWUSER), Err(Errno::EPERM));
        std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket(
            AddressFamily::Vsock,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )
    });
    assert_eq!(vsock.unwrap_err(), Errno::EPERM);
}

#[test]
fn the_kernel_compares_arguments_as_the_profile_says() {
    let int = Comparison::MaskedEq(0xffff_ffff);
    let inet = Condition {
        argument: 0,
        comparison: int,
        value: libc::AF_INET as u64,
    };
    let profile = Profile::new(Action::Allow).rule("socket", &[inet], Action::Errno(99));
    under(&profile, || {
        let made =
            |family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map(drop);
        assert_eq!(made(AddressFamily::Inet), Err(Errno::EADDRNOTAVAIL));
        assert_eq!(made(AddressFamily::Unix), Ok(()));
    });
}

/// A start of a container has no time to lose: DESIGN says 365 µs for a list, 40 for ranges.
#[test]
fn the_program_is_small_and_quick_to_load() {
    let program = Profile::runtime_default(Capabilities::CONTAINER)
        .compile()
        .unwrap();
    let mut spans: Vec<_> = (0..50)
        .map(|_| std::thread::scope(|scope| scope.spawn(|| load(&program)).join().unwrap()))
        .collect();
    spans.sort();
    println!(
        "RuntimeDefault: {} instructions, loaded in {:?} (median)",
        program.len(),
        spans[25]
    );
    assert!(program.len() < 500);
}
