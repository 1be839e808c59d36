//! Time as integers. There is no clock in here: whoever drives the library says what time it is.
//!
//! Rules run on [`Mono`], which never jumps; [`Wall`] is only shown. Both are nanoseconds.

use core::ops::{Add, Sub};
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point on the monotonic clock (`CLOCK_MONOTONIC`), in nanoseconds since boot.
///
/// ```
/// use podlife::time::Mono;
/// use std::time::Duration;
///
/// let start = Mono::from_secs(10);
/// assert_eq!((start + Duration::from_millis(1500)) - start, Duration::from_millis(1500));
/// assert_eq!(start - Mono::from_secs(11), Duration::ZERO); // never negative
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Mono(u64);

impl Mono {
    /// The clock's origin.
    pub const ZERO: Mono = Mono(0);
    /// Later than any real point in time.
    pub const MAX: Mono = Mono(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Mono {
        Mono(nanos)
    }

    /// The point `secs` seconds after the origin.
    pub const fn from_secs(secs: u64) -> Mono {
        Mono(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

/// Saturates at [`Mono::MAX`].
impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, span: Duration) -> Mono {
        let nanos = span.as_secs().saturating_mul(1_000_000_000);
        Mono(
            self.0
                .saturating_add(nanos)
                .saturating_add(u64::from(span.subsec_nanos())),
        )
    }
}

/// The time from `earlier` to `self`; zero if `earlier` is in fact later.
impl Sub for Mono {
    type Output = Duration;
    fn sub(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A point in civil time (UTC), in nanoseconds since 1970. Shown to people, never calculated with by a rule.
///
/// Its text, and its form in JSON, is the API's: RFC 3339 with whole seconds. [`Wall::rfc3339_nanos`] keeps the rest.
///
/// ```
/// use podlife::time::Wall;
///
/// let noon: Wall = serde_json::from_str("\"2026-01-02T12:00:00Z\"").unwrap();
/// assert_eq!(noon.to_string(), "2026-01-02T12:00:00Z");
/// assert_eq!(noon.as_nanos() % 1_000_000_000, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(i64);

impl Wall {
    /// The point `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_nanos(nanos: i64) -> Wall {
        Wall(nanos)
    }

    /// The point `secs` seconds after 1970-01-01T00:00:00Z.
    pub const fn from_secs(secs: i64) -> Wall {
        Wall(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The whole second it is in: what a status shows.
    ///
    /// ```
    /// use podlife::time::Wall;
    /// assert_eq!(Wall::from_nanos(-1).whole_second(), Wall::from_secs(-1));
    /// ```
    pub const fn whole_second(self) -> Wall {
        Wall::from_secs(self.0.div_euclid(1_000_000_000))
    }

    /// RFC 3339 with nine fraction digits, as in CRI log lines.
    ///
    /// ```
    /// use podlife::time::Wall;
    /// assert_eq!(Wall::from_nanos(1_500).rfc3339_nanos(), "1970-01-01T00:00:00.000001500Z");
    /// ```
    pub fn rfc3339_nanos(self) -> String {
        format!(
            "{:.9}",
            jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default()
        )
    }

    /// RFC 1123 with a numeric zone, as `kubectl describe` shows times; always in UTC.
    ///
    /// ```
    /// use podlife::time::Wall;
    /// assert_eq!(Wall::from_secs(0).rfc1123z(), "Thu, 01 Jan 1970 00:00:00 +0000");
    /// ```
    pub fn rfc1123z(self) -> String {
        let seconds =
            jiff::Timestamp::from_second(self.0.div_euclid(1_000_000_000)).unwrap_or_default();
        seconds.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }
}

impl core::fmt::Display for Wall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let seconds =
            jiff::Timestamp::from_second(self.0.div_euclid(1_000_000_000)).unwrap_or_default();
        write!(f, "{seconds:.0}")
    }
}

/// RFC 3339, with or without a fraction.
impl core::str::FromStr for Wall {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Wall, jiff::Error> {
        let nanos = text.parse::<jiff::Timestamp>()?.as_nanosecond();
        Ok(Wall(i64::try_from(nanos).unwrap_or(if nanos < 0 {
            i64::MIN
        } else {
            i64::MAX
        })))
    }
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wall, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|why| serde::de::Error::custom(format!("not an RFC 3339 time: {why}")))
    }
}

/// Both clocks, read together. Its JSON keeps every nanosecond of both.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Now {
    /// What rules run on.
    pub mono: Mono,
    /// What people are shown.
    #[serde(serialize_with = "with_nanos")]
    pub wall: Wall,
}

/// A record or a history that is read back is the one that was written.
fn with_nanos<S: Serializer>(wall: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&wall.rfc3339_nanos())
}

impl Now {
    /// The same moment, `span` later.
    pub fn after(self, span: Duration) -> Now {
        let nanos = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Now {
            mono: self.mono + span,
            wall: Wall(self.wall.0.saturating_add(nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_text_drops_the_fraction_towards_the_past() {
        assert_eq!(Wall::from_nanos(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(
            Wall::from_nanos(1_999_999_999).to_string(),
            "1970-01-01T00:00:01Z"
        );
    }

    #[test]
    fn now_is_read_as_it_was_written() {
        let now = Now::default().after(Duration::from_nanos(1_000_000_001));
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<Now>(&text).unwrap(), now, "{text}");
    }

    #[test]
    fn mono_saturates() {
        assert_eq!(Mono::MAX + Duration::from_secs(1), Mono::MAX);
    }
}
