//! Tests against the running kernel, one module a room of `linux`. Whatever a test makes it sees gone again. What cannot be
//! tested here says so on a line that begins with `skipped:`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod cgroup;
mod command;
mod devices;
mod escape;
mod mount;
mod namespace;
mod nobody;
#[cfg(feature = "oci")]
mod oci;
mod pause;
mod process;
mod sandbox;
mod scratch;
mod seccomp;
mod steps;
