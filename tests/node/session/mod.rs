//! Programs in running containers, and containers attached to.

mod attach;
mod copy;
mod exec;
mod forward;

use std::io;
use std::time::Instant;

use podlife::node::{Exit, Node, Session, Stream};

use super::hosted::LONG;

/// What a session has given so far.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Heard {
    /// Takes what is there; true if there was something.
    pub(crate) fn take(&mut self, session: &Session) -> bool {
        let streams = [
            (Stream::Stdout, &mut self.stdout),
            (Stream::Stderr, &mut self.stderr),
        ];
        let mut some = false;
        for (stream, text) in streams {
            let mut buffer = [0; 4096];
            loop {
                match session.read(stream, &mut buffer) {
                    Ok(0) => break,
                    Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
                    Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                    Err(why) => panic!("{why}"),
                }
                some = true;
            }
        }
        some
    }

    /// Drives until the session has said so much.
    pub(crate) fn until(&mut self, node: &mut Node, session: &Session, text: &str) {
        let until = Instant::now() + LONG;
        loop {
            self.take(session);
            if self.stdout.contains(text) {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && session.end().is_none(),
                "no {text:?} in {:?} {:?}, ended: {:?}",
                self.stdout,
                self.stderr,
                session.end()
            );
            node.turn_or(session, Some(left)).unwrap();
        }
    }
}

/// Drives to the end of a session.
pub(crate) fn end(node: &mut Node, session: Session) -> (podlife::Result<Exit>, Heard) {
    let session = &session;
    let until = Instant::now() + LONG;
    let mut heard = Heard::default();
    loop {
        let end = session.end();
        heard.take(session);
        if let Some(end) = end {
            return (end, heard);
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "it does not end: {:?}", heard.stdout);
        node.turn_or(session, Some(left)).unwrap();
    }
}

pub(crate) fn write_all(node: &mut Node, session: &Session, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match session.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                node.turn_or(session, Some(LONG)).unwrap();
            }
            Err(why) => panic!("{why}"),
        }
    }
}

/// Processes of this machine that have this word in their command line.
pub(crate) fn with_word(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            line.split(|byte| *byte == 0)
                .any(|part| part == word.as_bytes())
        })
        .count()
}
