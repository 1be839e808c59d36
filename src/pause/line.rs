//! Lines of a log in the CRI format: `2026-01-02T03:04:05.000000006Z stdout F content`.

/// The longest content of one line; what is longer is written in parts, all but the last marked `P`.
pub const CONTENT_MAX: usize = 16 * 1024;
/// Bytes before the content.
pub const PREFIX_SIZE: usize = 30 + 1 + 6 + 1 + 1 + 1;

/// Which stream a line came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Is the line whole, or a part that others follow?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Full,
    Partial,
}

/// What stands before the content.
pub fn prefix(wall: i64, stream: Stream, tag: Tag) -> [u8; PREFIX_SIZE] {
    let mut text = [b' '; PREFIX_SIZE];
    text[..30].copy_from_slice(&rfc3339(wall));
    text[31..37].copy_from_slice(match stream {
        Stream::Stdout => b"stdout",
        Stream::Stderr => b"stderr",
    });
    text[38] = match tag {
        Tag::Full => b'F',
        Tag::Partial => b'P',
    };
    text
}

/// Where the first newline is: eight bytes at a time, as nobody makes loops fast for us here.
pub fn end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // Zero where a newline was; the lowest set bit is of the first byte that is zero.
        let word = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        let zeroes = word.wrapping_sub(ONES) & !word & (ONES * 0x80);
        if zeroes != 0 {
            return Some(8 * index + zeroes.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| *byte == b'\n')?;
    Some(bytes.len() - rest.len() + place)
}

/// The longest note.
pub const NOTE_SIZE: usize = 192;

/// Says in `text` how much is missing, and why.
pub fn note<'t>(
    text: &'t mut [u8; NOTE_SIZE],
    before: &[u8],
    missing: u64,
    why: &[u8],
) -> &'t [u8] {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = missing;
    while rest > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let what = b" bytes of output are missing here: ";
    let pieces = [before, b"podlife: ", &digits[first..], what, why];
    let mut used = 0;
    for byte in pieces.into_iter().flatten() {
        if let Some(place) = text.get_mut(used) {
            *place = *byte;
            used += 1;
        }
    }
    &text[..used]
}

/// Nanoseconds since 1970 as RFC 3339 in UTC, with nine digits. Years beyond 9999 come out wrong.
fn rfc3339(wall: i64) -> [u8; 30] {
    const DAY: i64 = 86_400;
    let (seconds, nanos) = (
        wall.div_euclid(1_000_000_000),
        wall.rem_euclid(1_000_000_000),
    );
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let time = seconds.rem_euclid(DAY);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let mut put = |from: usize, to: usize, mut number: i64| {
        for digit in text[from..to].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 7, month);
    put(8, 10, day);
    put(11, 13, time / 3600);
    put(14, 16, time / 60 % 60);
    put(17, 19, time % 60);
    put(20, 29, nanos);
    text
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that a leap day ends one.
fn civil(day: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let day = day + 719_468;
    let (era, day) = (
        day.div_euclid(DAYS_IN_400_YEARS),
        day.rem_euclid(DAYS_IN_400_YEARS),
    );
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + carry, month, day_of_month)
}
