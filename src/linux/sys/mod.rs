//! Raw system calls, one noun a file: the only place in `linux` with `unsafe`. What nix has is called through nix.

pub(crate) mod bpf;
pub(crate) mod clone;
pub(crate) mod memfd;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod pidfd;
pub(crate) mod pipe;
pub(crate) mod probe;
#[allow(unreachable_pub)]
pub(crate) mod raw;
pub(crate) mod socket;
pub(crate) mod terminal;
pub(crate) mod xattr;
