//! Mounts: what is mounted, and the descriptor-based calls that mount.

mod info;

pub use info::{MountEntry, mounts, parse};
