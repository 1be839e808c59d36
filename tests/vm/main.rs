//! Tests that need a kernel with every controller of cgroup v2: `bash tests/vm/run.sh` boots one. Elsewhere each is
//! ignored by name, with that reason.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod cgroup;
mod workload;
