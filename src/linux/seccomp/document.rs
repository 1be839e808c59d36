//! A profile as a document of the OCI runtime specification.
//!
//! There rules have no order: whoever reads them puts them into a tree of its own. So what is said here first and what comes after
//! it is said by conditions that exclude each other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::syscalls::Call;
use super::{Action, Architecture, Comparison, Condition, Profile, Rule, multiplexer, syscalls};

impl Profile {
    /// The profile as `linux.seccomp` of the OCI runtime specification, and the names of the calls whose rules cannot be said
    /// without an order: such a call meets with the strictest of its answers, whatever its arguments.
    ///
    /// ```
    /// use podlife::linux::Capabilities;
    /// use podlife::linux::seccomp::Profile;
    ///
    /// let profile = Profile::runtime_default(Capabilities::CONTAINER);
    /// let (document, changed) = profile.to_oci();
    /// let read = Profile::from_oci(document.to_string().as_bytes())?;
    /// assert!(changed.is_empty());
    /// for family in [2, 38, 40, 1 << 32 | 40] {
    ///     let arguments = [family, 0, 0, 0, 0, 0];
    ///     assert_eq!(read.answer("socket", arguments), profile.answer("socket", arguments));
    /// }
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn to_oci(&self) -> (Value, Vec<&'static str>) {
        let mut entries: Vec<(Rule, Vec<&str>)> = Vec::new();
        let mut changed = Vec::new();
        for call in syscalls::table() {
            let rules = self.without_order(&call).unwrap_or_else(|strictest| {
                changed.push(call.name);
                vec![strictest]
            });
            for rule in rules {
                match entries.iter_mut().find(|(other, _)| *other == rule) {
                    Some((_, names)) => names.push(call.name),
                    None => entries.push((rule, vec![call.name])),
                }
            }
        }
        // Runtimes take what is said of all of `socketcall` only before what is said of a call that it makes.
        entries.sort_by_key(|(rule, _)| !rule.conditions.is_empty());
        let entries: Vec<_> = entries
            .iter()
            .map(|(rule, names)| entry(rule, names))
            .collect();
        let (default, errno) = name(self.default);
        let mut document = json!({
            "defaultAction": default,
            "architectures": self.architectures().map(Architecture::oci).collect::<Vec<_>>(),
            "flags": flags(self.flags),
            "syscalls": entries,
        });
        if let Some(errno) = errno {
            document["defaultErrnoRet"] = json!(errno);
        }
        (document, changed)
    }

    /// The same as rules of which no two with different answers hold at once; or the strictest of all answers.
    fn without_order(&self, call: &Call) -> Result<Vec<Rule>, Rule> {
        let rules = self.rules_of(call);
        let last = rules.iter().position(|rule| rule.conditions.is_empty());
        let otherwise = last.map_or(self.default, |last| rules[last].action);
        let conditional = &rules[..last.unwrap_or(rules.len())];
        let unconditional = |action| Rule {
            conditions: Vec::new(),
            action,
        };
        let Some(first) = conditional.first() else {
            return Ok(last.map(|_| unconditional(otherwise)).into_iter().collect());
        };
        let alike = conditional.iter().all(|rule| rule.action == first.action);
        let said = conditional
            .iter()
            .all(|rule| Condition::each_has_its_argument(&rule.conditions));
        let others = match otherwise == self.default {
            true => Some(Vec::new()),
            false if self.is_multiplexed(call) => None,
            false => complement(conditional, self.width()),
        };
        match others.filter(|_| alike && said) {
            Some(others) => {
                let others = others.into_iter().map(|condition| Rule {
                    conditions: vec![condition],
                    action: otherwise,
                });
                Ok(conditional.iter().cloned().chain(others).collect())
            }
            None => {
                let all = rules.iter().map(|rule| rule.action);
                let strictest = all
                    .chain([otherwise])
                    .max_by_key(|action| severity(*action));
                Err(unconditional(strictest.unwrap_or(otherwise)))
            }
        }
    }
}

impl Profile {
    /// Whether runtimes make a rule for `socketcall` or `ipc` of each of this call's: one without its conditions, so all must agree.
    fn is_multiplexed(&self, call: &Call) -> bool {
        let by = multiplexer::of(call).filter(|_| self.architectures.contains(&Architecture::I386));
        by.is_some_and(|by| !self.decides(&by))
    }

    /// The bits of an argument that all its architectures have.
    fn width(&self) -> u64 {
        self.architectures()
            .fold(u64::MAX, |width, one| width & one.width())
    }
}

/// Conditions of which one holds where none of the rules does. `None`: the rules are not equalities of the same bits of one argument, bits
/// that every architecture has.
fn complement(rules: &[Rule], width: u64) -> Option<Vec<Condition>> {
    let mut all = Vec::new();
    for rule in rules {
        let [condition] = rule.conditions[..] else {
            return None;
        };
        let mask = match condition.comparison {
            Comparison::Eq => u64::MAX,
            Comparison::MaskedEq(mask) => mask,
            _ => return None,
        };
        all.push((condition.argument, mask, condition.value));
    }
    let (argument, mask, _) = *all.first()?;
    let same = mask & !width == 0 && all.iter().all(|one| (one.0, one.1) == (argument, mask));
    // What has other bits is equal to nothing.
    let values = all
        .iter()
        .map(|one| one.2)
        .filter(|value| value & !mask == 0);
    same.then(|| none_of(argument, mask, &values.collect::<Vec<_>>()))
}

/// From the highest bit down: wherever an argument can leave the path to every value, one condition.
fn none_of(argument: u8, mask: u64, values: &[u64]) -> Vec<Condition> {
    let (mut found, mut paths, mut seen) = (Vec::new(), BTreeSet::from([0]), 0);
    for bit in (0..64)
        .rev()
        .map(|shift| 1_u64 << shift)
        .filter(|bit| mask & bit != 0)
    {
        seen |= bit;
        let on: BTreeSet<_> = values.iter().map(|value| value & seen).collect();
        let both = paths.iter().flat_map(|path| [*path, *path | bit]);
        found.extend(
            both.filter(|path| !on.contains(path))
                .map(|value| Condition {
                    argument,
                    comparison: Comparison::MaskedEq(seen),
                    value,
                }),
        );
        paths = on;
    }
    found
}

/// By how much it takes from the process.
fn severity(action: Action) -> u8 {
    match action {
        Action::Allow => 0,
        Action::Log => 1,
        Action::Trace(_) => 2,
        Action::Errno(_) => 3,
        Action::Trap => 4,
        Action::KillThread => 5,
        Action::KillProcess => 6,
    }
}

fn entry(rule: &Rule, names: &[&str]) -> Value {
    let (action, errno) = name(rule.action);
    let arguments: Vec<_> = rule.conditions.iter().map(argument).collect();
    let mut entry = json!({ "names": names, "action": action, "args": arguments });
    if let Some(errno) = errno {
        entry["errnoRet"] = json!(errno);
    }
    entry
}

fn name(action: Action) -> (&'static str, Option<u16>) {
    match action {
        Action::Allow => ("SCMP_ACT_ALLOW", None),
        Action::Log => ("SCMP_ACT_LOG", None),
        Action::Errno(errno) => ("SCMP_ACT_ERRNO", Some(errno)),
        Action::Trace(data) => ("SCMP_ACT_TRACE", Some(data)),
        Action::Trap => ("SCMP_ACT_TRAP", None),
        Action::KillThread => ("SCMP_ACT_KILL_THREAD", None),
        Action::KillProcess => ("SCMP_ACT_KILL_PROCESS", None),
    }
}

fn argument(condition: &Condition) -> Value {
    let Condition {
        argument,
        comparison,
        value,
    } = *condition;
    let (op, value, two) = match comparison {
        Comparison::Eq => ("SCMP_CMP_EQ", value, 0),
        Comparison::Ne => ("SCMP_CMP_NE", value, 0),
        Comparison::Lt => ("SCMP_CMP_LT", value, 0),
        Comparison::Le => ("SCMP_CMP_LE", value, 0),
        Comparison::Gt => ("SCMP_CMP_GT", value, 0),
        Comparison::Ge => ("SCMP_CMP_GE", value, 0),
        Comparison::MaskedEq(mask) => ("SCMP_CMP_MASKED_EQ", mask, value),
    };
    json!({ "index": argument, "value": value, "valueTwo": two, "op": op })
}

fn flags(flags: u32) -> Vec<&'static str> {
    let all = super::oci::FLAGS.into_iter();
    all.filter(|(_, flag)| flags & flag != 0)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::numbers::Numbers;
    use super::*;
    use crate::linux::Capabilities;

    /// Whoever reads the document sees no order: all rules that hold must agree.
    fn unordered(document: &Value, name: &str, arguments: [u64; 6]) -> Action {
        let read = Profile::from_oci(document.to_string().as_bytes()).unwrap();
        let rules = read.rules_of(&syscalls::find(name).unwrap());
        let holding = rules.iter().filter(|rule| {
            rule.conditions
                .iter()
                .all(|one| one.holds(arguments, u64::MAX))
        });
        let mut answers: Vec<_> = holding.map(|rule| rule.action).collect();
        answers.dedup();
        assert!(answers.len() < 2, "{name} {arguments:x?}: {answers:?}");
        answers.first().copied().unwrap_or(read.default)
    }

    fn agree(read: &Numbers, meant: &Numbers) {
        let firsts = [
            0,
            1,
            2,
            8,
            9,
            16,
            38,
            40,
            41,
            0x11,
            0x2_0008,
            0x2_0009,
            0x1000_0011,
            0xffff_ffff,
            1 << 32 | 38,
            u64::MAX,
        ];
        for (number, first) in (0..500).flat_map(|number| firsts.map(|first| (number, first))) {
            let arguments = [first, 0, 0, 0, 0, 0];
            assert_eq!(
                read.answer(number, arguments),
                meant.answer(number, arguments),
                "{:?}: {number} {first:x}",
                meant.architecture
            );
        }
    }

    #[test]
    fn runtime_default_is_said_whole() {
        for capabilities in [Capabilities::CONTAINER, Capabilities::NONE] {
            let profile = Profile::runtime_default(capabilities);
            let (document, changed) = profile.to_oci();
            assert!(changed.is_empty(), "{changed:?}");
            let read = Profile::from_oci(document.to_string().as_bytes()).unwrap();
            assert!(read.architectures().eq(profile.architectures()));
            for architecture in profile.architectures() {
                agree(
                    &Numbers::new(&read, architecture),
                    &Numbers::new(&profile, architecture),
                );
            }
            for name in ["clone", "socket", "personality"] {
                for first in [0, 38, 40, 0x1000_0011, 0x2_0009] {
                    let arguments = [first, 0, 0, 0, 0, 0];
                    assert_eq!(
                        unordered(&document, name, arguments),
                        profile.answer(name, arguments)
                    );
                }
            }
        }
    }

    #[test]
    fn what_needs_an_order_is_named_and_answered_by_the_strictest() {
        let is = |argument, value| Condition {
            argument,
            comparison: Comparison::Eq,
            value,
        };
        let profile = Profile::new(Action::Allow)
            .rule("read", &[is(0, 1), is(1, 2)], Action::Log)
            .rule("read", &[is(0, 1)], Action::Errno(5))
            .rule("write", &[is(0, 1), is(0, 2)], Action::Errno(5))
            .rule("openat", &[is(0, 1)], Action::Errno(5));
        let (document, mut changed) = profile.to_oci();
        changed.sort_unstable();
        assert_eq!(changed, ["read", "write"]);
        assert_eq!(unordered(&document, "read", [0; 6]), Action::Errno(5));
        assert_eq!(unordered(&document, "write", [0; 6]), Action::Errno(5));
        assert_eq!(unordered(&document, "openat", [0; 6]), Action::Allow);
        assert_eq!(unordered(&document, "openat", [1; 6]), Action::Errno(5));
    }

    /// A runtime makes of each rule for `socket` one for `socketcall`, without its conditions; and of conditions on upper halves
    /// none at all for a 32-bit program.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_cannot_be_said_of_32_bit_programs_is_named() {
        let is = |mask, value| Condition {
            argument: 0,
            comparison: Comparison::MaskedEq(mask),
            value,
        };
        let int = 0xffff_ffff;
        let profile = Profile::new(Action::KillProcess)
            .rule("socket", &[is(int, 2)], Action::Allow)
            .rule("socket", &[], Action::EPERM)
            .rule("connect", &[is(int, 2)], Action::Allow)
            .rule("close", &[is(u64::MAX, 2)], Action::Allow)
            .rule("close", &[], Action::EPERM)
            .rule("read", &[is(int, 2)], Action::Allow)
            .rule("read", &[], Action::EPERM);
        let changed = |profile: Profile| {
            let mut changed = profile.to_oci().1;
            changed.sort_unstable();
            changed
        };
        assert!(changed(profile.clone()).is_empty());
        let profile = profile.architecture(Architecture::I386);
        assert_eq!(changed(profile.clone()), ["close", "socket"]);
        let profile = profile.rule("socketcall", &[], Action::Allow);
        let (document, _) = profile.to_oci();
        assert_eq!(changed(profile), ["close"]);
        let entries = document["syscalls"].as_array().unwrap();
        let at = |name: &str| {
            let named = |entry: &Value| entry["names"].as_array().unwrap().contains(&json!(name));
            entries.iter().position(named).unwrap()
        };
        assert!(at("socketcall") < at("socket"));
    }

    proptest! {
        #[test]
        fn a_complement_is_exact(mask in any::<u64>(), values in prop::collection::vec(any::<u64>(), 0..6), other in any::<u64>(), flipped in 0..64) {
            let values: Vec<_> = values.into_iter().map(|value| value & mask).collect();
            let none = none_of(0, mask, &values);
            let near = values.first().map(|value| *value ^ 1_u64 << flipped);
            for argument in values.iter().copied().chain([other]).chain(near) {
                let holding = none.iter().filter(|one| one.holds([argument, 0, 0, 0, 0, 0], u64::MAX)).count();
                prop_assert_eq!(holding, usize::from(!values.contains(&(argument & mask))));
            }
        }
    }
}
