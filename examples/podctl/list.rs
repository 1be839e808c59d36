//! `get` and `events`: tables, and what is added to them as it happens.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use podlife::lifecycle::rules::column::{Table, age};
use podlife::linux::Clock;
use podlife::node::{Cursor, Event, EventKind, NodeHandle, PodId, PodRef, Row, Watch};
use podlife::{Error, Kind, Node};

use crate::server::{Outcome, ask};
use crate::verbs::{hung_up, named};
use crate::wire::{Frame, Request, send};

pub(crate) fn pods(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    if request.has("w") {
        return watch_pods(handle, stream, request);
    }
    let own = request.clone();
    let namespace = request.namespace();
    match ask(handle, move |node| table(node, &own))? {
        Some(text) => send(stream, Frame::Stdout, text.as_bytes())?,
        None => {
            let none = format!("No resources found in {namespace} namespace.\n");
            send(stream, Frame::Stderr, none.as_bytes())?;
        }
    }
    Ok(0)
}

fn chosen<'n>(node: &'n Node, request: &Request) -> podlife::Result<Vec<PodRef<'n>>> {
    let here = |pod: &PodRef<'_>| request.has("A") || pod.namespace() == request.namespace();
    match request.pods().next() {
        None => Ok(node.pods().filter(here).collect()),
        Some(_) => request
            .pods()
            .map(|name| named(node, request, name))
            .collect(),
    }
}

fn table(node: &Node, request: &Request) -> podlife::Result<Option<String>> {
    let pods = chosen(node, request)?;
    let wide = match request.flags.get("o").map(String::as_str) {
        Some("json") => return Ok(Some(json(&pods, request))),
        Some("wide") => true,
        None => false,
        Some(other) => {
            let attempt = format!("print pods as {other}");
            return Err(Error::new(
                Kind::Invalid,
                attempt,
                "there are wide and json",
            ));
        }
    };
    let now = Clock::wall();
    let rows: Vec<Row> = pods.iter().map(|pod| pod.row(now)).collect();
    let table = Table { rows: &rows, wide };
    Ok((!rows.is_empty()).then(|| table.to_string()))
}

/// The one that was named, or a list.
fn json(pods: &[PodRef<'_>], request: &Request) -> String {
    let whole = pods.iter().map(|pod| {
        let mut whole = pod.spec().clone();
        whole.status = pod.status().clone();
        whole
    });
    let items: Vec<_> = whole.collect();
    if let ([one], true) = (&items[..], request.pods().next().is_some()) {
        return serde_json::to_string_pretty(one)
            .map_or_else(|why| why.to_string(), |text| text + "\n");
    }
    format!(
        "{:#}\n",
        serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items })
    )
}

/// The next event, if one comes soon; none when the client or the Node is gone.
fn next(watch: &mut Watch, stream: &UnixStream) -> std::io::Result<Option<Event>> {
    loop {
        if hung_up(stream, &[], 0)? {
            return Ok(None);
        }
        if let Some(event) = watch.next_timeout(Duration::from_millis(200)) {
            return Ok(Some(event));
        }
    }
}

/// A line for each row whenever it changes in more than its age.
fn watch_pods(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let mut watch = handle.watch(Cursor::START);
    let mut shown = BTreeMap::new();
    send(
        stream,
        Frame::Stdout,
        format!("{}\n", Row::HEADER).as_bytes(),
    )?;
    loop {
        let own = request.clone();
        let rows = ask(handle, move |node| {
            let here = |pod: &PodRef<'_>| pod.namespace() == own.namespace();
            let asked = |pod: &PodRef<'_>| {
                own.pods().next().is_none() || own.pods().any(|name| name == pod.name())
            };
            let pods = node.pods().filter(|pod| here(pod) && asked(pod));
            Ok(pods
                .map(|pod| (pod.id(), pod.row(Clock::wall())))
                .collect::<Vec<(PodId, Row)>>())
        })?;
        for (id, row) in rows {
            let cells = [&row.ready, &row.status, &row.restarts].map(String::clone);
            if shown.insert(id, cells.clone()).as_ref() != Some(&cells) {
                send(stream, Frame::Stdout, format!("{row}\n").as_bytes())?;
            }
        }
        if next(&mut watch, stream)?.is_none() {
            return Ok(0);
        }
    }
}

pub(crate) fn events(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let own = request.clone();
    let is_asked = move |event: &Event| {
        let pod = own
            .flags
            .get("for")
            .map(|name| name.trim_start_matches("pod/"));
        pod.is_none_or(|name| &*event.name.name == name)
    };
    let head = "LAST SEEN   TYPE      REASON                   OBJECT                 MESSAGE\n";
    if request.has("w") {
        let mut watch = handle.watch(Cursor::START);
        send(stream, Frame::Stdout, head.as_bytes())?;
        while let Some(event) = next(&mut watch, stream)? {
            if is_asked(&event) {
                send(stream, Frame::Stdout, line(&event).as_bytes())?;
            }
        }
        return Ok(0);
    }
    let lines = ask(handle, move |node| {
        let events = node.events(Cursor::START).filter(is_asked);
        Ok(events.map(|event| line(&event)).collect::<String>())
    })?;
    match &*lines {
        "" => send(stream, Frame::Stderr, b"No events found.\n")?,
        lines => send(stream, Frame::Stdout, format!("{head}{lines}").as_bytes())?,
    }
    Ok(0)
}

fn line(event: &Event) -> String {
    let seen = age(Some(event.at.wall), Clock::wall());
    let (type_, reason) = (event.event_type(), event.reason());
    let kind = match event.kind {
        EventKind::FailedManifest(_) => "file",
        _ => "pod",
    };
    let object = format!("{kind}/{}", event.name.name);
    let message = event.message();
    format!("{seen:<9}   {type_:<7}   {reason:<22}   {object:<20}   {message}\n")
}
