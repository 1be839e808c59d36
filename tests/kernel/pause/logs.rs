//! Output in the CRI format.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;

use podlife::linux::pause::{Input, Key, Output, Report, Request, Start};
use podlife::time::Wall;

use crate::sandbox::{PATIENCE, TestPod, host_container, shell};

const FIRST: Key = Key::container(0, 0);

struct Log(PathBuf);

impl Log {
    fn new(name: &str) -> Log {
        let path = std::env::temp_dir().join(format!("podlife-log-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Log(path)
    }

    fn open(&self) -> File {
        File::options()
            .append(true)
            .create(true)
            .open(&self.0)
            .unwrap()
    }

    /// Stream, tag and content of each line; the time is looked at and left out.
    fn lines(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        File::open(&self.0)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let mut last = Wall::from_secs(1_700_000_000);
        text.lines()
            .map(|line| {
                let (time, rest) = line.split_once(' ').unwrap();
                assert_eq!(time.len(), 30, "{time}");
                let time = time.parse().unwrap();
                assert!(time >= last, "{line}");
                last = time;
                rest.to_owned()
            })
            .collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn logged<'a>(key: Key, plan: &'a podlife::linux::pause::Plan, log: &'a File) -> Start<'a> {
    Start {
        stdout: Output::Log,
        stderr: Output::Log,
        log: Some(log.as_fd()),
        ..Start::new(key, plan)
    }
}

fn output_ended(pod: &mut TestPod, key: Key) {
    let told = pod.wait(|report| matches!(report, Report::OutputEnded { .. }));
    assert!(
        matches!(told, Report::OutputEnded { key: other, complete: true } if other == key),
        "{told:?}"
    );
}

#[test]
fn lines_come_out_as_the_format_says() {
    let log = Log::new("lines");
    let mut pod = TestPod::new();
    let before = podlife::linux::Clock::wall();
    let plan = shell(
        host_container(),
        "echo one; echo; printf 'no newline'; sleep 0.05; echo oops >&2",
    );
    let file = log.open();
    pod.start(logged(FIRST, &plan, &file));
    output_ended(&mut pod, FIRST);
    let mut lines = log.lines();
    // The two streams are two pipes: only within one of them is there an order.
    lines.sort();
    assert_eq!(
        lines,
        [
            "stderr F oops",
            "stdout F ",
            "stdout F one",
            "stdout P no newline"
        ]
    );
    let text = std::fs::read_to_string(&log.0).unwrap();
    let time: Wall = text.split(' ').next().unwrap().parse().unwrap();
    assert!(before <= time && time <= podlife::linux::Clock::wall());
}

#[test]
fn long_lines_are_written_in_parts() {
    let log = Log::new("long");
    let mut pod = TestPod::new();
    let part = 16 * 1024;
    let script = format!(
        "line() {{ head -c $1 /dev/zero | tr '\\0' x; echo; }}; line {part}; line {}; line {}",
        part + 1,
        2 * part + 3
    );
    let plan = shell(host_container(), &script);
    let file = log.open();
    pod.start(logged(FIRST, &plan, &file));
    output_ended(&mut pod, FIRST);
    let shape: Vec<_> = log
        .lines()
        .iter()
        .map(|line| (line[7..8].to_owned(), line.len() - 9))
        .collect();
    let expected = [
        ("F", part),
        ("P", part),
        ("F", 1),
        ("P", part),
        ("P", part),
        ("F", 3),
    ];
    assert_eq!(shape, expected.map(|(tag, size)| (tag.to_owned(), size)));
}

#[test]
fn a_flood_arrives_whole_and_in_order() {
    let log = Log::new("flood");
    let mut pod = TestPod::new();
    let plan = shell(host_container(), "seq 1 200000");
    let file = log.open();
    pod.start(logged(FIRST, &plan, &file));
    output_ended(&mut pod, FIRST);
    let lines = log.lines();
    assert_eq!(lines.len(), 200_000);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("stdout F {}", index + 1));
    }
}

#[test]
fn a_rotated_log_goes_on_in_the_new_file() {
    let (old, new) = (Log::new("old"), Log::new("new"));
    let mut pod = TestPod::new();
    let (input, go) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let plan = shell(
        host_container(),
        "echo one; read line; echo two; exec sleep 1000",
    );
    let file = old.open();
    let start = Start {
        stdin: Input::Fd(input.as_fd()),
        ..logged(FIRST, &plan, &file)
    };
    pod.start(start);
    until_lines(&old, 1);
    pod.send(Request::Rotate(FIRST, new.open().as_fd()));
    pod.wait(|report| matches!(report, Report::Rotated(FIRST)));
    nix::unistd::write(&go, b"go\n").unwrap();
    until_lines(&new, 1);
    assert_eq!(
        (old.lines(), new.lines()),
        (vec!["stdout F one".into()], vec!["stdout F two".into()])
    );
}

/// Looks again and again: a log file gives no event.
fn until_lines(log: &Log, count: usize) {
    let until = std::time::Instant::now() + crate::sandbox::PATIENCE;
    while log.lines().len() < count {
        assert!(std::time::Instant::now() < until);
        std::thread::yield_now();
    }
}

#[test]
fn what_finds_no_space_is_counted_and_told() {
    let log = Log::new("space");
    let mut pod = TestPod::new();
    let (input, go) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    // More than a pipe holds: when the container has said "done", the logger has had to drop some of it.
    let plan = shell(
        host_container(),
        "seq 1 20000; echo done >&2; read line; echo kept",
    );
    let mut sent: Vec<String> = (1..=20_000).map(|number| number.to_string()).collect();
    sent.push("kept".into());
    let sent: usize = sent.iter().map(|line| line.len() + 1).sum();
    // ENOSPC, always.
    let full = File::options().append(true).open("/dev/full").unwrap();
    pod.start(Start {
        stdin: Input::Fd(input.as_fd()),
        stderr: Output::Fd(writer.as_fd()),
        ..logged(FIRST, &plan, &full)
    });
    assert_eq!(nix::unistd::read(&reader, &mut [0; 16]), Ok(5));
    pod.send(Request::Rotate(FIRST, log.open().as_fd()));
    pod.wait(|report| matches!(report, Report::Rotated(FIRST)));
    drop(go);
    output_ended(&mut pod, FIRST);
    let lines = log.lines();
    let note = lines[0].strip_prefix("stderr F podlife: ").unwrap();
    let (dropped, note) = note.split_once(' ').unwrap();
    assert_eq!(
        note,
        "bytes of output are missing here: the log could not be written"
    );
    let kept: usize = lines[1..].iter().map(|line| line.len() - 9 + 1).sum();
    assert_eq!(dropped.parse::<usize>().unwrap() + kept, sent);
    assert_eq!(lines.last().unwrap(), "stdout F kept");
}

#[test]
fn a_killed_logger_is_told_and_replaced() {
    let log = Log::new("killed");
    let mut pod = TestPod::new();
    let plan = shell(host_container(), "exec sleep 1000");
    let file = log.open();
    pod.start(logged(FIRST, &plan, &file));
    let pause = pod.pause.process.pid().unwrap().unwrap();
    kill_logger_of(pause);
    let told = pod.wait(|report| matches!(report, Report::OutputEnded { .. }));
    assert!(
        matches!(
            told,
            Report::OutputEnded {
                key: FIRST,
                complete: false
            }
        ),
        "{told:?}"
    );
    let second = Key::container(1, 0);
    let plan = shell(host_container(), "echo again");
    pod.start(logged(second, &plan, &file));
    output_ended(&mut pod, second);
    assert_eq!(log.lines(), ["stdout F again"]);
}

fn kill_logger_of(pause: u32) {
    let path = format!("/proc/{pause}/task/{pause}/children");
    let is_logger = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name == "podlife-logger\n")
    };
    // It takes its name a moment after it was forked.
    let until = std::time::Instant::now() + PATIENCE;
    let logger = loop {
        let children = std::fs::read_to_string(&path).unwrap();
        let mut children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        if let Some(logger) = children.find(is_logger) {
            break logger;
        }
        assert!(std::time::Instant::now() < until, "there is no logger");
        std::thread::yield_now();
    };
    let process = podlife::linux::Process::open(logger).unwrap();
    process
        .signal(podlife::linux::process::Signal::KILL)
        .unwrap();
}
