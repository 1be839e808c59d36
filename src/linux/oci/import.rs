//! A bundle as a plan: what of it podlife can do. Whatever else it says is an error.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, PosixRlimit, Process, Spec};
use serde_json::Value;

use super::Bundle;
use super::mapped::{everything_is_mapped, unsupported};
use super::sysctl;
use super::usual::{DEVICES, LINKS};
use super::{clocks, devices, resources};
use crate::linux::Capabilities;
use crate::linux::cgroup::Limits;
use crate::linux::namespace::{Namespace, Namespaces};
use crate::linux::pause::plan::{
    Attributes, CapabilityBits, Credentials, Filter, Plan, Propagation, Source, Step,
};
use crate::linux::rlimit::{Resource, Rlimit};
use crate::linux::seccomp::Profile;
use crate::linux::user::{IdMap, IdMaps};
use crate::{Error, Kind, Result};

/// `MOUNT_ATTR_STRICTATIME`, which a new mount can have.
const STRICTATIME: Attributes = Attributes(0x20);

impl Bundle {
    /// Reads the bundle in `directory`.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] with the name of the field for what podlife cannot do, or does not know; [`Kind::Invalid`] for what is
    /// no bundle.
    pub fn import(directory: impl AsRef<Path>) -> Result<Bundle> {
        let directory = directory.as_ref();
        let path = directory.join("config.json");
        let attempt = || format!("read {}", path.display());
        let bytes = fs::read(&path).map_err(|why| Error::io(attempt(), why))?;
        let wrong = |why| Error::caused(Kind::Invalid, attempt(), why);
        let value: Value = serde_json::from_slice(&bytes).map_err(wrong)?;
        everything_is_mapped("", "", &value)?;
        let spec: Spec = serde_json::from_value(value).map_err(wrong)?;
        if !spec.version().starts_with("1.") {
            return Err(unsupported("ociVersion", spec.version()));
        }
        let directory = fs::canonicalize(directory)
            .map_err(|why| Error::io(format!("find {}", directory.display()), why))?;
        Import { spec, directory }.bundle()
    }
}

struct Import {
    spec: Spec,
    directory: PathBuf,
}

impl Import {
    fn bundle(&self) -> Result<Bundle> {
        let (all, joined) = self.namespaces()?;
        let users = self.users(all)?;
        let own = [Namespaces::MOUNT, Namespaces::PID];
        let of_container = own.into_iter().filter(|kind| all.contains(*kind));
        let mut container = Plan::new(of_container.fold(Namespaces::NONE, |all, kind| all | kind));
        let mut set_up = Plan::new(Namespaces::NONE);
        set_up.push(Step::Propagation("/".into(), Propagation::Slave));
        if all.contains(Namespaces::NET) {
            set_up.push(Step::Loopback);
        }
        set_up.extend(clocks::import(self.spec.linux().as_ref(), all)?);
        let mut there = all;
        for namespace in joined {
            let kind = namespace.kind();
            there = there | Namespaces::from_iter([kind]);
            let namespace = set_up.hand_over(OwnedFd::from(namespace));
            set_up.push(Step::Join { namespace, kind });
        }
        set_up.extend(self.names(there)?);
        let linux = self.spec.linux().as_ref();
        self.file_system(&mut container, all)?;
        self.process(&mut container, users.as_ref())?;
        // The sandbox holds mounts of its own, and its end is that of all.
        let shared = [
            Namespaces::NET,
            Namespaces::IPC,
            Namespaces::UTS,
            Namespaces::PID,
        ];
        let shared = shared.into_iter().filter(|kind| all.contains(*kind));
        let namespaces = shared.fold(Namespaces::MOUNT, |all, kind| all | kind);
        let resources = linux.and_then(|linux| linux.resources().as_ref());
        let limits = resources.map_or(Ok(Limits::new()), resources::import)?;
        let listed = resources.and_then(|resources| resources.devices().as_deref());
        let devices = devices::import(listed.unwrap_or_default())?;
        let bundle = Bundle::new(namespaces, users, set_up, container);
        Ok(bundle.limits(limits).devices(devices))
    }

    /// Names and sysctls of the namespaces that are there. All others would be the host's.
    fn names(&self, there: Namespaces) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let names = [
            (
                "hostname",
                self.spec.hostname(),
                Step::Hostname as fn(_) -> _,
            ),
            ("domainname", self.spec.domainname(), Step::Domainname),
        ];
        for (field, name, step) in names {
            if let Some(name) = name {
                if !there.contains(Namespaces::UTS) {
                    return Err(unsupported(field, format!("{name}, the host's name,")));
                }
                steps.push(step(name.clone()));
            }
        }
        let linux = self.spec.linux().as_ref();
        let sysctls = linux.and_then(|linux| linux.sysctl().clone());
        let sysctls: BTreeMap<_, _> = sysctls.unwrap_or_default().into_iter().collect();
        for (name, value) in sysctls {
            let owner = sysctl::owner(&name).filter(|owner| there.contains(*owner));
            if owner.is_none() {
                let field = format!("linux.sysctl.{name}");
                return Err(unsupported(
                    &field,
                    format!("{value}, a setting of the host's,"),
                ));
            }
            steps.push(Step::Sysctl { name, value });
        }
        Ok(steps)
    }

    /// Those it gets anew, and those that are there already.
    fn namespaces(&self) -> Result<(Namespaces, Vec<Namespace>)> {
        let linux = self.spec.linux().as_ref();
        let listed = linux
            .and_then(|linux| linux.namespaces().clone())
            .unwrap_or_default();
        let mut all = Namespaces::NONE;
        let mut joined = Vec::new();
        for (at, namespace) in listed.iter().enumerate() {
            let kind = match namespace.typ() {
                LinuxNamespaceType::Mount => Namespaces::MOUNT,
                LinuxNamespaceType::Pid => Namespaces::PID,
                LinuxNamespaceType::Network => Namespaces::NET,
                LinuxNamespaceType::Ipc => Namespaces::IPC,
                LinuxNamespaceType::Uts => Namespaces::UTS,
                LinuxNamespaceType::Cgroup => Namespaces::CGROUP,
                LinuxNamespaceType::User => Namespaces::USER,
                LinuxNamespaceType::Time => Namespaces::TIME,
            };
            match namespace.path() {
                None => all = all | kind,
                Some(path) => joined.push(there(at, kind, path)?),
            }
        }
        if !all.contains(Namespaces::MOUNT) {
            return Err(unsupported(
                "linux.namespaces",
                "a container without mounts of its own",
            ));
        }
        Ok((all, joined))
    }

    /// The ids of its user namespace. Who may map them is seen when it is started.
    fn users(&self, all: Namespaces) -> Result<Option<IdMaps>> {
        if !all.contains(Namespaces::USER) {
            return Ok(None);
        }
        let linux = self.spec.linux().as_ref();
        let uids = ids(linux.and_then(|linux| linux.uid_mappings().clone()));
        let gids = ids(linux.and_then(|linux| linux.gid_mappings().clone()));
        for (field, maps) in [("linux.uidMappings", &uids), ("linux.gidMappings", &gids)] {
            if maps.is_empty() {
                return Err(unsupported(field, "a user namespace without ids"));
            }
        }
        let (maps, single) = (IdMaps::new(uids, gids), IdMaps::single());
        let same = (maps.uids(), maps.gids()) == (single.uids(), single.gids());
        Ok(Some(if same { single } else { maps }))
    }

    fn file_system(&self, plan: &mut Plan, all: Namespaces) -> Result<()> {
        let linux = self.spec.linux().as_ref();
        let propagation = linux.and_then(|linux| linux.rootfs_propagation().clone());
        let how = match propagation.as_deref() {
            None | Some("private" | "rprivate") => Propagation::Private,
            Some("slave" | "rslave") => Propagation::Slave,
            Some("shared" | "rshared") => Propagation::Shared,
            Some(other) => return Err(unsupported("linux.rootfsPropagation", other)),
        };
        plan.push(Step::Propagation("/".into(), how));
        let process = self.process_of()?;
        plan.extend(process.oom_score_adj().map(|score| Step::OomScoreAdj {
            score,
            required: true,
        }));
        let root = self.spec.root().as_ref();
        let root = root.ok_or_else(|| unsupported("root", "a container without one"))?;
        plan.push(Step::Root {
            source: Source::Host(self.directory.join(root.path())),
            attributes: Attributes::NONE,
        });
        if all.contains(Namespaces::CGROUP) {
            plan.push(Step::CgroupNamespace);
        }
        for (at, mount) in self.spec.mounts().iter().flatten().enumerate() {
            plan.push(self.mount(at, mount)?);
        }
        self.devices(plan)?;
        let paths =
            |paths: Option<Vec<String>>| paths.unwrap_or_default().into_iter().map(PathBuf::from);
        plan.extend(paths(linux.and_then(|linux| linux.masked_paths().clone())).map(Step::Mask));
        plan.extend(
            paths(linux.and_then(|linux| linux.readonly_paths().clone())).map(Step::ReadOnly),
        );
        if root.readonly() == Some(true) {
            plan.push(Step::Attributes {
                target: "/".into(),
                attributes: Attributes::READ_ONLY,
                recursive: false,
            });
        }
        plan.push(Step::Pivot);
        Ok(())
    }

    fn mount(&self, at: usize, mount: &Mount) -> Result<Step> {
        let options = mount.options().clone().unwrap_or_default();
        let kind = mount.typ().as_deref().unwrap_or("none");
        let target = mount.destination().clone();
        let bind = kind == "bind"
            || options
                .iter()
                .any(|option| option == "bind" || option == "rbind");
        let mut attributes = Attributes::NONE;
        let mut data = Vec::new();
        for (place, option) in options.iter().enumerate() {
            let plain = option.strip_prefix('r').filter(|_| bind).unwrap_or(option);
            attributes = attributes
                | match if option == "ro" { "ro" } else { plain } {
                    "ro" => Attributes::READ_ONLY,
                    "nosuid" => Attributes::NOSUID,
                    "nodev" => Attributes::NODEV,
                    "noexec" => Attributes::NOEXEC,
                    "strictatime" if !bind => STRICTATIME,
                    "bind" | "w" | "rw" | "relatime" | "elatime" => Attributes::NONE,
                    _ if !bind && !is_flag(option) => {
                        data.push(option.clone());
                        Attributes::NONE
                    }
                    _ => {
                        return Err(unsupported(
                            &format!("mounts[{at}].options[{place}]"),
                            option,
                        ));
                    }
                };
        }
        if bind {
            let source = mount.source().clone().unwrap_or_default();
            let source = Source::Host(self.directory.join(source));
            return Ok(Step::Bind {
                source,
                target,
                attributes,
            });
        }
        let kind = match kind {
            "proc" | "sysfs" | "tmpfs" | "devpts" | "mqueue" => kind,
            "cgroup" | "cgroup2" => "cgroup2",
            other => return Err(unsupported(&format!("mounts[{at}].type"), other)),
        };
        let (kind, options) = (kind.to_owned(), data.join(","));
        Ok(Step::Filesystem {
            kind,
            options,
            target,
            attributes,
        })
    }

    /// Those that every container has, and those that are listed.
    fn devices(&self, plan: &mut Plan) -> Result<()> {
        let linux = self.spec.linux().as_ref();
        let mounts = self.spec.mounts().iter().flatten();
        let mounted: Vec<&Path> = mounts.map(|mount| mount.destination().as_path()).collect();
        let absent = DEVICES.map(Path::new).into_iter();
        // The host's, as no other opens where a bundle says `nodev`.
        plan.extend(
            absent
                .filter(|path| !mounted.contains(path))
                .map(|path| Step::Bind {
                    source: Source::Host(path.into()),
                    target: path.into(),
                    attributes: Attributes::NONE,
                }),
        );
        plan.extend(LINKS.map(|(path, to)| Step::Symlink {
            path: path.into(),
            to: to.into(),
        }));
        let listed = linux
            .and_then(|linux| linux.devices().clone())
            .unwrap_or_default();
        for (at, device) in listed.iter().enumerate() {
            if device.typ().as_str() != "c" {
                return Err(unsupported(
                    &format!("linux.devices[{at}].type"),
                    device.typ().as_str(),
                ));
            }
            let path = device.path().clone();
            let mode = device.file_mode().unwrap_or(0o666) & 0o7777;
            let (major, minor) = (device.major() as u32, device.minor() as u32);
            plan.push(Step::Device {
                path: path.clone(),
                mode,
                major,
                minor,
            });
            if let (uid, gid @ Some(_)) | (uid @ Some(_), gid) = (device.uid(), device.gid()) {
                let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
                plan.push(Step::Owner {
                    path,
                    uid,
                    gid,
                    mode,
                });
            }
        }
        Ok(())
    }

    fn process_of(&self) -> Result<&Process> {
        let process = self.spec.process().as_ref();
        process.ok_or_else(|| unsupported("process", "a container without one"))
    }

    fn process(&self, plan: &mut Plan, users: Option<&IdMaps>) -> Result<()> {
        let process = self.process_of()?;
        for (at, limit) in process.rlimits().iter().flatten().enumerate() {
            plan.push(rlimit(at, limit)?);
        }
        if process.terminal() == Some(true) {
            plan.push(terminal(process));
        }
        plan.push(Step::Chdir(process.cwd().clone()));
        plan.push(Step::Umask(process.user().umask().unwrap_or(0o022)));
        let labels = process.apparmor_profile().clone().map(Step::AppArmor);
        plan.extend(
            labels
                .into_iter()
                .chain(process.selinux_label().clone().map(Step::SeLinux)),
        );
        plan.drop_to(&self.credentials(process, users)?);
        let args = process.args().clone().unwrap_or_default();
        plan.execute(args, process.env().clone().unwrap_or_default())?;
        Ok(())
    }

    fn credentials(&self, process: &Process, users: Option<&IdMaps>) -> Result<Credentials> {
        let sets = process.capabilities().as_ref();
        let bits = |names: Option<&oci_spec::runtime::Capabilities>| {
            let mut all = 0;
            for name in names.into_iter().flatten() {
                all |= Capabilities::named(&name.to_string())?.bits();
            }
            Ok::<_, Error>(CapabilityBits(all))
        };
        let effective = bits(sets.and_then(|sets| sets.effective().as_ref()))?;
        let permitted = bits(sets.and_then(|sets| sets.permitted().as_ref()))?;
        if effective != permitted {
            let text = "a set other than the permitted one";
            return Err(unsupported("process.capabilities.effective", text));
        }
        let groups = process.user().additional_gids().clone().unwrap_or_default();
        let denied = users.is_some_and(IdMaps::denies_groups);
        if denied && !groups.is_empty() {
            return Err(unsupported(
                "process.user.additionalGids",
                format!("{groups:?}"),
            ));
        }
        Ok(Credentials {
            uid: process.user().uid(),
            gid: process.user().gid(),
            groups: (!denied).then_some(groups),
            bounding: bits(sets.and_then(|sets| sets.bounding().as_ref()))?,
            permitted,
            inheritable: bits(sets.and_then(|sets| sets.inheritable().as_ref()))?,
            ambient: bits(sets.and_then(|sets| sets.ambient().as_ref()))?,
            no_new_privileges: process.no_new_privileges() == Some(true),
            seccomp: self.filter()?,
        })
    }

    fn filter(&self) -> Result<Option<Filter>> {
        let linux = self.spec.linux().as_ref();
        let Some(seccomp) = linux.and_then(|linux| linux.seccomp().as_ref()) else {
            return Ok(None);
        };
        let wrong = |why| Error::caused(Kind::Invalid, "import the field linux.seccomp", why);
        let profile = Profile::from_oci(&serde_json::to_vec(seccomp).map_err(wrong)?)?;
        Filter::try_from(profile).map(Some)
    }
}

/// The namespace at a path, of the kind that is said.
fn there(at: usize, kind: Namespaces, path: &Path) -> Result<Namespace> {
    let field = format!("linux.namespaces[{at}].path");
    let can_be = Namespaces::NET | Namespaces::IPC | Namespaces::UTS | Namespaces::PID;
    let opened = Namespace::open(path)
        .map_err(|why| Error::caused(why.kind(), format!("import the field {field}"), why))?;
    match can_be.within(kind).has(opened.kind()) {
        true => Ok(opened),
        false => Err(unsupported(&field, path.display())),
    }
}

fn terminal(process: &Process) -> Step {
    let size = process.console_size();
    let cells = |count: Option<u64>| count.and_then(|count| count.try_into().ok()).unwrap_or(0);
    Step::Terminal {
        rows: cells(size.map(|size| size.height())),
        columns: cells(size.map(|size| size.width())),
        uid: process.user().uid(),
    }
}

/// Words of `mount(8)` that are no option of a file system, and that podlife has no attribute for.
fn is_flag(option: &str) -> bool {
    let flags = [
        "strictatime",
        "noatime",
        "nodiratime",
        "sync",
        "dirsync",
        "mand",
        "remount",
        "private",
        "rprivate",
        "slave",
        "rslave",
        "shared",
        "rshared",
        "unbindable",
        "runbindable",
        "idmap",
        "ridmap",
        "tmpcopyup",
        "rro",
        "nosymfollow",
    ];
    flags.contains(&option)
}

fn rlimit(at: usize, limit: &PosixRlimit) -> Result<Step> {
    let resource: Resource = limit.typ().to_string().parse().map_err(|why| {
        Error::caused(
            Kind::Unsupported,
            format!("import the field process.rlimits[{at}].type"),
            why,
        )
    })?;
    let wrong = |why| {
        let field = format!("import the field process.rlimits[{at}]");
        Error::caused(Kind::Invalid, field, why)
    };
    Rlimit::new(resource, limit.soft(), limit.hard())
        .map(Step::Rlimit)
        .map_err(wrong)
}

fn ids(maps: Option<Vec<LinuxIdMapping>>) -> Vec<IdMap> {
    let map = |map: LinuxIdMapping| IdMap {
        inside: map.container_id(),
        outside: map.host_id(),
        count: map.size(),
    };
    maps.unwrap_or_default().into_iter().map(map).collect()
}
