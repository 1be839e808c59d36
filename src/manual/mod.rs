//! The handbook: what to know beyond the items' own pages.
//!
//! | page | about |
//! |---|---|
//! | [`architecture`] | the layers, the pause process, and why they are so |
//! | [`embedding`] | what the host program owes podlife, and what podlife never touches |
//! | [`states`] | what is being done about a container, drawn from the table the machine is checked against |
//! | [`recovery`] | what survives the death of the embedder, and how it is found again |
//! | [`kernel`] | what is needed of the kernel, for which feature |
//! | [`security`] | what a container can and cannot reach |
//! | [`performance`] | what it costs, beside the bare way, and how to measure it |
//! | [`limits`] | bounds, and what is not supported |
//! | [`fields`] | what podlife does with each field of a pod |

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("states.md")]
pub mod states {}

#[doc = include_str!("recovery.md")]
pub mod recovery {}

#[doc = include_str!("kernel.md")]
pub mod kernel {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("fields.md")]
pub mod fields {}
