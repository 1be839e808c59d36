//! `logs`, read on the thread of its connection.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use podlife::linux::Clock;
use podlife::node::{LogOptions, NodeHandle};
use podlife::time::Wall;

use crate::server::{Outcome, ask};
use crate::verbs::{hung_up, target};
use crate::wire::{Frame, Request, send};

pub(crate) fn logs(handle: &NodeHandle, stream: &UnixStream, request: &Request) -> Outcome {
    let options = LogOptions {
        follow: request.has("f"),
        previous: request.has("p"),
        timestamps: request.has("timestamps"),
        tail: request.number("tail")?,
        since: since(request)?,
        limit_bytes: request.number("limit-bytes")?,
        ..LogOptions::default()
    };
    let own = request.clone();
    let mut logs = ask(handle, move |node| {
        let (id, container) = target(node, &own)?;
        node.logs(id, &container, options)
    })?;
    let mut buffer = [0; 16 << 10];
    loop {
        match logs.read(&mut buffer) {
            Ok(0) => return Ok(0),
            Ok(count) => send(stream, Frame::Stdout, &buffer[..count])?,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                if hung_up(stream, &[logs.as_fd()], 1000)? {
                    return Ok(0);
                }
            }
            Err(why) => return Err(why.into()),
        }
    }
}

/// `--since 1h30m`: so long ago.
fn since(request: &Request) -> Result<Option<Wall>, String> {
    let Some(text) = request.flags.get("since") else {
        return Ok(None);
    };
    let seconds = seconds(text).ok_or(format!("--since {text}: say 90s, 5m or 1h30m"))?;
    let nanos = seconds.saturating_mul(1_000_000_000);
    Ok(Some(Wall::from_nanos(
        Clock::wall().as_nanos().saturating_sub(nanos),
    )))
}

fn seconds(text: &str) -> Option<i64> {
    let mut sum = 0_i64;
    for part in text.split_inclusive(|letter: char| letter.is_alphabetic()) {
        let (number, unit) = part.split_at(part.find(|letter: char| letter.is_alphabetic())?);
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
    }
    (!text.is_empty()).then_some(sum)
}
