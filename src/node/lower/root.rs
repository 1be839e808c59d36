//! What a container sees as its file system.

use std::path::{Path, PathBuf};

use super::{Lowering, create_error, volume};
use crate::lifecycle::Failure;
use crate::linux::pause::Plan;
use crate::linux::pause::plan::{Attributes, Source, Step};
use crate::model::ProcMount;
use crate::node::rootfs::Base;
use crate::node::termination::message_file;
use crate::{Error, Kind};

/// Hidden from every container that is not privileged, as by every runtime.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Read-only in every container that is not privileged.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
/// The devices every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Adds the steps from the host's file system to the container's.
pub(crate) fn push(plan: &mut Plan, container: &Lowering<'_>) -> Result<(), Failure> {
    let privileged = container.privileged();
    // Before there is a root: it is made in the pod's scratch file system.
    let message = message(container);
    plan.extend(message.iter().map(|(path, _)| Step::File {
        path: path.clone(),
        mode: 0o666,
        bytes: Vec::new(),
    }));
    base(plan, container)?;
    kernel(plan, container, privileged);
    devices(plan, container);
    for (path, program) in &container.rootfs.programs {
        let from = plan.hand_over(program.clone());
        plan.push(Step::Copy {
            from,
            path: path.clone(),
            mode: 0o755,
        });
    }
    files(plan, container);
    volume::push(plan, container)?;
    plan.extend(message.map(|(path, target)| Step::Bind {
        source: Source::Host(path),
        target,
        attributes: Attributes::NONE,
    }));
    if !privileged && !container.unmasked() {
        plan.extend(MASKED.map(|path| Step::Mask(path.into())));
        plan.extend(READ_ONLY.map(|path| Step::ReadOnly(path.into())));
    }
    if container.read_only() {
        let attributes = Attributes::READ_ONLY;
        plan.push(Step::Attributes {
            target: "/".into(),
            attributes,
            recursive: false,
        });
    }
    plan.push(Step::Pivot);
    Ok(())
}

/// Where the termination message is, and where the container sees it.
fn message(container: &Lowering<'_>) -> Option<(PathBuf, PathBuf)> {
    let target = container.spec.termination_message_path.as_deref();
    let target = target.filter(|path| !path.is_empty())?;
    let (scratch, name) = (&container.ground.scratch, &container.spec.name);
    let path = message_file(scratch, name, container.attempt);
    Some((path, target.into()))
}

fn base(plan: &mut Plan, container: &Lowering<'_>) -> Result<(), Failure> {
    match &container.rootfs.base {
        Base::Host => {
            host(plan, container);
            plan.push(tmpfs("/tmp", "mode=1777"));
            plan.push(tmpfs("/run", "mode=0755"));
        }
        Base::Directory(directory) => {
            let changes = container.ground.changes();
            let inside = |name: &str| changes.join(name);
            plan.push(Step::Directory {
                path: changes.clone(),
                mode: 0o700,
            });
            plan.push(Step::Filesystem {
                kind: "tmpfs".into(),
                options: "mode=0755".into(),
                target: changes.clone(),
                attributes: Attributes::NONE,
            });
            plan.extend(["upper", "work", "root"].map(|name| Step::Directory {
                path: inside(name),
                mode: 0o755,
            }));
            let image = Source::Host(directory.clone());
            let lower = match container.ground.shown(image, directory) {
                Source::Host(directory) => directory,
                source => {
                    plan.push(Step::Bind {
                        source,
                        target: inside("lower"),
                        attributes: Attributes::NONE,
                    });
                    inside("lower")
                }
            };
            let options = overlay(&lower, &changes, container.ground.users.is_some())
                .map_err(create_error)?;
            plan.push(Step::Filesystem {
                kind: "overlay".into(),
                options,
                target: inside("root"),
                attributes: Attributes::NONE,
            });
            plan.push(Step::Root {
                source: Source::Host(inside("root")),
                attributes: container.nodev(),
            });
        }
    }
    Ok(())
}

/// The host's root, read-only. It is never written, so a volume that is mounted where the host has nothing needs a root of its
/// own, with what is in the host's.
fn host(plan: &mut Plan, container: &Lowering<'_>) {
    if !needs_own_root(container) {
        plan.push(Step::Root {
            source: Source::Host("/".into()),
            attributes: Attributes::READ_ONLY | container.nodev(),
        });
        return;
    }
    plan.push(Step::EmptyRoot {
        options: "mode=0755".into(),
    });
    for entry in std::fs::read_dir("/").into_iter().flatten().flatten() {
        let path = entry.path();
        let anew = ["/tmp", "/run", "/proc", "/sys", "/dev"];
        match std::fs::read_link(&path) {
            _ if anew.iter().any(|anew| path == Path::new(anew)) => {}
            Ok(to) => drop(plan.push(Step::Symlink { path, to })),
            Err(_) => {
                plan.push(Step::Bind {
                    source: Source::Host(path.clone()),
                    target: path,
                    attributes: Attributes::READ_ONLY | container.nodev(),
                });
            }
        }
    }
}

/// Something is to be mounted in a directory of the root that the host does not have.
fn needs_own_root(container: &Lowering<'_>) -> bool {
    let mut mounts = container.spec.volume_mounts.iter();
    mounts.any(|mount| {
        let mut parts = Path::new(&mount.mount_path).components();
        let top = parts.by_ref().take(2).collect::<PathBuf>();
        !top.exists()
    })
}

fn overlay(lower: &Path, changes: &Path, rootless: bool) -> Result<String, Error> {
    let text = lower
        .to_str()
        .filter(|text| !text.contains([':', ',', '\\']) && lower.is_absolute());
    let lower = text.ok_or_else(|| {
        let attempt = format!("use {} as a root", lower.display());
        Error::new(
            Kind::Invalid,
            attempt,
            "the path must be absolute, in UTF-8, and without colon, comma and backslash",
        )
    })?;
    let changes = changes.display();
    let userxattr = if rootless { ",userxattr" } else { "" };
    Ok(format!(
        "lowerdir={lower},upperdir={changes}/upper,workdir={changes}/work{userxattr}"
    ))
}

/// `/proc`, `/sys` and the cgroup tree.
fn kernel(plan: &mut Plan, container: &Lowering<'_>, privileged: bool) {
    let hardened = Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC;
    let view = if privileged {
        hardened
    } else {
        hardened | Attributes::READ_ONLY
    };
    plan.push(match container.ground.hidden_proc {
        None => filesystem("proc", "/proc", "", hardened),
        Some(_) => Step::Bind {
            source: Source::Host("/proc".into()),
            target: "/proc".into(),
            attributes: hardened,
        },
    });
    let host_network = container.pod.spec.host_network == Some(true);
    if container.ground.users.is_some() && host_network {
        // A sysfs shows a network namespace; the host's is not this user's to show anew.
        plan.push(Step::Bind {
            source: Source::Host("/sys".into()),
            target: "/sys".into(),
            attributes: view,
        });
        return;
    }
    plan.push(filesystem("sysfs", "/sys", "", view));
    if container.ground.cgroups {
        plan.push(Step::CgroupNamespace);
        plan.push(filesystem("cgroup2", "/sys/fs/cgroup", "", view));
    }
}

fn devices(plan: &mut Plan, container: &Lowering<'_>) {
    let rootless = container.ground.users.is_some();
    plan.push(Step::Filesystem {
        kind: "tmpfs".into(),
        options: "mode=0755".into(),
        target: "/dev".into(),
        attributes: Attributes::NOSUID | container.nodev(),
    });
    // Mounts of their own, as no other can be opened there.
    plan.extend(DEVICES.map(|name| Step::Bind {
        source: Source::Host(Path::new("/dev").join(name)),
        target: Path::new("/dev").join(name),
        attributes: Attributes::NONE,
    }));
    plan.extend(
        ["/dev/pts", "/dev/mqueue", "/dev/shm"].map(|path| Step::Directory {
            path: path.into(),
            mode: 0o755,
        }),
    );
    let group = if rootless { "" } else { ",gid=5" };
    let pts = format!("newinstance,ptmxmode=0666,mode=0620{group}");
    plan.push(filesystem(
        "devpts",
        "/dev/pts",
        &pts,
        Attributes::NOSUID | Attributes::NOEXEC,
    ));
    let hardened = Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC;
    // Both belong to the IPC namespace, which is the pod's or the host's.
    if container.pod.spec.host_ipc == Some(true) {
        // A host need not have mounted them.
        let both = ["/dev/mqueue", "/dev/shm"].map(PathBuf::from);
        let there = both.into_iter().filter(|path| path.is_dir());
        plan.extend(there.map(|path| Step::Bind {
            source: Source::Host(path.clone()),
            target: path,
            attributes: hardened,
        }));
    } else {
        plan.push(filesystem("mqueue", "/dev/mqueue", "", hardened));
        plan.push(Step::Bind {
            source: Source::Host(container.ground.shared_memory()),
            target: "/dev/shm".into(),
            attributes: hardened,
        });
    }
    let links = [
        ("/dev/ptmx", "pts/ptmx"),
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ];
    plan.extend(links.map(|(path, to)| Step::Symlink {
        path: path.into(),
        to: to.into(),
    }));
}

/// `/etc/hosts` and its like, unless the container mounts something there. On the host's own root, which is never written,
/// only what is there can be covered.
fn files(plan: &mut Plan, container: &Lowering<'_>) {
    let mounted = |path: &Path| {
        let mounts = &container.spec.volume_mounts;
        mounts.iter().any(|mount| {
            Path::new(&mount.mount_path) == path
                || path.parent() == Some(Path::new(&mount.mount_path))
        })
    };
    for name in ["hosts", "hostname", "resolv.conf"] {
        let target = Path::new("/etc").join(name);
        let possible = container.rootfs.base != Base::Host || target.is_file();
        if possible && !mounted(&target) {
            let source = Source::Host(container.ground.file(name));
            plan.push(Step::Bind {
                source,
                target,
                attributes: Attributes::NONE,
            });
        }
    }
}

fn tmpfs(target: &str, options: &str) -> Step {
    filesystem(
        "tmpfs",
        target,
        options,
        Attributes::NOSUID | Attributes::NODEV,
    )
}

fn filesystem(kind: &str, target: &str, options: &str, attributes: Attributes) -> Step {
    Step::Filesystem {
        kind: kind.into(),
        options: options.into(),
        target: target.into(),
        attributes,
    }
}

impl Lowering<'_> {
    /// Nothing in the root itself can be changed, once everything is mounted.
    fn read_only(&self) -> bool {
        let context = self.spec.security_context.as_ref();
        let asked = context.is_some_and(|context| context.read_only_root_filesystem == Some(true));
        match self.rootfs.base {
            Base::Host => needs_own_root(self),
            Base::Directory(_) => asked,
        }
    }

    /// `/proc` and `/sys` without anything hidden.
    fn unmasked(&self) -> bool {
        let context = self.spec.security_context.as_ref();
        context.is_some_and(|context| context.proc_mount == Some(ProcMount::Unmasked))
    }

    /// Whoever has `CAP_MKNOD` makes devices of the host's disks where he can write: they must not open. Only a privileged
    /// container has devices of its own.
    pub(super) fn nodev(&self) -> Attributes {
        match self.privileged() {
            true => Attributes::NONE,
            false => Attributes::NODEV,
        }
    }

    pub(super) fn privileged(&self) -> bool {
        super::is_privileged(self.spec)
    }
}
