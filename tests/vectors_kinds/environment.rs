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
            let allocatable: Option<_> = case.read("nodeAllocatable");
            let container = named(
                &pod,
                selector
                    .container_name
                    .as_deref()
                    .unwrap_or_else(|| case.text("container")),
            );
            let value = resource_field(container, &selector, &allocatable.unwrap_or_default());
            or_error(value.map(|value| json!({ "value": value })))
        }
        "subPathExpr" => or_error(
            sub_path(case.text("subPathExpr"), &case.read("env"))
                .map(|value| json!({ "value": value })),
        ),
        _ => Answer::UnknownOp,
    }
}

fn container_env(case: &Case) -> podlife::Result<BTreeMap<String, String>> {
    let pod: Pod = case.read("pod");
    let (pod_ips, host_ips): (Option<Vec<String>>, Option<Vec<String>>) =
        (case.read("podIPs"), case.read("hostIPs"));
    let sources = EnvironmentSources {
        pod: &pod,
        addresses: Addresses {
            pod: &pod_ips.unwrap_or_default(),
            host: &host_ips.unwrap_or_default(),
        },
        objects: &case.objects(),
        allocatable: &case
            .read::<Option<_>>("nodeAllocatable")
            .unwrap_or_default(),
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
