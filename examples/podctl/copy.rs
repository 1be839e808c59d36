//! `cp`, done on the thread of its connection.

use podlife::node::NodeHandle;
use podlife::{Error, Kind};

use crate::server::{Outcome, ask};
use crate::verbs::{container, named};
use crate::wire::Request;

/// `pod:path` is in a container; the client made the other one absolute.
pub(crate) fn copy(handle: &NodeHandle, request: &Request) -> Outcome {
    let own = request.clone();
    let copy = ask(handle, move |node| {
        let usage = || {
            let how = "say podctl cp FROM TO, one of them as pod:path";
            Error::new(Kind::Invalid, "copy", how)
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
    copy.finish()?;
    Ok(0)
}
