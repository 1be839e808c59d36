//! Container logs: lines in the CRI's format, and what `kubectl logs` makes of them.
//!
//! Upstream: `pkg/kubelet/kuberuntime/logs/logs.go`, `pkg/util/tail`.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text_enum::text_enum;
use crate::error::{Error, Kind, Result};
use crate::time::Wall;

/// Which of a container's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// Its name in a log line.
    pub fn as_str(self) -> &'static str {
        match self {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
        }
    }
}

/// One line of a log file: `2026-01-02T12:00:00.000000000Z stdout F content`.
///
/// ```
/// use podlife::model::log::{LogLine, LogStream};
///
/// let line = LogLine::parse(b"2026-01-02T12:00:00.5Z stdout P half a li\n")?;
/// assert_eq!((line.stream, line.partial), (LogStream::Stdout, true));
/// assert_eq!(line.content, b"half a li"); // the rest follows, so there is no newline yet
/// assert_eq!(line.timestamp(), "2026-01-02T12:00:00.500000000Z");
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'l> {
    /// When it was written, as the file has it.
    pub written: &'l str,
    /// The same as a point in time.
    pub at: Wall,
    /// Which output it came from.
    pub stream: LogStream,
    /// Whether the container's line goes on in the next log line of this stream.
    pub partial: bool,
    /// What is shown: of a full line with its newline.
    pub content: &'l [u8],
}

impl<'l> LogLine<'l> {
    /// Reads a line, with or without its newline. Tags after the first are ignored, and so is an unknown first tag.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it is no line in this format.
    pub fn parse(line: &'l [u8]) -> Result<LogLine<'l>> {
        let refused = |why: &str| Error::new(Kind::Invalid, "read a log line", why);
        let (written, rest) = split_space(line).ok_or_else(|| refused("it has no timestamp"))?;
        let (stream, rest) = split_space(rest).ok_or_else(|| refused("it has no stream"))?;
        let (tags, content) = split_space(rest).ok_or_else(|| refused("it has no tag"))?;
        let (written, at) =
            timestamp(written).ok_or_else(|| refused("its timestamp is not RFC 3339"))?;
        let stream = match stream {
            b"stdout" => LogStream::Stdout,
            b"stderr" => LogStream::Stderr,
            _ => return Err(refused("its stream is neither stdout nor stderr")),
        };
        let partial = tags == b"P" || tags.starts_with(b"P:");
        let content = if partial {
            content.strip_suffix(b"\n").unwrap_or(content)
        } else {
            content
        };
        Ok(LogLine {
            written,
            at,
            stream,
            partial,
            content,
        })
    }

    /// When it was written, in the zone it was written in, with nine digits of a second.
    pub fn timestamp(&self) -> String {
        let (seconds, rest) = self.written.split_at(SECONDS_END);
        let zone = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
        let (fraction, zone) = (rest[..zone].trim_start_matches('.'), &rest[zone..]);
        let zone = if matches!(zone, "+00:00" | "-00:00") {
            "Z"
        } else {
            zone
        };
        format!("{seconds}.{fraction:0<9.9}{zone}")
    }
}

/// Where `2026-01-02T12:00:00` ends.
const SECONDS_END: usize = 19;

fn split_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    Some((&line[..space], &line[space + 1..]))
}

/// Stricter than a general reader of RFC 3339, as upstream's is: a `T`, a `Z` or an offset of hours and minutes.
fn timestamp(text: &[u8]) -> Option<(&str, Wall)> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.is_ascii() && text.len() > SECONDS_END)?;
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, shape): (u8, &u8)| {
        if *shape == b'd' {
            byte.is_ascii_digit()
        } else {
            byte == *shape
        }
    };
    if !text.bytes().zip(shape).all(fits) {
        return None;
    }
    let rest = &text[SECONDS_END..];
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    let zone_fits = zone == "Z"
        || zone.len() == 6 && zone.as_bytes()[3] == b':' && zone.starts_with(['+', '-']);
    if !zone_fits || rest.starts_with(".Z") {
        return None;
    }
    Some((text, text.parse().ok()?))
}

text_enum! {
    /// Which outputs are shown.
    pub enum LogStreams {
        /// Both.
        All = "All",
        /// Standard output.
        Stdout = "Stdout",
        /// Standard error.
        Stderr = "Stderr",
    }
}

/// What part of a log is asked for: `v1.PodLogOptions`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodLogOptions {
    /// Of which container; may be left out if there is but one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Goes on with what is written from now on.
    pub follow: bool,
    /// The most bytes to show, timestamps included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<i64>,
    /// Of the attempt before.
    pub previous: bool,
    /// From that many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<i64>,
    /// From that time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_time: Option<Wall>,
    /// Which outputs; both if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<LogStreams>,
    /// The last lines only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_lines: Option<i64>,
    /// Begins each line with the time it was written.
    pub timestamps: bool,
}

/// Turns log lines into what is shown, one after the other, for as long as there is something left to show.
///
/// ```
/// use podlife::model::log::{LogStream, LogView, PodLogOptions};
/// use podlife::time::Wall;
///
/// let mut options = PodLogOptions::default();
/// options.limit_bytes = Some(6);
/// let mut view = LogView::new(&options, Wall::default());
/// let mut shown = Vec::new();
/// for line in ["2026-01-02T12:00:00Z stdout P ab\n", "2026-01-02T12:00:01Z stdout F cdefg\n"] {
///     view.show(line.as_bytes(), |_stream, bytes| shown.extend_from_slice(bytes));
/// }
/// assert_eq!(shown, b"abcdef");
/// assert!(view.is_done());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogView {
    /// How many lines from the end the reading starts; none means at the beginning. See [`tail_offset`].
    pub tail: Option<u64>,
    /// How many bytes may still be shown.
    pub bytes: Option<u64>,
    /// Older lines are left out.
    pub since: Option<Wall>,
    timestamps: bool,
    streams: Option<LogStream>,
    /// How many lines may still be shown: a tail does not grow with what is written while it is read.
    lines: Option<u64>,
    /// Whether a line of the container is under way, by stream.
    midline: [bool; 2],
}

impl LogView {
    /// `now` is what `since_seconds` counts back from. Negative numbers are no limit.
    pub fn new(options: &PodLogOptions, now: Wall) -> LogView {
        let ago = options.since_seconds.map(|seconds| {
            let nanos = i128::from(now.as_nanos())
                - i128::from(seconds) * Duration::from_secs(1).as_nanos() as i128;
            Wall::from_nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 {
                i64::MIN
            } else {
                i64::MAX
            }))
        });
        let tail = options
            .tail_lines
            .and_then(|lines| u64::try_from(lines).ok());
        LogView {
            tail,
            bytes: options
                .limit_bytes
                .and_then(|bytes| u64::try_from(bytes).ok()),
            since: ago.max(options.since_time),
            timestamps: options.timestamps,
            streams: match options.stream {
                Some(LogStreams::Stdout) => Some(LogStream::Stdout),
                Some(LogStreams::Stderr) => Some(LogStream::Stderr),
                _ => None,
            },
            lines: if options.follow { None } else { tail },
            midline: [false; 2],
        }
    }

    /// Whether nothing more will be shown.
    pub fn is_done(&self) -> bool {
        self.bytes == Some(0) || self.lines == Some(0)
    }

    /// Hands what is shown of a physical line of the file to `emit`. Lines in no known format are left out.
    pub fn show(&mut self, line: &[u8], mut emit: impl FnMut(LogStream, &[u8])) {
        if self.is_done() {
            return;
        }
        let Ok(line) = LogLine::parse(line) else {
            return;
        };
        let begins = !std::mem::replace(&mut self.midline[line.stream as usize], line.partial);
        if self.streams.is_none_or(|only| only == line.stream)
            && self.since.is_none_or(|since| line.at >= since)
        {
            if self.timestamps && begins {
                self.emit(
                    line.stream,
                    format!("{} ", line.timestamp()).as_bytes(),
                    &mut emit,
                );
            }
            self.emit(line.stream, line.content, &mut emit);
        }
        self.lines = self.lines.map(|lines| lines.saturating_sub(1));
    }

    fn emit(&mut self, stream: LogStream, bytes: &[u8], emit: &mut impl FnMut(LogStream, &[u8])) {
        let allowed = self.bytes.map_or(bytes.len(), |left| {
            bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))
        });
        self.bytes = self.bytes.map(|left| left - allowed as u64);
        if allowed > 0 {
            emit(stream, &bytes[..allowed]);
        }
    }
}

/// Where the last `lines` complete lines begin. What follows the last newline is no line yet.
///
/// ```
/// use podlife::model::log::tail_offset;
/// use std::io::Cursor;
///
/// assert_eq!(tail_offset(&mut Cursor::new("one\ntwo\nthr"), 1)?, 4);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Those of reading the file.
pub fn tail_offset(file: &mut (impl Read + Seek), lines: u64) -> io::Result<u64> {
    let mut block = [0; 4096];
    let mut start = file.seek(SeekFrom::End(0))?;
    let mut newlines = 0;
    while start > 0 {
        let size = start.min(block.len() as u64);
        start -= size;
        file.seek(SeekFrom::Start(start))?;
        let block = &mut block[..size as usize];
        file.read_exact(block)?;
        for (at, _) in block
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            if newlines == lines {
                return Ok(start + at as u64 + 1);
            }
            newlines += 1;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    #[test]
    fn interleaved_streams_each_keep_their_line() {
        let options = PodLogOptions {
            timestamps: true,
            ..PodLogOptions::default()
        };
        let mut view = LogView::new(&options, Wall::default());
        let mut shown = [String::new(), String::new()];
        for line in ["stdout P a", "stderr P x", "stdout F b\n", "stderr F y\n"] {
            view.show(
                format!("2026-01-02T12:00:00Z {line}").as_bytes(),
                |stream, bytes| {
                    shown[stream as usize] += std::str::from_utf8(bytes).unwrap();
                },
            );
        }
        assert_eq!(shown[0], "2026-01-02T12:00:00.000000000Z ab\n");
        assert_eq!(shown[1], "2026-01-02T12:00:00.000000000Z xy\n");
    }

    #[test]
    fn timestamps_are_strict() {
        for bad in [
            "2026-01-02t12:00:00Z",
            "2026-01-02T12:00:00",
            "2026-01-02T12:00:00.Z",
            "2026-13-02T12:00:00Z",
            "x",
        ] {
            assert!(
                LogLine::parse(format!("{bad} stdout F x\n").as_bytes()).is_err(),
                "{bad}"
            );
        }
        let line = LogLine::parse(b"2026-01-02T12:00:00+00:00 stdout F x").unwrap();
        assert_eq!(line.timestamp(), "2026-01-02T12:00:00.000000000Z");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = LogLine::parse(&line);
        }

        #[test]
        fn nearly_right_lines_never_panic(line in "[0-9]{4}-01-0[12]T1[0-9]:00:00[.Z0-9+:-]{0,12} stdout [FP:]{0,2} x?\n?") {
            if let Ok(read) = LogLine::parse(line.as_bytes()) {
                prop_assert!(read.timestamp().len() >= 30);
            }
        }

        #[test]
        fn tail_counts_newlines(text in "[a\n]{0,60}", lines in 0u64..8) {
            let offset = tail_offset(&mut Cursor::new(&text), lines).unwrap() as usize;
            let kept = text[offset..].matches('\n').count() as u64;
            prop_assert_eq!(kept, lines.min(text.matches('\n').count() as u64));
            prop_assert!(offset == 0 || text.as_bytes()[offset - 1] == b'\n');
        }
    }
}
