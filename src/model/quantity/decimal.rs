//! Numbers that are not yet in a quantity's one form.

/// The exponent of the resolution.
pub(super) const NANO: i32 = -9;
/// Larger exponents are refused, so that no text is expanded without bound.
pub(super) const EXPONENT_MAX: i32 = 999;
/// One, in nanos.
pub(super) const NANOS: u128 = 1_000_000_000;

/// An amount on its way into or out of the one form: `mantissa * 10^exponent`, and a little more if digits were dropped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decimal {
    pub(super) mantissa: u128,
    pub(super) exponent: i32,
    pub(super) more: bool,
}

impl Decimal {
    /// Takes one more digit; past 38 of them only their weight.
    pub(super) fn push(&mut self, digit: u8, fraction: bool) {
        let grown = if self.mantissa < u128::MAX / 16 {
            Some(self.mantissa * 10 + u128::from(digit))
        } else {
            None
        };
        match grown {
            Some(mantissa) => {
                self.mantissa = mantissa;
                self.exponent -= i32::from(fraction);
            }
            None => {
                self.more |= digit != 0;
                self.exponent += i32::from(!fraction);
            }
        }
    }

    fn drop_digit(&mut self) {
        self.more |= !self.mantissa.is_multiple_of(10);
        self.mantissa /= 10;
        self.exponent += 1;
    }

    /// Drops digits until the mantissa can be multiplied by `by`.
    pub(super) fn make_room(&mut self, by: u128) {
        while self.mantissa.checked_mul(by).is_none() {
            self.drop_digit();
        }
    }

    pub(super) fn without_zeros(mut self) -> Decimal {
        if self.mantissa == 0 {
            return Decimal {
                exponent: 0,
                ..self
            };
        }
        if self.mantissa.is_multiple_of(NANOS) {
            self.mantissa /= NANOS;
            self.exponent += 9;
        }
        match u64::try_from(self.mantissa) {
            // Division of 64 bits is much the faster one, and this is the usual case.
            Ok(mut small) => {
                while small.is_multiple_of(10) {
                    small /= 10;
                    self.exponent += 1;
                }
                self.mantissa = small.into();
            }
            Err(_) => {
                while self.mantissa.is_multiple_of(10) {
                    self.drop_digit();
                }
            }
        }
        self
    }

    pub(super) fn normal(mut self) -> (i128, u16) {
        if self.mantissa == 0 {
            return (0, 0);
        }
        if self.exponent < NANO {
            let (mantissa, exact) = div_up(self.mantissa, (NANO - self.exponent).unsigned_abs());
            // What was dropped before does not count if rounding up has covered it already.
            self = Decimal {
                mantissa,
                exponent: NANO,
                more: self.more && exact,
            };
        }
        while self.mantissa >= i128::MAX as u128 {
            self.drop_digit();
        }
        if self.more {
            self.mantissa += 1;
        }
        let wanted = self.exponent - NANO;
        if let Some(grown) = pow10(wanted).and_then(|by| self.mantissa.checked_mul(by))
            && let Ok(grown) = i128::try_from(grown)
        {
            return (grown, 0);
        }
        let mut above = wanted.clamp(0, EXPONENT_MAX - NANO);
        while above > 0 && self.mantissa <= i128::MAX as u128 / 10 {
            self.mantissa *= 10;
            above -= 1;
        }
        (
            i128::try_from(self.mantissa).unwrap_or(i128::MAX),
            u16::try_from(above).unwrap_or(u16::MAX),
        )
    }
}

/// `10^n`, if it fits.
pub(super) fn pow10(n: i32) -> Option<u128> {
    10u128.checked_pow(u32::try_from(n).ok()?)
}

/// Divided by `10^digits` and rounded up, and whether that was exact.
fn div_up(amount: u128, digits: u32) -> (u128, bool) {
    match 10u128.checked_pow(digits) {
        Some(by) => (amount.div_ceil(by), amount.is_multiple_of(by)),
        None => (u128::from(amount != 0), amount == 0),
    }
}

/// The same, away from zero.
pub(super) fn div_away(amount: i128, digits: u32) -> (i128, bool) {
    let (quotient, exact) = div_up(amount.unsigned_abs(), digits);
    // Only 10^0 leaves a quotient this large, and then it was an i128 before.
    let quotient = i128::try_from(quotient).unwrap_or(i128::MAX);
    (if amount < 0 { -quotient } else { quotient }, exact)
}

/// The sum of two signed amounts. Digits past the 38th are rounded away from zero.
pub(super) fn sum(a: (bool, Decimal), b: (bool, Decimal)) -> (bool, Decimal) {
    let (a, b) = ((a.0, a.1.without_zeros()), (b.0, b.1.without_zeros()));
    let low = a.1.exponent.min(b.1.exponent);
    for exponent in low..=EXPONENT_MAX + 1 {
        if let (Some((a, a_exact)), Some((b, b_exact))) = (at(a, exponent), at(b, exponent))
            && let Some(sum) = a.checked_add(b)
        {
            let more = !(a_exact && b_exact);
            return (
                sum < 0,
                Decimal {
                    mantissa: sum.unsigned_abs(),
                    exponent,
                    more,
                },
            );
        }
    }
    (a.0, a.1)
}

/// The mantissa at another exponent, if it fits there, and whether all of it did.
fn at((negative, amount): (bool, Decimal), exponent: i32) -> Option<(i128, bool)> {
    let (mantissa, exact) = match amount.exponent - exponent {
        up @ 0.. => (amount.mantissa.checked_mul(pow10(up)?)?, true),
        down => match 10u128.checked_pow(down.unsigned_abs()) {
            Some(by) => (amount.mantissa / by, amount.mantissa.is_multiple_of(by)),
            None => (0, amount.mantissa == 0),
        },
    };
    let mantissa = i128::try_from(mantissa).ok()?;
    Some((if negative { -mantissa } else { mantissa }, exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(mantissa: u128, exponent: i32) -> Decimal {
        Decimal {
            mantissa,
            exponent,
            more: false,
        }
    }

    #[test]
    fn one_form_at_the_border() {
        let max = i128::MAX as u128;
        assert_eq!(
            decimal(max / 10, NANO + 1).normal(),
            (max as i128 / 10 * 10, 0)
        );
        assert_eq!(
            decimal(max / 10 + 1, NANO + 1).normal(),
            (max as i128 / 10 + 1, 1)
        );
        assert_eq!(decimal(1, NANO + 40).normal().1, 2);
    }

    #[test]
    fn what_is_dropped_rounds_up_once() {
        assert_eq!(
            Decimal {
                mantissa: 15,
                exponent: NANO - 1,
                more: true
            }
            .normal(),
            (2, 0)
        );
        assert_eq!(
            Decimal {
                mantissa: 10,
                exponent: NANO - 1,
                more: true
            }
            .normal(),
            (2, 0)
        );
    }
}
