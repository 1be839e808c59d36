//! Frames of HTTP/2: RFC 9113, section 4 and 6, as far as one call needs them.

/// The largest frame that a server may send a client that did not ask for more.
const PAYLOAD_MAX: usize = 16 << 10;
const HEAD: usize = 9;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Ping,
    GoAway,
    Continuation,
    /// One that does not matter here: priorities, window updates, extensions.
    Other,
}

impl Kind {
    pub(super) fn of(number: u8) -> Kind {
        match number {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::Reset,
            4 => Kind::Settings,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            9 => Kind::Continuation,
            _ => Kind::Other,
        }
    }

    fn number(self) -> u8 {
        match self {
            Kind::Data => 0,
            Kind::Headers => 1,
            Kind::Reset => 3,
            Kind::Settings => 4,
            Kind::Ping => 6,
            Kind::GoAway => 7,
            Kind::Continuation => 9,
            Kind::Other => u8::MAX,
        }
    }
}

/// On settings and pings: this is the answer.
pub(super) const ACK: u8 = 1;
/// On data and headers: the last of its stream.
pub(super) const END_STREAM: u8 = 1;
/// On headers: no continuation follows.
pub(super) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// One frame.
#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// Without padding and priority.
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Takes the first frame out of `bytes`: `Ok(None)` if it is not all there yet, `Err` if it makes no sense.
    pub(super) fn take(bytes: &mut Vec<u8>) -> Result<Option<Frame>, &'static str> {
        let Some(&[l2, l1, l0, kind, flags, s3, s2, s1, s0]) = bytes.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0);
        if length > PAYLOAD_MAX {
            return Err("a frame is larger than allowed");
        }
        if bytes.len() < HEAD + length {
            return Ok(None);
        }
        let kind = Kind::of(kind);
        let payload = bare(kind, flags, &bytes[HEAD..HEAD + length])
            .ok_or("a frame is shorter than its padding")?
            .to_vec();
        bytes.drain(..HEAD + length);
        let stream = u32::from_be_bytes([s3, s2, s1, s0]) & 0x7fff_ffff;
        Ok(Some(Frame {
            kind,
            flags,
            stream,
            payload,
        }))
    }
}

fn bare(kind: Kind, flags: u8, payload: &[u8]) -> Option<&[u8]> {
    if !matches!(kind, Kind::Data | Kind::Headers) {
        return Some(payload);
    }
    let (padding, payload) = match flags & PADDED {
        0 => (0, payload),
        _ => payload
            .split_first()
            .map(|(length, rest)| (usize::from(*length), rest))?,
    };
    let payload = payload.get(..payload.len().checked_sub(padding)?)?;
    match kind == Kind::Headers && flags & PRIORITY != 0 {
        true => payload.get(5..),
        false => Some(payload),
    }
}

/// Appends a frame of at most 16 KiB.
pub(super) fn write(bytes: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    debug_assert!(payload.len() <= PAYLOAD_MAX);
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind.number(), flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        let mut whole = Vec::new();
        write(&mut whole, Kind::Ping, ACK, 0, b"12345678");
        write(&mut whole, Kind::Data, 0, 1, b"x");
        let mut bytes = Vec::new();
        for byte in &whole[..HEAD + 8] {
            assert_eq!(Frame::take(&mut bytes), Ok(None));
            bytes.push(*byte);
        }
        bytes.extend_from_slice(&whole[HEAD + 8..]);
        let ping = Frame::take(&mut bytes).unwrap().unwrap();
        assert_eq!(
            (ping.kind, ping.has(ACK), &*ping.payload),
            (Kind::Ping, true, &b"12345678"[..])
        );
        assert_eq!(Frame::take(&mut bytes).unwrap().unwrap().payload, b"x");
        assert!(bytes.is_empty());
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let mut bytes = Vec::new();
        write(
            &mut bytes,
            Kind::Headers,
            PADDED | PRIORITY,
            1,
            b"\x02.....ab--",
        );
        assert_eq!(Frame::take(&mut bytes).unwrap().unwrap().payload, b"ab");
        write(&mut bytes, Kind::Data, PADDED, 1, b"\x09ab");
        assert!(Frame::take(&mut bytes).is_err());
    }

    #[test]
    fn a_giant_frame_is_refused_by_its_head() {
        assert!(Frame::take(&mut vec![0xff; HEAD]).is_err());
    }
}
