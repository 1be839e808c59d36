//! `apply`: what a file has, one after another.

use std::os::unix::net::UnixStream;

use podlife::Node;
use podlife::model::objects::Object;
use podlife::model::{Documents, Pod, Valid};
use podlife::node::NodeHandle;

use crate::server::{Outcome, ask};
use crate::wire::{Frame, Request, send};

/// The client has put the manifest itself in the place of its name. What is wrong with one object does not keep the others.
pub(crate) fn apply(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let documents = Documents::read(request.words.first().map_or("", String::as_str))?;
    let maps = documents.config_maps.into_iter().map(Object::from);
    let secrets = documents.secrets.into_iter().map(Object::from);
    let pods = documents.pods.into_iter().map(|pod| pod.validate());
    let pods = pods.collect::<Result<Vec<Valid<Pod>>, _>>()?;
    let objects = maps.chain(secrets).map(|object| {
        let what = format!("{}/{}", object.kind().to_lowercase(), object.name());
        ask(handle, |node| node.put(object)).map(|()| format!("{what} configured\n"))
    });
    let pods = pods
        .into_iter()
        .map(|pod| ask(handle, |node| put(node, pod)));
    let mut code = 0;
    for done in objects.chain(pods) {
        match done {
            Ok(text) => send(stream, Frame::Stdout, text.as_bytes())?,
            Err(why) => {
                send(stream, Frame::Stderr, format!("podctl: {why}\n").as_bytes())?;
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Creates it, or changes the one that is there.
fn put(node: &mut Node, pod: Valid<Pod>) -> podlife::Result<String> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let Some(there) = node.find(namespace, &name) else {
        node.create(pod)?;
        return Ok(format!("pod/{name} created\n"));
    };
    let (id, old) = (there.id(), there.spec());
    let mut pod = pod.edit();
    // Those that `debug` added are not in the file.
    pod.spec.ephemeral_containers = old.spec.ephemeral_containers.clone();
    let meta = |pod: &Pod| {
        (
            pod.metadata.labels.clone(),
            pod.metadata.annotations.clone(),
        )
    };
    if (&pod.spec, meta(&pod)) == (&old.spec, meta(old)) {
        return Ok(format!("pod/{name} unchanged\n"));
    }
    node.update(id, pod.validate()?)?;
    Ok(format!("pod/{name} configured\n"))
}
