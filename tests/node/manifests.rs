//! Static pods.

use std::fs;
use std::time::Instant;

use podlife::node::{Delete, Node, PodId, Until};
use serde_json::json;

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, pod, shell};
use super::volumes::Directory;

const SERVER: &str = "
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: COLOUR}}
---
apiVersion: v1
kind: Pod
metadata: {name: server}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: podlife.local/host
      command: [sh, -c, 'echo $COLOUR WORD; exec sleep 1000']
      env: [{name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}]
";

fn manifest(colour: &str, word: &str) -> String {
    SERVER
        .replace("COLOUR}", &format!("{colour}}}"))
        .replace("WORD", word)
}

/// Drives until there is a pod of that name, another than `not`, that is ready.
fn ready(hosted: &mut Hosted, name: &str, not: Option<PodId>) -> PodId {
    let until = Instant::now() + LONG;
    loop {
        assert!(Instant::now() < until, "no other pod {name}");
        let found = hosted.node.find("default", name).map(|pod| pod.id());
        match found.filter(|id| Some(*id) != not) {
            Some(id) => {
                hosted.wait(id, Until::Ready);
                return id;
            }
            None => hosted
                .node
                .turn(Some(until - Instant::now()))
                .map(drop)
                .unwrap(),
        }
    }
}

#[test]
fn pods_are_what_the_files_say() {
    let before = Before::now();
    let directory = Directory::new("manifests");
    let file = directory.0.join("server.yaml");
    fs::write(&file, manifest("blue", "first")).unwrap();
    let node = before::open(Node::options().manifests(&directory.0));
    let mut hosted = Hosted::around(node, before);
    let first = ready(&mut hosted, "server", None);
    hosted.printed(first, "main", "blue first");

    // What is broken changes nothing, and is said; so is a second pod of the same name.
    fs::write(&file, "kind: Pod\napiVersion: v1\nspec: {containers: 7}\n").unwrap();
    let event = hosted.until("FailedManifest", "spec.containers");
    assert_eq!(&*event.name.name, "server.yaml");
    assert_eq!(
        hosted.node.find("default", "server").map(|pod| pod.id()),
        Some(first)
    );
    fs::write(directory.0.join("twin.yaml"), manifest("blue", "twin")).unwrap();
    fs::write(directory.0.join(".hidden"), "nothing of a manifest").unwrap();

    // A changed one ends before its successor begins. It is written beside and moved, as editors do.
    let new = directory.0.join(".server.yaml.swp");
    fs::write(&new, manifest("red", "second")).unwrap();
    fs::rename(&new, &file).unwrap();
    let second = ready(&mut hosted, "server", Some(first));
    assert!(hosted.node.pod(first).is_none());
    hosted.until("FailedManifest", "another file");
    hosted.printed(second, "main", "red second");

    // One that is deleted by hand comes again; one whose file is gone does not.
    hosted.node.delete(second, Delete::now()).unwrap();
    let third = ready(&mut hosted, "server", Some(second));
    fs::remove_file(directory.0.join("twin.yaml")).unwrap();
    fs::remove_file(&file).unwrap();
    hosted.wait(third, Until::Deleted);
    assert_eq!(hosted.node.pods().count(), 0);
    // Its ConfigMap is gone too: who refers to it waits.
    let mut other = pod("other", "Never", json!([shell("main", "true")]));
    other["spec"]["containers"][0]["envFrom"] = json!([{ "configMapRef": { "name": "settings" } }]);
    let other = hosted.create(&other);
    hosted.until("Failed", "settings");
    hosted.delete(other);
    drop(directory);
    hosted.end();
}

#[test]
fn what_a_file_says_in_vain_is_told_once() {
    let before = Before::now();
    let directory = Directory::new("told");
    let file = |name: &str, text: &str| fs::write(directory.0.join(name), text).unwrap();
    let node = before::open(Node::options().manifests(&directory.0));
    let mut hosted = Hosted::around(node, before);
    // The name belongs to a pod that somebody made by hand: it stays, and the file's pod waits.
    let main = json!([shell("main", "exec sleep 1000")]);
    let by_hand = hosted.create(&pod("server", "Never", main));
    file("server.yaml", &manifest("blue", "file"));
    hosted.until("FailedManifest", "does not come from a file");
    file(".hidden", "nothing of a manifest");
    file(
        "broken.yaml",
        "kind: Pod\napiVersion: v1\nspec: {containers: 7}\n",
    );
    hosted.until("FailedManifest", "spec.containers");
    hosted.wait(by_hand, Until::Ready);
    hosted.kill(by_hand);
    let id = ready(&mut hosted, "server", Some(by_hand));
    fs::remove_file(directory.0.join("server.yaml")).unwrap();
    hosted.wait(id, Until::Deleted);
    let failed = |event: &&podlife::node::Event| event.reason() == "FailedManifest";
    let names = hosted
        .seen
        .iter()
        .filter(failed)
        .map(|event| &*event.name.name);
    assert_eq!(names.collect::<Vec<_>>(), ["server.yaml", "broken.yaml"]);
    drop(directory);
    hosted.end();
}

/// A Node with a state directory knows its static pods again, and misses the file of one.
#[test]
fn static_pods_outlive_the_node() {
    let before = Before::now();
    let (state, directory) = (Directory::new("static-state"), Directory::new("static"));
    let file = directory.0.join("server.yaml");
    fs::write(&file, manifest("blue", "once")).unwrap();
    let open = || before::open(super::recovery::options(&state.0).manifests(&directory.0));
    let mut node = open();
    let id = node.pods().next().unwrap().id();
    node.wait(id, Until::Ready, LONG).unwrap();
    drop(node);
    let mut node = open();
    assert_eq!(node.pods().map(|pod| pod.id()).collect::<Vec<_>>(), [id]);
    node.wait(id, Until::Ready, LONG).unwrap();
    drop(node);
    fs::remove_file(&file).unwrap();
    let mut node = open();
    node.wait(id, Until::Deleted, LONG).unwrap();
    drop(node);
    super::recovery::remove_cgroup(&state.0);
    drop((state, directory, before));
}
