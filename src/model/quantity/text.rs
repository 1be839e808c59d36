//! The text of a quantity: read, printed, and its form in JSON.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decimal::{Decimal, EXPONENT_MAX, NANO, NANOS};
use super::{Format, Quantity};
use crate::error::{Error, Kind};

impl FromStr for Quantity {
    type Err = Error;

    /// Exact about case and white space, as upstream: `1 Mi` and `1mi` are errors.
    fn from_str(text: &str) -> Result<Quantity, Error> {
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut amount = Decimal::default();
        let (mut digits, mut fraction, mut end) = (0, false, 0);
        for byte in unsigned {
            match byte {
                b'0'..=b'9' => {
                    amount.push(byte - b'0', fraction);
                    digits += 1;
                }
                b'.' if !fraction => fraction = true,
                _ => break,
            }
            end += 1;
        }
        if digits == 0 {
            return Err(refused(text, "it does not begin with a number"));
        }
        match Suffix::parse(&unsigned[end..])
            .ok_or_else(|| refused(text, "its suffix is not a known one"))?
        {
            Suffix::Binary(shift) => {
                amount.make_room(1 << shift);
                amount.mantissa <<= shift;
                Ok(Quantity::written(negative, amount, Format::BinarySI))
            }
            Suffix::Decimal(exponent) => {
                amount.exponent += exponent;
                bounded(text, amount)
                    .map(|amount| Quantity::written(negative, amount, Format::DecimalSI))
            }
            Suffix::Exponent(exponent) => {
                amount.exponent = amount.exponent.saturating_add(exponent);
                bounded(text, amount)
                    .map(|amount| Quantity::written(negative, amount, Format::DecimalExponent))
            }
        }
    }
}

fn bounded(text: &str, amount: Decimal) -> Result<Decimal, Error> {
    if amount.exponent > EXPONENT_MAX && amount.mantissa != 0 {
        return Err(refused(text, "it is too large"));
    }
    Ok(amount)
}

#[cold]
fn refused(text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::new(Kind::Invalid, format!("read the quantity {shown:?}"), why)
        .cure("write a number and one of n u m k M G T P E Ki Mi Gi Ti Pi Ei, such as 500m or 64Mi")
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative() {
            f.write_str("-")?;
        }
        if self.format == Format::BinarySI
            && let Some((mantissa, suffix)) = self.binary()
        {
            return write!(f, "{mantissa}{suffix}");
        }
        let amount = self.decimal().without_zeros();
        let zeros = amount.exponent.rem_euclid(3);
        let exponent = amount.exponent - zeros;
        write!(f, "{}", amount.mantissa)?;
        if self.format == Format::DecimalExponent {
            write_zeros(f, zeros)?;
            return if exponent == 0 {
                Ok(())
            } else {
                write!(f, "e{exponent}")
            };
        }
        const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        let step = usize::try_from((exponent - NANO) / 3)
            .unwrap_or(0)
            .min(SUFFIXES.len() - 1);
        let spelled = i32::try_from(step).unwrap_or(0) * 3 + NANO;
        write_zeros(f, zeros + (exponent - spelled))?;
        f.write_str(SUFFIXES[step])
    }
}

impl Quantity {
    /// The mantissa and suffix of a whole number of at least 1024.
    fn binary(self) -> Option<(u128, &'static str)> {
        let nanos = self.mantissa.unsigned_abs();
        if self.above_nano > 0 || !nanos.is_multiple_of(NANOS) || nanos < 1024 * NANOS {
            return None;
        }
        const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let units = nanos / NANOS;
        let step = (units.trailing_zeros() / 10).min(6);
        Some((units >> (step * 10), SUFFIXES[step as usize]))
    }
}

fn write_zeros(f: &mut fmt::Formatter<'_>, zeros: i32) -> fmt::Result {
    (0..zeros).try_for_each(|_| f.write_str("0"))
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantity({self})")
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As upstream's JSON decoder: white space around the text is ignored, bare numbers are accepted, null is zero.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Quantity, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as 500m or 64Mi")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
        text.trim().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Quantity, E> {
        Ok(Quantity::new(value, 0, Format::DecimalSI))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Quantity, E> {
        let amount = Decimal {
            mantissa: value.into(),
            exponent: 0,
            more: false,
        };
        Ok(Quantity::of(false, amount, Format::DecimalSI))
    }

    /// A whole number comes this way if it was written with an exponent (or is huge): `1e3`.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Quantity, E> {
        let text = if value.fract() == 0.0 {
            format!("{value:e}")
        } else {
            value.to_string()
        };
        self.visit_str(&text)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Quantity, E> {
        Ok(Quantity::ZERO)
    }
}

enum Suffix {
    Decimal(i32),
    Binary(u32),
    Exponent(i32),
}

impl Suffix {
    fn parse(suffix: &[u8]) -> Option<Suffix> {
        Some(match suffix {
            b"" => Suffix::Decimal(0),
            b"n" => Suffix::Decimal(-9),
            b"u" => Suffix::Decimal(-6),
            b"m" => Suffix::Decimal(-3),
            b"k" => Suffix::Decimal(3),
            b"M" => Suffix::Decimal(6),
            b"G" => Suffix::Decimal(9),
            b"T" => Suffix::Decimal(12),
            b"P" => Suffix::Decimal(15),
            b"E" => Suffix::Decimal(18),
            b"Ki" => Suffix::Binary(10),
            b"Mi" => Suffix::Binary(20),
            b"Gi" => Suffix::Binary(30),
            b"Ti" => Suffix::Binary(40),
            b"Pi" => Suffix::Binary(50),
            b"Ei" => Suffix::Binary(60),
            [b'e' | b'E', exponent @ ..] => Suffix::Exponent(parse_exponent(exponent)?),
            _ => return None,
        })
    }
}

/// A signed integer; one beyond an `i32` is as good as its limit.
fn parse_exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i32, |size, digit| {
        size.saturating_mul(10)
            .saturating_add(i32::from(digit - b'0'))
    });
    Some(if negative { -size } else { size })
}
