//! The quality-of-service class: who is killed first when memory is short.
//!
//! Upstream: `pkg/apis/core/v1/helper/qos/qos.go`.

use super::resource_list::ResourceList;
use super::resource_sum::amount;
use super::{PodSpec, QosClass, Quantity, ResourceRequirements};

/// The class of a pod.
///
/// Only cpu and memory count, and only of main and init containers. If the pod itself has requests or limits, those decide and the
/// containers do not count. It should be asked after defaulting, when limits have become requests too.
///
/// ```
/// use podlife::model::{Pod, QosClass, qos::qos_class};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec":{"containers":[{"name":"a",
///     "resources":{"requests":{"cpu":"0.1","memory":"1Gi"},"limits":{"cpu":"100m","memory":"1024Mi"}}}]}}"#).unwrap();
/// assert_eq!(qos_class(&pod.spec), QosClass::Guaranteed);
/// assert_eq!(qos_class(&Pod::default().spec), QosClass::BestEffort);
/// ```
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let mut sum = Sum::default();
    match &spec.resources {
        Some(resources) if !(resources.requests.is_empty() && resources.limits.is_empty()) => {
            sum.add(Some(resources))
        }
        _ => {
            for container in spec.containers.iter().chain(&spec.init_containers) {
                sum.add(container.resources.as_ref());
            }
        }
    }
    sum.class()
}

const COUNTED: [&str; 2] = ["cpu", "memory"];

#[derive(Default)]
struct Sum {
    requests: [Quantity; 2],
    limits: [Quantity; 2],
    /// A container had no cpu limit, or no memory limit.
    unlimited: bool,
}

impl Sum {
    fn add(&mut self, resources: Option<&ResourceRequirements>) {
        let positive = |list: &ResourceList, name| amount(list, name).max(Quantity::ZERO);
        for (index, name) in COUNTED.into_iter().enumerate() {
            let request = resources.map_or(Quantity::ZERO, |resources| {
                positive(&resources.requests, name)
            });
            let limit = resources.map_or(Quantity::ZERO, |resources| {
                positive(&resources.limits, name)
            });
            self.requests[index] += request;
            self.limits[index] += limit;
            self.unlimited |= limit.is_zero();
        }
    }

    fn class(&self) -> QosClass {
        if self
            .requests
            .iter()
            .chain(&self.limits)
            .all(|amount| amount.is_zero())
        {
            QosClass::BestEffort
        } else if !self.unlimited && self.requests == self.limits {
            QosClass::Guaranteed
        } else {
            QosClass::Burstable
        }
    }
}
