//! Ports, and ports that clash.

use std::collections::BTreeSet;

use super::super::container::{Container, ContainerPort, Protocol};
use super::super::meta::IntOrString;
use super::super::path::Path;
use super::{Findings, name, text};

const RANGE: &str = "use a number from 1 to 65535";

pub(super) fn ports(ports: &[ContainerPort], at: &Path<'_>, found: &mut Findings) {
    let mut names = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        let own = text(&port.name);
        if !own.is_empty() {
            match name::port(own) {
                Some(detail) => found.invalid(at.field("name"), own, detail),
                None if !names.insert(own) => {
                    found.duplicate(at.field("name"), own, "each port has its own name")
                }
                None => {}
            }
        }
        match port.container_port {
            0 => found.required(at.field("containerPort"), RANGE),
            port => number(port, at.field("containerPort"), found),
        }
        if let Some(port) = port.host_port.filter(|&port| port != 0) {
            number(port, at.field("hostPort"), found);
        }
        let protocol = port.protocol.as_ref().map(Protocol::as_str);
        found.required_known(at.field("protocol"), protocol, Protocol::KNOWN);
    }
}

fn number(port: i32, at: Path<'_>, found: &mut Findings) {
    if !(1..=65535).contains(&port) {
        found.invalid(at, port, RANGE);
    }
}

/// A port by number or name. A name need not exist: a probe of a port that does not simply fails.
pub(super) fn port_or_name(port: &IntOrString, at: Path<'_>, found: &mut Findings) {
    match port {
        IntOrString::Int(port) => number(*port, at, found),
        IntOrString::String(port) => found.name(at, port, name::port),
    }
}

/// Host ports that two of the containers want at the same address. Indexes count from `first`.
pub(super) fn host_port_clashes(
    containers: &[Container],
    first: usize,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let mut taken = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in container.ports.iter().enumerate() {
            let Some(number) = port.host_port.filter(|&number| number != 0) else {
                continue;
            };
            let (protocol, address) = (
                port.protocol.as_ref().map(Protocol::as_str),
                text(&port.host_ip),
            );
            if !taken.insert((protocol, address, number)) {
                let at = at.index(first + i);
                let ports = at.field("ports");
                let at = ports.index(j);
                found.duplicate(
                    at.field("hostPort"),
                    number,
                    "another port of the pod has it",
                );
            }
        }
    }
}

/// On the host's network a port is the host's port.
pub(super) fn host_network_ports(containers: &[Container], at: &Path<'_>, found: &mut Findings) {
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in container.ports.iter().enumerate() {
            let host_port = port.host_port.unwrap_or(0);
            if host_port != port.container_port {
                let at = at.index(i);
                let ports = at.field("ports");
                let at = ports.index(j);
                found.invalid(
                    at.field("hostPort"),
                    host_port,
                    "with hostNetwork it has to equal containerPort",
                );
            }
        }
    }
}
