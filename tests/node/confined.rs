//! seccomp, masked paths, sysctls and labels: what a container may do to the kernel, and what still works.

use std::io::{Read, Write};
use std::path::PathBuf;

use podlife::node::{Exec, NodeOptions, Rootfs, Until};
use podlife::{Kind, Node};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, shell, spec, valid, with};

pub(super) fn seccomp(kind: &str) -> Value {
    json!({ "securityContext": { "seccompProfile": { "type": kind } } })
}

fn hosted(options: NodeOptions) -> Hosted {
    Hosted::with(|| before::open(options))
}

/// A script's whole output in a pod with one container.
pub(super) fn said(hosted: &mut Hosted, container: Value, more: Value) -> String {
    let id = hosted.create(&spec(pod("said", "Never", json!([container])), more));
    hosted.wait(id, Until::Finished);
    let text = hosted.logs(id, "main");
    hosted.delete(id);
    text
}

/// A user namespace is what anybody can make, unless something forbids it.
#[test]
fn runtime_default_refuses_what_unconfined_allows() {
    let mut hosted = Hosted::ephemeral();
    let script = "unshare -U true 2>&1 && echo made";
    let mut made = |kind: &str| {
        said(
            &mut hosted,
            with(shell("main", &format!("{script}; true")), seccomp(kind)),
            json!({}),
        )
    };
    if made("Unconfined") != "made\n" {
        println!("skipped: a user namespace refused by seccomp: this host gives nobody one");
    } else {
        assert_eq!(
            made("RuntimeDefault"),
            "unshare: unshare failed: Operation not permitted\n"
        );
    }
    hosted.end();
}

/// The pod's profile is for the containers that have none of their own; nothing confines a privileged one.
#[test]
fn each_container_has_its_own_profile_and_a_whole_set_of_rights() {
    let mut hosted = Hosted::ephemeral();
    let script = "grep -E '^(Seccomp|NoNewPrivs|CapPrm):' /proc/self/status; exec sleep 1000";
    let context = |more: Value| json!({ "securityContext": more });
    let containers = json!([
        shell("pods", script),
        with(shell("none", script), seccomp("Unconfined")),
        with(
            shell("privileged", script),
            context(json!({ "privileged": true }))
        ),
        with(
            shell("renounced", script),
            context(json!({ "allowPrivilegeEscalation": false }))
        ),
    ]);
    let whole = json!({ "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } } });
    let id = hosted.create(&spec(pod("profiles", "Always", containers), whole));
    hosted.wait(id, Until::Ready);
    let usual = "CapPrm:\t00000000a80425fb\n";
    for (name, seccomp, renounced, rights) in [
        ("pods", 2, 0, usual),
        ("none", 0, 0, usual),
        ("privileged", 0, 0, ""),
        ("renounced", 2, 1, usual),
    ] {
        hosted.printed(id, name, "Seccomp");
        let text = hosted.logs(id, name);
        assert!(
            text.contains(&format!("Seccomp:\t{seccomp}\n")),
            "{name}: {text}"
        );
        assert!(
            text.contains(&format!("NoNewPrivs:\t{renounced}\n")),
            "{name}: {text}"
        );
        assert!(text.contains(rights), "{name}: {text}");
    }
    let inside = Exec::new(["grep", "^Seccomp:", "/proc/self/status"]);
    let output = hosted.node.output(id, "pods", inside, LONG).unwrap();
    assert_eq!(output.stdout, b"Seccomp:\t2\n");
    hosted.delete(id);
    hosted.end();
}

#[test]
fn the_node_can_confine_whoever_says_nothing() {
    let mut hosted = hosted(Node::options().seccomp_by_default(true));
    let script = "grep ^Seccomp: /proc/self/status";
    assert_eq!(
        said(&mut hosted, shell("main", script), json!({})),
        "Seccomp:\t2\n"
    );
    let free = with(shell("main", script), seccomp("Unconfined"));
    assert_eq!(said(&mut hosted, free, json!({})), "Seccomp:\t0\n");
    hosted.end();
}

#[test]
fn a_profile_of_the_host_is_found_below_its_directory_only() {
    let directory = std::env::temp_dir().join(format!("podlife-profiles-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let profile = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 } ] }"#;
    std::fs::write(directory.join("no-mkdir.json"), profile).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", directory.join("out.json")).unwrap();
    let mut hosted = hosted(Node::options().seccomp_profiles(&directory));
    let local = |file: &str| {
        let profile = json!({ "type": "Localhost", "localhostProfile": file });
        let script = "mkdir /tmp/x 2>&1; touch /tmp/y && echo touched";
        with(
            shell("main", script),
            json!({ "securityContext": { "seccompProfile": profile } }),
        )
    };
    let text = said(&mut hosted, local("no-mkdir.json"), json!({}));
    assert!(
        text.contains("Operation not permitted") && text.ends_with("touched\n"),
        "{text}"
    );
    for (file, why) in [
        ("absent.json", "No such file"),
        ("out.json", "No such file"),
    ] {
        let id = hosted.create(&pod("refused", "Never", json!([local(file)])));
        let event = hosted.until("Failed", file);
        assert!(event.message().contains(why), "{event}");
        let status = container(hosted.node.pod(id).unwrap().status(), "main").clone();
        assert_eq!(
            status.state.unwrap().waiting.unwrap().reason.unwrap(),
            "CreateContainerError"
        );
        hosted.delete(id);
    }
    std::fs::remove_dir_all(&directory).unwrap();
    hosted.end();
}

/// Runs in a container.
#[test]
#[ignore = "what the next test runs in a container"]
fn ordinary_work() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    let mut text = String::new();
    std::net::TcpStream::connect(address)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    serving.join().unwrap();
    let child = std::process::Command::new("/bin/sh")
        .args(["-c", "exit 7"])
        .status()
        .unwrap();
    let path = PathBuf::from("/tmp/work");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("a"), "x").unwrap();
    std::fs::rename(path.join("a"), path.join("b")).unwrap();
    std::os::unix::fs::symlink("b", path.join("c")).unwrap();
    let file = std::fs::read_to_string(path.join("c")).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    nix::sys::eventfd::EventFd::new().unwrap();
    println!("{text} {child} {file}");
}

/// A copy: an ordinary user's pods need not be able to reach the build folder.
pub(super) fn this_program() -> std::fs::File {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let memory = memfd_create("work", MFdFlags::MFD_CLOEXEC).unwrap();
    let mut memory = std::fs::File::from(memory);
    let mut program = std::fs::File::open("/proc/self/exe").unwrap();
    std::io::copy(&mut program, &mut memory).unwrap();
    memory
}

#[test]
fn runtime_default_lets_programs_work() {
    let mut hosted = Hosted::with(|| {
        let rootfs = Rootfs::host().program("/run/work", this_program());
        before::open(Node::options().rootfs("example.com/work", rootfs))
    });
    for renounced in [false, true] {
        let script = "/run/work --exact confined::ordinary_work --ignored --nocapture; ls -l / | sort | wc -l";
        let image = json!({
            "image": "example.com/work", "imagePullPolicy": "Never",
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" }, "allowPrivilegeEscalation": !renounced },
        });
        let text = said(&mut hosted, with(shell("main", script), image), json!({}));
        assert!(text.contains("hello exit status: 7 x"), "{text}");
    }
    hosted.end();
}

#[test]
fn a_pod_sets_its_own_sysctls_and_no_others() {
    let mut hosted = hosted(Node::options().allow_unsafe_sysctls(["net.core.*"]));
    let set = |name: &str, value: &str| json!({ "securityContext": { "sysctls": [{ "name": name, "value": value }] } });
    let mut set_here = vec![("net.ipv4.ip_unprivileged_port_start", "77")];
    if nix::unistd::geteuid().is_root() {
        // Older kernels do not show it where the root of the user namespace is not the host's.
        set_here.push(("net/core/somaxconn", "99"));
    }
    for (name, value) in set_here {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let host = std::fs::read_to_string(&path).unwrap();
        let text = said(
            &mut hosted,
            shell("main", &format!("cat {path}; echo 1 > {path}; true")),
            set(name, value),
        );
        assert_eq!(text.lines().next(), Some(value), "{text}");
        assert!(text.contains("Read-only file system"), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), host);
    }
    let main = json!([shell("main", "true")]);
    let manifest = spec(
        pod("unsafe", "Never", main),
        set("net.ipv4.tcp_mem", "1 2 3"),
    );
    let error = hosted.node.create(valid(&manifest)).unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    assert!(
        error
            .to_string()
            .contains("net.ipv4.tcp_mem: it is not on the list"),
        "{error}"
    );
    hosted.end();
    let _before = Before::now();
    let error = Node::options()
        .allow_unsafe_sysctls(["vm.*"])
        .open()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

#[test]
fn apparmor_is_never_ignored() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let profile = |kind: &str| {
        let context = json!({ "securityContext": { "appArmorProfile": { "type": kind } } });
        valid(&pod(
            "labelled",
            "Never",
            json!([with(shell("main", "true"), context)]),
        ))
    };
    node.plan(&profile("Unconfined")).unwrap();
    if podlife::linux::security::has_apparmor() {
        let error = node.plan(&profile("RuntimeDefault")).unwrap_err();
        assert!(
            error.to_string().contains("NodeOptions::apparmor_default"),
            "{error}"
        );
        return;
    }
    let error = node.create(profile("RuntimeDefault")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("AppArmor is not enabled on the host"),
        "{error}"
    );
    assert_eq!(node.pods().count(), 0);
    // Nor can what comes later be taken on: a sidecar, or a container to look into the pod.
    let id = node.create(profile("Unconfined")).unwrap();
    let unknown = "AppArmor is not enabled on the host";
    let mut more = profile("Unconfined").edit();
    let mut sidecar = profile("RuntimeDefault").edit().spec.containers.remove(0);
    sidecar.name = "sidecar".into();
    sidecar.restart_policy = Some(podlife::model::ContainerRestartPolicy::Always);
    more.spec.init_containers.push(sidecar.clone());
    let error = node.update(id, more.validate().unwrap()).unwrap_err();
    assert!(error.to_string().contains(unknown), "{error}");
    let look = json!({ "name": "look", "image": "podlife.local/host", "securityContext": sidecar.security_context });
    let look = serde_json::from_value(look).unwrap();
    let error = node.debug(id, look).unwrap_err();
    assert!(error.to_string().contains(unknown), "{error}");
    assert!(node.pod(id).unwrap().spec().spec.init_containers.is_empty());
    node.delete(id, podlife::node::Delete::now()).unwrap();
    node.wait(id, podlife::node::Until::Deleted, super::hosted::LONG)
        .unwrap();
}
