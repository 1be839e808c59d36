//! What cannot be started, in the kubelet's words.

use std::path::{Path, PathBuf};

use podlife::node::{Delete, Exec, Rootfs, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, container, pod, shell, with};

/// The waiting reason and message once an event of that reason came.
fn waiting(hosted: &mut Hosted, manifest: &Value, event: &str, text: &str) -> (String, String) {
    let id = hosted.create(manifest);
    hosted.until(event, text);
    let status = container(hosted.node.pod(id).unwrap().status(), "main").clone();
    let waiting = status.state.unwrap().waiting.unwrap();
    hosted.delete(id);
    (
        waiting.reason.unwrap_or_default(),
        waiting.message.unwrap_or_default(),
    )
}

#[test]
fn an_unknown_image_is_absent() {
    let mut hosted = Hosted::ephemeral();
    let main = |policy: &str| {
        with(
            shell("main", "true"),
            json!({ "image": "example.com/app:1", "imagePullPolicy": policy }),
        )
    };
    let manifest = |policy: &str| pod("absent", "Always", json!([main(policy)]));
    let (reason, message) = waiting(
        &mut hosted,
        &manifest("IfNotPresent"),
        "Failed",
        "failed to pull",
    );
    assert!(
        reason == "ErrImagePull" || reason == "ImagePullBackOff",
        "{reason}"
    );
    assert!(message.contains("example.com/app:1"), "{message}");
    hosted.seen.clear();
    let (reason, message) = waiting(&mut hosted, &manifest("Never"), "Failed", "");
    assert_eq!(reason, "ErrImageNeverPull");
    assert!(
        message.contains("is not present with pull policy of Never"),
        "{message}"
    );
    hosted.end();
}

#[test]
fn a_program_that_is_not_there_cannot_be_run() {
    let mut hosted = Hosted::ephemeral();
    for (program, words) in [
        ("no-such-program", "executable file not found in $PATH"),
        ("/no/such/program", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
    ] {
        hosted.seen.clear();
        let main = with(shell("main", ""), json!({ "command": [program] }));
        let id = hosted.create(&pod("missing", "Always", json!([main])));
        let event = hosted.until("Failed", program);
        assert!(event.message().contains(words), "{event}");
        let status = container(hosted.node.pod(id).unwrap().status(), "main").clone();
        let reason = status.state.unwrap().waiting.unwrap().reason.unwrap();
        assert!(
            reason == "RunContainerError" || reason == "CrashLoopBackOff",
            "{reason}"
        );
        hosted.delete(id);
    }
    hosted.end();
}

#[test]
fn a_missing_config_map_keeps_the_container_waiting() {
    let mut hosted = Hosted::ephemeral();
    let env = json!({ "env": [{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "a" } } }] });
    let manifest = pod(
        "config",
        "Always",
        json!([with(shell("main", "true"), env)]),
    );
    let (reason, message) = waiting(&mut hosted, &manifest, "Failed", "the ConfigMap \"cm\"");
    assert_eq!(reason, "CreateContainerConfigError");
    assert!(message.contains("there is none of that name"), "{message}");
    hosted.end();
}

#[test]
fn a_directory_is_a_root_and_is_never_written() {
    let _before = Before::now();
    let root = tiny("written");
    let mut node = node_with(&root);
    let main = json!({ "name": "main", "image": "example.com/tiny", "args": ["-c", "echo changed > /new; read x < /new; echo $x"] });
    let id = node
        .create(super::hosted::valid(&pod("dir", "Never", json!([main]))))
        .unwrap();
    let done = node.wait(id, Until::Finished, super::hosted::LONG);
    let events: String = std::iter::from_fn(|| node.next_event())
        .map(|event| format!("{event}\n"))
        .collect();
    done.unwrap_or_else(|error| panic!("{error}\n{events}"));
    let mut text = String::new();
    std::io::Read::read_to_string(
        &mut node.logs(id, "main", Default::default()).unwrap(),
        &mut text,
    )
    .unwrap();
    assert_eq!(text, "changed\n");
    assert!(!root.join("new").exists());
    node.drain(super::hosted::LONG).unwrap();
    drop(node);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn accounts_do_not_change_under_a_container() {
    let _before = Before::now();
    let root = tiny("accounts");
    let home = |home: &str| {
        let line = format!("root:x:0:0::{home}:/bin/sh\n");
        std::fs::write(root.join("etc/passwd"), line).unwrap();
    };
    home("/before");
    let mut node = node_with(&root);
    let main = json!({ "name": "main", "image": "example.com/tiny", "args": ["-c", "read x"], "stdin": true });
    let id = node
        .create(super::hosted::valid(&pod("dir", "Never", json!([main]))))
        .unwrap();
    node.wait(id, Until::Ready, super::hosted::LONG).unwrap();
    home("/after");
    let look = Exec::new(["/bin/sh", "-c", "echo $HOME"]);
    let seen = node.output(id, "main", look, super::hosted::LONG).unwrap();
    assert_eq!(String::from_utf8(seen.stdout).unwrap(), "/before\n");
    node.delete(id, Delete::now()).unwrap();
    node.drain(super::hosted::LONG).unwrap();
    drop(node);
    std::fs::remove_dir_all(root).unwrap();
}

/// A root with a shell and nothing else.
fn tiny(name: &str) -> PathBuf {
    let root = format!("podlife-root-{name}-{}", std::process::id());
    let root = std::env::temp_dir().join(root);
    for directory in ["bin", "lib", "etc"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    copy_shell(&root);
    root
}

fn node_with(root: &Path) -> podlife::Node {
    before::open(podlife::Node::options().rootfs(
        "example.com/tiny",
        Rootfs::directory(root).entrypoint(["/bin/sh"]),
    ))
}

/// The host's shell and the libraries it needs.
fn copy_shell(root: &Path) {
    let maps = std::process::Command::new("ldd")
        .arg("/bin/sh")
        .output()
        .unwrap();
    let text = String::from_utf8(maps.stdout).unwrap();
    let files = text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .chain(["/bin/sh"]);
    for file in files {
        let target = root.join(file.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(file, target).unwrap();
    }
}
