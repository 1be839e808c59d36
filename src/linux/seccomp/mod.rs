//! seccomp: which system calls a container may make, as data, and as the small program that the kernel runs for each call.
//!
//! [`Profile::runtime_default`] is what `RuntimeDefault` means in a manifest, [`Profile::from_oci`] reads a `Localhost` profile, and
//! `Unconfined` is no profile at all. [`Profile::compile`] gives a [`Program`]: numbers with the same answer are
//! ranges, found by binary search, so it is shorter than a list, and quicker to load.
//!
//! A program answers calls of the [`Architecture`]s of its profile, by their own numbers, and kills programs of others. `RuntimeDefault`
//! lets 32-bit programs run on x86_64 under the same rules, as other runtimes' usual profile does; an OCI profile lists who may run.
//!
//! Nothing here loads a program: that acts on the calling thread, for ever. A container's own process does it, either with
//! CAP_SYS_ADMIN or after `PR_SET_NO_NEW_PRIVS`. Linux 4.14 (`SECCOMP_RET_KILL_PROCESS`); x86_64 and aarch64.
//! `seccomp(2)`.
//!
//! ```
//! use podlife::linux::Capabilities;
//! use podlife::linux::seccomp::{Action, Profile};
//!
//! let profile = Profile::runtime_default(Capabilities::CONTAINER);
//! assert_eq!(profile.answer("read", [0; 6]), Action::Allow);
//! assert_eq!(profile.answer("mount", [0; 6]), Action::Errno(1)); // EPERM
//! assert!(profile.compile()?.len() < 500); // the kernel takes 4096
//! # Ok::<(), podlife::Error>(())
//! ```

mod architecture;
mod bpf;
mod default;
mod document;
mod multiplexer;
mod numbers;
mod oci;
mod syscalls;

pub use architecture::Architecture;
pub use bpf::{Instruction, Program};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use numbers::Numbers;
use syscalls::Call;

use crate::{Error, Result};

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is made.
    Allow,
    /// It is made, and written to the audit log.
    Log,
    /// It fails with this errno.
    Errno(u16),
    /// A tracer decides; without one it fails with ENOSYS.
    Trace(u16),
    /// The thread gets SIGSYS.
    Trap,
    /// The thread dies.
    KillThread,
    /// The process dies of SIGSYS.
    KillProcess,
}

impl Action {
    const EPERM: Action = Action::Errno(libc::EPERM as u16);
    const ENOSYS: Action = Action::Errno(libc::ENOSYS as u16);
}

/// How an argument is compared with a value. All are unsigned, and 64 bits wide; of a 32-bit program's calls only the lower half
/// of both counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Equal in the bits of this mask. For arguments that the kernel takes as 32 bits wide a mask is a must.
    MaskedEq(u64),
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Which, 0 to 5.
    pub argument: u8,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

impl Condition {
    /// Whether none is about the argument of another.
    fn each_has_its_argument(conditions: &[Condition]) -> bool {
        let arguments: BTreeSet<_> = conditions.iter().map(|one| one.argument).collect();
        arguments.len() == conditions.len()
    }

    /// With arguments of which these bits count.
    fn holds(&self, arguments: [u64; 6], width: u64) -> bool {
        let argument = arguments[usize::from(self.argument)] & width;
        let value = self.value & width;
        match self.comparison {
            Comparison::Eq => argument == value,
            Comparison::Ne => argument != value,
            Comparison::Lt => argument < value,
            Comparison::Le => argument <= value,
            Comparison::Gt => argument > value,
            Comparison::Ge => argument >= value,
            Comparison::MaskedEq(mask) => argument & mask == value,
        }
    }
}

/// What happens to a system call when all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    conditions: Vec<Condition>,
    action: Action,
}

/// What happens to each system call: the first rule whose conditions all hold decides, rules without condition come last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    default: Action,
    /// Calls newer than all that the profile names.
    newer: Action,
    /// Programs of others are killed.
    architectures: BTreeSet<Architecture>,
    /// In the order in which they decide.
    rules: BTreeMap<Call, Vec<Rule>>,
    flags: u32,
    unknown: Vec<String>,
}

impl Profile {
    /// Every call meets with `default`, until there are rules. It is for programs of the architecture this is compiled for.
    pub fn new(default: Action) -> Profile {
        Profile {
            default,
            newer: default,
            architectures: BTreeSet::from([Architecture::NATIVE]),
            rules: BTreeMap::new(),
            flags: 0,
            unknown: Vec::new(),
        }
    }

    /// Lets programs of this architecture run, too, under the same rules. One that cannot run here is left out.
    ///
    /// A rule for a call that i386 programs can also make through `socketcall` or `ipc` holds for that way as well, with whatever
    /// arguments: a filter does not see them there. A rule without conditions for `socketcall` or `ipc` itself comes before.
    ///
    /// ```
    /// use podlife::linux::seccomp::{Action, Architecture, Profile};
    ///
    /// # if Architecture::NATIVE == Architecture::X86_64 {
    /// let profile = Profile::new(Action::Errno(1)).rule("connect", &[], Action::Allow);
    /// assert_eq!(profile.answer_on(Architecture::I386, "connect", [0; 6]), Action::KillProcess);
    /// let profile = profile.architecture(Architecture::I386);
    /// assert_eq!(profile.answer_on(Architecture::I386, "connect", [0; 6]), Action::Allow);
    /// assert_eq!(profile.answer_on(Architecture::I386, "socketcall", [3, 0, 0, 0, 0, 0]), Action::Allow);
    /// # }
    /// ```
    #[must_use]
    pub fn architecture(mut self, architecture: Architecture) -> Profile {
        if architecture.runs_here() {
            self.architectures.insert(architecture);
        }
        self
    }

    /// Whose programs it is for, the one first that this is compiled for.
    pub fn architectures(&self) -> impl Iterator<Item = Architecture> {
        self.architectures.iter().copied()
    }

    /// Adds a rule. A name says nothing to an architecture that does not have it, and is kept in [`Profile::unknown`] if none has it.
    #[must_use]
    pub fn rule(mut self, name: &str, conditions: &[Condition], action: Action) -> Profile {
        match syscalls::find(name) {
            Some(call) => self.rule_for(call, conditions, action),
            None => {
                self.unknown.push(name.to_owned());
                self
            }
        }
    }

    fn rule_for(mut self, call: Call, conditions: &[Condition], action: Action) -> Profile {
        let rules = self.rules.entry(call).or_default();
        let unconditional = rules.iter().position(|rule| rule.conditions.is_empty());
        let at = unconditional
            .filter(|_| !conditions.is_empty())
            .unwrap_or(rules.len());
        rules.insert(
            at,
            Rule {
                conditions: conditions.to_vec(),
                action,
            },
        );
        self
    }

    /// Names in rules that no kernel known to this library has: newer than it, of other architectures, or misspelt.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// `SECCOMP_FILTER_FLAG_*` to load it with.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// What happens to the call of this name with these arguments, made by a program of the architecture this is compiled for.
    /// A name the architecture does not have meets with the default.
    pub fn answer(&self, name: &str, arguments: [u64; 6]) -> Action {
        self.answer_on(Architecture::NATIVE, name, arguments)
    }

    /// What happens to the call of this name with these arguments, made by a program of that architecture.
    pub fn answer_on(&self, architecture: Architecture, name: &str, arguments: [u64; 6]) -> Action {
        if !self.architectures.contains(&architecture) {
            return Action::KillProcess;
        }
        let number = syscalls::find(name).and_then(|call| call.number(architecture));
        number.map_or(self.default, |number| {
            Numbers::new(self, architecture).answer(number, arguments)
        })
    }

    fn rules_of(&self, call: &Call) -> &[Rule] {
        self.rules.get(call).map_or(&[], Vec::as_slice)
    }

    /// The call whose rule has the most conditions, and how many.
    fn longest(&self) -> Option<(&'static str, usize)> {
        let longest = |rules: &Vec<Rule>| rules.iter().map(|rule| rule.conditions.len()).max();
        let calls = self.rules.iter();
        calls
            .filter_map(|(call, rules)| Some((call.name, longest(rules)?)))
            .max_by_key(|(_, count)| *count)
    }

    /// Whether it has an answer to this call whatever its arguments.
    fn decides(&self, call: &Call) -> bool {
        let mut rules = self.rules_of(call).iter();
        rules.any(|rule| rule.conditions.is_empty())
    }

    /// The program, for its architectures. Calls of another one kill the process.
    ///
    /// # Errors
    /// [`Kind::Exhausted`](crate::Kind::Exhausted) if it would be longer than the kernel takes (4,096 instructions), or a
    /// rule has more than 40 conditions.
    pub fn compile(&self) -> Result<Program> {
        bpf::compile(self)
    }
}

/// A profile and its program: what a process installs. Cheap to clone.
///
/// ```
/// use podlife::linux::seccomp::{Action, Filter, Profile};
///
/// let filter = Filter::try_from(Profile::new(Action::Allow).rule("mount", &[], Action::Errno(1)))?;
/// assert_eq!(filter.profile().answer("mount", [0; 6]), Action::Errno(1));
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    profile: Arc<Profile>,
    program: Arc<[u8]>,
}

impl Filter {
    /// What it says.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What the kernel takes: [`Program::bytes`].
    pub fn program(&self) -> &[u8] {
        &self.program
    }
}

impl TryFrom<Profile> for Filter {
    type Error = Error;

    fn try_from(profile: Profile) -> Result<Filter> {
        let program = profile.compile()?.bytes().into();
        Ok(Filter {
            profile: profile.into(),
            program,
        })
    }
}
