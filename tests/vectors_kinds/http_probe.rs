//! Where probes go, and what an exec probe's end means. What needs a socket is tested with one elsewhere.

use podlife::model::command::expand_literal;
use podlife::model::probe_target::{ExecEnd, HttpTarget, ProbeVerdict, resolve_port};
use podlife::model::{Container, EnvVar};
use serde_json::json;

use super::{Answer, Case, sockets};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "httpUrl" => {
            match HttpTarget::new(&case.read("httpGet"), &container(case), case.text("podIP")) {
                Ok(target) => Answer::Is(json!({ "url": target.to_string() })),
                Err(_) => Answer::Is(json!({ "error": true })),
            }
        }
        "resolvePort" => match resolve_port(&case.read("port"), &container(case)) {
            Ok(port) => Answer::Is(json!({ "port": port })),
            Err(_) => Answer::Is(json!({ "error": true })),
        },
        "exec" => {
            let code = case.input["exitCode"]
                .as_i64()
                .map(|code| code.try_into().unwrap());
            let is_set = |key: &str| {
                !matches!(
                    case.input.get(key),
                    None | Some(serde_json::Value::Null | serde_json::Value::Bool(false))
                )
            };
            let end = match code {
                _ if is_set("timedOut") => ExecEnd::TimedOut,
                _ if is_set("runError") => ExecEnd::NotRun,
                Some(code) => ExecEnd::Exited(code),
                None => ExecEnd::NotRun,
            };
            Answer::Is(json!({ "result": ProbeVerdict::of_exec(end).as_str() }))
        }
        "execCommand" => {
            let env: Vec<EnvVar> = case.read("env");
            Answer::Is(
                json!({ "command": expand_literal(&case.read::<Vec<String>>("command"), &env) }),
            )
        }
        op => sockets::run(op, case),
    }
}

fn container(case: &Case) -> Container {
    let mut container = Container::default();
    container.ports = case.read::<Option<_>>("ports").unwrap_or_default();
    container
}
