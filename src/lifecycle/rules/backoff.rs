//! How long a container that keeps ending, or an image that cannot be pulled, waits for the next try.
//!
//! Upstream: `k8s.io/client-go/util/flowcontrol/backoff.go`, `doBackOff` in `pkg/kubelet/kuberuntime/kuberuntime_manager.go`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::model::Curve;
use crate::time::Mono;

/// What is remembered of a thing that is tried again: of one container, or of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BackOff {
    /// How long the next try waits.
    pub window: Duration,
    /// When the last try was allowed.
    pub updated: Mono,
}

impl Curve {
    /// A curve that starts over after twice its longest window, as upstream's do unless told otherwise.
    pub const fn new(initial: Duration, max: Duration) -> Curve {
        Curve {
            initial,
            max,
            reset: max.saturating_mul(2),
        }
    }

    /// The window that forbids a try now, if one does. It counts from `event`: the container's exit.
    ///
    /// ```
    /// use podlife::lifecycle::rules::backoff::Curve;
    /// use podlife::time::Mono;
    /// use std::time::Duration;
    ///
    /// let (curve, exit) = (Curve::KUBELET, Mono::from_secs(5));
    /// assert_eq!(curve.holds(None, exit, exit), None); // the first restart is at once
    /// let entry = Some(curve.next(None, exit, exit));
    /// assert_eq!(curve.holds(entry, exit, exit + Duration::from_secs(9)), Some(Duration::from_secs(10)));
    /// assert_eq!(curve.holds(entry, exit, exit + Duration::from_secs(10)), None);
    /// ```
    pub fn holds(&self, entry: Option<BackOff>, event: Mono, now: Mono) -> Option<Duration> {
        let entry = entry.filter(|entry| !self.is_expired(*entry, event))?;
        (now - event < entry.window).then_some(entry.window)
    }

    /// The same, with the window counted from the try before: an image has no exit.
    pub fn holds_since_update(&self, entry: Option<BackOff>, now: Mono) -> Option<Duration> {
        let entry = entry.filter(|entry| !self.is_expired(*entry, now))?;
        (now - entry.updated < entry.window).then_some(entry.window)
    }

    /// What is remembered after a try is allowed now, because of `event`.
    pub fn next(&self, entry: Option<BackOff>, event: Mono, now: Mono) -> BackOff {
        let window = match entry {
            Some(entry) if !self.is_expired(entry, event) => {
                entry.window.saturating_mul(2).min(self.max)
            }
            _ => self.initial,
        };
        BackOff {
            window,
            updated: now,
        }
    }

    /// Whether it has been quiet for so long that the entry counts no more.
    pub fn is_expired(&self, entry: BackOff, event: Mono) -> bool {
        event - entry.updated > self.reset
    }
}

/// A span as the kubelet's messages have it: `10s`, `1m20s`, `5m0s`, `1.5s`, `250ms`.
///
/// ```
/// use podlife::lifecycle::rules::backoff::go_text;
/// use std::time::Duration;
/// assert_eq!(go_text(Duration::from_secs(80)), "1m20s");
/// assert_eq!(go_text(Duration::from_millis(1500)), "1.5s");
/// ```
pub fn go_text(span: Duration) -> String {
    let nanos = span.subsec_nanos();
    if span.is_zero() {
        return "0s".to_owned();
    }
    if span.as_secs() == 0 {
        let (unit, width, name) = match nanos {
            0..1_000 => (1, 0, "ns"),
            1_000..1_000_000 => (1_000, 3, "µs"),
            _ => (1_000_000, 6, "ms"),
        };
        return format!("{}{}{name}", nanos / unit, fraction(nanos % unit, width));
    }
    let (hours, minutes, seconds) = (
        span.as_secs() / 3600,
        span.as_secs() / 60 % 60,
        span.as_secs() % 60,
    );
    let seconds = format!("{seconds}{}s", fraction(nanos, 9));
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn fraction(digits: u32, width: usize) -> String {
    if digits == 0 {
        return String::new();
    }
    format!(".{digits:0width$}")
        .trim_end_matches('0')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (4 * 60_000_000_000 + 5_001_000_000, "4m5.001s"),
            (2_562_047 * 3_600_000_000_000, "2562047h0m0s"),
        ] {
            assert_eq!(go_text(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn a_clock_that_has_not_moved_holds() {
        let curve = Curve::new(Duration::from_secs(1), Duration::from_secs(5));
        let entry = Some(curve.next(None, Mono::MAX, Mono::MAX));
        assert_eq!(
            curve.holds(entry, Mono::MAX, Mono::MAX),
            Some(Duration::from_secs(1))
        );
    }
}
