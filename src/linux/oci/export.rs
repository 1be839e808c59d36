//! A plan as a bundle: `config.json`, and a root that has what the plan makes in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde_json::{Map, Value, json};

use super::usual::is_usual;
use super::{Bundle, Difference};
use crate::linux::pause::plan::{Attributes, Propagation, Source, Step};
use crate::{Error, Kind, Result};

/// Where in the bundle things are.
const ROOT: &str = "rootfs";
const POD: &str = "pod";

impl Bundle {
    /// Writes the bundle to `directory`, which is made and must not be there yet: `config.json`, and what it needs beside it. Gives
    /// what it does not say as the plan does.
    ///
    /// # Errors
    /// It cannot be written, or something in the plan is not text.
    pub fn export(&self, directory: impl AsRef<Path>) -> Result<Vec<Difference>> {
        let directory = directory.as_ref();
        make(directory)?;
        let directory = fs::canonicalize(directory)
            .map_err(|why| Error::io(format!("find {}", directory.display()), why))?;
        let mut export = Export::new(self, &directory);
        export.make(&directory.join(ROOT), 0o755)?;
        for step in self.set_up.steps() {
            export.set_up(step)?;
        }
        for step in self.container.steps() {
            export.step(step)?;
        }
        let config = export.config();
        let path = directory.join("config.json");
        let wrong = |why| Error::caused(Kind::Invalid, format!("write {}", path.display()), why);
        // The types see to it that it is one; what is written is what was put together, as sets of theirs have no order.
        serde_json::from_value::<Spec>(config.clone()).map_err(wrong)?;
        let text = serde_json::to_string_pretty(&config).map_err(wrong)?;
        fs::write(&path, text)
            .map_err(|why| Error::io(format!("write {}", path.display()), why))?;
        Ok(export.differences)
    }
}

fn make(directory: &Path) -> Result<()> {
    let attempt = || format!("make the bundle {}", directory.display());
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(|why| Error::io(attempt(), why))?;
    }
    // What is in it may be secret.
    let made = fs::DirBuilder::new().mode(0o700).create(directory);
    made.map_err(|why| Error::io(attempt(), why).cure("choose a directory that is not there yet"))
}

/// A bundle that is being put together.
pub(super) struct Export<'a> {
    pub(super) bundle: &'a Bundle,
    directory: &'a Path,
    /// File systems of the sandbox, by where it mounts them.
    mounted: BTreeMap<PathBuf, (String, String, Attributes)>,
    /// Lower directories of overlays, by where those are mounted.
    overlays: BTreeMap<PathBuf, PathBuf>,
    /// The container has its root.
    entered: bool,
    /// The root is one that this bundle has, and may be filled.
    own_root: bool,
    /// Where something is mounted in the root.
    targets: Vec<PathBuf>,
    pub(super) root: Value,
    pub(super) mounts: Vec<Value>,
    pub(super) process: Map<String, Value>,
    pub(super) user: Map<String, Value>,
    pub(super) capabilities: Map<String, Value>,
    pub(super) rlimits: Vec<Value>,
    pub(super) linux: Map<String, Value>,
    pub(super) sysctl: Map<String, Value>,
    pub(super) masked: Vec<String>,
    pub(super) read_only: Vec<String>,
    pub(super) names: Map<String, Value>,
    pub(super) cgroup_namespace: bool,
    pub(super) differences: Vec<Difference>,
}

impl<'a> Export<'a> {
    fn new(bundle: &'a Bundle, directory: &'a Path) -> Export<'a> {
        Export {
            bundle,
            directory,
            mounted: BTreeMap::new(),
            overlays: BTreeMap::new(),
            entered: false,
            own_root: false,
            targets: Vec::new(),
            root: json!({ "path": ROOT }),
            mounts: Vec::new(),
            process: Map::new(),
            user: Map::new(),
            capabilities: Map::new(),
            rlimits: Vec::new(),
            linux: Map::new(),
            sysctl: Map::new(),
            masked: Vec::new(),
            read_only: Vec::new(),
            names: Map::new(),
            cgroup_namespace: false,
            differences: Vec::new(),
        }
    }

    pub(super) fn differs(&mut self, step: impl ToString, why: &'static str) {
        let step = step.to_string();
        self.differences.push(Difference { step, why });
    }

    /// Of the sandbox: its file system becomes files of the bundle.
    fn set_up(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Filesystem {
                kind,
                options,
                target,
                attributes,
            } => {
                self.make(&self.of_pod(target), 0o755)?;
                let what = (kind.clone(), options.clone(), *attributes);
                self.mounted.insert(target.clone(), what);
                Ok(())
            }
            Step::Directory { path, mode } => self.make(&self.of_pod(path), *mode),
            Step::File { path, mode, bytes } => {
                let path = self.of_pod(path);
                write(&path, bytes, *mode)
            }
            Step::Owner {
                path,
                uid,
                gid,
                mode,
            } => self.own(path, *uid, *gid, *mode),
            Step::Hostname(name) => self.named("hostname", name),
            Step::Domainname(name) => self.named("domainname", name),
            Step::Sysctl { name, value } => {
                let name = name.replace('/', ".");
                self.sysctl.insert(name, json!(value));
                Ok(())
            }
            // What every runtime does, what is for pause alone, and what all of the bundle says.
            Step::Propagation(..)
            | Step::Loopback
            | Step::OomScoreAdj { .. }
            | Step::TimeNamespace { .. } => Ok(()),
            other => {
                self.differs(other, "a bundle has no place for it");
                Ok(())
            }
        }
    }

    /// Of a file of the bundle, or of a file system that a container will have.
    fn own(&mut self, path: &Path, uid: u32, gid: u32, mode: u32) -> Result<()> {
        if let Some((_, options, _)) = self.mounted.get_mut(path) {
            let kept = options
                .split(',')
                .filter(|option| !option.starts_with("mode="));
            let kept: String = kept.map(|option| format!("{option},")).collect();
            *options = format!("{kept}uid={uid},gid={gid},mode={mode:o}");
            return Ok(());
        }
        let path = self.of_pod(path);
        let failed = |why| Error::io(format!("give {} away", path.display()), why);
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).map_err(failed)?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).map_err(failed)
    }

    fn named(&mut self, what: &str, name: &str) -> Result<()> {
        self.names.insert(what.into(), json!(name));
        Ok(())
    }

    /// Where the bundle has what the sandbox has at `path`.
    fn of_pod(&self, path: &Path) -> PathBuf {
        let inner = path.strip_prefix("/").unwrap_or(path);
        self.directory.join(POD).join(inner)
    }

    fn make(&self, path: &Path, mode: u32) -> Result<()> {
        let failed = |why| Error::io(format!("make {}", path.display()), why);
        fs::create_dir_all(path).map_err(failed)?;
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Propagation(path, how) if path == Path::new("/") => {
                let how = match how {
                    Propagation::Private => "rprivate",
                    Propagation::Slave => "rslave",
                    Propagation::Shared => "rshared",
                };
                self.linux.insert("rootfsPropagation".into(), json!(how));
            }
            Step::Root { source, attributes } => {
                self.entered = true;
                self.root(step, source, *attributes)?;
            }
            Step::EmptyRoot { .. } => (self.entered, self.own_root) = (true, true),
            Step::Bind {
                source,
                target,
                attributes,
            } => self.bind(step, source, target, *attributes)?,
            Step::Filesystem {
                kind,
                options,
                target,
                attributes,
            } => self.filesystem(kind, options, target, *attributes),
            Step::Attributes {
                target, attributes, ..
            } if target == Path::new("/") && *attributes == Attributes::READ_ONLY => {
                self.root["readonly"] = json!(true);
            }
            Step::Mask(path) => self.masked.push(path.display().to_string()),
            Step::ReadOnly(path) => self.read_only.push(path.display().to_string()),
            Step::CgroupNamespace => self.cgroup_namespace = true,
            Step::Pivot | Step::ParentDeath | Step::OwnStreams { .. } | Step::AllProcessors => {}
            Step::Directory { .. }
            | Step::Symlink { .. }
            | Step::Device { .. }
            | Step::File { .. }
            | Step::Copy { .. } => self.file(step)?,
            _ => self.process(step)?,
        }
        Ok(())
    }

    fn root(&mut self, step: &Step, source: &Source, attributes: Attributes) -> Result<()> {
        let read_only = attributes.contains(Attributes::READ_ONLY);
        let Source::Host(path) = source else {
            self.differs(step, "a bundle's root is a directory");
            return Ok(());
        };
        if let Some(lower) = self.overlays.get(path) {
            let lower = lower.display().to_string();
            self.root = json!({ "path": lower, "readonly": true });
            self.differs(
                step,
                "the root is read-only, where podlife keeps what the container changes in memory",
            );
            return Ok(());
        }
        self.root["readonly"] = json!(read_only);
        if path == Path::new("/") {
            self.own_root = true;
            return self.host(attributes);
        }
        self.root["path"] = json!(path.display().to_string());
        Ok(())
    }

    /// No runtime takes the host's root for a container's: a root with all that is in it.
    fn host(&mut self, attributes: Attributes) -> Result<()> {
        let anew: Vec<_> = self
            .bundle
            .container
            .steps()
            .iter()
            .filter_map(target)
            .collect();
        let entries = fs::read_dir("/").map_err(|why| Error::io("read /", why))?;
        let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries
            .into_iter()
            .filter(|path| !anew.contains(&path.as_path()))
        {
            match fs::read_link(&path) {
                Ok(to) => self.link(&path, &to)?,
                Err(_) => {
                    match path.is_dir() {
                        true => self.make(&self.in_root(&path), 0o755)?,
                        false => write(&self.in_root(&path), b"", 0o644)?,
                    }
                    self.mount(&path, "bind", &path, bind_options(&path, attributes));
                }
            }
        }
        Ok(())
    }

    fn link(&self, path: &Path, to: &Path) -> Result<()> {
        let at = self.in_root(path);
        let failed = |why| Error::io(format!("link {}", at.display()), why);
        at.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .map_err(failed)?;
        symlink(to, &at).map_err(failed)
    }

    fn in_root(&self, path: &Path) -> PathBuf {
        self.directory
            .join(ROOT)
            .join(path.strip_prefix("/").unwrap_or(path))
    }

    fn mount(&mut self, target: &Path, kind: &str, source: &Path, options: Vec<String>) {
        self.targets.push(target.to_owned());
        self.mounts.push(json!({
            "destination": target.display().to_string(),
            "type": kind,
            "source": source.display().to_string(),
            "options": options,
        }));
    }

    fn bind(
        &mut self,
        step: &Step,
        source: &Source,
        target: &Path,
        attributes: Attributes,
    ) -> Result<()> {
        let path = match source {
            Source::Host(path) => path.clone(),
            Source::Below { below, path } => {
                self.differs(step, "the path is followed wherever its links lead");
                below.join(path)
            }
            Source::Mapped(source) => {
                self.differs(step, "its files keep the owners they have on the host");
                return self.bind(step, source, target, attributes);
            }
        };
        if let Some((kind, options, own)) = self.mounted.get(&path).cloned() {
            self.filesystem(&kind, &options, target, own | attributes);
            return Ok(());
        }
        // The innermost: they are in order.
        let of_sandbox = self
            .mounted
            .iter()
            .rev()
            .find(|(place, _)| path.starts_with(place));
        let (source, attributes) = match of_sandbox {
            Some((_, (.., own))) => (self.of_pod(&path), *own | attributes),
            None => (path, attributes),
        };
        let options = bind_options(&source, attributes);
        self.mount(target, "bind", &source, options);
        Ok(())
    }

    fn filesystem(&mut self, kind: &str, options: &str, target: &Path, attributes: Attributes) {
        if kind == "overlay" {
            let lower = options
                .split(',')
                .find_map(|option| option.strip_prefix("lowerdir="));
            let lower = PathBuf::from(lower.unwrap_or_default());
            self.overlays.insert(target.to_owned(), lower);
            return;
        }
        if self.prepares_root(target) {
            return;
        }
        let kind = if kind == "cgroup2" { "cgroup" } else { kind };
        let words = options.split(',').filter(|option| !option.is_empty());
        let mut all: Vec<_> = names(attributes).map(str::to_owned).collect();
        all.extend(words.map(str::to_owned));
        self.mount(target, kind, Path::new(kind), all);
    }

    /// Is it what an overlay root is made of, which is not in the container?
    fn prepares_root(&self, path: &Path) -> bool {
        let steps = self.bundle.container.steps();
        let root = steps.iter().find_map(|step| match step {
            Step::Root {
                source: Source::Host(root),
                ..
            } => Some(root),
            _ => None,
        });
        root.is_some_and(|root| {
            root != Path::new("/") && root.parent().is_some_and(|up| path.starts_with(up))
        })
    }

    /// What is made in the root: by every runtime, or now.
    fn file(&mut self, step: &Step) -> Result<()> {
        let Some(path) = made(step) else {
            return Ok(());
        };
        if self.prepares_root(path) || is_usual(step) {
            return Ok(());
        }
        if !self.entered && self.mounted.keys().any(|place| path.starts_with(place)) {
            return self.set_up(step);
        }
        if let Step::Directory { path, .. } = step
            && self
                .bundle
                .container
                .steps()
                .iter()
                .filter_map(target)
                .any(|target| target == path)
        {
            return Ok(()); // a mount point
        }
        if let Step::Device {
            path,
            mode,
            major,
            minor,
        } = step
        {
            let device = json!({ "path": path, "type": "c", "major": major, "minor": minor, "fileMode": mode });
            let devices = self.linux.entry("devices").or_insert_with(|| json!([]));
            devices
                .as_array_mut()
                .into_iter()
                .for_each(|all| all.push(device.clone()));
            return Ok(());
        }
        let covered = self.targets.iter().any(|target| path.starts_with(target));
        if covered || !self.own_root {
            self.differs(step, "a bundle cannot make it there");
            return Ok(());
        }
        match step {
            Step::Directory { path, mode } => self.make(&self.in_root(path), *mode),
            Step::Symlink { path, to } => self.link(path, to),
            Step::File { path, mode, bytes } => write(&self.in_root(path), bytes, *mode),
            Step::Copy { from, path, mode } => {
                let handle = self.bundle.container.handles().nth(usize::from(from.0));
                let fd = handle.map(|fd| fd.as_fd().as_raw_fd()).unwrap_or(-1);
                let bytes = fs::read(format!("/proc/self/fd/{fd}"))
                    .map_err(|why| Error::io(format!("read handle {fd}"), why))?;
                write(&self.in_root(path), &bytes, *mode)
            }
            _ => Ok(()),
        }
    }
}

fn names(attributes: Attributes) -> impl Iterator<Item = &'static str> {
    let all = [
        (Attributes::READ_ONLY, "ro"),
        (Attributes::NOSUID, "nosuid"),
        (Attributes::NODEV, "nodev"),
        (Attributes::NOEXEC, "noexec"),
    ];
    let ours = all
        .into_iter()
        .filter(move |(one, _)| attributes.contains(*one));
    ours.map(|(_, name)| name)
}

/// With all below it, as podlife binds; below a file there is nothing.
fn bind_options(source: &Path, attributes: Attributes) -> Vec<String> {
    let prefix = if source.is_dir() { "r" } else { "" };
    let all = names(attributes).map(|name| format!("{prefix}{name}"));
    std::iter::once(format!("{prefix}bind"))
        .chain(all)
        .collect()
}

fn target(step: &Step) -> Option<&Path> {
    match step {
        Step::Bind { target, .. } | Step::Filesystem { target, .. } => Some(target),
        _ => None,
    }
}

fn made(step: &Step) -> Option<&Path> {
    match step {
        Step::Directory { path, .. }
        | Step::Symlink { path, .. }
        | Step::Device { path, .. }
        | Step::File { path, .. }
        | Step::Copy { path, .. } => Some(path),
        _ => None,
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = |why| Error::io(format!("write {}", path.display()), why);
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .map_err(failed)?;
    fs::write(path, bytes).map_err(failed)?;
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)
}
