//! Reading what containers printed.
//!
//! Log files have the CRI form, one line of output each: `2026-01-02T12:00:00.000000000Z stdout F text`. `P` in place of
//! `F` marks a piece of a line that goes on in the next entry of that stream.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::model::log::{LogStreams, LogView, PodLogOptions, tail_offset};
use crate::time::Wall;
use crate::{Error, Kind, Result};

/// So much of a file is looked at in one go.
const PIECE: usize = 32 << 10;
/// A longer line is not one of ours: it is passed over.
const LINE_MAX: usize = 1 << 20;

/// Which part of a log to read, and how to show it: `v1.PodLogOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Do not end at the end of the log, but when the container's output has ended.
    pub follow: bool,
    /// Only so many lines from the end; an unfinished last line is not counted.
    pub tail: Option<u64>,
    /// Only what was printed then or later.
    pub since: Option<Wall>,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Not more than so many bytes in all.
    pub limit_bytes: Option<u64>,
    /// Only this stream; otherwise both, in the order in which they were written.
    pub stream: Option<Stream>,
    /// The log of the container's previous run.
    pub previous: bool,
    /// The log of the run with this number, which [`ContainerEvent::attempt`](super::ContainerEvent::attempt) tells: a
    /// container that ends at once may have been started again when its first event is read.
    pub attempt: Option<u32>,
}

/// Where a container printed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogOptions {
    /// As the API has them; times are points already.
    fn view(&self) -> LogView {
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let options = PodLogOptions {
            follow: self.follow,
            tail_lines: self.tail.map(count),
            since_time: self.since,
            timestamps: self.timestamps,
            limit_bytes: self.limit_bytes.map(count),
            stream: self.stream.map(|stream| match stream {
                Stream::Stdout => LogStreams::Stdout,
                Stream::Stderr => LogStreams::Stderr,
            }),
            ..PodLogOptions::default()
        };
        LogView::new(&options, Wall::default())
    }
}

/// The output of one run of a container; see [`Node::logs`](crate::Node::logs).
///
/// It is read without the Node: it stays usable while the Node is driven, and after. With [`LogOptions::follow`] a read
/// with nothing to give yet fails with [`io::ErrorKind::WouldBlock`]; [`AsFd`] then gives a descriptor that becomes
/// readable when there may be more. A file system that does not answer blocks a read.
#[derive(Debug)]
pub struct Logs {
    file: File,
    source: Source,
    changes: Option<Inotify>,
    options: LogOptions,
    offset: u64,
    input: Vec<u8>,
    output: Vec<u8>,
    given: usize,
    view: LogView,
}

/// Where a log comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Where the file is; none if it has no name.
    pub(crate) path: Option<PathBuf>,
    /// Set when nothing will be added any more.
    pub(crate) ended: Arc<AtomicBool>,
}

impl Logs {
    pub(crate) fn open(file: File, source: Source, options: LogOptions) -> Result<Logs> {
        let changes = match options.follow {
            true => Some(watch(&file)?),
            false => None,
        };
        let view = options.view();
        let mut file = file;
        let offset = match view.tail {
            Some(lines) => tail_offset(&mut file, lines),
            None => Ok(0),
        };
        Ok(Logs {
            file,
            source,
            changes,
            options,
            offset: offset.map_err(|why| Error::io("read a log", why))?,
            input: Vec::new(),
            output: Vec::new(),
            given: 0,
            view,
        })
    }

    /// Reads on in the file: false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let start = self.input.len();
        self.input.resize(start + PIECE, 0);
        let count = self.file.read_at(&mut self.input[start..], self.offset);
        self.input.truncate(start + *count.as_ref().unwrap_or(&0));
        let count = count?;
        self.offset += count as u64;
        self.take_lines();
        Ok(count > 0)
    }

    fn take_lines(&mut self) {
        let mut input = std::mem::take(&mut self.input);
        let mut start = 0;
        while let Some(length) = input[start..].iter().position(|&byte| byte == b'\n') {
            let end = start + length + 1;
            let output = &mut self.output;
            self.view.show(&input[start..end], |_, bytes| {
                output.extend_from_slice(bytes)
            });
            start = end;
        }
        input.drain(..start);
        if input.len() > LINE_MAX {
            input.clear();
        }
        self.input = input;
    }

    /// At the end of the file: goes on in the one that took its name, if it was rotated.
    fn rotated(&mut self) -> io::Result<bool> {
        let Some(path) = &self.source.path else {
            return Ok(false);
        };
        let Ok(there) = std::fs::metadata(path) else {
            return Ok(false);
        };
        let here = self.file.metadata()?;
        if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
            return Ok(false);
        }
        self.file = File::open(path)?;
        (self.offset, self.input) = (0, Vec::new());
        self.changes = Some(watch(&self.file).map_err(io::Error::other)?);
        Ok(true)
    }

    /// Nothing more is there now: is that the end?
    fn at_end(&self, ended: bool) -> io::Result<usize> {
        if !self.options.follow || ended {
            return Ok(0);
        }
        if let Some(changes) = &self.changes {
            // The changes seen so far are read; what comes later makes the descriptor readable again.
            let _ = changes.read_events();
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Read for Logs {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut drained = false;
        while self.given == self.output.len() {
            (self.given, _) = (0, self.output.clear());
            if self.view.is_done() {
                return Ok(0);
            }
            let ended = self.source.ended.load(Ordering::Acquire);
            if self.fill()? || (self.options.follow && self.rotated()?) {
                continue;
            }
            let end = self.at_end(ended);
            // What was written between the look at the file and the reading of the changes would go unseen.
            if drained || end.is_ok() {
                return end;
            }
            drained = true;
        }
        let count = buffer.len().min(self.output.len() - self.given);
        buffer[..count].copy_from_slice(&self.output[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// Readable when a log that is followed may have more. Without [`LogOptions::follow`] it is the file's own.
impl AsFd for Logs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.changes {
            Some(changes) => changes.as_fd(),
            None => self.file.as_fd(),
        }
    }
}

/// Told when the file is written, renamed, closed by its writer, or touched by the Node because its writer is gone.
fn watch(file: &File) -> Result<Inotify> {
    let failed = |errno| {
        Error::os("follow a log", errno as i32)
            .as_kind(Kind::Exhausted)
            .cure("raise fs.inotify.max_user_instances")
    };
    let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?;
    let wanted = AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVE_SELF;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    changes.add_watch(path.as_str(), wanted).map_err(failed)?;
    Ok(changes)
}

#[cfg(test)]
mod tests;
