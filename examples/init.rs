//! In which order a pod's containers start: asked of the rules alone, without kernel or clock.
//!
//! `cargo run --example init`

use podlife::init::{Plan, Role, Shape, plan};
use podlife::lifecycle::rules::facts::{PodFacts, Seen};
use podlife::lifecycle::{Attempt, AttemptState, Exit, Network, Sandbox, SandboxState};
use podlife::model::{Container, Pod};
use podlife::time::Now;

fn main() {
    let container = |name: &str| Container::new(name, "podlife.local/host");
    let pod = Pod::new("shop")
        .sidecar(container("proxy"))
        .init(container("migrate"));
    let pod = pod
        .init(container("warm"))
        .container(container("web"))
        .container(container("cache"));
    let shape = Shape::new(&pod);
    let now = Now::default();
    let sandboxes = [Sandbox {
        attempt: 0,
        state: SandboxState::Ready,
        network: Network::Pod,
        ip: None,
        created: now,
    }];
    let facts = PodFacts {
        sandboxes: &sandboxes,
        ..PodFacts::default()
    };

    let mut attempts: Vec<Option<Attempt>> = vec![None; shape.containers.len()];
    let mut todo = Plan::default();
    for round in 1.. {
        let seen = |index: usize| Seen {
            attempts: attempts[index].as_slice(),
            ..Seen::default()
        };
        plan(&shape, &facts, seen, false, &mut todo);
        if todo.start.is_empty() {
            break;
        }
        for &index in &todo.start {
            let container = &shape.containers[index];
            println!("{round}. {}", container.name);
            let state = match container.role {
                Role::Init => AttemptState::Exited(done(now).into()),
                _ => AttemptState::Running { started: now },
            };
            let image = container.image.clone();
            attempts[index] = Some(Attempt {
                number: 0,
                sandbox: 0,
                restart_count: 0,
                created: now,
                image,
                state,
            });
        }
    }
}

fn done(now: Now) -> Exit {
    Exit {
        code: 0,
        signal: None,
        reason: "Completed".into(),
        message: None,
        started: Some(now),
        finished: now,
    }
}
