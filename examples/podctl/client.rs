//! A command: its request, what comes back, and the terminal it is typed at.

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, absolute};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use signal_hook::consts::SIGWINCH;
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
    let stream = UnixStream::connect(socket)
        .map_err(|why| format!("nobody serves at {}: {why}", socket.display()))?;
    request.send(&stream)?;
    let _raw = match request.has("t") && io::stdin().is_terminal() {
        true => {
            follow_size(stream.try_clone()?)?;
            Some(Raw::begin()?)
        }
        false => None,
    };
    if request.has("i") {
        let stream = stream.try_clone()?;
        std::thread::spawn(move || give_input(&stream));
    }
    show(&stream)
}

fn manifest(request: &Request) -> io::Result<String> {
    match request.words.first().map(String::as_str) {
        Some("-") | None => io::read_to_string(io::stdin()),
        Some(path) => std::fs::read_to_string(path),
    }
}

/// Until the last frame.
fn show(stream: &UnixStream) -> Outcome {
    while let Some((frame, payload)) = receive(stream)? {
        match frame {
            Frame::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&payload)?;
                out.flush()?;
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

/// Says how large the terminal is, now and whenever that changes.
fn follow_size(stream: UnixStream) -> io::Result<()> {
    let mut signals = Signals::new([SIGWINCH])?;
    let tell = move || {
        let size = terminal_size();
        send(&stream, Frame::Resize, &size)
    };
    tell()?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if tell().is_err() {
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
