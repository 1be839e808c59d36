//! Names in the tree: `<root>/<tier>/pod<uid>/{pause, <container>.<attempt>, <container>.<attempt>.exec-<n>}`.
//!
//! Tiers are the kubelet's: what is guaranteed stands directly below the root, the rest below `burstable` or `besteffort`, so
//! that a tier can be weighed as a whole. Container names have no dot, so nothing collides.
//!
//! ```
//! use podlife::cgroup::layout::{self, Member, Tier};
//!
//! assert_eq!(layout::sandbox(Tier::Burstable, "1f"), "burstable/pod1f");
//! assert_eq!(layout::sandbox(Tier::Guaranteed, "1f"), "pod1f");
//!
//! let member = Member::Container { name: "web", attempt: 3 };
//! assert_eq!(member.to_string(), "web.3");
//! assert_eq!(Member::parse("web.3"), Some(member));
//! assert_eq!(Member::parse("web.3.exec-7"), Some(Member::Exec { name: "web", attempt: 3, run: 7 }));
//! ```

use std::fmt;
use std::path::Path;

use super::{CPU_WEIGHT, Cgroup, Controller, Controllers, Degraded, Enforcement, Limits};
use crate::{Kind, Result};

/// Quality of service, as far as it is a level of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Directly below the root.
    Guaranteed,
    /// Below `burstable`.
    Burstable,
    /// Below `besteffort`.
    BestEffort,
}

impl Tier {
    /// Its directory, if it has one.
    pub fn directory(self) -> Option<&'static str> {
        match self {
            Tier::Guaranteed => None,
            Tier::Burstable => Some("burstable"),
            Tier::BestEffort => Some("besteffort"),
        }
    }
}

/// The path of a sandbox's cgroup below the root.
pub fn sandbox(tier: Tier, uid: &str) -> String {
    match tier.directory() {
        None => format!("pod{uid}"),
        Some(tier) => format!("{tier}/pod{uid}"),
    }
}

/// A cgroup in a sandbox's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Member<'n> {
    /// The process that holds the sandbox.
    Pause,
    /// One attempt at running a container.
    Container {
        /// The container's name.
        name: &'n str,
        /// Unique per start.
        attempt: u32,
    },
    /// A command in a running container: a probe, a hook, an exec.
    Exec {
        /// The container's name.
        name: &'n str,
        /// The attempt it runs in.
        attempt: u32,
        /// Tells the runs of an attempt apart.
        run: u64,
    },
}

impl Member<'_> {
    /// What a directory found in the tree is; `None` for one that podlife did not make.
    pub fn parse(directory: &str) -> Option<Member<'_>> {
        let mut parts = directory.split('.');
        let member = match (parts.next()?, parts.next(), parts.next()) {
            ("pause", None, None) => Member::Pause,
            (name, Some(attempt), None) => Member::Container {
                name,
                attempt: attempt.parse().ok()?,
            },
            (name, Some(attempt), Some(run)) => Member::Exec {
                name,
                attempt: attempt.parse().ok()?,
                run: run.strip_prefix("exec-")?.parse().ok()?,
            },
            _ => return None,
        };
        // `+3` and `03` parse as numbers but are not what Display would write.
        (parts.next().is_none() && member.to_string() == directory).then_some(member)
    }
}

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Pause => f.write_str("pause"),
            Member::Container { name, attempt } => write!(f, "{name}.{attempt}"),
            Member::Exec { name, attempt, run } => write!(f, "{name}.{attempt}.exec-{run}"),
        }
    }
}

/// The tree below one root, with its controllers enabled as far down as sandboxes.
#[derive(Debug)]
pub struct Layout {
    root: Cgroup,
    controllers: Controllers,
    missing: Vec<Degraded>,
}

impl Layout {
    /// Takes `root`, a cgroup that is podlife's own, and enables the controllers that are to be had. It never fails for want
    /// of one: whether that matters is seen when a limit needs it.
    pub fn new(root: Cgroup) -> Result<Layout> {
        let missing = root.enable(Controllers::ALL, Enforcement::BestEffort)?;
        let controllers = root.enabled()?.and(Controllers::ALL);
        let layout = Layout {
            root,
            controllers,
            missing,
        };
        // Those made by an earlier program, which may have had fewer controllers.
        for tier in [Tier::Burstable, Tier::BestEffort] {
            if layout
                .root
                .child(tier.directory().unwrap_or_default())
                .is_ok()
            {
                layout.tier(tier)?;
            }
        }
        Ok(layout)
    }

    /// The cgroup it stands below.
    pub fn root(&self) -> &Cgroup {
        &self.root
    }

    /// The controllers that limits can use.
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// Those that no limit can use, with the reason and the cure of each.
    pub fn missing(&self) -> &[Degraded] {
        &self.missing
    }

    /// Sets the limits of a group in this tree. The same as [`Cgroup::apply`], but what is missing in the whole tree is not
    /// tried and not diagnosed again.
    pub fn apply(
        &self,
        group: &Cgroup,
        limits: &Limits,
        enforcement: Enforcement,
    ) -> Result<Vec<Degraded>> {
        let mut told = Vec::new();
        for missing in self
            .missing
            .iter()
            .filter(|missing| limits.controllers().contains(missing.controller))
        {
            let files: Vec<_> = limits.files_of(missing.controller).collect();
            let what = format!("{}: {}", files.join(", "), missing.what);
            told.push(enforcement.decide(Degraded {
                what,
                ..missing.clone()
            })?);
        }
        told.extend(group.apply(&limits.only(self.controllers), enforcement)?);
        Ok(told)
    }

    /// The directory of a tier, made if it is not there.
    pub fn tier(&self, tier: Tier) -> Result<Option<Cgroup>> {
        let Some(directory) = tier.directory() else {
            return Ok(None);
        };
        let made = self.root.ensure(directory)?;
        made.enable(self.controllers, Enforcement::BestEffort)?;
        if tier == Tier::BestEffort && self.controllers.contains(Controller::Cpu) {
            // The kubelet's two shares for all of them together.
            made.write(&CPU_WEIGHT, &1)?;
        }
        Ok(Some(made))
    }

    /// Makes a sandbox's cgroup with its limits, ready for members with limits of their own. What is not enforced is told. On
    /// an error nothing is left behind.
    pub fn create(
        &self,
        tier: Tier,
        uid: &str,
        limits: &Limits,
        enforcement: Enforcement,
    ) -> Result<(Cgroup, Vec<Degraded>)> {
        let parent = match tier.directory().map(|directory| self.root.child(directory)) {
            None => None,
            Some(Ok(tier)) => Some(tier),
            Some(Err(error)) if error.kind() == Kind::NotFound => self.tier(tier)?,
            Some(Err(error)) => return Err(error),
        };
        let group = parent
            .as_ref()
            .unwrap_or(&self.root)
            .create(&format!("pod{uid}"))?;
        let done = self
            .apply(&group, limits, enforcement)
            .and_then(|degraded| {
                group.enable(self.controllers, Enforcement::Required)?;
                Ok(degraded)
            });
        match done {
            Ok(degraded) => Ok((group, degraded)),
            Err(error) => {
                let _ = group.remove();
                Err(error)
            }
        }
    }

    /// Makes a member of a sandbox's cgroup with its limits. On an error nothing is left behind.
    pub fn member(
        &self,
        group: &Cgroup,
        member: Member<'_>,
        limits: &Limits,
        enforcement: Enforcement,
    ) -> Result<(Cgroup, Vec<Degraded>)> {
        let made = group.create(&member.to_string())?;
        match self.apply(&made, limits, enforcement) {
            Ok(degraded) => Ok((made, degraded)),
            Err(error) => {
                let _ = made.remove();
                Err(error)
            }
        }
    }

    /// The cgroup of a sandbox made before, by this program or an earlier one. `None`: there is none.
    pub fn find(&self, tier: Tier, uid: &str) -> Result<Option<Cgroup>> {
        match self.root.child(Path::new(&sandbox(tier, uid))) {
            Ok(group) => Ok(Some(group)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the tiers and the root as far as they are empty: others may be using them.
    pub fn remove_if_unused(&self) -> Result<()> {
        for tier in [Tier::Burstable, Tier::BestEffort]
            .into_iter()
            .filter_map(Tier::directory)
        {
            if let Ok(tier) = self.root.child(tier) {
                keep_used(tier.remove())?;
            }
        }
        keep_used(self.root.remove())
    }
}

fn keep_used(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() == Kind::Conflict => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_directories_are_nobodys() {
        for name in [
            "",
            "web",
            "web.x",
            "web.+1",
            "web.01",
            "web.1.exec-",
            "web.1.2",
            "pause.x",
            "web.1.exec-1.2",
        ] {
            assert_eq!(Member::parse(name), None, "{name:?}");
        }
    }
}
