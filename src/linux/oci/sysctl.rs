//! Whose a sysctl is. `namespaces(7)`, `sysctl(5)`.

use crate::linux::namespace::Namespaces;

/// Names of System V IPC.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The kind of namespace that has it. `None`: the host.
pub(super) fn owner(name: &str) -> Option<Namespaces> {
    let name = name.replace('/', ".");
    match name.as_str() {
        name if name.starts_with("net.") => Some(Namespaces::NET),
        name if name.starts_with("fs.mqueue.") || IPC.contains(&name) => Some(Namespaces::IPC),
        "kernel.hostname" | "kernel.domainname" => Some(Namespaces::UTS),
        _ => None,
    }
}
