//! `debug`: a container more in a pod, to look into it with.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use podlife::Kind;
use podlife::model::{ContainerState, EphemeralContainer};
use podlife::node::{HOST_IMAGE, LogOptions, NodeHandle, PodId, Session};

use crate::server::ask;
use crate::streams::streams;
use crate::verbs::{find, hung_up};
use crate::wire::{Frame, Request, send};

const LONG: Duration = Duration::from_secs(60);

/// What has become of it.
pub(crate) enum Debugger {
    Runs(Session),
    /// With this exit code; or nobody waits for it.
    Ended(u8),
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Adds it and, if it is to be talked to, waits until it runs or has run.
pub(crate) fn begin(
    handle: &NodeHandle,
    stream: &UnixStream,
    request: &Request,
) -> Result<Debugger> {
    let own = request.clone();
    let (id, name) = ask(handle, move |node| {
        let pod = find(node, &own)?;
        let there = &pod.spec().spec.ephemeral_containers;
        let name = own.flags.get("c").cloned();
        let name = name.unwrap_or_else(|| format!("debugger-{}", there.len()));
        let id = pod.id();
        node.debug(id, container(&own, &name))?;
        Ok((id, name))
    })?;
    if !request.has("c") {
        let text = format!("Defaulting debug container name to {name}.\n");
        send(stream, Frame::Stderr, text.as_bytes())?;
    }
    if !request.has("i") {
        return Ok(Debugger::Ended(0));
    }
    let streams = streams(request);
    let mut told = String::new();
    loop {
        let state = state(handle, id, &name)?;
        if state.running.is_some() {
            let attached = handle.attach(id, &name, streams).wait(LONG);
            match attached {
                Ok(session) => return Ok(Debugger::Runs(session)),
                // It has ended a moment ago.
                Err(why) if why.kind() == Kind::Conflict => continue,
                Err(why) => return Err(why.into()),
            }
        }
        if let Some(ended) = state.terminated {
            print(handle, stream, id, &name)?;
            return Ok(Debugger::Ended(ended.exit_code as u8));
        }
        let waiting = state.waiting.unwrap_or_default();
        let why = [waiting.reason, waiting.message]
            .map(Option::unwrap_or_default)
            .join(": ");
        if !waits(&why) && told != why {
            send(
                stream,
                Frame::Stderr,
                format!("{name} waits: {why}\n").as_bytes(),
            )?;
            told = why;
        }
        if hung_up(stream, &[], 20)? {
            return Err("nobody waits for it".into());
        }
    }
}

fn waits(why: &str) -> bool {
    ["ContainerCreating", "PodInitializing", ": "]
        .iter()
        .any(|usual| why.starts_with(usual))
}

fn container(request: &Request, name: &str) -> EphemeralContainer {
    let image = request
        .flags
        .get("image")
        .map_or(HOST_IMAGE, String::as_str);
    let mut container = EphemeralContainer::new(name, image).command(request.command.clone());
    container.target_container_name = request.flags.get("target").cloned();
    container.stdin = Some(request.has("i"));
    container.tty = Some(request.has("t"));
    container
}

fn state(handle: &NodeHandle, id: PodId, name: &str) -> Result<ContainerState> {
    let status = handle.snapshot(id).wait(LONG)?.status;
    let mut all = status.ephemeral_container_statuses.into_iter();
    let own = all.find(|one| one.name == name);
    Ok(own.and_then(|one| one.state).unwrap_or_default())
}

/// What it said, if that was all.
fn print(handle: &NodeHandle, stream: &UnixStream, id: PodId, name: &str) -> Result<()> {
    let name = name.to_owned();
    if let Ok(logs) = ask(handle, move |node| {
        node.logs(id, &name, LogOptions::default())
    }) {
        let said = std::io::read_to_string(logs)?;
        send(stream, Frame::Stdout, said.as_bytes())?;
    }
    Ok(())
}
