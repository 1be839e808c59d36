//! Where each container's status stands in the lists.

use std::mem::take;

use crate::lifecycle::rules::shape::Shape;
use crate::model::{ContainerStatus, PodStatus};

/// Sees to it that each container of the spec has its status in its slot. Returns whether something had to be moved.
pub(super) fn lay_out(status: &mut PodStatus, shape: &Shape) -> bool {
    let lists = [
        (&shape.init, &mut status.init_container_statuses),
        (&shape.regular, &mut status.container_statuses),
        (&shape.ephemeral, &mut status.ephemeral_container_statuses),
    ];
    let mut moved = false;
    for (indexes, list) in lists {
        let stands = |index: &usize| {
            let view = &shape.containers[*index];
            list.get(usize::from(view.slot))
                .is_some_and(|status| status.name == *view.name)
        };
        if list.len() != indexes.len() || !indexes.iter().all(stands) {
            lay_out_list(list, indexes, shape);
            moved = true;
        }
    }
    moved
}

fn lay_out_list(list: &mut Vec<ContainerStatus>, indexes: &[usize], shape: &Shape) {
    let mut by_slot = indexes.to_vec();
    by_slot.sort_by_key(|index| shape.containers[*index].slot);
    let mut old = take(list);
    let place = |index: &usize| {
        let name = &shape.containers[*index].name;
        match old.iter().position(|status| status.name == **name) {
            Some(place) => old.swap_remove(place),
            None => ContainerStatus {
                name: name.to_string(),
                ..ContainerStatus::default()
            },
        }
    };
    *list = by_slot.iter().map(place).collect();
}
