//! Volumes in real directories: the atomic writer, types of host paths, subPaths.

use std::fs::{self, DirBuilder};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use podlife::linux::mount::{Beneath, Links};
use podlife::model::HostPathVolumeSource;
use podlife::model::payload::{Payload, PayloadFile};
use podlife::node::volumes::{AtomicDirectory, check_host_path, open_sub_path};
use serde_json::{Map, Value, json};

use super::{Answer, Case};

pub(crate) fn run(op: &str, case: &Case) -> Answer {
    match op {
        "atomicWrite" => atomic_write(case),
        "atomicLayout" => atomic_layout(case),
        "atomicUpdate" => atomic_update(case),
        "hostPathType" => host_path_type(case),
        "safeMakeDir" => make_dir(case),
        "safeOpenNoSymlinks" => open_without_links(case),
        "resolveSubPath" => resolve_sub_path(case),
        _ => Answer::UnknownOp,
    }
}

/// An empty directory, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "podlife-vectors-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        // As it is called when links are resolved.
        Scratch(path.canonicalize().unwrap())
    }

    /// With what the case's `setup` asks for.
    fn set_up(case: &Case) -> Scratch {
        let scratch = Scratch::new();
        for entry in case.input["setup"].as_array().into_iter().flatten() {
            let at = |key: &str| entry[key].as_str().map(|path| scratch.0.join(path));
            if let Some(path) = at("dir") {
                // The mode that upstream's tests give to directories.
                DirBuilder::new()
                    .mode(0o750)
                    .recursive(true)
                    .create(path)
                    .unwrap();
            } else if let Some(path) = at("file") {
                fs::write(path, "").unwrap();
            } else if let Some(path) = at("socket") {
                drop(UnixListener::bind(path).unwrap());
            } else if let Some(path) = at("symlink") {
                let base = scratch.0.to_str().unwrap();
                symlink(
                    entry["target"].as_str().unwrap().replace("{base}", base),
                    path,
                )
                .unwrap();
            } else {
                panic!("{}: setup {entry}", case.name);
            }
        }
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn payload(files: &Value) -> Payload {
    let files = files.as_object().unwrap().iter();
    files
        .map(|(path, file)| {
            let content = file["content"].as_str().unwrap().into();
            let mode = u32::try_from(file["mode"].as_u64().unwrap()).unwrap();
            let owner = None;
            (
                path.clone(),
                PayloadFile {
                    content,
                    mode,
                    owner,
                },
            )
        })
        .collect()
}

/// What a reader finds: content and mode at each path.
fn is_there(root: &Path, files: &Payload) -> bool {
    files.iter().all(|(path, file)| {
        let path = root.join(path);
        fs::read(&path).unwrap() == file.content
            && fs::metadata(&path).unwrap().permissions().mode() & 0o7777 == file.mode
    })
}

fn atomic_write(case: &Case) -> Answer {
    let scratch = Scratch::new();
    let files = payload(&case.input["payload"]);
    let written = AtomicDirectory::new(&scratch.0).write(&files);
    let ok = written.is_ok() && is_there(&scratch.0, &files);
    Answer::Is(json!({ "ok": ok }))
}

fn atomic_layout(case: &Case) -> Answer {
    let scratch = Scratch::new();
    let files = payload(&case.input["payload"]);
    AtomicDirectory::new(&scratch.0).write(&files).unwrap();
    assert!(is_there(&scratch.0, &files));
    let data = fs::read_link(scratch.0.join("..data")).unwrap();
    let mode = fs::metadata(scratch.0.join(&data))
        .unwrap()
        .permissions()
        .mode()
        & 0o7777;
    let link = |path: &String| {
        let link = fs::read_link(scratch.0.join(path)).ok();
        (path.clone(), json!(link))
    };
    let links: Map<String, Value> = files.keys().map(link).collect();
    Answer::Is(json!({
        "links": links, "dataLinkName": "..data",
        "dataDirPrefix": &data.to_str().unwrap()[..2], "dataDirMode": mode,
    }))
}

fn atomic_update(case: &Case) -> Answer {
    let scratch = Scratch::new();
    let directory = AtomicDirectory::new(&scratch.0);
    assert!(directory.write(&payload(&case.input["first"])).unwrap());
    let before = fs::read_link(scratch.0.join("..data")).unwrap();
    let next = payload(&case.input["next"]);
    let rewritten = directory.write(&next).unwrap();
    let after = fs::read_link(scratch.0.join("..data")).unwrap();
    assert_eq!(before != after, rewritten);
    assert!(!rewritten || is_there(&scratch.0, &next));
    let mut tops: Vec<&str> = next
        .keys()
        .map(|path| path.split('/').next().unwrap())
        .collect();
    tops.dedup();
    let names = fs::read_dir(&scratch.0).unwrap().count();
    assert_eq!(names, tops.len() + 2, "nothing old is left");
    Answer::Is(json!({ "rewritten": rewritten }))
}

fn host_path_type(case: &Case) -> Answer {
    let scratch = Scratch::new();
    let path = scratch.0.join("there");
    let path = match case.input["existing"].as_str() {
        None => path,
        Some("directory") => fs::create_dir(&path).map(|()| path).unwrap(),
        Some("file") => fs::write(&path, "").map(|()| path).unwrap(),
        Some("socket") => UnixListener::bind(&path).map(|_| path).unwrap(),
        Some("charDevice") => "/dev/null".into(),
        Some("blockDevice") => match block_device(&path) {
            Some(path) => path,
            None => return Answer::Skip("no block device can be made or found here"),
        },
        Some(other) => panic!("{other}"),
    };
    let source = json!({ "path": path, "type": case.text("type") });
    let source: HostPathVolumeSource = serde_json::from_value(source).unwrap();
    let ok = check_host_path(&source).is_ok();
    let mut answer = json!({ "ok": ok });
    if case.input["existing"].is_null() && case.expect.get("created").is_some() {
        let made = fs::metadata(&path).unwrap();
        answer["created"] = json!(if made.is_dir() { "directory" } else { "file" });
    } else if case.input["existing"].is_null() {
        assert!(!path.exists(), "nothing is made unless that is asked");
    }
    Answer::Is(answer)
}

/// One of our own, where that may be made; else the host's.
fn block_device(path: &Path) -> Option<PathBuf> {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    if mknod(path, SFlag::S_IFBLK, Mode::S_IRUSR, makedev(1, 0)).is_ok() {
        return Some(path.to_owned());
    }
    use std::os::unix::fs::FileTypeExt;
    let entries = fs::read_dir("/dev").ok()?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device()))
}

fn make_dir(case: &Case) -> Answer {
    let scratch = Scratch::set_up(case);
    let mode = u32::try_from(case.integer("mode")).unwrap();
    let volume = Beneath::open(&scratch.0).unwrap().links(Links::Inside);
    let ok = volume.create_directory(case.text("path"), mode).is_ok();
    let mut answer = json!({ "ok": ok });
    if let Some(made) = case.expect["createdDir"].as_str().filter(|_| ok) {
        let made_mode = fs::symlink_metadata(scratch.0.join(made))
            .ok()
            .filter(fs::Metadata::is_dir);
        answer["createdDir"] = json!(made_mode.is_some().then_some(made));
        answer["mode"] = json!(made_mode.map(|made| made.permissions().mode() & 0o7777));
    }
    Answer::Covers(answer)
}

fn open_without_links(case: &Case) -> Answer {
    let scratch = Scratch::set_up(case);
    let volume = Beneath::open(&scratch.0).unwrap().links(Links::Refused);
    Answer::Is(json!({ "ok": volume.look_up(case.text("path")).is_ok() }))
}

fn resolve_sub_path(case: &Case) -> Answer {
    let scratch = Scratch::set_up(case);
    let Ok(opened) = open_sub_path(&scratch.0, case.text("subPath")) else {
        return Answer::Is(json!({ "ok": false }));
    };
    let source = path_of(&opened);
    let mut answer = json!({ "ok": true, "source": source.strip_prefix(&scratch.0).unwrap() });
    if source.is_dir() && case.expect.get("createdDir").is_some() {
        answer["createdDir"] = json!(true);
    }
    Answer::Is(answer)
}

fn path_of(file: &OwnedFd) -> PathBuf {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}
