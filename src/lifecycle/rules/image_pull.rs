//! Whether an image is pulled before a start, and what a container waits for if it is not there.
//!
//! Upstream: `pkg/kubelet/images/image_manager.go`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::backoff::{BackOff, Curve};
use super::shape::{ContainerView, Role};
use crate::model::Pod;
use crate::model::image::{ImageReference, default_pull_policy};
use crate::time::Mono;

/// When an image is fetched, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// If it is not here yet.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// From the API's word; if there is none, from the image's tag.
    pub fn of(word: Option<&crate::model::PullPolicy>, image: &str) -> PullPolicy {
        let default;
        let word = match word {
            Some(word) if word.is_known() => word,
            _ => {
                default = default_pull_policy(image);
                &default
            }
        };
        match word {
            crate::model::PullPolicy::Always => PullPolicy::Always,
            crate::model::PullPolicy::Never => PullPolicy::Never,
            _ => PullPolicy::IfNotPresent,
        }
    }
}

/// The policy of a pod's container.
pub fn pull_policy(pod: &Pod, view: &ContainerView) -> PullPolicy {
    let spec = &pod.spec;
    let word = match view.role {
        Role::Ephemeral => {
            let mut containers = spec.ephemeral_containers.iter();
            containers
                .find(|container| container.name == *view.name)
                .and_then(|found| found.image_pull_policy.as_ref())
        }
        _ => {
            let mut containers = spec.containers.iter().chain(&spec.init_containers);
            containers
                .find(|container| container.name == *view.name)
                .and_then(|found| found.image_pull_policy.as_ref())
        }
    };
    PullPolicy::of(word, &view.image)
}

/// What comes after the look into the local store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The image is here: start.
    Start,
    /// Pull it first.
    Pull,
    /// It is not here and must not be pulled.
    Refuse,
}

/// The step for an image that is present, or not.
///
/// ```
/// use podlife::lifecycle::rules::image_pull::{PullPolicy, Step, next};
/// assert_eq!(next(PullPolicy::Always, true), Step::Pull);
/// assert_eq!(next(PullPolicy::Never, false), Step::Refuse);
/// ```
pub fn next(policy: PullPolicy, present: bool) -> Step {
    match (policy, present) {
        (PullPolicy::Always, _) | (PullPolicy::IfNotPresent, false) => Step::Pull,
        (PullPolicy::IfNotPresent | PullPolicy::Never, true) => Step::Start,
        (PullPolicy::Never, false) => Step::Refuse,
    }
}

/// What one try to have the image comes to, before any pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The reference is none: reason `InvalidImageName`.
    Invalid,
    /// The local store could not be asked: reason `ImageInspectError`.
    InspectFailed,
    /// It is here: event `Pulled`.
    Start,
    /// It is not here and must not be pulled: reason `ErrImageNeverPull`.
    Refuse,
    /// The last pull failed, and its window is not over: reason `ImagePullBackOff`.
    BackOff(Duration),
    /// It is pulled: event `Pulling`.
    Pull,
}

impl Decision {
    /// What a container waits with; none if it does not wait for this.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Decision::Invalid => Some("InvalidImageName"),
            Decision::InspectFailed => Some("ImageInspectError"),
            Decision::Refuse => Some("ErrImageNeverPull"),
            Decision::BackOff(_) => Some("ImagePullBackOff"),
            Decision::Start | Decision::Pull => None,
        }
    }

    /// The reason of the event that tells of it.
    pub fn event(self) -> &'static str {
        match self {
            Decision::Invalid | Decision::InspectFailed => "InspectFailed",
            Decision::Start => "Pulled",
            Decision::Refuse => "ErrImageNeverPull",
            Decision::BackOff(_) => "BackOff",
            Decision::Pull => "Pulling",
        }
    }
}

/// Decides one try. `present` is what the local store said, `None` if it failed; an image that is pulled in any case is not looked for.
/// `entry` is what is remembered of pulls of this image for this pod that failed.
///
/// ```
/// use podlife::lifecycle::rules::backoff::Curve;
/// use podlife::lifecycle::rules::image_pull::{Decision, PullPolicy, decide};
/// use podlife::time::Mono;
///
/// let now = Mono::ZERO;
/// assert_eq!(decide("redis", PullPolicy::IfNotPresent, Some(false), &Curve::KUBELET, None, now), Decision::Pull);
/// assert_eq!(decide("Redis", PullPolicy::IfNotPresent, Some(false), &Curve::KUBELET, None, now), Decision::Invalid);
/// ```
pub fn decide(
    image: &str,
    policy: PullPolicy,
    present: Option<bool>,
    curve: &Curve,
    entry: Option<BackOff>,
    now: Mono,
) -> Decision {
    if ImageReference::parse(image).is_err() {
        return Decision::Invalid;
    }
    let Some(present) = present.or((policy == PullPolicy::Always).then_some(false)) else {
        return Decision::InspectFailed;
    };
    match next(policy, present) {
        Step::Start => Decision::Start,
        Step::Refuse => Decision::Refuse,
        Step::Pull => curve
            .holds_since_update(entry, now)
            .map_or(Decision::Pull, Decision::BackOff),
    }
}

/// The reason a container waits with after a pull that failed: some errors are reasons by themselves.
///
/// ```
/// use podlife::lifecycle::rules::image_pull::failure_reason;
/// assert_eq!(failure_reason("RegistryUnavailable: no route"), "RegistryUnavailable");
/// assert_eq!(failure_reason("404"), "ErrImagePull");
/// ```
pub fn failure_reason(error: &str) -> &'static str {
    let known = ["RegistryUnavailable", "SignatureValidationFailed"];
    known
        .into_iter()
        .find(|reason| error.starts_with(reason))
        .unwrap_or("ErrImagePull")
}
