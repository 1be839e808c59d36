//! In which order the containers of a pod end.
//!
//! All are told at once, but a sidecar waits for its turn: for every regular container, and for the sidecar after it, each
//! wait bounded by its own remaining grace period. So sidecars end in reverse order, after the containers they serve. A
//! container that did not run when the end began counts as ended, and the chain is not bridged over it.
//!
//! Source: `pkg/kubelet/kuberuntime/kuberuntime_termination_order.go` of Kubernetes, KEP-753.

use super::shape::{Role, Shape};

/// Whom a container waits for before it is signalled, among those that `runs` says are still running. It may be asked
/// again whenever one has ended: it has its turn when nobody is left.
///
/// ```
/// use podlife::lifecycle::rules::order::waits_for;
/// use podlife::lifecycle::rules::shape::Shape;
///
/// let pod = serde_json::from_str(r#"{"spec": {
///     "initContainers": [{"name": "mesh", "restartPolicy": "Always"}, {"name": "log", "restartPolicy": "Always"}],
///     "containers": [{"name": "web"}]
/// }}"#).unwrap();
/// let shape = Shape::new(&pod);
/// let (mesh, log, web) = (0, 1, 2);
/// assert_eq!(waits_for(&shape, mesh, |_| true).collect::<Vec<_>>(), [web, log]);
/// assert_eq!(waits_for(&shape, log, |_| true).collect::<Vec<_>>(), [web]);
/// assert_eq!(waits_for(&shape, web, |_| true).count(), 0);
/// ```
pub fn waits_for<'a>(
    shape: &'a Shape,
    index: usize,
    runs: impl Fn(usize) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let is_sidecar = shape
        .containers
        .get(index)
        .is_some_and(|view| view.role == Role::Sidecar);
    let regular: &[usize] = if is_sidecar { &shape.regular } else { &[] };
    let next = if is_sidecar {
        next_sidecar(shape, index)
    } else {
        None
    };
    regular
        .iter()
        .copied()
        .chain(next)
        .filter(move |index| runs(*index))
}

/// The sidecar after this one in spec order, plain init containers skipped.
fn next_sidecar(shape: &Shape, index: usize) -> Option<usize> {
    let later = shape
        .init
        .iter()
        .copied()
        .skip_while(|place| *place != index)
        .skip(1);
    let mut sidecars = later.filter(|index| shape.containers[*index].role == Role::Sidecar);
    sidecars.next()
}
