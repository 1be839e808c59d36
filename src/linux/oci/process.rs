//! What a plan does to a process, and the `config.json` of all of it.

use std::ffi::CString;

use serde_json::{Map, Value, json};

use super::export::Export;
use super::{clocks, devices, resources};
use crate::linux::Capabilities;
use crate::linux::namespace::{NamespaceKind, Namespaces};
use crate::linux::pause::plan::{CapabilityBits, Step};
use crate::linux::rlimit::Rlimit;
use crate::linux::user::IdMap;
use crate::{Error, Kind, Result};

impl Export<'_> {
    pub(super) fn process(&mut self, step: &Step) -> Result<()> {
        let mut put = |name: &str, value: Value| drop(self.process.insert(name.into(), value));
        match step {
            Step::Chdir(path) => put("cwd", json!(path)),
            Step::OomScoreAdj { score, .. } => put("oomScoreAdj", json!(score)),
            Step::NoNewPrivileges => put("noNewPrivileges", json!(true)),
            Step::Terminal { rows, columns, .. } => {
                put("terminal", json!(true));
                put("consoleSize", json!({ "height": rows, "width": columns }));
            }
            Step::AppArmor(profile) => put("apparmorProfile", json!(profile)),
            Step::SeLinux(label) => put("selinuxLabel", json!(label)),
            Step::Exec { argv, env, .. } => {
                put("args", json!(texts(argv)?));
                put("env", json!(texts(env)?));
            }
            Step::Umask(mask) => drop(self.user.insert("umask".into(), json!(mask))),
            Step::Groups(groups) => drop(self.user.insert("additionalGids".into(), json!(groups))),
            Step::Gid(gid) => drop(self.user.insert("gid".into(), json!(gid))),
            Step::Uid(uid) => drop(self.user.insert("uid".into(), json!(uid))),
            Step::Rlimit(Rlimit {
                resource,
                soft,
                hard,
            }) => {
                let name = resource.to_string();
                self.rlimits
                    .push(json!({ "type": name, "soft": soft, "hard": hard }));
            }
            Step::Bounding(set) => self.capability("bounding", *set),
            Step::Ambient(set) => self.capability("ambient", *set),
            Step::Capabilities {
                permitted,
                effective,
                inheritable,
            } => {
                self.capability("permitted", *permitted);
                self.capability("effective", *effective);
                self.capability("inheritable", *inheritable);
            }
            Step::Nice(0) => {}
            Step::Seccomp(filter) => {
                let (document, changed) = filter.profile().to_oci();
                self.linux.insert("seccomp".into(), document);
                if !changed.is_empty() {
                    let what = format!("{step}: {}", changed.join(", "));
                    self.differs(what, "a bundle has no order of rules; the strictest holds");
                }
            }
            other => self.differs(other, "a bundle has no place for it"),
        }
        Ok(())
    }

    fn capability(&mut self, set: &str, bits: CapabilityBits) {
        let names = Capabilities::from_bits(bits.0).to_string();
        let names: Vec<_> = names
            .split([' ', ','])
            .filter(|name| name.starts_with("CAP_"))
            .collect();
        self.capabilities.insert(set.into(), json!(names));
    }

    pub(super) fn config(&mut self) -> Value {
        let take = std::mem::take::<Map<String, Value>>;
        let mut process = take(&mut self.process);
        process.insert("user".into(), self.user_of_process());
        process.insert("capabilities".into(), take(&mut self.capabilities).into());
        process.insert("rlimits".into(), json!(self.rlimits));
        let mut linux = take(&mut self.linux);
        linux.insert("namespaces".into(), self.namespaces());
        linux.insert("maskedPaths".into(), json!(self.masked));
        linux.insert("readonlyPaths".into(), json!(self.read_only));
        linux.insert("sysctl".into(), take(&mut self.sysctl).into());
        let (mut resources, unsaid) = resources::export(&self.bundle.limits);
        for limit in unsaid {
            self.differs(
                limit,
                "runtimes write it at once, and the kernel takes it line by line",
            );
        }
        resources["devices"] = devices::export(&self.bundle.devices);
        linux.insert("resources".into(), resources);
        if let Some(offsets) = clocks::export(&self.bundle.set_up) {
            linux.insert("timeOffsets".into(), offsets);
        }
        if let Some(users) = &self.bundle.users {
            linux.insert("uidMappings".into(), mappings(users.uids()));
            linux.insert("gidMappings".into(), mappings(users.gids()));
        }
        let mut config = take(&mut self.names);
        config.insert("ociVersion".into(), json!("1.0.2"));
        config.insert("process".into(), process.into());
        config.insert("root".into(), self.root.take());
        config.insert("mounts".into(), json!(self.mounts));
        config.insert("linux".into(), linux.into());
        config.into()
    }

    fn user_of_process(&mut self) -> Value {
        let mut user = std::mem::take(&mut self.user);
        for id in ["uid", "gid"] {
            user.entry(id).or_insert(json!(0));
        }
        user.into()
    }

    fn namespaces(&self) -> Value {
        let mut all = self.bundle.namespaces | self.bundle.container.namespaces();
        if self.cgroup_namespace {
            all = all | Namespaces::CGROUP;
        }
        if self.bundle.users.is_some() {
            all = all | Namespaces::USER;
        }
        if clocks::export(&self.bundle.set_up).is_some() {
            all = all | Namespaces::TIME;
        }
        let kinds = NamespaceKind::ALL
            .into_iter()
            .filter(|kind| all.bits() & kind.flag() != 0);
        kinds.map(|kind| json!({ "type": name_of(kind) })).collect()
    }
}

/// As the specification names them.
pub(super) fn name_of(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Mount => "mount",
        NamespaceKind::Net => "network",
        other => other.file(),
    }
}

fn texts(words: &[CString]) -> Result<Vec<&str>> {
    let mut all = Vec::new();
    for word in words {
        let text = word.to_str().map_err(|why| {
            let attempt = format!("write the word {word:?} to a config.json");
            Error::caused(Kind::Invalid, attempt, why)
        });
        all.push(text?);
    }
    Ok(all)
}

fn mappings(maps: &[IdMap]) -> Value {
    let entry = |map: &IdMap| json!({ "containerID": map.inside, "hostID": map.outside, "size": map.count });
    maps.iter().map(entry).collect()
}
