//! Environments, and the fields that go into them.

use std::collections::BTreeMap;

use podlife::model::environment::{EnvironmentSources, sub_path};
use podlife::model::field_path::{Addresses, metadata_field, resource_field, split};
use podlife::model::{Container, Pod, ResourceFieldSelector};
use serde_json::{Value, json};

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "containerEnv" => or_error(container_env(case).map(|env| json!({ "env": env }))),
        "fieldPath" => or_error(
            metadata_field(&case.read("pod"), case.text("fieldPath"))
                .map(|value| json!({ "value": value })),
        ),
        "splitFieldPath" => Answer::Covers(match split(case.text("fieldPath")) {
            Some((path, key)) => json!({ "subscripted": true, "path": path, "subscript": key }),
            None => {
                json!({ "subscripted": false, "path": case.text("fieldPath"), "subscript": "" })
            }
        }),
        "resourceField" => {
            let pod: Pod = case.read("pod");
            let selector: ResourceFieldSelector = case.read("selector");
            let allocatable = case.read_or_default("nodeAllocatable");
            let container = named(
                &pod,
                selector
                    .container_name
                    .as_deref()
                    .unwrap_or_else(|| case.text("container")),
            );
            let value = resource_field(container, &selector, &allocatable);
            or_error(value.map(|value| json!({ "value": value })))
        }
        "subPathExpr" => or_error(
            sub_path(case.text("subPathExpr"), &case.read_or_default("env"))
                .map(|value| json!({ "value": value })),
        ),
        _ => Answer::UnknownOp,
    }
}

fn container_env(case: &Case) -> podlife::Result<BTreeMap<String, String>> {
    let pod: Pod = case.read("pod");
    let (pod_ips, host_ips): (Vec<String>, Vec<String>) = (
        case.read_or_default("podIPs"),
        case.read_or_default("hostIPs"),
    );
    let sources = EnvironmentSources {
        pod: &pod,
        addresses: Addresses {
            pod: &pod_ips,
            host: &host_ips,
        },
        objects: &case.objects(),
        allocatable: &case.read_or_default("nodeAllocatable"),
    };
    sources.environment(named(&pod, case.text("container")))
}

fn named<'p>(pod: &'p Pod, name: &str) -> &'p Container {
    let mut containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    containers.find(|container| container.name == name).unwrap()
}

fn or_error(answer: podlife::Result<Value>) -> Answer {
    Answer::Is(answer.unwrap_or(json!({ "error": true })))
}
