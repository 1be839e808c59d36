//! Real pods, run by a real Node: one file a behaviour.

#![allow(clippy::unwrap_used)]

mod before;
mod hosted;

mod choices;
mod confined;
mod credentials;
mod debug;
mod describe;
mod devices;
mod ending;
mod failing;
mod handle;
mod handler;
mod hostile;
mod https;
mod i386;
mod images;
mod init;
mod job;
mod limits;
mod logs;
mod manifests;
mod metrics;
mod pressed;
mod probes;
mod recovery;
mod refused;
mod restarts;
mod session;
mod shared;
mod termination;
mod timeline;
mod turning;
mod update;
mod users;
mod volumes;
