//! A plan's flat form: what [`Plan`](super::plan::Plan) is compiled to, and what pause's child walks.
//!
//! Compiled twice like the wire, and as pure. A header, then one record a step: an operation, a handle, three numbers,
//! three byte strings, each string followed by a NUL so that it can be given to the kernel where it lies.

/// Says that it is a plan of this build.
const MAGIC: u32 = 0x316e_6c70;
/// Bytes before the first record.
pub const HEADER_SIZE: usize = 24;
/// Bytes of a record before its strings.
const RECORD_SIZE: usize = 40;
/// The largest plan.
pub const PLAN_SIZE_MAX: usize = 4 << 20;
/// No handle.
pub const NO_HANDLE: u16 = u16::MAX;

/// What stands before the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Namespaces the process gets anew: `CLONE_NEW*`.
    pub new: u32,
    /// Namespaces it takes over from the target of the start: `CLONE_NEW*`.
    pub join: u32,
    /// How many records follow.
    pub steps: u32,
    /// How many handles the plan refers to.
    pub handles: u32,
    /// Bytes of the whole plan.
    pub size: u32,
}

impl Header {
    /// As bytes.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let words = [
            MAGIC,
            self.new,
            self.join,
            self.steps,
            self.handles,
            self.size,
        ];
        for (piece, word) in bytes.chunks_exact_mut(4).zip(words) {
            piece.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From the plan's first bytes; `None` if it is no plan of this build.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let header = Header {
            new: word(bytes, 4)?,
            join: word(bytes, 8)?,
            steps: word(bytes, 12)?,
            handles: word(bytes, 16)?,
            size: word(bytes, 20)?,
        };
        let sound = word(bytes, 0)? == MAGIC && (header.size as usize) <= PLAN_SIZE_MAX;
        sound.then_some(header)
    }
}

/// Numbers the operations from 1, and finds them again by number.
macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// What a record does. Its numbers and strings are said where [`Step`](super::plan::Step) is compiled.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Op { #[allow(missing_docs)] Nothing = 0, $(#[allow(missing_docs)] $name),* }

        const OPERATIONS: &[Op] = &[Op::Nothing, $(Op::$name),*];
    };
}

operations! {
    Propagation,
    Root,
    Bind,
    Filesystem,
    Attributes,
    Mask,
    ReadOnly,
    Pivot,
    Directory,
    Symlink,
    Device,
    File,
    Copy,
    Owner,
    Kernel,
    Chdir,
    Namespace,
    Hostname,
    Domainname,
    Loopback,
    Rlimit,
    OomScoreAdj,
    Nice,
    Affinity,
    Umask,
    ParentDeath,
    Terminal,
    Subreaper,
    OwnStreams,
    Groups,
    Gid,
    Uid,
    Bounding,
    Capabilities,
    Ambient,
    NoNewPrivileges,
    Seccomp,
    Exec,
    Reap,
}

impl Op {
    fn of(number: u16) -> Option<Op> {
        OPERATIONS
            .get(number as usize)
            .copied()
            .filter(|op| *op != Op::Nothing)
    }
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What to do.
    pub op: Op,
    /// The handle it is done with, or [`NO_HANDLE`].
    pub handle: u16,
    /// Its numbers.
    pub number: [u64; 3],
    /// Its strings, without the NUL that follows each in memory.
    pub text: [&'a [u8]; 3],
}

impl<'a> Record<'a> {
    /// A record that says nothing yet.
    pub const fn new(op: Op) -> Record<'a> {
        Record {
            op,
            handle: NO_HANDLE,
            number: [0; 3],
            text: [&[]; 3],
        }
    }

    /// The same with a mount that is made, attributes and all.
    pub fn attaching(self, handle: u16) -> Record<'a> {
        Record {
            handle,
            number: [0; 3],
            ..self
        }
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        let text: usize = self.text.iter().map(|text| text.len() + 1).sum();
        (RECORD_SIZE + text).next_multiple_of(8)
    }

    /// Writes it piece by piece; the last piece is padding to a multiple of eight.
    pub fn encode(&self, mut put: impl FnMut(&[u8])) {
        put(&(self.op as u16).to_le_bytes());
        put(&self.handle.to_le_bytes());
        for text in self.text {
            put(&(text.len() as u32).to_le_bytes());
        }
        for number in self.number {
            put(&number.to_le_bytes());
        }
        let mut written = RECORD_SIZE;
        for text in self.text {
            put(text);
            put(&[0]);
            written += text.len() + 1;
        }
        put(&[0; 8][..self.size() - written]);
    }

    /// The record at the start of `bytes`, and what follows it; `None` if it is cut off or unknown.
    pub fn decode(bytes: &'a [u8]) -> Option<(Record<'a>, &'a [u8])> {
        let op = Op::of(short(bytes, 0)?)?;
        let mut record = Record {
            handle: short(bytes, 2)?,
            ..Record::new(op)
        };
        let mut at = RECORD_SIZE;
        for (index, text) in record.text.iter_mut().enumerate() {
            let size = word(bytes, 4 + 4 * index)? as usize;
            let end = at.checked_add(size)?;
            *text = bytes.get(at..end)?;
            if *bytes.get(end)? != 0 {
                return None;
            }
            at = end + 1;
        }
        for (index, number) in record.number.iter_mut().enumerate() {
            let low = word(bytes, 16 + 8 * index)?;
            let high = word(bytes, 20 + 8 * index)?;
            *number = u64::from(low) | u64::from(high) << 32;
        }
        let rest = bytes.get(record.size()..)?;
        Some((record, rest))
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(record: &Record<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    proptest! {
        #[test]
        fn every_record_comes_back_as_it_was(
            op in 1..OPERATIONS.len(),
            handle in any::<u16>(),
            number in any::<[u64; 3]>(),
            text in any::<[Vec<u8>; 3]>(),
            more in any::<Vec<u8>>(),
        ) {
            let text = text.each_ref().map(|text| text.as_slice());
            let record = Record { op: OPERATIONS[op], handle, number, text };
            let mut bytes = flat(&record);
            prop_assert_eq!(bytes.len(), record.size());
            prop_assert!(Record::decode(&bytes[..bytes.len() - 1]).is_none());
            bytes.extend_from_slice(&more);
            let (back, rest) = Record::decode(&bytes).unwrap();
            prop_assert_eq!((back.op, back.handle, back.number, back.text), (record.op, handle, number, text));
            prop_assert_eq!(rest, &more);
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((record, rest)) = Record::decode(&bytes) {
                prop_assert_eq!(record.size() + rest.len(), bytes.len());
            }
            let _ = Header::decode(&bytes);
        }
    }
}
