//! Manifests as plans: what a container needs, compiled into steps before anything is done.

mod account;
mod environment;
mod identity;
pub(crate) mod limits;
mod root;
pub(crate) mod sandbox;
pub(crate) mod seccomp;
mod volume;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lifecycle::Failure;
use crate::linux::pause::Plan;
use crate::linux::pause::plan::{Namespaces, Propagation, Step};
use crate::linux::user::IdMaps;
use crate::model::ResourceList;
use crate::model::environment::Environment;
use crate::model::objects::ObjectMap;
use crate::model::oom_score::oom_score_adj;
use crate::model::{Container, Pod, PodOptions};
use crate::node::rootfs::Rootfs;
use crate::node::session::{ExecUser, TerminalSize};
use crate::{Error, Result};
use identity::Identity;
use sandbox::Pids;

/// What of the host a pod stands on.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// Where pause mounts a tmpfs of its own, in its own mount namespace: a directory of the host that nothing needs.
    pub(crate) scratch: PathBuf,
    /// Where emptyDir volumes are on disk; otherwise they are in that tmpfs.
    pub(crate) volumes: Option<PathBuf>,
    /// The ids of the pod's user namespace. `None`: it is the host's.
    pub(crate) users: Option<IdMaps>,
    /// They are its own, so the host's files must be shown in it with other owners than they have.
    pub(crate) separate: bool,
    /// Why a container cannot have a `/proc` of its own, if it cannot.
    pub(crate) hidden_proc: Option<Arc<str>>,
    /// Which system calls containers may make.
    pub(crate) seccomp: seccomp::Profiles,
    /// What labels there are.
    pub(crate) modules: SecurityModules,
    /// There is a cgroup to show.
    pub(crate) cgroups: bool,
    /// Bytes of memory.
    pub(crate) memory: u64,
}

/// What a host has of the security modules that label processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecurityModules {
    /// The profile that AppArmor's `RuntimeDefault` is.
    pub(crate) apparmor_default: Option<String>,
    /// SELinux is switched on.
    pub(crate) selinux: bool,
}

impl Ground {
    /// What all containers of the pod see as `/dev/shm`.
    pub(crate) fn shared_memory(&self) -> PathBuf {
        self.scratch.join("shm")
    }

    /// A file of the pod that every container sees in `/etc`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.join("etc").join(name)
    }

    /// Where what a container changes in its root is kept, as long as it runs.
    pub(crate) fn changes(&self) -> PathBuf {
        self.scratch.join("changes")
    }
}

/// Directories that exist on every Linux, and that no container needs to see.
pub(crate) fn scratch() -> Result<PathBuf> {
    let candidates = [
        "/sys/firmware",
        "/sys/power",
        "/mnt",
        "/media",
        "/srv",
        "/opt",
    ];
    let found = candidates.iter().map(Path::new).find(|path| path.is_dir());
    found.map(Path::to_owned).ok_or_else(|| {
        let attempt = "find a place for the pods' own files";
        Error::new(
            crate::Kind::Unsupported,
            attempt,
            format!("none of {candidates:?} is a directory"),
        )
        .cure("mount /sys")
    })
}

/// A program to run in a container beside its own.
#[derive(Debug, Default)]
pub(crate) struct Inside<'a> {
    pub(crate) argv: &'a [String],
    /// Over the container's.
    pub(crate) env: &'a [(String, String)],
    /// In place of the container's.
    pub(crate) directory: Option<&'a str>,
    /// In place of the container's.
    pub(crate) user: Option<ExecUser>,
    pub(crate) terminal: Option<TerminalSize>,
    /// See [`Step::Subreaper`].
    pub(crate) subreaper: bool,
}

/// What a plan ends with.
struct Last<'a> {
    argv: Vec<String>,
    directory: Option<&'a str>,
    terminal: Option<TerminalSize>,
}

/// What every runtime says of a terminal, unless the container says otherwise.
fn with_terminal(environment: &mut Environment) {
    let term = environment.entry("TERM".to_owned());
    term.or_insert_with(|| "xterm".to_owned());
}

fn is_privileged(container: &Container) -> bool {
    let context = container.security_context.as_ref();
    context.is_some_and(|context| context.privileged == Some(true))
}

/// A container, with all that its plan is made of.
#[derive(Debug)]
pub(crate) struct Lowering<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) spec: &'a Container,
    pub(crate) rootfs: &'a Rootfs,
    pub(crate) ground: &'a Ground,
    /// The ConfigMaps and Secrets of the pod's namespace.
    pub(crate) objects: &'a ObjectMap,
    /// What the node can give to pods.
    pub(crate) allocatable: &'a ResourceList,
    pub(crate) options: &'a PodOptions,
    /// The number of the container's attempt.
    pub(crate) attempt: u32,
    /// What its start has settled, if that is known.
    pub(crate) settled: Option<&'a Settled>,
}

/// What the start of a container settles for all that runs in it later: objects and the image's accounts may have changed since.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    identity: Identity,
    /// What the manifest says.
    environment: Environment,
    /// Nothing yet, in the container's namespaces.
    inside: Plan,
}

impl Lowering<'_> {
    /// The plan of the container's own process, and what it settles.
    pub(crate) fn container(&self) -> Result<(Plan, Settled), Failure> {
        let identity = Identity::of(self)?;
        let own = self.own_environment()?;
        let mut environment = self.environment(identity.home(), own.clone());
        let argv = self.argv(&environment)?;
        let terminal = (self.spec.tty == Some(true)).then(TerminalSize::default);
        if terminal.is_some() {
            with_terminal(&mut environment);
        }
        let mut plan = match Pids::of(self.pod) {
            Pids::Own => Plan::new(Namespaces::MOUNT | Namespaces::PID),
            Pids::Shared => Plan::new(Namespaces::MOUNT).joining(Namespaces::PID),
            Pids::Host => Plan::new(Namespaces::MOUNT),
        };
        plan.push(self.score());
        plan.push(Step::Propagation("/".into(), Propagation::Slave));
        root::push(&mut plan, self)?;
        self.finish(
            &mut plan,
            &identity,
            &environment,
            Last {
                argv,
                directory: self.directory(),
                terminal,
            },
        )
        .map_err(create_error)?;
        let settled = Settled {
            identity,
            environment: own,
            inside: Plan::inside(&plan),
        };
        Ok((plan, settled))
    }

    /// The plan of another process in the same container.
    pub(crate) fn inside(&self, program: &Inside<'_>) -> Result<Plan, Failure> {
        let Settled {
            mut identity,
            environment,
            inside: mut plan,
        } = match self.settled {
            Some(settled) => settled.clone(),
            None => self.container()?.1,
        };
        if let Some(user) = program.user {
            identity = identity.becoming(user, self.ground)?;
        }
        let mut environment = self.environment(identity.home(), environment);
        if program.terminal.is_some() {
            with_terminal(&mut environment);
        }
        environment.extend(program.env.iter().cloned());
        plan.push(self.score());
        if program.subreaper {
            plan.push(Step::Subreaper);
        }
        let directory = program.directory.or(self.directory());
        self.finish(
            &mut plan,
            &identity,
            &environment,
            Last {
                argv: program.argv.to_vec(),
                directory,
                terminal: program.terminal,
            },
        )
        .map_err(create_error)?;
        Ok(plan)
    }

    /// Not pause's: nothing in the pod shall outlast the others as that does.
    fn score(&self) -> Step {
        Step::OomScoreAdj {
            score: oom_score_adj(&self.pod.spec, self.spec, self.ground.memory),
            required: false,
        }
    }

    fn directory(&self) -> Option<&str> {
        let directory = self.spec.working_dir.as_deref();
        directory.filter(|directory| !directory.is_empty())
    }

    fn finish(
        &self,
        plan: &mut Plan,
        identity: &Identity,
        environment: &Environment,
        last: Last<'_>,
    ) -> Result<()> {
        if let Some(TerminalSize { rows, columns }) = last.terminal {
            let uid = identity.credentials().uid;
            plan.push(Step::Terminal { rows, columns, uid });
        }
        plan.push(Step::Chdir(last.directory.unwrap_or("/").into()));
        plan.push(Step::Umask(0o022));
        limits::process(plan, self.ground.users.is_some());
        plan.extend(identity.labels());
        plan.drop_to(&identity.credentials());
        let words = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        plan.execute(last.argv, words)?;
        Ok(())
    }
}

/// The manifest cannot be met as it is: `CreateContainerConfigError`.
pub(crate) fn config_error(why: impl Into<String>) -> Failure {
    Failure::new("CreateContainerConfigError", why.into())
}

/// The container cannot be made: `CreateContainerError`.
pub(crate) fn create_error(error: Error) -> Failure {
    Failure::new("CreateContainerError", error.to_string())
}
