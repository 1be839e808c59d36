//! The program: for each architecture a binary search over ranges of its numbers, with the conditions at its leaves. `seccomp(2)`, classic BPF.

use super::numbers::{Numbers, X32};
use super::{Action, Architecture, Comparison, Condition, Profile, Rule};
use crate::{Error, Kind, Result};

/// `BPF_MAXINSNS`
const LENGTH_MAX: usize = 4096;
/// Of one rule: each takes up to six instructions, and a jump skips up to 255.
const CONDITIONS_MAX: usize = 40;

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
    jump(code, k, 0, 0)
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
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
    if let Some((name, count)) = profile
        .longest()
        .filter(|(_, count)| *count > CONDITIONS_MAX)
    {
        return Err(exhausted(format!(
            "a rule for {name} has {count} conditions, at most {CONDITIONS_MAX} can be"
        )));
    }
    let mut code = vec![op(LOAD, ARCH)];
    for architecture in profile.architectures() {
        let numbers = Numbers::new(profile, architecture);
        let search = search(&ranges(&numbers));
        code.extend([
            jump(JEQ, architecture.audit(), 1, 0),
            op(JUMP, search.len() as u32 + 1),
            op(LOAD, NUMBER),
        ]);
        code.extend(search);
    }
    code.push(op(RETURN, value(Action::KillProcess)));
    if code.len() > LENGTH_MAX {
        return Err(exhausted(format!(
            "it has {} instructions, the kernel takes {LENGTH_MAX}",
            code.len()
        )));
    }
    Ok(Program(code))
}

fn exhausted(why: String) -> Error {
    Error::new(Kind::Exhausted, "compile a seccomp profile", why)
}

/// From which number on which code answers, by rising number, without neighbours that answer alike.
fn ranges(numbers: &Numbers) -> Vec<(u32, Vec<Instruction>)> {
    let mut ranges: Vec<(u32, Vec<Instruction>)> = Vec::new();
    for number in (0..=numbers.newest() + 1).chain([X32]) {
        let answer = leaf(numbers, number);
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
        Ok(jt) => vec![jump(JGE, *first, jt, 0)],
        Err(_) => vec![jump(JGE, *first, 0, 1), op(JUMP, low.len() as u32)],
    };
    code.extend(low);
    code.extend(high);
    code
}

/// Rules in their order, then the answer without any.
fn leaf(numbers: &Numbers, number: u32) -> Vec<Instruction> {
    let mut code = Vec::new();
    for rule in numbers.rules_of(number) {
        code.extend(conditional(rule, numbers.architecture));
        if rule.conditions.is_empty() {
            return code;
        }
    }
    code.push(op(RETURN, value(numbers.otherwise(number))));
    code
}

/// Returns the action if all conditions hold, else runs into what comes after.
fn conditional(rule: &Rule, architecture: Architecture) -> Vec<Instruction> {
    // From the end, so that each condition knows how far it is to what comes after.
    let mut code = vec![op(RETURN, value(rule.action))];
    for condition in rule.conditions.iter().rev() {
        let lower = lower(condition, code.len());
        let mut test = match architecture.is_32_bit() {
            true => Vec::new(),
            false => upper(condition, lower.len(), code.len()),
        };
        test.extend(lower);
        test.append(&mut code);
        code = test;
    }
    code
}

/// The lower half of an argument. Skips `rest` instructions after itself if the condition does not hold.
fn lower(condition: &Condition, rest: usize) -> Vec<Instruction> {
    let (fail, k) = (rest as u8, condition.value as u32);
    let load = op(LOAD, half(condition, cfg!(target_endian = "big")));
    match condition.comparison {
        Comparison::Eq => vec![load, jump(JEQ, k, 0, fail)],
        Comparison::Ne => vec![load, jump(JEQ, k, fail, 0)],
        Comparison::Lt => vec![load, jump(JGE, k, fail, 0)],
        Comparison::Le => vec![load, jump(JGT, k, fail, 0)],
        Comparison::Gt => vec![load, jump(JGT, k, 0, fail)],
        Comparison::Ge => vec![load, jump(JGE, k, 0, fail)],
        Comparison::MaskedEq(mask) => vec![load, op(AND, mask as u32), jump(JEQ, k, 0, fail)],
    }
}

/// The upper half, which comes first: the `lower` instructions after it are skipped where it decides alone.
fn upper(condition: &Condition, lower: usize, rest: usize) -> Vec<Instruction> {
    let (hold, fail) = (lower as u8, (lower + rest) as u8);
    let k = (condition.value >> 32) as u32;
    let load = op(LOAD, half(condition, cfg!(target_endian = "little")));
    match condition.comparison {
        Comparison::Eq => vec![load, jump(JEQ, k, 0, fail)],
        Comparison::Ne => vec![load, jump(JEQ, k, 0, hold)],
        Comparison::Lt | Comparison::Le => {
            vec![load, jump(JGT, k, fail + 1, 0), jump(JEQ, k, 0, hold)]
        }
        Comparison::Gt | Comparison::Ge => {
            vec![load, jump(JGT, k, hold + 1, 0), jump(JEQ, k, 0, fail)]
        }
        Comparison::MaskedEq(mask) => {
            vec![load, op(AND, (mask >> 32) as u32), jump(JEQ, k, 0, fail)]
        }
    }
}

/// Where it is in `seccomp_data`.
fn half(condition: &Condition, second: bool) -> u32 {
    ARGUMENTS + 8 * u32::from(condition.argument) + 4 * u32::from(second)
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

    const NATIVE: u32 = Architecture::NATIVE.audit();

    fn agrees(profile: &Profile, calls: u32) {
        let program = profile.compile().unwrap();
        for architecture in profile.architectures() {
            let numbers = Numbers::new(profile, architecture);
            for number in (0..calls).chain([X32 - 1, X32, X32 + 1, u32::MAX]) {
                // Without rules arguments do not matter.
                let edges = match numbers.rules_of(number) {
                    [] => &EDGES[..2],
                    _ => &EDGES,
                };
                for (first, second) in edges
                    .iter()
                    .flat_map(|one| edges.iter().map(move |two| (one, two)))
                {
                    let arguments = [*first, *second, 0, 0, 0, 0];
                    assert_eq!(
                        run(&program, architecture.audit(), number, arguments),
                        value(numbers.answer(number, arguments)),
                        "{architecture:?}: call {number} with {first:x}, {second:x}"
                    );
                }
            }
        }
        let run_here = |audit: &u32| profile.architectures().any(|one| one.audit() == *audit);
        let all = Architecture::ALL.map(Architecture::audit);
        for other in all.into_iter().chain([NATIVE ^ 1, 0x4000_0028]) {
            if !run_here(&other) {
                let killed = value(Action::KillProcess);
                assert_eq!(run(&program, other, 0, [0; 6]), killed, "{other:x}");
            }
        }
    }

    #[test]
    fn the_program_does_what_the_profile_says() {
        agrees(&Profile::new(Action::Allow), 10);
        agrees(&Profile::runtime_default(Capabilities::CONTAINER), 500);
        agrees(&Profile::runtime_default(Capabilities::NONE), 500);
    }

    /// Each search tree has its own newest call.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_is_newer_is_newer_for_each_architecture() {
        let json = br#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],
            "syscalls":[{"names":["mmap2"],"action":"SCMP_ACT_ALLOW"},{"names":["execve"],"action":"SCMP_ACT_ALLOW"}]}"#;
        let program = Profile::from_oci(json).unwrap().compile().unwrap();
        for (architecture, newest) in [(Architecture::X86_64, 59), (Architecture::I386, 192)] {
            let answers = [newest - 1, newest, newest + 1, X32 - 1, X32]
                .map(|number| run(&program, architecture.audit(), number, [0; 6]));
            let wanted = [
                Action::EPERM,
                Action::Allow,
                Action::ENOSYS,
                Action::ENOSYS,
                Action::EPERM,
            ];
            assert_eq!(answers, wanted.map(value), "{architecture:?}");
        }
    }

    /// By hand, not by what the compiler is made from.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_calls_of_i386_are_told_apart() {
        let two = Condition {
            argument: 0,
            comparison: Comparison::Eq,
            value: 2,
        };
        let profile = Profile::new(Action::EPERM)
            .architecture(Architecture::I386)
            .rule("close", &[two], Action::Allow)
            .rule("connect", &[], Action::Allow)
            .rule("bind", &[two], Action::Trap)
            .rule("semop", &[], Action::Log);
        let program = profile.compile().unwrap();
        let i386 = |number, first| {
            run(
                &program,
                Architecture::I386.audit(),
                number,
                [first, 0, 0, 0, 0, 0],
            )
        };
        let answers = [
            (i386(6, 2), Action::Allow), // close
            (i386(6, 7 << 32 | 2), Action::Allow),
            (i386(6, 3), Action::EPERM),
            (i386(3, 2), Action::EPERM), // read, whose number close has elsewhere
            (i386(362, 0), Action::Allow), // connect
            (i386(102, 3), Action::Allow), // the same by socketcall
            (i386(102, 2), Action::Trap),
            (i386(102, 1), Action::EPERM),
            (i386(117, 1), Action::Log), // semop by ipc
            (i386(117, 1 << 16 | 1), Action::Log),
            (i386(117, 2), Action::EPERM),
        ];
        for (at, (answer, wanted)) in answers.into_iter().enumerate() {
            assert_eq!(answer, value(wanted), "{at}");
        }
        let whole = profile
            .rule("socketcall", &[], Action::Allow)
            .compile()
            .unwrap();
        let audit = Architecture::I386.audit();
        assert_eq!(
            run(&whole, audit, 102, [2, 0, 0, 0, 0, 0]),
            value(Action::Allow)
        );
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
                    .rule("write", &[], Action::KillThread)
                    .architecture(Architecture::I386);
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
        let profile = profile.architecture(Architecture::I386);
        assert!(profile.compile().unwrap().len() > 512);
        agrees(&profile, 300);
    }

    #[test]
    fn a_rule_has_no_more_conditions_than_a_jump_skips() {
        let profile = |count| {
            let masked = |bit: u64| Condition {
                argument: 0,
                comparison: Comparison::MaskedEq(1 << bit | 1 << 63),
                value: 1 << bit,
            };
            let conditions: Vec<_> = (0..count).map(masked).collect();
            Profile::new(Action::EPERM).rule("read", &conditions, Action::Allow)
        };
        let most = profile(40);
        assert_eq!(most.answer("read", [u64::MAX >> 1; 6]), Action::Allow);
        agrees(&most, 3);
        let (arch, number, low) = (NATIVE, libc::SYS_read as u32, u64::MAX >> 1);
        let said = |arguments| run(&most.compile().unwrap(), arch, number, [arguments; 6]);
        assert_eq!(said(low), value(Action::Allow));
        assert_eq!(said(u64::MAX), value(Action::EPERM));
        assert_eq!(said(low - 1), value(Action::EPERM));
        let error = profile(41).compile().unwrap_err();
        assert_eq!(error.kind(), Kind::Exhausted);
        assert!(
            error.to_string().contains("read has 41 conditions"),
            "{error}"
        );
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

    /// With those that i386 makes through others, and these.
    fn call() -> impl Strategy<Value = &'static str> {
        let names = "read write open stat close mmap2 socketcall ipc socket connect accept send recvmsg semop shmat";
        prop::sample::select(names.split_whitespace().collect::<Vec<_>>())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn any_profile_is_compiled_to_what_it_says(
            rules in prop::collection::vec((call(), prop::collection::vec(condition(), 0..4), 0..4_u16), 0..30),
        ) {
            let profile = Profile::new(Action::EPERM).architecture(Architecture::I386);
            let profile = rules.into_iter().fold(profile, |profile, (name, conditions, action)| {
                profile.rule(name, &conditions, Action::Trace(action))
            });
            agrees(&profile, 120);
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
                let answer = run(&theirs, NATIVE, number, arguments);
                assert_eq!(
                    run(&ours, NATIVE, number, arguments),
                    answer,
                    "{number} {argument:x}"
                );
            }
        }
    }
}
