//! Mounts: what is mounted, the descriptor-based calls that mount, and paths that cannot lead astray.

mod attributes;
mod beneath;
mod info;
mod tree;

pub use attributes::{Attributes, Propagation};
pub use beneath::{Beneath, Links};
pub use info::{MountEntry, mounts, parse};
pub use tree::{Depth, Filesystem, Tree};
