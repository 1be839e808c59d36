//! When: the pod's life as a value, without clock, descriptor, thread or randomness.

pub mod attempt;

pub use attempt::{Attempt, AttemptState, Exit, Network, Sandbox, SandboxState};
