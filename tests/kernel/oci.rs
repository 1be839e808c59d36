//! Plans as OCI bundles: a runtime that is none of ours shows the same container to the process in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use podlife::Node;
use podlife::linux::oci::Bundle;
use podlife::linux::pause::{Key, Sandbox};
use podlife::model::{Pod, Valid};
use podlife::node::PodPlan;
use serde_json::{Value, json};

use crate::nobody;
use crate::sandbox::TestPod;

/// What a process sees of itself: a line a fact, `name: value`.
const LOOK: &str = r#"
grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\t ' ' '
for kind in net uts ipc pid mnt user cgroup; do echo "namespace $kind: $(readlink /proc/self/ns/$kind)"; done
echo "pid: $$"
echo "hostname: $(hostname)"
echo "directory: $(pwd)"
echo "umask: $(umask)"
echo "oom_score_adj: $(cat /proc/self/oom_score_adj)"
echo "descriptors: $(ls /proc/self/fd | tr '\n' ' ')"
echo "ports from: $(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)"
echo "hosts: $(md5sum < /etc/hosts)"
echo "root: $(ls -d /* | tr '\n' ' ')"
echo "masked: $(cat /proc/keys /proc/kcore 2>/dev/null | wc -c)"
echo "lo: $(cat /sys/class/net/lo/flags)"
tr '\0' '\n' < /proc/$$/environ | sed 's/^/variable /; s/=/: /'
sed 1d /proc/self/limits | sed 's/  */ /g; s/^\(Max [a-z ]*[a-z]\) \([0-9u]\)/limit \1: \2/'
while read -r _ _ _ _ at options rest; do rest=${rest#*- }; echo "mount $at: $options ${rest%% *}"; done < /proc/self/mountinfo
ls -l /dev | sed 1d | awk '{ print "device " $NF ": " $1 " " $5 " " $6 }' | grep -v ': -'
"#;

fn planned() -> PodPlan {
    let ids = match nobody::is_root() {
        true => {
            json!({ "runAsUser": 1234, "runAsGroup": 2345, "supplementalGroups": [7, 9], "fsGroup": 11 })
        }
        false => json!({}),
    };
    let mut whole = ids;
    whole["sysctls"] = json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "81" }]);
    let manifest = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "bundled" },
        "spec": {
            "securityContext": whole,
            "volumes": [
                { "name": "empty", "emptyDir": {} },
                { "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
                { "name": "host", "hostPath": { "path": "/usr" } }],
            "containers": [{
                "name": "main", "image": "podlife.local/host", "command": ["/bin/sh", "-c", LOOK.replace("$$", "$$$$")],
                "workingDir": "/usr/bin",
                "env": [{ "name": "GREETING", "value": "hello" }],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"] }
                },
                "volumeMounts": [
                    { "name": "empty", "mountPath": "/tmp/empty" },
                    { "name": "memory", "mountPath": "/tmp/memory" },
                    { "name": "host", "mountPath": "/tmp/host", "readOnly": true }]
            }]
        }
    });
    let pod = Valid::<Pod>::try_from(&*manifest.to_string()).unwrap();
    Node::ephemeral().unwrap().plan(&pod).unwrap()
}

fn facts(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| (name.to_owned(), seen(name, value.trim())))
        .collect()
}

/// Numbers of namespaces differ; whether they are the host's must not.
fn seen(name: &str, value: &str) -> String {
    let kind = name.strip_prefix("namespace ");
    let host = kind.and_then(|kind| std::fs::read_link(format!("/proc/self/ns/{kind}")).ok());
    match host {
        Some(host) if host == Path::new(value) => "the host's".into(),
        Some(_) => "its own".into(),
        None => value.to_owned(),
    }
}

/// In pause's hands, as the plan says.
fn run_here(bundle: &Bundle) -> BTreeMap<String, String> {
    let mut pod = TestPod::of(&Sandbox {
        namespaces: bundle.namespaces,
        user: podlife::linux::pause::User::of(bundle.users.as_ref()),
        ephemeral: true,
        ..Sandbox::new(&bundle.set_up)
    });
    facts(&pod.run(Key::container(0, 0), &bundle.container).1)
}

/// A directory that is removed at the end.
struct Exported(PathBuf);

impl Exported {
    fn new(name: &str) -> Exported {
        let name = format!("podlife-bundle-{name}-{}", std::process::id());
        Exported(std::env::temp_dir().join(name))
    }

    fn config(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.join("config.json")).unwrap()).unwrap()
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        assert!(std::thread::panicking() || removed.is_ok(), "{removed:?}");
    }
}

fn runtime() -> Option<&'static str> {
    let there = |name: &&str| {
        Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    ["crun", "runc"].into_iter().find(there)
}

/// With a mount and a cgroup namespace of its own, where cgroup2 is where runtimes look for it.
fn run_there(runtime: &str, bundle: &Path) -> Result<BTreeMap<String, String>, String> {
    let script = format!(
        "mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; \
         exec {runtime} --root {0}/state --cgroup-manager=disabled run --bundle {0} podlife-{1}",
        bundle.display(),
        std::process::id()
    );
    let user = if nobody::is_root() {
        &[][..]
    } else {
        &["--user", "--map-root-user"]
    };
    let mut command = Command::new("unshare");
    command
        .args(user)
        .args(["--mount", "--cgroup", "sh", "-c", &script]);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = facts(&String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        Ok(found)
    } else {
        Err(text)
    }
}

#[test]
fn another_runtime_shows_the_same_container() {
    if !nobody::is_root() {
        // crun writes the group map without renouncing setgroups, which only root may.
        return println!(
            "skipped: a bundle under another runtime: only root can run one with these ids"
        );
    }
    let Some(runtime) = runtime() else {
        return println!(
            "skipped: a bundle under another runtime: neither crun nor runc is installed"
        );
    };
    let planned = planned();
    let bundle = planned.bundle("main").unwrap();
    let exported = Exported::new("compared");
    let differences = bundle.export(&exported.0).unwrap();
    for difference in &differences {
        println!("{difference}");
    }
    let here = run_here(&bundle);
    let there = match run_there(runtime, &exported.0) {
        Ok(facts) => facts,
        Err(text) => panic!("{runtime}: {text}\n{:#}", exported.config()),
    };
    let names: BTreeSet<_> = here.keys().chain(there.keys()).collect();
    let mut wrong = Vec::new();
    for name in names
        .into_iter()
        .filter(|name| here.get(*name) != there.get(*name))
    {
        match DIFFERENT
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
        {
            Some(_) => {}
            None if is_of_the_hosts_root(name, &there) => {}
            None => wrong.push(format!(
                "{name}: podlife {:?}, {runtime} {:?}",
                here.get(name),
                there.get(name)
            )),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What differs, and why it may.
const DIFFERENT: [(&str, &str); 9] = [
    (
        "mount /etc/",
        "the pod's files are in a tmpfs of the pod's; the bundle has them on disk",
    ),
    ("mount /dev/termination-log", "the same"),
    ("mount /tmp/empty", "the same"),
    (
        "mount /proc/",
        "podlife keeps nosuid, nodev and noexec below; devices that mask files need no `ro`",
    ),
    (
        "mount /sys/firmware/",
        "covered by /sys, where the host's root is bound with all below it",
    ),
    ("mount /sys/fs/cgroup/", "the same"),
    (
        "device /proc/kcore",
        "a link that crun makes, to a path that is masked",
    ),
    (
        "namespace user",
        "podlife's is of the pod; the runtime here is already in one of its own",
    ),
    ("variable _", "the shell's own"),
];

/// The host's root is bound as one here, and directory by directory there.
fn is_of_the_hosts_root(name: &str, there: &BTreeMap<String, String>) -> bool {
    let path = name.strip_prefix("mount ").map(Path::new);
    let top =
        path.is_some_and(|path| path == Path::new("/") || path.parent() == Some(Path::new("/")));
    top && there
        .get(name)
        .is_some_and(|options| options.starts_with("ro,"))
}

/// Out and in again: the same container.
#[test]
fn an_exported_bundle_is_imported_as_what_it_was() {
    let planned = planned();
    let bundle = planned.bundle("main").unwrap();
    let exported = Exported::new("imported");
    bundle.export(&exported.0).unwrap();
    let imported = Bundle::import(&exported.0).unwrap();
    let (before, after) = (run_here(&bundle), run_here(&imported));
    assert!(before.len() > 60, "{before:#?}");
    for (name, value) in before
        .iter()
        .filter(|(name, _)| !name.starts_with("mount "))
    {
        assert_eq!(after.get(name), Some(value), "{name}");
    }
    let again = Exported::new("exported-again");
    imported.export(&again.0).unwrap();
    // Sets have no order; the process has told what is in them.
    let (mut one, mut other) = (exported.config(), again.config());
    for config in [&mut one, &mut other] {
        config["process"]["capabilities"].take();
    }
    assert_eq!(one["process"], other["process"]);
    assert_eq!(one["hostname"], other["hostname"]);
}

/// A bundle that podlife did not write, with seccomp.
#[test]
fn a_foreign_bundle_runs() {
    let exported = Exported::new("foreign");
    std::fs::create_dir_all(exported.0.join("rootfs")).unwrap();
    let bind =
        |path: &str| json!({ "destination": path, "source": path, "options": ["rbind", "ro"] });
    let there = |path: &&str| Path::new(path).is_dir();
    let mut mounts: Vec<_> = ["/usr", "/bin", "/lib", "/lib64"]
        .iter()
        .filter(|path| there(path))
        .map(|path| bind(path))
        .collect();
    mounts.push(json!({ "destination": "/proc", "type": "proc", "source": "proc" }));
    mounts.push(
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
    );
    let mut namespaces = json!([{ "type": "mount" }, { "type": "pid" }, { "type": "uts" }, { "type": "network" }, { "type": "ipc" }]);
    let mut linux = json!({ "seccomp": { "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99 }] } });
    if !nobody::is_root() {
        namespaces
            .as_array_mut()
            .unwrap()
            .push(json!({ "type": "user" }));
        linux["uidMappings"] =
            json!([{ "containerID": 0, "hostID": nix::unistd::geteuid().as_raw(), "size": 1 }]);
        linux["gidMappings"] =
            json!([{ "containerID": 0, "hostID": nix::unistd::getegid().as_raw(), "size": 1 }]);
    }
    linux["namespaces"] = namespaces;
    let config = json!({
        "ociVersion": "1.0.2", "hostname": "foreign", "linux": linux, "mounts": mounts,
        "root": { "path": "rootfs", "readonly": true },
        "annotations": { "org.example.key": "no effect" },
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/usr/bin:/bin", "NAME=value"],
            "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] },
            "args": ["sh", "-c", "hostname; echo $NAME; grep -E '^(CapEff|Seccomp):' /proc/self/status; ls /dev | tr '\n' ' '; touch /x 2>&1"] }
    });
    std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
    let bundle = Bundle::import(&exported.0).unwrap();
    let mut pod = TestPod::of(&Sandbox {
        namespaces: bundle.namespaces,
        user: podlife::linux::pause::User::of(bundle.users.as_ref()),
        ephemeral: true,
        ..Sandbox::new(&bundle.set_up)
    });
    let (_, text) = pod.run(Key::container(0, 0), &bundle.container);
    assert_eq!(
        text,
        "foreign\nvalue\nCapEff:\t0000000000000020\nSeccomp:\t2\n\
         fd full null ptmx random stderr stdin stdout tty urandom zero \
         touch: cannot touch '/x': Read-only file system\n"
    );
}

/// Nothing is dropped: what cannot be done is named.
#[test]
fn what_cannot_be_imported_is_an_error_that_names_the_field() {
    let exported = Exported::new("refused");
    std::fs::create_dir_all(exported.0.join("rootfs")).unwrap();
    let namespaces = json!([{ "type": "mount" }, { "type": "pid" }]);
    let good = json!({
        "ociVersion": "1.2.0", "root": { "path": "rootfs" }, "linux": { "namespaces": namespaces },
        "mounts": [{ "destination": "/proc", "type": "proc", "options": ["nosuid"] }],
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["true"] }
    });
    let path = exported.0.join("config.json");
    std::fs::write(&path, good.to_string()).unwrap();
    Bundle::import(&exported.0).unwrap();
    for (pointer, value, field) in unmapped() {
        let mut config = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match config.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
            parent => parent[name] = value,
        }
        std::fs::write(&path, config.to_string()).unwrap();
        let error = Bundle::import(&exported.0).expect_err(pointer);
        assert!(
            error.to_string().contains(field),
            "{field} is not in {error}"
        );
    }
}

/// Where something stands that podlife cannot do, what, and how it is named.
fn unmapped() -> Vec<(&'static str, Value, &'static str)> {
    let foreign_map = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    let with_user = json!([{ "type": "mount" }, { "type": "user" }]);
    vec![
        ("/ociVersion", json!("2.0"), "ociVersion"),
        (
            "/hooks",
            json!({ "prestart": [{ "path": "/bin/true" }] }),
            "hooks.prestart[0].path",
        ),
        ("/colour", json!("red"), "colour"),
        ("/process/commandLine", json!("true"), "process.commandLine"),
        (
            "/process/scheduler",
            json!({ "policy": "SCHED_FIFO" }),
            "process.scheduler.policy",
        ),
        (
            "/process/ioPriority",
            json!({ "class": "IOPRIO_CLASS_RT", "priority": 0 }),
            "process.ioPriority",
        ),
        (
            "/linux/resources",
            json!({ "memory": { "limit": 1 } }),
            "linux.resources.memory.limit",
        ),
        ("/linux/cgroupsPath", json!("/a"), "linux.cgroupsPath"),
        (
            "/linux/intelRdt",
            json!({ "closID": "x" }),
            "linux.intelRdt.closID",
        ),
        ("/linux/mountLabel", json!("label"), "linux.mountLabel"),
        (
            "/linux/namespaces/1/path",
            json!("/proc/1/ns/pid"),
            "linux.namespaces[1].path",
        ),
        (
            "/linux/namespaces",
            json!([{ "type": "pid" }]),
            "linux.namespaces",
        ),
        (
            "/linux/namespaces/1/type",
            json!("time"),
            "linux.namespaces[1].type",
        ),
        ("/linux/namespaces", with_user, "linux.uidMappings"),
        (
            "/linux/devices",
            json!([{ "path": "/dev/x", "type": "b", "major": 7, "minor": 0 }]),
            "linux.devices[0].type",
        ),
        ("/mounts/0/type", json!("nfs"), "mounts[0].type"),
        (
            "/mounts/0/options/0",
            json!("noatime"),
            "mounts[0].options[0]",
        ),
        (
            "/mounts/0/uidMappings",
            foreign_map,
            "mounts[0].uidMappings[0]",
        ),
    ]
}
