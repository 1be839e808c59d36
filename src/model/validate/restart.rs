//! A container's own restart policy and its rules (KEP-5307).

use super::super::container::{
    Container, ContainerRestartPolicy, ContainerRestartRule, RestartRuleAction, RestartRuleOperator,
};
use super::super::path::Path;
use super::Findings;

const RULES_MAX: usize = 20;
const CODES_MAX: usize = 255;

pub(super) fn restart_policy(container: &Container, at: &Path<'_>, found: &mut Findings) {
    match &container.restart_policy {
        Some(policy) => found.known(
            at.field("restartPolicy"),
            policy.as_str(),
            ContainerRestartPolicy::KNOWN,
        ),
        None if container.restart_policy_rules.is_empty() => {}
        None => found.required(
            at.field("restartPolicy"),
            "restartPolicyRules are exceptions to it",
        ),
    }
    let list = at.field("restartPolicyRules");
    if container.restart_policy_rules.len() > RULES_MAX {
        found.too_many(list, RULES_MAX);
    }
    for (i, one) in container.restart_policy_rules.iter().enumerate() {
        rule(one, &list.index(i), found);
    }
}

fn rule(rule: &ContainerRestartRule, at: &Path<'_>, found: &mut Findings) {
    let action = rule.action.as_ref().map(RestartRuleAction::as_str);
    found.required_known(at.field("action"), action, RestartRuleAction::KNOWN);
    let field = at.field("exitCodes");
    let Some(codes) = &rule.exit_codes else {
        return found.required(field, "which exit codes the rule is for");
    };
    let operator = codes.operator.as_ref().map(RestartRuleOperator::as_str);
    found.required_known(
        field.field("operator"),
        operator,
        RestartRuleOperator::KNOWN,
    );
    if codes.values.is_empty() {
        found.required(field.field("values"), "at least one exit code");
    } else if codes.values.len() > CODES_MAX {
        found.too_many(field.field("values"), CODES_MAX);
    }
}
