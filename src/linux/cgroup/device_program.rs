//! Rules for devices as a program that the kernel asks.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::{Cgroup, DeviceAccess, DeviceKind, DeviceRule, DeviceRules, Verdict};
use crate::linux::sys::bpf::{self, Instruction};
use crate::{Error, Result};

/// [Rules](DeviceRules) that the kernel has checked, to be attached to any number of cgroups.
///
/// Linux 4.15 with `CONFIG_CGROUP_BPF`. CAP_BPF and CAP_NET_ADMIN (before Linux 5.8: CAP_SYS_ADMIN) in the host's user namespace. `bpf(2)`,
/// and the kernel's `Documentation/admin-guide/cgroup-v2.rst`, device controller.
///
/// ```no_run
/// use podlife::cgroup::{Delegation, DeviceRules};
///
/// let program = DeviceRules::usual().load()?;
/// let group = Delegation::find()?.granted()?.create("work")?;
/// program.attach(&group)?; // what is started in it now opens /dev/null, and no disk
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Debug)]
pub struct DeviceProgram(OwnedFd);

impl DeviceRules {
    /// Has the kernel take them as a program. It has no effect until it is [attached](DeviceProgram::attach).
    ///
    /// # Errors
    /// [`Kind::Permission`](crate::Kind::Permission) without the privileges; what else the kernel refused.
    pub fn load(&self) -> Result<DeviceProgram> {
        let loaded = bpf::load_device(&compile(self), c"MIT OR Apache-2.0");
        let program = loaded.map_err(|errno| {
            let error = Error::os("load a program for the devices of a cgroup", errno as i32);
            error.cure(cure(errno))
        });
        program.map(DeviceProgram)
    }
}

impl DeviceProgram {
    /// Has `group` ask it whenever a process in it, or below it, opens or makes a device. What is open stays open. It stays as long as
    /// the cgroup does, whatever becomes of this value and this program. Those of the groups above are asked too, and all must agree.
    ///
    /// # Errors
    /// What the kernel refused: a group above has a program that allows no other.
    pub fn attach(&self, group: &Cgroup) -> Result<()> {
        let done = bpf::attach_device(self.0.as_fd(), group.as_fd());
        done.map_err(|errno| {
            let attempt = format!("attach a program to the cgroup {}", group.path().display());
            Error::os(attempt, errno as i32).cure(cure(errno))
        })
    }
}

/// What usually helps.
pub(in crate::linux) fn cure(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM | Errno::EACCES => {
            "run as root in the host's user namespace, with CAP_BPF and CAP_NET_ADMIN or CAP_SYS_ADMIN, and before Linux 5.11 \
             with more RLIMIT_MEMLOCK"
        }
        Errno::E2BIG => "use fewer rules",
        _ => "use Linux 4.15 or newer, with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF",
    }
}

/// The program's result, and where a structure of the kernel's is at its beginning: `struct bpf_cgroup_dev_ctx`.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
/// Kind, what of the access is not allowed yet, and the numbers.
const KIND: u8 = 2;
const ASKED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// From the last rule to the first: one that allows takes its part off what is asked, one that denies any of that ends it. Without
/// an instruction that cannot be reached, which older kernels refuse.
fn compile(rules: &DeviceRules) -> Vec<Instruction> {
    let mut code = vec![
        load(KIND, 0),
        and(KIND, 0xffff),
        load(ASKED, 0),
        shift_right(ASKED, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
        jump(NOT_EQUAL, ASKED, 0, 2),
    ];
    code.extend(end(Verdict::Allow));
    for rule in rules.rules().iter().rev() {
        if rule.access == DeviceAccess::ALL && rule.is_about_all() {
            code.extend(end(rule.verdict));
            return code;
        }
        code.extend(compile_rule(rule));
    }
    code.extend(end(Verdict::Deny));
    code
}

fn compile_rule(rule: &DeviceRule) -> Vec<Instruction> {
    let kind = rule.kind.map(|kind| match kind {
        DeviceKind::Block => 1,
        DeviceKind::Char => 2,
    });
    let conditions = [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
    let conditions: Vec<_> = conditions
        .into_iter()
        .filter_map(|(register, number)| Some((register, number?)))
        .collect();
    let access = i32::from(rule.access.bits());
    let mut body = match (rule.verdict, rule.access) {
        (_, DeviceAccess::ALL) => vec![],
        (Verdict::Allow, _) => vec![and(ASKED, !access), jump(NOT_EQUAL, ASKED, 0, 2)],
        (Verdict::Deny, _) => vec![
            copy(SCRATCH, ASKED),
            and(SCRATCH, access),
            jump(EQUAL, SCRATCH, 0, 2),
        ],
    };
    body.extend(end(rule.verdict));
    let mut code = Vec::with_capacity(conditions.len() + body.len());
    for (at, (register, number)) in conditions.iter().enumerate() {
        let behind = conditions.len() - at - 1 + body.len();
        // The kernel's numbers have 12 and 20 bits: one that is negative here is none's.
        code.push(jump(
            NOT_EQUAL,
            *register,
            number.cast_signed(),
            behind as i16,
        ));
    }
    code.extend(body);
    code
}

const EQUAL: u8 = 0x15;
const NOT_EQUAL: u8 = 0x55;
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const EXIT: u8 = 0x95;

const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

const fn load(register: u8, offset: i16) -> Instruction {
    instruction(LOAD_WORD, register | CONTEXT << 4, offset, 0)
}

const fn and(register: u8, mask: i32) -> Instruction {
    instruction(AND, register, 0, mask)
}

const fn shift_right(register: u8, by: i32) -> Instruction {
    instruction(SHIFT_RIGHT, register, 0, by)
}

const fn copy(to: u8, from: u8) -> Instruction {
    instruction(MOVE_REGISTER, to | from << 4, 0, 0)
}

/// Over so many instructions, if the register and the number compare so.
const fn jump(how: u8, register: u8, number: i32, over: i16) -> Instruction {
    instruction(how, register, over, number)
}

const fn end(verdict: Verdict) -> [Instruction; 2] {
    let result = match verdict {
        Verdict::Allow => 1,
        Verdict::Deny => 0,
    };
    [
        instruction(MOVE, RESULT, 0, result),
        instruction(EXIT, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::cgroup::Device;

    /// What the kernel's interpreter does with the instructions that are used.
    fn run(code: &[Instruction], context: [u32; 3]) -> u64 {
        let mut registers = [0_u64; 11];
        let mut at = 0;
        loop {
            let now = code[at];
            let (to, from) = (
                usize::from(now.registers & 15),
                usize::from(now.registers >> 4),
            );
            let immediate = i64::from(now.immediate).cast_unsigned();
            at += 1;
            match now.code {
                LOAD_WORD => {
                    assert_eq!(from, usize::from(CONTEXT));
                    registers[to] = context[now.offset as usize / 4].into();
                }
                MOVE => registers[to] = immediate,
                MOVE_REGISTER => registers[to] = registers[from],
                AND => registers[to] &= immediate,
                SHIFT_RIGHT => registers[to] >>= immediate,
                EQUAL if registers[to] == immediate => at += now.offset as usize,
                NOT_EQUAL if registers[to] != immediate => at += now.offset as usize,
                EQUAL | NOT_EQUAL => {}
                EXIT => return registers[usize::from(RESULT)],
                other => panic!("no instruction of ours: {other:#x}"),
            }
        }
    }

    /// All instructions that can be reached: the verifier of older kernels refuses others.
    fn reached(code: &[Instruction]) -> Vec<bool> {
        let mut seen = vec![false; code.len()];
        let mut left = vec![0];
        while let Some(at) = left.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match code[at].code {
                EXIT => {}
                EQUAL | NOT_EQUAL => left.extend([at + 1, at + 1 + code[at].offset as usize]),
                _ => left.push(at + 1),
            }
        }
        seen
    }

    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) % sides
        }

        fn rule(&mut self) -> DeviceRule {
            let number = |roll: u64| (roll > 0).then(|| [0, 1, 3, u32::MAX][roll as usize - 1]);
            let letters = ["r", "w", "m", "rw", "rm", "wm", "rwm", "rwm"];
            DeviceRule {
                verdict: [Verdict::Allow, Verdict::Deny][self.roll(2) as usize],
                kind: [None, Some(DeviceKind::Char), Some(DeviceKind::Block)]
                    [self.roll(3) as usize],
                major: number(self.roll(5)),
                minor: number(self.roll(5)),
                access: letters[self.roll(8) as usize].parse().unwrap(),
            }
        }
    }

    /// Lists of up to 6 rules as dice find them, with every question to each.
    #[test]
    fn the_program_says_what_the_rules_say() {
        let seed = 4_711;
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut seen = [0; 2];
        for _ in 0..2_000 {
            let count = dice.roll(7);
            let rules = DeviceRules::new((0..count).map(|_| dice.rule()));
            let code = compile(&rules);
            assert!(
                reached(&code).iter().all(|reached| *reached),
                "{rules}: {code:?}"
            );
            for (number, kind) in [(1, DeviceKind::Block), (2, DeviceKind::Char)] {
                for (major, minor) in [(0, 0), (0, 3), (1, 1), (1, 3), (3, 1), (7, 7)] {
                    for bits in 1..8_u8 {
                        let letters = [("m", 1), ("r", 2), ("w", 4)].into_iter();
                        let access: String = letters
                            .filter(|(_, bit)| bits & bit != 0)
                            .map(|(letter, _)| letter)
                            .collect();
                        let expected =
                            rules.allow(kind, Device { major, minor }, access.parse().unwrap());
                        let said = run(&code, [u32::from(bits) << 16 | number, major, minor]);
                        assert_eq!(
                            said,
                            u64::from(expected),
                            "{rules}: {kind:?} {major}:{minor} {access}"
                        );
                        assert!(expected || !rules.is_everything(), "{rules}");
                        seen[usize::from(expected)] += 1;
                    }
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 5_000), "{seen:?}");
    }

    #[test]
    fn nothing_that_is_asked_is_nothing_that_is_denied() {
        assert_eq!(run(&compile(&DeviceRules::usual()), [2, 8, 0]), 1);
    }
}
