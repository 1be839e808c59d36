//! Who a container's processes are, and what they may do.

use super::account::Accounts;
use super::{Ground, Lowering, config_error};
use crate::lifecycle::Failure;
use crate::linux::Capabilities;
use crate::linux::pause::plan::{CapabilityBits, Credentials, Filter, Step};
use crate::linux::user::IdMaps;
use crate::model::{AppArmorProfileType, Pod, SeLinuxOptions, SupplementalGroupsPolicy};
use crate::node::session::ExecUser;

/// User, groups, capabilities and confinement of a container.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    uid: u32,
    gid: u32,
    groups: Option<Vec<u32>>,
    home: String,
    capabilities: Capabilities,
    ambient: Capabilities,
    no_new_privileges: bool,
    filter: Option<Filter>,
    labels: Vec<Step>,
}

impl Identity {
    pub(crate) fn of(container: &Lowering<'_>) -> Result<Identity, Failure> {
        let Lowering {
            pod, spec, ground, ..
        } = container;
        let own = spec.security_context.clone().unwrap_or_default();
        let whole = pod.spec.security_context.clone().unwrap_or_default();
        let accounts = Accounts::of(&container.rootfs.base);
        let given = own.run_as_user.or(whole.run_as_user);
        let uid = id("runAsUser", given)?.unwrap_or(0);
        let gid = id("runAsGroup", own.run_as_group.or(whole.run_as_group))?
            .or(accounts.group(uid))
            .unwrap_or(0);
        if own.run_as_non_root.or(whole.run_as_non_root) == Some(true) && uid == 0 {
            return Err(config_error(runs_as_root(pod, &spec.name, given)));
        }
        let (capabilities, ambient) = container.capabilities(uid)?;
        let home = match accounts.home(uid) {
            Some(home) => home,
            None if uid == 0 => "/root",
            None => "/",
        };
        Ok(Identity {
            uid,
            gid,
            groups: container.groups(&accounts, uid, gid, ground.users.as_ref())?,
            home: home.to_owned(),
            capabilities,
            ambient,
            no_new_privileges: own.allow_privilege_escalation == Some(false),
            filter: container.filter(capabilities)?,
            labels: container.labels()?,
        })
    }

    /// The same as another user, who has no groups beside its own.
    pub(crate) fn becoming(self, user: ExecUser, ground: &Ground) -> Result<Identity, Failure> {
        let ExecUser { uid, gid } = user;
        if let Some(users) = &ground.users {
            can_be_had(users, uid, gid, &[])?;
        }
        Ok(Identity {
            uid,
            gid,
            groups: self.groups.map(|_| Vec::new()),
            ..self
        })
    }

    /// What `HOME` is unless the image or the container says otherwise.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// The labels that the container's program gets from security modules.
    pub(crate) fn labels(&self) -> impl Iterator<Item = Step> {
        self.labels.clone().into_iter()
    }

    /// A program that another user than 0 executes keeps no capabilities but the ambient ones, as with every runtime.
    pub(crate) fn credentials(&self) -> Credentials {
        let bits = |set: Capabilities| CapabilityBits(set.bits());
        Credentials {
            uid: self.uid,
            gid: self.gid,
            groups: self.groups.clone(),
            bounding: bits(self.capabilities),
            permitted: bits(self.capabilities),
            inheritable: bits(self.ambient),
            ambient: bits(self.ambient),
            no_new_privileges: self.no_new_privileges,
            seccomp: self.filter.clone(),
        }
    }
}

impl Lowering<'_> {
    /// Those of the manifest, and with the policy Merge those that the image puts the user into. `None`: a user namespace
    /// without such groups.
    fn groups(
        &self,
        accounts: &Accounts,
        uid: u32,
        gid: u32,
        users: Option<&IdMaps>,
    ) -> Result<Option<Vec<u32>>, Failure> {
        let whole = self.pod.spec.security_context.clone().unwrap_or_default();
        let named = whole
            .supplemental_groups
            .iter()
            .copied()
            .chain(whole.fs_group);
        let named = named.map(|group| Ok(id("group", Some(group))?.unwrap_or(0)));
        let mut groups = named.collect::<Result<Vec<_>, Failure>>()?;
        if let Some(users) = users {
            can_be_had(users, uid, gid, &groups)?;
        }
        if whole.supplemental_groups_policy != Some(SupplementalGroupsPolicy::Strict) {
            let mapped =
                |group: &u32| users.is_none_or(|users| users.missing_gid(*group).is_none());
            groups.extend(accounts.groups(uid).into_iter().filter(mapped));
        }
        let denied = users.is_some_and(IdMaps::denies_groups);
        Ok((!denied).then_some(groups))
    }

    /// What it may use, and what of it a program keeps that is not root's. Kubernetes gives no ambient capabilities; the
    /// option `ambientCapabilities` gives those that the manifest adds.
    fn capabilities(&self, uid: u32) -> Result<(Capabilities, Capabilities), Failure> {
        let wrong = |error: crate::Error| config_error(error.to_string());
        if self.privileged() {
            return Ok((
                Capabilities::supported().map_err(wrong)?,
                Capabilities::NONE,
            ));
        }
        let context = self.spec.security_context.as_ref();
        let changes = context.and_then(|context| context.capabilities.clone());
        let changes = changes.unwrap_or_default();
        let adjusted = |base: Capabilities| {
            let (add, drop) = (changes.add.iter(), changes.drop.iter());
            base.adjusted(add.map(String::as_str), drop.map(String::as_str))
        };
        let set = adjusted(Capabilities::CONTAINER).map_err(wrong)?;
        let ambient = match self.options.ambient_capabilities && uid != 0 {
            true => adjusted(Capabilities::NONE).map_err(wrong)?,
            false => Capabilities::NONE,
        };
        Ok((set, ambient))
    }

    /// The AppArmor profile and the SELinux label. That the host has AppArmor was asked when the pod was taken on; without
    /// SELinux its options have no effect, as with the kubelet.
    fn labels(&self) -> Result<Vec<Step>, Failure> {
        let own = self.spec.security_context.as_ref();
        let whole = self.pod.spec.security_context.as_ref();
        let mut labels = Vec::new();
        let profile = own.and_then(|context| context.app_armor_profile.as_ref());
        let profile = profile.or(whole.and_then(|context| context.app_armor_profile.as_ref()));
        match profile.map(|profile| (&profile.type_, &profile.localhost_profile)) {
            Some((Some(AppArmorProfileType::Localhost), Some(name))) => {
                labels.push(Step::AppArmor(name.clone()));
            }
            Some((Some(AppArmorProfileType::RuntimeDefault), _)) if !self.privileged() => {
                let name = self.ground.modules.apparmor_default.clone();
                labels.push(Step::AppArmor(name.ok_or_else(|| {
                    config_error(
                        "the AppArmor profile RuntimeDefault is none here: load one and name it with \
                         NodeOptions::apparmor_default, or use the type Localhost",
                    )
                })?));
            }
            _ => {}
        }
        let options = own.and_then(|context| context.se_linux_options.as_ref());
        let options = options.or(whole.and_then(|context| context.se_linux_options.as_ref()));
        if let Some(options) = options.filter(|_| self.ground.modules.selinux) {
            labels.push(Step::SeLinux(label(options)));
        }
        Ok(labels)
    }
}

/// Ids of the manifest that do not exist in the pod's user namespace are told before anything is started.
fn can_be_had(users: &IdMaps, uid: u32, gid: u32, groups: &[u32]) -> Result<(), Failure> {
    let missing = users
        .missing_uid(uid)
        .or_else(|| users.missing_gid(gid))
        .or_else(|| groups.iter().find_map(|group| users.missing_gid(*group)))
        .or_else(|| {
            let denied = users.denies_groups() && !groups.is_empty();
            denied
                .then(|| "there are no supplementary groups in a user namespace with one id".into())
        });
    match missing {
        None => Ok(()),
        Some(why) => Err(config_error(why)),
    }
}

/// A whole label; what is not said is what container runtimes use.
fn label(options: &SeLinuxOptions) -> String {
    let part = |given: &Option<String>, usual: &str| {
        let given = given.as_deref().filter(|part| !part.is_empty());
        given.unwrap_or(usual).to_owned()
    };
    [
        part(&options.user, "system_u"),
        part(&options.role, "system_r"),
        part(&options.type_, "container_t"),
        part(&options.level, "s0"),
    ]
    .join(":")
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
