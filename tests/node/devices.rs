//! Devices that a container makes, and those that are given to it.

use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use podlife::Node;
use podlife::linux::Features;
use podlife::node::{Delete, Exec, PodId, Rootfs, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, printed, shell, spec, valid, with};
use super::recovery::{State, options};

/// A Node with an image that has all of the host's programs and can be changed.
fn with_image() -> Hosted {
    Hosted::with(|| before::open(Node::options().rootfs("whole", Rootfs::directory("/"))))
}

/// The whole output of a pod's container `main`.
fn said(hosted: &mut Hosted, manifest: &Value) -> String {
    let id = hosted.create(manifest);
    hosted.wait(id, Until::Finished);
    let text = hosted.logs(id, "main");
    hosted.delete(id);
    text
}

/// False, with a line that says why, where no device is to be guarded, or it cannot be.
fn is_guarded(test: &str) -> bool {
    let features = Features::probe().unwrap();
    let (programs, delegation) = (features.device_programs, features.cgroup_delegation);
    let guarded = programs.is_there() && delegation.is_there();
    if !guarded {
        println!("skipped: {test}: programs for devices: {programs}; cgroups: {delegation}");
    }
    guarded
}

/// Makes devices where they would open.
const MAKE: &str = "mkdir -p /own && mount -t tmpfs none /own && mknod /own/null c 1 3 && mknod /own/kmsg c 1 11 && \
    mknod /own/disk b 240 0";
/// Whether the driver is asked, which may not be there.
const LOOK: &str = "for name in null kmsg disk; do test -c /own/$name -o -b /own/$name || continue; \
    case $( (true >>/own/$name) 2>&1) in *'not permitted'*) echo $name denied;; *) echo $name asked;; esac; done";
const GUARDED: &str = "null asked\nkmsg denied\ndisk denied\n";
const OPEN: &str = "null asked\nkmsg asked\ndisk asked\n";

/// A container that makes devices and says what it can open; then does `rest`.
fn maker(name: &str, privileged: bool, rest: &str) -> Value {
    let context = match privileged {
        true => json!({ "privileged": true }),
        false => json!({ "capabilities": { "add": ["SYS_ADMIN", "MKNOD"] } }),
    };
    let more = json!({ "image": "whole", "imagePullPolicy": "Never", "securityContext": context });
    with(shell(name, &format!("{MAKE}; {LOOK}; {rest}")), more)
}

/// What a command that is run in it can open.
fn looked(node: &mut Node, id: PodId, name: &str) -> String {
    let look = Exec::new(["/bin/sh", "-c", LOOK]);
    let output = node.output(id, name, look, LONG).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Who may mount is not held by `nodev`: init containers, sidecars, containers started again, debuggers, and what is run in them.
#[test]
fn a_device_on_a_mount_of_the_containers_own_does_not_open() {
    if !is_guarded("devices on mounts of containers") {
        return;
    }
    let mut hosted = with_image();
    let sleep = "exec sleep 1000";
    // It is ready if the probe saw the same.
    let seen = format!(
        "seen=$({LOOK}); echo \"$seen\"; test \"$seen\" = '{}'",
        GUARDED.trim()
    );
    let probe = json!({ "exec": { "command": ["/bin/sh", "-c", seen] }, "periodSeconds": 1 });
    let main = with(
        maker("main", false, sleep),
        json!({ "readinessProbe": probe }),
    );
    let sidecar = with(
        maker("sidecar", false, sleep),
        json!({ "restartPolicy": "Always" }),
    );
    let init = json!({ "terminationGracePeriodSeconds": 1, "initContainers": [maker("init", false, "true"), sidecar] });
    let free = maker("free", true, sleep);
    let id = hosted.create(&spec(pod("makers", "Always", json!([main, free])), init));
    hosted.wait(id, Until::Ready);
    for (name, expected) in [
        ("init", GUARDED),
        ("sidecar", GUARDED),
        ("main", GUARDED),
        ("free", OPEN),
    ] {
        hosted.printed(id, name, "disk");
        assert_eq!(hosted.logs(id, name), expected, "{name}");
        if name != "init" {
            assert_eq!(looked(&mut hosted.node, id, name), expected, "{name}");
        }
    }
    let debugger = serde_json::from_value(maker("debugger", false, sleep)).unwrap();
    hosted.node.debug(id, debugger).unwrap();
    hosted.printed(id, "debugger", "disk");
    assert_eq!(hosted.logs(id, "debugger"), GUARDED);
    assert_eq!(looked(&mut hosted.node, id, "debugger"), GUARDED);

    hosted.node.restart(id, Some("main")).unwrap();
    let again = |node: &Node| {
        let status = node.pod(id).unwrap().status().clone();
        let main = container(&status, "main");
        main.restart_count == 1 && main.ready
    };
    let until = std::time::Instant::now() + LONG;
    while !again(&hosted.node) {
        assert!(std::time::Instant::now() < until, "{}", hosted.story(id));
        hosted.node.turn(Some(LONG)).unwrap();
    }
    hosted.printed(id, "main", "disk");
    assert_eq!(hosted.logs(id, "main"), GUARDED);
    assert_eq!(looked(&mut hosted.node, id, "main"), GUARDED);
    assert!(!hosted.story(id).contains("CAP_MKNOD"));
    hosted.kill(id);
    hosted.end();
}

/// The guard is the cgroup's, not the Node's.
#[test]
fn devices_stay_closed_when_the_node_is_another() {
    if !is_guarded("devices after a restart of the Node") {
        return;
    }
    let state = State::new("devices");
    let before = Before::now();
    let open = || before::open(options(&state.0).rootfs("whole", Rootfs::directory("/")));
    let mut node = open();
    let rest = format!("until test -e /own/go; do sleep 0.02; done; {LOOK}; exec sleep 1000");
    let main = json!([maker("main", false, &rest)]);
    let id = node.create(valid(&pod("stays", "Always", main))).unwrap();
    printed(&mut node, id, "main", GUARDED);
    drop(node);
    let mut node = open();
    let go = Exec::new(["touch", "/own/go"]);
    node.output(id, "main", go, LONG).unwrap();
    printed(&mut node, id, "main", &GUARDED.repeat(2));
    assert_eq!(looked(&mut node, id, "main"), GUARDED);
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    state.check();
    drop(state);
    drop(before);
}

/// Has the kernel refuse `bpf(2)` to this thread and what comes of it, as other kernels and hosts do.
fn without_programs() {
    let instruction = |code: u32, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
    let mut filter = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            1,
            libc::SYS_bpf as u32,
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, refuse),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and its instructions live for the call, which copies them.
    #[expect(unsafe_code, reason = "only the kernel can refuse it")]
    let done = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Has this thread, and what comes of it, see a cgroup2 that nobody can write to.
fn without_cgroups() {
    let mount = podlife::cgroup::Hierarchy::find().unwrap().unwrap().mount;
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    nix::mount::mount(none, "/", none, private, none).unwrap();
    nix::mount::mount(Some(&mount), &mount, none, MsFlags::MS_BIND, none).unwrap();
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    nix::mount::mount(none, &mount, none, read_only, none).unwrap();
}

/// It is seen, and nothing else changes: no device opens on the mounts that the container is given.
#[test]
fn pods_run_where_root_can_have_no_program() {
    if !is_guarded("programs for devices refused to root") {
        return;
    }
    let refused = "load a program for the devices of a cgroup: Operation not permitted";
    for (without, why) in [
        (without_programs as fn(), refused),
        (without_cgroups, "it has no cgroup that could ask"),
    ] {
        let run = std::thread::spawn(move || {
            without();
            let mut hosted = with_image();
            let rest = "mknod /kmsg c 1 11; (true >/kmsg) 2>/dev/null || echo closed";
            let manifest = pod("refused", "Never", json!([maker("main", false, rest)]));
            let text = said(&mut hosted, &manifest);
            assert_eq!(text, format!("{OPEN}closed\n"));
            let event = hosted.until("Degraded", "CAP_MKNOD and CAP_SYS_ADMIN");
            assert!(event.message().contains(why), "{event}");
            hosted.end();
        });
        run.join().unwrap();
    }
}

/// What the kernel has is told by asking it.
#[test]
fn a_refusal_is_among_the_features() {
    let run = std::thread::spawn(|| {
        if nix::unistd::geteuid().is_root() {
            without_programs();
        }
        Features::probe().unwrap().device_programs
    });
    let told = run.join().unwrap().to_string();
    assert!(
        told.contains("Operation not permitted; run as root"),
        "{told}"
    );
}

/// What `mknod` makes of the null device's numbers, wherever a container can write, and whether it opens; then those that are given.
fn own_devices(hosted: &mut Hosted, image: &str, privileged: bool) -> String {
    let script = "for directory in / /dev /dev/shm /tmp /memory /host; do \
        mknod $directory/own c 1 3 2>/dev/null || continue; \
        if (true >$directory/own) 2>/dev/null; then echo $directory opens; else echo $directory is closed; fi; \
        rm $directory/own; done; \
        for name in null zero full random urandom tty; do test -c /dev/$name && echo $name; done; \
        true >/dev/null </dev/zero && true </dev/urandom && echo given";
    let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
    let more = json!({
        "image": image, "imagePullPolicy": "Never", "securityContext": { "privileged": privileged },
        "volumeMounts": [mount("memory", "/memory"), mount("host", "/host")]
    });
    let volumes = json!({ "volumes": [
        { "name": "memory", "emptyDir": { "medium": "Memory" } },
        { "name": "host", "hostPath": { "path": std::env::temp_dir() } },
    ] });
    said(
        hosted,
        &spec(
            pod("said", "Never", json!([with(shell("main", script), more)])),
            volumes,
        ),
    )
}

#[test]
fn a_device_that_a_container_makes_does_not_open() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: devices of containers: only root can make any");
    }
    let mut hosted = with_image();
    let given = "null\nzero\nfull\nrandom\nurandom\ntty\ngiven\n";
    let all = |places: &[&str], what: &str| -> String {
        let lines = places.iter().map(|place| format!("{place} {what}\n"));
        lines.chain([given.to_owned()]).collect()
    };
    let writable = ["/", "/dev", "/dev/shm", "/tmp", "/memory", "/host"];
    assert_eq!(
        own_devices(&mut hosted, "whole", false),
        all(&writable, "is closed")
    );
    assert_eq!(
        own_devices(&mut hosted, "podlife.local/host", false),
        all(&writable[1..], "is closed")
    );
    // The guard is off: nothing else is in the way.
    let open = own_devices(&mut hosted, "whole", true);
    assert!(
        ["/", "/dev", "/host"]
            .iter()
            .all(|place| open.contains(&format!("{place} opens\n"))),
        "{open}"
    );
    hosted.end();
}

/// There is nothing to guard.
#[test]
fn an_ordinary_user_is_told_of_no_devices() {
    if nix::unistd::geteuid().is_root() {
        return println!("skipped: devices of an ordinary user's containers: root's are guarded");
    }
    let mut hosted = Hosted::ephemeral();
    let script = "mknod /tmp/kmsg c 1 11 2>/dev/null && true >/tmp/kmsg && echo open; true";
    let manifest = pod("told", "Never", json!([shell("main", script)]));
    assert_eq!(said(&mut hosted, &manifest), "");
    assert!(
        hosted
            .seen
            .iter()
            .all(|event| !event.message().contains("CAP_MKNOD"))
    );
    hosted.end();
}
