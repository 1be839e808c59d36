//! Log lines, and what is shown of a log.

use std::io::Cursor;

use podlife::model::log::{LogLine, LogView, PodLogOptions, tail_offset};
use serde_json::{Value, json};

use super::{Answer, Case};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "parseLine" => parse(case.text("line")),
        "read" => read(case),
        "options" => {
            let view = view(&case.input["options"]);
            let number = |limit: Option<u64>| limit.map_or(json!(-1), |limit| json!(limit));
            Answer::Covers(json!({
                "tail": number(view.tail),
                "bytes": number(view.bytes),
                "since": view.since.map(|since| since.to_string()),
            }))
        }
        "tailOffset" => {
            let repeat = &case.input["repeat"];
            let count = |key: &str| usize::try_from(repeat[key].as_u64().unwrap()).unwrap();
            let (byte, times) = repeat["line"].as_str().unwrap().split_once('*').unwrap();
            let line = byte.repeat(times.parse().unwrap()) + "\n";
            let text = line.repeat(count("completeLines")) + &byte.repeat(count("trailingBytes"));
            // A negative number is no tail.
            let offset = u64::try_from(case.integer("n"))
                .map_or(0, |n| tail_offset(&mut Cursor::new(&text), n).unwrap());
            Answer::Is(json!({ "byteOffset": offset }))
        }
        _ => Answer::UnknownOp,
    }
}

fn parse(line: &str) -> Answer {
    let Ok(line) = LogLine::parse(line.as_bytes()) else {
        return Answer::Is(json!({ "ok": false }));
    };
    Answer::Covers(json!({
        "ok": true,
        "timestamp": line.written,
        "stream": line.stream.as_str(),
        "content": String::from_utf8_lossy(line.content),
        "partial": line.partial,
    }))
}

fn view(options: &Value) -> LogView {
    let now = options["now"].as_str().map(|now| now.parse().unwrap());
    let options: PodLogOptions = serde_json::from_value(options.clone()).unwrap();
    LogView::new(&options, now.unwrap_or_default())
}

fn read(case: &Case) -> Answer {
    let lines: Vec<String> = case.read("lines");
    let mut view = view(&case.input["options"]);
    let file = lines.concat();
    let start = view.tail.map_or(0, |lines| {
        tail_offset(&mut Cursor::new(&file), lines).unwrap()
    });
    let mut shown = [String::new(), String::new()];
    for line in file[usize::try_from(start).unwrap()..].split_inclusive('\n') {
        view.show(line.as_bytes(), |stream, bytes| {
            shown[stream as usize] += &String::from_utf8_lossy(bytes)
        });
    }
    Answer::Is(json!({ "stdout": shown[0], "stderr": shown[1] }))
}
