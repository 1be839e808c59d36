//! The streams of a container that runs.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::exec::{Theirs, do_not_block};
use super::{Held, Link, Session, Streams};
use crate::linux::pause::{Attach, Request};
use crate::model::Container;
use crate::node::PodId;
use crate::node::node::{Node, unknown};
use crate::node::resident::{Resident, key};
use crate::{Error, Kind, Result};

/// So many at once; pause serves no more.
const ATTACHED_MAX: usize = 8;

impl Node {
    /// Takes part in what a running container says and hears: what it prints from now on, its standard input if it has one
    /// (`stdin: true`), its terminal if it has one (`tty: true`).
    ///
    /// Whoever reads slowly misses something, and never makes the container or its log wait. With `stdinOnce: true` the
    /// container's standard input ends with the first session that had it, and later ones have none.
    ///
    /// # Errors
    /// There is no such pod or container, it does not run, or has no standard input or terminal although that was asked for;
    /// [`Kind::Exhausted`]: eight have attached already.
    pub fn attach(&mut self, id: PodId, container: &str, streams: Streams) -> Result<Session> {
        let session = self.session(id);
        let resident = self.pods.get_mut(&id);
        let resident = resident.ok_or_else(|| unknown("attach to a container of", id))?;
        let link = resident.begin_attach(session.number, container, streams)?;
        Ok(Session::new(link, session, self.inbox.clone()))
    }
}

impl Resident {
    fn begin_attach(
        &mut self,
        number: u64,
        container: &str,
        streams: Streams,
    ) -> Result<Arc<Link>> {
        let attempt = format!("attach to the container {container}");
        let refused = |kind, why: &str| Error::new(kind, attempt.clone(), why);
        let (index, run) = self.running(container, &attempt)?;
        let spec = self.spec(index);
        let spec = spec.ok_or_else(|| refused(Kind::NotFound, "it is not in the manifest"))?;
        let given = |field: Option<bool>| field == Some(true);
        if streams.stdin && !given(spec.stdin) {
            let error = refused(Kind::Conflict, "it has no standard input");
            return Err(error.cure("give it stdin: true"));
        }
        if streams.terminal.is_some() && !given(spec.tty) {
            return Err(refused(Kind::Conflict, "it has no terminal").cure("give it tty: true"));
        }
        let key = key(index, run);
        let (once, streams) = (hands_over(spec, streams), visible(spec, streams));
        let others = self.sessions.values().filter(|held| held.key == key);
        if others.count() >= ATTACHED_MAX {
            return Err(refused(Kind::Exhausted, "eight have attached already"));
        }
        let link = Arc::new(Link::new()?);
        let mut theirs = Theirs::default();
        theirs.open_output(&link, streams)?;
        for writer in [&theirs.stdout, &theirs.stderr].into_iter().flatten() {
            do_not_block(writer)?;
        }
        if streams.stdin || streams.terminal.is_some() {
            link.expect_input();
        }
        let ticket = self.ticket();
        let gone = || refused(Kind::Conflict, "the pod's sandbox is gone");
        let sandbox = self.sandbox.as_mut().ok_or_else(gone)?;
        sandbox.connection.send(&Request::Attach(Attach {
            ticket,
            key,
            stdout: theirs.stdout.as_ref().map(AsFd::as_fd),
            stderr: theirs.stderr.as_ref().map(AsFd::as_fd),
            once,
        }))?;
        let held = Held {
            key,
            link: link.clone(),
            plan: None,
            streams,
            ticket: Some(ticket),
            end: None,
        };
        self.sessions.insert(number, held);
        Ok(link)
    }
}

/// A pipe is given away with `stdinOnce`; a terminal stays.
fn hands_over(spec: &Container, streams: Streams) -> bool {
    streams.stdin && spec.stdin_once == Some(true) && spec.tty != Some(true)
}

/// A terminal shows errors as output.
fn visible(spec: &Container, streams: Streams) -> Streams {
    Streams {
        stderr: streams.stderr && spec.tty != Some(true),
        ..streams
    }
}
