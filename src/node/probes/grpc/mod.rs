//! The gRPC health check: one unary call over HTTP/2, as far as a non-blocking socket lets it go.
//!
//! `grpc.health.v1.Health/Check`; the answer SERVING is success, everything else is not. Texts are the kubelet's
//! (`pkg/probe/grpc/grpc.go`).

mod frame;
mod header;
mod huffman;

use std::os::fd::AsFd;

use super::stream::{Stop, Stream, Wire};
use super::{Step, Verdict};
use crate::linux::reactor::Interest;
use frame::{ACK, END_HEADERS, END_STREAM, Frame, Kind};

/// The connection preface, and settings: nothing is pushed, and headers are sent without a table.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
/// The only stream.
const STREAM: u32 = 1;
/// An answer has a few bytes; more than this is not one.
const ANSWER_MAX: usize = 64 << 10;

/// A health check under way, on a socket that is connected.
#[derive(Debug)]
pub(crate) struct Check {
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// A header block of which more is to come.
    block: Vec<u8>,
    ends: bool,
    headers: Vec<(String, String)>,
    message: Vec<u8>,
}

/// The answer was not one.
#[derive(Debug, PartialEq)]
struct Nonsense(&'static str);

impl Check {
    /// Asks the server at `authority` for the health of `service`; the empty name means the server as a whole.
    pub(crate) fn new(service: &str, authority: &str, user_agent: &str) -> Check {
        let mut unsent = PREFACE.to_vec();
        frame::write(&mut unsent, Kind::Settings, 0, 0, &SETTINGS);
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", user_agent),
        ] {
            header::write(&mut block, name, value);
        }
        frame::write(&mut unsent, Kind::Headers, END_HEADERS, STREAM, &block);
        frame::write(
            &mut unsent,
            Kind::Data,
            END_STREAM,
            STREAM,
            &request(service),
        );
        Check {
            unsent,
            received: Vec::new(),
            block: Vec::new(),
            ends: false,
            headers: Vec::new(),
            message: Vec::new(),
        }
    }

    /// Sends and receives what is possible without blocking: at most 16 KiB are read in one step.
    pub(crate) fn step(&mut self, socket: impl AsFd) -> Step {
        match self.exchange(Wire(socket.as_fd())) {
            Ok(step) => step,
            Err(Stop::Wait(interest)) => Step::Wait(interest),
            Err(Stop::Failed(why)) => Step::Done(failed(&why)),
            Err(Stop::PlainHttp) => Step::Done(failed("the server speaks no gRPC")),
        }
    }

    fn exchange(&mut self, wire: Wire<'_>) -> Result<Step, Stop> {
        Stream::Plain.send(wire, &mut self.unsent)?;
        let piece = Stream::Plain.receive(wire)?;
        if piece.is_empty() {
            return Ok(Step::Done(failed("the server closed the connection")));
        }
        self.received.extend_from_slice(&piece);
        match self.read() {
            Ok(Some(verdict)) => return Ok(Step::Done(verdict)),
            Ok(None) => {}
            Err(Nonsense(why)) => return Ok(Step::Done(failed(why))),
        }
        Stream::Plain.send(wire, &mut self.unsent)?;
        Ok(Step::Wait(Interest::Read))
    }

    /// Takes in whole frames; the verdict once the stream has ended.
    fn read(&mut self) -> Result<Option<Verdict>, Nonsense> {
        while let Some(frame) = Frame::take(&mut self.received).map_err(Nonsense)? {
            if let Some(verdict) = self.take(frame)? {
                return Ok(Some(verdict));
            }
        }
        Ok(None)
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Verdict>, Nonsense> {
        let ours = frame.stream == STREAM;
        match frame.kind {
            Kind::Settings if !frame.has(ACK) => {
                frame::write(&mut self.unsent, Kind::Settings, ACK, 0, &[])
            }
            Kind::Ping if !frame.has(ACK) => {
                frame::write(&mut self.unsent, Kind::Ping, ACK, 0, &frame.payload)
            }
            Kind::Headers | Kind::Continuation if ours => return self.headers(&frame),
            Kind::Data if ours => {
                grow(&mut self.message, &frame.payload)?;
                if frame.has(END_STREAM) {
                    return Ok(Some(self.verdict()));
                }
            }
            Kind::Reset if ours => return Err(Nonsense("the server reset the stream")),
            Kind::GoAway => return Err(Nonsense("the server turned the connection away")),
            _ => {}
        }
        // A server that only ever asks for answers is given no more than this.
        if self.unsent.len() > ANSWER_MAX {
            return Err(Nonsense("the server does not read"));
        }
        Ok(None)
    }

    fn headers(&mut self, frame: &Frame) -> Result<Option<Verdict>, Nonsense> {
        grow(&mut self.block, &frame.payload)?;
        self.ends |= frame.kind == Kind::Headers && frame.has(END_STREAM);
        if !frame.has(END_HEADERS) {
            return Ok(None);
        }
        let headers = header::read(&self.block).ok_or(Nonsense("the headers make no sense"))?;
        self.block.clear();
        self.headers.extend(headers);
        if self.headers.len() > ANSWER_MAX / 64 {
            return Err(Nonsense("there are too many headers"));
        }
        Ok(self.ends.then(|| self.verdict()))
    }

    fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    }

    /// The call has ended: what the headers and the message come to.
    fn verdict(&self) -> Verdict {
        let said = self.header("grpc-message").unwrap_or_default();
        match (self.header("grpc-status"), self.header(":status")) {
            (Some("0"), _) => match status(&self.message) {
                Some(SERVING) => Verdict::Success,
                Some(other) => Verdict::Failure(format!(
                    "service unhealthy (responded with {:?})",
                    status_name(other)
                )),
                None => failed("the answer is no health status"),
            },
            (Some("12"), _) => Verdict::Failure(format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {said}"
            )),
            (Some(code), _) => failed(&format!("rpc error: code = {code} desc = {said}")),
            (None, Some(http)) => failed(&format!("the server speaks no gRPC: HTTP status {http}")),
            (None, None) => failed("the server speaks no gRPC"),
        }
    }
}

fn failed(why: &str) -> Verdict {
    Verdict::Failure(format!("error: health rpc probe failed: {why}"))
}

fn grow(buffer: &mut Vec<u8>, more: &[u8]) -> Result<(), Nonsense> {
    if buffer.len() + more.len() > ANSWER_MAX {
        return Err(Nonsense("the answer is too long"));
    }
    buffer.extend_from_slice(more);
    Ok(())
}

/// `HealthCheckRequest { string service = 1 }` in a gRPC envelope. A name longer than a frame is cut: no server has it.
fn request(service: &str) -> Vec<u8> {
    let service = &service.as_bytes()[..service.len().min(8 << 10)];
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        write_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service);
    }
    let mut envelope = vec![0];
    envelope.extend_from_slice(&(message.len() as u32).to_be_bytes());
    envelope.extend_from_slice(&message);
    envelope
}

fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push((number % 128) as u8 | 128);
        number /= 128;
    }
    bytes.push(number as u8);
}

const SERVING: u64 = 1;

/// `ServingStatus` as written in its definition.
fn status_name(status: u64) -> String {
    match status {
        0 => "UNKNOWN".into(),
        1 => "SERVING".into(),
        2 => "NOT_SERVING".into(),
        3 => "SERVICE_UNKNOWN".into(),
        other => other.to_string(),
    }
}

/// `HealthCheckResponse { ServingStatus status = 1 }` in an envelope, uncompressed. A status left out is 0.
fn status(envelope: &[u8]) -> Option<u64> {
    let (&[0, l3, l2, l1, l0], message) = envelope.split_first_chunk::<5>()? else {
        return None;
    };
    let mut message = message.get(..u32::from_be_bytes([l3, l2, l1, l0]) as usize)?;
    let mut status = 0;
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = read_varint(&mut message)?,
            (_, 0) => drop(read_varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                message = usize::try_from(read_varint(&mut message)?)
                    .ok()
                    .and_then(|length| message.get(length..))?
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What a server does after its settings; then it closes.
    fn answered(frames: impl Fn(&mut Vec<u8>)) -> Step {
        let mut answer = Vec::new();
        frame::write(&mut answer, Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 100]);
        frames(&mut answer);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut check = Check::new("web", "127.0.0.1:1", "kube-probe/0");
        theirs.write_all(&answer).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut step = check.step(&ours);
        while matches!(step, Step::Wait(_)) {
            step = check.step(&ours);
        }
        step
    }

    fn block(headers: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        headers
            .iter()
            .for_each(|(name, value)| header::write(&mut block, name, value));
        block
    }

    fn serving(answer: &mut Vec<u8>, status: u8) {
        frame::write(
            answer,
            Kind::Headers,
            END_HEADERS,
            1,
            &block(&[(":status", "200")]),
        );
        frame::write(answer, Kind::Data, 0, 1, &[0, 0, 0, 0, 2, 8, status]);
        frame::write(
            answer,
            Kind::Headers,
            END_HEADERS | END_STREAM,
            1,
            &block(&[("grpc-status", "0")]),
        );
    }

    fn failure(step: Step) -> String {
        match step {
            Step::Done(Verdict::Failure(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_serving_is_well() {
        assert_eq!(
            answered(|answer| serving(answer, 1)),
            Step::Done(Verdict::Success)
        );
        let why = failure(answered(|answer| serving(answer, 2)));
        assert_eq!(why, r#"service unhealthy (responded with "NOT_SERVING")"#);
    }

    #[test]
    fn errors_of_the_call_are_told() {
        let trailers = |status: &'static str, message: &'static str| {
            move |answer: &mut Vec<u8>| {
                let block = block(&[
                    (":status", "200"),
                    ("grpc-status", status),
                    ("grpc-message", message),
                ]);
                let (first, rest) = block.split_at(5);
                frame::write(answer, Kind::Headers, END_STREAM, 1, first);
                frame::write(answer, Kind::Continuation, END_HEADERS, 1, rest);
            }
        };
        let why = failure(answered(trailers("5", "unknown service")));
        assert_eq!(
            why,
            "error: health rpc probe failed: rpc error: code = 5 desc = unknown service"
        );
        let why = failure(answered(trailers("12", "no")));
        assert_eq!(
            why,
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): no"
        );
        let why = failure(answered(|answer| {
            frame::write(answer, Kind::GoAway, 0, 0, &[0; 8])
        }));
        assert!(why.contains("turned the connection away"), "{why}");
        assert!(failure(answered(|_| {})).contains("closed the connection"));
    }

    #[test]
    fn the_request_is_what_the_protocol_says() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(
            Check::new("web", "h:1", "a").step(&ours),
            Step::Wait(Interest::Read)
        );
        let mut sent = vec![0; 4096];
        let count = theirs.read(&mut sent).unwrap();
        sent.truncate(count);
        assert_eq!(sent.drain(..PREFACE.len()).collect::<Vec<_>>(), PREFACE);
        let settings = Frame::take(&mut sent).unwrap().unwrap();
        assert_eq!(
            (settings.kind, &settings.payload[..]),
            (Kind::Settings, &SETTINGS[..])
        );
        let headers = header::read(&Frame::take(&mut sent).unwrap().unwrap().payload).unwrap();
        assert!(headers.contains(&(":path".into(), "/grpc.health.v1.Health/Check".into())));
        let data = Frame::take(&mut sent).unwrap().unwrap();
        assert_eq!(
            (data.has(END_STREAM), &data.payload[..]),
            (true, &b"\0\0\0\0\x05\x0a\x03web"[..])
        );
    }

    #[test]
    fn settings_and_pings_are_answered() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut check = Check::new("", "h:1", "a");
        check.step(&ours);
        let mut bytes = [0; 4096];
        let _ = theirs.read(&mut bytes).unwrap();
        let mut asks = Vec::new();
        frame::write(&mut asks, Kind::Settings, 0, 0, &[]);
        frame::write(&mut asks, Kind::Ping, 0, 0, b"12345678");
        theirs.write_all(&asks).unwrap();
        assert_eq!(check.step(&ours), Step::Wait(Interest::Read));
        let count = theirs.read(&mut bytes).unwrap();
        let mut answers = bytes[..count].to_vec();
        assert_eq!(Frame::take(&mut answers).unwrap().unwrap().flags, ACK);
        assert_eq!(
            Frame::take(&mut answers).unwrap().unwrap().payload,
            b"12345678"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Whatever a server sends, in whatever pieces: an end, no panic, bounded memory.
        #[test]
        fn any_answer_is_survived(pieces in proptest::collection::vec(proptest::collection::vec(0u8.., 0..64), 0..16)) {
            let mut check = Check::new("", "h:1", "a");
            for piece in pieces {
                check.received.extend(piece);
                let _ = check.read();
            }
        }

        #[test]
        fn any_frames_are_survived(frames in proptest::collection::vec((0u8..10, 0u8.., 0u32..2, proptest::collection::vec(0u8.., 0..40)), 0..16)) {
            let mut check = Check::new("", "h:1", "a");
            for (kind, flags, stream, payload) in frames {
                frame::write(&mut check.received, Kind::of(kind), flags, stream, &payload);
                let _ = check.read();
            }
        }
    }
}
