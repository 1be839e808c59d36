//! The verbs that answer with text.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::linux::Clock;
use podlife::node::{Delete, NodeHandle, PodId, PodRef};
use podlife::{Error, Kind, Node};

use crate::server::{Outcome, ask};
use crate::wire::{Frame, Request, send};
use crate::{apply, copy, list, logs, top};

pub(crate) fn serve(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let print = |text: String| {
        send(stream, Frame::Stdout, text.as_bytes())?;
        Ok(0)
    };
    match &*request.verb {
        "apply" => apply::apply(handle, stream, request),
        "get" => list::pods(handle, stream, request),
        "events" => list::events(handle, stream, request),
        "describe" => print(describe(handle, request)?),
        "top" => print(top::pods(handle, request)?),
        "metrics" => print(ask(handle, |node| Ok(node.metrics().to_string()))?),
        "logs" => logs::logs(handle, stream, request),
        "cp" => copy::copy(handle, request),
        "restart" => print(restart(handle, request)?),
        "delete" => delete(handle, stream, request),
        other => Err(format!("there is no verb {other:?}; see podctl help").into()),
    }
}

/// The pod that the first word names.
pub(crate) fn find<'n>(node: &'n Node, request: &Request) -> podlife::Result<PodRef<'n>> {
    match request.pods().next() {
        Some(name) => named(node, request, name),
        None => Err(Error::new(
            Kind::Invalid,
            request.verb.clone(),
            "no pod is named",
        )),
    }
}

pub(crate) fn named<'n>(
    node: &'n Node,
    request: &Request,
    name: &str,
) -> podlife::Result<PodRef<'n>> {
    let namespace = request.namespace();
    node.find(namespace, name).ok_or_else(|| {
        let attempt = format!("find the pod {namespace}/{name}");
        Error::new(Kind::NotFound, attempt, "there is none of that name")
    })
}

/// The pod and the container: the one asked for, or the pod's first.
pub(crate) fn target(node: &Node, request: &Request) -> podlife::Result<(PodId, String)> {
    let pod = find(node, request)?;
    Ok((pod.id(), container(&pod, request)))
}

pub(crate) fn container(pod: &PodRef<'_>, request: &Request) -> String {
    let first = pod.spec().spec.containers.first();
    let first = first.map(|container| container.name.clone());
    let given = request.flags.get("c").cloned();
    given.or(first).unwrap_or_default()
}

fn describe(handle: &NodeHandle, request: &Request) -> podlife::Result<String> {
    let own = request.clone();
    ask(handle, move |node| {
        let pods: Vec<PodRef<'_>> = match own.pods().next() {
            None => node.pods().collect(),
            Some(_) => {
                let named = own.pods().map(|name| named(node, &own, name));
                named.collect::<podlife::Result<_>>()?
            }
        };
        let pages = pods
            .iter()
            .map(|pod| pod.describe(Clock::wall()).to_string());
        Ok(pages.collect::<Vec<_>>().join("\n\n"))
    })
}

fn restart(handle: &NodeHandle, request: &Request) -> podlife::Result<String> {
    let own = request.clone();
    ask(handle, move |node| {
        let pod = find(node, &own)?;
        let (id, name) = (pod.id(), pod.name().to_owned());
        node.restart(id, own.flags.get("c").map(String::as_str))?;
        Ok(format!("pod/{name} restarted\n"))
    })
}

/// Waits until they are gone, unless told not to.
fn delete(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let grace = request.number("grace-period")?.map(Duration::from_secs);
    let force = request.has("force");
    let how = match force {
        true => Delete::now(),
        false => grace.map_or_else(Delete::default, Delete::within),
    };
    let own = request.clone();
    let ids = ask(handle, move |node| {
        let found = own.pods().map(|name| Ok(named(node, &own, name)?.id()));
        let ids = found.collect::<podlife::Result<Vec<PodId>>>()?;
        if ids.is_empty() {
            find(node, &own)?;
        }
        ids.iter().try_for_each(|id| node.delete(*id, how))?;
        Ok(ids)
    })?;
    let done = if force { "force deleted" } else { "deleted" };
    for name in request.pods() {
        send(
            stream,
            Frame::Stdout,
            format!("pod \"{name}\" {done}\n").as_bytes(),
        )?;
    }
    if request.flags.get("wait").map(String::as_str) != Some("false") {
        until_gone(handle, stream, &ids)?;
    }
    Ok(0)
}

fn until_gone(handle: &NodeHandle, stream: &UnixStream, ids: &[PodId]) -> Outcome {
    loop {
        let ids = ids.to_vec();
        let there = ask(handle, move |node| {
            Ok(ids.iter().any(|id| node.pod(*id).is_some()))
        })?;
        if !there || hung_up(stream, &[], 50)? {
            return Ok(0);
        }
    }
}

/// Waits for any of these, at most so many milliseconds; true if the client is gone.
pub(crate) fn hung_up(
    stream: &UnixStream,
    others: &[BorrowedFd<'_>],
    millis: u16,
) -> io::Result<bool> {
    let mut fds = vec![PollFd::new(stream.as_fd(), PollFlags::POLLHUP)];
    fds.extend(
        others
            .iter()
            .map(|other| PollFd::new(*other, PollFlags::POLLIN)),
    );
    match poll(&mut fds, PollTimeout::from(millis)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {
            Ok(fds[0].revents().is_some_and(|flags| !flags.is_empty()))
        }
        Err(errno) => Err(errno.into()),
    }
}
