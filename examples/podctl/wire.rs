//! What client and server say to each other: a request of one line of JSON, then frames both ways.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

/// A command line, taken apart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) verb: String,
    pub(crate) words: Vec<String>,
    /// Without their dashes; those without a value have an empty one.
    pub(crate) flags: BTreeMap<String, String>,
    /// What follows `--`.
    pub(crate) command: Vec<String>,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Stdin = 1,
    Stdout = 2,
    Stderr = 3,
    /// Two big-endian numbers: rows and columns.
    Resize = 4,
    /// One byte; the last frame there is.
    Exit = 5,
}

/// Flags with a value, by the name under which they are kept.
const VALUES: [&str; 14] = [
    "c",
    "o",
    "n",
    "tail",
    "since",
    "limit-bytes",
    "grace-period",
    "socket",
    "state",
    "image",
    "target",
    "for",
    "wait",
    "f",
];
/// Flags without.
const SWITCHES: [&str; 10] = [
    "i",
    "t",
    "f",
    "p",
    "w",
    "A",
    "timestamps",
    "force",
    "help",
    "h",
];
/// Long names of short flags.
const LONG: [(&str, &str); 11] = [
    ("container", "c"),
    ("output", "o"),
    ("namespace", "n"),
    ("stdin", "i"),
    ("tty", "t"),
    ("follow", "f"),
    ("filename", "f"),
    ("previous", "p"),
    ("watch", "w"),
    ("all-namespaces", "A"),
    ("h", "help"),
];
/// A frame is no larger.
pub(crate) const PAYLOAD_MAX: usize = 64 << 10;

impl Request {
    /// `-it` is `-i -t`; `-o json`, `-ojson`, `-o=json` and `--tail=5` are what they are everywhere.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Request, String> {
        let mut request = Request::default();
        let mut arguments = arguments.into_iter();
        while let Some(word) = arguments.next() {
            if word == "--" {
                request.command.extend(arguments.by_ref());
            } else if let Some(long) = word.strip_prefix("--") {
                request.flag(long, &mut arguments)?;
            } else if let Some(short) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                request.letters(short, &mut arguments)?;
            } else if request.verb.is_empty() {
                request.verb = word;
            } else {
                request.words.push(word);
            }
        }
        Ok(request)
    }

    /// The last of several letters may have a value.
    fn letters(
        &mut self,
        letters: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let (first, others) = letters.split_at(letters.chars().next().map_or(0, char::len_utf8));
        if others.is_empty() || others.starts_with('=') {
            return self.flag(letters, rest);
        }
        if self.has_value(first) {
            return self.flag(&format!("{first}={others}"), rest);
        }
        self.flag(first, rest)?;
        self.letters(others, rest)
    }

    fn flag(&mut self, flag: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let long = LONG.iter().find(|(long, _)| *long == name);
        let name = long.map_or(name, |(_, short)| short);
        let value = if self.has_value(name) {
            let missing = || format!("the flag {flag:?} needs a value");
            value.or_else(|| rest.next()).ok_or_else(missing)?
        } else if SWITCHES.contains(&name) {
            value.unwrap_or_default()
        } else {
            return Err(format!("there is no flag {flag:?}; see podctl help"));
        };
        self.flags.insert(name.into(), value);
        Ok(())
    }

    /// `-f` names a file, or follows.
    fn has_value(&self, name: &str) -> bool {
        VALUES.contains(&name) && (name != "f" || self.verb == "apply")
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.get(flag).is_some_and(|value| value != "false")
    }

    pub(crate) fn number(&self, flag: &str) -> Result<Option<u64>, String> {
        let number = |text: &String| {
            text.parse()
                .map_err(|_| format!("--{flag} {text}: not a number"))
        };
        self.flags.get(flag).map(number).transpose()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.flags.get("n").map_or("default", String::as_str)
    }

    /// The pods that are named: `web`, `pod web` and `pod/web` are the same.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &str> {
        let kind = |word: &&String| ["po", "pod", "pods"].contains(&&***word);
        let named = usize::from(self.words.first().as_ref().is_some_and(kind));
        self.words[named..]
            .iter()
            .map(|word| word.trim_start_matches("pod/"))
    }

    pub(crate) fn send(&self, mut to: impl Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        to.write_all(&line)
    }

    pub(crate) fn receive(from: impl Read) -> io::Result<Request> {
        let mut line = Vec::new();
        // Byte by byte: what follows the line belongs to somebody else.
        io::BufReader::with_capacity(1, from.take(1 << 20)).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    }
}

pub(crate) fn send(mut to: impl Write, frame: Frame, payload: &[u8]) -> io::Result<()> {
    for piece in payload.chunks(PAYLOAD_MAX) {
        send_one(&mut to, frame, piece)?;
    }
    if payload.is_empty() {
        send_one(&mut to, frame, payload)?;
    }
    Ok(())
}

fn send_one(to: &mut impl Write, frame: Frame, payload: &[u8]) -> io::Result<()> {
    let mut bytes = vec![frame as u8];
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend(payload);
    to.write_all(&bytes)
}

/// None at the end of the connection.
pub(crate) fn receive(mut from: impl Read) -> io::Result<Option<(Frame, Vec<u8>)>> {
    let mut head = [0; 5];
    if let Err(why) = from.read_exact(&mut head) {
        return match why.kind() {
            io::ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(why),
        };
    }
    let frame = match head[0] {
        1 => Frame::Stdin,
        2 => Frame::Stdout,
        3 => Frame::Stderr,
        4 => Frame::Resize,
        5 => Frame::Exit,
        other => return Err(io::Error::other(format!("there is no frame {other}"))),
    };
    let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if size > PAYLOAD_MAX {
        return Err(io::Error::other(format!("a frame of {size} bytes")));
    }
    let mut payload = vec![0; size];
    from.read_exact(&mut payload)?;
    Ok(Some((frame, payload)))
}
