//! A command: its request, what comes back, and the terminal it is typed at.

use std::io::{self, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, absolute};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::server::Outcome;
use crate::wire::{Frame, PAYLOAD_MAX, Request, receive, send};

pub(crate) fn run(socket: &Path, mut request: Request) -> Outcome {
    match &*request.verb {
        "apply" => request.words = vec![manifest(&request)?],
        "cp" => {
            for word in request.words.iter_mut().filter(|word| !word.contains(':')) {
                *word = absolute(&*word)?.display().to_string();
            }
        }
        _ => {}
    }
    let stream = connect(socket)?;
    request.send(&stream)?;
    let raw = match request.has("t") && request.has("i") && io::stdin().is_terminal() {
        true => {
            follow_terminal(stream.try_clone()?)?;
            Some(Raw::begin()?)
        }
        false => None,
    };
    if request.has("i") {
        let stream = stream.try_clone()?;
        std::thread::spawn(move || give_input(&stream));
    }
    show(&stream, raw.is_some())
}

pub(crate) fn connect(socket: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(socket).map_err(|why| {
        let why = format!(
            "nobody serves at {}: {why}; begin with podctl serve",
            socket.display()
        );
        io::Error::other(why)
    })
}

fn manifest(request: &Request) -> io::Result<String> {
    let named = request.flags.get("f").or(request.words.first());
    match named.map(String::as_str) {
        Some("-") | None => io::read_to_string(io::stdin()),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|why| io::Error::new(why.kind(), format!("read {path}: {why}"))),
    }
}

/// Until the last frame. A raw terminal does not go to the beginning of the line by itself.
fn show(stream: &UnixStream, raw: bool) -> Outcome {
    while let Some((frame, payload)) = receive(stream)? {
        match frame {
            Frame::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&payload)?;
                out.flush()?;
            }
            Frame::Stderr if raw => {
                let text = String::from_utf8_lossy(&payload).replace('\n', "\r\n");
                io::stderr().write_all(text.as_bytes())?;
            }
            Frame::Stderr => io::stderr().write_all(&payload)?,
            Frame::Exit => return Ok(payload.first().copied().unwrap_or(1)),
            Frame::Stdin | Frame::Resize => {}
        }
    }
    Err("the connection ended".into())
}

fn give_input(stream: &UnixStream) {
    let mut buffer = [0; PAYLOAD_MAX];
    loop {
        // An empty frame is the end.
        let count = io::stdin().read(&mut buffer).unwrap_or(0);
        if send(stream, Frame::Stdin, &buffer[..count]).is_err() || count == 0 {
            return;
        }
    }
}

/// Says how large the terminal is, now and whenever that changes. Whatever else would end this process ends the connection, so
/// that the terminal becomes what it was.
fn follow_terminal(stream: UnixStream) -> io::Result<()> {
    let mut signals = Signals::new([SIGWINCH, SIGTERM, SIGHUP])?;
    send(&stream, Frame::Resize, &terminal_size())?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let told = match signal {
                SIGWINCH => send(&stream, Frame::Resize, &terminal_size()),
                _ => stream.shutdown(Shutdown::Both),
            };
            if told.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// `stty` knows: an example has no `unsafe` for an ioctl.
fn terminal_size() -> Vec<u8> {
    let asked = std::process::Command::new("stty")
        .arg("size")
        .stdin(std::process::Stdio::inherit())
        .output();
    let text = asked.map(|asked| String::from_utf8_lossy(&asked.stdout).into_owned());
    let numbers = text.unwrap_or_default();
    let mut numbers = numbers
        .split_whitespace()
        .filter_map(|word| word.parse::<u16>().ok());
    let (rows, columns) = (numbers.next().unwrap_or(24), numbers.next().unwrap_or(80));
    [rows.to_be_bytes(), columns.to_be_bytes()].concat()
}

/// The terminal gives what is typed as it is typed; dropping this makes it what it was.
struct Raw(Termios);

impl Raw {
    fn begin() -> io::Result<Raw> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
