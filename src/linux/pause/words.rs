//! A message as sixteen words: what the kinds of messages are put together from.

use super::{At, Failure, Key, MESSAGE_SIZE, Malformed};

/// The first word's upper half: both sides come from one build, so anything else is not ours.
const VERSION: u32 = 0x7064_0000;

/// The message under construction, or taken apart.
pub(super) struct Words([u32; MESSAGE_SIZE / 4]);

impl Words {
    pub(super) const KEY: usize = 1;
    pub(super) const BODY: usize = 4;

    pub(super) fn new(kind: u32, key: Key) -> Words {
        let mut words = Words([0; MESSAGE_SIZE / 4]);
        words.0[0] = VERSION | kind;
        words.put_key(Words::KEY, key);
        words
    }

    pub(super) fn with(mut self, at: usize, value: u32) -> Words {
        self.0[Words::BODY + at] = value;
        self
    }

    pub(super) fn with_moment(mut self, at: usize, moment: At) -> Words {
        self.put_long(Words::BODY + at, moment.mono);
        self.put_long(Words::BODY + at + 2, moment.wall as u64);
        self
    }

    pub(super) fn put_key(&mut self, at: usize, key: Key) {
        self.0[at] = key.container;
        self.0[at + 1] = key.attempt;
        self.0[at + 2] = key.exec;
    }

    pub(super) fn put_long(&mut self, at: usize, value: u64) {
        self.0[at] = value as u32;
        self.0[at + 1] = (value >> 32) as u32;
    }

    pub(super) fn key(&self, at: usize) -> Key {
        Key {
            container: self.0[at],
            attempt: self.0[at + 1],
            exec: self.0[at + 2],
        }
    }

    pub(super) fn word(&self, at: usize) -> u32 {
        self.0[Words::BODY + at]
    }

    pub(super) fn long(&self, at: usize) -> u64 {
        u64::from(self.word(at)) | u64::from(self.word(at + 1)) << 32
    }

    pub(super) fn moment(&self, at: usize) -> At {
        let long = |at| self.long(at);
        At {
            mono: long(at),
            wall: long(at + 2) as i64,
        }
    }

    pub(super) fn failure(&self) -> Failure {
        Failure {
            step: self.word(0),
            errno: self.word(1) as i32,
        }
    }

    pub(super) fn encode(&self) -> [u8; MESSAGE_SIZE] {
        let mut bytes = [0; MESSAGE_SIZE];
        for (piece, word) in bytes.chunks_exact_mut(4).zip(self.0) {
            piece.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<(u32, Words), Malformed> {
        if bytes.len() != MESSAGE_SIZE {
            return Err(Malformed);
        }
        let mut words = Words([0; MESSAGE_SIZE / 4]);
        for (word, piece) in words.0.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([piece[0], piece[1], piece[2], piece[3]]);
        }
        if words.0[0] & 0xffff_0000 != VERSION {
            return Err(Malformed);
        }
        Ok((words.0[0] & 0xffff, words))
    }
}
