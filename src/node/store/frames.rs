//! A file of checksummed frames, of which the last whole one counts.
//!
//! A frame is its length, its CRC-32, and its bytes. A writer that is killed in the middle leaves a torn frame at the
//! end, which the next one overwrites: what was written before it still counts.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::{Error, Result};

/// Length and checksum, both little endian.
const HEADER: usize = 8;
/// A longer frame is not ours.
const FRAME_MAX: usize = 64 << 20;
/// Below this size a file is not worth compacting.
const COMPACT_FROM: u64 = 256 << 10;

/// An open file of frames.
#[derive(Debug)]
pub(crate) struct Frames {
    path: PathBuf,
    file: File,
    /// Where the next frame goes.
    end: u64,
}

impl Frames {
    /// A new file with one frame. Fails if there is one already.
    pub(crate) fn create(path: PathBuf, first: &[u8]) -> Result<Frames> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|why| Error::io(format!("make {}", path.display()), why))?;
        let mut frames = Frames { path, file, end: 0 };
        frames.append(first)?;
        Ok(frames)
    }

    /// The file as it was left, and its last whole frame.
    pub(crate) fn open(path: PathBuf) -> Result<(Frames, Option<Vec<u8>>)> {
        let failed = |why| Error::io(format!("open {}", path.display()), why);
        let bytes = std::fs::read(&path).map_err(failed)?;
        let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
        let (end, last) = last_frame(&bytes);
        let last = last.map(<[u8]>::to_vec);
        let end = end as u64;
        Ok((Frames { path, file, end }, last))
    }

    /// Adds a frame: one write. When it fails the frames before it still count.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<()> {
        let frame = frame(payload);
        if self.end >= COMPACT_FROM && self.end > 32 * frame.len() as u64 {
            return self.compact(&frame);
        }
        self.file
            .write_all_at(&frame, self.end)
            .map_err(|why| Error::io(format!("write {}", self.path.display()), why))?;
        self.end += frame.len() as u64;
        Ok(())
    }

    /// The same file with this frame only, in the place of the old one.
    fn compact(&mut self, frame: &[u8]) -> Result<()> {
        let new = self.path.with_extension("new");
        let failed = |why| Error::io(format!("write {}", new.display()), why);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(failed)?;
        file.write_all_at(frame, 0).map_err(failed)?;
        std::fs::rename(&new, &self.path).map_err(failed)?;
        self.file = file;
        self.end = frame.len() as u64;
        Ok(())
    }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&crc32(payload).to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Where the whole frames end, and the last of them.
fn last_frame(bytes: &[u8]) -> (usize, Option<&[u8]>) {
    let (mut end, mut last) = (0, None);
    while let Some(payload) = whole_frame(&bytes[end..]) {
        end += HEADER + payload.len();
        last = Some(payload);
    }
    (end, last)
}

/// The frame that `bytes` begin with, if it is whole.
fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let checksum = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    if length == 0 || length > FRAME_MAX {
        return None;
    }
    let payload = bytes.get(HEADER..HEADER + length)?;
    (crc32(payload) == checksum).then_some(payload)
}

/// CRC-32 as in zlib and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (crc >> 8) ^ CRC_TABLE[usize::from(crc as u8 ^ byte)]
    })
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn wherever_a_write_is_cut_the_frame_before_it_counts() {
        let whole = [frame(b"first"), frame(b"second")].concat();
        let first = HEADER + 5;
        for cut in 0..=whole.len() {
            let (end, last) = last_frame(&whole[..cut]);
            match cut {
                _ if cut < first => assert_eq!((end, last), (0, None)),
                _ if cut < whole.len() => assert_eq!((end, last), (first, Some(&b"first"[..]))),
                _ => assert_eq!((end, last), (whole.len(), Some(&b"second"[..]))),
            }
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_file_before_it() {
        let whole = [frame(b"first"), frame(b"second")].concat();
        for at in HEADER + 5..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert_eq!(last_frame(&bytes).1, Some(&b"first"[..]), "byte {at}");
        }
    }

    #[test]
    fn a_torn_frame_is_overwritten_and_a_long_file_compacted() {
        let directory = std::env::temp_dir().join(format!("podlife-frames-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("record");
        let frames = Frames::create(path.clone(), b"first").unwrap();
        frames.file.write_all_at(b"torn", frames.end).unwrap();
        let (mut frames, last) = Frames::open(path.clone()).unwrap();
        assert_eq!(last.as_deref(), Some(&b"first"[..]));
        for number in 0..1000 {
            frames
                .append(format!("{number:0>1024}").as_bytes())
                .unwrap();
        }
        assert!(std::fs::metadata(&frames.path).unwrap().len() < COMPACT_FROM + 2048);
        let (_, last) = Frames::open(path).unwrap();
        assert_eq!(last, Some(format!("{:0>1024}", 999).into_bytes()));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
