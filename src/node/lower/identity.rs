//! Who a container's processes are, and what they may do.

use std::str::FromStr;

use caps::Capability;

use super::{Lowering, config_error};
use crate::lifecycle::Failure;
use crate::linux::pause::plan::{CapabilityBits, Credentials};
use crate::model::{Pod, SecurityContext};

/// What a container has unless it says otherwise: containerd's and Docker's fourteen.
const DEFAULT: [Capability; 14] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FSETID,
    Capability::CAP_FOWNER,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETPCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_KILL,
    Capability::CAP_AUDIT_WRITE,
];

/// User, groups and capabilities of a container.
#[derive(Debug)]
pub(crate) struct Identity {
    uid: u32,
    gid: u32,
    groups: Option<Vec<u32>>,
    capabilities: u64,
    no_new_privileges: bool,
}

impl Identity {
    pub(crate) fn of(container: &Lowering<'_>) -> Result<Identity, Failure> {
        let Lowering {
            pod, spec, ground, ..
        } = container;
        let own = spec.security_context.clone().unwrap_or_default();
        let whole = pod.spec.security_context.clone().unwrap_or_default();
        let uid = id("runAsUser", own.run_as_user.or(whole.run_as_user))?.unwrap_or(0);
        let gid = id("runAsGroup", own.run_as_group.or(whole.run_as_group))?.unwrap_or(0);
        let groups = whole
            .supplemental_groups
            .iter()
            .copied()
            .chain(whole.fs_group);
        let groups = groups.map(|group| Ok(id("group", Some(group))?.unwrap_or(0)));
        let groups = groups.collect::<Result<Vec<_>, Failure>>()?;
        if own.run_as_non_root.or(whole.run_as_non_root) == Some(true) && uid == 0 {
            return Err(config_error(runs_as_root(
                pod,
                &spec.name,
                own.run_as_user.or(whole.run_as_user),
            )));
        }
        if ground.rootless && (uid, gid, groups.len()) != (0, 0, 0) {
            return Err(config_error(format!(
                "the user {uid}, group {gid} and groups {groups:?} do not exist in a pod that an ordinary user runs: \
                 only user and group 0 do, which are that user; leave them out, or run as root"
            )));
        }
        Ok(Identity {
            uid,
            gid,
            // A user namespace with one id does not allow setgroups.
            groups: (!ground.rootless).then_some(groups),
            capabilities: capabilities(&own)?,
            no_new_privileges: own.allow_privilege_escalation == Some(false),
        })
    }

    /// A program that another user than 0 executes keeps no capabilities, as with every runtime.
    pub(crate) fn credentials(&self) -> Credentials {
        let bits = CapabilityBits(self.capabilities);
        let none = CapabilityBits(0);
        Credentials {
            uid: self.uid,
            gid: self.gid,
            groups: self.groups.clone(),
            bounding: bits,
            permitted: bits,
            inheritable: none,
            ambient: none,
            no_new_privileges: self.no_new_privileges,
            seccomp: None,
        }
    }
}

/// In the kubelet's words.
fn runs_as_root(pod: &Pod, container: &str, given: Option<i64>) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let what = match given {
        Some(_) => "container's runAsUser breaks non-root policy",
        None => "container has runAsNonRoot and image will run as root",
    };
    format!("{what} (pod: \"{name}_{namespace}({uid})\", container: {container})")
}

fn id(field: &str, given: Option<i64>) -> Result<Option<u32>, Failure> {
    let wrong = |_| {
        config_error(format!(
            "{field} {} is not a user or group id",
            given.unwrap_or_default()
        ))
    };
    given.map(u32::try_from).transpose().map_err(wrong)
}

fn capabilities(context: &SecurityContext) -> Result<u64, Failure> {
    if context.privileged == Some(true) {
        return Ok(caps::runtime::thread_all_supported()
            .iter()
            .map(Capability::bitmask)
            .sum());
    }
    let mut bits = DEFAULT.iter().map(Capability::bitmask).sum::<u64>();
    let Some(changes) = &context.capabilities else {
        return Ok(bits);
    };
    for name in &changes.drop {
        bits &= !named(name)?;
    }
    for name in &changes.add {
        bits |= named(name)?;
    }
    Ok(bits)
}

/// One capability, with or without `CAP_`, or all.
fn named(name: &str) -> Result<u64, Failure> {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" {
        return Ok(caps::runtime::thread_all_supported()
            .iter()
            .map(Capability::bitmask)
            .sum());
    }
    let full = if upper.starts_with("CAP_") {
        upper
    } else {
        format!("CAP_{upper}")
    };
    match Capability::from_str(&full) {
        Ok(capability) => Ok(capability.bitmask()),
        Err(_) => Err(config_error(format!("there is no capability {name}"))),
    }
}
