//! Header blocks of HTTP/2: RFC 7541, as far as one call needs it. No dynamic table: the client forbids the server to use one.

use super::huffman;

/// Names and values of the static table that an answer may refer to. Only the status needs its values.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

/// Appends a header that is not to be remembered, in plain text.
pub(super) fn write(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        write_length(block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
}

fn write_length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push((length % 128) as u8 | 128);
        length /= 128;
    }
    block.push(length as u8);
}

/// The headers of a block, in order; `None` if it makes no sense.
pub(super) fn read(block: &[u8]) -> Option<Vec<(String, String)>> {
    let mut block = Block(block);
    let mut headers = Vec::new();
    while let Some(&first) = block.0.first() {
        if first & 0x80 != 0 {
            let (name, value) = statics(block.number(7)?)?;
            headers.push((name.to_owned(), value.to_owned()));
        } else if first & 0xe0 == 0x20 {
            block.number(5)?; // the dynamic table's size, which stays 0
        } else {
            // With indexing, without, or never to be indexed: the same without a table.
            let name = match block.number(if first & 0x40 != 0 { 6 } else { 4 })? {
                0 => block.text()?,
                index => statics(index)?.0.to_owned(),
            };
            headers.push((name, block.text()?));
        }
    }
    Some(headers)
}

fn statics(index: usize) -> Option<(&'static str, &'static str)> {
    STATIC.get(index.checked_sub(1)?).copied()
}

/// What is left of a block.
struct Block<'a>(&'a [u8]);

impl Block<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// A number whose first part is the lower `bits` of a byte.
    fn number(&mut self, bits: u32) -> Option<usize> {
        let most = (1usize << bits) - 1;
        let mut number = usize::from(self.byte()?) & most;
        if number < most {
            return Some(number);
        }
        for shift in (0..28).step_by(7) {
            let byte = self.byte()?;
            number += usize::from(byte & 127) << shift;
            if byte & 128 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let coded = self.0.first()? & 128 != 0;
        let length = self.number(7)?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let bytes = if coded {
            huffman::decode(bytes)?
        } else {
            bytes.to_vec()
        };
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(300);
        let mut block = Vec::new();
        write(&mut block, ":path", "/a");
        write(&mut block, "empty", "");
        write(&mut block, "long", &long);
        assert_eq!(
            read(&block),
            Some(pairs(&[(":path", "/a"), ("empty", ""), ("long", &long)]))
        );
    }

    /// RFC 7541, C.2 and the start of C.6.1; the trailers are grpc-go's.
    #[test]
    fn every_form_is_read() {
        let literal = b"\x40\x0acustom-key\x0dcustom-header";
        assert_eq!(
            read(literal),
            Some(pairs(&[("custom-key", "custom-header")]))
        );
        assert_eq!(
            read(b"\x04\x0c/sample/path"),
            Some(pairs(&[(":path", "/sample/path")]))
        );
        assert_eq!(read(&[0x20, 0x88]), Some(pairs(&[(":status", "200")])));
        assert_eq!(
            read(&[0x48, 0x82, 0x64, 0x02]),
            Some(pairs(&[(":status", "302")]))
        );
        let trailers = [
            0x40, 0x88, 0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f, 0x01, b'0',
        ];
        assert_eq!(read(&trailers), Some(pairs(&[("grpc-status", "0")])));
    }

    #[test]
    fn nonsense_is_refused() {
        let cases: [&[u8]; 6] = [
            &[0x80],
            &[0xbe],
            &[0x40],
            &[0x00, 0x05, b'a'],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x7f],
        ];
        for block in cases {
            assert_eq!(read(block), None, "{block:?}");
        }
    }
}
