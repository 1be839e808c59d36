//! `podctl serve`: a Node, and a socket at which its user's commands come in. Each has a thread, which uses the Node by its handle.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use podlife::node::NodeHandle;
use podlife::{Kind, Node};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::wire::{Frame, Request, send};
use crate::{forward, streams, verbs};

/// What comes of a command: its exit code, or what is wrong.
pub(crate) type Outcome = Result<u8, Box<dyn std::error::Error>>;

const GRACE: Duration = Duration::from_secs(30);

pub(crate) fn serve(socket: &Path, request: &Request) -> Outcome {
    let listener = listen(socket)?;
    let mut node = match request.flags.get("state") {
        Some(state) => Node::open(state)?,
        None => Node::ephemeral()?,
    };
    stop_by_signal(node.handle(), request.has("state"))?;
    let handle = node.handle();
    std::thread::spawn(move || accept(&listener, &handle));
    println!("serving at {}", socket.display());
    let stopped = node.run_until(Duration::MAX, |_, _| false);
    std::fs::remove_file(socket)?;
    match stopped {
        Err(why) if why.kind() != Kind::NodeClosed => Err(why.into()),
        _ => Ok(0),
    }
}

/// Ctrl-C ends the pods with grace, a second one at once. Those of a state directory run on.
fn stop_by_signal(handle: NodeHandle, stay: bool) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        let mut grace = if stay { None } else { Some(GRACE) };
        for _ in signals.forever() {
            let ended = grace.map(|grace| handle.drain(grace));
            grace = grace.and(Some(Duration::ZERO));
            let handle = handle.clone();
            std::thread::spawn(move || {
                let ended = ended.map(|ended| ended.wait(GRACE * 2));
                if let Some(Err(why)) = ended {
                    eprintln!("podctl: {why}");
                }
                handle.close()
            });
        }
    });
    Ok(())
}

/// A socket that only its user can connect to.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    if UnixStream::connect(path).is_ok() {
        let why = format!("somebody serves at {} already", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
    }
    // Left behind by one that was killed.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn accept(listener: &UnixListener, handle: &NodeHandle) {
    for stream in listener.incoming().flatten() {
        let handle = handle.clone();
        std::thread::spawn(move || {
            let code = match allowed(&stream).and_then(|()| Request::receive(&stream)) {
                Ok(request) => answer(&handle, &stream, &request),
                Err(why) => Err(why.into()),
            };
            let code = code.unwrap_or_else(|why| {
                let why = format!("podctl: {why}\n");
                let _ = send(&stream, Frame::Stderr, why.as_bytes());
                1
            });
            let _ = send(&stream, Frame::Exit, &[code]);
        });
    }
}

/// The mode of the socket says so already; who connects is asked all the same.
fn allowed(stream: &UnixStream) -> io::Result<()> {
    let peer = getsockopt(stream, PeerCredentials)?.uid();
    match peer == nix::unistd::geteuid().as_raw() || peer == 0 {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "the user {peer} may not command this Node"
        ))),
    }
}

fn answer(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    match &*request.verb {
        "exec" | "attach" | "debug" => streams::serve(handle, stream, request),
        "forward" => forward::serve(handle, stream, request),
        _ => verbs::serve(handle, stream, request),
    }
}

/// Has the Node's thread do it.
pub(crate) fn ask<T: Send + 'static>(
    handle: &NodeHandle,
    what: impl FnOnce(&mut Node) -> podlife::Result<T> + Send + 'static,
) -> podlife::Result<T> {
    handle.with(what).wait(Duration::from_secs(60))
}
