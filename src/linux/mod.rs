//! The kernel as typed values: what podlife builds pods from, usable without pods.
//!
//! Nothing in here changes the calling process or thread: no signal, no child, no working directory, no namespace of
//! its own is touched. Every descriptor is close-on-exec.

pub(crate) mod sys;

pub mod capabilities;
pub mod cgroup;
pub mod clock;
pub mod command;
pub(crate) mod descendants;
pub mod features;
pub mod mount;
pub mod namespace;
#[cfg(feature = "oci")]
pub mod oci;
pub mod pause;
pub mod process;
pub mod reactor;
pub mod rlimit;
pub mod seccomp;
pub mod security;
mod signal;
pub mod user;

pub use capabilities::Capabilities;
pub use clock::Clock;
pub use command::Command;
pub use features::Features;
pub use process::Process;
pub use reactor::Reactor;
pub use signal::Signal;
