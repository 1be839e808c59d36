//! The streams of a container itself.

use std::io;
use std::time::Duration;

use podlife::Kind;
use podlife::node::{Exit, Streams, TerminalSize, Until};
use serde_json::json;

use super::super::hosted::{Hosted, pod, shell, with};
use super::{Heard, end, write_all};

#[test]
fn its_input_stays_open_for_those_who_come_later() {
    let mut hosted = Hosted::ephemeral();
    let script =
        "echo before; while read line; do echo \"got $line\"; echo err >&2; done; echo over";
    let main = with(shell("main", script), json!({ "stdin": true }));
    let id = hosted.create(&pod("attach", "Never", json!([main])));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "before");
    let node = &mut hosted.node;
    for word in ["one", "two"] {
        let session = node.attach(id, "main", Streams::ALL).unwrap();
        write_all(node, &session, format!("{word}\n").as_bytes());
        let mut heard = Heard::default();
        heard.until(node, &session, word);
        // Only what came after it attached.
        assert_eq!(heard.stdout, format!("got {word}\n"));
        // Without a line's end, at once: nobody waits for the line.
        session.close_stdin();
    }
    // Both see it; only one of them asked for errors.
    let quiet = Streams::default();
    let both = [
        node.attach(id, "main", quiet).unwrap(),
        node.attach(id, "main", Streams::ALL).unwrap(),
    ];
    write_all(node, &both[1], b"three\n");
    for session in &both {
        Heard::default().until(node, session, "got three");
    }
    assert_eq!(
        both[0].write(b"x").unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    hosted.kill(id);
    assert!(both[0].end().is_some());
    drop(both);
    hosted.end();
}

#[test]
fn its_input_ends_with_the_first_if_it_is_for_one() {
    let mut hosted = Hosted::ephemeral();
    let main = with(
        shell("main", "cat; echo over; exit 3"),
        json!({ "stdin": true, "stdinOnce": true }),
    );
    let id = hosted.create(&pod("once", "Never", json!([main])));
    hosted.wait(id, Until::Ready);
    let node = &mut hosted.node;
    let session = node.attach(id, "main", Streams::ALL).unwrap();
    // Half a line: nobody waits for its end.
    write_all(node, &session, b"hal");
    Heard::default().until(node, &session, "hal");
    session.close_stdin();
    let (exit, heard) = end(node, session);
    assert_eq!((exit.unwrap(), &*heard.stdout), (Exit::Code(3), "over\n"));
    let late = node.attach(id, "main", Streams::ALL).unwrap_err();
    assert_eq!(late.kind(), Kind::Conflict);
    assert!(hosted.logs(id, "main").contains("halover"));
    hosted.kill(id);
    hosted.end();
}

#[test]
fn its_terminal_is_shared() {
    let mut hosted = Hosted::ephemeral();
    let script = "tty; exec /bin/sh -i";
    let main = with(
        shell("main", script),
        json!({ "stdin": true, "tty": true, "env": [{ "name": "PS1", "value": "> " }] }),
    );
    let id = hosted.create(&pod("tty", "Never", json!([main])));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "/dev/pts/0");
    let node = &mut hosted.node;
    let size = TerminalSize {
        rows: 12,
        columns: 34,
    };
    let session = node.attach(id, "main", Streams::terminal(size)).unwrap();
    write_all(node, &session, b"stty size; echo again >&2\n");
    let mut heard = Heard::default();
    // The prompt is no line.
    heard.until(node, &session, "12 34\r\nagain\r\n> ");
    session
        .resize(TerminalSize {
            rows: 5,
            columns: 6,
        })
        .unwrap();
    write_all(node, &session, b"stty size\n");
    heard.until(node, &session, "5 6\r\n");
    drop(session);
    let session = node.attach(id, "main", Streams::terminal(size)).unwrap();
    write_all(node, &session, b"exit 9\n");
    assert_eq!(end(node, session).0.unwrap(), Exit::Code(9));
    assert!(hosted.logs(id, "main").contains("12 34"));
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_reader_that_does_not_come_misses_something_and_the_log_nothing() {
    let mut hosted = Hosted::ephemeral();
    let script = "read go; i=0; while [ $i -lt 20000 ]; do echo \"line $i\"; i=$((i+1)); done; echo last; read go; echo more; read go";
    let main = with(shell("main", script), json!({ "stdin": true }));
    let id = hosted.create(&pod("slow", "Never", json!([main])));
    hosted.wait(id, Until::Ready);
    let slow = hosted.node.attach(id, "main", Streams::default()).unwrap();
    let session = hosted.node.attach(id, "main", Streams::ALL).unwrap();
    write_all(&mut hosted.node, &session, b"go\n");
    let mut all = Heard::default();
    all.until(&mut hosted.node, &session, "last\n");
    hosted.printed(id, "main", "last\n");
    let log = hosted.logs(id, "main");
    assert_eq!(log.lines().count(), 20_001);
    let mut heard = Heard::default();
    heard.take(&slow);
    assert!(heard.stdout.starts_with("line 0\n") && !heard.stdout.contains("last"));
    write_all(&mut hosted.node, &session, b"go\n");
    heard.until(&mut hosted.node, &slow, "more\n");
    assert!(
        heard
            .stdout
            .contains("bytes of output are missing here: they were not read in time\nmore")
    );
    drop((slow, session));
    hosted.kill(id);
    hosted.end();
}

#[test]
fn what_cannot_be_attached_to_is_said() {
    let mut hosted = Hosted::ephemeral();
    let containers = json!([shell("main", "exec sleep 1000"), shell("done", "exit 0")]);
    let id = hosted.create(&pod("attach", "Never", containers));
    hosted.ended(id, "done");
    let node = &mut hosted.node;
    let refused = |error: podlife::Error, kind, text: &str| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(
        node.attach(id, "main", Streams::ALL).unwrap_err(),
        Kind::Conflict,
        "give it stdin: true",
    );
    let terminal = Streams {
        stdin: false,
        ..Streams::terminal(TerminalSize::default())
    };
    refused(
        node.attach(id, "main", terminal).unwrap_err(),
        Kind::Conflict,
        "give it tty: true",
    );
    refused(
        node.attach(id, "done", Streams::default()).unwrap_err(),
        Kind::Conflict,
        "it has ended",
    );
    refused(
        node.attach(id, "none", Streams::default()).unwrap_err(),
        Kind::NotFound,
        "no such container",
    );
    let eight: Vec<_> = (0..8)
        .map(|_| node.attach(id, "main", Streams::default()).unwrap())
        .collect();
    refused(
        node.attach(id, "main", Streams::default()).unwrap_err(),
        Kind::Exhausted,
        "eight",
    );
    drop(eight);
    node.turn(Some(Duration::ZERO)).unwrap();
    drop(node.attach(id, "main", Streams::default()).unwrap());
    hosted.kill(id);
    hosted.end();
}
