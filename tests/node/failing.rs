//! Starts that fail for the usual reasons: the sentence names what failed, on what, and what helps; nothing half-made is left.

use std::path::{Path, PathBuf};

use podlife::model::{Pod, Valid};
use podlife::node::{Delete, Node, Rootfs, Until};
use serde_json::{Value, json};

use super::before::{self, Before};
use super::hosted::{Hosted, LONG, pod, shell, spec, valid, with};
use super::recovery::{State, cgroup, options};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn one(name: &str, container: Value) -> Value {
    pod(name, "Never", json!([container]))
}

fn mounting(volume: Value, mount: Value) -> Value {
    let main = with(shell("main", "true"), json!({ "volumeMounts": [mount] }));
    spec(one("mounting", main), json!({ "volumes": [volume] }))
}

/// Manifests that are valid and cannot be met here, and words of what is said of each.
fn unmeetable() -> Vec<(Value, &'static str)> {
    let host = |path: &str, at: &str| {
        let volume = json!({ "name": "v", "hostPath": { "path": path } });
        mounting(volume, json!({ "name": "v", "mountPath": at }))
    };
    let main = |more: Value| one("failing", with(shell("main", "true"), more));
    let command = |words: &[&str]| main(json!({ "command": words }));
    let place = |path: &str| main(json!({ "workingDir": path }));
    let sysctls = json!([{ "name": "net.ipv4.ip_local_port_range", "value": "nonsense" }]);
    let sysctl = json!({ "securityContext": { "sysctls": sysctls } });
    let user = json!({ "securityContext": { "runAsUser": 4711 } });
    let capability = json!({ "securityContext": { "capabilities": { "add": ["NO_SUCH"] } } });
    let (name, word) = ("x".repeat(300), "x".repeat(200_000));
    let mut all = vec![
        (
            host("/no/such/place", "/data"),
            "bind /no/such/place to /data|No such file|make it on the host first",
        ),
        (
            host(&format!("/{name}"), "/data"),
            "bind /xxx|File name too long|use shorter names",
        ),
        (
            host("/usr", &format!("/tmp/{name}")),
            "bind /usr to /tmp/xxx|File name too long|use shorter names",
        ),
        (
            place("/no/such/place"),
            "working directory /no/such/place|correct workingDir",
        ),
        (
            place("/etc/passwd"),
            "working directory /etc/passwd|Not a directory|correct workingDir",
        ),
        (
            command(&["no-such-program"]),
            "exec: \"no-such-program\": executable file not found in $PATH",
        ),
        (
            command(&["/etc/passwd"]),
            "exec: \"/etc/passwd\": permission denied",
        ),
        (
            command(&["/bin/sh", &word]),
            "execute /bin/sh|Argument list too long|pass less",
        ),
        (main(capability), "NO_SUCH"),
        (
            spec(main(json!({})), sysctl),
            "set the sysctl net/ipv4/ip_local_port_range to nonsense|Invalid argument|correct the value",
        ),
    ];
    if !is_root() {
        all.push((main(user), "4711|is not mapped|or root"));
    }
    all
}

/// What is said first, when it is said that something failed.
fn said(node: &mut Node) -> String {
    let mut told = String::new();
    node.run_until(LONG, |_, event| {
        let failed = ["Failed", "FailedCreatePodSandBox", "FailedMount"].contains(&event.reason());
        told = event.message();
        failed
    })
    .unwrap_or_else(|error| panic!("{error}: {told}"));
    told
}

#[test]
fn a_pod_that_cannot_be_met_says_what_failed_and_leaves_nothing() {
    let mut hosted = Hosted::ephemeral();
    for (manifest, expected) in unmeetable() {
        let id = hosted.create(&manifest);
        let told = said(&mut hosted.node);
        for words in expected.split('|') {
            assert!(told.contains(words), "{words:?} is not in {told:.600}");
        }
        hosted.node.delete(id, Delete::now()).unwrap();
        hosted.wait(id, Until::Deleted);
    }
    hosted.end();
}

/// What is in a directory, all the way down.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at) {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let more: Vec<_> = entries.map(|entry| entry.path()).collect();
        found.extend(more);
        at += 1;
    }
    found.sort();
    found
}

/// Where the Node keeps its pods something is in the way: of the logs, of the volumes.
#[test]
fn a_state_directory_with_something_in_the_way_says_so() {
    let _before = Before::now();
    let folder = State::new("in-the-way");
    let mut node = before::open(options(&folder.0).state(folder.0.join("state")));
    let uid = "6a0b8f9e-0000-4000-8000-00000000000";
    for (number, what) in ["logs", "pods"].into_iter().enumerate() {
        let mut manifest = mounting(
            json!({ "name": "v", "emptyDir": {} }),
            json!({ "name": "v", "mountPath": "/tmp/v" }),
        );
        let uid = format!("{uid}{number}");
        manifest["metadata"]["uid"] = json!(uid);
        let in_the_way = match what {
            "logs" => folder.0.join(format!("state/logs/default_mounting_{uid}")),
            _ => folder.0.join(format!("state/pods/{uid}/volumes")),
        };
        std::fs::create_dir_all(in_the_way.parent().unwrap()).unwrap();
        let id = if what == "logs" {
            std::fs::write(&in_the_way, "").unwrap();
            node.create(valid(&manifest)).unwrap()
        } else {
            // It cannot even be taken on: that is an error, and nothing of it is left.
            std::fs::write(&in_the_way, "").unwrap();
            match node.create(valid(&manifest)) {
                Ok(id) => id,
                Err(error) => {
                    assert!(error.to_string().contains(&uid), "{error}");
                    std::fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
                    continue;
                }
            }
        };
        let told = said(&mut node);
        assert!(told.contains("could not ") && told.contains(&uid), "{told}");
        let _ = std::fs::remove_file(&in_the_way);
        node.delete(id, Delete::now()).unwrap();
        node.wait(id, Until::Deleted, LONG).unwrap();
    }
}

/// Runs `test` with mounts of its own, which nobody else sees.
fn apart(test: impl FnOnce() + Send) {
    use nix::mount::{MsFlags, mount};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let flags = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
            mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
            test();
        });
        thread.join().unwrap();
    });
}

fn mount_tmpfs(at: &Path, options: &str) {
    use nix::mount::{MsFlags, mount};
    mount(
        Some("none"),
        at,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options),
    )
    .unwrap();
}

#[test]
fn a_full_disk_refuses_the_pod_and_keeps_nothing_of_it() {
    if !is_root() {
        return println!("skipped: node: a full disk: only root can mount one");
    }
    let _before = Before::now();
    let folder = State::new("full");
    apart(|| {
        std::fs::create_dir(&folder.0).unwrap();
        mount_tmpfs(&folder.0, "size=256k");
        let mut node = before::open(options(&folder.0).state(folder.0.join("state")));
        let empty = tree(&folder.0);
        let ballast = folder.0.join("ballast");
        let full = std::fs::write(&ballast, vec![0; 1 << 20]).unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
        let error = node
            .create(valid(&one("full", shell("main", "true"))))
            .unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOSPC), "{error}");
        std::fs::remove_file(&ballast).unwrap();
        assert_eq!(tree(&folder.0), empty);
        let id = node
            .create(valid(&one("full", shell("main", "true"))))
            .unwrap();
        node.wait(id, Until::Finished, LONG).unwrap();
        node.delete(id, Delete::now()).unwrap();
        node.wait(id, Until::Deleted, LONG).unwrap();
    });
}

#[test]
fn a_read_only_cgroup_file_system_is_told_or_refused() {
    use podlife::cgroup::{Delegation, Enforcement};
    if !is_root() {
        return println!("skipped: node: a read-only cgroup file system: only root can make it so");
    }
    let _before = Before::now();
    let Delegation::Granted(root) = Delegation::find().unwrap() else {
        return println!("skipped: node: a read-only cgroup file system: no cgroup is delegated");
    };
    let mount = root.path().to_owned();
    apart(|| {
        use nix::mount::{MsFlags, mount as bind};
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        bind(Some(&mount), &mount, None::<&str>, flags, None::<&str>).unwrap();
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        bind(None::<&str>, &mount, None::<&str>, flags, None::<&str>).unwrap();
        let limited = with(
            shell("main", "true"),
            json!({ "resources": { "limits": { "memory": "64Mi" } } }),
        );
        match Node::options().enforcement(Enforcement::Required).open() {
            Err(error) => assert!(error.to_string().contains("; "), "no cure: {error}"),
            Ok(mut node) => {
                let id = node.create(valid(&one("limited", limited))).unwrap();
                let told = said(&mut node);
                assert!(told.contains("cgroup") && told.contains("; "), "{told}");
                node.delete(id, Delete::now()).unwrap();
                node.wait(id, Until::Deleted, LONG).unwrap();
            }
        }
    });
}

/// A path with links in it is as good as another, for state, cgroups, volumes and roots.
#[test]
fn paths_with_links_lead_to_the_same_places() {
    use std::os::unix::fs::symlink;
    let _before = Before::now();
    let folder = State::new("linked");
    let real = folder.0.join("real");
    let link = folder.0.join("link");
    std::fs::create_dir_all(real.join("volume")).unwrap();
    std::fs::write(real.join("volume/file"), "there").unwrap();
    symlink(&real, &link).unwrap();
    let mut options = options(&folder.0)
        .state(link.join("state"))
        .rootfs("linked", Rootfs::directory(link.join("no/such/root")));
    if let Some(cgroup) = cgroup(&folder.0) {
        symlink(cgroup, folder.0.join("cgroup")).unwrap();
        options = options.cgroup_root(folder.0.join("cgroup"));
    }
    let mut node = before::open(options);
    let host = json!({ "name": "v", "hostPath": { "path": link.join("volume") } });
    let mut manifest = mounting(host, json!({ "name": "v", "mountPath": "/tmp/v" }));
    manifest["spec"]["containers"][0]["command"] = json!(["grep", "there", "/tmp/v/file"]);
    let id = node.create(valid(&manifest)).unwrap();
    node.wait(id, Until::Finished, LONG).unwrap();
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
    assert!(real.join("state").is_dir());

    manifest["spec"]["containers"][0]["image"] = json!("linked");
    let id = node.create(valid(&manifest)).unwrap();
    let told = said(&mut node);
    assert!(
        told.contains("no/such/root") && told.contains("No such file"),
        "{told}"
    );
    node.delete(id, Delete::now()).unwrap();
    node.wait(id, Until::Deleted, LONG).unwrap();
}

/// Impossible combinations and names of 300 characters never come as far as a Node: each with its field.
#[test]
fn what_cannot_be_is_said_before_anything_is_done() {
    let long = "n".repeat(300);
    let host = |more: Value| spec(one("combined", shell("main", "true")), more);
    let main = |context: Value| {
        one(
            "combined",
            with(shell("main", "true"), json!({ "securityContext": context })),
        )
    };
    for (manifest, field) in [
        (one(&long, shell("main", "true")), "metadata.name"),
        (one("long", shell(&long, "true")), "spec.containers[0].name"),
        (
            mounting(
                json!({ "name": &long, "emptyDir": {} }),
                json!({ "name": &long, "mountPath": "/tmp/v" }),
            ),
            "spec.volumes[0].name",
        ),
        (
            host(json!({ "hostPID": true, "shareProcessNamespace": true })),
            "spec.shareProcessNamespace",
        ),
        (
            host(json!({ "hostUsers": false, "hostNetwork": true })),
            "spec.hostNetwork",
        ),
        (
            host(
                json!({ "hostIPC": true, "securityContext": { "sysctls": [{ "name": "kernel.shm_rmid_forced", "value": "1" }] } }),
            ),
            "sysctls[0].name",
        ),
        (
            main(json!({ "privileged": true, "allowPrivilegeEscalation": false })),
            "allowPrivilegeEscalation",
        ),
        (
            main(
                json!({ "capabilities": { "add": ["CAP_SYS_ADMIN"] }, "allowPrivilegeEscalation": false }),
            ),
            "allowPrivilegeEscalation",
        ),
        (main(json!({ "runAsUser": -1 })), "runAsUser"),
    ] {
        let errors = Valid::<Pod>::try_from(&*manifest.to_string())
            .expect_err(field)
            .to_string();
        assert!(errors.contains(field), "{field} is not in {errors}");
    }
}

/// Volumes that nobody here can make: the pod is not taken on, and it is said which field it is and what to use instead.
#[test]
fn a_volume_that_cannot_be_made_here_is_refused_at_once() {
    let _before = Before::now();
    let mut node = before::ephemeral();
    let token = json!({ "serviceAccountToken": { "path": "token" } });
    for (source, expected) in [
        (
            json!({ "persistentVolumeClaim": { "claimName": "data" } }),
            "spec.volumes[0].persistentVolumeClaim: forbidden: refused: not yet: nothing here binds claims; \
             use a hostPath or an emptyDir",
        ),
        (
            json!({ "image": { "reference": "example.com/data:1" } }),
            "spec.volumes[0].image: forbidden: refused: not yet: nothing here pulls images; \
             use a hostPath that has the files",
        ),
        (
            json!({ "projected": { "sources": [{ "downwardAPI": {} }, token] } }),
            "spec.volumes[0].projected.sources[1].serviceAccountToken: forbidden: refused: \
             nobody here issues tokens; put one into a Secret",
        ),
        (
            json!({ "nfs": { "server": "there", "path": "/data" } }),
            "spec.volumes[0].nfs: forbidden: refused: one host cannot serve this volume",
        ),
    ] {
        let manifest = mounting(
            with(json!({ "name": "v" }), source),
            json!({ "name": "v", "mountPath": "/data" }),
        );
        let error = node.create(valid(&manifest)).unwrap_err();
        assert_eq!(error.kind(), podlife::Kind::Invalid);
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(node.pods().count(), 0);
}
