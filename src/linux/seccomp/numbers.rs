//! What a profile says to the programs of one architecture: by number.

use std::collections::BTreeMap;

use super::multiplexer::{MULTIPLEXERS, Multiplexer};
use super::{Action, Architecture, Profile, Rule, syscalls};

/// Rules by the numbers of an architecture, in the order in which they decide.
pub(super) struct Numbers {
    pub(super) architecture: Architecture,
    default: Action,
    newer: Action,
    rules: BTreeMap<u32, Vec<Rule>>,
}

impl Numbers {
    pub(super) fn new(profile: &Profile, architecture: Architecture) -> Numbers {
        let numbered = profile.rules.iter().filter_map(|(call, rules)| {
            let number = call.number(architecture)?;
            Some((number, rules.clone()))
        });
        let mut numbers = Numbers {
            architecture,
            default: profile.default,
            newer: profile.newer,
            rules: numbered.collect(),
        };
        for multiplexer in &MULTIPLEXERS {
            numbers.multiplex(profile, multiplexer);
        }
        numbers
    }

    /// What a rule says of a call, it says of the other way to make it, too; its conditions are about arguments that no filter
    /// sees there, so the first rule decides. A profile that decides about all of `socketcall` means that. So does libseccomp.
    fn multiplex(&mut self, profile: &Profile, multiplexer: &Multiplexer) {
        let call = syscalls::find(multiplexer.name).filter(|call| !profile.decides(call));
        let Some(number) = call.and_then(|call| call.number(self.architecture)) else {
            return;
        };
        for (call, is) in multiplexer.calls() {
            if let Some(first) = profile.rules_of(&call).first() {
                let (conditions, action) = (vec![is], first.action);
                let rules = self.rules.entry(number).or_default();
                rules.push(Rule { conditions, action });
            }
        }
    }

    pub(super) fn rules_of(&self, number: u32) -> &[Rule] {
        self.rules.get(&number).map_or(&[], Vec::as_slice)
    }

    pub(super) fn newest(&self) -> u32 {
        self.rules.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Without a rule. Numbers from 2^30 on are those of the x32 ABI, not newer calls.
    pub(super) fn otherwise(&self, number: u32) -> Action {
        if number > self.newest() && number < X32 {
            self.newer
        } else {
            self.default
        }
    }

    pub(super) fn answer(&self, number: u32, arguments: [u64; 6]) -> Action {
        let width = self.architecture.width();
        let holds = |rule: &&Rule| {
            let mut conditions = rule.conditions.iter();
            conditions.all(|condition| condition.holds(arguments, width))
        };
        let matching = self.rules_of(number).iter().find(holds);
        matching.map_or(self.otherwise(number), |rule| rule.action)
    }
}

/// `__X32_SYSCALL_BIT`
pub(super) const X32: u32 = 0x4000_0000;
