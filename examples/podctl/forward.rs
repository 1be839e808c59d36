//! `port-forward`: the client listens, and each of its connections is one to the server, which has a stream into the pod.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::driver::Driver;
use crate::server::Outcome;
use crate::verbs::find;
use crate::wire::{Frame, Request, receive, send};

/// One connection: after an empty frame it is bytes both ways.
pub(crate) fn serve(driver: &Driver, stream: &UnixStream, request: &Request) -> Outcome {
    let own = request.clone();
    let port = request
        .words
        .get(1)
        .map_or("", String::as_str)
        .parse::<u16>()?;
    let pending = driver.ask(move |node| {
        let id = find(node, &own)?.id();
        node.forward(id, port)
    })?;
    let inside = TcpStream::from(pending.wait(Duration::from_secs(10))?);
    send(stream, Frame::Stdout, &[])?;
    both_ways(stream, &inside);
    // Nothing more is said in frames.
    stream.shutdown(Shutdown::Both)?;
    Ok(0)
}

/// The client's side: `podctl port-forward POD [LOCAL:]PORT`.
pub(crate) fn listen(socket: &Path, request: &Request) -> Outcome {
    let [pod, ports] = &request.words[..] else {
        return Err("say podctl port-forward POD [LOCAL:]PORT".into());
    };
    let (local, port) = ports.split_once(':').unwrap_or((ports, ports));
    let listener = TcpListener::bind(("127.0.0.1", local.parse()?))?;
    println!("Forwarding from {} -> {port}", listener.local_addr()?);
    let request = Request {
        verb: "forward".into(),
        words: vec![pod.clone(), port.into()],
        ..request.clone()
    };
    for outside in listener.incoming() {
        let (outside, server) = (outside?, UnixStream::connect(socket)?);
        let request = request.clone();
        std::thread::spawn(move || match connect(&server, &request) {
            Ok(()) => both_ways(&server, &outside),
            Err(why) => eprint!("{why}"),
        });
    }
    Ok(0)
}

fn connect(server: &UnixStream, request: &Request) -> io::Result<()> {
    request.send(server)?;
    match receive(server)? {
        Some((Frame::Stdout, _)) => Ok(()),
        Some((_, why)) => Err(io::Error::other(String::from_utf8_lossy(&why).into_owned())),
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
