//! The kubelet's rules as pure functions: what the machine runs on, and what anyone may ask.
//!
//! They read a [`Shape`](shape::Shape), the spec in the form they run on, and [`facts`] borrowed from whoever keeps
//! them. None has state, a clock, or an opinion of its own: where Kubernetes' behaviour is odd, so is theirs.

pub mod backoff;
pub mod column;
pub mod condition;
pub mod deadline;
pub mod facts;
pub mod grace;
pub mod image_pull;
pub mod order;
pub mod phase;
pub mod plan;
pub mod probe;
pub mod resize;
pub mod restart;
pub mod restart_count;
mod rewrite;
pub mod sandbox;
pub mod shape;
pub mod shutdown;
pub mod status;
