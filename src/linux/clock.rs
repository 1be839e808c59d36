//! The kernel's clocks, read as the crate's own times.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::time::{Mono, Now, Wall};

/// Reads the clocks of this machine. It has no state; it is a type so that there is one place to look for time.
///
/// Both reads go through the vDSO: about 30 ns each, no privilege, `clock_gettime(2)`. `CLOCK_MONOTONIC` does not count
/// time in suspend, nor does anything else in podlife.
///
/// ```
/// use podlife::linux::Clock;
///
/// let first = Clock::now();
/// let second = Clock::now();
/// assert!(first.mono <= second.mono);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Both clocks.
    pub fn now() -> Now {
        Now {
            mono: Clock::mono(),
            wall: Clock::wall(),
        }
    }

    /// `CLOCK_MONOTONIC`, in nanoseconds since boot.
    pub fn mono() -> Mono {
        Mono::from_nanos(u64::try_from(nanos(ClockId::CLOCK_MONOTONIC)).unwrap_or(0))
    }

    /// `CLOCK_REALTIME`, in nanoseconds since 1970.
    pub fn wall() -> Wall {
        Wall::from_nanos(nanos(ClockId::CLOCK_REALTIME))
    }
}

/// These two clocks always exist, so a failure (it cannot happen) reads as the origin.
fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).unwrap_or(TimeSpec::new(0, 0));
    time.tv_sec()
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec())
}
