//! Plans as OCI bundles: a runtime that is none of ours shows the same container to the process in it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::Node;
use podlife::cgroup::{
    CPU_WEIGHT, Cgroup, Controller, DeviceKind, DeviceRule, DeviceRules, Hierarchy, Limits, Verdict,
};
use podlife::linux::oci::Bundle;
use podlife::linux::pause::plan::Step;
use podlife::linux::pause::{Attach, Cgroup as Cgroups, Key, Report, Request, Sandbox, Start};
use podlife::model::cpu_share::WeightFormula;
use podlife::model::{Pod, Valid};
use podlife::namespace::{Namespace, NamespaceKind, Namespaces};
use podlife::node::PodPlan;
use serde_json::{Value, json};

use crate::nobody;
use crate::sandbox::{PATIENCE, TestPod};
use crate::scratch::Scratch;

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
echo "refused unshare: $(unshare --user true 2>&1)"
echo "refused setarch: $(setarch --addr-no-randomize true 2>&1)"
echo "refused vsock: $(perl -e 'socket(S, 40, 1, 0) or print $!' 2>&1)"
echo "allowed unix: $(perl -e 'socket(S, 1, 1, 0) and print 1' 2>&1)"
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
    whole["seccompProfile"] = json!({ "type": "RuntimeDefault" });
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
                "resources": { "requests": { "cpu": "250m" }, "limits": { "cpu": "500m", "memory": "64Mi" } },
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
    let mut pod = sandbox_of(bundle);
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

fn runtimes() -> Vec<&'static str> {
    let there = |name: &&str| {
        Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    ["crun", "runc"].into_iter().filter(there).collect()
}

/// With a mount and a cgroup namespace of its own, where cgroup2 is where runtimes look for it.
fn run_there(runtime: &str, bundle: &Path) -> Result<BTreeMap<String, String>, String> {
    let no_cgroups = match runtime {
        "crun" => "--cgroup-manager=disabled",
        _ => "",
    };
    let script = format!(
        "mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; \
         exec {runtime} --root {0}/state-{runtime} {no_cgroups} run --bundle {0} podlife-{1}",
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

/// A sandbox as the bundle has it.
fn sandbox_of(bundle: &Bundle) -> TestPod {
    TestPod::of(&Sandbox {
        namespaces: bundle.namespaces,
        user: podlife::linux::pause::User::of(bundle.users.as_ref()),
        ephemeral: true,
        ..Sandbox::new(&bundle.set_up)
    })
}

#[test]
fn another_runtime_shows_the_same_container() {
    if !nobody::is_root() {
        // crun writes the group map without renouncing setgroups, which only root may.
        return println!(
            "skipped: a bundle under another runtime: only root can run one with these ids"
        );
    }
    let runtimes = runtimes();
    if runtimes.is_empty() {
        return println!(
            "skipped: a bundle under another runtime: neither crun nor runc is installed"
        );
    }
    let planned = planned();
    let bundle = planned.bundle("main").unwrap();
    let exported = Exported::new("compared");
    assert_eq!(bundle.export(&exported.0).unwrap(), []);
    // The one is told to leave cgroups alone; the other cannot limit where cgroup v2 has no controllers.
    let mut config = exported.config();
    config["linux"]["resources"].take();
    std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
    let here = run_here(&bundle);
    assert_eq!(here["Seccomp"], "2");
    assert!(here["refused unshare"].contains("Operation not permitted"));
    for runtime in runtimes {
        match run_there(runtime, &exported.0) {
            Ok(there) => compare(&here, runtime, &there),
            Err(text) => panic!("{runtime}: {text}\n{config:#}"),
        }
    }
}

fn compare(here: &BTreeMap<String, String>, runtime: &str, there: &BTreeMap<String, String>) {
    let names: BTreeSet<_> = here.keys().chain(there.keys()).collect();
    let expected = |name: &str| {
        let known = DIFFERENT.iter().any(|(prefix, _)| name.starts_with(prefix));
        known || is_of_the_hosts_root(name, there)
    };
    let differ = names
        .into_iter()
        .filter(|name| here.get(*name) != there.get(*name));
    let wrong: Vec<_> = differ
        .filter(|name| !expected(name))
        .map(|name| {
            let (here, there) = (here.get(name), there.get(name));
            format!("{name}: podlife {here:?}, {runtime} {there:?}")
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What differs, and why it may.
const DIFFERENT: [(&str, &str); 8] = [
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
        "mount /sys/",
        "covered by /sys, where the host's root is bound with all below it",
    ),
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

/// Where cgroup v2 has the controllers: what another runtime writes there is what podlife would.
#[test]
fn another_runtime_sets_the_same_limits() {
    let host = Hierarchy::find().unwrap().filter(|found| {
        let top = Cgroup::open(&found.mount).and_then(|top| top.controllers());
        let needed = Controller::Cpu | Controller::Memory;
        top.is_ok_and(|there| (needed - there).is_empty())
    });
    if host.is_none() || !nobody::is_root() || !runtimes().contains(&"crun") {
        return println!(
            "skipped: limits under another runtime: needs root, crun, and a cgroup v2 with cpu and memory"
        );
    }
    let bundle = planned().bundle("main").unwrap();
    let exported = Exported::new("limited");
    bundle.export(&exported.0).unwrap();
    let mut config = exported.config();
    let script =
        "cd /sys/fs/cgroup; for file in *.*; do echo \"$file: $(cat $file)\"; done 2>/dev/null";
    config["process"]["args"] = json!(["sh", "-c", script]);
    std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
    let name = format!("podlife-limited-{}", std::process::id());
    let mut crun = Command::new("crun");
    crun.arg("--root").arg(exported.0.join("state"));
    crun.args(["--cgroup-manager=cgroupfs", "run", "--bundle"])
        .arg(&exported.0)
        .arg(&name);
    let output = crun.stdin(std::process::Stdio::null()).output().unwrap();
    let there = facts(&String::from_utf8_lossy(&output.stdout));
    let expected = facts(
        &bundle
            .limits
            .texts()
            .map(|(file, text)| format!("{file}: {text}\n"))
            .collect::<String>(),
    );
    assert!(expected.len() > 3, "{expected:?}");
    for (file, text) in &expected {
        assert_eq!(there.get(file), Some(text), "{file}: {output:?}");
    }
}

/// Every setting of cgroup v2 survives the way out and in.
#[test]
fn limits_are_exported_and_imported_as_they_were() {
    let texts = [
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "1000"),
        ("cpu.weight", "35"),
        ("cpu.idle", "0"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("memory.min", "4096"),
        ("memory.low", "8192"),
        ("memory.high", "max"),
        ("memory.max", "67108864"),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("pids.max", "max"),
        (
            "io.max",
            "8:0 rbps=1024 wbps=max riops=max wiops=7\n8:16 rbps=max wbps=1 riops=max wiops=max",
        ),
        ("io.weight", "default 50"),
        ("hugetlb.2MB.max", "4194304"),
    ];
    let set = |limits: Limits, (file, text)| limits.set_text(file, text).unwrap();
    let limits = texts.into_iter().fold(Limits::new(), set);
    let bundle = planned().bundle("main").unwrap().limits(limits.clone());
    let exported = Exported::new("limits");
    assert_eq!(bundle.export(&exported.0).unwrap(), []);
    let resources = &exported.config()["linux"]["resources"];
    assert_eq!(resources["memory"], json!({ "limit": 67_108_864 }));
    assert_eq!(resources["pids"], json!({ "limit": -1 }));
    assert_eq!(resources["unified"]["memory.high"], "max");
    let imported = Bundle::import(&exported.0).unwrap().limits;
    let sorted = |limits: &Limits| {
        let all = limits
            .texts()
            .map(|(file, text)| (file.into(), text.into()));
        all.collect::<BTreeMap<String, String>>()
    };
    assert_eq!(sorted(&imported), sorted(&limits));

    let devices = limits.set_text("io.weight", "default 50\n8:0 10").unwrap();
    let bundle = bundle.limits(devices);
    let again = Exported::new("limits-again");
    let differences = bundle.export(&again.0).unwrap();
    assert_eq!(differences[0].step, "io.weight=default 50, 8:0 10");
}

/// As other programs write it: fields that are older than cgroup v2.
#[test]
fn limits_that_others_wrote_are_those_of_cgroup_v2() {
    let exported = Exported::new("others");
    std::fs::create_dir_all(exported.0.join("rootfs")).unwrap();
    let device = json!([{ "major": 8, "minor": 0, "rate": 600 }]);
    let resources = json!({
        "memory": { "limit": 100, "reservation": 50, "swap": 300 },
        "cpu": { "shares": 1024, "quota": -1, "period": 50_000, "burst": 5, "idle": 1, "cpus": "0,1" },
        "pids": { "limit": 0 },
        "blockIO": { "weight": 1000, "throttleReadIOPSDevice": device },
        "hugepageLimits": [{ "pageSize": "1GB", "limit": 0 }],
        "unified": { "memory.high": "90" }
    });
    let config = json!({
        "ociVersion": "1.2.0", "root": { "path": "rootfs" },
        "linux": { "namespaces": [{ "type": "mount" }], "resources": resources },
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["true"] }
    });
    std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
    let limits = Bundle::import(&exported.0).unwrap().limits;
    assert_eq!(
        limits.to_string(),
        "memory.low=50, memory.max=100, memory.swap.max=200, cpu.weight=100, cpu.max=max 50000, cpu.max.burst=5, \
         cpu.idle=1, cpuset.cpus=0-1, pids.max=max, io.weight=default 10000, \
         io.max=8:0 rbps=max wbps=max riops=600 wiops=max, hugetlb.1GB.max=0, memory.high=90"
    );
    for shares in (0..3000)
        .step_by(97)
        .chain([2, 1024, 100_000, 262_143, 1 << 40])
    {
        let mut config = config.clone();
        config["linux"]["resources"] = json!({ "cpu": { "shares": shares } });
        std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
        let limits = Bundle::import(&exported.0).unwrap().limits;
        let weight = (shares > 0).then(|| WeightFormula::Quadratic.weight(shares));
        assert_eq!(limits.value(&CPU_WEIGHT), weight, "{shares} shares");
    }
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
    let mut pod = sandbox_of(&bundle);
    let (_, text) = pod.run(Key::container(0, 0), &bundle.container);
    assert_eq!(
        text,
        "foreign\nvalue\nCapEff:\t0000000000000020\nSeccomp:\t2\n\
         fd full null ptmx random stderr stdin stdout tty urandom zero \
         touch: cannot touch '/x': Read-only file system\n"
    );
}

/// As containerd writes it for a container whose sandbox is there.
#[test]
fn a_bundle_names_namespaces_that_are_there() {
    if !nobody::is_root() {
        return println!("skipped: a bundle in foreign namespaces: needs root");
    }
    let exported = Exported::new("joined");
    std::fs::create_dir_all(exported.0.join("rootfs")).unwrap();
    let kinds = Namespaces::UTS | Namespaces::IPC | Namespaces::NET;
    let mut held = Namespace::create(kinds).unwrap();
    let sleeper = podlife::linux::Command::new(["sleep", "600"]).namespaces(Namespaces::PID);
    let sleeper = sleeper.spawn().unwrap();
    held.push(Namespace::of(sleeper.process(), NamespaceKind::Pid).unwrap());
    let listed = held.iter().map(|namespace| {
        let kind = match namespace.kind() {
            NamespaceKind::Net => "network",
            other => other.file(),
        };
        let path = format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd());
        json!({ "type": kind, "path": path })
    });
    let mut listed: Vec<_> = listed.collect();
    listed.push(json!({ "type": "mount" }));
    let there = |path: &&str| Path::new(path).is_dir();
    let bind = |path| json!({ "destination": path, "source": path, "options": ["rbind", "ro"] });
    let all = ["/usr", "/bin", "/lib", "/lib64", "/proc"];
    let mounts: Vec<_> = all.iter().filter(|path| there(path)).map(bind).collect();
    let kinds: Vec<_> = held
        .iter()
        .map(|namespace| namespace.kind().file())
        .collect();
    let script = kinds
        .iter()
        .map(|kind| format!("readlink /proc/self/ns/{kind};"));
    let script = script.collect::<String>() + "hostname";
    let config = json!({
        "ociVersion": "1.0.2", "hostname": "joined", "root": { "path": "rootfs" }, "mounts": mounts,
        "linux": { "namespaces": listed },
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/usr/bin:/bin"], "args": ["sh", "-c", script] }
    });
    std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
    let bundle = Bundle::import(&exported.0).unwrap();
    let before = nix::unistd::gethostname().unwrap();
    let mut pod = TestPod::of(&Sandbox {
        namespaces: bundle.namespaces,
        ephemeral: true,
        ..Sandbox::new(&bundle.set_up)
    });
    let (_, text) = pod.run(Key::container(0, 0), &bundle.container);
    let inodes = held.iter().map(|namespace| {
        let (kind, inode) = (namespace.kind().file(), namespace.identity().inode);
        format!("{kind}:[{inode}]\n")
    });
    assert_eq!(text, inodes.collect::<String>() + "joined\n");
    assert_eq!(nix::unistd::gethostname().unwrap(), before);
}

/// A bundle with a shell and what that needs, written by `config`.
fn with_shell(name: &str, config: impl FnOnce(&Path)) -> Exported {
    let exported = Exported::new(name);
    let root = exported.0.join("rootfs");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/sh", root.join("bin/sh")).unwrap();
    let needed = Command::new("ldd").arg("/bin/sh").output().unwrap();
    let needed = String::from_utf8_lossy(&needed.stdout).into_owned();
    for library in needed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let target = root.join(library.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(library, target).unwrap();
    }
    config(&exported.0);
    exported
}

/// Types a line into the terminal of a shell, waits until it has `answer`, and has it exit with 7.
fn answers(pod: &mut TestPod, start: Start<'_>, line: &str, answer: &str) {
    let key = start.key;
    pod.start(Start {
        terminal: true,
        ..start
    });
    pod.send(Request::Attach(Attach {
        ticket: 1,
        key,
        stdout: None,
        stderr: None,
        once: true,
    }));
    let attached = pod.wait(|report| matches!(report, Report::Attached { .. }));
    let Report::Attached {
        input: Ok(Some(terminal)),
        ..
    } = attached
    else {
        panic!("{attached:?}");
    };
    nix::unistd::write(&terminal, line.as_bytes()).unwrap();
    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.contains(answer) {
        let mut fds = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::try_from(PATIENCE).unwrap()).unwrap();
        assert!(ready > 0, "no answer after {text:?}");
        let size = nix::unistd::read(&terminal, &mut piece).unwrap_or_else(|_| panic!("{text:?}"));
        text.push_str(&String::from_utf8_lossy(&piece[..size]));
    }
    nix::unistd::write(&terminal, b"exit 7\n").unwrap();
    assert_eq!(pod.exit(key).code(), 7, "{text:?}");
}

/// As `runc spec` writes it: with a terminal, and a rule for devices.
#[test]
fn the_bundle_that_runc_begins_with_runs() {
    if !nobody::is_root() {
        return println!(
            "skipped: the bundle of runc spec: its ids are the host's, which takes root"
        );
    }
    let exported = with_shell("spec", |bundle| {
        let mut runc = Command::new("runc");
        let written = runc.args(["spec", "--bundle"]).arg(bundle).status();
        if !written.is_ok_and(|status| status.success()) {
            // It is not installed: the same as runc 1.1.5 writes it.
            std::fs::write(bundle.join("config.json"), include_str!("runc-spec.json")).unwrap();
        }
    });
    let bundle = Bundle::import(&exported.0).unwrap();
    assert_eq!(bundle.devices, DeviceRules::usual());
    let scratch = Scratch::new("the bundle of runc spec");
    if let Some(scratch) = &scratch {
        match bundle.devices.load() {
            Ok(program) => program.attach(&scratch.0).unwrap(),
            Err(why) => println!("skipped: its rules for devices: {why}"),
        }
    }
    let mut pod = TestPod::of(&Sandbox {
        namespaces: bundle.namespaces,
        ephemeral: true,
        ..Sandbox::new(&bundle.set_up)
    });
    let start = Start {
        cgroup: scratch
            .as_ref()
            .map_or(Cgroups::Inherit, |scratch| Cgroups::Into(scratch.0.as_fd())),
        ..Start::new(Key::container(0, 0), &bundle.container)
    };
    let line = "read name </proc/sys/kernel/hostname; true >/dev/null </dev/tty && echo is $name\n";
    answers(&mut pod, start, line, "is runc");
}

/// Rules for devices and clocks of a time namespace, out and in.
#[test]
fn devices_and_clocks_are_exported_and_imported_as_they_were() {
    let bundle = planned().bundle("main").unwrap();
    assert_eq!(bundle.devices, DeviceRules::usual());
    let rule = |verdict, access: &str| DeviceRule {
        verdict,
        access: access.parse().unwrap(),
        ..DeviceRule::ALLOW_ALL
    };
    let lists = [
        DeviceRules::usual(),
        DeviceRules::everything(),
        DeviceRules::new([
            rule(Verdict::Allow, "rwm"),
            DeviceRule {
                kind: Some(DeviceKind::Block),
                major: Some(8),
                ..rule(Verdict::Deny, "w")
            },
        ]),
        DeviceRules::new([DeviceRule {
            kind: Some(DeviceKind::Char),
            minor: Some(200),
            ..rule(Verdict::Allow, "rm")
        }]),
    ];
    for (at, rules) in lists.into_iter().enumerate() {
        let mut ahead = bundle.clone().devices(rules.clone());
        ahead.set_up.push(Step::TimeNamespace {
            monotonic: 86_400,
            boottime: -1,
        });
        let exported = Exported::new(&format!("devices-{at}"));
        assert_eq!(ahead.export(&exported.0).unwrap(), []);
        let config = exported.config();
        let first = &config["linux"]["resources"]["devices"][0];
        assert_eq!(first["allow"], json!(at != 0), "{first}");
        let imported = Bundle::import(&exported.0).unwrap();
        let expected: Vec<_> = match at {
            // As runc and crun do it.
            2.. => rules
                .rules()
                .iter()
                .chain(&DeviceRules::USUAL)
                .copied()
                .collect(),
            _ => rules.rules().to_vec(),
        };
        assert_eq!(imported.devices.rules(), expected);
        let clocks = |step: &&Step| matches!(step, Step::TimeNamespace { .. });
        assert_eq!(
            imported.set_up.steps().iter().find(clocks),
            ahead.set_up.steps().iter().find(clocks)
        );
    }
}

/// A container whose clocks are ahead.
#[test]
fn a_bundle_has_clocks_of_its_own() {
    if !Path::new("/proc/self/ns/time").exists() {
        return println!("skipped: clocks of a bundle: this kernel has no time namespaces");
    }
    let ahead = 40_000_000;
    let exported = Exported::new("clocks");
    planned()
        .bundle("main")
        .unwrap()
        .export(&exported.0)
        .unwrap();
    let mut config = exported.config();
    config["process"]["args"] = json!(["/bin/sh", "-c", "cut -d. -f1 /proc/uptime"]);
    config["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "type": "time" }));
    config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": ahead, "nanosecs": 0 } });
    std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
    let bundle = Bundle::import(&exported.0).unwrap();
    let mut pod = sandbox_of(&bundle);
    let (_, text) = pod.run(Key::container(0, 0), &bundle.container);
    let uptime: u64 = text.trim().parse().unwrap_or_else(|_| panic!("{text}"));
    assert!(uptime >= ahead, "{uptime}");
    config["linux"]["timeOffsets"]["boottime"]["nanosecs"] = json!(1);
    std::fs::write(exported.0.join("config.json"), config.to_string()).unwrap();
    let error = Bundle::import(&exported.0).unwrap_err().to_string();
    assert!(
        error.contains("linux.timeOffsets.boottime.nanosecs"),
        "{error}"
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
    let resources = unmapped_resources().into_iter();
    let more = resources.map(|(value, field)| ("/linux/resources", value, field));
    let more = more.chain(of_the_host());
    for (pointer, value, field) in unmapped().into_iter().chain(more) {
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
        ("/linux/cgroupsPath", json!("/a"), "linux.cgroupsPath"),
        (
            "/linux/intelRdt",
            json!({ "closID": "x" }),
            "linux.intelRdt.closID",
        ),
        ("/linux/mountLabel", json!("label"), "linux.mountLabel"),
        (
            "/linux/namespaces/1/path",
            json!("/proc/self/ns/net"),
            "linux.namespaces[1].path",
        ),
        (
            "/linux/namespaces/0/path",
            json!("/proc/self/ns/mnt"),
            "linux.namespaces[0].path",
        ),
        (
            "/linux/namespaces",
            json!([{ "type": "pid" }]),
            "linux.namespaces",
        ),
        (
            "/linux/timeOffsets",
            json!({ "boottime": { "secs": 60 } }),
            "linux.timeOffsets",
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

fn unmapped_resources() -> [(Value, &'static str); 9] {
    let device = |field: &str, value: Value| {
        let mut rule = json!({ "allow": false, "access": "rwm" });
        rule[field] = value;
        json!({ "devices": [rule] })
    };
    let page = json!([{ "pageSize": "3MiB", "limit": 1 }]);
    [
        (
            json!({ "memory": { "kernel": 1 } }),
            "linux.resources.memory.kernel",
        ),
        (
            device("access", json!("rx")),
            "linux.resources.devices[0].access",
        ),
        (
            device("type", json!("p")),
            "linux.resources.devices[0].type",
        ),
        (
            device("minor", json!(-2)),
            "linux.resources.devices[0].minor",
        ),
        (
            json!({ "memory": { "swap": 1 } }),
            "linux.resources.memory.swap",
        ),
        (
            json!({ "cpu": { "cpus": "all" } }),
            "linux.resources.cpu.cpus",
        ),
        (
            json!({ "hugepageLimits": page }),
            "linux.resources.hugepageLimits[0].pageSize",
        ),
        (
            json!({ "unified": { "memory.colour": "red" } }),
            "linux.resources.unified.memory.colour",
        ),
        (
            json!({ "unified": { "pids.max": "red" } }),
            "linux.resources.unified.pids.max",
        ),
    ]
}

/// In a bundle with no namespace that would have it.
fn of_the_host() -> [(&'static str, Value, &'static str); 3] {
    let forward = json!({ "net.ipv4.ip_forward": "1" });
    [
        ("/hostname", json!("the-hosts"), "hostname"),
        ("/linux/sysctl", forward, "linux.sysctl.net.ipv4.ip_forward"),
        (
            "/linux/sysctl",
            json!({ "kernel.panic": "1" }),
            "linux.sysctl.kernel.panic",
        ),
    ]
}
