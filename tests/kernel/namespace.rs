//! Namespaces held by descriptors.

use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::unistd::Pid;
use podlife::Kind;
use podlife::linux::Process;
use podlife::namespace::{Namespace, NamespaceKind, Namespaces};

use crate::nobody;

#[test]
fn every_kind_of_the_own_process_can_be_held_and_is_itself() {
    for kind in NamespaceKind::ALL {
        let held = Namespace::own(kind).unwrap();
        assert_eq!(held.kind(), kind);
        assert_eq!(held, Namespace::of(&Process::own().unwrap(), kind).unwrap());
        let copy: OwnedFd = held.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(Namespace::try_from(copy).unwrap(), held);
        if kind != NamespaceKind::User {
            assert_eq!(held.owner().unwrap().kind(), NamespaceKind::User);
        }
    }
}

#[test]
fn a_namespace_lives_as_long_as_it_is_held() {
    if !nobody::is_root() {
        return println!("skipped: held namespace: needs root");
    }
    let ours = Namespace::own(NamespaceKind::Uts).unwrap();
    let other = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWUTS).unwrap();
        Namespace::own(NamespaceKind::Uts).unwrap()
    });
    let other = other.join().unwrap();
    assert_ne!(other, ours);
    assert_ne!(other.identity(), ours.identity());
    assert_eq!(
        other.owner().unwrap(),
        Namespace::own(NamespaceKind::User).unwrap()
    );
    assert_eq!(Namespace::own(NamespaceKind::Uts).unwrap(), ours);
}

#[test]
fn a_named_namespace_is_found_again() {
    if !nobody::is_root() {
        return println!("skipped: named namespace: needs root");
    }
    let path = std::env::temp_dir().join(format!("podlife-ns-{}", std::process::id()));
    let thread = std::thread::spawn(move || {
        on_one_processor();
        // So that no other test sees the name.
        mount_apart();
        unshare(CloneFlags::CLONE_NEWUTS).unwrap();
        let ours = Namespace::own(NamespaceKind::Uts).unwrap();
        ours.bind(&path).unwrap();
        assert_eq!(Namespace::open(&path).unwrap(), ours);
        assert_eq!(ours.bind(&path).unwrap_err().kind(), Kind::AlreadyExists);
        unmount(&path);
        assert_eq!(Namespace::open(&path).unwrap_err().kind(), Kind::Invalid);
        std::fs::remove_file(&path).unwrap();
        let all = NamespaceKind::ALL.into_iter();
        let named = all.filter(|kind| *kind != NamespaceKind::Pid).map(|kind| {
            let made = Namespace::create(Namespaces::from_iter([kind])).unwrap();
            made[0].bind(&path).unwrap();
            let identity = made[0].identity();
            // Only the name keeps it.
            drop(made);
            let found = Namespace::open(&path).unwrap();
            let same = (found.kind(), found.identity()) == (kind, identity);
            drop(found);
            unmount(&path);
            std::fs::remove_file(&path).unwrap();
            same
        });
        assert_eq!(named.collect::<Vec<_>>(), [true; 7]);
    });
    thread.join().unwrap();
}

/// From now on in a mount namespace of this thread's own.
fn mount_apart() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    crate::mount::private();
}

/// At once: another test's thread may just be starting a program, which has all descriptors until it is executed.
fn unmount(path: &std::path::Path) {
    nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).unwrap();
}

/// So that this thread's mount namespace is older than those made after it, also for Linux 6.18.
fn on_one_processor() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let mut first = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap());
    let mut one = CpuSet::new();
    one.set(first.next().unwrap()).unwrap();
    sched_setaffinity(this, &one).unwrap();
}

#[test]
fn a_mount_namespace_has_no_name_in_a_younger_one() {
    if !nobody::is_root() {
        return println!("skipped: named namespace: needs root");
    }
    let path = std::env::temp_dir().join(format!("podlife-young-{}", std::process::id()));
    let thread = std::thread::spawn(move || {
        on_one_processor();
        let older = Namespace::create(Namespaces::MOUNT).unwrap();
        mount_apart();
        let error = older[0].bind(&path).unwrap_err();
        assert!(
            error.to_string().contains("an older mount namespace"),
            "{error}"
        );
        assert!(!path.exists());
    });
    thread.join().unwrap();
}

#[test]
fn what_is_no_namespace_is_refused() {
    assert_eq!(
        Namespace::open("/proc/self/status").unwrap_err().kind(),
        Kind::Invalid
    );
    assert_eq!(
        Namespace::open("/proc/self/ns/nothing").unwrap_err().kind(),
        Kind::NotFound
    );
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    assert_eq!(Namespace::try_from(file).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_process_that_has_ended_has_no_namespaces() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let process = Process::open(child.id()).unwrap();
    child.wait().unwrap();
    assert_eq!(
        Namespace::of(&process, NamespaceKind::Net)
            .unwrap_err()
            .kind(),
        Kind::NotFound
    );
}

#[test]
fn an_ordinary_user_may_not_look_into_others() {
    if !nobody::stands_here("namespace::an_ordinary_user_may_not_look_into_others") {
        return;
    }
    let init = Process::open(1).unwrap();
    let error = Namespace::of(&init, NamespaceKind::Net).unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    assert!(error.to_string().contains("CAP_SYS_PTRACE"), "{error}");
}
