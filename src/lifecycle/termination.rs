//! How a container, and a pod, is ended: hook, turn, stop signal, SIGKILL.
//!
//! Every container of a pod that ends goes through the same stages, all of them at once:
//!
//! 1. its **preStop hook** runs, for at most its grace period;
//! 2. a **sidecar waits** for its turn: for the regular containers, and for the sidecar after it;
//! 3. it gets its **stop signal**;
//! 4. when the rest of the grace period is over, **SIGKILL**.
//!
//! What a hook or the wait used is taken off the grace period in whole seconds, and between stop signal and SIGKILL there
//! are never less than two seconds. That is the kubelet's arithmetic, and it can come to more than the grace period;
//! `PodOptions::strict_deadline` and [`Deletion::strict_deadline`](super::Deletion::strict_deadline) make one total deadline
//! of it. [`Budget`] is that arithmetic, [`pod_grace`] and [`container_grace`] what it starts with, [`waits_for`] the order.
//!
//! Each stage's deadline is on record from the moment it begins: a Node that comes back after a crash goes on where the
//! last one stopped. Hooks run at least once across a crash.
//!
//! ```
//! use std::time::Duration;
//! use podlife::lifecycle::termination::{Budget, waits_for};
//! use podlife::lifecycle::rules::shape::Shape;
//!
//! let pod = serde_json::from_str(r#"{"spec": {
//!     "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
//!     "containers": [{"name": "web"}]
//! }}"#).unwrap();
//! let (proxy, web) = (0, 1);
//! let shape = Shape::new(&pod);
//! assert_eq!(waits_for(&shape, proxy, |_| true).collect::<Vec<_>>(), [web]);
//!
//! let mut budget = Budget::new(30);
//! budget.spend(Duration::from_millis(4_200)); // the hook
//! budget.spend(Duration::from_millis(25_000)); // waiting for web
//! assert_eq!(budget.kill_after(), 2); // never less
//! ```

pub use super::rules::grace::{Budget, MINIMUM_GRACE, container_grace, pod_grace};
pub use super::rules::order::waits_for;
