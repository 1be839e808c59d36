//! The identity of a pod: its uid.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Kind, Result};

/// A pod's uid, 128 bits. Names repeat over time; ids never do, and a stale one is simply not found.
///
/// ```
/// use podlife::node::PodId;
///
/// let id: PodId = "0f0e7d3c-6a5b-4c8d-9e0f-123456789abc".parse()?;
/// assert_eq!(id.to_string(), "0f0e7d3c-6a5b-4c8d-9e0f-123456789abc");
/// assert!("auto-pod".parse::<PodId>().is_err());
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(u128);

impl PodId {
    /// No pod's.
    pub(super) const NONE: PodId = PodId(0);
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PodId(n) = self;
        let [a, b, c] = [n >> 96, (n >> 80) & 0xffff, (n >> 64) & 0xffff];
        let [d, e] = [(n >> 48) & 0xffff, n & 0xffff_ffff_ffff];
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

impl fmt::Debug for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodId({self})")
    }
}

/// A UUID with its hyphens, or 32 hexadecimal digits as the uids of static pods are.
impl FromStr for PodId {
    type Err = Error;

    fn from_str(text: &str) -> Result<PodId> {
        let hyphens = [8, 13, 18, 23];
        let hyphenated = text.len() == 36 && hyphens.iter().all(|&at| text.as_bytes()[at] == b'-');
        let digits: String = match hyphenated {
            true => text.split('-').collect(),
            false => text.to_owned(),
        };
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let attempt = format!("read the pod uid {text:?}");
            return Err(Error::new(Kind::Invalid, attempt, "it is not a UUID")
                .cure("leave metadata.uid out, or give 32 hexadecimal digits"));
        }
        u128::from_str_radix(&digits, 16)
            .map(PodId)
            .map_err(|why| Error::caused(Kind::Invalid, format!("read the pod uid {text:?}"), why))
    }
}

impl Serialize for PodId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PodId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PodId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Makes new ids: a seed from the kernel when the Node opens, then a counter, hashed.
#[derive(Debug)]
pub(crate) struct Ids {
    seed: u128,
    count: u64,
}

impl Ids {
    /// Seeded by the kernel.
    pub(crate) fn open() -> Result<Ids> {
        let path = "/proc/sys/kernel/random/uuid";
        let text = std::fs::read_to_string(path)
            .map_err(|why| Error::io(format!("read {path}"), why).cure("mount /proc"))?;
        let PodId(seed) = text.trim_end().parse()?;
        Ok(Ids { seed, count: 0 })
    }

    /// An id that was never given before: a version 4 UUID in form.
    pub(crate) fn next(&mut self) -> PodId {
        self.count += 1;
        let half = |part: u8| {
            let mut hasher = DefaultHasher::new();
            (self.seed, self.count, part).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        let mut bits = (half(0) << 64) | half(1);
        bits = bits & !(0xf << 76) | (0x4 << 76);
        bits = bits & !(0x3 << 62) | (0x2 << 62);
        PodId(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_4_and_differ() {
        let mut ids = Ids { seed: 1, count: 0 };
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert_eq!(&first.to_string()[14..15], "4");
        assert!(first.to_string().parse::<PodId>().unwrap() == first);
    }

    #[test]
    fn text_that_is_no_uuid_is_refused() {
        for text in [
            "",
            "+f0e7d3c6a5b4c8d9e0f123456789abc",
            "0f0e7d3c6a5b-4c8d-9e0f-123456789abc-",
        ] {
            assert!(text.parse::<PodId>().is_err(), "{text}");
        }
        assert!("0f0e7d3c6a5b4c8d9e0f123456789abc".parse::<PodId>().is_ok());
    }
}
