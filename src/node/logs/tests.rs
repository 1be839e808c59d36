use std::fs::OpenOptions;
use std::io::Write;

use serde_json::Value;

use super::*;

/// A log file that is gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("podlife-logs-{name}-{}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        Scratch(path)
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.0)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn open(&self, options: LogOptions) -> (Logs, Arc<AtomicBool>) {
        let ended = Arc::new(AtomicBool::new(false));
        let source = Source {
            path: Some(self.0.clone()),
            ended: ended.clone(),
        };
        (
            Logs::open(vec![File::open(&self.0).unwrap()], source, options).unwrap(),
            ended,
        )
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// All there is now.
fn read(logs: &mut Logs) -> (String, bool) {
    let (mut text, mut piece) = (Vec::new(), [0; 7]);
    let ended = loop {
        match logs.read(&mut piece) {
            Ok(0) => break true,
            Ok(count) => text.extend_from_slice(&piece[..count]),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => break false,
            Err(why) => panic!("{why}"),
        }
    };
    (String::from_utf8(text).unwrap(), ended)
}

fn options(value: &Value) -> LogOptions {
    let wall = |name: &str| {
        value[name]
            .as_str()
            .map(|text| text.parse::<Wall>().unwrap())
    };
    let seconds = value["sinceSeconds"].as_i64().zip(wall("now"));
    LogOptions {
        tail: value["tailLines"].as_u64(),
        limit_bytes: value["limitBytes"].as_u64(),
        since: wall("sinceTime").or(seconds
            .map(|(seconds, now)| Wall::from_nanos(now.as_nanos() - seconds * 1_000_000_000))),
        timestamps: value["timestamps"] == true,
        ..LogOptions::default()
    }
}

/// The kubelet's own cases, read from real files.
#[test]
fn the_vectors_hold_for_files() {
    let scratch = Scratch::new("vectors");
    let vectors = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/log-format.json"
    ));
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let reads = |case: &&Value| case["input"]["op"] == "read";
    let mut count = 0;
    for case in vectors["cases"].as_array().unwrap().iter().filter(reads) {
        let input = &case["input"];
        let lines = input["lines"].as_array().unwrap().iter();
        std::fs::write(
            &scratch.0,
            lines.map(|line| line.as_str().unwrap()).collect::<String>(),
        )
        .unwrap();
        let wanted = input["options"]["stream"].as_str();
        for (name, stream) in [("stdout", Stream::Stdout), ("stderr", Stream::Stderr)] {
            if wanted.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(name)) {
                continue;
            }
            let options = LogOptions {
                stream: Some(stream),
                ..options(&input["options"])
            };
            assert_eq!(
                read(&mut scratch.open(options).0).0,
                case["expect"][name],
                "{}",
                case["name"]
            );
        }
        count += 1;
    }
    assert!(count >= 15, "{count} cases");
}

#[test]
fn following_goes_on_through_a_rotation_and_ends_with_the_writer() {
    let scratch = Scratch::new("follow");
    let (mut logs, ended) = scratch.open(LogOptions {
        follow: true,
        ..LogOptions::default()
    });
    scratch.append("2020-09-27T11:18:01Z stdout F one\n2020-09-27T11:18:02Z std");
    assert_eq!(read(&mut logs), ("one\n".into(), false));
    scratch.append("out P two\n");
    assert_eq!(read(&mut logs), ("two".into(), false));
    let aside = scratch.0.with_extension("1");
    std::fs::rename(&scratch.0, &aside).unwrap();
    scratch.append("2020-09-27T11:18:03Z stdout F three\n");
    assert_eq!(read(&mut logs), ("three\n".into(), false));
    scratch.append("2020-09-27T11:18:04Z stdout F four\n");
    ended.store(true, Ordering::Release);
    assert_eq!(read(&mut logs), ("four\n".into(), true));
    std::fs::remove_file(aside).unwrap();
}

/// A memfd has no name, and is followed all the same.
#[test]
fn what_is_added_to_a_memfd_wakes_the_follower() {
    use crate::linux::reactor::{Interest, Reactor, Token};
    use std::time::Duration;

    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let memfd = nix::sys::memfd::memfd_create("log", flags).unwrap();
    // The descriptor that memfd_create gives notifies nobody (FMODE_NONOTIFY); one opened again does.
    let path = format!("/proc/self/fd/{}", memfd.as_raw_fd());
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    let reader = File::open(&path).unwrap();
    let source = Source {
        path: None,
        ended: Arc::default(),
    };
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut logs = Logs::open(vec![reader], source, options).unwrap();
    assert_eq!(read(&mut logs), (String::new(), false));

    let mut reactor = Reactor::new().unwrap();
    reactor.add(&logs, Interest::Read, Token(1)).unwrap();
    let mut ready = Vec::new();
    reactor.wait(Some(Duration::ZERO), &mut ready).unwrap();
    assert!(ready.is_empty());
    writer
        .write_all(b"2020-09-27T11:18:01Z stdout F one\n")
        .unwrap();
    reactor
        .wait(Some(Duration::from_secs(60)), &mut ready)
        .unwrap();
    assert_eq!(ready.len(), 1);
    assert_eq!(read(&mut logs), ("one\n".into(), false));
    reactor.wait(Some(Duration::ZERO), &mut ready).unwrap();
    assert!(ready.is_empty(), "what was seen is not told again");
}

/// A directory that is gone with the value.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pieces(name: &str, files: u32) -> (Directory, Log, File) {
    let directory = std::env::temp_dir().join(format!("podlife-{name}-{}", std::process::id()));
    let bounds = Bounds { size: 1, files };
    let (log, writer) = Log::on_disk(directory.join("0.log"), bounds).unwrap();
    (Directory(directory), log, writer)
}

fn write(mut writer: &File, text: &str) {
    writeln!(writer, "2026-01-02T12:00:00Z stdout F {text}").unwrap();
}

fn all(log: &Log) -> String {
    let mut text = String::new();
    let mut logs = log.open(LogOptions::default()).unwrap();
    logs.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_piece_has_its_name_when_it_is_whole() {
    let (directory, mut log, first) = pieces("whole", 3);
    let count = || std::fs::read_dir(&directory.0).unwrap().count();
    write(&first, "one");
    let second = log.rotate().unwrap().unwrap();
    assert!(log.is_half_rotated());
    // The logger has not gone over yet.
    write(&first, "two");
    log.rotated();
    write(&second, "three");
    assert_eq!((all(&log), count()), ("one\ntwo\nthree\n".into(), 2));
    // The oldest goes.
    for text in ["four", "five", "six"] {
        let next = log.rotate().unwrap().unwrap();
        log.rotated();
        write(&next, text);
    }
    assert_eq!((all(&log), count()), ("four\nfive\nsix\n".into(), 3));
    log.remove();
    assert_eq!(count(), 0);
}

/// The Node was killed between asking and hearing; the container ended meanwhile.
#[test]
fn a_rotation_that_was_not_heard_of_is_settled() {
    for gone_over in [false, true] {
        let (directory, mut log, first) = pieces("settled", 3);
        write(&first, "one");
        let second = log.rotate().unwrap().unwrap();
        write(if gone_over { &second } else { &first }, "two");
        drop(log);
        let mut log = Log::at(directory.0.join("0.log"), Bounds { size: 1, files: 3 });
        log.end();
        assert_eq!(all(&log), "one\ntwo\n");
        let files = std::fs::read_dir(&directory.0).unwrap().count();
        assert_eq!(
            (log.is_half_rotated(), files),
            (false, 1 + usize::from(gone_over))
        );
    }
}

/// Nobody tells the readers of another program's log when it begins a new piece.
#[test]
fn a_log_that_gets_another_piece_while_it_is_opened_is_read_whole() {
    let (directory, mut log, writer) = pieces("raced", 4);
    let path = directory.0.join("0.log");
    write(&writer, "0");
    let (go, told) = std::sync::mpsc::channel::<u32>();
    let (over, ended) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in told {
                let next = log.rotate().unwrap().unwrap();
                log.rotated();
                write(&next, &number.to_string());
                over.send(()).unwrap();
            }
        });
        for number in 1..1000 {
            go.send(number).unwrap();
            match Logs::at(&path, LogOptions::default()) {
                // Between its two names it has none.
                Err(error) => assert_eq!(error.kind(), crate::Kind::NotFound, "{error}"),
                Ok(mut logs) => {
                    let (text, _) = read(&mut logs);
                    let numbers: Vec<u32> =
                        text.lines().map(|line| line.parse().unwrap()).collect();
                    let whole = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
                    let last = numbers.last().copied().unwrap_or_default();
                    assert!(whole && last + 1 >= number, "{number}: {numbers:?}");
                }
            }
            ended.recv().unwrap();
        }
        drop(go);
    });
}
