//! The user namespaces of pods: which ids each has, and how its volumes are seen in there.

use std::collections::BTreeSet;
use std::ops::Range;
use std::os::fd::OwnedFd;

use crate::linux::mount::{Attributes, Beneath, Depth, Filesystem, Tree};
use crate::linux::namespace::{Namespace, NamespaceKind};
use crate::linux::pause::Plan;
use crate::linux::pause::plan::{Source, Step};
use crate::linux::process::Process;
use crate::linux::user::{IdMap, IdMaps};
use crate::{Error, Kind, Result};

/// How many ids a pod has, as with the kubelet.
const LENGTH: u32 = 65_536;

/// The ids of the host that pods with `hostUsers: false` may have. No two of a Node have the same.
#[derive(Debug)]
pub(super) struct Pool {
    all: Range<u32>,
    taken: BTreeSet<u32>,
}

impl Pool {
    /// Beyond those of accounts, and of the ranges that `useradd` gives out; 4,096 pods.
    pub(super) const USUAL: Range<u32> = 0x4000_0000..0x5000_0000;

    pub(super) fn new(all: Range<u32>) -> Pool {
        Pool {
            all,
            taken: BTreeSet::new(),
        }
    }

    pub(super) fn take(&mut self) -> Result<IdMap> {
        let first = self.free()?.outside;
        Ok(self.keep(first))
    }

    /// The first that are free.
    pub(super) fn free(&self) -> Result<IdMap> {
        let starts = self.all.clone().step_by(LENGTH as usize);
        let fits = |first: &u32| self.all.end - first >= LENGTH && !self.taken.contains(first);
        let first = starts.into_iter().find(fits).ok_or_else(|| {
            let attempt = "give the pod users of its own";
            Error::new(Kind::Exhausted, attempt, "all ids for pods are taken")
                .cure("name more with NodeOptions::pod_ids, or end other pods first")
        })?;
        Ok(from(first))
    }

    /// Those that a pod has already.
    pub(super) fn keep(&mut self, first: u32) -> IdMap {
        self.taken.insert(first);
        from(first)
    }

    pub(super) fn give_back(&mut self, ids: &IdMap) {
        self.taken.remove(&ids.outside);
    }
}

fn from(first: u32) -> IdMap {
    IdMap {
        inside: 0,
        outside: first,
        count: LENGTH,
    }
}

/// As users and groups.
pub(super) fn both(ids: IdMap) -> IdMaps {
    IdMaps::new([ids], [ids])
}

/// The ids that a pause process of before was given.
pub(super) fn of(process: &Process) -> Result<Option<u32>> {
    let Some(pid) = process.pid()? else {
        return Ok(None);
    };
    let path = format!("/proc/{pid}/uid_map");
    let text =
        std::fs::read_to_string(&path).map_err(|why| Error::io(format!("read {path}"), why))?;
    let mut words = text.split_whitespace().map(str::parse);
    let first = words.nth(1).and_then(|first| first.ok());
    Ok(first.filter(|_| words.next() == Some(Ok(LENGTH))))
}

/// Makes the file systems that pause mounts for a pod with these ids, owned by the pod's root. They belong to the host, so that the
/// Node may write there: in one of the pod's own, root of the host is nobody.
pub(super) fn make_file_systems(plan: &mut Plan, ids: &IdMap) -> Result<()> {
    let asked = plan.steps().iter().enumerate();
    let made = asked.filter_map(|(number, step)| match step {
        Step::Filesystem {
            kind,
            options,
            attributes,
            ..
        } => Some(file_system(kind, options, *attributes, ids).map(|tree| (number, tree))),
        _ => None,
    });
    for (number, tree) in made.collect::<Result<Vec<_>>>()? {
        plan.made(number, OwnedFd::from(tree));
    }
    Ok(())
}

fn file_system(kind: &str, options: &str, attributes: Attributes, ids: &IdMap) -> Result<Tree> {
    let owner = format!("uid={0},gid={0}", ids.outside);
    let options = options.split(',').chain(owner.split(','));
    let opened = Filesystem::new(kind)?;
    let all = options
        .filter_map(|option| option.split_once('='))
        .try_fold(opened, |opened, (key, value)| opened.option(key, value))?;
    all.mount(attributes)
}

/// A pod's user namespace, to show files of the host in: what root owns out here, root owns in there.
#[derive(Debug)]
pub(super) struct View(Namespace);

impl View {
    pub(super) fn of(pause: &Process) -> Result<View> {
        Namespace::of(pause, NamespaceKind::User).map(View)
    }

    /// Makes the mounts of a plan that show files of the host.
    pub(super) fn make_mounts(&self, plan: &mut Plan) -> Result<()> {
        let asked = plan.steps().iter().enumerate();
        let made = asked.filter_map(|(number, step)| match step {
            Step::Bind {
                source: Source::Mapped(source),
                attributes,
                ..
            } => Some(self.show(source, *attributes).map(|tree| (number, tree))),
            _ => None,
        });
        for (number, tree) in made.collect::<Result<Vec<_>>>()? {
            plan.made(number, OwnedFd::from(tree));
        }
        Ok(())
    }

    /// Links lead as they do for pause: those of a path of the host, and none out of a volume.
    fn show(&self, source: &Source, attributes: Attributes) -> Result<Tree> {
        let tree = match source {
            Source::Host(path) => Tree::copy(path, Depth::All)?,
            Source::Below { below, path } => {
                Tree::copy_of(Beneath::open(below)?.look_up(path)?, Depth::All)?
            }
            Source::Mapped(source) => return self.show(source, attributes),
        };
        tree.map_ids(&self.0, Depth::All).map_err(|error| {
            let attempt = format!("show {source} to a pod with hostUsers: false");
            Error::caused(Kind::Unsupported, attempt, error).cure(
                "use a file system that can map ids (ext4, xfs, btrfs 5.15, overlay 5.19, tmpfs 6.3), all mounts below it too",
            )
        })?;
        if attributes != Attributes::NONE {
            tree.set(attributes, Depth::All)?;
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pods_have_the_same_ids() {
        let mut ids = Pool::new(1 << 20..(1 << 20) + 3 * LENGTH - 1);
        assert_eq!(ids.keep(1 << 20).outside, 1 << 20);
        let second = ids.take().unwrap();
        assert_eq!((second.outside, second.count), ((1 << 20) + LENGTH, LENGTH));
        // The third would end beyond them.
        assert_eq!(ids.take().unwrap_err().kind(), Kind::Exhausted);
        ids.give_back(&second);
        assert_eq!(ids.take().unwrap(), second);
    }
}
