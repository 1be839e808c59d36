//! `podctl serve`: a Node, and a socket at which its user's commands come in.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use podlife::Node;

use crate::driver::{Driver, driver};
use crate::wire::{Frame, Request, send};
use crate::{forward, streams, verbs};

/// What comes of a command: its exit code, or what is wrong.
pub(crate) type Outcome = Result<u8, Box<dyn std::error::Error>>;

pub(crate) fn serve(socket: &Path, request: &Request) -> Outcome {
    let mut node = match request.flags.get("state") {
        Some(state) => Node::open(state)?,
        None => Node::ephemeral()?,
    };
    let listener = listen(socket)?;
    let (driver, mut jobs) = driver()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
        // Whoever waits in poll(2) is woken by the signal itself.
    }
    std::thread::spawn(move || accept(&listener, &driver));
    println!("serving at {}", socket.display());
    let stopped = || stop.load(Ordering::Relaxed);
    jobs.run(&mut node, stopped)?;
    if !request.has("state") {
        node.drain(Duration::from_secs(30))?;
    }
    std::fs::remove_file(socket)?;
    Ok(0)
}

/// A socket that only its user can connect to.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if UnixStream::connect(path).is_err() {
        // Left behind by one that was killed.
        let _ = std::fs::remove_file(path);
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn accept(listener: &UnixListener, driver: &Driver) {
    for stream in listener.incoming().flatten() {
        let Ok(driver) = driver.try_clone() else {
            continue;
        };
        std::thread::spawn(move || {
            let code = match allowed(&stream).and_then(|()| Request::receive(&stream)) {
                Ok(request) => answer(&driver, &stream, &request),
                Err(why) => Err(why.into()),
            };
            let code = code.unwrap_or_else(|why| {
                let _ = send(
                    &stream,
                    Frame::Stderr,
                    format!("podctl: {why}\n").as_bytes(),
                );
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

fn answer(driver: &Driver, stream: &UnixStream, request: &Request) -> Outcome {
    match &*request.verb {
        "exec" | "attach" => streams::serve(driver, stream, request),
        "forward" => forward::serve(driver, stream, request),
        _ => verbs::serve(driver, stream, request),
    }
}
