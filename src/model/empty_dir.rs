//! The size of an emptyDir in memory.
//!
//! Upstream: `pkg/volume/emptydir/empty_dir.go`.

use super::cgroup_values::{CgroupRules, pod_values};
use super::quantity::Format;
use super::{PodSpec, Quantity};

/// How large the tmpfs of an emptyDir with `medium: Memory` is: what the node can give to pods, the pod's memory limit if it has
/// one, or the volume's own limit, whichever is least.
///
/// ```
/// use podlife::model::{Pod, empty_dir::memory_size};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec":{"containers":[{"name":"a","resources":{"limits":{"memory":"1Gi"}}}]}}"#).unwrap();
/// let size = memory_size(&pod.spec, None, "16Gi".parse()?);
/// assert_eq!(size.to_string(), "1Gi");
/// # Ok::<(), podlife::Error>(())
/// ```
pub fn memory_size(
    spec: &PodSpec,
    size_limit: Option<Quantity>,
    allocatable: Quantity,
) -> Quantity {
    let pod_limit = pod_values(spec, &CgroupRules::default()).memory_max;
    let pod_limit = pod_limit.map(|bytes| {
        Quantity::new(
            i64::try_from(bytes).unwrap_or(i64::MAX),
            0,
            Format::BinarySI,
        )
    });
    let limits = [pod_limit, size_limit]
        .into_iter()
        .flatten()
        .filter(|limit| *limit > Quantity::ZERO);
    limits.fold(allocatable, Quantity::min)
}

/// The options that the tmpfs is mounted with: its size, if it has one, and no swapping out, if the kernel (6.4) can.
///
/// ```
/// use podlife::model::empty_dir::tmpfs_options;
/// assert_eq!(tmpfs_options(Some("64Mi".parse()?), true), "size=67108864,noswap");
/// # Ok::<(), podlife::Error>(())
/// ```
pub fn tmpfs_options(size: Option<Quantity>, noswap: bool) -> String {
    let size = size
        .map(Quantity::value)
        .filter(|bytes| *bytes > 0)
        .map(|bytes| format!("size={bytes}"));
    let options: Vec<String> = size
        .into_iter()
        .chain(noswap.then(|| "noswap".to_owned()))
        .collect();
    options.join(",")
}
