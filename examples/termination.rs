//! How a pod ends: who waits for whom, and how much of its grace period each container has left.
//!
//! `cargo run --example termination`

use std::time::Duration;

use podlife::init::Shape;
use podlife::lifecycle::KillReason;
use podlife::model::{Container, Pod};
use podlife::termination::{Budget, container_grace, waits_for};

fn main() {
    let container = |name: &str| Container::new(name, "podlife.local/host");
    let pod = Pod::new("shop")
        .sidecar(container("proxy"))
        .sidecar(container("logs"))
        .container(container("web"))
        .grace(30);
    let shape = Shape::new(&pod);
    let hook_or_wait = Duration::from_millis(12_800);
    for (index, container) in shape.containers.iter().enumerate() {
        let waits: Vec<&str> = waits_for(&shape, index, |_| true)
            .map(|other| &*shape.containers[other].name)
            .collect();
        let mut budget = Budget::new(container_grace(
            &shape,
            container,
            KillReason::PodEnds,
            None,
        ));
        budget.spend(hook_or_wait);
        let seconds = budget.kill_after();
        println!(
            "{}: waits for {waits:?}; if that takes {hook_or_wait:?}, SIGKILL comes {seconds} s after SIGTERM",
            container.name
        );
    }
}
