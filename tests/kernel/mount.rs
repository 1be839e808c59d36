//! Mounts by descriptor, in a mount namespace of the test's own thread; and paths that stay beneath a directory.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use podlife::Kind;
use podlife::linux::Process;
use podlife::linux::mount::{
    Attributes, Beneath, Depth, Filesystem, Links, Propagation, Tree, mounts,
};
use podlife::linux::user::{IdMap, IdMaps};
use podlife::namespace::{Namespace, NamespaceKind};

use crate::nobody;

/// A directory that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("podlife-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// Runs `test` in a thread with a mount namespace of its own, which ends with it.
fn apart(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            Tree::copy("/", Depth::One).unwrap(); // dropped again: nothing is mounted by it
            private();
            test();
        });
        thread.join().unwrap();
    });
}

pub(crate) fn private() {
    use nix::mount::{MsFlags, mount};
    let flags = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
}

fn entry(path: &Path) -> Option<podlife::linux::mount::MountEntry> {
    let thread = std::fs::read("/proc/thread-self/mountinfo").unwrap();
    let mut all = podlife::linux::mount::parse(&thread).unwrap();
    all.reverse();
    all.into_iter().find(|mount| mount.target == path)
}

fn skipped(test: &str) -> bool {
    let root = nobody::is_root();
    if !root {
        println!("skipped: {test}: needs root");
    }
    !root
}

#[test]
fn a_file_system_is_mounted_with_its_options_and_attributes() {
    if skipped("tmpfs") {
        return;
    }
    let folder = Folder::new("tmpfs");
    let before = mounts().unwrap().len();
    apart(|| {
        let tmpfs = Filesystem::new("tmpfs")
            .unwrap()
            .option("size", "64k")
            .unwrap()
            .option("mode", "700")
            .unwrap();
        tmpfs
            .mount(Attributes::NODEV | Attributes::NOEXEC)
            .unwrap()
            .attach(&folder.0)
            .unwrap();
        let entry = entry(&folder.0).unwrap();
        assert_eq!(entry.fs_type, "tmpfs");
        assert!(
            entry.has("nodev") && entry.has("noexec") && !entry.has("nosuid"),
            "{entry:?}"
        );
        assert!(
            entry.super_options.contains(&"size=64k".to_owned()),
            "{entry:?}"
        );
        std::fs::write(folder.0.join("file"), "x").unwrap();
    });
    assert_eq!(mounts().unwrap().len(), before);
    assert!(!folder.0.join("file").exists());
}

#[test]
fn a_refused_option_is_told_in_the_file_systems_own_words() {
    if skipped("options") {
        return;
    }
    let error = Filesystem::new("tmpfs")
        .unwrap()
        .option("colour", "red")
        .unwrap_err();
    assert!(
        error.to_string().contains("Unknown parameter 'colour'"),
        "{error}"
    );
    let error = Filesystem::new("nofs").unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    let error = Filesystem::new("tmp\0fs").unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
}

#[test]
fn a_copied_tree_is_read_only_all_the_way_down() {
    if skipped("copied tree") {
        return;
    }
    let folder = Folder::new("tree");
    let (source, target) = (folder.0.join("source"), folder.0.join("target"));
    std::fs::create_dir(&source).unwrap();
    std::fs::create_dir(&target).unwrap();
    apart(|| {
        let tmpfs = || {
            Filesystem::new("tmpfs")
                .unwrap()
                .mount(Attributes::NONE)
                .unwrap()
        };
        tmpfs().attach(&source).unwrap();
        std::fs::create_dir(source.join("inner")).unwrap();
        tmpfs().attach(source.join("inner")).unwrap();

        let tree = Tree::copy(&source, Depth::All).unwrap();
        tree.propagate(Propagation::Private, Depth::All).unwrap();
        tree.set(Attributes::READ_ONLY | Attributes::NOSUID, Depth::All)
            .unwrap();
        tree.attach(&target).unwrap();

        for path in ["file", "inner/file"] {
            let denied = std::fs::write(target.join(path), "x").unwrap_err();
            assert_eq!(denied.raw_os_error(), Some(libc::EROFS), "{path}");
            std::fs::write(source.join(path), "x").unwrap();
            assert_eq!(std::fs::read(target.join(path)).unwrap(), b"x");
        }
    });
}

/// What `hostUsers: false` needs: on disk 0 owns it, in the container 0 owns it, on the host that is 100000.
#[test]
fn ids_of_a_mount_are_those_of_a_user_namespace() {
    use std::os::unix::fs::MetadataExt;
    if skipped("mapped ids") {
        return;
    }
    let folder = Folder::new("idmap");
    let mut child = std::process::Command::new("unshare")
        .args(["--user", "sleep", "600"])
        .spawn()
        .unwrap();
    let process = Process::open(child.id()).unwrap();
    let ours = Namespace::own(NamespaceKind::User).unwrap();
    let user = loop {
        let user = Namespace::of(&process, NamespaceKind::User).unwrap();
        if user != ours {
            break user;
        }
        std::thread::yield_now();
    };
    let range = [IdMap {
        inside: 0,
        outside: 100_000,
        count: 65_536,
    }];
    let maps = IdMaps::new(range, range);
    std::fs::write(format!("/proc/{}/uid_map", child.id()), maps.uid_map()).unwrap();
    std::fs::write(format!("/proc/{}/gid_map", child.id()), maps.gid_map()).unwrap();
    apart(|| {
        let tmpfs = Filesystem::new("tmpfs")
            .unwrap()
            .mount(Attributes::NONE)
            .unwrap();
        tmpfs.attach(&folder.0).unwrap();
        std::fs::write(folder.0.join("file"), "x").unwrap();
        let tree = Tree::copy(&folder.0, Depth::One).unwrap();
        match tree.map_ids(&user, Depth::One) {
            Ok(()) => {
                tree.attach(&folder.0).unwrap();
                assert_eq!(
                    std::fs::metadata(folder.0.join("file")).unwrap().uid(),
                    100_000
                );
            }
            Err(error) => println!("skipped: mapped ids: {error}"),
        }
    });
    child.kill().and_then(|()| child.wait()).unwrap();
}

#[test]
fn a_tree_that_is_never_attached_leaves_no_mount() {
    if skipped("detached") {
        return;
    }
    let before = mounts().unwrap().len();
    drop(Tree::copy("/", Depth::All).unwrap());
    drop(
        Filesystem::new("tmpfs")
            .unwrap()
            .mount(Attributes::NONE)
            .unwrap(),
    );
    assert_eq!(mounts().unwrap().len(), before);
}

#[test]
fn an_ordinary_user_is_told_what_it_takes() {
    if !nobody::stands_here("mount::an_ordinary_user_is_told_what_it_takes") {
        return;
    }
    let error = Tree::copy("/", Depth::All).unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    assert!(
        error.to_string().contains("it takes CAP_SYS_ADMIN"),
        "{error}"
    );
}

#[test]
fn no_path_leads_out() {
    let folder = Folder::new("beneath");
    let inside = folder.0.join("root");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(folder.0.join("secret"), "outside").unwrap();
    std::fs::write(inside.join("secret"), "inside").unwrap();
    symlink("../secret", inside.join("up")).unwrap();
    symlink("/secret", inside.join("absolute")).unwrap();
    symlink("/proc/self/root", inside.join("magic")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();

    let root = Beneath::open(&inside).unwrap();
    for path in ["secret", "up", "absolute", "/../../secret"] {
        let file = root.open_file(path, OFlag::O_RDONLY, 0).unwrap();
        let text = std::fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        assert_eq!(text, b"inside", "{path}");
    }
    assert_eq!(root.look_up("magic").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(root.look_up("loop").unwrap_err().kind(), Kind::Invalid);

    // Made beneath, through a link that says otherwise.
    symlink("/", inside.join("top")).unwrap();
    root.create_directory("top/../new/deep", 0o700).unwrap();
    assert!(inside.join("new/deep").is_dir() && !folder.0.join("new").exists());
    symlink("/elsewhere", inside.join("dangling")).unwrap();
    assert!(root.create_directory("dangling/x", 0o700).is_err());
    root.open_file(
        "new/file",
        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY,
        0o600,
    )
    .unwrap();
    assert!(inside.join("new/file").is_file());
}

/// A link may name the directory as the host sees it, as long as it leads nowhere else.
#[test]
fn absolute_links_inside_are_followed_and_no_others() {
    let folder = Folder::new("absolute");
    let inside = folder.0.canonicalize().unwrap().join("root");
    let outside = folder.0.canonicalize().unwrap().join("root-other");
    std::fs::create_dir_all(inside.join("v1/logs")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    symlink(inside.join("v1"), inside.join("current")).unwrap();
    symlink(inside.join("current/logs"), inside.join("v1/again")).unwrap();
    symlink(&outside, inside.join("other")).unwrap();
    symlink(inside.join("../root-other"), inside.join("up")).unwrap();
    symlink(inside.join("round"), inside.join("round")).unwrap();

    let found = |links: Links, path: &str| {
        let root = Beneath::open(&inside).unwrap().links(links);
        let file = root.look_up(path).ok()?;
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
    };
    for path in ["current/logs", "current/again", "v1/again"] {
        assert_eq!(
            found(Links::Inside, path),
            Some(inside.join("v1/logs")),
            "{path}"
        );
        assert_eq!(found(Links::Refused, path), None, "{path}");
    }
    assert_eq!(
        found(Links::Inside, "current/../current"),
        Some(inside.join("v1"))
    );
    for path in [
        "other",
        "other/x",
        "up",
        "round",
        "current/../../root-other",
        "..",
    ] {
        assert_eq!(found(Links::Inside, path), None, "{path}");
    }
    let root = Beneath::open(&inside).unwrap().links(Links::Inside);
    root.create_directory("current/a/b", 0o711).unwrap();
    for made in ["v1/a", "v1/a/b"] {
        let mode = std::fs::metadata(inside.join(made))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o711, "{made}");
    }
    assert!(root.create_directory("other/a", 0o711).is_err());
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

/// Somebody swaps a directory for a link to the outside, again and again, while paths through it are resolved.
#[test]
fn a_race_with_a_link_never_leads_out() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = Folder::new("race");
    let inside = folder.0.join("root");
    std::fs::create_dir_all(inside.join("dir")).unwrap();
    std::fs::write(inside.join("dir/file"), "inside").unwrap();
    std::fs::write(folder.0.join("file"), "outside").unwrap();
    symlink("..", inside.join("link")).unwrap();
    let root = Beneath::open(&inside).unwrap();
    let stop = AtomicBool::new(false);
    let (mut plain, mut guarded) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                exchange(&inside.join("dir"), &inside.join("link"));
            }
        });
        // Without the guard the hole is open: the plain path leads out sooner or later.
        for _ in 0..200_000 {
            let text = std::fs::read(inside.join("dir/file"));
            plain += usize::from(text.is_ok_and(|text| text == b"outside"));
            if plain > 0 {
                break;
            }
        }
        for _ in 0..5_000 {
            if let Ok(file) = root.open_file("dir/file", OFlag::O_RDONLY, 0) {
                let text = std::fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
                guarded += usize::from(text != b"inside");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(
        plain > 0,
        "the race was never won, so this test shows nothing"
    );
    assert_eq!(guarded, 0);
}

fn exchange(one: &Path, other: &Path) {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    let _ = renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
}
