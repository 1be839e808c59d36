//! Files into and out of containers.

mod place;
mod tree;

use std::path::Path;

use place::{Place, Side};
use tree::Tree;

use crate::linux::mount::Beneath;
use crate::node::PodId;
use crate::node::node::{Node, unknown};
use crate::node::resident::Resident;
use crate::{Error, Kind, Result};

/// A file, directory or link being copied into or out of a container.
///
/// It does without the Node, on whatever thread: [`finish`](Copy::finish) copies on this one until all is done,
/// [`step`](Copy::step) a part of it. Dropping it stops there; what was copied stays. A file system that does not answer blocks
/// it.
///
/// What is copied keeps its permission bits (without set-uid, set-gid and sticky bit). In a container it belongs to the user
/// the container runs as; out of one, to this program's user. Links are copied as links, word by word. Sockets, pipes and
/// devices are [passed over](Copied::passed_over). A file is copied as long as it was when its turn came.
///
/// No link is ever followed on the way, on either side, but those in the paths that were given, and those only within the
/// container's root; nothing is ever written through a link.
///
/// Memory: 64 KiB and the names of the directories it is in; three descriptors for each of those.
#[derive(Debug)]
pub struct Copy {
    tree: Tree,
    attempt: String,
}

/// What a [`Copy`](struct@Copy) has done.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Directories that were made.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// What is neither file, directory nor link.
    pub passed_over: u64,
}

impl Copy {
    fn between(
        (side, from): (&Side, &Path),
        (other, to): (&Side, &Path),
        owner: Option<(u32, u32)>,
        attempt: String,
    ) -> Result<Copy> {
        let explained = |why: tree::Why| why.explain(&attempt);
        let source = Place::of(side, from).map_err(explained)?;
        let target = Place::for_copy(other, to, &source).map_err(explained)?;
        Ok(Copy {
            tree: Tree::new(source, target, owner),
            attempt,
        })
    }

    /// Copies a part: one entry of a directory, or up to a mebibyte of a file. False when all is done.
    ///
    /// # Errors
    /// What cannot be read or written; [`Kind::Conflict`]: something else has that name, a link above all. What was copied
    /// before stays.
    pub fn step(&mut self) -> Result<bool> {
        self.tree.step().map_err(|why| why.explain(&self.attempt))
    }

    /// Copies until all is done.
    ///
    /// # Errors
    /// As for [`step`](Copy::step).
    pub fn finish(mut self) -> Result<Copied> {
        while self.step()? {}
        Ok(self.tree.copied())
    }

    /// What it has done so far.
    pub fn copied(&self) -> Copied {
        self.tree.copied()
    }
}

impl Node {
    /// Copies `from` on this host to `to` in a running container, as `cp -r` does: into `to` if that is a directory, with that
    /// name otherwise. The image needs no tool for it. Nothing is copied before [`Copy::finish`] or [`Copy::step`].
    ///
    /// # Errors
    /// There is no such pod or container, it does not run, `from` is not there or `to` cannot be.
    pub fn copy_in(
        &self,
        id: PodId,
        container: &str,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<Copy> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let attempt = format!(
            "copy {} to {} in the container {container}",
            from.display(),
            to.display()
        );
        let inside = self.resident_to_copy(id)?.files_of(container, &attempt)?;
        let (owner, inside) = (inside.owner, Side::Inside(inside.root));
        Copy::between((&Side::Host, from), (&inside, to), owner, attempt)
    }

    /// Copies `from` in a running container to `to` on this host, in the same way. Whatever the container does, nothing is
    /// written outside of `to`.
    ///
    /// # Errors
    /// As for [`copy_in`](Node::copy_in).
    pub fn copy_out(
        &self,
        id: PodId,
        container: &str,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<Copy> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let attempt = format!(
            "copy {} from the container {container} to {}",
            from.display(),
            to.display()
        );
        let inside = self.resident_to_copy(id)?.files_of(container, &attempt)?;
        let inside = Side::Inside(inside.root);
        Copy::between((&inside, from), (&Side::Host, to), None, attempt)
    }

    fn resident_to_copy(&self, id: PodId) -> Result<&Resident> {
        let resident = self.pods.get(&id);
        resident.ok_or_else(|| unknown("copy files of", id))
    }
}

/// A container's files.
struct Files {
    root: Beneath,
    /// Who its files belong to; none where this program cannot give files away.
    owner: Option<(u32, u32)>,
}

impl Resident {
    /// Seen through its first process, which must be the one that was started.
    fn files_of(&self, container: &str, attempt: &str) -> Result<Files> {
        let (index, run) = self.running(container, attempt)?;
        let ended = || Error::new(Kind::Conflict, attempt, "it has ended");
        let site = self.sites.get(index.as_usize());
        let run = site.and_then(|site| site.runs.iter().find(|other| other.attempt == run));
        let identity = run
            .and_then(|run| run.identity.as_ref())
            .ok_or_else(ended)?;
        let process = identity.open()?.ok_or_else(ended)?;
        let pid = process.pid()?.ok_or_else(ended)?;
        let root = Beneath::open(format!("/proc/{pid}/root"))?;
        let owner = nix::unistd::geteuid()
            .is_root()
            .then(|| owner(pid))
            .flatten();
        if !process.is_running()? {
            return Err(ended());
        }
        Ok(Files { root, owner })
    }
}

fn owner(pid: u32) -> Option<(u32, u32)> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let status = process.status().ok()?;
    Some((status.fuid, status.fgid))
}
