//! Amounts: text, order, rounding, arithmetic.

use podlife::model::Quantity;
use podlife::model::quantity::Format;
use serde_json::{Value, json};

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let read = |key: &str| -> Quantity { case.text(key).parse().unwrap() };
    match case.op() {
        "parse" => parse(case.text("text")),
        "format" => canonical(read("decimal").with_format(format_of(case))),
        "compare" => Answer::Is(json!({ "ordering": read("a").cmp(&read("b")) as i8 })),
        "roundUp" => {
            let (rounded, exact) = read("text").round_up(scale(case));
            Answer::Is(json!({ "decimal": decimal(rounded), "exact": exact }))
        }
        "scaledValue" => {
            let value = read("decimal").scaled_value(scale(case));
            Answer::Is(json!({ "value": value.map(|value| value.to_string()) }))
        }
        "fromInteger" => {
            let value = case.text("value").parse().unwrap();
            canonical(Quantity::new(value, scale(case), format_of(case)))
        }
        "add" => canonical(read("a") + read("b")),
        "subtract" => canonical(read("a") - read("b")),
        "negate" => canonical(-read("text")),
        "multiply" => {
            let product = read("decimal").multiply(case.text("by").parse().unwrap());
            let fits = product.scaled_value(0).is_some();
            Answer::Is(json!({ "decimal": decimal(product), "fitsInt64": fits }))
        }
        "jsonDecode" => match serde_json::from_str::<Quantity>(case.text("json")) {
            Ok(read) => Answer::Is(json!({ "ok": true, "canonical": read.to_string() })),
            Err(_) => Answer::Is(json!({ "ok": false })),
        },
        "toFloat" => Answer::Is(json!({ "float": read("text").to_f64() })),
        _ => Answer::UnknownOp,
    }
}

fn parse(text: &str) -> Answer {
    let Ok(read) = text.parse::<Quantity>() else {
        return Answer::Is(json!({ "ok": false }));
    };
    Answer::Covers(json!({
        "ok": true,
        "format": format!("{:?}", read.format()),
        "decimal": decimal(read),
        "canonical": read.to_string(),
        "value": read.scaled_value(0).map(|value| value.to_string()),
        "milliValue": read.scaled_value(-3).map(|value| value.to_string()),
    }))
}

fn canonical(quantity: Quantity) -> Answer {
    Answer::Is(json!({ "canonical": quantity.to_string() }))
}

fn scale(case: &Case) -> i32 {
    case.integer("scale").try_into().unwrap()
}

fn format_of(case: &Case) -> Format {
    match &case.input["format"] {
        Value::String(name) if name == "DecimalSI" => Format::DecimalSI,
        Value::String(name) if name == "BinarySI" => Format::BinarySI,
        Value::String(name) if name == "DecimalExponent" => Format::DecimalExponent,
        other => panic!("no such format: {other}"),
    }
}

/// As a plain decimal, from the text with an exponent: `-1080e-3` is `-1.08`.
fn decimal(quantity: Quantity) -> String {
    let text = quantity.with_format(Format::DecimalExponent).to_string();
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits), |digits| ("-", digits));
    match exponent.parse::<i32>().unwrap() {
        zeros @ 0.. => format!("{sign}{digits}{}", "0".repeat(zeros as usize)),
        places => {
            let places = places.unsigned_abs() as usize;
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            format!("{sign}{whole}.{fraction}")
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
        }
    }
}
