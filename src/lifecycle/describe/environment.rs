//! A container's environment. What comes from a ConfigMap or Secret is named, not shown.

use super::page::Page;
use super::shown;
use crate::model::ResourceList;
use crate::model::field_path::resource_field;
use crate::model::{Container, EnvFromSource, EnvVar, EnvVarSource, Pod};

pub(super) fn environment(page: &mut Page, pod: &Pod, container: &Container) {
    if !container.env_from.is_empty() {
        page.line(2, "Environment Variables from:");
    }
    for source in &container.env_from {
        whole(page, source);
    }
    let none = if container.env.is_empty() {
        "\t<none>"
    } else {
        ""
    };
    page.line(2, format_args!("Environment:{none}"));
    for variable in &container.env {
        match &variable.value_from {
            None => plain(page, variable),
            Some(source) => {
                if let Some(text) = from(pod, container, source) {
                    page.line(3, format_args!("{}:\t{text}", variable.name));
                }
            }
        }
    }
}

fn whole(page: &mut Page, source: &EnvFromSource) {
    let (from, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(map), _) => ("ConfigMap", &*map.name, map.optional),
        (None, Some(secret)) => ("Secret", &*secret.name, secret.optional),
        (None, None) => ("", "", None),
    };
    let prefix = match shown(&source.prefix) {
        "" => String::new(),
        prefix => format!(" with prefix '{prefix}'"),
    };
    let optional = optional == Some(true);
    page.line(
        3,
        format_args!("{name}\t{from}{prefix}\tOptional: {optional}"),
    );
}

fn plain(page: &mut Page, variable: &EnvVar) {
    let mut lines = shown(&variable.value).split('\n');
    let first = lines.next().unwrap_or_default();
    page.line(3, format_args!("{}:\t{first}", variable.name));
    lines.for_each(|line| page.line(3, format_args!("\t{line}")));
}

fn from(pod: &Pod, container: &Container, source: &EnvVarSource) -> Option<String> {
    if let Some(field) = &source.field_ref {
        // kubectl knows no other field's value.
        let meta = &pod.metadata;
        let value = match &*field.field_path {
            "metadata.name" => shown(&meta.name),
            "metadata.namespace" => shown(&meta.namespace),
            _ => "",
        };
        let version = field.api_version.as_deref().unwrap_or("v1");
        return Some(format!("{value} ({version}:{})", field.field_path));
    }
    if let Some(selector) = &source.resource_field_ref {
        let own = resource_field(container, selector, &ResourceList::new());
        let is_limit = ["limits.cpu", "limits.memory"].contains(&&*selector.resource);
        let value = match own.unwrap_or_default() {
            zero if zero == "0" && is_limit => "node allocatable".to_owned(),
            value => value,
        };
        return Some(format!("{value} ({})", selector.resource));
    }
    if let Some(key) = &source.secret_key_ref {
        let optional = key.optional == Some(true);
        let (key, name) = (&key.key, &key.name);
        return Some(format!(
            "<set to the key '{key}' in secret '{name}'>\tOptional: {optional}"
        ));
    }
    let key = source.config_map_key_ref.as_ref()?;
    let optional = key.optional == Some(true);
    let (key, name) = (&key.key, &key.name);
    Some(format!(
        "<set to the key '{key}' of config map '{name}'>\tOptional: {optional}"
    ))
}
