//! Amounts of a resource: `500m`, `64Mi`, `1e3`.
//!
//! Upstream: `staging/src/k8s.io/apimachinery/pkg/api/resource/{quantity,suffix}.go`.

mod decimal;
mod text;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use decimal::{Decimal, EXPONENT_MAX, NANO, NANOS, div_away, pow10};

/// How a [`Quantity`] was written, and how it is printed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `n u m k M G T P E`, or no suffix.
    #[default]
    DecimalSI,
    /// `Ki Mi Gi Ti Pi Ei`.
    BinarySI,
    /// `e3`, `E-3`.
    DecimalExponent,
}

/// An exact amount of a resource, with a resolution of one nano, and the format it was written in.
///
/// Two quantities are equal if their amounts are, however they are spelled. Text is printed in Kubernetes' canonical form: no
/// fraction, the largest suffix that leaves an integer. Amounts finer than one nano are rounded up, away from zero, and so is
/// what a number of more than 38 digits cannot hold. Reading one does not allocate.
///
/// ```
/// use podlife::model::quantity::{Format, Quantity};
///
/// let memory: Quantity = "0.5Mi".parse()?;
/// assert_eq!(memory.to_string(), "512Ki");
/// assert_eq!(memory.value(), 524_288);
/// assert_eq!(memory.format(), Format::BinarySI);
///
/// let cpu: Quantity = "0.1".parse()?;
/// assert_eq!(cpu, "100m".parse()?);
/// assert_eq!((cpu.milli_value(), cpu.value()), (100, 1)); // rounded up
/// assert_eq!((cpu + "1".parse()?).to_string(), "1100m");
/// assert!("1 Mi".parse::<Quantity>().is_err());
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Quantity {
    /// The amount is `mantissa * 10^exponent`. The exponent is the lowest from [`NANO`] on at which the mantissa fits, so that
    /// an amount has one form, and a larger exponent is a larger amount.
    mantissa: i128,
    /// Counted from [`NANO`].
    above_nano: u16,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity {
        mantissa: 0,
        above_nano: 0,
        format: Format::DecimalSI,
    };

    /// `value * 10^scale`, so that `Quantity::new(250, -3, Format::DecimalSI)` is `250m`. A scale above 999 counts as 999.
    pub fn new(value: i64, scale: i32, format: Format) -> Quantity {
        Quantity::of(
            value < 0,
            Decimal {
                mantissa: value.unsigned_abs().into(),
                exponent: scale,
                more: false,
            },
            format,
        )
    }

    /// How it was written.
    pub fn format(self) -> Format {
        self.format
    }

    /// The same amount in another format.
    #[must_use]
    pub fn with_format(self, format: Format) -> Quantity {
        Quantity { format, ..self }
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// In whole units (bytes, CPUs), rounded away from zero. Amounts out of range give the nearest `i64`.
    pub fn value(self) -> i64 {
        self.scaled_value(0).unwrap_or(self.limit())
    }

    /// In thousandths, rounded away from zero. Amounts out of range give the nearest `i64`.
    pub fn milli_value(self) -> i64 {
        self.scaled_value(-3).unwrap_or(self.limit())
    }

    /// In units of `10^scale`, rounded away from zero; `None` if that is out of range.
    ///
    /// ```
    /// use podlife::model::quantity::Quantity;
    /// assert_eq!("1m".parse::<Quantity>()?.scaled_value(-6), Some(1000));
    /// assert_eq!("12E".parse::<Quantity>()?.scaled_value(0), None);
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn scaled_value(self, scale: i32) -> Option<i64> {
        let amount = match self.exponent() - scale {
            up @ 0.. => self.mantissa.checked_mul(pow10(up)?.try_into().ok()?)?,
            down => div_away(self.mantissa, down.unsigned_abs()).0,
        };
        i64::try_from(amount).ok()
    }

    /// Rounded away from zero to a multiple of `10^scale`, and whether nothing was lost.
    ///
    /// ```
    /// use podlife::model::quantity::Quantity;
    /// let (rounded, exact) = "9.01".parse::<Quantity>()?.round_up(0);
    /// assert_eq!((rounded.to_string().as_str(), exact), ("10", false));
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn round_up(self, scale: i32) -> (Quantity, bool) {
        let down = scale.min(EXPONENT_MAX) - self.exponent();
        if down <= 0 || self.is_zero() {
            return (self, true);
        }
        let (mantissa, exact) = div_away(self.mantissa, down.unsigned_abs());
        let rounded = Decimal {
            mantissa: mantissa.unsigned_abs(),
            exponent: self.exponent() + down,
            more: false,
        };
        (
            Quantity::of(self.is_negative(), rounded, self.format),
            exact,
        )
    }

    /// `by` times as much.
    #[must_use]
    pub fn multiply(self, by: i64) -> Quantity {
        let negative = self.is_negative() != (by < 0);
        let mut product = self.decimal().without_zeros();
        let by = u128::from(by.unsigned_abs());
        product.make_room(by);
        product.mantissa *= by;
        Quantity::of(negative, product, self.format)
    }

    /// The nearest floating-point number.
    pub fn to_f64(self) -> f64 {
        // The standard library rounds text correctly; a product of two roundings might not.
        format!("{}e{}", self.mantissa, self.exponent())
            .parse()
            .unwrap_or(f64::NAN)
    }

    fn exponent(self) -> i32 {
        i32::from(self.above_nano) + NANO
    }

    fn limit(self) -> i64 {
        if self.is_negative() {
            i64::MIN
        } else {
            i64::MAX
        }
    }

    fn decimal(self) -> Decimal {
        Decimal {
            mantissa: self.mantissa.unsigned_abs(),
            exponent: self.exponent(),
            more: false,
        }
    }

    /// The one form of an amount.
    fn of(negative: bool, amount: Decimal, format: Format) -> Quantity {
        let (mantissa, above_nano) = amount.normal();
        Quantity {
            mantissa: if negative { -mantissa } else { mantissa },
            above_nano,
            format,
        }
    }

    /// An amount as written. Upstream's rules for binary suffixes: a cap, and no binary fractions below one.
    fn written(negative: bool, amount: Decimal, format: Format) -> Quantity {
        let mut read = Quantity::of(negative, amount, format);
        if format == Format::BinarySI {
            let one = NANOS as i128;
            let max = i128::from(i64::MAX) * one;
            if read.above_nano > 0 || read.mantissa.abs() > max {
                read = Quantity {
                    mantissa: max * read.mantissa.signum(),
                    above_nano: 0,
                    format,
                };
            } else if read.mantissa.abs() < one && !read.is_zero() {
                read.format = Format::DecimalSI;
            }
        }
        read
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        // At equal signs the larger exponent is the larger amount: it would have been smaller if the mantissa had fitted.
        let key =
            |amount: &Quantity| i32::from(amount.above_nano) * amount.mantissa.signum() as i32;
        (key(self), self.mantissa).cmp(&(key(other), other.mantissa))
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.mantissa == other.mantissa && self.above_nano == other.above_nano
    }
}

impl Eq for Quantity {}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.mantissa, self.above_nano).hash(state);
    }
}

/// Keeps the format of the left operand, unless that is zero.
impl Add for Quantity {
    type Output = Quantity;

    fn add(self, other: Quantity) -> Quantity {
        let format = if self.is_zero() {
            other.format
        } else {
            self.format
        };
        if self.above_nano == 0
            && other.above_nano == 0
            && let Some(mantissa) = self.mantissa.checked_add(other.mantissa)
        {
            return Quantity {
                mantissa,
                above_nano: 0,
                format,
            };
        }
        let (left, right) = (self.decimal(), other.decimal());
        let (negative, sum) =
            decimal::sum((self.is_negative(), left), (other.is_negative(), right));
        Quantity::of(negative, sum, format)
    }
}

/// Keeps the format of the left operand, unless that is zero.
impl Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        self + -other
    }
}

impl Neg for Quantity {
    type Output = Quantity;

    fn neg(self) -> Quantity {
        Quantity {
            mantissa: -self.mantissa,
            ..self
        }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(amounts: I) -> Quantity {
        amounts.fold(Quantity::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn large_amounts_are_exact_to_38_digits() {
        let large = read("1e30");
        assert_eq!((large + large).to_string(), "2e30");
        assert_eq!((large - large).to_string(), "0");
        assert_eq!(
            read("12345678901234567890123456789012345678").to_string(),
            "12345678901234567890123456789012345678"
        );
        assert!(
            read("1e30") > read("1e29")
                && read("-1e30") < read("-1e29")
                && read("-1e30") < read("1")
        );
        assert_eq!(read("1000E").to_string(), "1000E");
        assert_eq!(
            read("9223372036854775807").multiply(i64::MAX).to_string(),
            "85070591730234615847396907784232501249"
        );
    }

    #[test]
    fn absurd_exponents_are_bounded() {
        assert!("1e1000".parse::<Quantity>().is_err());
        assert!("1e99999999999999999999".parse::<Quantity>().is_err());
        assert_eq!(read("0e99999999999999999999"), Quantity::ZERO);
        assert_eq!(read("1e-99999999999999999999").to_string(), "1e-9");
        assert_eq!(read("1e999").value(), i64::MAX);
        assert_eq!(
            (read("1e999") - read("1"))
                .with_format(Format::BinarySI)
                .scaled_value(0),
            None
        );
    }

    #[test]
    fn json_numbers_and_nothing() {
        let decode = |json: &str| {
            serde_json::from_str::<Quantity>(json)
                .map(|read| read.to_string())
                .ok()
        };
        assert_eq!(decode("0.5").as_deref(), Some("500m"));
        assert_eq!(decode("1e3").as_deref(), Some("1e3"));
        assert_eq!(
            decode("18446744073709551615").as_deref(),
            Some("18446744073709551615")
        );
        assert_eq!(decode("null").as_deref(), Some("0"));
        assert_eq!(decode("true"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,20}") {
            let _ = text.parse::<Quantity>();
        }

        /// Printed, an amount reads as itself, and prints as itself again.
        #[test]
        fn canonical_text_is_stable(text in "[-+]?[0-9]{0,45}[.]?[0-9]{0,45}(|n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?[0-9]{1,3})") {
            if let Ok(read) = text.parse::<Quantity>() {
                let printed = read.to_string();
                let again = printed.parse::<Quantity>().unwrap();
                prop_assert_eq!(again, read);
                prop_assert_eq!(again.to_string(), printed);
            }
        }

        /// The same sum as in plain integers.
        #[test]
        fn arithmetic_is_exact(a in -1_000_000_000_000_000i64..1_000_000_000_000_000, b in -1_000_000_000_000_000i64..1_000_000_000_000_000, scale in -9i32..3) {
            let of = |value| Quantity::new(value, scale, Format::DecimalSI);
            prop_assert_eq!(of(a) + of(b), of(a + b));
            prop_assert_eq!(of(a) - of(b), of(a - b));
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
            prop_assert_eq!(of(a).scaled_value(scale), Some(a));
            let (rounded, exact) = of(a).round_up(scale + 2);
            prop_assert_eq!(rounded, of(a.signum() * a.abs().div_euclid(100) * 100 + if a % 100 == 0 { 0 } else { 100 * a.signum() }));
            prop_assert_eq!(exact, a % 100 == 0);
        }
    }
}
