//! This program once more, inside containers: it serves, or it talks. Where it is there depends on the host's root being the
//! container's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use podlife::model::Container;

/// The port it serves at.
pub(crate) const PORT: u16 = 8080;

const SERVE: &str = "serve-in-container";
const TALK: &str = "talk-in-container";

/// Answers every request with this status.
pub(crate) fn server(status: u16) -> Container {
    this([SERVE.into(), PORT.to_string(), status.to_string()])
}

/// Prints so many lines of so many bytes, the newline included, as fast as it can.
pub(crate) fn talker(lines: usize, size: usize) -> Container {
    this([TALK.into(), lines.to_string(), size.to_string()])
}

/// Something that only stays.
pub(crate) fn sleeper() -> Container {
    Container::new("main", "podlife.local/host").command(["/bin/sleep", "100000"])
}

fn this(arguments: [String; 3]) -> Container {
    let program = std::env::current_exe().unwrap();
    let program = program.into_os_string().into_string().unwrap();
    let command = std::iter::once(program).chain(arguments);
    Container::new("main", "podlife.local/host").command(command)
}

/// Does what it is in a container for, if it is in one.
pub(crate) fn has_run() -> bool {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [what, first, second] = &words[..] else {
        return false;
    };
    let numbers = || (first.parse().unwrap(), second.parse().unwrap());
    match what.as_str() {
        SERVE => {
            let (port, status) = numbers();
            serve(
                TcpListener::bind(("0.0.0.0", port as u16)).unwrap(),
                status as u16,
            );
        }
        TALK => {
            let (lines, size) = numbers();
            talk(lines, size);
        }
        _ => return false,
    }
    true
}

/// For ever, one after another.
pub(crate) fn serve(listener: TcpListener, status: u16) {
    let answer =
        format!("HTTP/1.1 {status} As Asked\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    for stream in listener.incoming().flatten() {
        let _ = answer_one(stream, &answer);
    }
}

fn answer_one(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            size => request.extend_from_slice(&piece[..size]),
        }
    }
    stream.write_all(answer.as_bytes())
}

/// In pieces of about 64 KiB: what counts is what becomes of it.
fn talk(lines: usize, size: usize) {
    let mut line = vec![b'x'; size];
    line[size - 1] = b'\n';
    let together = (64 << 10) / size;
    let many = line.repeat(together);
    let mut output = std::io::stdout().lock();
    for _ in 0..lines / together {
        output.write_all(&many).unwrap();
    }
    output
        .write_all(&line.repeat(lines % together))
        .and_then(|()| output.flush())
        .unwrap();
}
