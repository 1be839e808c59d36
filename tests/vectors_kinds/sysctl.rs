//! Which kernel parameters a pod may set.

use podlife::model::Pod;
use podlife::model::sysctl::{
    Allowlist, KernelVersion, SysctlNamespace, namespace_of, normalize, safe,
};
use serde_json::json;

use super::{Answer, Case, sorted};

/// Where the case names no kernel: one with everything.
const KERNEL: KernelVersion = (6, 12);

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "allowlist" => {
            let patterns: Vec<String> = case.read_or_default("patterns");
            Answer::Is(json!({ "ok": Allowlist::new(KERNEL, &patterns).is_ok() }))
        }
        "admit" => admit(case),
        "safeList" => {
            let numbers = case.text("kernel").split(|c: char| !c.is_ascii_digit());
            let mut numbers = numbers.map(|number| number.parse().unwrap_or_default());
            let mut next = || numbers.next().unwrap_or_default();
            let names: Vec<&str> = safe((next(), next())).collect();
            let got = json!({ "names": names });
            Answer::Judged(sorted(&case.expect["names"]) == sorted(&got["names"]), got)
        }
        "normalize" => Answer::Is(json!({ "name": normalize(case.text("name")) })),
        "namespaceOf" => {
            let namespace = namespace_of(case.text("name")).map(|namespace| match namespace {
                SysctlNamespace::Ipc => "ipc",
                SysctlNamespace::Net => "net",
            });
            Answer::Is(json!({ "namespace": namespace }))
        }
        _ => Answer::UnknownOp,
    }
}

fn admit(case: &Case) -> Answer {
    let patterns: Vec<String> = case.read_or_default("allowedUnsafeSysctls");
    let pod: Pod = case.read("pod");
    let list = Allowlist::new(KERNEL, &patterns).unwrap();
    let spec = &pod.spec;
    let sysctls = spec
        .security_context
        .as_ref()
        .map(|context| context.sysctls.as_slice())
        .unwrap_or_default();
    let refusal = list
        .admit_all(
            sysctls,
            spec.host_network == Some(true),
            spec.host_ipc == Some(true),
        )
        .err();
    Answer::Covers(match refusal {
        None => json!({ "admit": true }),
        Some(_) => json!({ "admit": false, "reason": podlife::model::sysctl::FORBIDDEN }),
    })
}
