//! What a process of a pod does before it is the container: typed steps, printable, compiled to the flat form that
//! pause's child walks.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::compile::compile;
use super::cure;
use super::flat::{HEADER_SIZE, Header, NO_HANDLE, PLAN_SIZE_MAX};
use super::wire::{Carried, DESCRIPTORS_MAX, Failure};
use crate::{Error, Kind, Result};

pub use super::step::{Attributes, CapabilityBits, Handle, Propagation, Source, Step};
pub use crate::linux::namespace::Namespaces;
pub use crate::linux::seccomp::Filter;

/// Steps in order, the namespaces they run in, and the descriptors they need.
///
/// Its [`Display`](fmt::Display) has one line a step: what a dry run shows.
///
/// ```
/// use podlife::linux::pause::plan::{Namespaces, Plan, Step};
/// use podlife::linux::pause::Failure;
///
/// let mut plan = Plan::new(Namespaces::MOUNT | Namespaces::PID);
/// plan.push(Step::Hostname("web-0".into()));
/// plan.execute(["/bin/sh", "-c", "exit 3"], ["PATH=/bin"])?;
/// assert_eq!(
///     plan.to_string(),
///     "new namespaces: mount pid\n0: set the host name to web-0\n1: execute /bin/sh -c exit 3\n",
/// );
/// let error = plan.explain(Failure { step: 1, errno: 2 });
/// assert_eq!(error.to_string(), "could not execute /bin/sh -c exit 3: No such file or directory (errno 2); \
///     correct the command, or PATH: the image has no such program");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Plan {
    new: Namespaces,
    join: Namespaces,
    steps: Vec<Step>,
    handles: Vec<Arc<OwnedFd>>,
    /// Which step's mount is which of them.
    made: Vec<(usize, Handle)>,
}

/// What a process may do in the end; [`Plan::drop_to`] brings it into the order that the kernel needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups; `None` leaves pause's, which is all a single-id user namespace allows.
    pub groups: Option<Vec<u32>>,
    /// The bounding set.
    pub bounding: CapabilityBits,
    /// Permitted and effective. A program executed by another user than 0 keeps only `ambient`.
    pub permitted: CapabilityBits,
    /// Inheritable.
    pub inheritable: CapabilityBits,
    /// Ambient; within `permitted` and `inheritable`.
    pub ambient: CapabilityBits,
    /// `allowPrivilegeEscalation: false`.
    pub no_new_privileges: bool,
    /// Which system calls it may make.
    pub seccomp: Option<Filter>,
}

impl Plan {
    /// An empty plan for a process with these namespaces of its own; all others it shares with pause.
    pub fn new(namespaces: Namespaces) -> Plan {
        Plan {
            new: namespaces,
            ..Plan::default()
        }
    }

    /// Takes these namespaces over from the process that the start names as its target.
    #[must_use]
    pub fn joining(mut self, namespaces: Namespaces) -> Plan {
        self.join = namespaces;
        self
    }

    /// Takes one of the namespaces that would be its own over from the process that the start names as its target.
    #[must_use]
    pub fn sharing(mut self, namespaces: Namespaces) -> Plan {
        self.new = self.new.without(namespaces);
        self.join = self.join | namespaces;
        self
    }

    /// A plan for a process inside a running container, whose plan was `container`: its namespaces and no new one.
    pub fn inside(container: &Plan) -> Plan {
        let own_cgroup = container.steps.contains(&Step::CgroupNamespace);
        let cgroup = if own_cgroup {
            Namespaces::CGROUP
        } else {
            Namespaces::NONE
        };
        Plan::default().joining(container.new | container.join | cgroup)
    }

    /// Adds a step.
    pub fn push(&mut self, step: Step) -> &mut Plan {
        self.steps.push(step);
        self
    }

    /// Adds steps.
    pub fn extend(&mut self, steps: impl IntoIterator<Item = Step>) -> &mut Plan {
        self.steps.extend(steps);
        self
    }

    /// Keeps a descriptor that a step needs, and travels with every start of this plan.
    pub fn hand_over(&mut self, fd: impl Into<Arc<OwnedFd>>) -> Handle {
        self.handles.push(fd.into());
        Handle(u16::try_from(self.handles.len() - 1).unwrap_or(NO_HANDLE))
    }

    /// The mount that a step asks for, made already: one that is detached (`open_tree(OPEN_TREE_CLONE)`, `fsmount`), and has its
    /// attributes. It can be attached once. For what is not pause's to make; as root only.
    pub fn made(&mut self, step: usize, mount: impl Into<Arc<OwnedFd>>) -> &mut Plan {
        let handle = self.hand_over(mount);
        self.made.push((step, handle));
        self
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The namespaces of its own.
    pub fn namespaces(&self) -> Namespaces {
        self.new
    }

    /// The namespaces taken over from a target.
    pub fn joined(&self) -> Namespaces {
        self.join
    }

    /// The last step: executes `argv`, found as a shell would in the `PATH` of `env` (the usual one if it has none).
    ///
    /// # Errors
    /// [`Kind::Invalid`] if there is no program, or a NUL in it.
    pub fn execute<A, E>(
        &mut self,
        argv: impl IntoIterator<Item = A>,
        env: impl IntoIterator<Item = E>,
    ) -> Result<&mut Plan>
    where
        A: Into<Vec<u8>>,
        E: Into<Vec<u8>>,
    {
        let argv = argv
            .into_iter()
            .map(|word| string("argument", word))
            .collect::<Result<Vec<_>>>()?;
        let env = env
            .into_iter()
            .map(|word| string("environment variable", word))
            .collect::<Result<Vec<_>>>()?;
        let program = argv
            .first()
            .filter(|program| !program.is_empty())
            .ok_or_else(|| {
                Error::new(Kind::Invalid, "execute a program", "the command is empty")
            })?;
        let candidates = candidates(program, &env)?;
        self.steps.push(Step::Exec {
            candidates,
            argv,
            env,
        });
        Ok(self)
    }

    /// Adds what brings the process down to `credentials`, in the order that works with every combination.
    ///
    /// Without `no_new_privileges` a filter needs CAP_SYS_ADMIN and must then permit `capset` and what follows; with it,
    /// the filter comes last.
    pub fn drop_to(&mut self, credentials: &Credentials) -> &mut Plan {
        const SYS_ADMIN: u64 = 1 << 21;
        let capabilities = |more: u64| Step::Capabilities {
            permitted: CapabilityBits(credentials.permitted.0 | more),
            effective: CapabilityBits(credentials.permitted.0 | more),
            inheritable: credentials.inheritable,
        };
        let filter = credentials.seccomp.clone().map(Step::Seccomp);
        self.push(Step::Bounding(credentials.bounding));
        self.extend(credentials.groups.clone().map(Step::Groups));
        self.push(Step::Gid(credentials.gid))
            .push(Step::Uid(credentials.uid));
        match filter {
            Some(filter) if !credentials.no_new_privileges => {
                self.push(capabilities(SYS_ADMIN))
                    .push(filter)
                    .push(capabilities(0));
                self.push(Step::Ambient(credentials.ambient))
            }
            filter => {
                self.push(capabilities(0))
                    .push(Step::Ambient(credentials.ambient));
                self.extend(
                    credentials
                        .no_new_privileges
                        .then_some(Step::NoNewPrivileges),
                )
                .extend(filter)
            }
        }
    }

    /// Why a start of this plan failed: the step's own sentence, with the kernel's answer.
    pub fn explain(&self, failure: Failure) -> Error {
        let attempt = match failure.step {
            Failure::CLONE if self.new == Namespaces::NONE => "make a process".into(),
            Failure::CLONE => format!("make a process with new namespaces:{}", self.new),
            Failure::JOIN => format!("join the container's namespaces:{}", self.join),
            Failure::CGROUP => "enter the cgroup".into(),
            Failure::STREAMS => "arrange the standard streams".into(),
            Failure::PLAN => "read the plan".into(),
            Failure::DIED => {
                return Error::new(
                    Kind::Os,
                    "prepare the container",
                    "its process was killed before it ran its program",
                );
            }
            Failure::ENTRY => "take on another process of the pod".into(),
            Failure::PAUSE => "set up the pod's pause process".into(),
            step => match self.steps.get(step as usize) {
                Some(step) => {
                    let error = Error::os(step.to_string(), failure.errno);
                    return cure::with(error, cure::of_step(step, failure.errno));
                }
                None => format!("do step {step} of a plan that has {}", self.steps.len()),
            },
        };
        let error = Error::os(attempt, failure.errno);
        cure::with(error, cure::of_start(failure.step, failure.errno))
    }

    pub(crate) fn handles(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.handles.iter().map(|handle| handle.as_fd())
    }

    /// The flat form.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a NUL in a path, [`Kind::Exhausted`] for more than 4 MiB or too many handles.
    pub fn encode(&self) -> Result<Vec<u8>> {
        if self.handles.len() > DESCRIPTORS_MAX - Carried(0xff).count() {
            let why = format!("it hands over {} descriptors", self.handles.len());
            return Err(Error::new(Kind::Exhausted, "compile a plan", why));
        }
        let mut bytes = vec![0; HEADER_SIZE];
        for (number, step) in self.steps.iter().enumerate() {
            let made = self.made.iter().find(|(at, _)| *at == number);
            if made.is_none() && step.is_mapped() {
                let why = "nobody has made its mount";
                return Err(Error::new(Kind::Invalid, step.to_string(), why));
            }
            compile(step, |record| {
                let record = match made {
                    Some((_, handle)) => record.attaching(handle.0),
                    None => *record,
                };
                record.encode(|piece| bytes.extend_from_slice(piece));
            })?;
        }
        if bytes.len() > PLAN_SIZE_MAX {
            let why = format!(
                "it is {} bytes long, {PLAN_SIZE_MAX} is the most",
                bytes.len()
            );
            return Err(Error::new(Kind::Exhausted, "compile a plan", why));
        }
        let header = Header {
            new: self.new.bits(),
            join: self.join.bits(),
            steps: self.steps.len() as u32,
            handles: self.handles.len() as u32,
            size: bytes.len() as u32,
        };
        bytes[..HEADER_SIZE].copy_from_slice(&header.encode());
        Ok(bytes)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.new != Namespaces::NONE {
            writeln!(f, "new namespaces:{}", self.new)?;
        }
        if self.join != Namespaces::NONE {
            writeln!(f, "joined namespaces:{}", self.join)?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{index}: {step}")?;
        }
        Ok(())
    }
}

fn string(what: &str, bytes: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&error.into_vec()).replace('\0', "\\0");
        Error::new(
            Kind::Invalid,
            format!("pass the {what} {text:?}"),
            "it has a NUL byte in it",
        )
    })
}

/// What `execvp` would try.
fn candidates(program: &CString, env: &[CString]) -> Result<Vec<CString>> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![program.clone()]);
    }
    let usual = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".as_slice();
    let path = env
        .iter()
        .rev()
        .find_map(|word| word.as_bytes().strip_prefix(b"PATH="))
        .unwrap_or(usual);
    path.split(|byte| *byte == b':')
        .map(|directory| {
            let directory = if directory.is_empty() {
                b"."
            } else {
                directory
            };
            string("program", [directory, b"/", program.as_bytes()].concat())
        })
        .collect()
}
