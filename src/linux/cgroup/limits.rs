//! What shall hold in a cgroup, and what to say where it cannot.

use std::fmt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};

use super::{Cgroup, Controller, Controllers, Hierarchy, Setting, Value, setting};
use crate::{Error, Kind, Result};

/// Settings for one cgroup: a value that can be compared and printed before anything is done.
///
/// ```
/// use podlife::cgroup::{Bound, CPU_MAX, Controller, CpuMax, Limits, MEMORY_MAX};
///
/// let limits = Limits::new().set(&MEMORY_MAX, Bound::At(64 << 20)).set(&CPU_MAX, CpuMax::millicores(250));
/// assert_eq!(limits.to_string(), "memory.max=67108864, cpu.max=25000 100000");
/// assert_eq!(limits.controllers(), Controller::Memory | Controller::Cpu);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Vec<Limit>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) controller: Controller,
    pub(super) file: String,
    pub(super) text: String,
    since: &'static str,
}

impl Limits {
    /// None yet.
    pub fn new() -> Limits {
        Limits::default()
    }

    /// Adds one; it replaces an earlier value of the same setting.
    #[must_use]
    pub fn set<T: Value>(mut self, setting: &Setting<T>, value: T) -> Limits {
        self.0.retain(|limit| limit.file != setting.file());
        self.0.push(Limit {
            controller: setting.controller(),
            file: setting.file().to_owned(),
            text: value.render(),
            since: setting.since(),
        });
        self
    }

    /// The same by the file's name and what is in the file.
    ///
    /// ```
    /// use podlife::cgroup::{Bound, Limits, PIDS_MAX};
    ///
    /// let limits = Limits::new().set_text("pids.max", "32")?;
    /// assert_eq!(limits, Limits::new().set(&PIDS_MAX, Bound::At(32)));
    /// assert!(Limits::new().set_text("pids.max", "many").is_err());
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a file that no [`Setting`] is for, [`Kind::Invalid`] for a text of another form.
    pub fn set_text(self, file: &str, text: &str) -> Result<Limits> {
        let attempt = || format!("set {file} to {text:?}");
        match setting::by_name(self, file, text) {
            Some(Some(limits)) => Ok(limits),
            Some(None) => Err(Error::new(
                Kind::Invalid,
                attempt(),
                "the file has another form",
            )),
            None => Err(Error::new(
                Kind::Unsupported,
                attempt(),
                "podlife has no such setting",
            )),
        }
    }

    /// The value of a setting, if it is among them.
    pub fn value<T: Value>(&self, setting: &Setting<T>) -> Option<T> {
        let limit = self.0.iter().find(|limit| limit.file == setting.file())?;
        T::parse(&limit.text)
    }

    /// The controllers they need.
    pub fn controllers(&self) -> Controllers {
        self.0.iter().map(|limit| limit.controller).collect()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names of the files, in the order in which they will be written.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|limit| limit.file.as_str())
    }

    /// Names of the files, and what will be written to each.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let limits = self.0.iter();
        limits.map(|limit| (limit.file.as_str(), limit.text.trim()))
    }

    /// Names of the files of one controller.
    pub fn files_of(&self, controller: Controller) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |limit| limit.controller == controller)
            .map(|limit| limit.file.as_str())
    }

    /// Those of some controllers.
    #[must_use]
    pub fn only(&self, controllers: Controllers) -> Limits {
        Limits(
            self.0
                .iter()
                .filter(|limit| controllers.contains(limit.controller))
                .cloned()
                .collect(),
        )
    }

    pub(super) fn entries(&self) -> &[Limit] {
        &self.0
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self
            .0
            .iter()
            .map(|limit| format!("{}={}", limit.file, limit.text.trim()))
            .collect();
        f.write_str(&entries.join(", "))
    }
}

/// What happens when a limit cannot be set because its controller or file is absent or not delegated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// It is an error, which names the controller and the cure.
    #[default]
    Required,
    /// It is told as [`Degraded`], and the rest goes on.
    BestEffort,
}

impl Enforcement {
    /// The same thing as an error, or as a report.
    pub fn decide(self, degraded: Degraded) -> Result<Degraded> {
        match self {
            Enforcement::Required => Err(degraded.into()),
            Enforcement::BestEffort => Ok(degraded),
        }
    }
}

/// Something that is not enforced although it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Degraded {
    /// The controller that would have done it.
    pub controller: Controller,
    /// What is not enforced, and why.
    pub what: String,
    /// What usually helps.
    pub cure: String,
}

impl fmt::Display for Degraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is not enforced: {}; {}",
            self.controller, self.what, self.cure
        )
    }
}

impl From<Degraded> for Error {
    fn from(degraded: Degraded) -> Error {
        let attempt = format!("limit {} with a cgroup", degraded.controller);
        Error::new(Kind::Unsupported, attempt, degraded.what).cure(degraded.cure)
    }
}

/// How something turned out to be absent.
pub(super) enum Absent<'l> {
    /// The file of this limit, or the right to write it.
    Limit { limit: &'l Limit, errno: Errno },
    /// The controller, in `cgroup.controllers`.
    Controller { controller: Controller },
    /// The kernel refused to enable the controller for the children.
    Refused {
        controller: Controller,
        errno: Errno,
    },
}

impl Absent<'_> {
    /// Errnos that mean "not here" or "not you", as opposed to "not this value".
    pub(super) fn is(errno: Errno) -> bool {
        use Errno::{EACCES, ENODEV, ENOENT, EOPNOTSUPP, EPERM, EROFS};
        matches!(errno, ENOENT | EACCES | EPERM | EROFS | ENODEV | EOPNOTSUPP)
    }
}

/// Finds out why, and what to do. Only called when something is absent, so it may take its time.
pub(super) fn diagnose(group: &Cgroup, absent: Absent<'_>) -> Degraded {
    match absent {
        Absent::Limit { limit, errno } => of_limit(group, limit, errno),
        Absent::Controller { controller } => {
            let (what, cure) = of_controller(group.path(), controller);
            Degraded {
                controller,
                what,
                cure,
            }
        }
        Absent::Refused { controller, errno } => of_refusal(group.path(), controller, errno),
    }
}

fn of_limit(group: &Cgroup, limit: &Limit, errno: Errno) -> Degraded {
    let Limit {
        controller,
        file,
        since,
        ..
    } = limit;
    let here = group
        .controllers()
        .is_ok_and(|available| available.contains(*controller));
    let (why, cure) = match errno {
        Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP if here => (
            "this kernel or this cgroup has no such file".into(),
            format!("it needs Linux {since} and may need kernel options"),
        ),
        Errno::ENOENT => of_controller(group.path(), *controller),
        errno => (
            Error::os(
                format!("write it in {}", group.path().display()),
                errno as i32,
            )
            .to_string(),
            DELEGATE.into(),
        ),
    };
    Degraded {
        controller: *controller,
        what: format!("{file}: {why}"),
        cure,
    }
}

const DELEGATE: &str = "run as root, or have the cgroup delegated (systemd: Delegate=yes)";

fn of_refusal(path: &Path, controller: Controller, errno: Errno) -> Degraded {
    let path = path.display();
    let (what, cure) = match errno {
        Errno::EBUSY => (
            format!("processes stand in {path} itself, so the kernel does not let it be divided"),
            "start the program in a sub-group of it (systemd 254: DelegateSubgroup=)".into(),
        ),
        errno => (
            Error::os(format!("enable it in {path}"), errno as i32).to_string(),
            DELEGATE.to_owned(),
        ),
    };
    Degraded {
        controller,
        what,
        cure,
    }
}

/// Why a controller is not available in the cgroup at `path`.
fn of_controller(path: &Path, controller: Controller) -> (String, String) {
    let hierarchy = Hierarchy::find().ok().flatten();
    let top = hierarchy
        .as_ref()
        .and_then(|hierarchy| Cgroup::open(&hierarchy.mount).ok());
    let Some(top) = top.filter(|top| {
        top.controllers()
            .is_ok_and(|here| here.contains(controller))
    }) else {
        return of_kernel(controller);
    };
    let lacking = ancestors(top.path(), path).find(|dir| {
        Cgroup::open(*dir)
            .and_then(|dir| dir.enabled())
            .is_ok_and(|enabled| !enabled.contains(controller))
    });
    let lacking = lacking.unwrap_or(top.path());
    let what = format!(
        "it is not enabled in {}/cgroup.subtree_control",
        lacking.display()
    );
    let cure = match access(&lacking.join("cgroup.subtree_control"), AccessFlags::W_OK) {
        Ok(()) => "enable it there, while no process stands directly in that cgroup".to_owned(),
        Err(_) => "have it delegated: Delegate=cpu cpuset io memory pids in a drop-in of systemd's user@.service \
                   or of the program's unit"
            .to_owned(),
    };
    (what, cure)
}

/// From `top` to the parent of `path`.
fn ancestors<'p>(top: &'p Path, path: &'p Path) -> impl Iterator<Item = &'p Path> {
    let mut between: Vec<_> = path
        .ancestors()
        .skip(1)
        .filter(|dir| dir.starts_with(top))
        .collect();
    between.reverse();
    between.into_iter()
}

/// Not even at the top of the tree: cgroup v1 has it, or nobody.
fn of_kernel(controller: Controller) -> (String, String) {
    let table = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let mut row = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.find(|row| row.first() == Some(&controller.v1_name()));
    match row.as_deref() {
        Some([_, _, _, "0"]) => (
            "it is switched off".to_owned(),
            format!(
                "remove cgroup_disable={} from the kernel's command line",
                controller.v1_name()
            ),
        ),
        Some([_, hierarchy, _, _]) if *hierarchy != "0" => (
            "cgroup v1 has taken this controller".to_owned(),
            "boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all".to_owned(),
        ),
        _ => (
            "the kernel (or the container this runs in) does not offer this controller".to_owned(),
            "use a kernel that is built with it".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{Bound, PIDS_MAX};

    #[test]
    fn a_later_value_replaces_an_earlier_one() {
        let limits = Limits::new()
            .set(&PIDS_MAX, Bound::At(1))
            .set(&PIDS_MAX, Bound::Max);
        assert_eq!(limits.to_string(), "pids.max=max");
    }

    #[test]
    fn ancestors_go_downwards_and_stay_in_the_tree() {
        let found: Vec<_> = ancestors(Path::new("/s/c"), Path::new("/s/c/a/b")).collect();
        assert_eq!(found, [Path::new("/s/c"), Path::new("/s/c/a")]);
    }

    #[test]
    fn required_is_an_error_that_names_controller_and_cure() {
        let degraded = Degraded {
            controller: Controller::Io,
            what: "gone".into(),
            cure: "come back".into(),
        };
        assert_eq!(
            Enforcement::BestEffort.decide(degraded.clone()).unwrap(),
            degraded
        );
        let error = Enforcement::Required.decide(degraded).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert_eq!(
            error.to_string(),
            "could not limit io with a cgroup: gone; come back"
        );
    }
}
