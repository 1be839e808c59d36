//! Each pod's pause process: the sandbox that holds its namespaces, the parent of its containers, the writer of their
//! logs and the keeper of their exit statuses.
//!
//! [`spawn`](spawn::spawn) starts one; a [`Connection`] asks it to start processes by a [`Plan`] and reports what became
//! of them. Nobody becomes a child of the calling program.

mod attach;
mod compile;
mod connection;
mod cure;
#[allow(dead_code, unreachable_pub)]
mod flat;
mod ids;
pub mod plan;
mod spawn;
mod step;
#[allow(dead_code, unreachable_pub)]
mod wire;

pub use attach::Attach;
pub use connection::{Asked, Cgroup, Connection, Input, Output, Report, Request, Start};
pub use plan::Plan;
pub use spawn::{Pause, Program, Sandbox, User, spawn};
pub use wire::{Failure, Key};

/// The program, built by `build.rs`.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));
