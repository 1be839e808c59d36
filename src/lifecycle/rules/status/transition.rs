//! Which updates of a status are legal, and when a condition changed.

use crate::lifecycle::rules::restart::{by_policy, on_exit};
use crate::lifecycle::rules::shape::Shape;
use crate::model::{ConditionType, ContainerStatus, PodCondition, PodStatus};
use crate::time::Wall;

/// Whether the containers of `new` may follow on those of `old`: an ended container may only run again if the pod's
/// policy, its own or a rule of its restarts it. An update that is not legal is dropped whole.
///
/// ```
/// use podlife::lifecycle::rules::shape::Shape;
/// use podlife::lifecycle::rules::status::transition::is_legal;
/// use podlife::model::{Pod, PodStatus};
///
/// let pod: Pod = serde_json::from_str(r#"{"spec": {"restartPolicy": "Never", "containers": [{"name": "job"}]}}"#).unwrap();
/// let status = |state: &str| -> PodStatus {
///     serde_json::from_str(&format!(r#"{{"containerStatuses": [{{"name": "job", "state": {state}}}]}}"#)).unwrap()
/// };
/// let (ended, runs) = (status(r#"{"terminated": {"exitCode": 1}}"#), status(r#"{"running": {}}"#));
/// assert!(is_legal(&Shape::new(&pod), &runs, &ended));
/// assert!(!is_legal(&Shape::new(&pod), &ended, &runs));
/// ```
pub fn is_legal(shape: &Shape, old: &PodStatus, new: &PodStatus) -> bool {
    let lists = [
        (
            &shape.init,
            &old.init_container_statuses,
            &new.init_container_statuses,
        ),
        (
            &shape.regular,
            &old.container_statuses,
            &new.container_statuses,
        ),
    ];
    lists.into_iter().all(|(indexes, old, new)| {
        let may_run_again = |name: &str, code: i32| {
            let mut containers = indexes.iter().map(|index| &shape.containers[*index]);
            by_policy(shape.policy, code)
                || containers
                    .find(|container| *container.name == *name)
                    .is_some_and(|container| on_exit(container, code).restarts())
        };
        old.iter().all(|was| {
            let goes_on = |is: &ContainerStatus| exit_code(is).is_none();
            exit_code(was).is_none_or(|code| {
                !named(new, &was.name).is_some_and(goes_on) || may_run_again(&was.name, code)
            })
        })
    })
}

/// When the status of this condition last changed, as it is to be published: the old time if it is what it was, else now;
/// `None` when `new` has no such condition.
pub fn last_transition_time(
    old: &[PodCondition],
    new: &[PodCondition],
    type_: &ConditionType,
    now: Wall,
) -> Option<Wall> {
    let find =
        |list: &'_ [PodCondition]| list.iter().position(|condition| condition.type_ == *type_);
    let new = &new[find(new)?];
    let old = find(old)
        .map(|place| &old[place])
        .filter(|old| old.status == new.status);
    Some(old.and_then(|old| old.last_transition_time).unwrap_or(now))
}

fn named<'a>(list: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerStatus> {
    list.iter().find(|status| status.name == name)
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}
