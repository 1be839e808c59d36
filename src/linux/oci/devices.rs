//! Rules for devices as `linux.resources.devices`, and back.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use serde_json::{Value, json};

use super::mapped::unsupported;
use crate::linux::cgroup::{DeviceAccess, DeviceKind, DeviceRule, DeviceRules, Verdict};
use crate::{Error, Kind, Result};

pub(super) fn export(rules: &DeviceRules) -> Value {
    rules.rules().iter().map(one).collect()
}

fn one(rule: &DeviceRule) -> Value {
    let mut one =
        json!({ "allow": rule.verdict == Verdict::Allow, "access": rule.access.to_string() });
    if let Some(kind) = rule.kind {
        one["type"] = match kind {
            DeviceKind::Char => json!("c"),
            DeviceKind::Block => json!("b"),
        };
    }
    for (name, number) in [("major", rule.major), ("minor", rule.minor)] {
        if let Some(number) = number {
            one[name] = json!(number);
        }
    }
    one
}

/// As runc and crun have them: whatever the list says, what every container may is allowed at its end. What a bundle says nothing of
/// is what every container may.
pub(super) fn import(listed: &[LinuxDeviceCgroup]) -> Result<DeviceRules> {
    if listed.is_empty() {
        return Ok(DeviceRules::usual());
    }
    let listed = listed.iter().enumerate();
    let listed = DeviceRules::new(
        listed
            .map(|(at, rule)| rule_of(at, rule))
            .collect::<Result<Vec<_>>>()?,
    );
    Ok(
        match listed.rules().ends_with(&DeviceRules::USUAL) || listed.is_everything() {
            true => listed,
            false => DeviceRules::new(listed.rules().iter().copied().chain(DeviceRules::USUAL)),
        },
    )
}

fn rule_of(at: usize, rule: &LinuxDeviceCgroup) -> Result<DeviceRule> {
    let field = |name: &str| format!("linux.resources.devices[{at}].{name}");
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => None,
        Some(LinuxDeviceType::B) => Some(DeviceKind::Block),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(DeviceKind::Char),
        Some(LinuxDeviceType::P) => return Err(unsupported(&field("type"), "p")),
    };
    // Other programs write -1 where they mean any.
    let number = |name: &str, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| unsupported(&field(name), number)),
    };
    let access: DeviceAccess = rule
        .access()
        .as_deref()
        .unwrap_or_default()
        .parse()
        .map_err(|why| {
            Error::caused(
                Kind::Invalid,
                format!("import the field {}", field("access")),
                why,
            )
        })?;
    Ok(DeviceRule {
        verdict: match rule.allow() {
            true => Verdict::Allow,
            false => Verdict::Deny,
        },
        kind,
        major: number("major", rule.major())?,
        minor: number("minor", rule.minor())?,
        access,
    })
}
