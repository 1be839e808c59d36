//! podlife runs Kubernetes Pods on one Linux host, inside the program that links it.

pub mod error;
pub mod lifecycle;
pub mod model;
pub mod time;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "linux")]
pub mod node;

pub use error::{Error, Kind, Result};
#[cfg(target_os = "linux")]
pub use linux::{cgroup, namespace};
#[cfg(target_os = "linux")]
pub use node::{Node, PodId};
