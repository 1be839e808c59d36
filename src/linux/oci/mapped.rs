//! Which fields of a config.json are read. There is no other that is not refused.

use serde_json::Value;

use crate::{Error, Kind, Result};

/// What is mapped; all below a name that ends in a dot. Annotations have no effect on a runtime.
const MAPPED: [&str; 71] = [
    "ociVersion",
    "annotations.",
    "hostname",
    "domainname",
    "root.path",
    "root.readonly",
    "mounts.destination",
    "mounts.type",
    "mounts.source",
    "mounts.options.",
    "process.args.",
    "process.env.",
    "process.cwd",
    "process.terminal",
    "process.consoleSize.",
    "process.noNewPrivileges",
    "process.oomScoreAdj",
    "process.apparmorProfile",
    "process.selinuxLabel",
    "process.user.uid",
    "process.user.gid",
    "process.user.umask",
    "process.user.additionalGids.",
    "process.capabilities.",
    "process.rlimits.",
    "linux.namespaces.type",
    "linux.namespaces.path",
    "linux.uidMappings.",
    "linux.gidMappings.",
    "linux.rootfsPropagation",
    "linux.maskedPaths.",
    "linux.readonlyPaths.",
    "linux.sysctl.",
    "linux.seccomp.",
    "linux.timeOffsets.monotonic.secs",
    "linux.timeOffsets.monotonic.nanosecs",
    "linux.timeOffsets.boottime.secs",
    "linux.timeOffsets.boottime.nanosecs",
    "linux.resources.devices.allow",
    "linux.resources.devices.type",
    "linux.resources.devices.major",
    "linux.resources.devices.minor",
    "linux.resources.devices.access",
    "linux.resources.memory.limit",
    "linux.resources.memory.reservation",
    "linux.resources.memory.swap",
    "linux.resources.cpu.shares",
    "linux.resources.cpu.quota",
    "linux.resources.cpu.period",
    "linux.resources.cpu.burst",
    "linux.resources.cpu.idle",
    "linux.resources.cpu.cpus",
    "linux.resources.cpu.mems",
    "linux.resources.pids.limit",
    "linux.resources.blockIO.weight",
    "linux.resources.blockIO.throttleReadBpsDevice.",
    "linux.resources.blockIO.throttleWriteBpsDevice.",
    "linux.resources.blockIO.throttleReadIOPSDevice.",
    "linux.resources.blockIO.throttleWriteIOPSDevice.",
    "linux.resources.blockIO.weightDevice.major",
    "linux.resources.blockIO.weightDevice.minor",
    "linux.resources.blockIO.weightDevice.weight",
    "linux.resources.hugepageLimits.",
    "linux.resources.unified.",
    "linux.devices.path",
    "linux.devices.type",
    "linux.devices.major",
    "linux.devices.minor",
    "linux.devices.fileMode",
    "linux.devices.uid",
    "linux.devices.gid",
];

/// Nothing is in the document that is not read.
pub(super) fn everything_is_mapped(shown: &str, name: &str, value: &Value) -> Result<()> {
    if MAPPED.iter().any(|mapped| {
        *mapped == name || mapped.ends_with('.') && format!("{name}.").starts_with(mapped)
    }) {
        return Ok(());
    }
    let inner = |shown: String, name: String, value| everything_is_mapped(&shown, &name, value);
    let dot = if name.is_empty() { "" } else { "." };
    match value {
        Value::Null | Value::Bool(false) => Ok(()),
        Value::Object(members) => members.iter().try_for_each(|(member, value)| {
            inner(
                format!("{shown}{dot}{member}"),
                format!("{name}{dot}{member}"),
                value,
            )
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(at, value)| inner(format!("{shown}[{at}]"), name.to_owned(), value)),
        value => Err(unsupported(shown, value)),
    }
}

pub(super) fn unsupported(field: &str, value: impl std::fmt::Display) -> Error {
    let attempt = format!("import the field {field}");
    let why = format!("podlife cannot do what {value} says there");
    Error::new(Kind::Unsupported, attempt, why)
        .cure("leave it out, if the container can do without")
}
