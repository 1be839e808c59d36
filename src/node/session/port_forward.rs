//! A listener whose connections go into a pod.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::linux::Reactor;
use crate::linux::reactor::{Interest, Token};
use crate::node::Pending;
use crate::{Error, Result};

/// Bytes on their way in one direction.
const BUFFER: usize = 64 << 10;
const LISTENER: Token = Token(0);

/// Copies between the connections that a listener gets and streams into a pod, both ways and without blocking: what
/// `kubectl port-forward` does.
///
/// Whenever its descriptor ([`AsFd`]) is readable, call [`serve`](PortForward::serve). Dropping it closes all connections.
///
/// ```no_run
/// use podlife::node::PortForward;
/// use std::net::TcpListener;
/// # let mut node = podlife::Node::ephemeral()?;
/// # let pod = node.find("default", "web").unwrap().id();
/// let mut forward = PortForward::new(TcpListener::bind("127.0.0.1:8080")?)?;
/// loop {
///     node.turn_or(&forward, None)?;
///     forward.serve(|| node.forward(pod, 80))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PortForward {
    listener: TcpListener,
    reactor: Reactor,
    pairs: BTreeMap<u64, Pair>,
    pairs_made: u64,
}

/// A connection, and the stream it is copied to.
#[derive(Debug)]
struct Pair {
    outside: End,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    Coming(Pending<OwnedFd>),
    Here(End),
}

/// One socket, and what was read from it but not yet written to the other.
#[derive(Debug)]
struct End {
    stream: TcpStream,
    token: Token,
    watched: Option<Interest>,
    buffer: Vec<u8>,
    /// Nothing more comes from it.
    ended: bool,
    /// The other one was told so.
    told: bool,
}

impl PortForward {
    /// For connections to `listener`, which becomes non-blocking.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn new(listener: TcpListener) -> Result<PortForward> {
        let failed = |why| Error::io("listen for connections", why);
        listener.set_nonblocking(true).map_err(failed)?;
        let reactor = Reactor::new()?;
        reactor.add(&listener, Interest::Read, LISTENER)?;
        Ok(PortForward {
            listener,
            reactor,
            pairs: BTreeMap::new(),
            pairs_made: 0,
        })
    }

    /// Does what there is to do: takes connections, has `connect` make a stream for each ([`Node::forward`](crate::Node::forward),
    /// [`NodeHandle::forward`](crate::node::NodeHandle::forward)), copies. A connection whose stream cannot be made is closed,
    /// and its error is among those returned.
    ///
    /// # Errors
    /// Its own descriptors fail.
    pub fn serve(
        &mut self,
        mut connect: impl FnMut() -> Result<Pending<OwnedFd>>,
    ) -> Result<Vec<Error>> {
        let mut ready = Vec::new();
        self.reactor
            .wait(Some(std::time::Duration::ZERO), &mut ready)?;
        let mut errors = Vec::new();
        for ready in ready {
            let done = match ready.token {
                LISTENER => self.accept(&mut connect),
                Token(token) => self.advance(token / 2),
            };
            errors.extend(done.err());
        }
        Ok(errors)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.pairs.len()
    }

    fn accept(&mut self, connect: &mut impl FnMut() -> Result<Pending<OwnedFd>>) -> Result<()> {
        let failed = |why| Error::io("take a connection", why);
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(why) => return Err(failed(why)),
        };
        let pending = connect()?;
        self.pairs_made += 1;
        let number = self.pairs_made;
        if let Some(fd) = pending.fd() {
            self.reactor
                .add(fd, Interest::Read, Token(2 * number + 1))?;
        }
        let pair = Pair {
            outside: End::new(stream, Token(2 * number))?,
            inside: Inside::Coming(pending),
        };
        self.pairs.insert(number, pair);
        Ok(())
    }

    fn advance(&mut self, number: u64) -> Result<()> {
        let Some(mut pair) = self.pairs.remove(&number) else {
            return Ok(());
        };
        let open = pair
            .meet(&self.reactor, number)
            .and_then(|()| pair.copy(&self.reactor));
        match open {
            Ok(true) => drop(self.pairs.insert(number, pair)),
            // Closed, the descriptors leave the reactor by themselves.
            Ok(false) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Pair {
    /// Takes the stream when it is there.
    fn meet(&mut self, reactor: &Reactor, number: u64) -> Result<()> {
        let Inside::Coming(pending) = &mut self.inside else {
            return Ok(());
        };
        let Some(answer) = pending.try_take() else {
            return Ok(());
        };
        if let Some(fd) = pending.fd() {
            reactor.remove(fd)?;
        }
        let stream = TcpStream::from(answer?);
        self.inside = Inside::Here(End::new(stream, Token(2 * number + 1))?);
        Ok(())
    }

    /// Copies what is there; false when both have ended.
    fn copy(&mut self, reactor: &Reactor) -> Result<bool> {
        let Inside::Here(inside) = &mut self.inside else {
            return Ok(true);
        };
        let outside = &mut self.outside;
        let moved = outside.give(inside).and_then(|()| inside.give(outside));
        // Whoever is cut off takes the other along.
        if moved.is_err() || outside.told && inside.told {
            return Ok(false);
        }
        let wanted = [outside.interest(inside), inside.interest(outside)];
        outside.watch(reactor, wanted[0])?;
        inside.watch(reactor, wanted[1])?;
        Ok(true)
    }
}

impl End {
    fn new(stream: TcpStream, token: Token) -> Result<End> {
        stream
            .set_nonblocking(true)
            .map_err(|why| Error::io("forward a connection", why))?;
        Ok(End {
            stream,
            token,
            watched: None,
            buffer: Vec::new(),
            ended: false,
            told: false,
        })
    }

    /// Moves what it has to the other: one buffer full at most.
    fn give(&mut self, other: &mut End) -> io::Result<()> {
        if !self.ended && self.buffer.is_empty() {
            self.buffer.resize(BUFFER, 0);
            let read = settled((&self.stream).read(&mut self.buffer));
            self.buffer
                .truncate(*read.as_ref().ok().and_then(Option::as_ref).unwrap_or(&0));
            self.ended = read? == Some(0);
        }
        while !self.buffer.is_empty() {
            match settled((&other.stream).write(&self.buffer))? {
                Some(count) => drop(self.buffer.drain(..count)),
                None => return Ok(()),
            }
        }
        if self.ended && !self.told {
            self.told = true;
            // It may have gone by itself.
            let _ = other.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// What to wait for: more from it, or room for what the other has.
    fn interest(&self, other: &End) -> Option<Interest> {
        match (
            !self.ended && self.buffer.is_empty(),
            !other.buffer.is_empty(),
        ) {
            (true, true) => Some(Interest::ReadWrite),
            (true, false) => Some(Interest::Read),
            (false, true) => Some(Interest::Write),
            (false, false) => None,
        }
    }

    fn watch(&mut self, reactor: &Reactor, wanted: Option<Interest>) -> Result<()> {
        match (self.watched, wanted) {
            (None, Some(interest)) => reactor.add(&self.stream, interest, self.token)?,
            (Some(_), Some(interest)) => reactor.modify(&self.stream, interest, self.token)?,
            (Some(_), None) => reactor.remove(&self.stream)?,
            (None, None) => {}
        }
        self.watched = wanted;
        Ok(())
    }
}

/// None: not now.
fn settled(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(why)
            if matches!(
                why.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Ok(None)
        }
        Err(why) => Err(why),
    }
}

/// Readable when [`PortForward::serve`] has something to do.
impl AsFd for PortForward {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reactor.as_fd()
    }
}
