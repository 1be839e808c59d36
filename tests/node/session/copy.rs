//! Files into and out of containers.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use podlife::Kind;
use podlife::node::{Exec, PodId, Until};
use serde_json::json;

use super::super::hosted::{Hosted, LONG, pod, shell, with};

/// A directory of the host for one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("podlife-copy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sleeping(hosted: &mut Hosted) -> PodId {
    let main = shell("main", "mkdir /tmp/data; echo made; exec sleep 1000");
    let id = hosted.create(&pod("copy", "Never", json!([main])));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "made");
    id
}

fn inside(hosted: &mut Hosted, id: PodId, script: &str) -> String {
    let output = hosted
        .node
        .output(id, "main", Exec::new(["/bin/sh", "-c", script]), LONG)
        .unwrap();
    assert!(
        output.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn make_tree(at: &Path) {
    fs::create_dir_all(at.join("empty")).unwrap();
    fs::write(at.join("file"), "text\n").unwrap();
    fs::write(at.join("run"), vec![7; 3 << 20]).unwrap();
    fs::set_permissions(at.join("run"), fs::Permissions::from_mode(0o4751)).unwrap();
    symlink("../../file", at.join("link")).unwrap();
    symlink("/etc/shadow", at.join("absolute")).unwrap();
    nix::unistd::mkfifo(&at.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::set_permissions(at.join("empty"), fs::Permissions::from_mode(0o500)).unwrap();
}

#[test]
fn a_tree_comes_back_as_it_went() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let scratch = Scratch::new("tree");
    make_tree(&scratch.0.join("tree"));
    let copied = hosted
        .node
        .copy_in(id, "main", scratch.0.join("tree"), "/tmp/data")
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(
        (
            copied.files,
            copied.directories,
            copied.links,
            copied.passed_over
        ),
        (2, 2, 2, 1)
    );
    assert_eq!(copied.bytes, 5 + (3 << 20));
    let seen = inside(
        &mut hosted,
        id,
        "cd /tmp/data/tree && stat -c '%n %a %u' * && readlink link absolute && cat file",
    );
    assert_eq!(
        seen,
        "absolute 777 0\nempty 500 0\nfile 644 0\nlink 777 0\nrun 751 0\n../../file\n/etc/shadow\ntext\n"
    );

    let back = scratch.0.join("back");
    let mut copy = hosted
        .node
        .copy_out(id, "main", "/tmp/data/tree", &back)
        .unwrap();
    let mut steps = 0;
    while copy.step().unwrap() {
        steps += 1;
    }
    assert!(steps > 8, "{steps}");
    assert_eq!(fs::read(back.join("run")).unwrap(), vec![7; 3 << 20]);
    assert_eq!(
        fs::read_link(back.join("absolute")).unwrap(),
        Path::new("/etc/shadow")
    );
    assert_eq!(
        (mode(back.join("run")), mode(back.join("empty"))),
        (0o751, 0o500)
    );
    // A second time: what is there is replaced, and into a directory under its own name.
    fs::write(back.join("file"), "changed").unwrap();
    fs::remove_file(back.join("link")).unwrap();
    fs::remove_file(back.join("absolute")).unwrap();
    hosted
        .node
        .copy_out(id, "main", "/tmp/data/tree/file", &back)
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(fs::read(back.join("file")).unwrap(), b"text\n");
    hosted.kill(id);
    drop(scratch);
    hosted.end();
}

#[test]
fn nothing_is_written_through_a_link() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let scratch = Scratch::new("links");
    let (mine, precious) = (scratch.0.join("mine"), scratch.0.join("precious"));
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "precious").unwrap();
    fs::write(&mine, "mine").unwrap();
    // Into the container: a link to a directory of the host's leads inside, one in place of the file is refused.
    let outside = precious.display().to_string();
    inside(
        &mut hosted,
        id,
        &format!(
            "ln -s {outside} /tmp/data/trap; ln -s ../../../../../../{outside}/file /tmp/data/file; ln -s /tmp /tmp/data/tmp"
        ),
    );
    let into = |hosted: &Hosted, to: &str| {
        hosted
            .node
            .copy_in(id, "main", &mine, to)
            .and_then(|copy| copy.finish())
    };
    assert_eq!(
        into(&hosted, "/tmp/data/trap/new").unwrap_err().kind(),
        Kind::NotFound
    );
    let error = into(&hosted, "/tmp/data/file").unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error
            .to_string()
            .contains("a symbolic link, which is not written through"),
        "{error}"
    );
    into(&hosted, "/tmp/data/tmp/there").unwrap();
    assert_eq!(inside(&mut hosted, id, "cat /tmp/there"), "mine");
    into(&hosted, "/../../../tmp/data/../data/up").unwrap();
    assert_eq!(inside(&mut hosted, id, "cat /tmp/data/up"), "mine");
    assert_eq!(
        fs::read_to_string(precious.join("file")).unwrap(),
        "precious"
    );
    assert_eq!(fs::read_dir(&precious).unwrap().count(), 1);
    hosted.kill(id);
    drop(scratch);
    hosted.end();
}

#[test]
fn nothing_that_comes_out_leaves_its_place() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let scratch = Scratch::new("out");
    let precious = scratch.0.join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "precious").unwrap();
    let outside = precious.display().to_string();
    inside(&mut hosted, id, &format!("ln -s {outside} /tmp/data/trap"));

    // Out of it: first a link, then a directory of the same name with a file in it.
    let target = scratch.0.join("target");
    inside(
        &mut hosted,
        id,
        &format!(
            "mkdir -p /tmp/data/a /tmp/data/b/sub && ln -s {outside} /tmp/data/a/sub && echo evil > /tmp/data/b/sub/file"
        ),
    );
    let out = |hosted: &Hosted, from: &str| {
        hosted
            .node
            .copy_out(id, "main", from, &target)
            .and_then(|copy| copy.finish())
    };
    out(&hosted, "/tmp/data/a").unwrap();
    assert!(target.join("sub").is_symlink());
    inside(
        &mut hosted,
        id,
        "mkdir /tmp/data/c && mv /tmp/data/b /tmp/data/c/target",
    );
    let over = hosted
        .node
        .copy_out(id, "main", "/tmp/data/c/target", &scratch.0)
        .unwrap()
        .finish();
    assert_eq!(over.unwrap_err().kind(), Kind::Conflict);
    // And where a link is read it is a link.
    inside(
        &mut hosted,
        id,
        &format!("ln -s {outside}/file /tmp/data/read"),
    );
    let read = scratch.0.join("read");
    hosted
        .node
        .copy_out(id, "main", "/tmp/data/read", &read)
        .unwrap()
        .finish()
        .unwrap();
    assert!(read.is_symlink());
    assert_eq!(
        hosted
            .node
            .copy_out(id, "main", "/tmp/data/trap/file", &read)
            .unwrap_err()
            .kind(),
        Kind::NotFound
    );
    assert_eq!(
        fs::read_to_string(precious.join("file")).unwrap(),
        "precious"
    );
    assert_eq!(fs::read_dir(&precious).unwrap().count(), 1);
    hosted.kill(id);
    drop(scratch);
    hosted.end();
}

#[test]
fn what_is_copied_in_is_the_containers_users() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: files of another user: an ordinary user has none");
    }
    let mut hosted = Hosted::ephemeral();
    let main = with(
        shell("main", "exec sleep 1000"),
        json!({ "securityContext": { "runAsUser": 1234, "runAsGroup": 4321 } }),
    );
    let id = hosted.create(&pod("copy", "Never", json!([main])));
    hosted.wait(id, Until::Ready);
    let scratch = Scratch::new("owner");
    fs::write(scratch.0.join("file"), "text").unwrap();
    hosted
        .node
        .copy_in(id, "main", &scratch.0, "/tmp/dir")
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(
        inside(&mut hosted, id, "stat -c '%u %g' /tmp/dir /tmp/dir/file"),
        "1234 4321\n1234 4321\n"
    );
    let back = scratch.0.join("back");
    hosted
        .node
        .copy_out(id, "main", "/tmp/dir/file", &back)
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(fs::metadata(&back).unwrap().uid(), 0);
    hosted.kill(id);
    drop(scratch);
    hosted.end();
}

#[test]
fn what_cannot_be_copied_is_said() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let scratch = Scratch::new("errors");
    fs::write(scratch.0.join("file"), "text").unwrap();
    let node = &hosted.node;
    let file = scratch.0.join("file");
    let refused = |error: podlife::Error, kind, text: &str| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(
        node.copy_out(id, "main", "/no/such", &scratch.0)
            .unwrap_err(),
        Kind::NotFound,
        "/no",
    );
    refused(
        node.copy_in(id, "main", scratch.0.join("none"), "/tmp")
            .unwrap_err(),
        Kind::NotFound,
        "none",
    );
    refused(
        node.copy_in(id, "other", &file, "/tmp").unwrap_err(),
        Kind::NotFound,
        "no such container",
    );
    refused(
        node.copy_out(id, "main", "/", &scratch.0).unwrap_err(),
        Kind::Invalid,
        "does not end in a name",
    );
    let read_only = node
        .copy_in(id, "main", &file, "/usr/file")
        .unwrap()
        .finish()
        .unwrap_err();
    refused(read_only, Kind::Permission, "Read-only file system");
    let directory = node
        .copy_in(id, "main", &scratch.0, "/etc/passwd")
        .unwrap()
        .finish()
        .unwrap_err();
    refused(directory, Kind::Conflict, "/etc/passwd is a file there");
    // A directory that is too deep, and memory that is bounded all the same.
    inside(
        &mut hosted,
        id,
        "cd /tmp; for i in $(seq 120); do mkdir d; cd d; done",
    );
    let deep = hosted
        .node
        .copy_out(id, "main", "/tmp/d", scratch.0.join("deep"))
        .unwrap()
        .finish()
        .unwrap_err();
    refused(deep, Kind::Exhausted, "100 directories deep");
    hosted.kill(id);
    let gone = hosted
        .node
        .copy_out(id, "main", "/tmp", &scratch.0)
        .unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
    drop(scratch);
    hosted.end();
}
