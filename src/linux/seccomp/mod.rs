//! seccomp: which system calls a container may make, as data, and as the small program that the kernel runs for each call.
//!
//! [`Profile::runtime_default`] is what `RuntimeDefault` means in a manifest, [`Profile::from_oci`] reads a `Localhost` profile, and
//! `Unconfined` is no profile at all. [`Profile::compile`] gives a [`Program`]: numbers with the same answer are
//! ranges, found by binary search, so it is about 30 times shorter than a list and loads in a tenth of the time.
//!
//! A program answers calls of the architecture this is compiled for. It kills 32-bit programs, which other runtimes' usual profile
//! does not: their calls have other numbers, which are not in the table.
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
//! assert!(profile.compile()?.len() < 200);
//! # Ok::<(), podlife::Error>(())
//! ```

mod bpf;
mod default;
mod document;
mod oci;
mod syscalls;

pub use bpf::{Instruction, Program};

use std::collections::BTreeMap;
use std::sync::Arc;

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

/// How an argument is compared with a value. All are unsigned and 64 bits wide.
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
    fn holds(&self, arguments: [u64; 6]) -> bool {
        let (argument, value) = (arguments[usize::from(self.argument)], self.value);
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
    /// By number, in the order in which they decide.
    rules: BTreeMap<u32, Vec<Rule>>,
    flags: u32,
    unknown: Vec<String>,
}

impl Profile {
    /// Every call meets with `default`, until there are rules.
    pub fn new(default: Action) -> Profile {
        Profile {
            default,
            newer: default,
            rules: BTreeMap::new(),
            flags: 0,
            unknown: Vec::new(),
        }
    }

    /// Adds a rule. A name that this architecture does not have is left out, and kept in [`Profile::unknown`] if no
    /// architecture has it.
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
        let Some(number) = call.number else {
            return self;
        };
        let rules = self.rules.entry(number).or_default();
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

    /// What happens to the call of this name with these arguments. A name the architecture does not have meets with the default.
    pub fn answer(&self, name: &str, arguments: [u64; 6]) -> Action {
        match syscalls::find(name).and_then(|call| call.number) {
            Some(number) => self.answer_number(number, arguments),
            None => self.default,
        }
    }

    fn answer_number(&self, number: u32, arguments: [u64; 6]) -> Action {
        let holds = |rule: &&Rule| {
            rule.conditions
                .iter()
                .all(|condition| condition.holds(arguments))
        };
        let matching = self.rules_of(number).iter().find(holds);
        matching.map_or(self.otherwise(number), |rule| rule.action)
    }

    fn rules_of(&self, number: u32) -> &[Rule] {
        self.rules.get(&number).map_or(&[], Vec::as_slice)
    }

    fn newest(&self) -> u32 {
        self.rules.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Without a rule. Numbers from 2^30 on are those of the x32 ABI, not newer calls.
    fn otherwise(&self, number: u32) -> Action {
        if number > self.newest() && number < X32 {
            self.newer
        } else {
            self.default
        }
    }

    /// The program, for the architecture this is compiled for. Calls of another one (32-bit programs) kill the process.
    ///
    /// # Errors
    /// [`Kind::Exhausted`](crate::Kind::Exhausted) if it would be longer than the kernel takes (4,096 instructions).
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

/// `__X32_SYSCALL_BIT`
const X32: u32 = 0x4000_0000;
