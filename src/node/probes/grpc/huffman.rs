//! The Huffman code of HTTP/2 header text: RFC 7541, appendix B. It is canonical, so the lengths say it all.

/// Bits of the code of each byte, and of the end-of-string mark, which is never sent.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];
const LENGTH_MAX: u8 = 30;

/// What `coded` says; `None` if it is no such code.
pub(super) fn decode(coded: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(coded.len() * 8 / 5);
    let mut bits = coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1));
    loop {
        match symbol(&mut bits) {
            Symbol::Byte(byte) => text.push(byte),
            Symbol::Padding => return Some(text),
            Symbol::Invalid => return None,
        }
    }
}

enum Symbol {
    Byte(u8),
    /// Less than a byte of ones, at the end.
    Padding,
    Invalid,
}

/// Reads one: in a canonical code, those of one length follow each other, in the order of what they stand for.
fn symbol(bits: &mut impl Iterator<Item = u8>) -> Symbol {
    let (mut code, mut first, mut ones) = (0u32, 0u32, true);
    for length in 1..=LENGTH_MAX {
        let Some(bit) = bits.next() else {
            return if ones && length <= 8 {
                Symbol::Padding
            } else {
                Symbol::Invalid
            };
        };
        ones &= bit == 1;
        (code, first) = (code << 1 | u32::from(bit), first << 1);
        let mut of_length = (0..).zip(LENGTHS).filter(|(_, of)| *of == length);
        let count = of_length.clone().count() as u32;
        if code - first < count {
            let found: Option<(u16, u8)> = of_length.nth((code - first) as usize);
            let byte = found.and_then(|(symbol, _)| u8::try_from(symbol).ok());
            return byte.map_or(Symbol::Invalid, Symbol::Byte);
        }
        first += count;
    }
    Symbol::Invalid
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7541, appendix C.
    #[test]
    fn the_standards_examples() {
        let cases: [(&str, &[u8]); 4] = [
            (
                "www.example.com",
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ],
            ),
            ("no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            ("302", &[0x64, 0x02]),
            (
                "Mon, 21 Oct 2013 20:13:21 GMT",
                &[
                    0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04,
                    0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
                ],
            ),
        ];
        for (text, coded) in cases {
            assert_eq!(decode(coded).as_deref(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        assert_eq!(decode(&[]), Some(Vec::new()));
        assert_eq!(decode(&[0xff]), None, "a whole byte of padding");
        assert_eq!(decode(&[0xff; 4]), None, "the end-of-string mark");
        assert_eq!(
            decode(&[0b0000_0000]),
            None,
            "padding of zeros: `0` and three bits"
        );
    }
}
