//! What the interface files of cgroup v2 hold, as values.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::device::Device;

/// A value that an interface file holds: how the kernel reads it, and how it writes it.
pub trait Value: Sized {
    /// The text to write. Several lines are several writes, as the kernel takes one line at a time.
    fn render(&self) -> String;

    /// The value in the file's text, which has no white space around it. `None`: the text has another form.
    fn parse(text: &str) -> Option<Self>;
}

/// An amount, or no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bound {
    /// So many: bytes, processes …
    At(u64),
    /// `max`: unbounded.
    Max,
}

impl From<u64> for Bound {
    fn from(amount: u64) -> Bound {
        Bound::At(amount)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::At(amount) => write!(f, "{amount}"),
            Bound::Max => f.write_str("max"),
        }
    }
}

impl Value for Bound {
    fn render(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Bound> {
        match text {
            "max" => Some(Bound::Max),
            amount => amount.parse().ok().map(Bound::At),
        }
    }
}

impl Value for u64 {
    fn render(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<u64> {
        text.parse().ok()
    }
}

impl Value for bool {
    fn render(&self) -> String {
        u8::from(*self).to_string()
    }

    fn parse(text: &str) -> Option<bool> {
        match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }
}

/// In microseconds, as all times in cgroup v2.
impl Value for Duration {
    fn render(&self) -> String {
        self.as_micros().to_string()
    }

    fn parse(text: &str) -> Option<Duration> {
        text.parse().ok().map(Duration::from_micros)
    }
}

/// How much processor time in how long: the quota may be more than the period, on several processors.
///
/// ```
/// use podlife::cgroup::{CpuMax, Value};
/// use std::time::Duration;
///
/// assert_eq!(CpuMax::millicores(1500).render(), "150000 100000");
/// assert_eq!(CpuMax::parse("max 100000"), Some(CpuMax::UNBOUNDED));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuMax {
    /// Processor time in each period; at least 1 ms. `None`: unbounded.
    pub quota: Option<Duration>,
    /// 1 ms to 1 s.
    pub period: Duration,
}

impl CpuMax {
    /// The kernel's and Kubernetes' usual period.
    pub const PERIOD: Duration = Duration::from_millis(100);

    /// What a new cgroup has.
    pub const UNBOUNDED: CpuMax = CpuMax {
        quota: None,
        period: CpuMax::PERIOD,
    };

    /// So many thousandths of one processor, in periods of 100 ms; never below 10, as the kernel wants at least 1 ms.
    pub fn millicores(millicores: u64) -> CpuMax {
        let micros = millicores.saturating_mul(100).max(1000);
        CpuMax {
            quota: Some(Duration::from_micros(micros)),
            period: CpuMax::PERIOD,
        }
    }
}

impl Value for CpuMax {
    fn render(&self) -> String {
        let quota = self
            .quota
            .map_or(Bound::Max, |quota| Bound::At(micros(quota)));
        format!("{quota} {}", micros(self.period))
    }

    fn parse(text: &str) -> Option<CpuMax> {
        let (quota, period) = text.split_once(' ')?;
        let quota = match Bound::parse(quota)? {
            Bound::At(quota) => Some(Duration::from_micros(quota)),
            Bound::Max => None,
        };
        Some(CpuMax {
            quota,
            period: Duration::parse(period)?,
        })
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Numbers of processors or memory nodes, written as ranges. Empty: those of the parent.
///
/// ```
/// use podlife::cgroup::{CpuList, Value};
///
/// let list = CpuList::parse("0-2,8").unwrap();
/// assert_eq!(list.iter().collect::<Vec<_>>(), [0, 1, 2, 8]);
/// assert_eq!(CpuList::from_iter([3, 1, 2]).render(), "1-3");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuList(BTreeSet<u32>);

impl CpuList {
    /// More than any kernel has: a guard against `0-4294967295`.
    const MAX: u32 = 65_536;

    /// In rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u32> for CpuList {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> CpuList {
        CpuList(numbers.into_iter().collect())
    }
}

impl Value for CpuList {
    /// One line even if it is empty: writing that is what empties the list.
    fn render(&self) -> String {
        if self.is_empty() {
            return "\n".into();
        }
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for number in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        let text = ranges.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        text.collect::<Vec<_>>().join(",")
    }

    fn parse(text: &str) -> Option<CpuList> {
        let mut numbers = BTreeSet::new();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            if first > last || last >= CpuList::MAX {
                return None;
            }
            numbers.extend(first..=last);
        }
        Some(CpuList(numbers))
    }
}

/// Limits of one block device. Parts that are [`Bound::Max`] are unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IoMax {
    /// The device; partitions are refused by the kernel.
    pub device: Device,
    /// Bytes read a second.
    pub rbps: Bound,
    /// Bytes written a second.
    pub wbps: Bound,
    /// Read operations a second.
    pub riops: Bound,
    /// Write operations a second.
    pub wiops: Bound,
}

impl IoMax {
    /// No limit yet for this device.
    pub const fn new(device: Device) -> IoMax {
        IoMax {
            device,
            rbps: Bound::Max,
            wbps: Bound::Max,
            riops: Bound::Max,
            wiops: Bound::Max,
        }
    }

    fn parse_line(line: &str) -> Option<IoMax> {
        let mut words = line.split_whitespace();
        let mut max = IoMax::new(words.next()?.parse().ok()?);
        for word in words {
            let (key, bound) = word.split_once('=')?;
            let bound = Bound::parse(bound)?;
            match key {
                "rbps" => max.rbps = bound,
                "wbps" => max.wbps = bound,
                "riops" => max.riops = bound,
                "wiops" => max.wiops = bound,
                _ => {} // a later kernel's
            }
        }
        Some(max)
    }
}

impl fmt::Display for IoMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IoMax {
            device,
            rbps,
            wbps,
            riops,
            wiops,
        } = self;
        write!(
            f,
            "{device} rbps={rbps} wbps={wbps} riops={riops} wiops={wiops}"
        )
    }
}

impl Value for Vec<IoMax> {
    fn render(&self) -> String {
        self.iter()
            .map(IoMax::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn parse(text: &str) -> Option<Vec<IoMax>> {
        text.lines().map(IoMax::parse_line).collect()
    }
}

/// Shares of block device time: 1 to 10000, 100 at first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IoWeight {
    /// Of devices not listed.
    pub default: u64,
    /// Of single devices.
    pub devices: Vec<(Device, u64)>,
}

impl Value for IoWeight {
    fn render(&self) -> String {
        let devices = self
            .devices
            .iter()
            .map(|(device, weight)| format!("\n{device} {weight}"));
        format!("default {}", self.default) + &devices.collect::<String>()
    }

    fn parse(text: &str) -> Option<IoWeight> {
        let mut weight = IoWeight {
            default: 100,
            devices: Vec::new(),
        };
        for line in text.lines() {
            let (device, value) = line.split_once(' ')?;
            match (device, value.parse().ok()?) {
                ("default", value) => weight.default = value,
                (device, value) => weight.devices.push((device.parse().ok()?, value)),
            }
        }
        Some(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survives<V: Value + PartialEq + fmt::Debug>(text: &str) {
        assert_eq!(
            V::parse(text)
                .unwrap_or_else(|| panic!("{text:?}"))
                .render()
                .trim(),
            text
        );
    }

    #[test]
    fn the_kernels_texts_survive() {
        survives::<Bound>("max");
        survives::<Bound>("18446744073709551615");
        survives::<CpuMax>("max 100000");
        survives::<CpuMax>("2500 5000");
        survives::<CpuList>("");
        survives::<CpuList>("0,2-5,7");
        survives::<bool>("1");
        survives::<Vec<IoMax>>(
            "8:0 rbps=1024 wbps=max riops=max wiops=7\n8:16 rbps=max wbps=1 riops=max wiops=max",
        );
        survives::<IoWeight>("default 100\n8:16 200\n253:0 50");
    }

    #[test]
    fn other_texts_are_refused() {
        assert_eq!(Bound::parse("-1"), None);
        assert_eq!(CpuMax::parse("100000"), None);
        assert_eq!(CpuList::parse("3-1"), None);
        assert_eq!(CpuList::parse("0-4294967295"), None);
        assert_eq!(bool::parse("2"), None);
        assert_eq!(<Vec<IoMax>>::parse("8:0 rbps"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_list_of_processors_survives(numbers in proptest::collection::btree_set(0..200_u32, 0..40)) {
            let list = CpuList::from_iter(numbers);
            proptest::prop_assert_eq!(CpuList::parse(list.render().trim()), Some(list));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,40}") {
            let _ = (CpuList::parse(&text), CpuMax::parse(&text), <Vec<IoMax>>::parse(&text), IoWeight::parse(&text));
        }
    }
}
