//! Users, groups, capabilities, and what else a container's processes have of their own.

use nix::sys::resource::{Resource as Number, setrlimit};
use podlife::linux::rlimit::{Resource, Rlimit};
use podlife::node::{Rootfs, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, container, pod, shell, spec, valid, with};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn context(more: Value) -> Value {
    json!({ "securityContext": more })
}

/// A script's whole output in a pod with these settings.
fn said(hosted: &mut Hosted, container: Value, more: Value) -> String {
    let id = hosted.create(&spec(pod("said", "Never", json!([container])), more));
    hosted.wait(id, Until::Finished);
    let text = hosted.logs(id, "main");
    hosted.delete(id);
    text
}

/// On disk and in memory: the volume is the group's, and what is made in it too.
#[test]
fn a_container_is_who_it_shall_be_and_owns_its_volume() {
    if !is_root() {
        println!(
            "skipped: runAsUser and fsGroup: an ordinary user's pods have one user and one group"
        );
        return;
    }
    let script = "id -u; id -g; id -G; echo $HOME; stat -c %g:%a /data /shm; touch /data/x /shm/x; stat -c %u:%g /data/x /shm/x";
    let mounts = json!([
        { "name": "data", "mountPath": "/tmp/data" }, { "name": "shm", "mountPath": "/tmp/shm" }
    ]);
    let main = shell(
        "main",
        &script
            .replace("/data", "/tmp/data")
            .replace("/shm", "/tmp/shm"),
    );
    let own = with(
        with(main, json!({ "volumeMounts": mounts })),
        context(json!({ "runAsUser": 4321 })),
    );
    let whole = json!({
        "securityContext": { "runAsUser": 1, "runAsGroup": 777, "supplementalGroups": [888], "fsGroup": 999 },
        "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "shm", "emptyDir": { "medium": "Memory" } }],
    });
    let expected = "4321\n777\n777 888 999\n/\n999:2777\n999:2777\n4321:999\n4321:999\n";
    let mut hosted = Hosted::ephemeral();
    assert_eq!(said(&mut hosted, own.clone(), whole.clone()), expected);
    hosted.end();

    let _before = Before::now();
    let state = super::recovery::State::new("owner");
    let mut node = state.node();
    let id = node
        .create(valid(&spec(pod("said", "Never", json!([own])), whole)))
        .unwrap();
    node.wait(id, Until::Finished, super::hosted::LONG).unwrap();
    let mut text = String::new();
    let logs = node.logs(id, "main", Default::default());
    std::io::Read::read_to_string(&mut logs.unwrap(), &mut text).unwrap();
    assert_eq!(text, expected);
    node.delete(id, Default::default()).unwrap();
    node.wait(id, Until::Deleted, super::hosted::LONG).unwrap();
    drop(node);
    state.check();
}

#[test]
fn the_image_says_more_of_a_user_unless_the_policy_is_strict() {
    if !is_root() {
        println!(
            "skipped: supplementalGroupsPolicy: an ordinary user's pods have no further groups"
        );
        return;
    }
    let _before = Before::now();
    let root = std::env::temp_dir().join(format!("podlife-accounts-{}", std::process::id()));
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/passwd"), "web:x:33:34::/srv/web:/bin/sh\n").unwrap();
    std::fs::write(root.join("etc/group"), "adm:x:4:web\n").unwrap();
    let rootfs = Rootfs::directory(&root);
    let node = before::open(podlife::Node::options().rootfs("example.com/accounts", rootfs));
    let plan = |policy: &str| {
        let image = json!({ "image": "example.com/accounts", "imagePullPolicy": "Never" });
        let main = json!([with(shell("main", "true"), image)]);
        let whole = context(
            json!({ "runAsUser": 33, "supplementalGroups": [5], "supplementalGroupsPolicy": policy }),
        );
        node.plan(&valid(&spec(pod("web", "Never", main), whole)))
            .unwrap()
            .to_string()
    };
    let merged = plan("Merge");
    assert!(merged.contains("supplementary groups [5, 4]"), "{merged}");
    assert!(merged.contains("become group 34\n"), "{merged}");
    let strict = plan("Strict");
    assert!(strict.contains("supplementary groups [5]"), "{strict}");
    drop(node);
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn root_is_refused_where_it_must_not_be() {
    let mut hosted = Hosted::ephemeral();
    for (settings, words) in [
        (
            json!({ "runAsNonRoot": true }),
            "container has runAsNonRoot and image will run as root",
        ),
        (
            json!({ "runAsNonRoot": true, "runAsUser": 0 }),
            "container's runAsUser breaks non-root policy",
        ),
    ] {
        hosted.seen.clear();
        let id = hosted.create(&pod(
            "root",
            "Never",
            json!([with(shell("main", "true"), context(settings))]),
        ));
        hosted.until("Failed", words);
        let status = container(hosted.node.pod(id).unwrap().status(), "main").clone();
        assert_eq!(
            status.state.unwrap().waiting.unwrap().reason.unwrap(),
            "CreateContainerConfigError"
        );
        hosted.delete(id);
    }
    hosted.end();
}

/// Kubernetes gives another user than root no capability; the option gives what is added.
#[test]
fn capabilities_reach_another_user_only_where_that_is_chosen() {
    if !is_root() {
        println!("skipped: ambient capabilities: an ordinary user's pods have no other user");
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let main = with(
        shell("main", "grep -E '^Cap(Eff|Amb|Bnd):' /proc/self/status"),
        context(
            json!({ "runAsUser": 4321, "capabilities": { "add": ["NET_ADMIN", "KILL"], "drop": ["ALL"] } }),
        ),
    );
    let set = |bits: u64| format!("{bits:016x}\n");
    let (none, both) = (set(0), set(1 << 12 | 1 << 5));
    let plain = said(&mut hosted, main.clone(), json!({}));
    assert_eq!(
        plain,
        format!("CapEff:\t{none}CapBnd:\t{both}CapAmb:\t{none}")
    );
    let mut manifest = pod("ambient", "Never", json!([main]));
    manifest["metadata"]["annotations"] = json!({ "podlife.io/ambientCapabilities": "true" });
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Finished);
    assert_eq!(
        hosted.logs(id, "main"),
        format!("CapEff:\t{both}CapBnd:\t{both}CapAmb:\t{both}")
    );
    hosted.delete(id);
    hosted.end();
}

/// Of the pod's IPC namespace, not the container's.
#[test]
fn containers_share_their_memory() {
    let mut hosted = Hosted::ephemeral();
    let containers = json!([
        shell("giver", "echo here > /dev/shm/x; exec sleep 1000"),
        shell(
            "taker",
            "until grep here /dev/shm/x 2>/dev/null; do sleep 0.02; done; exec sleep 1000"
        ),
    ]);
    let id = hosted.create(&pod("shm", "Always", containers));
    hosted.printed(id, "taker", "here");
    hosted.delete(id);
    hosted.end();
}

/// The limits, the nice value and the processors of the program that runs the Node are its own.
#[test]
fn nothing_is_inherited_from_the_program() {
    let mut hosted = Hosted::ephemeral();
    let text = said(
        &mut hosted,
        shell("main", "cut -d' ' -f19 /proc/self/stat; nproc"),
        json!({}),
    );
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let processors = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    assert_eq!(text, format!("0\n{processors}\n"));
    hosted.end();
}

/// Those of the kubelet's pods, within what this program may give.
#[test]
fn resource_limits_are_not_inherited_from_the_program() {
    const MIB: u64 = 1 << 20;
    let own = |resource| Rlimit::own(resource).unwrap();
    let lowered = [
        (Number::RLIMIT_CPU, own(Resource::Cpu), 1000),
        (Number::RLIMIT_CORE, own(Resource::Core), 0),
        (Number::RLIMIT_STACK, own(Resource::Stack), 4 * MIB),
        (Number::RLIMIT_NOFILE, own(Resource::Nofile), 900),
    ];
    let mut hosted = Hosted::ephemeral();
    for (number, limit, soft) in &lowered {
        setrlimit(*number, (*soft).min(limit.hard), limit.hard).unwrap();
    }
    let script = shell("main", "cat /proc/self/limits");
    let text = said(&mut hosted, script, json!({}));
    for (number, limit, _) in &lowered {
        setrlimit(*number, limit.soft, limit.hard).unwrap();
    }
    hosted.end();
    let seen = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        let mut words = line.unwrap().split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    };
    let within = |resource, soft: u64, hard: u64| {
        let hard = own(resource).hard.min(hard);
        let limit = Rlimit::new(resource, soft.min(hard), hard).unwrap();
        let text = limit.to_string();
        let (soft, hard) = text.split_once('=').unwrap().1.split_once(':').unwrap();
        (soft.to_owned(), hard.to_owned())
    };
    const NONE: u64 = Rlimit::INFINITY;
    assert_eq!(seen("Max cpu time"), within(Resource::Cpu, NONE, NONE));
    assert_eq!(
        seen("Max core file size"),
        within(Resource::Core, NONE, NONE)
    );
    assert_eq!(
        seen("Max stack size"),
        within(Resource::Stack, 8 * MIB, NONE)
    );
    assert_eq!(
        seen("Max open files"),
        within(Resource::Nofile, 1024, 524_288)
    );
    assert_eq!(seen("Max processes"), within(Resource::Nproc, NONE, NONE));
}
