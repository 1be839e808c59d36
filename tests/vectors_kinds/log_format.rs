//! Log lines, and what is shown of a log.

use std::fs::OpenOptions;
use std::io::{Cursor, ErrorKind, Read, Write};

use podlife::model::log::{LogLine, LogView, PodLogOptions, tail_offset};
use podlife::node::{LogOptions, Logs, Stream};
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
        "follow" => follow(case),
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
    let options: Option<PodLogOptions> = serde_json::from_value(options.clone()).unwrap();
    LogView::new(&options.unwrap_or_default(), now.unwrap_or_default())
}

/// A real file, followed by a reader of each stream, with an inotify watch.
fn follow(case: &Case) -> Answer {
    let directory = std::env::temp_dir().join(format!("podlife-follow-{}", std::process::id()));
    // It is there if a case before this one failed on the way.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("0.log");
    std::fs::write(&path, "").unwrap();
    let mut readers = [Stream::Stdout, Stream::Stderr].map(|stream| {
        let options = LogOptions {
            follow: true,
            stream: Some(stream),
            ..LogOptions::default()
        };
        (Logs::at(&path, options).unwrap(), String::new())
    });
    for (at, event) in case.input["events"].as_array().unwrap().iter().enumerate() {
        if event["rotate"] == true {
            let aged = directory.join(format!("0.log.20200927-11180{at}"));
            std::fs::rename(&path, aged).unwrap();
            std::fs::write(&path, "").unwrap();
        }
        for line in event["write"].as_array().into_iter().flatten() {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(line.as_str().unwrap().as_bytes()).unwrap();
        }
        for (logs, shown) in &mut readers {
            let end = logs.read_to_string(shown).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::WouldBlock);
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
    let [(_, stdout), (_, stderr)] = readers;
    Answer::Covers(json!({ "stdout": stdout, "stderr": stderr }))
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
