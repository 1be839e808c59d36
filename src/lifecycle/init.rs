//! Init containers and sidecars: who runs before whom.
//!
//! Init containers run one after another, each to its end, in the manifest's order. One with `restartPolicy: Always` is a
//! sidecar: it is started in its place in that order, the next one follows as soon as it is *started* (its startup
//! probe has succeeded, or it has none), and it runs on beside the regular containers. Regular containers start when the
//! last init container is done. A failed one is run again if its restart policy allows, after a back-off; otherwise the
//! pod has failed.
//!
//! [`plan`] decides that, from nothing but the spec and the records, and [`PodMachine`](super::PodMachine) acts on it:
//!
//! ```
//! use podlife::lifecycle::init::{Plan, plan};
//! use podlife::lifecycle::rules::facts::{PodFacts, Seen};
//! use podlife::lifecycle::rules::shape::Shape;
//! use podlife::lifecycle::{Attempt, AttemptState, Network, Sandbox, SandboxState};
//! use podlife::time::Now;
//!
//! let pod = serde_json::from_str(r#"{"spec": {
//!     "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "migrate"}],
//!     "containers": [{"name": "web"}]
//! }}"#).unwrap();
//! let (proxy, migrate) = (0, 1);
//! let shape = Shape::new(&pod);
//! let sandbox = [Sandbox {
//!     attempt: 0, state: SandboxState::Ready, network: Network::Pod, ip: None, created: Now::default(),
//! }];
//! let facts = PodFacts { sandboxes: &sandbox, ..PodFacts::default() };
//! let mut todo = Plan::default();
//!
//! // Nothing has run yet: the sidecar is first.
//! plan(&shape, &facts, |_| Seen::default(), false, &mut todo);
//! assert_eq!(todo.start, [proxy]);
//!
//! // It runs: now the init container after it.
//! let running = [Attempt {
//!     number: 0, sandbox: 0, restart_count: 0, created: Now::default(), image: "".into(),
//!     state: AttemptState::Running { started: Now::default() },
//! }];
//! let seen = |index| Seen { attempts: if index == proxy { &running } else { &[] }, ..Seen::default() };
//! plan(&shape, &facts, seen, false, &mut todo);
//! assert_eq!(todo.start, [migrate]);
//! assert!(!todo.initialized);
//! ```
//!
//! Sources: KEP-753 (sidecars); `computeInitContainerActions` in `pkg/kubelet/kuberuntime` of Kubernetes.

pub use super::rules::plan::{Plan, plan};
pub use super::rules::shape::{Role, Shape};
