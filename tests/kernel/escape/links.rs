//! Symbolic links that a container puts, or swaps in, where something is about to be mounted. As root, as root of a user
//! namespace, and as an ordinary user.

use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use podlife::linux::pause::plan::{Attributes, Namespaces, Plan, Source, Step};
use podlife::linux::pause::{Key, Output, Report, Request, Sandbox, Start, User};

use super::Folder;
use crate::nobody;
use crate::sandbox::{TestPod, host_with, read_all, sandbox, set_up, shell};

/// How many mounts one plan tries.
const TRIES: usize = 50;
/// After how many plans an open hole has been won, if it ever is.
const PLANS_MAX: u32 = 400;

/// A pod of every kind of user this one can have.
fn pods() -> Vec<TestPod> {
    let users = match nobody::is_root() {
        true => vec![User::Host, User::Single],
        false => vec![User::Single],
    };
    let plan = set_up();
    users
        .into_iter()
        .map(|user| {
            TestPod::of(&Sandbox {
                user,
                ..sandbox(&plan)
            })
        })
        .collect()
}

/// `volume/place` is a directory of the volume at one moment, and a link to a place outside at the next.
struct Trap {
    folder: Folder,
}

impl Trap {
    fn new(name: &str) -> Trap {
        let folder = Folder::new(name);
        let outside = folder.join("outside");
        for directory in [&outside, &folder.join("volume/place")] {
            std::fs::create_dir_all(directory).unwrap();
        }
        // Where the link leads to if the volume is the root.
        let inside = folder
            .join("volume")
            .join(outside.strip_prefix("/").unwrap());
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(outside.join("file"), "outside\n").unwrap();
        std::fs::write(inside.join("file"), "inside\n").unwrap();
        std::fs::write(folder.join("volume/place/file"), "inside\n").unwrap();
        symlink(&outside, folder.join("volume/link")).unwrap();
        Trap { folder }
    }

    fn volume(&self) -> std::path::PathBuf {
        self.folder.join("volume")
    }

    fn outside(&self) -> std::path::PathBuf {
        self.folder.join("outside")
    }

    /// Swaps as fast as it can while `test` runs.
    fn swapping(&self, test: impl FnOnce()) {
        struct Stop<'s>(&'s AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stop = AtomicBool::new(false);
        let (one, other) = (self.volume().join("place"), self.volume().join("link"));
        std::thread::scope(|scope| {
            let _stop = Stop(&stop);
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    exchange(&one, &other);
                }
            });
            test();
        });
    }
}

fn exchange(one: &Path, other: &Path) {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

/// What a container sees that mounts the volume's file many times.
fn mounted(pod: &mut TestPod, key: Key, source: &Source) -> String {
    let binds = (0..TRIES).map(|at| Step::Bind {
        source: source.clone(),
        target: format!("/tmp/{at}").into(),
        attributes: Attributes::NONE,
    });
    let (_, text) = pod.run(key, &shell(host_with(binds), "cat /tmp/*"));
    pod.send(Request::Acknowledge(key));
    text
}

/// What a container sees that mounts the file once, or nothing if the path was found to lead out.
fn mounted_or_refused(pod: &mut TestPod, key: Key, source: &Source) -> Option<String> {
    let bind = Step::Bind {
        source: source.clone(),
        target: "/tmp/file".into(),
        attributes: Attributes::NONE,
    };
    let plan = shell(host_with([bind]), "cat /tmp/file");
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    pod.send(Request::Start(Start {
        stdout: Output::Fd(writer.as_fd()),
        ..Start::new(key, &plan)
    }));
    drop(writer);
    let told =
        pod.wait(|report| matches!(report, Report::Started { .. } | Report::StartFailed { .. }));
    let text = match told {
        Report::StartFailed { failure, .. } => {
            assert_eq!(failure.errno, nix::libc::EXDEV, "{}", plan.explain(failure));
            None
        }
        _ => {
            let text = read_all(reader);
            pod.exit(key);
            Some(text)
        }
    };
    pod.send(Request::Acknowledge(key));
    text
}

fn sub_path(name: &str, path: &str) {
    let trap = Trap::new(name);
    let volume = trap.volume();
    let plain = Source::Host(volume.join(path));
    let guarded = Source::Below {
        below: volume,
        path: path.into(),
    };
    for pod in &mut pods() {
        trap.swapping(|| {
            // The hole: the joined path leads out sooner or later.
            let won = (0..PLANS_MAX)
                .any(|at| mounted(pod, Key::container(0, at), &plain).contains("outside"));
            assert!(won, "the race was never won, so this shows nothing");
            let tries = (0..200).map(|at| mounted_or_refused(pod, Key::container(1, at), &guarded));
            let seen: Vec<String> = tries.flatten().collect();
            assert!(seen.iter().all(|text| text == "inside\n"), "{seen:?}");
        });
    }
}

/// The link is there from the beginning.
#[test]
fn cve_2017_1002101_a_sub_path_that_is_a_link_stays_in_its_volume() {
    let trap = Trap::new("cve-2017-1002101");
    let volume = trap.volume();
    for pod in &mut pods() {
        let plain = Source::Host(volume.join("link/file"));
        let text = mounted(pod, Key::container(0, 0), &plain);
        assert_eq!(text, "outside\n".repeat(TRIES));
        let guarded = Source::Below {
            below: volume.clone(),
            path: "link/file".into(),
        };
        assert_eq!(
            mounted_or_refused(pod, Key::container(0, 1), &guarded),
            None
        );
    }
}

#[test]
fn cve_2021_25741_a_sub_path_swapped_for_a_link_stays_in_its_volume() {
    sub_path("cve-2021-25741", "place/file");
}

/// The place to mount on is swapped, in a volume that another container has too.
#[test]
fn cve_2021_30465_a_mount_point_swapped_for_a_link_stays_in_the_root() {
    let trap = Trap::new("cve-2021-30465");
    let left = || {
        let entries = std::fs::read_dir(trap.outside()).unwrap();
        entries.count() - 1 // the file
    };
    for pod in &mut pods() {
        trap.swapping(|| {
            // The hole: with the host's root, where nothing keeps a path in. What had to be made for the mount tells.
            let mut won = (0..PLANS_MAX).map(|at| {
                let mut plan = Plan::new(Namespaces::MOUNT);
                plan.extend(mount_points(&trap.volume()));
                attempt(pod, Key::container(0, at), &plan);
                left()
            });
            assert!(won.any(|made| made > 0), "the race was never won");
        });
        for entry in std::fs::read_dir(trap.outside()).unwrap().flatten() {
            let _ = std::fs::remove_dir(entry.path());
        }
        trap.swapping(|| {
            let bind = Step::Bind {
                source: Source::Host(trap.volume()),
                target: "/tmp/volume".into(),
                attributes: Attributes::NONE,
            };
            let steps = mount_points(Path::new("/tmp/volume"));
            let plan = shell(host_with([bind].into_iter().chain(steps)), "true");
            let done = (0..100)
                .filter(|at| attempt(pod, Key::container(1, *at), &plan))
                .count();
            assert!(done > 0, "none of them came as far as its program");
        });
        assert_eq!(left(), 0);
    }
}

fn mount_points(volume: &Path) -> impl Iterator<Item = Step> {
    (0..4).map(move |at| Step::Filesystem {
        kind: "tmpfs".into(),
        options: String::new(),
        target: volume.join("place").join(format!("made-{at}")),
        attributes: Attributes::NONE,
    })
}

/// Whether all of the plan was done; what it is swapped for may have no such directory.
fn attempt(pod: &mut TestPod, key: Key, plan: &Plan) -> bool {
    pod.send(Request::Start(Start::new(key, plan)));
    let told = pod.wait(|report| {
        matches!(report, Report::Started { key: other, .. } | Report::StartFailed { key: other, .. } if *other == key)
    });
    let started = matches!(told, Report::Started { .. });
    if started {
        pod.exit(key);
    }
    pod.send(Request::Acknowledge(key));
    started
}
