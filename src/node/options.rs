//! How a Node is opened.

use std::ops::Range;
use std::path::PathBuf;

use super::Node;
use super::logs::Bounds;
use super::lower::seccomp::Profiles;
use super::rootfs::{Images, Rootfs};
use super::users::Pool;
use crate::Result;
use crate::lifecycle::rules::resize::Amounts;
use crate::linux::cgroup::Enforcement;
use crate::model::objects::Object;

/// Choices for a Node, made before it opens; see [`Node::options`].
///
/// ```
/// use podlife::Node;
/// use podlife::cgroup::Enforcement;
/// use podlife::node::Rootfs;
///
/// let node = Node::options()
///     .rootfs("podlife.local/tools", Rootfs::directory("/srv/tools"))
///     .enforcement(Enforcement::BestEffort)
///     .open()?;
/// assert_eq!(node.pods().count(), 0);
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NodeOptions {
    pub(super) state: Option<PathBuf>,
    pub(super) cgroup_root: Option<PathBuf>,
    pub(super) enforcement: Enforcement,
    pub(super) images: Images,
    pub(super) events: usize,
    pub(super) history: usize,
    pub(super) objects: Vec<Object>,
    pub(super) seccomp: Profiles,
    pub(super) apparmor_default: Option<String>,
    pub(super) sysctls: Vec<String>,
    pub(super) log_bounds: Bounds,
    pub(super) manifests: Option<PathBuf>,
    pub(super) pod_ids: Range<u32>,
    pub(super) capacity: Amounts,
}

impl Default for NodeOptions {
    fn default() -> NodeOptions {
        NodeOptions {
            state: None,
            cgroup_root: None,
            enforcement: Enforcement::BestEffort,
            images: Images::default(),
            events: 1024,
            history: 128,
            objects: Vec::new(),
            seccomp: Profiles::default(),
            apparmor_default: None,
            sysctls: Vec::new(),
            log_bounds: Bounds::default(),
            manifests: None,
            pod_ids: Pool::USUAL,
            capacity: Amounts::default(),
        }
    }
}

impl NodeOptions {
    /// Keeps everything in this directory, which is made if it is not there: pods outlive the Node, and the next one opened
    /// there takes them up again. Without it the Node is ephemeral.
    pub fn state(mut self, directory: impl Into<PathBuf>) -> NodeOptions {
        self.state = Some(directory.into());
        self
    }

    /// Makes cgroups below this one, which must be the program's to use. Otherwise a place is looked for:
    /// [`Delegation::find`](crate::linux::cgroup::Delegation::find).
    pub fn cgroup_root(mut self, path: impl Into<PathBuf>) -> NodeOptions {
        self.cgroup_root = Some(path.into());
        self
    }

    /// What happens where a limit cannot be enforced. [`Enforcement::BestEffort`], unless said otherwise: the pod runs, and an
    /// event says once what it has to do without.
    pub fn enforcement(mut self, enforcement: Enforcement) -> NodeOptions {
        self.enforcement = enforcement;
        self
    }

    /// What stands for an image. `podlife.local/host` is there from the beginning; every other image is absent.
    pub fn rootfs(mut self, image: impl Into<String>, rootfs: Rootfs) -> NodeOptions {
        self.images.insert(image.into(), rootfs);
        self
    }

    /// What all pods together may request before a resize has to wait (`PodResizePending`): the host's memory and processors,
    /// unless said otherwise. Pods that come are not measured by it.
    pub fn capacity(mut self, capacity: Amounts) -> NodeOptions {
        self.capacity = capacity;
        self
    }

    /// How many events are kept; 1024 unless said otherwise.
    pub fn events(mut self, count: usize) -> NodeOptions {
        self.events = count;
        self
    }

    /// How many of the last things that each pod's machine was told are kept, for [`PodRef::history`](super::PodRef::history); 128
    /// unless said otherwise: 13 to 15 KiB for a pod of one container, 4 KiB for each further one. With 0 there are no histories.
    pub fn history(mut self, entries: usize) -> NodeOptions {
        self.history = entries;
        self
    }

    /// Has a ConfigMap or Secret there from the beginning, in the place of one in the state directory; see [`Node::put`].
    pub fn object(mut self, object: impl Into<Object>) -> NodeOptions {
        self.objects.push(object.into());
        self
    }

    /// Where the files are that `seccompProfile.localhostProfile` names: profiles as `linux.seccomp` of the OCI runtime
    /// specification. Without it such a container does not start.
    pub fn seccomp_profiles(mut self, directory: impl Into<PathBuf>) -> NodeOptions {
        self.seccomp.directory = Some(directory.into());
        self
    }

    /// Containers that say nothing of seccomp get `RuntimeDefault`; unless said otherwise they have no filter, as with the
    /// kubelet.
    pub fn seccomp_by_default(mut self, yes: bool) -> NodeOptions {
        self.seccomp.by_default = yes;
        self
    }

    /// The AppArmor profile, loaded into the kernel, that `RuntimeDefault` stands for. podlife brings none.
    pub fn apparmor_default(mut self, profile: impl Into<String>) -> NodeOptions {
        self.apparmor_default = Some(profile.into());
        self
    }

    /// Sysctls that pods may set besides the safe ones: names, or the beginnings of names before a `*`. A pattern that is not
    /// known to be kept to a namespace is an error when the Node opens.
    pub fn allow_unsafe_sysctls<S: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = S>,
    ) -> NodeOptions {
        self.sysctls.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Bytes after which another piece of a run's log is begun; 10 MiB unless said otherwise. The kubelet's
    /// `containerLogMaxSize`.
    pub fn log_max_size(mut self, bytes: u64) -> NodeOptions {
        self.log_bounds.size = bytes.max(1);
        self
    }

    /// How many pieces of a run's log are kept, the one that is written included; 5 unless said otherwise, at least 2. The kubelet's
    /// `containerLogMaxFiles`. The oldest goes when one more is begun; an ephemeral Node, whose logs are in memory, keeps as many
    /// bytes.
    pub fn log_max_files(mut self, count: u32) -> NodeOptions {
        self.log_bounds.files = count.max(2);
        self
    }

    /// Runs the pods of the manifests in this directory, as long as they are in there: a kubelet's static pods. A file that is added,
    /// changed or removed is noticed at once. A pod whose manifest has changed ends before the new one begins, and one that is
    /// deleted otherwise is made again. ConfigMaps and Secrets may stand beside the pods or in files of their own. A file may have several
    /// documents; names that begin with a dot, and directories, are passed over.
    ///
    /// What cannot be used is told by [`EventKind::FailedManifest`](super::EventKind::FailedManifest), and tried again when the file
    /// changes, or after 20 seconds; meanwhile everything stays as the file said before.
    pub fn manifests(mut self, directory: impl Into<PathBuf>) -> NodeOptions {
        self.manifests = Some(directory.into());
        self
    }

    /// The users and groups of the host that pods with `hostUsers: false` are, 65,536 each: from 2^30 on, unless said otherwise.
    /// Only root's Node needs them; two Nodes on one host should have different ones.
    pub fn pod_ids(mut self, ids: Range<u32>) -> NodeOptions {
        self.pod_ids = ids;
        self
    }

    /// Opens the Node. With a state directory this takes up again the pods that are in there.
    ///
    /// # Errors
    /// The state directory is used by another Node or cannot be used at all; the named cgroup cannot be used; descriptors ran
    /// out (a Node needs three, one more for its lock, and one for each pod).
    pub fn open(self) -> Result<Node> {
        Node::with(self)
    }
}
