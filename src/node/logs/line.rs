//! One line of a CRI log file.

use crate::time::Wall;

/// Where a container printed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// An entry of a log file.
#[derive(Debug, PartialEq)]
pub(crate) struct Line<'a> {
    pub(crate) time: Wall,
    stamp: &'a str,
    pub(crate) stream: Stream,
    /// The line goes on in the next entry of its stream.
    pub(crate) partial: bool,
    /// What was printed, with its newline unless the line goes on.
    pub(crate) content: &'a [u8],
}

impl<'a> Line<'a> {
    /// From one line of the file, its newline included; none if it has another form.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        let mut fields = line.splitn(4, |&byte| byte == b' ');
        let stamp = str::from_utf8(fields.next()?).ok()?;
        let stream = match fields.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = fields.next()?.split(|&byte| byte == b':').next()? == b"P";
        let content = fields.next()?;
        let content = match partial {
            true => content.strip_suffix(b"\n").unwrap_or(content),
            false => content,
        };
        Some(Line {
            time: stamp.parse().ok()?,
            stamp,
            stream,
            partial,
            content,
        })
    }

    /// The time as it was written, always with nine fraction digits.
    pub(crate) fn timestamp(&self) -> String {
        let fraction = self.stamp.find('.').map_or("", |dot| {
            let digits = &self.stamp[dot + 1..];
            &digits[..digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len())]
        });
        let seconds = &self.stamp[..self.stamp.len().min(19)];
        let used = if fraction.is_empty() {
            19
        } else {
            20 + fraction.len()
        };
        let zone = self.stamp.get(used..).unwrap_or_default();
        format!("{seconds}.{fraction:0<9}{zone}")
    }
}
