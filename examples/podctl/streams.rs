//! `exec`, `attach` and `debug`: frames to a session, and a session to frames. The session is this connection's thread's own.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::node::{Exec, NodeHandle, Session, Stream, Streams, TerminalSize};

use crate::debug::{self, Debugger};
use crate::server::{Outcome, ask};
use crate::verbs::target;
use crate::wire::{Frame, Request, receive, send};

pub(crate) fn serve(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let streams = streams(request);
    let own = request.clone();
    let session = match &*request.verb {
        "exec" if request.command.is_empty() => {
            return Err("say podctl exec POD -- COMMAND".into());
        }
        "exec" => ask(handle, move |node| {
            let (id, container) = target(node, &own)?;
            let mut exec = Exec::new(own.command);
            exec.streams = streams;
            node.exec(id, &container, exec)
        })?,
        "attach" => ask(handle, move |node| {
            let (id, container) = target(node, &own)?;
            node.attach(id, &container, streams)
        })?,
        _ => match debug::begin(handle, stream, request)? {
            Debugger::Ended(code) => return Ok(code),
            Debugger::Runs(session) => session,
        },
    };
    let code = relay(session, stream)?;
    if code != 0 {
        let text = format!("command terminated with exit code {code}\n");
        send(stream, Frame::Stderr, text.as_bytes())?;
    }
    Ok(code)
}

pub(crate) fn streams(request: &Request) -> Streams {
    Streams {
        stdin: request.has("i"),
        terminal: request.has("t").then(TerminalSize::default),
        ..Streams::default()
    }
}

fn relay(session: Session, stream: &UnixStream) -> Outcome {
    let mut relay = Relay {
        session,
        unwritten: Vec::new(),
        size: None,
        closing: false,
    };
    loop {
        let end = relay.session.end();
        relay.take_output(stream)?;
        if let Some(end) = end {
            return Ok(end?.code() as u8);
        }
        relay.give_input();
        if relay.wait(stream)? && !relay.take_frame(stream)? {
            // Whoever asked is gone: dropping the session ends the program.
            return Ok(1);
        }
    }
}

struct Relay {
    session: Session,
    /// Typed, but there was no room for it.
    unwritten: Vec<u8>,
    /// What the terminal shall be, as soon as it is there.
    size: Option<TerminalSize>,
    closing: bool,
}

impl Relay {
    fn take_output(&self, stream: &UnixStream) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        for (from, frame) in [
            (Stream::Stdout, Frame::Stdout),
            (Stream::Stderr, Frame::Stderr),
        ] {
            while let Ok(count @ 1..) = self.session.read(from, &mut buffer) {
                send(stream, frame, &buffer[..count])?;
            }
        }
        Ok(())
    }

    fn give_input(&mut self) {
        if self
            .size
            .is_some_and(|size| self.session.resize(size).is_ok())
        {
            self.size = None;
        }
        while !self.unwritten.is_empty() {
            match self.session.write(&self.unwritten) {
                Ok(count) => drop(self.unwritten.drain(..count)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
                // It does not read any more.
                Err(_) => self.unwritten.clear(),
            }
        }
        if self.closing {
            self.session.close_stdin();
        }
    }

    /// True if the client has said something. It is not asked while there is no room for more.
    fn wait(&self, stream: &UnixStream) -> io::Result<bool> {
        let heard = match self.unwritten.is_empty() {
            true => PollFlags::POLLIN,
            false => PollFlags::POLLHUP,
        };
        let mut fds = [
            PollFd::new(stream.as_fd(), heard),
            PollFd::new(self.session.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => Ok(fds[0].revents().is_some_and(|flags| !flags.is_empty())),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// False when the client is gone.
    fn take_frame(&mut self, stream: &UnixStream) -> io::Result<bool> {
        match receive(stream)? {
            None => return Ok(false),
            Some((Frame::Stdin, bytes)) if bytes.is_empty() => self.closing = true,
            Some((Frame::Stdin, bytes)) => self.unwritten.extend(bytes),
            Some((Frame::Resize, bytes)) if bytes.len() == 4 => {
                self.size = Some(TerminalSize {
                    rows: u16::from_be_bytes([bytes[0], bytes[1]]),
                    columns: u16::from_be_bytes([bytes[2], bytes[3]]),
                });
            }
            Some(_) => {}
        }
        Ok(true)
    }
}
