//! `port-forward`: the client listens, and each of its connections is one to the server, which has a stream into the pod.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::model::Phase;
use podlife::node::NodeHandle;

use crate::server::{Outcome, ask};
use crate::verbs::find;
use crate::wire::{Frame, Request, receive, send};

/// One connection: after an empty frame it is bytes both ways. Without a port: whether there is such a pod, and it runs.
pub(crate) fn serve(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let own = request.clone();
    let (id, phase) = ask(handle, move |node| {
        let pod = find(node, &own)?;
        Ok((pod.id(), pod.status().phase.clone()))
    })?;
    let Some(port) = request.words.get(1) else {
        return match phase {
            Some(Phase::Running) => Ok(0),
            other => Err(format!(
                "the pod is not running: it is {}",
                other.unwrap_or_default()
            )
            .into()),
        };
    };
    let pending = handle.forward(id, port.parse()?);
    let inside = TcpStream::from(pending.wait(Duration::from_secs(10))?);
    send(stream, Frame::Stdout, &[])?;
    std::thread::scope(|scope| {
        scope.spawn(|| when_gone(stream, &inside));
        both_ways(stream, &inside);
        // Nothing more is said in frames.
        stream.shutdown(Shutdown::Both)
    })?;
    Ok(0)
}

/// A client that is gone, not only silent, takes the connection with it.
fn when_gone(stream: &UnixStream, inside: &TcpStream) {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    while poll(&mut fds, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
    let _ = inside.shutdown(Shutdown::Both);
}

/// The client's side: `podctl port-forward POD [LOCAL:]PORT…`.
pub(crate) fn listen(socket: &Path, request: &Request) -> Outcome {
    let [pod, ports @ ..] = &request.words[..] else {
        return Err("say podctl port-forward POD [LOCAL:]PORT".into());
    };
    let request = Request {
        verb: "forward".into(),
        words: vec![pod.clone()],
        ..request.clone()
    };
    let there = connect(socket, &request)?;
    drop(there);
    let mut listeners = Vec::new();
    for ports in ports {
        let (local, port) = ports.split_once(':').unwrap_or((ports, ports));
        let wrong = |what: &str| format!("{what:?} is not a port");
        let number = local.parse::<u16>().map_err(|_| wrong(local))?;
        port.parse::<u16>().map_err(|_| wrong(port))?;
        let busy = |why| format!("listen at 127.0.0.1:{local}: {why}");
        listeners.push((
            TcpListener::bind(("127.0.0.1", number)).map_err(busy)?,
            port,
        ));
    }
    std::thread::scope(|scope| {
        for (listener, port) in &listeners {
            println!("Forwarding from {} -> {port}", listener.local_addr()?);
            let words = vec![request.words[0].clone(), (*port).to_owned()];
            let request = Request {
                words,
                ..request.clone()
            };
            scope.spawn(move || accept(listener, socket, &request));
        }
        match listeners.is_empty() {
            true => Err("no port is named".into()),
            false => Ok(0),
        }
    })
}

fn accept(listener: &TcpListener, socket: &Path, request: &Request) {
    for outside in listener.incoming().flatten() {
        let (socket, request) = (socket.to_owned(), request.clone());
        std::thread::spawn(move || match connect(&socket, &request) {
            Ok(server) => both_ways(&server, &outside),
            Err(why) => eprintln!("podctl: {why}"),
        });
    }
}

fn connect(socket: &Path, request: &Request) -> io::Result<UnixStream> {
    let server = crate::client::connect(socket)?;
    request.send(&server)?;
    match receive(&server)? {
        Some((Frame::Stdout, _)) => Ok(server),
        Some((Frame::Exit, code)) if code == [0] => Ok(server),
        Some((_, why)) => {
            let why = String::from_utf8_lossy(&why);
            Err(io::Error::other(
                why.trim().trim_start_matches("podctl: ").to_owned(),
            ))
        }
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn both_ways(server: &UnixStream, other: &TcpStream) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*server, &mut &*other);
            let _ = other.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &*other, &mut &*server);
        let _ = server.shutdown(Shutdown::Write);
    });
}
