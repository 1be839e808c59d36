//! Pods with users of their own: `hostUsers: false`.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use podlife::Node;
use podlife::node::{Delete, Exec, Rootfs, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, shell, spec, valid, with};
use super::recovery::State;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn separate(name: &str, policy: &str, containers: Value, more: Value) -> Value {
    spec(
        pod(name, policy, containers),
        with(json!({ "hostUsers": false }), more),
    )
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("podlife-{name}-{}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    path
}

/// Root in there is nobody out here; users, groups, devices, cgroups and the network are all there.
#[test]
fn a_pod_has_users_of_its_own() {
    if !is_root() {
        println!(
            "skipped: hostUsers: false of root: an ordinary user's pods have a user namespace anyway"
        );
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let script = "set -- $(cat /proc/self/uid_map); echo $1 $3; [ $2 -ge 1073741824 ] && echo apart; id -u; \
        echo x > /dev/null && head -c 1 /dev/zero | wc -c; touch /tmp/a && chown 65535:4 /tmp/a && stat -c %u:%g /tmp/a; \
        cat /sys/class/net/lo/flags; cat /proc/1/comm; grep ^Seccomp: /proc/self/status; \
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /dev/pts/ptmx";
    let whole = json!({ "securityContext": {
        "seccompProfile": { "type": "RuntimeDefault" },
        "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "5" }],
    } });
    let id = hosted.create(&separate(
        "apart",
        "Never",
        json!([shell("main", script)]),
        whole,
    ));
    hosted.wait(id, Until::Finished);
    let expected = "0 65536\napart\n0\n1\n65535:4\n0x9\nsh\nSeccomp:\t2\n5\n/dev/pts/ptmx\n";
    assert_eq!(hosted.logs(id, "main"), expected);
    hosted.delete(id);
    hosted.end();
}

/// Where the directory for temporary files is a tmpfs, and the kernel cannot show one with other ids.
pub(crate) fn is_too_old() -> bool {
    let _before = Before::now();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.trim().parse::<u32>());
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    let version = (next(), next());
    let stat = ["-f", "-c", "%T"];
    let mut command = std::process::Command::new("stat");
    let kind = command
        .args(stat)
        .arg(std::env::temp_dir())
        .output()
        .unwrap();
    version < (6, 3) && kind.stdout == b"tmpfs\n"
}

/// A volume on disk, a path of the host and an image belong to the same users inside as outside.
#[test]
fn files_have_the_same_owners_inside_and_outside() {
    if !is_root() {
        println!("skipped: mounts with mapped ids: an ordinary user cannot make them");
        return;
    }
    if is_too_old() {
        return println!("skipped: mounts with mapped ids: a tmpfs has them from Linux 6.3 on");
    }
    let _before = Before::now();
    let state = State::new("apart");
    let host = directory("shown");
    std::fs::write(host.join("given"), "x").unwrap();
    std::os::unix::fs::chown(host.join("given"), Some(7), Some(8)).unwrap();
    std::fs::create_dir(host.join("part")).unwrap();
    let mut node = state.node();
    let script = "id -u; id -G; stat -c %u:%g /tmp/host/given /tmp/data; \
        echo new > /tmp/host/new; echo part > /tmp/part/file; touch /tmp/data/x; stat -c %u:%g /tmp/data/x; \
        touch /tmp/ro/y 2>&1; echo done; exec sleep 1000";
    let mounts = json!([
        { "name": "host", "mountPath": "/tmp/host" },
        { "name": "host", "mountPath": "/tmp/part", "subPath": "part" },
        { "name": "host", "mountPath": "/tmp/ro", "readOnly": true },
        { "name": "data", "mountPath": "/tmp/data" },
    ]);
    let main = with(shell("main", script), json!({ "volumeMounts": mounts }));
    let whole = json!({
        "securityContext": { "runAsUser": 0, "supplementalGroups": [6], "fsGroup": 9 },
        "volumes": [{ "name": "host", "hostPath": { "path": host } }, { "name": "data", "emptyDir": {} }],
        "shareProcessNamespace": true,
    });
    let id = node
        .create(valid(&separate("apart", "Always", json!([main]), whole)))
        .unwrap();
    node.wait(id, Until::Ready, super::hosted::LONG)
        .unwrap_or_else(|error| {
            let story: Vec<_> = std::iter::from_fn(|| node.next_event())
                .map(|event| event.to_string())
                .collect();
            panic!("{error} {story:#?}")
        });
    super::hosted::printed(&mut node, id, "main", "done");
    let mut text = String::new();
    let logs = node.logs(id, "main", Default::default());
    std::io::Read::read_to_string(&mut logs.unwrap(), &mut text).unwrap();
    assert!(text.starts_with("0\n0 6 9\n7:8\n0:9\n0:9\n"), "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    for file in ["new", "part/file"] {
        let made = std::fs::metadata(host.join(file)).unwrap();
        assert_eq!((made.uid(), made.gid()), (0, 0), "{file}");
    }

    // The next Node finds the same ids, and starts and enters containers with them.
    drop(node);
    let mut node = state.node();
    let enter = Exec::new(["/bin/sh", "-c", "stat -c %u:%g /tmp/host/given; kill -9 -1"]);
    let output = node.output(id, "main", enter, LONG).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "7:8\n");
    node.run_until(LONG, |node, _| {
        container(node.pod(id).unwrap().status(), "main").restart_count > 0
    })
    .unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    state.check();
    std::fs::remove_dir_all(&host).unwrap();
}

/// The files of a Secret are for the pod's root and its group, and neither for other users nor for those of the host.
#[test]
fn what_is_made_of_objects_belongs_to_the_pod() {
    if !is_root() {
        println!("skipped: a group of the pod's own: an ordinary user has none");
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let word = |word: &str| podlife::model::Secret::new("key").entry("word", word);
    hosted.node.put(word("xyzzy")).unwrap();
    let script = "show() { cat /tmp/key/word 2>/dev/null && echo || echo closed; }; \
        stat -L -c %a:%u:%g /tmp/key /tmp/key/word; stat -c %a:%u:%g /tmp/part; show; \
        until test -e /tmp/part/go; do sleep 0.02; done; show";
    let volume = json!({ "name": "key", "secret": { "secretName": "key", "defaultMode": 0o400 } });
    let memory =
        json!({ "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } });
    let mounts = json!([
        { "name": "key", "mountPath": "/tmp/key" },
        { "name": "memory", "mountPath": "/tmp/part", "subPath": "part" },
    ]);
    let user = |name: &str, context: Value| {
        let more = json!({ "volumeMounts": mounts, "securityContext": context });
        with(shell(name, script), more)
    };
    for (group, more) in [(Some(9), json!({ "fsGroup": 9 })), (None, json!({}))] {
        hosted.node.put(word("xyzzy")).unwrap();
        let containers = json!([
            user("root", json!({})),
            user("other", json!({ "runAsUser": 7, "runAsGroup": 7 }))
        ]);
        let whole = json!({ "volumes": [volume, memory], "securityContext": more });
        let id = hosted.create(&separate("objects", "Never", containers, whole));
        for name in ["root", "other"] {
            hosted.printed(
                id,
                name,
                if name == "root" || group.is_some() {
                    "xyzzy"
                } else {
                    "closed"
                },
            );
        }
        hosted.node.put(word("plugh")).unwrap();
        let touch = Exec::new(["touch", "/tmp/part/go"]);
        hosted.node.output(id, "root", touch, LONG).unwrap();
        hosted.wait(id, Until::Finished);
        let (rights, read) = match group {
            Some(_) => ("755:0:0\n440:0:9\n2777:0:9\n", "xyzzy\nplugh\n"),
            None => ("755:0:0\n400:0:0\n777:0:0\n", "closed\nclosed\n"),
        };
        assert_eq!(hosted.logs(id, "root"), format!("{rights}xyzzy\nplugh\n"));
        assert_eq!(hosted.logs(id, "other"), format!("{rights}{read}"));
        hosted.delete(id);
    }
    hosted.end();
}

/// What is made of the host's files is the same plan that is carried out.
#[test]
fn a_dry_run_says_whose_files_are_mapped() {
    let _before = Before::now();
    let node = before::ephemeral();
    let volume = json!({ "name": "v", "hostPath": { "path": "/usr" } });
    let mounts = json!([
        { "name": "v", "mountPath": "/tmp/v", "readOnly": true },
        { "name": "v", "mountPath": "/tmp/part", "subPath": "bin" },
    ]);
    let main = with(shell("main", "true"), json!({ "volumeMounts": mounts }));
    let manifest = separate(
        "dry",
        "Never",
        json!([main]),
        json!({ "volumes": [volume] }),
    );
    let plan = node.plan(&valid(&manifest)).unwrap().to_string();
    let mapped = if is_root() { ", ids mapped," } else { "" };
    for line in [
        format!("bind /usr{mapped} to /tmp/v ro nodev\n"),
        format!("bind bin in /usr{mapped} to /tmp/part nodev\n"),
    ] {
        assert!(plan.contains(&line), "no {line:?} in {plan}");
    }
}

#[test]
fn an_image_can_be_changed_by_the_root_of_the_pod() {
    if !is_root() {
        println!("skipped: an image with mapped ids: an ordinary user cannot make one");
        return;
    }
    if is_too_old() {
        return println!("skipped: an image with mapped ids: a tmpfs has them from Linux 6.3 on");
    }
    let root = directory("image");
    for name in ["bin", "lib", "lib64", "usr", "etc"] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    std::fs::write(root.join("etc/owned"), "x").unwrap();
    let mut hosted = Hosted::with(|| {
        let rootfs = Rootfs::directory(&root);
        before::open(Node::options().rootfs("example.com/apart", rootfs))
    });
    let binds = ["/bin", "/lib", "/lib64", "/usr"].map(|path| path.trim_start_matches('/'));
    let volumes: Vec<_> = binds
        .iter()
        .map(|name| json!({ "name": name, "hostPath": { "path": format!("/{name}") } }))
        .collect();
    let mounts: Vec<_> = binds
        .iter()
        .map(|name| json!({ "name": name, "mountPath": format!("/{name}"), "readOnly": true }))
        .collect();
    let script = "stat -c %u:%g /etc/owned; echo y > /etc/owned; cat /etc/owned; chown 5 /etc/owned; stat -c %u /etc/owned";
    let image =
        json!({ "image": "example.com/apart", "imagePullPolicy": "Never", "volumeMounts": mounts });
    let main = with(shell("main", script), image);
    let id = hosted.create(&separate(
        "image",
        "Never",
        json!([main]),
        json!({ "volumes": volumes }),
    ));
    hosted.wait(id, Until::Finished);
    assert_eq!(hosted.logs(id, "main"), "0:0\ny\n5\n");
    assert_eq!(
        std::fs::read_to_string(root.join("etc/owned")).unwrap(),
        "x"
    );
    hosted.delete(id);
    std::fs::remove_dir_all(&root).unwrap();
    hosted.end();
}

/// What cannot be had is said before anything is started.
#[test]
fn a_user_that_is_not_there_is_told() {
    let mut hosted = Hosted::ephemeral();
    let wanted = json!({ "securityContext": { "runAsUser": 70_000 } });
    let main = with(shell("main", "true"), wanted);
    let id = hosted.create(&separate("told", "Never", json!([main]), json!({})));
    let event = hosted.until("Failed", "the user 70000 is not mapped");
    let status = container(hosted.node.pod(id).unwrap().status(), "main").clone();
    assert_eq!(
        status.state.unwrap().waiting.unwrap().reason.unwrap(),
        "CreateContainerConfigError",
        "{event}"
    );
    hosted.delete(id);
    hosted.end();
}

#[test]
fn proc_can_be_shown_as_it_is() {
    let mut hosted = Hosted::ephemeral();
    let unmasked = json!({ "securityContext": { "procMount": "Unmasked" } });
    let script = "stat -c %F /proc/keys; grep -c ' /proc/' /proc/self/mountinfo";
    for (more, expected) in [(unmasked, "regular"), (json!({}), "character")] {
        let main = with(shell("main", &format!("{script}; true")), more);
        let id = hosted.create(&separate("proc", "Never", json!([main]), json!({})));
        hosted.wait(id, Until::Finished);
        let text = hosted.logs(id, "main");
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.ends_with("\n0\n"), expected == "regular", "{text}");
        hosted.delete(id);
    }
    hosted.end();
}

/// Runs a test once more as `nobody`, in a mount namespace that a script has changed before.
fn as_nobody(script: &str, test: &str) {
    use std::os::fd::AsRawFd;
    let _before = Before::now();
    let program = super::confined::this_program();
    let keep = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(&program, keep).unwrap();
    let script = format!(
        "{script}; cd / && exec setpriv --reuid=nobody --regid=65534 --clear-groups \
         /proc/self/fd/{} {test} --exact --nocapture",
        program.as_raw_fd()
    );
    let mut command = std::process::Command::new("unshare");
    // Root's own may be closed to others.
    command.env("TMPDIR", "/tmp");
    let output = command.args(["-m", "sh", "-c", &script]).output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.concat();
    assert!(
        text.contains("1 passed") && !text.contains("skipped"),
        "{text}"
    );
}

/// Gives `nobody` ids, in a mount namespace.
const RANGES: &str = "echo nobody:300000:65536 > /dev/shm/podlife-ids-$$; for file in subuid subgid; do \
    mount --bind /dev/shm/podlife-ids-$$ /etc/$file || exit; done; rm /dev/shm/podlife-ids-$$";

/// More than one id, without being root.
#[test]
fn an_ordinary_user_has_the_ids_it_was_given() {
    if is_root() {
        if !std::path::Path::new("/usr/bin/newuidmap").exists() {
            return println!("skipped: ranges of ids: newuidmap (package uidmap) is not installed");
        }
        return as_nobody(RANGES, "users::an_ordinary_user_has_the_ids_it_was_given");
    }
    if let Err(why) = podlife::linux::user::IdMaps::ranges().unwrap() {
        return println!("skipped: ranges of ids: {why}");
    }
    let _before = Before::now();
    let state = State::new("ranges");
    let mut node = state.node();
    let script = "id -u; id -g; id -G; mkdir /tmp/data/own && touch /tmp/data/own/x; stat -c %u:%g:%a /tmp/data; stat -c %u:%g /tmp/data/own";
    let main = with(
        shell("main", script),
        json!({ "volumeMounts": [{ "name": "data", "mountPath": "/tmp/data" }] }),
    );
    let whole = json!({
        "securityContext": { "runAsUser": 1000, "runAsGroup": 1001, "fsGroup": 2000 },
        "volumes": [{ "name": "data", "emptyDir": {} }],
    });
    let manifest = spec(pod("ranges", "Never", json!([main])), whole);
    let id = node.create(valid(&manifest)).unwrap();
    node.wait(id, Until::Finished, LONG).unwrap();
    let mut text = String::new();
    let logs = node.logs(id, "main", Default::default());
    std::io::Read::read_to_string(&mut logs.unwrap(), &mut text).unwrap();
    assert_eq!(text, "1000\n1001\n1001 2000\n0:2000:2777\n1000:2000\n");
    // What belongs to others is removed all the same.
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    state.check();
}

/// As in most containers: the kernel gives no `/proc` of its own to a user namespace there.
#[test]
fn a_proc_that_is_partly_hidden_is_shown_as_it_is() {
    if is_root() {
        let mount = "mount -t tmpfs none /proc/driver";
        return as_nobody(
            mount,
            "users::a_proc_that_is_partly_hidden_is_shown_as_it_is",
        );
    }
    if podlife::linux::Features::probe()
        .unwrap()
        .proc_in_user_namespace
        .is_there()
    {
        return println!("skipped: a /proc that is partly hidden: it is shown in full here");
    }
    let mut hosted = Hosted::ephemeral();
    let script = "cat /proc/self/comm; ls -d /proc/driver; stat -c %F /proc/keys; grep -c ^Name /proc/1/status";
    let id = hosted.create(&pod("hidden", "Never", json!([shell("main", script)])));
    hosted.wait(id, Until::Finished);
    assert_eq!(
        hosted.logs(id, "main"),
        "cat\n/proc/driver\ncharacter special file\n1\n"
    );
    let told = hosted.until("Degraded", "/proc/driver hides a part of /proc");
    assert!(
        told.message().contains("see the processes outside"),
        "{told}"
    );
    hosted.delete(id);
    hosted.end();
}

/// Ids were given, but nobody is there to map them.
#[test]
fn without_newuidmap_it_is_said_what_is_missing() {
    if is_root() {
        if !std::path::Path::new("/etc/subuid").exists() {
            return println!("skipped: an absent newuidmap: there is no /etc/subuid to cover here");
        }
        let absent = "for tool in /usr/bin/newuidmap /usr/bin/newgidmap; do \
            test ! -e $tool || mount --bind /dev/null $tool || exit; done";
        return as_nobody(
            &format!("{RANGES}; {absent}"),
            "users::without_newuidmap_it_is_said_what_is_missing",
        );
    }
    match podlife::linux::user::IdMaps::ranges().unwrap() {
        Err(why) if why.contains("newgidmap are not installed") => {}
        other => {
            return println!(
                "skipped: an absent newuidmap: it is not what is missing here: {other:?}"
            );
        }
    }
    let mut hosted = Hosted::ephemeral();
    let user = json!({ "securityContext": { "runAsUser": 1000 } });
    let main = with(shell("main", "true"), user);
    let id = hosted.create(&pod("other", "Never", json!([main])));
    let event = hosted.until("Failed", "the user 1000 is not mapped");
    assert!(event.message().contains("newuidmap"), "{event}");
    hosted.kill(id);
    let id = hosted.create(&pod("own", "Never", json!([shell("main", "id -u")])));
    hosted.wait(id, Until::Finished);
    assert_eq!(hosted.logs(id, "main"), "0\n");
    hosted.delete(id);
    hosted.end();
}
