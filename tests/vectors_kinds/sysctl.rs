//! Which kernel parameters a pod may set.

use podlife::model::Pod;
use podlife::model::sysctl::{
    Allowlist, KernelVersion, SysctlNamespace, namespace_of, normalize, safe,
};
use serde_json::json;

use super::{Answer, Case};

/// Where the case names no kernel: one with everything.
const KERNEL: KernelVersion = (6, 12);

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "allowlist" => {
            let patterns: Vec<String> = case.read("patterns");
            Answer::Is(json!({ "ok": Allowlist::new(KERNEL, &patterns).is_ok() }))
        }
        "admit" => admit(case),
        "safeList" => {
            let (major, minor) = case.text("kernel").split_once('.').unwrap();
            let minor = minor.split('.').next().unwrap();
            let names: Vec<&str> = safe((major.parse().unwrap(), minor.parse().unwrap())).collect();
            Answer::Is(json!({ "names": names }))
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
    let patterns: Vec<String> = case.read("allowedUnsafeSysctls");
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
