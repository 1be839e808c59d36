//! An HTTP/1.1 response, read as it arrives and never held whole.

/// So much of the body is kept, as the kubelet does; longer ones are cut, which is no error.
pub(crate) const BODY_MAX: usize = 10 << 10;
/// A longer head is an error.
const HEAD_MAX: usize = 64 << 10;
/// So many interim responses are passed over: Go's bound.
const INTERIM_MAX: u32 = 5;

/// A response of which some has been read.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// Bytes that are not understood yet.
    input: Vec<u8>,
    interim: u32,
    head: Option<Head>,
    body: Vec<u8>,
    framing: Framing,
}

/// Status line and the headers that matter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Where it redirects to.
    pub(crate) location: Option<String>,
}

/// How the end of the body is known.
#[derive(Debug, Default, PartialEq)]
enum Framing {
    /// The connection ends.
    #[default]
    Close,
    /// So many bytes are missing.
    Length(u64),
    /// Chunks: the size line of one comes next.
    ChunkSize,
    /// So many bytes of a chunk are missing.
    Chunk(u64),
    /// The line end behind a chunk is missing.
    ChunkEnd,
    /// Nothing is missing.
    Done,
}

/// What is wrong with a response.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("malformed HTTP response")]
    Head,
    #[error("server response headers exceeded {HEAD_MAX} bytes; aborted")]
    HeadTooLong,
    #[error("net/http: too many 1xx informational responses")]
    Interim,
    #[error("malformed chunked encoding")]
    Chunk,
    #[error("unexpected EOF")]
    Truncated,
}

impl Response {
    /// Understands more bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.input.extend_from_slice(bytes);
        while self.head.is_none() {
            if !self.read_head()? {
                return Ok(());
            }
        }
        while self.read_body()? {}
        Ok(())
    }

    /// The connection ended.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        match (&self.head, &self.framing) {
            (Some(_), Framing::Close) => self.framing = Framing::Done,
            (Some(_), Framing::Done) => {}
            _ => return Err(Malformed::Truncated),
        }
        Ok(())
    }

    /// The head, as soon as it is whole.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// What was kept of the body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Nothing more needs to be read: all is there, or enough.
    pub(crate) fn is_done(&self) -> bool {
        self.head.is_some() && (self.framing == Framing::Done || self.body.len() >= BODY_MAX)
    }

    /// True when a head was found. One of an interim response (100 to 199) does not count.
    fn read_head(&mut self) -> Result<bool, Malformed> {
        let Some(end) = end_of_head(&self.input) else {
            return match self.input.len() > HEAD_MAX {
                true => Err(Malformed::HeadTooLong),
                false => Ok(false),
            };
        };
        let text: Vec<u8> = self.input.drain(..end).collect();
        let text = String::from_utf8_lossy(&text);
        let (head, framing) = parse_head(&text)?;
        if !(100..200).contains(&head.status) || head.status == 101 {
            (self.head, self.framing) = (Some(head), framing);
            return Ok(true);
        }
        self.interim += 1;
        match self.interim > INTERIM_MAX {
            true => Err(Malformed::Interim),
            false => Ok(true),
        }
    }

    /// True when something was read and more may follow.
    fn read_body(&mut self) -> Result<bool, Malformed> {
        match self.framing {
            Framing::Done => self.input.clear(),
            Framing::Close => self.keep(u64::MAX),
            Framing::Length(missing) => {
                self.framing = match missing - self.keep_up_to(missing) {
                    0 => Framing::Done,
                    missing => Framing::Length(missing),
                };
            }
            Framing::ChunkSize | Framing::ChunkEnd => return self.read_chunk_line(),
            Framing::Chunk(missing) => {
                self.framing = match missing - self.keep_up_to(missing) {
                    0 => Framing::ChunkEnd,
                    missing => Framing::Chunk(missing),
                };
                return Ok(self.framing == Framing::ChunkEnd);
            }
        }
        Ok(false)
    }

    fn read_chunk_line(&mut self) -> Result<bool, Malformed> {
        let Some(end) = self.input.iter().position(|&byte| byte == b'\n') else {
            return match self.input.len() > 4096 {
                true => Err(Malformed::Chunk),
                false => Ok(false),
            };
        };
        let line: Vec<u8> = self.input.drain(..=end).collect();
        let line = str::from_utf8(&line).map_err(|_| Malformed::Chunk)?.trim();
        if self.framing == Framing::ChunkEnd {
            self.framing = Framing::ChunkSize;
            return match line {
                "" => Ok(true),
                _ => Err(Malformed::Chunk),
            };
        }
        let size = line.split(';').next().unwrap_or_default().trim_end();
        let size = u64::from_str_radix(size, 16).map_err(|_| Malformed::Chunk)?;
        self.framing = match size {
            0 => Framing::Done,
            size => Framing::Chunk(size),
        };
        Ok(true)
    }

    fn keep(&mut self, most: u64) {
        self.keep_up_to(most);
    }

    /// Takes up to `most` bytes of input as body; says how many.
    fn keep_up_to(&mut self, most: u64) -> u64 {
        let count = self
            .input
            .len()
            .min(usize::try_from(most).unwrap_or(usize::MAX));
        let room = BODY_MAX.saturating_sub(self.body.len());
        self.body.extend_from_slice(&self.input[..count.min(room)]);
        self.input.drain(..count);
        count as u64
    }
}

/// Behind the empty line; bare line feeds are understood too.
fn end_of_head(input: &[u8]) -> Option<usize> {
    let ends = input.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut lines = ends.map(|(at, _)| at + 1);
    lines.find_map(|line| match &input[line..] {
        [b'\n', ..] => Some(line + 1),
        [b'\r', b'\n', ..] => Some(line + 2),
        _ => None,
    })
}

fn parse_head(text: &str) -> Result<(Head, Framing), Malformed> {
    let mut lines = text.lines();
    let status = status_code(lines.next().unwrap_or_default()).ok_or(Malformed::Head)?;
    let mut head = Head {
        status,
        location: None,
    };
    let mut framing = Framing::Close;
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Malformed::Head)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "location" => head.location = Some(value.to_owned()),
            "content-length" if framing == Framing::Close => {
                framing = Framing::Length(value.parse().map_err(|_| Malformed::Head)?);
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                framing = Framing::ChunkSize;
            }
            _ => {}
        }
    }
    let bodiless = matches!(status, 101 | 204 | 304) || framing == Framing::Length(0);
    Ok((head, if bodiless { Framing::Done } else { framing }))
}

fn status_code(line: &str) -> Option<u16> {
    let mut words = line.split(' ');
    let version = words.next()?;
    let code = words.next()?;
    let numeric = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    (version.starts_with("HTTP/") && numeric).then(|| code.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, the outcome is the same.
    fn read(text: &str) -> Result<Response, Malformed> {
        let whole = read_in_pieces(text, text.len().max(1));
        for size in 1..4 {
            let pieces = read_in_pieces(text, size);
            let outcome = |result: &Result<Response, Malformed>| match result {
                Ok(response) => Ok((
                    response.head.clone(),
                    response.body.clone(),
                    response.is_done(),
                )),
                Err(why) => Err(format!("{why:?}")),
            };
            assert_eq!(outcome(&whole), outcome(&pieces), "pieces of {size}");
        }
        whole
    }

    fn read_in_pieces(text: &str, size: usize) -> Result<Response, Malformed> {
        let mut response = Response::default();
        for piece in text.as_bytes().chunks(size) {
            response.feed(piece)?;
        }
        Ok(response)
    }

    #[test]
    fn a_body_ends_by_length_by_chunks_or_with_the_connection() {
        let by_length = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert!(by_length.is_done());
        let by_chunks =
            read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\n\r\n")
                .unwrap();
        assert!(by_chunks.is_done());
        let mut by_end = read("HTTP/1.0 200 OK\n\nhi").unwrap();
        assert!(!by_end.is_done());
        by_end.end().unwrap();
        for response in [by_length, by_chunks, by_end] {
            assert_eq!((response.body(), response.is_done()), (&b"hi"[..], true));
        }
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        let response =
            read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(response.head().unwrap().status, 204);
        assert!(response.is_done());
        let endless = "HTTP/1.1 102 Processing\r\n\r\n".repeat(6);
        assert!(matches!(read(&endless), Err(Malformed::Interim)));
    }

    #[test]
    fn a_connection_that_ends_too_early_is_an_error() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        ] {
            assert_eq!(
                read(text).unwrap().end(),
                Err(Malformed::Truncated),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_long_body_is_cut_and_a_long_head_refused() {
        let body = "x".repeat(BODY_MAX + 1);
        let response = read_in_pieces(&format!("HTTP/1.1 200 OK\r\n\r\n{body}"), 1000).unwrap();
        assert_eq!(
            (response.body().len(), response.is_done()),
            (BODY_MAX, true)
        );
        let head = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(HEAD_MAX));
        assert!(matches!(
            read_in_pieces(&head, 1000),
            Err(Malformed::HeadTooLong)
        ));
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        for chunks in ["zz\r\n", "\r\n", "1\r\nx!\r\n"] {
            let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert!(read(&text).is_err(), "{text:?}");
        }
    }
}
