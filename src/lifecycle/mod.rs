//! When: the pod's life as a value, without clock, descriptor, thread or randomness.
//!
//! A [`PodMachine`] is told what happens and says what to do:
//!
//! ```text
//! PodMachine::new(pod: Valid<Pod>, options: PodOptions, now: Now) -> PodMachine
//! PodMachine::restore(pod: Valid<Pod>, options: PodOptions, record: Record, observed: Observed, now: Now) -> Result<PodMachine>
//! machine.handle(now: Now, input: Input)
//! machine.poll_output() -> Output            // until Output::Wait
//! machine.record() -> &Record                // what Output::Persist asks to be written
//! machine.status() -> &PodStatus
//! ```

pub mod attempt;
mod ending;
mod exits;
mod fault;
pub mod history;
pub mod init;
pub mod input;
mod killing;
mod machine;
mod outbox;
pub mod output;
mod probing;
mod publish;
pub mod record;
mod restore;
pub mod rules;
mod sandboxing;
mod start;
pub mod state;
mod store;
pub mod termination;
mod timer;
mod update;

pub use crate::model::PodOptions;
pub use attempt::{Attempt, AttemptState, Exit, Network, Sandbox, SandboxState};
#[doc(hidden)]
pub use fault::Fault;
pub use input::{
    Deletion, Eviction, Failure, Finding, Input, Observed, Outcome, Persisted, SandboxVerdict,
    Verdict,
};
pub use machine::PodMachine;
pub use output::{
    Action, Cause, Change, ContainerChange, ContainerIndex, Hook, ImageStep, KillReason, Output,
    ProbeKind, SandboxChange, Signal, Ticket,
};
pub use record::{ContainerRecord, List, Record};
pub use state::State;
