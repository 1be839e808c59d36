//! Static pods: a directory whose manifests say which pods there are.
//!
//! Upstream: `pkg/kubelet/config/file.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::command::Delete;
use super::event::EventKind;
use super::host::{Due, Watched};
use super::node::Node;
use super::{PodId, PodName};
use crate::linux::Clock;
use crate::linux::reactor::Interest;
use crate::model::objects::Object;
use crate::model::{Documents, ObjectMeta, Pod, Valid};
use crate::{Error, Kind, Result};

/// Marks what comes from a file, as the kubelet does.
const SOURCE: &str = "kubernetes.io/config.source";
const HASH: &str = "kubernetes.io/config.hash";
/// How long until something that failed is tried again, though no file changed. The kubelet's `fileCheckFrequency`.
const RETRY: Duration = Duration::from_secs(20);
/// A larger file is not read.
const BYTES_MAX: u64 = 16 << 20;

/// A directory of manifests.
#[derive(Debug)]
pub(super) struct Manifests {
    directory: PathBuf,
    changes: Inotify,
    files: BTreeMap<PathBuf, Manifest>,
    /// What was said of files that cannot be used.
    told: BTreeMap<PathBuf, String>,
    /// Something changed: the pods are to be compared with the files.
    due: bool,
}

/// What is in a file, and by what its next change is known.
#[derive(Debug, Default)]
struct Manifest {
    stamp: Option<Stamp>,
    pods: Vec<Valid<Pod>>,
    objects: Vec<Object>,
    /// Why it cannot be used as it is.
    failure: Option<String>,
}

type Stamp = (u64, u64, i64, i64, u64);

/// What cannot be used, and why.
type Failures = Vec<(PathBuf, String)>;

impl Manifests {
    fn open(directory: PathBuf) -> Result<Manifests> {
        let failed = |errno: nix::errno::Errno| {
            let attempt = format!("watch the manifests in {}", directory.display());
            let error = Error::os(attempt, errno as i32);
            match errno {
                nix::errno::Errno::EMFILE => error.cure("raise fs.inotify.max_user_instances"),
                _ => error,
            }
        };
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let changes = Inotify::init(flags).map_err(failed)?;
        let wanted = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        changes.add_watch(&directory, wanted).map_err(failed)?;
        Ok(Manifests {
            directory,
            changes,
            files: BTreeMap::new(),
            told: BTreeMap::new(),
            due: true,
        })
    }

    /// Reads what has changed.
    fn scan(&mut self) -> Failures {
        let mut failures = Vec::new();
        let paths = match paths(&self.directory) {
            Ok(paths) => paths,
            // Nothing is known of what it says now: everything stays.
            Err(error) => return vec![(self.directory.clone(), error.to_string())],
        };
        self.files.retain(|path, _| paths.contains(path));
        for path in paths {
            let file = self.files.entry(path.clone()).or_default();
            if let Err(why) = file.read(&path) {
                failures.push((path, why));
            }
        }
        failures
    }

    fn objects(&self) -> impl Iterator<Item = (&Path, &Object)> {
        let files = self.files.iter();
        files.flat_map(|(path, file)| file.objects.iter().map(|object| (path.as_path(), object)))
    }

    fn pods(&self) -> impl Iterator<Item = (&Path, &Valid<Pod>)> {
        let files = self.files.iter();
        files.flat_map(|(path, file)| file.pods.iter().map(|pod| (path.as_path(), pod)))
    }
}

impl Manifest {
    /// A file that cannot be used stays what it was when it could.
    fn read(&mut self, path: &Path) -> Result<(), String> {
        let failed = |why: std::io::Error| why.to_string();
        let found = std::fs::metadata(path).map_err(failed)?;
        let stamp = stamp(&found);
        if self.stamp == Some(stamp) {
            return self.failure.clone().map_or(Ok(()), Err);
        }
        if found.len() > BYTES_MAX {
            return Err(format!("it is larger than {BYTES_MAX} bytes"));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        // Read again only when it changes.
        self.stamp = Some(stamp);
        match parse(&text) {
            Ok(said) => ((self.pods, self.objects), self.failure) = (said, None),
            Err(why) => self.failure = Some(why),
        }
        self.failure.clone().map_or(Ok(()), Err)
    }
}

/// An empty file says nothing: somebody is about to write it.
fn parse(text: &str) -> Result<(Vec<Valid<Pod>>, Vec<Object>), String> {
    if text.trim().is_empty() {
        return Ok(Default::default());
    }
    let documents = Documents::read(text).map_err(|errors| errors.to_string())?;
    let mut pods = Vec::new();
    for pod in documents
        .validate(text)
        .map_err(|errors| errors.to_string())?
    {
        pod.report().accept().map_err(|errors| errors.to_string())?;
        pods.push(marked(pod)?);
    }
    let mut objects = Vec::new();
    for object in documents.objects() {
        object.check().map_err(|errors| errors.to_string())?;
        objects.push(object.annotated(SOURCE, "file"));
    }
    Ok((pods, objects))
}

/// With its source, and a hash by which a changed one is known, also by the next Node.
fn marked(pod: Valid<Pod>) -> Result<Valid<Pod>, String> {
    let mut pod = pod.edit();
    let json = serde_json::to_vec(&pod).map_err(|why| why.to_string())?;
    let annotations = &mut pod.metadata.annotations;
    annotations.insert(SOURCE.to_owned(), "file".to_owned());
    annotations.insert(HASH.to_owned(), format!("{:016x}", fnv(&json)));
    pod.validate().map_err(|errors| errors.to_string())
}

/// FNV-1a: the same in every build.
fn fnv(bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325;
    bytes.iter().fold(start, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn stamp(found: &Metadata) -> Stamp {
    (
        found.dev(),
        found.ino(),
        found.mtime(),
        found.mtime_nsec(),
        found.size(),
    )
}

/// Regular files whose names do not begin with a dot; links are followed.
fn paths(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let failed = |why| {
        Error::io(
            format!("list the manifests in {}", directory.display()),
            why,
        )
    };
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && path.is_file() {
            paths.insert(path);
        }
    }
    Ok(paths)
}

fn is_from_file(meta: &ObjectMeta) -> bool {
    meta.annotations
        .get(SOURCE)
        .is_some_and(|source| source == "file")
}

fn is_same(one: &Pod, other: &Pod) -> bool {
    one.metadata.annotations.get(HASH) == other.metadata.annotations.get(HASH)
}

impl Node {
    /// Watches a directory, and makes its pods.
    pub(super) fn watch_manifests(&mut self, directory: PathBuf) -> Result<()> {
        let manifests = Manifests::open(directory)?;
        self.host
            .watch(&manifests.changes, Interest::Read, Watched::Manifests)?;
        self.manifests = Some(manifests);
        self.sync_manifests();
        Ok(())
    }

    /// Files changed.
    pub(super) fn manifests_changed(&mut self) {
        if let Some(manifests) = &mut self.manifests {
            // All files are looked at, so it does not matter which.
            while manifests
                .changes
                .read_events()
                .is_ok_and(|events| !events.is_empty())
            {}
            manifests.due = true;
        }
    }

    /// A pod is gone: one of the same name may come.
    pub(super) fn manifests_due(&mut self) {
        if let Some(manifests) = &mut self.manifests {
            manifests.due = true;
            self.host.reactor.wake();
        }
    }

    /// Brings pods and objects to what the files say. One pod a name; a changed one ends before its successor begins.
    pub(super) fn sync_manifests(&mut self) {
        let Some(mut manifests) = self.manifests.take_if(|manifests| manifests.due) else {
            return;
        };
        manifests.due = false;
        let mut failures = manifests.scan();
        self.sync_objects(&manifests, &mut failures);
        self.sync_pods(&manifests, &mut failures);
        if !failures.is_empty() {
            self.host.schedule(Clock::mono() + RETRY, Due::Manifests);
        }
        let told = std::mem::take(&mut manifests.told);
        for (path, why) in failures {
            if told.get(&path) != Some(&why) {
                self.host.tell(
                    PodId::NONE,
                    &file_name(&path),
                    EventKind::FailedManifest(why.as_str().into()),
                );
            }
            manifests.told.insert(path, why);
        }
        self.manifests = Some(manifests);
    }

    fn sync_objects(&mut self, manifests: &Manifests, failures: &mut Failures) {
        let mut wanted = BTreeSet::new();
        for (path, object) in manifests.objects() {
            if !wanted.insert(object.to_string()) {
                failures.push((
                    path.to_owned(),
                    format!("another file has the {object} too"),
                ));
            } else if let Err(error) = self.put(object.clone()) {
                failures.push((path.to_owned(), error.to_string()));
            }
        }
        for object in self.host.objects.all() {
            let left = is_from_file(object.meta()) && !wanted.contains(&object.to_string());
            if left && let Err(error) = self.remove(&object) {
                failures.push((manifests.directory.clone(), error.to_string()));
            }
        }
    }

    fn sync_pods(&mut self, manifests: &Manifests, failures: &mut Failures) {
        let mut wanted: BTreeMap<PodName, &Valid<Pod>> = BTreeMap::new();
        for (path, pod) in manifests.pods() {
            let name = PodName::of(pod);
            if wanted.contains_key(&name) {
                failures.push((
                    path.to_owned(),
                    format!("another file has the pod {name} too"),
                ));
                continue;
            }
            wanted.insert(name.clone(), pod);
            if let Err(error) = self.sync_pod(&name, pod) {
                failures.push((path.to_owned(), error.to_string()));
            }
        }
        let left = self.pods.values().filter(|resident| {
            is_from_file(&resident.pod.metadata) && !wanted.contains_key(&resident.name)
        });
        let left: Vec<PodId> = left.map(|resident| resident.id).collect();
        for id in left {
            self.end_static(id);
        }
    }

    fn sync_pod(&mut self, name: &PodName, pod: &Valid<Pod>) -> Result<()> {
        let Some(resident) = self.pods.values().find(|resident| resident.name == *name) else {
            return self.create(pod.clone()).map(drop);
        };
        if !is_from_file(&resident.pod.metadata) {
            let why = "there is one of that name that does not come from a file";
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("create the pod {name}"),
                why,
            ));
        }
        if !is_same(&resident.pod, pod) {
            let id = resident.id;
            self.end_static(id);
        }
        Ok(())
    }

    /// Once: a second deletion would only shorten the grace period.
    fn end_static(&mut self, id: PodId) {
        let ends = |node: &Node| {
            node.pods
                .get(&id)
                .is_none_or(|pod| pod.machine.record().is_deleted())
        };
        if !ends(self) {
            // There is such a pod.
            let _ = self.delete(id, Delete::default());
        }
    }
}

fn file_name(path: &Path) -> PodName {
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    PodName {
        namespace: "".into(),
        name: name.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::time::Mono;

    /// Everything that is due up to then is done.
    fn pass(node: &mut Node, until: Mono) {
        while let Some(due) = node.host.take_due(until) {
            assert_eq!(due, Due::Manifests);
            node.manifests_due();
        }
        node.sync_manifests();
    }

    /// Links are followed, and of what they lead to nobody tells that it has changed.
    #[test]
    fn what_cannot_be_used_is_looked_at_again_until_it_can() {
        let folder = std::env::temp_dir().join(format!("podlife-retry-{}", std::process::id()));
        let directory = folder.join("manifests");
        std::fs::create_dir_all(&directory).unwrap();
        let file = folder.join("file.yaml");
        std::fs::write(&file, "kind: [").unwrap();
        symlink(&file, directory.join("link.yaml")).unwrap();
        let mut node = Node::options().manifests(&directory).open().unwrap();
        let mut told = 0;
        for round in 1..4 {
            let at = node.host.next_due().unwrap();
            assert!(
                at <= Clock::mono() + RETRY && at > Clock::mono() + RETRY / 2,
                "{round}"
            );
            told += std::iter::from_fn(|| node.next_event()).count();
            pass(&mut node, at);
        }
        assert_eq!(told, 1, "the same is said once");
        let object = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: there } }";
        std::fs::write(&file, object).unwrap();
        let at = node.host.next_due().unwrap();
        pass(&mut node, at);
        assert_eq!(node.host.objects.all().len(), 1);
        assert_eq!(node.host.next_due(), None);
        drop(node);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
