//! Volumes made of ConfigMaps, Secrets and the pod's own fields; paths of the host; parts of volumes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use podlife::model::{ConfigMap, ContainerStatus, Secret};
use podlife::node::{Delete, Exec, Node, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, container, pod, printed, shell, spec, with};

/// A directory of the host, gone with the value.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Directory {
        let name = format!("podlife-volumes-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(colour: &str) -> ConfigMap {
    ConfigMap::new("settings")
        .entry("colour", colour)
        .entry("size", "7")
}

fn word(word: &str) -> Secret {
    Secret::new("key").entry("word", word)
}

/// With the users of the host, and with users of its own: there the Node writes for somebody else.
const USERS: [bool; 2] = [true, false];

/// Waits until the file says so, then prints the other files, then waits for ever.
fn pod_with_volumes(name: &str, script: &str) -> Value {
    let mounts = json!([
        { "name": "settings", "mountPath": "/run/settings" },
        { "name": "key", "mountPath": "/run/key" },
        { "name": "about", "mountPath": "/run/about" },
        { "name": "all", "mountPath": "/run/all" },
        { "name": "settings", "mountPath": "/run/colour", "subPath": "colour" },
    ]);
    let main = with(shell("main", script), json!({ "volumeMounts": mounts }));
    let volumes = json!([
        { "name": "settings", "configMap": { "name": "settings" } },
        { "name": "key", "secret": { "secretName": "key", "defaultMode": 0o400 } },
        { "name": "about", "downwardAPI": { "items": [
            { "path": "name", "fieldRef": { "fieldPath": "metadata.name" } },
            { "path": "memory", "resourceFieldRef": { "containerName": "main", "resource": "limits.memory" } }] } },
        { "name": "all", "projected": { "sources": [
            { "configMap": { "name": "settings", "items": [{ "key": "colour", "path": "deep/er/colour", "mode": 0o600 }] } },
            { "secret": { "name": "key" } },
            { "configMap": { "name": "not-there", "optional": true } }] } },
    ]);
    spec(
        pod(name, "Never", json!([main])),
        json!({ "volumes": volumes }),
    )
}

/// The plan that was made while pause set itself up knows nothing of it.
#[test]
fn an_object_that_changes_before_the_sandbox_stands_is_the_containers() {
    let mut hosted = Hosted::ephemeral();
    hosted.node.put(settings("red")).unwrap();
    let from = json!({ "configMapKeyRef": { "name": "settings", "key": "colour" } });
    let env = json!({ "env": [{ "name": "COLOUR", "valueFrom": from }] });
    let main = with(shell("main", "echo it is $COLOUR; exec sleep 1000"), env);
    let id = hosted.create(&pod("late", "Never", json!([main])));
    hosted.node.put(settings("blue")).unwrap();
    hosted.printed(id, "main", "it is blue");
    hosted.kill(id);
    hosted.end();
}

#[test]
fn files_are_made_of_objects_and_follow_them() {
    USERS.into_iter().for_each(files_follow);
}

fn files_follow(host_users: bool) {
    let mut hosted = Hosted::ephemeral();
    hosted.node.put(settings("blue")).unwrap();
    hosted.node.put(word("xyzzy")).unwrap();
    let script = "cd /run; cat settings/colour settings/size key/word about/name all/deep/er/colour all/word; echo; \
                  stat -L -c %a:%u:%g settings/colour key/word all/deep/er/colour; stat -c %u:%g key/word key/..data key; stat -f -c %T key; \
                  touch key/x 2>/dev/null || echo read-only; ls -A settings | grep -v '^[.][.]20'; \
                  test $(cat about/memory) -gt 1000000 && echo memory; \
                  until grep -q red settings/colour; do sleep 0.02; done; \
                  cat all/deep/er/colour colour; echo; exit 0";
    let manifest = pod_with_volumes("files", script);
    let id = hosted.create(&spec(manifest, json!({ "hostUsers": host_users })));
    hosted.printed(id, "main", "memory\n");
    let lines = "blue7xyzzyfilesbluexyzzy\n644:0:0\n400:0:0\n600:0:0\n0:0\n0:0\n0:0\ntmpfs\nread-only\n..data\ncolour\nsize\nmemory\n";
    assert_eq!(hosted.logs(id, "main"), lines);
    // What is the same changes nothing; what is new comes all at once, but not to a part that is mounted alone.
    hosted.node.put(word("xyzzy")).unwrap();
    hosted.node.put(settings("red")).unwrap();
    hosted.wait(id, Until::Finished);
    assert_eq!(hosted.logs(id, "main"), format!("{lines}redblue\n"));
    hosted.delete(id);
    hosted.end();
}

#[test]
fn a_pod_waits_for_its_objects() {
    let mut hosted = Hosted::ephemeral();
    hosted.node.put(settings("blue")).unwrap();
    let id = hosted.create(&pod_with_volumes("waits", "cat /run/key/word"));
    let event = hosted.until("FailedMount", "");
    let text = event.message();
    assert!(
        text.starts_with("MountVolume.SetUp failed for volume \"key\" : "),
        "{text}"
    );
    assert!(text.contains("Secret \"key\""), "{text}");
    let status = hosted.node.pod(id).unwrap().status().clone();
    assert_eq!(
        waiting(container(&status, "main")),
        Some("ContainerCreating")
    );
    // One that is ended meanwhile does not wait for it.
    let other = hosted.create(&pod_with_volumes("ended", "true"));
    hosted.until("FailedMount", "");
    hosted.delete(other);
    // At once, and not when it is tried again by itself.
    let retries = |hosted: &Hosted| {
        let history = hosted.node.pod(id).unwrap().history().unwrap();
        let told = serde_json::to_string(&history).unwrap();
        told.matches("\"Retry\"").count()
    };
    let before = retries(&hosted);
    hosted.node.put(word("there")).unwrap();
    assert_eq!(retries(&hosted), before + 1);
    hosted.wait(id, Until::Finished);
    assert_eq!(hosted.logs(id, "main"), "there");
    hosted.delete(id);
    hosted.end();
}

fn waiting(status: &ContainerStatus) -> Option<&str> {
    status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

#[test]
fn an_environment_is_made_of_objects_when_they_are_there() {
    let mut hosted = Hosted::ephemeral();
    let env = json!({
        "env": [
            { "name": "WORD", "valueFrom": { "secretKeyRef": { "name": "key", "key": "word" } } },
            { "name": "NOTHING", "valueFrom": { "configMapKeyRef": { "name": "none", "key": "k", "optional": true } } }],
        "envFrom": [{ "prefix": "SET_", "configMapRef": { "name": "settings" } }]
    });
    let main = with(
        shell("main", "echo $WORD ${NOTHING-unset} $SET_colour $SET_size"),
        env,
    );
    let id = hosted.create(&pod("env", "Never", json!([main])));
    let event = hosted.until("Failed", "");
    assert!(
        event.message().contains("ConfigMap \"settings\""),
        "{}",
        event.message()
    );
    let status = hosted.node.pod(id).unwrap().status().clone();
    assert_eq!(
        waiting(container(&status, "main")),
        Some("CreateContainerConfigError")
    );
    hosted.node.put(settings("blue")).unwrap();
    hosted.node.handle().put(word("xyzzy"));
    hosted.wait(id, Until::Finished);
    assert_eq!(hosted.logs(id, "main"), "xyzzy unset blue 7\n");
    hosted.delete(id);
    hosted.end();
}

/// A command in a container, and so an exec probe, has what the container was started with, whatever became of the objects.
#[test]
fn an_environment_does_not_change_under_a_container() {
    let mut hosted = Hosted::ephemeral();
    hosted.node.put(settings("blue")).unwrap();
    let env = json!({ "envFrom": [{ "configMapRef": { "name": "settings" } }] });
    let main = with(shell("main", "exec sleep 1000"), env);
    let id = hosted.create(&pod("stays", "Never", json!([main])));
    hosted.wait(id, Until::Ready);
    let colour = |hosted: &mut Hosted| {
        let echo = Exec::new(["sh", "-c", "echo $colour"]);
        let output = hosted.node.output(id, "main", echo, LONG).unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    hosted.node.put(settings("red")).unwrap();
    assert_eq!(colour(&mut hosted), "blue\n");
    assert!(hosted.node.remove(&settings("").into()).unwrap());
    assert_eq!(colour(&mut hosted), "blue\n");
    hosted.delete(id);
    hosted.end();
}

#[test]
fn a_path_of_the_host_is_what_it_is_said_to_be() {
    let mut hosted = Hosted::ephemeral();
    let directory = Directory::new("host");
    let manifest = |name: &str, path: &Path, type_: &str| {
        let mount = json!({ "volumeMounts": [{ "name": "host", "mountPath": "/run/host" }] });
        let main = with(
            shell("main", "test -d /run/host && touch /run/host/made"),
            mount,
        );
        let source = json!({ "path": path, "type": type_ });
        spec(
            pod(name, "Never", json!([main])),
            json!({ "volumes": [{ "name": "host", "hostPath": source }] }),
        )
    };
    let file = directory.0.join("file");
    std::fs::write(&file, "").unwrap();
    let wrong = hosted.create(&manifest("wrong", &file, "Directory"));
    let event = hosted.until("FailedMount", "hostPath.type");
    assert_eq!(event.pod, wrong);
    hosted.delete(wrong);
    let new = directory.0.join("new/er");
    let made = hosted.create(&manifest("made", &new, "DirectoryOrCreate"));
    hosted.wait(made, Until::Finished);
    assert!(new.join("made").exists());
    hosted.delete(made);
    drop(directory);
    hosted.end();
}

#[test]
fn a_part_of_a_volume_is_made_and_stays_in_it() {
    USERS.into_iter().for_each(part_is_made);
}

fn part_is_made(host_users: bool) {
    if !host_users && nix::unistd::geteuid().is_root() && super::users::is_too_old() {
        return println!(
            "skipped: parts of a path of the host with mapped ids: a tmpfs has them from Linux 6.3 on"
        );
    }
    let mut hosted = Hosted::ephemeral();
    let directory = Directory::new("parts");
    symlink("/etc", directory.0.join("trap")).unwrap();
    let manifest = |name: &str, mount: Value, script: &str| {
        let mount = with(json!({ "name": "data", "mountPath": "/run/part" }), mount);
        let whole = json!({ "name": "empty", "mountPath": "/run/whole" });
        let part = json!({ "name": "empty", "mountPath": "/run/of-empty", "subPath": "a/b" });
        let memory = json!({ "name": "memory", "mountPath": "/run/memory" });
        let of_memory = json!({ "name": "memory", "mountPath": "/run/of-memory", "subPath": "c" });
        let env = json!([{ "name": "WHO", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]);
        let main = with(
            shell("main", script),
            json!({ "env": env, "volumeMounts": [mount, whole, part, memory, of_memory] }),
        );
        let volumes = json!([{ "name": "data", "hostPath": { "path": directory.0 } }, { "name": "empty", "emptyDir": {} },
            { "name": "memory", "emptyDir": { "medium": "Memory" } }]);
        spec(
            pod(name, "Never", json!([main])),
            json!({ "volumes": volumes, "hostUsers": host_users }),
        )
    };
    let script = "cd /run; touch part/here of-empty/there of-memory/there; ls whole/a/b memory/c; \
        stat -c %a:%u:%g whole/a memory/c";
    let part = json!({ "subPathExpr": "logs/$(WHO)" });
    let id = hosted.create(&manifest("web", part, script));
    hosted.wait(id, Until::Finished);
    assert!(directory.0.join("logs/web/here").exists());
    let expected = "memory/c:\nthere\n\nwhole/a/b:\nthere\n777:0:0\n777:0:0\n";
    assert_eq!(hosted.logs(id, "main"), expected);
    hosted.delete(id);

    let id = hosted.create(&manifest(
        "caught",
        json!({ "subPath": "trap" }),
        "ls /run/part",
    ));
    let event = hosted.until("Failed", "subPath");
    assert!(event.message().contains("trap"), "{}", event.message());
    hosted.delete(id);
    drop(directory);
    hosted.end();
}

/// Neither on disk nor lost: the next Node has the objects, and the container sees what it changes.
#[test]
fn objects_outlive_the_node() {
    USERS.into_iter().for_each(objects_outlive);
}

fn objects_outlive(host_users: bool) {
    let before = Before::now();
    let directory = Directory::new("state");
    let open = |directory: &Path| -> Node { before::open(super::recovery::options(directory)) };
    let mut node = open(&directory.0);
    node.put(settings("blue")).unwrap();
    node.put(word("xyzzy")).unwrap();
    let script = "echo $(cat /run/key/word); until grep -q red /run/settings/colour; do sleep 0.02; done; echo seen";
    let manifest = spec(
        pod_with_volumes("outlives", script),
        json!({ "hostUsers": host_users }),
    );
    let id = node.create(&*manifest.to_string()).unwrap();
    printed(&mut node, id, "main", "xyzzy");
    let on_disk = directory
        .0
        .join("pods")
        .join(id.to_string())
        .join("volumes");
    assert!(
        !on_disk.exists(),
        "no file of a Secret is on disk beside the object itself"
    );
    drop(node);
    let mut node = open(&directory.0);
    node.put(settings("red")).unwrap();
    node.wait(id, Until::Finished, LONG).unwrap();
    printed(&mut node, id, "main", "seen");
    node.delete(id, Delete::default()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    super::recovery::remove_cgroup(&directory.0);
    drop((directory, before));
}
