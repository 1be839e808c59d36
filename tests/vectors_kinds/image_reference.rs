//! Image references taken apart.

use podlife::model::image::{ImageReference, with_default_tag};
use serde_json::json;

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    let image = case.text("image");
    match case.op() {
        "parse" => match ImageReference::parse(image) {
            Ok(read) => Answer::Is(json!({
                "ok": true,
                "repository": read.repository(),
                "registry": read.registry(),
                "path": read.path(),
                "tag": read.tag().unwrap_or_default(),
                "digest": read.digest().unwrap_or_default(),
            })),
            Err(_) => Answer::Is(json!({ "ok": false })),
        },
        "applyDefaultTag" => match with_default_tag(image) {
            Ok(image) => Answer::Is(json!({ "image": image })),
            Err(_) => Answer::Is(json!({ "error": true })),
        },
        _ => Answer::UnknownOp,
    }
}
