//! When: the pod's life as a value, without clock, descriptor, thread or randomness.
//!
//! [`PodMachine`] is one pod's life: it is told what happens ([`Input`]) and says what to do ([`Output`]), and knows what it
//! must not forget ([`Record`]). The Node runs it, and so does the simulator that tries to break it. What it decides by are the
//! kubelet's [`rules`], pure functions that anyone may ask; [`init`] and [`termination`] are the pages on how a pod
//! begins and ends, [`state`] has the table of what a container can be in the middle of, and [`history`] a life on record
//! that can be lived again.

pub mod attempt;
pub mod describe;
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
mod planning;
mod probing;
mod publish;
pub mod record;
mod resizing;
mod restore;
pub mod rules;
mod sandboxing;
mod start;
pub mod state;
mod store;
pub mod termination;
pub mod timeline;
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
    ProbeKind, ResizeChange, ResizeStep, SandboxChange, Signal, Ticket,
};
pub use record::{ContainerRecord, List, Record};
pub use state::State;
