//! The verbs that answer with text.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::linux::Clock;
use podlife::model::{Documents, Pod, Valid};
use podlife::node::{Cursor, Delete, LogOptions, PodId, PodRef, Row};
use podlife::{Error, Kind, Node};

use crate::driver::Driver;
use crate::server::Outcome;
use crate::wire::{Frame, Request, send};

pub(crate) fn serve(driver: &Driver, stream: &UnixStream, request: &Request) -> Outcome {
    let print = |text: String| send(stream, Frame::Stdout, text.as_bytes());
    let own = request.clone();
    match &*request.verb {
        "get" if request.has("w") => watch(driver, stream, request)?,
        "get" => print(driver.ask(move |node| get(node, &own))?)?,
        "describe" => print(
            driver.ask(move |node| Ok(find(node, &own)?.describe(Clock::wall()).to_string()))?,
        )?,
        "events" => print(driver.ask(|node| {
            Ok(node
                .events(Cursor::START)
                .map(|event| format!("{event}\n"))
                .collect())
        })?)?,
        "top" => print(driver.ask(|node| Ok(node.metrics().to_string()))?)?,
        "apply" => print(apply(driver, request)?)?,
        "delete" => print(driver.ask(move |node| {
            let (id, name) = (find(node, &own)?.id(), own.words[0].clone());
            let seconds = own
                .flags
                .get("grace-period")
                .and_then(|text| text.parse().ok());
            let grace = seconds.map(Duration::from_secs);
            let force = own.has("force");
            node.delete(
                id,
                Delete {
                    grace,
                    force,
                    ..Delete::default()
                },
            )?;
            Ok(format!("pod \"{name}\" deleted\n"))
        })?)?,
        "logs" => logs(driver, stream, request)?,
        "cp" => print(copy(driver, request)?)?,
        other => return Err(format!("there is no verb {other:?}; see podctl help").into()),
    }
    Ok(0)
}

/// The pod that the first word names.
pub(crate) fn find<'n>(node: &'n Node, request: &Request) -> podlife::Result<PodRef<'n>> {
    let name = request
        .words
        .first()
        .map_or("", |word| word.trim_start_matches("pod/"));
    named(node, request, name)
}

fn named<'n>(node: &'n Node, request: &Request, name: &str) -> podlife::Result<PodRef<'n>> {
    let namespace = request.flags.get("n").map_or("default", String::as_str);
    let missing = || {
        let attempt = format!("find the pod {namespace}/{name}");
        Error::new(Kind::NotFound, attempt, "there is none of that name")
    };
    node.find(namespace, name).ok_or_else(missing)
}

/// The pod and the container: the one asked for, or the pod's first.
pub(crate) fn target(node: &Node, request: &Request) -> podlife::Result<(PodId, String)> {
    let pod = find(node, request)?;
    Ok((pod.id(), container(&pod, request)))
}

fn container(pod: &PodRef<'_>, request: &Request) -> String {
    let first = pod.spec().spec.containers.first();
    let given = request.flags.get("c").cloned();
    given.unwrap_or_else(|| {
        first
            .map(|container| container.name.clone())
            .unwrap_or_default()
    })
}

fn get(node: &Node, request: &Request) -> podlife::Result<String> {
    let names: Vec<_> = request
        .words
        .iter()
        .filter(|word| !["pod", "pods"].contains(&&***word))
        .collect();
    let pods = node
        .pods()
        .filter(|pod| names.is_empty() || names.iter().any(|name| *name == pod.name()));
    let now = Clock::wall();
    match request.flags.get("o").map(String::as_str) {
        Some("json") => {
            let pods: Vec<_> = pods
                .map(|pod| {
                    let mut whole = pod.spec().clone();
                    whole.status = pod.status().clone();
                    whole
                })
                .collect();
            let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": pods });
            Ok(format!("{list:#}\n"))
        }
        Some("wide") => Ok(wide(pods.map(|pod| pod.row(now)))),
        _ => {
            let rows = pods.map(|pod| format!("{}\n", pod.row(now)));
            Ok([format!("{}\n", Row::HEADER)]
                .into_iter()
                .chain(rows)
                .collect())
        }
    }
}

fn wide(rows: impl Iterator<Item = Row>) -> String {
    let header = format!("{}   IP              NODE\n", Row::HEADER);
    let lines = rows.map(|row| format!("{row}   {:<15} {}\n", row.ip, row.node));
    [header].into_iter().chain(lines).collect()
}

/// Until whoever asked hangs up.
fn watch(driver: &Driver, stream: &UnixStream, request: &Request) -> io::Result<()> {
    let mut shown = String::new();
    loop {
        let own = request.clone();
        let text = driver
            .ask(move |node| get(node, &own))
            .map_err(io::Error::other)?;
        let news: String = text
            .lines()
            .filter(|line| !shown.lines().any(|old| old == *line))
            .map(|line| format!("{line}\n"))
            .collect();
        if !news.is_empty() {
            send(stream, Frame::Stdout, news.as_bytes())?;
        }
        shown = text;
        if hung_up(stream, &[], 200)? {
            return Ok(());
        }
    }
}

/// Waits for any of these, at most so many milliseconds; true if the client is gone.
fn hung_up(stream: &UnixStream, others: &[&dyn AsFdDyn], millis: u16) -> io::Result<bool> {
    let mut fds = vec![PollFd::new(stream.as_fd(), PollFlags::POLLHUP)];
    fds.extend(
        others
            .iter()
            .map(|other| PollFd::new(other.fd(), PollFlags::POLLIN)),
    );
    match poll(&mut fds, PollTimeout::from(millis)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {
            Ok(fds[0].revents().is_some_and(|flags| !flags.is_empty()))
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Anything with a descriptor.
trait AsFdDyn {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsFdDyn for T {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

/// The client has put the manifest itself in the place of its name.
fn apply(driver: &Driver, request: &Request) -> podlife::Result<String> {
    let documents = Documents::read(request.words.first().map_or("", String::as_str))?;
    let pods = documents.pods.into_iter().map(|pod| Ok(pod.validate()?));
    let pods = pods.collect::<podlife::Result<Vec<Valid<Pod>>>>()?;
    driver.ask(move |node| {
        let mut text = String::new();
        for map in documents.config_maps {
            node.put(map)?;
        }
        for secret in documents.secrets {
            node.put(secret)?;
        }
        for pod in pods {
            let name = pod.metadata.name.clone().unwrap_or_default();
            node.create(pod)?;
            text.push_str(&format!("pod/{name} created\n"));
        }
        Ok(text)
    })
}

fn logs(driver: &Driver, stream: &UnixStream, request: &Request) -> io::Result<()> {
    let own = request.clone();
    let logs = driver.ask(move |node| {
        let (id, container) = target(node, &own)?;
        let options = LogOptions {
            follow: own.has("f"),
            previous: own.has("previous") || own.has("p"),
            timestamps: own.has("timestamps"),
            tail: own.flags.get("tail").and_then(|text| text.parse().ok()),
            ..LogOptions::default()
        };
        node.logs(id, &container, options)
    });
    let mut logs = logs.map_err(io::Error::other)?;
    let mut buffer = [0; 16 << 10];
    loop {
        match logs.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => send(stream, Frame::Stdout, &buffer[..count])?,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                if hung_up(stream, &[&logs], 1000)? {
                    return Ok(());
                }
            }
            Err(why) => return Err(why),
        }
    }
}

/// `pod:path` is in a container; the client made the other one absolute. It is copied on this connection's thread.
fn copy(driver: &Driver, request: &Request) -> podlife::Result<String> {
    let own = request.clone();
    let copy = driver.ask(move |node| {
        let usage = || {
            Error::new(
                Kind::Invalid,
                "copy",
                "say podctl cp FROM TO, one of them as pod:path",
            )
        };
        let [from, to] = &own.words[..] else {
            return Err(usage());
        };
        let inside = |name: &str| {
            let pod = named(node, &own, name)?;
            Ok::<_, Error>((pod.id(), container(&pod, &own)))
        };
        match (from.split_once(':'), to.split_once(':')) {
            (Some((name, from)), None) => {
                let (id, container) = inside(name)?;
                node.copy_out(id, &container, from, to)
            }
            (None, Some((name, to))) => {
                let (id, container) = inside(name)?;
                node.copy_in(id, &container, from, to)
            }
            _ => Err(usage()),
        }
    })?;
    let copied = copy.finish()?;
    Ok(format!("{} files, {} bytes\n", copied.files, copied.bytes))
}
