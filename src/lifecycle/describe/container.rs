//! One container: what it shall run, and what it is now.

use super::page::Page;
use super::{environment, probe, shown};
use crate::model::{
    Container, ContainerPort, ContainerState, ContainerStatus, Pod, ResourceRequirements,
    SeccompProfile, SeccompProfileType,
};
use crate::time::Wall;

pub(super) fn container(
    page: &mut Page,
    pod: &Pod,
    container: &Container,
    status: Option<&ContainerStatus>,
) {
    page.line(1, format_args!("{}:", container.name));
    image(page, container, status);
    ports(page, &container.ports);
    let security = container.security_context.as_ref();
    let profile = security.and_then(|security| security.seccomp_profile.as_ref());
    seccomp(page, 2, profile);
    words(page, "Command", &container.command);
    words(page, "Args", &container.args);
    if let Some(status) = status {
        status_lines(page, status);
    }
    if let Some(own) = &container.resources {
        resources(page, 2, own);
    }
    probe::probes(page, container);
    environment::environment(page, pod, container);
    mounts(page, container);
}

fn image(page: &mut Page, container: &Container, status: Option<&ContainerStatus>) {
    if let Some(status) = status {
        page.line(
            2,
            format_args!("Container ID:\t{}", shown(&status.container_id)),
        );
    }
    page.line(2, format_args!("Image:\t{}", shown(&container.image)));
    if let Some(status) = status {
        page.line(2, format_args!("Image ID:\t{}", status.image_id));
    }
}

fn ports(page: &mut Page, ports: &[ContainerPort]) {
    let listed = |number: fn(&ContainerPort) -> i32| {
        let one = |port: &ContainerPort| {
            let protocol = port.protocol.as_ref().map_or("TCP", |word| word.as_str());
            format!("{}/{protocol}", number(port))
        };
        match ports {
            [] => "<none>".to_owned(),
            ports => ports.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    };
    let s = if ports.len() > 1 { "s" } else { "" };
    page.line(
        2,
        format_args!("Port{s}:\t{}", listed(|port| port.container_port)),
    );
    page.line(
        2,
        format_args!(
            "Host Port{s}:\t{}",
            listed(|port| port.host_port.unwrap_or(0))
        ),
    );
}

/// The pod's own stands at level 0, with its file beside it.
pub(super) fn seccomp(page: &mut Page, level: usize, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    let type_ = profile.type_.as_ref();
    page.line(
        level,
        format_args!(
            "SeccompProfile:\t{}",
            type_.map_or("", |type_| type_.as_str())
        ),
    );
    if type_ == Some(&SeccompProfileType::Localhost) {
        let file = shown(&profile.localhost_profile);
        let level = if level == 0 { 0 } else { level + 1 };
        page.line(level, format_args!("LocalhostProfile:\t{file}"));
    }
}

fn words(page: &mut Page, title: &str, words: &[String]) {
    if !words.is_empty() {
        page.line(2, format_args!("{title}:"));
    }
    for line in words.iter().flat_map(|word| word.split('\n')) {
        page.line(3, line);
    }
}

fn status_lines(page: &mut Page, status: &ContainerStatus) {
    state(page, "State", status.state.as_ref());
    let last = status.last_state.as_ref();
    if last.is_some_and(|last| last.terminated.is_some()) {
        state(page, "Last State", last);
    }
    let ready = if status.ready { "True" } else { "False" };
    page.line(2, format_args!("Ready:\t{ready}"));
    page.line(2, format_args!("Restart Count:\t{}", status.restart_count));
}

fn state(page: &mut Page, title: &str, state: Option<&ContainerState>) {
    let running = state.and_then(|state| state.running.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref());
    let reason = |page: &mut Page, title: &str, text: &Option<String>| {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            page.line(3, format_args!("{title}:\t{text}"));
        }
    };
    if let Some(running) = running {
        page.line(2, format_args!("{title}:\tRunning"));
        page.line(3, format_args!("Started:\t{}", time(running.started_at)));
    } else if let (Some(ended), None) = (ended, waiting) {
        page.line(2, format_args!("{title}:\tTerminated"));
        reason(page, "Reason", &ended.reason);
        reason(page, "Message", &ended.message);
        page.line(3, format_args!("Exit Code:\t{}", ended.exit_code));
        if let Some(signal @ 1..) = ended.signal {
            page.line(3, format_args!("Signal:\t{signal}"));
        }
        page.line(3, format_args!("Started:\t{}", time(ended.started_at)));
        page.line(3, format_args!("Finished:\t{}", time(ended.finished_at)));
    } else {
        page.line(2, format_args!("{title}:\tWaiting"));
        if let Some(waiting) = waiting {
            reason(page, "Reason", &waiting.reason);
        }
    }
}

/// A time that is not known is Go's first one.
fn time(at: Option<Wall>) -> String {
    at.map_or("Mon, 01 Jan 0001 00:00:00 +0000".to_owned(), Wall::rfc1123z)
}

pub(super) fn resources(page: &mut Page, level: usize, resources: &ResourceRequirements) {
    for (title, list) in [
        ("Limits", &resources.limits),
        ("Requests", &resources.requests),
    ] {
        if !list.is_empty() {
            page.line(level, format_args!("{title}:"));
        }
        for (name, amount) in list {
            page.line(level + 1, format_args!("{name}:\t{amount}"));
        }
    }
}

fn mounts(page: &mut Page, container: &Container) {
    let mut mounts: Vec<_> = container.volume_mounts.iter().collect();
    mounts.sort_by_key(|mount| &mount.mount_path);
    let none = if mounts.is_empty() { "\t<none>" } else { "" };
    page.line(2, format_args!("Mounts:{none}"));
    for mount in mounts {
        let flag = if mount.read_only == Some(true) {
            "ro"
        } else {
            "rw"
        };
        let path = match shown(&mount.sub_path) {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        let (at, name) = (&mount.mount_path, &mount.name);
        page.line(3, format_args!("{at} from {name} ({flag}{path})"));
    }
    let mut devices: Vec<_> = container.volume_devices.iter().collect();
    devices.sort_by_key(|device| &device.device_path);
    if !devices.is_empty() {
        page.line(2, format_args!("Devices:{none}"));
    }
    for device in devices {
        page.line(
            3,
            format_args!("{} from {}", device.device_path, device.name),
        );
    }
}
