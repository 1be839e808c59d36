//! CPU requests and limits as the kernel's numbers.
//!
//! Upstream: `pkg/kubelet/cm/helpers_linux.go`, `pkg/kubelet/cm/cgroup_v2_manager_linux.go`, `opencontainers/cgroups`.

const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
const WEIGHT_MAX: u64 = 10_000;
/// Microseconds; the kernel refuses less.
const QUOTA_MIN: i64 = 1000;

/// The quota of a cpu limit, microseconds per period; none if there is no limit.
///
/// ```
/// use podlife::model::cpu_share::quota;
/// assert_eq!(quota(250, 100_000), Some(25_000));
/// assert_eq!(quota(1, 100_000), Some(1000));
/// assert_eq!(quota(0, 100_000), None);
/// ```
pub fn quota(milli_cpu: i64, period: u64) -> Option<u64> {
    if milli_cpu <= 0 {
        return None;
    }
    let quota = i128::from(milli_cpu) * i128::from(period) / 1000;
    Some(u64::try_from(quota.max(QUOTA_MIN.into())).unwrap_or(u64::MAX))
}

/// The limit that a quota stands for, in thousandths of a CPU; 0 if there is none.
pub fn milli_cpu_of_quota(quota: Option<u64>, period: u64) -> i64 {
    let milli_cpu = u128::from(quota.unwrap_or(0)) * 1000 / u128::from(period.max(1));
    i64::try_from(milli_cpu).unwrap_or(i64::MAX)
}

/// The shares of a cpu request.
///
/// ```
/// use podlife::model::cpu_share::shares;
/// assert_eq!((shares(1000), shares(0)), (1024, 2));
/// ```
pub fn shares(milli_cpu: i64) -> u64 {
    let milli_cpu = u64::try_from(milli_cpu).unwrap_or(0);
    (milli_cpu.saturating_mul(1024) / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

/// The request that shares stand for, in thousandths of a CPU.
pub fn milli_cpu_of_shares(shares: u64) -> i64 {
    if shares < SHARES_MIN {
        return 0;
    }
    i64::try_from((u128::from(shares) * 1000).div_ceil(1024)).unwrap_or(i64::MAX)
}

/// How shares become `cpu.weight`. On one host all levels should use the same formula, or siblings compare wrongly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightFormula {
    /// The kubelet's for its own cgroups, and that of runc before 1.3.2: 1024 shares are 39.
    Linear,
    /// That of runc from 1.3.2 and crun from 1.23 on: 1024 shares are the kernel's default, 100.
    #[default]
    Quadratic,
}

impl WeightFormula {
    /// The weight; 0, for unset, of no shares.
    ///
    /// ```
    /// use podlife::model::cpu_share::WeightFormula;
    /// assert_eq!(WeightFormula::Linear.weight(1024), 39);
    /// assert_eq!(WeightFormula::Quadratic.weight(1024), 100);
    /// ```
    pub fn weight(self, shares: u64) -> u64 {
        match (self, shares) {
            (_, 0) => 0,
            (_, 1..=SHARES_MIN) => 1,
            (_, SHARES_MAX..) => WEIGHT_MAX,
            (WeightFormula::Linear, shares) => {
                1 + (shares - SHARES_MIN) * (WEIGHT_MAX - 1) / (SHARES_MAX - SHARES_MIN)
            }
            (WeightFormula::Quadratic, shares) => {
                let l = (shares as f64).log2();
                10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil() as u64
            }
        }
    }
}

/// The shares that a weight stands for by the linear formula; not always those it came from.
pub fn linear_shares(weight: u64) -> u64 {
    let shares = u128::from(weight.saturating_sub(1)) * u128::from(SHARES_MAX - SHARES_MIN)
        / u128::from(WEIGHT_MAX - 1);
    u64::try_from(shares)
        .unwrap_or(u64::MAX)
        .saturating_add(SHARES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_never_fall_as_shares_grow() {
        for formula in [WeightFormula::Linear, WeightFormula::Quadratic] {
            let weights: Vec<u64> = (1..=SHARES_MAX)
                .map(|shares| formula.weight(shares))
                .collect();
            assert!(weights.is_sorted(), "{formula:?}");
            assert_eq!((weights[0], weights[weights.len() - 1]), (1, WEIGHT_MAX));
        }
    }

    #[test]
    fn absurd_amounts_are_bounded() {
        assert_eq!(quota(i64::MAX, u64::MAX), Some(u64::MAX));
        assert_eq!(shares(i64::MAX), SHARES_MAX);
        assert_eq!(shares(-1), SHARES_MIN);
        assert_eq!(milli_cpu_of_shares(u64::MAX), i64::MAX);
        assert_eq!(linear_shares(u64::MAX), u64::MAX);
    }
}
