//! The program: a binary search over ranges of numbers, with the conditions at its leaves. `seccomp(2)`, classic BPF.

use super::{Action, Comparison, Condition, Profile, Rule, X32};
use crate::{Error, Kind, Result};

/// `BPF_MAXINSNS`
const LENGTH_MAX: usize = 4096;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(not(target_arch = "x86_64"))]
const ARCHITECTURE: u32 = 0xc000_00b7;

// Offsets in seccomp_data.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

// Operations of classic BPF.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
const RETURN: u16 = 0x06;

/// One instruction, a `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip if a comparison is true.
    pub jt: u8,
    /// How many instructions to skip if it is false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

const fn op(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

/// A program that the kernel can load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// How many instructions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: the shortest program returns an answer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the kernel takes it, eight bytes an instruction.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = self.0.iter().flat_map(|instruction| {
            let [c0, c1] = instruction.code.to_ne_bytes();
            let [k0, k1, k2, k3] = instruction.k.to_ne_bytes();
            [c0, c1, instruction.jt, instruction.jf, k0, k1, k2, k3]
        });
        bytes.collect()
    }
}

pub(super) fn compile(profile: &Profile) -> Result<Program> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        let why = "the numbers of this architecture's system calls are not in the table";
        return Err(Error::new(
            Kind::Unsupported,
            "compile a seccomp profile",
            why,
        ));
    }
    let mut code = vec![
        op(LOAD, ARCH),
        Instruction {
            code: JEQ,
            jt: 1,
            jf: 0,
            k: ARCHITECTURE,
        },
        op(RETURN, value(Action::KillProcess)),
        op(LOAD, NUMBER),
    ];
    code.extend(search(&ranges(profile)));
    if code.len() > LENGTH_MAX {
        let why = format!(
            "it has {} instructions, the kernel takes {LENGTH_MAX}",
            code.len()
        );
        return Err(Error::new(
            Kind::Exhausted,
            "compile a seccomp profile",
            why,
        ));
    }
    Ok(Program(code))
}

/// From which number on which code answers, by rising number, without neighbours that answer alike.
fn ranges(profile: &Profile) -> Vec<(u32, Vec<Instruction>)> {
    let mut ranges: Vec<(u32, Vec<Instruction>)> = Vec::new();
    for number in (0..=profile.newest() + 1).chain([X32]) {
        let answer = leaf(profile.rules_of(number), profile.otherwise(number));
        if ranges.last().is_none_or(|(_, last)| *last != answer) {
            ranges.push((number, answer));
        }
    }
    ranges
}

/// The number is loaded; ends in one of the ranges' codes.
fn search(ranges: &[(u32, Vec<Instruction>)]) -> Vec<Instruction> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let Some((first, only)) = high.first() else {
        return Vec::new();
    };
    if low.is_empty() {
        return only.clone();
    }
    let (low, high) = (search(low), search(high));
    let mut code = match u8::try_from(low.len()) {
        Ok(jt) => vec![Instruction {
            code: JGE,
            jt,
            jf: 0,
            k: *first,
        }],
        Err(_) => vec![
            Instruction {
                code: JGE,
                jt: 0,
                jf: 1,
                k: *first,
            },
            op(JUMP, low.len() as u32),
        ],
    };
    code.extend(low);
    code.extend(high);
    code
}

/// Rules in their order, then the answer without any.
fn leaf(rules: &[Rule], otherwise: Action) -> Vec<Instruction> {
    let mut code = Vec::new();
    for rule in rules {
        code.extend(conditional(&rule.conditions, rule.action));
        if rule.conditions.is_empty() {
            return code;
        }
    }
    code.push(op(RETURN, value(otherwise)));
    code
}

/// Returns the action if all conditions hold, else runs into what comes after.
fn conditional(conditions: &[Condition], action: Action) -> Vec<Instruction> {
    // From the end, so that each condition knows how far it is to what comes after.
    let mut code = vec![op(RETURN, value(action))];
    for condition in conditions.iter().rev() {
        let mut test = test(condition, code.len());
        test.append(&mut code);
        code = test;
    }
    code
}

/// Skips `rest` instructions after itself if the condition does not hold. Six conditions of at most six instructions
/// are far below the 255 that a jump can skip.
fn test(condition: &Condition, rest: usize) -> Vec<Instruction> {
    let Condition {
        argument,
        comparison,
        value,
    } = *condition;
    let low =
        ARGUMENTS + 8 * u32::from(argument) + if cfg!(target_endian = "little") { 0 } else { 4 };
    let high =
        ARGUMENTS + 8 * u32::from(argument) + if cfg!(target_endian = "little") { 4 } else { 0 };
    let (top, bottom) = ((value >> 32) as u32, value as u32);
    // `fail(n)`: skip the `n` instructions left of this test, and the rest.
    let fail = |left: usize| (left + rest) as u8;
    let jump = |code, k, jt, jf| Instruction { code, jt, jf, k };
    match comparison {
        Comparison::Eq => vec![
            op(LOAD, high),
            jump(JEQ, top, 0, fail(2)),
            op(LOAD, low),
            jump(JEQ, bottom, 0, fail(0)),
        ],
        Comparison::Ne => vec![
            op(LOAD, high),
            jump(JEQ, top, 0, 2),
            op(LOAD, low),
            jump(JEQ, bottom, fail(0), 0),
        ],
        Comparison::Gt | Comparison::Ge => vec![
            op(LOAD, high),
            jump(JGT, top, 3, 0),
            jump(JEQ, top, 0, fail(2)),
            op(LOAD, low),
            jump(
                if comparison == Comparison::Gt {
                    JGT
                } else {
                    JGE
                },
                bottom,
                0,
                fail(0),
            ),
        ],
        Comparison::Lt | Comparison::Le => vec![
            op(LOAD, high),
            jump(JGT, top, fail(3), 0),
            jump(JEQ, top, 0, 2),
            op(LOAD, low),
            jump(
                if comparison == Comparison::Lt {
                    JGE
                } else {
                    JGT
                },
                bottom,
                fail(0),
                0,
            ),
        ],
        Comparison::MaskedEq(mask) => vec![
            op(LOAD, high),
            op(AND, (mask >> 32) as u32),
            jump(JEQ, top, 0, fail(3)),
            op(LOAD, low),
            op(AND, mask as u32),
            jump(JEQ, bottom, 0, fail(0)),
        ],
    }
}

/// `SECCOMP_RET_*`
fn value(action: Action) -> u32 {
    match action {
        Action::Allow => 0x7fff_0000,
        Action::Log => 0x7ffc_0000,
        Action::Trace(data) => 0x7ff0_0000 | u32::from(data),
        Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Action::Trap => 0x0003_0000,
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::linux::Capabilities;

    /// What the kernel would do.
    fn run(program: &Program, arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [number.to_ne_bytes(), arch.to_ne_bytes(), [0; 4], [0; 4]].concat();
        data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
        let (mut at, mut a) = (0, 0_u32);
        loop {
            let Instruction { code, jt, jf, k } = program.0[at];
            at += 1;
            let branch = |taken: bool| usize::from(if taken { jt } else { jf });
            match code {
                LOAD => a = u32::from_ne_bytes(data[k as usize..][..4].try_into().unwrap()),
                AND => a &= k,
                JUMP => at += k as usize,
                JEQ => at += branch(a == k),
                JGT => at += branch(a > k),
                JGE => at += branch(a >= k),
                RETURN => return k,
                other => panic!("no operation {other:x}"),
            }
        }
    }

    const EDGES: [u64; 8] = [0, 1, 41, 42, 43, 0xffff_ffff, 42 << 32, u64::MAX];

    fn agrees(profile: &Profile, calls: u32) {
        let program = profile.compile().unwrap();
        for number in (0..calls).chain([X32 - 1, X32, X32 + 1, u32::MAX]) {
            for first in EDGES {
                for second in EDGES {
                    let arguments = [first, second, 0, 0, 0, 0];
                    let wanted = value(profile.answer_number(number, arguments));
                    let found = run(&program, ARCHITECTURE, number, arguments);
                    assert_eq!(found, wanted, "call {number} with {first:x}, {second:x}");
                }
            }
        }
        assert_eq!(
            run(&program, ARCHITECTURE ^ 1, 0, [0; 6]),
            value(Action::KillProcess)
        );
    }

    #[test]
    fn the_program_does_what_the_profile_says() {
        agrees(&Profile::new(Action::Allow), 10);
        agrees(&Profile::runtime_default(Capabilities::CONTAINER), 500);
        agrees(&Profile::runtime_default(Capabilities::NONE), 500);
    }

    #[test]
    fn every_comparison_is_exact_at_its_edges() {
        use Comparison::{Eq, Ge, Gt, Le, Lt, MaskedEq, Ne};
        for comparison in [
            Eq,
            Ne,
            Lt,
            Le,
            Gt,
            Ge,
            MaskedEq(42),
            MaskedEq(u64::MAX),
            MaskedEq(42 << 32),
        ] {
            for value in EDGES {
                let one = Condition {
                    argument: 0,
                    comparison,
                    value,
                };
                let two = Condition {
                    argument: 1,
                    comparison: Gt,
                    value: 41,
                };
                let profile = Profile::new(Action::EPERM)
                    .rule("read", &[one], Action::Allow)
                    .rule("write", &[one, two], Action::Trap)
                    .rule("write", &[two, one, two], Action::Log)
                    .rule("write", &[], Action::KillThread);
                agrees(&profile, 70);
            }
        }
    }

    #[test]
    fn a_search_that_is_too_long_for_a_short_jump_is_right_too() {
        let long = (0..40).map(|value| Condition {
            argument: 2,
            comparison: Comparison::Eq,
            value,
        });
        let long: Vec<_> = long.collect();
        let profile = [
            "read", "close", "poll", "mmap", "openat", "mkdirat", "unlinkat",
        ]
        .iter()
        .fold(Profile::new(Action::EPERM), |profile, name| {
            long.iter().fold(profile, |profile, condition| {
                profile.rule(name, &[*condition], Action::Trace(7))
            })
        });
        assert!(profile.compile().unwrap().len() > 512);
        agrees(&profile, 300);
    }

    fn comparison() -> impl Strategy<Value = Comparison> {
        use Comparison::{Eq, Ge, Gt, Le, Lt, MaskedEq, Ne};
        prop_oneof![
            Just(Eq),
            Just(Ne),
            Just(Lt),
            Just(Le),
            Just(Gt),
            Just(Ge),
            any::<u64>().prop_map(MaskedEq)
        ]
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let value = prop_oneof![prop::sample::select(EDGES.to_vec()), any::<u64>()];
        (0..2_u8, comparison(), value).prop_map(|(argument, comparison, value)| Condition {
            argument,
            comparison,
            value,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn any_profile_is_compiled_to_what_it_says(
            rules in prop::collection::vec((0..20_u32, prop::collection::vec(condition(), 0..4), 0..4_u16), 0..30),
        ) {
            let profile = rules.into_iter().fold(Profile::new(Action::EPERM), |profile, (number, conditions, action)| {
                let call = super::super::Call { name: "", number: Some(number), allowed: "" };
                profile.rule_for(call, &conditions, Action::Trace(action))
            });
            agrees(&profile, 25);
        }
    }

    /// An independent compiler must come to the same answers.
    #[test]
    fn seccompiler_agrees() {
        use seccompiler::{
            SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
            SeccompRule,
        };
        let condition = Condition {
            argument: 1,
            comparison: Comparison::MaskedEq(0xf0),
            value: 0x20,
        };
        let profile = Profile::new(Action::EPERM)
            .rule("openat", &[condition], Action::Allow)
            .rule("read", &[], Action::Allow);
        let theirs = SeccompCondition::new(
            1,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(0xf0),
            0x20,
        )
        .unwrap();
        let rules = [
            (
                libc::SYS_openat,
                vec![SeccompRule::new(vec![theirs]).unwrap()],
            ),
            (libc::SYS_read, Vec::new()),
        ];
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let (deny, allow) = (
            SeccompAction::Errno(libc::EPERM as u32),
            SeccompAction::Allow,
        );
        let filter = SeccompFilter::new(rules.into_iter().collect(), deny, allow, arch).unwrap();
        let program: seccompiler::BpfProgram = filter.try_into().unwrap();
        let theirs = Program(
            program
                .iter()
                .map(|i| Instruction {
                    code: i.code,
                    jt: i.jt,
                    jf: i.jf,
                    k: i.k,
                })
                .collect(),
        );
        let ours = profile.compile().unwrap();
        for number in 0..500 {
            for argument in [0, 0x20, 0x2f, 0x30, 0x120, u64::MAX] {
                let arguments = [0, argument, 0, 0, 0, 0];
                let answer = run(&theirs, ARCHITECTURE, number, arguments);
                assert_eq!(
                    run(&ours, ARCHITECTURE, number, arguments),
                    answer,
                    "{number} {argument:x}"
                );
            }
        }
    }
}
