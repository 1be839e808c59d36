//! What a pod's pause process does before there are containers.

use std::path::{Path, PathBuf};

use super::Ground;
use crate::Result;
use crate::linux::pause::plan::{
    Attributes, CapabilityBits, Credentials, Namespaces, Propagation, Step,
};
use crate::linux::pause::{Key, Plan};
use crate::linux::user::IdMaps;
use crate::model::Pod;
use crate::model::dns::{ClusterDns, ResolvConf, pod_dns};
use crate::model::hostname::PodHostname;
use crate::model::hosts::{host_network_hosts, pod_hosts};
use crate::model::oom_score::PAUSE;
use crate::model::sysctl::normalize;
use crate::node::volumes::{Place, in_scratch};

/// The name that ends domains of pods with a subdomain.
pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";

/// By what pause knows the PID 1 of containers that share one PID namespace. No container has that number.
pub(crate) const REAPER: Key = Key::container(u32::MAX, 0);

/// In which PID namespace a pod's containers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pids {
    /// Each in one of its own.
    Own,
    /// All in one, whose PID 1 is a further instance of pause.
    Shared,
    /// The host's.
    Host,
}

impl Pids {
    pub(crate) fn of(pod: &Pod) -> Pids {
        match (pod.spec.host_pid, pod.spec.share_process_namespace) {
            (Some(true), _) => Pids::Host,
            (_, Some(true)) => Pids::Shared,
            _ => Pids::Own,
        }
    }
}

/// The PID 1 of a shared PID namespace. Every container sees it, so there is nothing in it: no file, no descriptor, no
/// capability, and it is not dumpable.
pub(crate) fn reaper() -> Plan {
    let none = CapabilityBits(0);
    let mut plan = Plan::new(Namespaces::MOUNT | Namespaces::PID);
    plan.push(Step::Propagation("/".into(), Propagation::Private))
        .push(Step::EmptyRoot {
            options: "size=0,nr_inodes=1,mode=0555".into(),
        })
        .push(Step::Pivot)
        .drop_to(&Credentials {
            uid: 0,
            gid: 0,
            groups: None,
            bounding: none,
            permitted: none,
            inheritable: none,
            ambient: none,
            no_new_privileges: true,
            seccomp: None,
        })
        .push(Step::Reap);
    plan
}

/// Those that the containers share, and the mount namespace that holds what is not on disk.
pub(crate) fn namespaces(pod: &Pod) -> Namespaces {
    let own = |host: Option<bool>, kind: Namespaces| {
        if host == Some(true) {
            Namespaces::NONE
        } else {
            kind
        }
    };
    let spec = &pod.spec;
    Namespaces::MOUNT
        | own(spec.host_network, Namespaces::NET)
        | own(spec.host_network, Namespaces::UTS)
        | own(spec.host_ipc, Namespaces::IPC)
        | own(spec.host_pid, Namespaces::PID)
}

/// Its steps.
pub(crate) fn plan(pod: &Pod, ground: &Ground) -> Result<Plan> {
    let mut plan = Plan::new(Namespaces::NONE);
    let name = PodHostname::of(pod, CLUSTER_DOMAIN)?;
    // In a user namespace nobody may lower it, so no container's is lower than pause's either.
    if ground.users.is_none() {
        plan.push(Step::OomScoreAdj {
            score: PAUSE,
            required: false,
        });
    }
    plan.push(Step::Propagation("/".into(), Propagation::Slave));
    plan.push(Step::Filesystem {
        kind: "tmpfs".into(),
        options: "mode=0755".into(),
        target: ground.scratch.clone(),
        attributes: Attributes::NOSUID | Attributes::NODEV,
    });
    files(&mut plan, pod, ground, &name)?;
    if pod.spec.host_ipc != Some(true) {
        plan.push(Step::Filesystem {
            kind: "tmpfs".into(),
            options: "mode=1777,size=67108864".into(),
            target: ground.shared_memory(),
            attributes: Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC,
        });
    }
    volumes(&mut plan, pod, ground);
    if ground.users.as_ref().is_some_and(IdMaps::by_helper) {
        on_disk(&mut plan, pod, ground);
    }
    if pod.spec.host_network != Some(true) {
        let fqdn = pod.spec.set_hostname_as_fqdn == Some(true);
        plan.push(Step::Hostname(name.kernel_hostname(fqdn)?.into_owned()));
        plan.push(Step::Loopback);
    }
    let sysctls = pod
        .spec
        .security_context
        .iter()
        .flat_map(|context| &context.sysctls);
    plan.extend(sysctls.map(|sysctl| Step::Sysctl {
        name: slashes(&sysctl.name),
        value: sysctl.value.clone(),
    }));
    Ok(plan)
}

/// The path below `/proc/sys` of a name with dots or slashes between its parts.
fn slashes(name: &str) -> String {
    let swapped = |character| match character {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    normalize(name).chars().map(swapped).collect()
}

/// What every container finds in its `/etc`.
fn files(plan: &mut Plan, pod: &Pod, ground: &Ground, name: &PodHostname) -> Result<()> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let hosts = match pod.spec.host_network {
        Some(true) => host_network_hosts(
            &read("/etc/hosts").unwrap_or_default(),
            &pod.spec.host_aliases,
        ),
        _ => pod_hosts(
            &["127.0.0.1"],
            &name.hostname,
            &name.domain,
            &pod.spec.host_aliases,
        ),
    };
    let node = read("/etc/resolv.conf").and_then(|text| ResolvConf::parse(&text).ok());
    let dns = pod_dns(pod, &ClusterDns::default(), node.as_ref())?;
    plan.push(Step::Directory {
        path: ground.file(""),
        mode: 0o755,
    });
    for (file, text) in [
        ("hosts", hosts),
        ("hostname", format!("{}\n", name.hostname)),
        ("resolv.conf", dns.conf.to_string()),
    ] {
        plan.push(Step::File {
            path: ground.file(file),
            mode: 0o644,
            bytes: text.into_bytes(),
        });
    }
    Ok(())
}

/// The volumes that are not on disk.
fn volumes(plan: &mut Plan, pod: &Pod, ground: &Ground) {
    for volume in &pod.spec.volumes {
        let path = in_scratch(&ground.scratch, &volume.name);
        let mode = match Place::of(volume) {
            Some(Place::Empty) if ground.volumes.is_none() => 0o777,
            Some(Place::Memory(_)) => 0o777,
            Some(Place::Content) => 0o755,
            _ => continue,
        };
        plan.push(Step::Directory {
            path: path.clone(),
            mode,
        });
        if let Some(Place::Memory(limit)) = Place::of(volume) {
            memory(plan, &path, limit);
        }
        // What is made of objects gets its group with its files.
        if Place::of(volume) != Some(Place::Content) {
            plan.extend(owner(pod, ground, path));
        }
    }
}

/// Gives a volume to the pod's group. That there is no such group is told with the first container.
fn owner(pod: &Pod, ground: &Ground, path: PathBuf) -> Option<Step> {
    let mapped = |gid: &u32| {
        let users = ground.users.as_ref();
        users.is_none_or(|users| users.missing_gid(*gid).is_none())
    };
    let (uid, gid, mode) = (0, fs_group(pod).filter(mapped)?, 0o2777);
    Some(Step::Owner {
        path,
        uid,
        gid,
        mode,
    })
}

/// The group that owns the pod's volumes. One that is no id is refused with the first container.
pub(crate) fn fs_group(pod: &Pod) -> Option<u32> {
    let context = pod.spec.security_context.as_ref()?;
    u32::try_from(context.fs_group?).ok()
}

/// Volumes on disk whose group is one that the Node is not in.
fn on_disk(plan: &mut Plan, pod: &Pod, ground: &Ground) {
    let Some(directory) = &ground.volumes else {
        return;
    };
    let volumes = pod.spec.volumes.iter();
    let disks = volumes.filter(|volume| Place::of(volume) == Some(Place::Empty));
    plan.extend(disks.filter_map(|volume| owner(pod, ground, directory.join(&volume.name))));
}

fn memory(plan: &mut Plan, target: &Path, size: Option<i64>) {
    let size = size.map(|size| format!(",size={size}")).unwrap_or_default();
    plan.push(Step::Filesystem {
        kind: "tmpfs".into(),
        options: format!("mode=0777{size}"),
        target: target.to_owned(),
        attributes: Attributes::NOSUID | Attributes::NODEV,
    });
}
