//! The steps of a plan, done for real.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use podlife::linux::pause::plan::{
    Attributes, CapabilityBits, Credentials, Filter, Namespaces, Plan, Propagation, Source, Step,
};
use podlife::linux::pause::{Key, Start};
use podlife::linux::rlimit::{Resource, Rlimit};
use podlife::linux::seccomp::{Action, Profile};

use crate::nobody;
use crate::sandbox::{TestPod, host_container, host_with, shell};

const FIRST: Key = Key::container(0, 0);

fn run(plan: Plan, script: &str) -> String {
    TestPod::new().run(FIRST, &shell(plan, script)).1
}

#[test]
fn files_directories_links_and_mounts_are_made() {
    let steps = [
        Step::Directory {
            path: "/tmp/a/b/c".into(),
            mode: 0o750,
        },
        Step::File {
            path: "/tmp/a/file".into(),
            mode: 0o640,
            bytes: b"text".to_vec(),
        },
        Step::Symlink {
            path: "/tmp/a/link".into(),
            to: "file".into(),
        },
        Step::Bind {
            source: Source::Host("/usr".into()),
            target: "/tmp/new/usr".into(),
            attributes: Attributes::READ_ONLY | Attributes::NOEXEC,
        },
        Step::Bind {
            source: Source::Host("/etc/passwd".into()),
            target: "/tmp/new/passwd".into(),
            attributes: Attributes::READ_ONLY,
        },
        Step::Filesystem {
            kind: "tmpfs".into(),
            options: "size=64k,mode=0711".into(),
            target: "/tmp/small".into(),
            attributes: Attributes::NOEXEC | Attributes::NOSUID | Attributes::NODEV,
        },
        Step::Filesystem {
            kind: "mqueue".into(),
            options: String::new(),
            target: "/tmp/mqueue".into(),
            attributes: Attributes::NONE,
        },
        Step::Filesystem {
            kind: "devpts".into(),
            options: "newinstance,ptmxmode=0666,mode=0620".into(),
            target: "/tmp/pts".into(),
            attributes: Attributes::NOSUID | Attributes::NOEXEC,
        },
    ];
    let script = "stat -c '%a %F' /tmp/a/b/c /tmp/a/file /tmp/small; cat /tmp/a/link; echo; \
         cmp /tmp/new/passwd /etc/passwd && echo same; test -d /tmp/new/usr/bin && echo there; \
         touch /tmp/new/usr/x 2>/dev/null || echo read-only; ls /tmp/pts; \
         grep -E ' /tmp/(small|new/usr|mqueue) ' /proc/self/mountinfo | cut -d' ' -f5,6 | sort | head -3";
    let text = run(host_with(steps), script);
    let lines: Vec<_> = text.lines().collect();
    let expected = "750 directory|640 regular file|711 directory|text|same|there|read-only|ptmx";
    assert_eq!(lines[..8].join("|"), expected, "{text}");
    assert!(lines[8].starts_with("/tmp/mqueue rw"), "{text}");
    assert!(
        lines[9].starts_with("/tmp/new/usr ro,") && lines[9].contains("noexec"),
        "{text}"
    );
    assert_eq!(
        lines[10], "/tmp/small rw,nosuid,nodev,noexec,relatime",
        "{text}"
    );
}

#[test]
fn a_handed_over_program_is_copied_and_runs() {
    let mut plan = host_with([]);
    let program = std::fs::File::open("/bin/sh").unwrap();
    let handle = plan.hand_over(std::os::fd::OwnedFd::from(program));
    plan.push(Step::Copy {
        from: handle,
        path: "/tmp/my-shell".into(),
        mode: 0o755,
    });
    plan.execute(
        ["my-shell", "-c", "echo $0; exit 12"],
        ["PATH=/nowhere:/tmp:/bin"],
    )
    .unwrap();
    let (exit, text) = TestPod::new().run(FIRST, &plan);
    assert_eq!((exit.code(), text.as_str()), (12, "my-shell\n"));
}

#[test]
fn paths_can_be_masked_and_made_read_only() {
    let steps = [
        Step::Mask("/proc/uptime".into()),
        Step::Mask("/proc/sys".into()),
        Step::Mask("/proc/no/such/thing".into()),
        Step::ReadOnly("/tmp".into()),
        Step::ReadOnly("/no/such/thing".into()),
    ];
    let script =
        "wc -c < /proc/uptime; ls /proc/sys | wc -l; touch /tmp/x 2>/dev/null || echo read-only";
    assert_eq!(run(host_with(steps), script), "0\n0\nread-only\n");
}

/// Where the host's own `/dev/null` is another file, nothing is shown through it.
#[test]
fn what_masks_a_file_must_be_the_real_null() {
    let mut pod = TestPod::new();
    let mut plan = Plan::new(Namespaces::MOUNT);
    plan.push(Step::Propagation("/".into(), Propagation::Private))
        .push(Step::Bind {
            source: Source::Host("/etc/passwd".into()),
            target: "/dev/null".into(),
            attributes: Attributes::NONE,
        })
        .push(Step::Mask("/proc/uptime".into()));
    plan.execute(["/bin/true"], ["PATH=/bin"]).unwrap();
    let error = pod.failure(FIRST, &plan);
    assert!(
        error.to_string().starts_with("could not mask /proc/uptime"),
        "{error}"
    );
}

#[test]
fn a_hostile_root_leads_nowhere_but_into_itself() {
    let name = format!("podlife-hostile-{}", std::process::id());
    let outside = std::env::temp_dir().join(format!("{name}-outside"));
    let root = std::env::temp_dir().join(&name);
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(&root).unwrap();
    symlink(&outside, root.join("absolute")).unwrap();
    symlink(
        PathBuf::from("../../../..").join(outside.strip_prefix("/").unwrap()),
        root.join("relative"),
    )
    .unwrap();
    symlink("/etc/passwd", root.join("passwd")).unwrap();
    let inside = root.join(outside.strip_prefix("/").unwrap());
    std::fs::create_dir_all(&inside).unwrap();
    let mut plan = Plan::new(Namespaces::MOUNT);
    plan.push(Step::Root {
        source: Source::Host(root.clone()),
        attributes: Attributes::NONE,
    });
    for way in ["absolute", "relative"] {
        plan.push(Step::Directory {
            path: format!("/{way}/{way}-made").into(),
            mode: 0o755,
        });
        plan.push(Step::File {
            path: format!("/{way}/{way}-file").into(),
            mode: 0o644,
            bytes: b"x".to_vec(),
        });
    }
    let mut pod = TestPod::new();
    pod.start(Start::new(FIRST, &plan));
    assert_eq!(pod.exit(FIRST).code(), 0);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 4);

    // A link in the place of a file is not followed at all.
    plan.push(Step::File {
        path: "/passwd".into(),
        mode: 0o644,
        bytes: b"x".to_vec(),
    });
    let error = pod.failure(Key::container(0, 1), &plan);
    assert_eq!(error.errno(), Some(libc::ELOOP), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("could not write 1 bytes to /passwd with mode 644"),
        "{error}"
    );
    drop(pod);
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::remove_dir_all(&outside).unwrap();
}

#[test]
fn a_source_below_a_volume_cannot_leave_it() {
    let volume = std::env::temp_dir().join(format!("podlife-volume-{}", std::process::id()));
    std::fs::create_dir_all(volume.join("etc")).unwrap();
    std::fs::write(volume.join("etc/hostname"), "of the volume\n").unwrap();
    symlink("etc", volume.join("in")).unwrap();
    symlink("/etc", volume.join("out")).unwrap();
    let bind = |path: &str| {
        let below = volume.clone();
        let source = Source::Below {
            below,
            path: path.into(),
        };
        let target = "/tmp/hostname".into();
        let attributes = Attributes::NONE;
        host_with([Step::Bind {
            source,
            target,
            attributes,
        }])
    };
    let script = "cat /tmp/hostname";
    assert_eq!(run(bind("in/hostname"), script), "of the volume\n");
    for path in ["out/hostname", "../etc/hostname", "/etc/hostname"] {
        let error = TestPod::new().failure(FIRST, &shell(bind(path), script));
        assert_eq!(error.errno(), Some(nix::libc::EXDEV), "{path}: {error}");
    }
    std::fs::remove_dir_all(volume).unwrap();
}

/// It would show the host's files as they are.
#[test]
fn a_mount_with_mapped_ids_is_not_made_without_them() {
    let mut plan = Plan::new(Namespaces::MOUNT);
    plan.push(Step::Bind {
        source: Source::Mapped(Box::new(Source::Host("/usr".into()))),
        target: "/mnt".into(),
        attributes: Attributes::NONE,
    });
    let error = plan.encode().unwrap_err().to_string();
    assert_eq!(
        error,
        "could not bind /usr, ids mapped, to /mnt: nobody has made its mount"
    );
    plan.made(0, OwnedFd::from(std::fs::File::open("/").unwrap()));
    plan.encode().unwrap();
}

#[test]
fn an_empty_root_is_filled_by_the_plan() {
    let mut plan = Plan::new(Namespaces::MOUNT | Namespaces::PID);
    plan.push(Step::EmptyRoot {
        options: "size=1m,mode=755".into(),
    });
    for directory in ["/usr", "/bin", "/lib", "/lib64"] {
        if std::fs::exists(directory).unwrap() {
            plan.push(Step::Bind {
                source: Source::Host(directory.into()),
                target: directory.into(),
                attributes: Attributes::READ_ONLY,
            });
        }
    }
    let mut pod = TestPod::new();
    let null = Step::Bind {
        source: Source::Host("/dev/null".into()),
        target: "/dev/null".into(),
        attributes: Attributes::NONE,
    };
    plan.push(null);
    if nobody::is_root() {
        plan.push(Step::Device {
            path: "/dev/zero".into(),
            mode: 0o666,
            major: 1,
            minor: 5,
        });
    }
    plan.push(Step::Pivot);
    let (_, text) = pod.run(
        FIRST,
        &shell(
            plan,
            "ls / | grep -v lib | tr '\\n' ' '; ls /dev | tr '\\n' ' '",
        ),
    );
    let zero = if nobody::is_root() { "zero " } else { "" };
    assert_eq!(text, format!("bin dev usr null {zero}"));
}

#[test]
fn what_a_step_failed_at_is_said_in_words() {
    let mut pod = TestPod::new();
    let mut attempt = 0;
    let mut failure = |plan: &Plan| {
        attempt += 1;
        pod.failure(Key::container(0, attempt), plan).to_string()
    };
    let bind = Step::Bind {
        source: Source::Host("/no/such/volume".into()),
        target: "/tmp/x".into(),
        attributes: Attributes::READ_ONLY,
    };
    assert_eq!(
        failure(&shell(host_with([bind]), "true")),
        "could not bind /no/such/volume to /tmp/x ro: No such file or directory (errno 2); make it on the host first, or correct the path"
    );
    let mut plan = host_container();
    plan.push(Step::Chdir("/no/such/directory".into()));
    assert_eq!(
        failure(&shell(plan, "true")),
        "could not change to the working directory /no/such/directory: No such file or directory (errno 2); \
         make the directory in the image, or correct workingDir"
    );
    let mut plan = host_container();
    plan.execute(["/etc/passwd"], [""]).unwrap();
    assert_eq!(
        failure(&plan),
        "could not execute /etc/passwd: Permission denied (errno 13); make it executable, and not on a mount that is noexec"
    );
    let mut plan = host_container();
    plan.execute(["no-such-program", "-x"], ["PATH=/bin:/usr/bin"])
        .unwrap();
    assert_eq!(
        failure(&plan),
        "could not execute /usr/bin/no-such-program -x: No such file or directory (errno 2); \
         correct the command, or PATH: the image has no such program"
    );
    let mut plan = Plan::new(Namespaces::MOUNT);
    plan.push(Step::Pivot);
    assert_eq!(
        failure(&plan),
        "could not change to the new root: Invalid argument (errno 22)"
    );
}

#[test]
fn credentials_are_dropped_in_an_order_that_works() {
    const NET_BIND: u64 = 1 << 10;
    const CHOWN: u64 = 1;
    let (uid, gid) = if nobody::is_root() {
        (1234, 2345)
    } else {
        (0, 0)
    };
    let script =
        "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -s '\\t ' ' '";
    let allow = Filter::try_from(Profile::new(Action::Allow)).unwrap();
    for (attempt, no_new_privileges) in [false, true].into_iter().enumerate() {
        let mut plan = host_container();
        plan.drop_to(&Credentials {
            uid,
            gid,
            groups: nobody::is_root().then(|| vec![7, 9]),
            bounding: CapabilityBits(NET_BIND | CHOWN),
            permitted: CapabilityBits(NET_BIND | CHOWN),
            inheritable: CapabilityBits(NET_BIND),
            ambient: CapabilityBits(NET_BIND),
            no_new_privileges,
            seccomp: Some(allow.clone()),
        });
        let key = Key::container(0, attempt as u32);
        let (_, text) = TestPod::new().run(key, &shell(plan, script));
        let groups = if nobody::is_root() {
            "Groups: 7 9 "
        } else {
            "Groups: 65534 "
        };
        // A program of user 0 gets all that is bounding; another's keeps what is ambient.
        let permitted = if uid == 0 { NET_BIND | CHOWN } else { NET_BIND };
        let expected = [
            format!("Uid: {uid} {uid} {uid} {uid}"),
            format!("Gid: {gid} {gid} {gid} {gid}"),
            format!("CapInh: {NET_BIND:016x}"),
            format!("CapPrm: {permitted:016x}"),
            format!("CapEff: {permitted:016x}"),
            format!("CapBnd: {:016x}", NET_BIND | CHOWN),
            format!("NoNewPrivs: {}", u8::from(no_new_privileges)),
            "Seccomp: 2".into(),
        ];
        let lines: Vec<_> = text.lines().collect();
        for line in expected {
            assert!(lines.contains(&line.as_str()), "{line} is not in {text}");
        }
        assert!(
            !nobody::is_root() || lines.contains(&groups.trim_end()) || lines.contains(&groups),
            "{text}"
        );
    }
}

#[test]
fn limits_and_the_score_of_the_oom_killer_are_set() {
    let mut plan = host_with([
        Step::OomScoreAdj {
            score: 987,
            required: true,
        },
        Step::OomScoreAdj {
            score: -5,
            required: false,
        },
    ]);
    let limit = Rlimit::new(Resource::Nofile, 77, 99).unwrap();
    plan.push(Step::Rlimit(limit))
        .push(Step::Umask(0o77))
        .push(Step::Nice(5))
        .push(Step::AllProcessors);
    let text = run(
        plan,
        "ulimit -Sn; ulimit -Hn; umask; nice; cat /proc/self/oom_score_adj",
    );
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..4], ["77", "99", "0077", "5"], "{text}");
    // Who may lower it again is the host's business.
    assert!(["987", "-5"].contains(&lines[4]), "{text}");
}

#[test]
fn a_plan_without_a_program_sets_up_the_whole_pod() {
    let mut pod = TestPod::new();
    let mut plan = Plan::new(Namespaces::NONE);
    plan.push(Step::Filesystem {
        kind: "tmpfs".into(),
        options: "mode=755".into(),
        target: "/mnt".into(),
        attributes: Attributes::NONE,
    });
    plan.push(Step::File {
        path: "/mnt/shared".into(),
        mode: 0o644,
        bytes: b"for all\n".to_vec(),
    });
    plan.push(Step::Hostname("renamed".into()));
    pod.start(Start::new(FIRST, &plan));
    assert_eq!(pod.exit(FIRST).code(), 0);
    assert!(!std::fs::exists("/mnt/shared").unwrap(), "the host sees it");
    let (_, text) = pod.run(
        Key::container(1, 0),
        &shell(host_container(), "cat /mnt/shared; hostname"),
    );
    assert_eq!(text, "for all\nrenamed\n");
}

#[test]
fn standard_streams_can_be_given_to_the_containers_user() {
    if !nobody::is_root() {
        return println!("skipped: streams of another user: a single-id user namespace has none");
    }
    let credentials = |own: bool| {
        let mut plan = host_container();
        plan.extend(own.then_some(Step::OwnStreams {
            uid: 1234,
            gid: 1234,
        }));
        plan.push(Step::Gid(1234)).push(Step::Uid(1234));
        shell(plan, "echo here > /dev/stdout")
    };
    let mut pod = TestPod::new();
    assert_eq!(
        pod.run(Key::container(0, 0), &credentials(true)).1,
        "here\n"
    );
    // The hole without it: a pipe of pause's that the container may write to, but not open.
    let (exit, text) = pod.run(Key::container(0, 1), &credentials(false));
    assert!(
        exit.code() != 0 && text.contains("Permission denied"),
        "{text}"
    );
}

#[test]
fn a_terminal_controls_the_session() {
    // The host's own need not be open to others than root.
    let mut plan = host_with([Step::Filesystem {
        kind: "devpts".into(),
        options: "newinstance,ptmxmode=0666,mode=0620".into(),
        target: "/dev/pts".into(),
        attributes: Attributes::NOSUID | Attributes::NOEXEC,
    }]);
    plan.push(Step::Terminal {
        rows: 30,
        columns: 90,
        uid: 0,
    });
    let plan = shell(
        plan,
        "tty -s && [ \"$(stty size)\" = '30 90' ] && echo > /dev/tty && exit 21",
    );
    let mut pod = TestPod::new();
    pod.start(Start {
        terminal: true,
        ..Start::new(FIRST, &plan)
    });
    assert_eq!(pod.exit(FIRST).code(), 21);
}
