//! Reading what containers printed.
//!
//! Log files have the CRI form, one line of output each: `2026-01-02T12:00:00.000000000Z stdout F text`. `P` in place of
//! `F` marks a piece of a line that goes on in the next entry of that stream.

mod store;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::{Whence, lseek};

pub(super) use store::{Bounds, Log};

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
    /// Pieces that come after it.
    rest: VecDeque<File>,
    source: Source,
    changes: Option<Inotify>,
    options: LogOptions,
    offset: u64,
    input: Vec<u8>,
    /// Up to the next line: its beginning is gone.
    skipping: bool,
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
    /// A log file in the CRI's form that somebody else writes, with its older pieces: files beside it that have its name, a dot
    /// and a time, oldest first.
    ///
    /// # Errors
    /// It cannot be opened or, with [`LogOptions::follow`], not be watched.
    pub fn at(path: impl Into<PathBuf>, options: LogOptions) -> Result<Logs> {
        Log::at(path.into(), Bounds::default()).open(options)
    }

    /// The last of `files` is the one that is written.
    pub(crate) fn open(files: Vec<File>, source: Source, options: LogOptions) -> Result<Logs> {
        let view = options.view();
        let begun = match view.tail {
            Some(lines) => begin(&files, lines),
            None => Ok((0, 0)),
        };
        let (first, offset) = begun.map_err(|why| Error::io("read a log", why))?;
        let mut rest: VecDeque<File> = files.into_iter().skip(first).collect();
        let nothing = || Error::new(Kind::NotFound, "read a log", "there is none");
        let file = rest.pop_front().ok_or_else(nothing)?;
        let changes = match options.follow {
            true => Some(watch(&file)?),
            false => None,
        };
        Ok(Logs {
            file,
            rest,
            source,
            changes,
            options,
            offset,
            skipping: false,
            input: Vec::new(),
            output: Vec::new(),
            given: 0,
            view,
        })
    }

    /// Reads on in the file: false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.source.path.is_none() {
            let there = data_from(&self.file, self.offset);
            if there > self.offset {
                (self.offset, self.skipping) = (there, true);
                self.input.clear();
            }
        }
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
            if std::mem::take(&mut self.skipping) {
                start = end;
                continue;
            }
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

    /// At the end of the file: goes on in the next piece, if there is one.
    fn next_piece(&mut self) -> io::Result<bool> {
        if let Some(next) = self.rest.pop_front() {
            self.go_on(next)?;
            return Ok(true);
        }
        let Some(path) = self.source.path.clone().filter(|_| self.options.follow) else {
            return Ok(false);
        };
        let Ok(there) = std::fs::metadata(&path) else {
            return Ok(false);
        };
        if is(&self.file.metadata()?, &there) {
            return Ok(false);
        }
        // Now that it has another name it is whole; something may have been added since it was read.
        if !self.fill()? {
            let next = self.successor(&path)?;
            self.go_on(next)?;
        }
        Ok(true)
    }

    /// The piece after this one; the oldest there is if this one is gone already.
    fn successor(&self, path: &Path) -> io::Result<File> {
        let own = self.file.metadata()?;
        let pieces = store::pieces(path);
        let is_own = |piece: &PathBuf| std::fs::metadata(piece).is_ok_and(|there| is(&own, &there));
        let next = pieces.iter().position(is_own).map_or(0, |at| at + 1);
        File::open(pieces.get(next).map_or(path, PathBuf::as_path))
    }

    fn go_on(&mut self, next: File) -> io::Result<()> {
        if self.options.follow {
            self.changes = Some(watch(&next).map_err(io::Error::other)?);
        }
        (self.file, self.offset) = (next, 0);
        self.input.clear();
        Ok(())
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
            if self.fill()? || self.next_piece()? {
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

fn is(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Which file the last `lines` lines begin in, and where in it.
fn begin(files: &[File], lines: u64) -> io::Result<(usize, u64)> {
    let mut missing = lines;
    for (index, file) in files.iter().enumerate().rev() {
        // What was given back is full of zeros, and may be very long.
        let floor = data_from(file, 0);
        let offset = floor + tail_offset(&mut Above { file, floor, at: 0 }, missing)?;
        if offset > floor {
            return Ok((index, offset));
        }
        let all = &mut Above { file, floor, at: 0 };
        missing = missing.saturating_sub(newlines(all)?);
        if missing == 0 || index == 0 {
            // All of it; the first line there may have lost its beginning, so it is begun as without a tail.
            return Ok((index, 0));
        }
    }
    Ok((0, 0))
}

fn newlines(file: &mut impl Read) -> io::Result<u64> {
    let (mut count, mut piece) = (0, vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(count),
            size => count += piece[..size].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}

/// Where there is something, from an offset on: before that, memory was given back.
fn data_from(file: &File, offset: u64) -> u64 {
    let found = i64::try_from(offset).ok();
    let found = found.and_then(|offset| lseek(file, offset, Whence::SeekData).ok());
    found
        .and_then(|found| u64::try_from(found).ok())
        .unwrap_or(offset)
}

/// The part of a file that begins at `floor`.
struct Above<'f> {
    file: &'f File,
    floor: u64,
    at: u64,
}

impl Read for Above<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.floor + self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Above<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.file.metadata()?.len().saturating_sub(self.floor);
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
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
