//! podlife runs Kubernetes Pods on one Linux host, inside the program that links it: no cluster, no daemon, no container
//! runtime, no async runtime.
//!
//! Hand a [`Node`] an ordinary `v1.Pod` manifest. It gives the pod its namespaces, cgroup, volumes and containers, runs init
//! containers, sidecars, probes, hooks and restarts by the kubelet's rules, reports a [`PodStatus`](model::PodStatus), and
//! ends it gracefully. As root and as an ordinary user.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use podlife::Node;
//! use podlife::model::{Container, Pod};
//! use podlife::node::{Delete, Exec, Until};
//! use std::time::Duration;
//!
//! let mut node = Node::ephemeral()?;
//! let web = Container::new("web", "podlife.local/host").command(["sleep", "60"]).limit("memory", "64Mi");
//! let pod = node.create(Pod::new("hello").container(web))?;
//! node.wait(pod, Until::Ready, Duration::from_secs(30))?;
//! let hello = node.output(pod, "web", Exec::new(["uname", "-n"]), Duration::from_secs(5))?;
//! assert_eq!(hello.stdout, b"hello\n");
//! node.delete(pod, Delete::now())?;
//! node.wait(pod, Until::Deleted, Duration::from_secs(40))?;
//! # }
//! # Ok::<(), podlife::Error>(())
//! ```
//!
//! # The layers
//!
//! | module | says | uses |
//! |---|---|---|
//! | [`model`] | *what* a pod is: `v1.Pod` as Rust types, its errors, and every pure calculation | [`error`], [`time`] |
//! | [`lifecycle`] | *when*: the kubelet's rules as a value without clock, thread or descriptor | `model` |
//! | [`linux`] | *how*: namespaces, cgroup v2, mounts, pidfds, and the pause process | [`error`], [`time`] |
//! | [`node`] | *who*: the event loop that joins them | all of them |
//!
//! Each is of use alone. [`model`] and [`lifecycle`] build on any OS, with `default-features = false` on little more than
//! `serde_json`.
//!
//! # Features
//!
//! | feature | what | by default |
//! |---|---|---|
//! | `yaml` | manifests as YAML; JSON is always read | yes |
//! | `tls` | probes and hooks over https: `rustls` with `ring`, which needs a C compiler | no: it brings nine crates |
//! | `oci` | plans to and from bundles of the OCI runtime specification: `linux::oci` | no: it brings two dozen crates |
//! | `k8s-openapi` | conversions to and from the types of that crate | no |
//!
//! # The contract
//!
//! - One descriptor to wait on, one thread to drive it; other threads use a [`NodeHandle`](node::NodeHandle).
//! - A command's `Err` means that nothing changed. What happens to a pod later is an event and its status.
//! - Signals, SIGCHLD, the waiting for children, the current directory, umask, environment and limits are yours: podlife does not
//!   touch them. It does not log or print.
//! - With a state directory pods outlive the program, and the next Node on that directory finds them, their exit codes and their
//!   logs. Without one nothing is written, and they end with the program.
//! - What this host cannot do is said in words, as an error or as an event; it is never silently left out.
//!
//! The handbook is in [`manual`].

pub mod error;
pub mod lifecycle;
pub mod model;
pub mod time;

// Only to be read.
#[cfg(any(doc, doctest))]
pub mod manual;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "linux")]
pub mod node;

pub use error::{Error, Kind, Result};
pub use lifecycle::{init, termination};
#[cfg(target_os = "linux")]
pub use linux::{cgroup, namespace};
#[cfg(target_os = "linux")]
pub use node::{Node, PodId};

/// The README's example is compiled, and run, with the others.
#[cfg(all(doctest, target_os = "linux", feature = "yaml"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
