//! Programs beside a container's own.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Number;
use podlife::Kind;
use podlife::linux::Signal;
use podlife::node::{Exec, Exit, Session, TerminalSize, Until};
use serde_json::json;

use super::super::hosted::{Hosted, LONG, pod, shell, with};
use super::{Heard, end, with_word, write_all};

fn sleeping(hosted: &mut Hosted) -> podlife::node::PodId {
    let id = hosted.create(&pod(
        "exec",
        "Always",
        json!([shell("main", "exec sleep 1000")]),
    ));
    hosted.wait(id, Until::Ready);
    id
}

fn sh(script: &str) -> Exec {
    Exec::new(["/bin/sh", "-c", script])
}

#[test]
fn it_has_streams_variables_a_directory_and_an_end() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let node = &mut hosted.node;
    let script = "read line; echo \"$line $WHO $HOSTNAME $PWD\"; echo two >&2; cat; exit 7";
    let command = sh(script).env("WHO", "me").directory("/tmp").stdin();
    let session = node.exec(id, "main", command).unwrap();
    assert!(session.end().is_none());
    write_all(node, &session, b"one\nmore");
    session.close_stdin();
    let (exit, heard) = end(node, session);
    assert_eq!(exit.unwrap(), Exit::Code(7));
    assert_eq!(heard.stdout, "one me exec /tmp\nmore");
    assert_eq!(heard.stderr, "two\n");

    let session = node.exec(id, "main", sh("kill -TERM $$")).unwrap();
    let killed = Signal::new(Number::SIGTERM as i32).unwrap();
    assert_eq!(end(node, session).0.unwrap(), Exit::Signal(killed));

    // A variable takes the place of the container's.
    let session = node
        .exec(id, "main", sh("echo $HOSTNAME").env("HOSTNAME", "else"))
        .unwrap();
    assert_eq!(end(node, session).1.stdout, "else\n");
    hosted.kill(id);
    hosted.end();
}

#[test]
fn it_may_be_another_user() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let command = || sh("id -u; id -g; grep CapEff /proc/self/status").user(1234, 4321);
    let output = hosted.node.output(id, "main", command(), LONG);
    if nix::unistd::geteuid().is_root() {
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(text, "1234\n4321\nCapEff:\t0000000000000000\n");
    } else {
        let error = output.unwrap_err();
        assert!(error.to_string().contains("1234"), "{error}");
    }
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_terminal_has_a_size_that_changes() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let node = &mut hosted.node;
    let script =
        "trap 'stty size; exit 5' WINCH; tty; echo $TERM; stty size; while :; do sleep 0.01; done";
    let size = TerminalSize {
        rows: 33,
        columns: 77,
    };
    let session = node.exec(id, "main", sh(script).terminal(size)).unwrap();
    let mut heard = Heard::default();
    heard.until(node, &session, "33 77\r\n");
    assert_eq!(heard.stdout, "/dev/pts/0\r\nxterm\r\n33 77\r\n");
    session
        .resize(TerminalSize {
            rows: 10,
            columns: 20,
        })
        .unwrap();
    let (exit, heard) = end(node, session);
    assert_eq!(
        (exit.unwrap(), &*heard.stdout),
        (Exit::Code(5), "10 20\r\n")
    );

    // What is typed is echoed, and Ctrl-C is a signal.
    let session = node
        .exec(id, "main", Exec::new(["cat"]).terminal(size))
        .unwrap();
    write_all(node, &session, b"typed\n");
    let mut heard = Heard::default();
    heard.until(node, &session, "typed\r\ntyped\r\n");
    write_all(node, &session, b"\x03");
    let exit = end(node, session).0.unwrap();
    assert_eq!(exit, Exit::Signal(Signal::new(2).unwrap()));
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_program_that_ends_at_once_has_said_everything() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let node = &mut hosted.node;
    for _ in 0..20 {
        let terminal = Exec::new(["echo", "hi"]).terminal(TerminalSize::default());
        let session = node.exec(id, "main", terminal).unwrap();
        assert_eq!(end(node, session).1.stdout, "hi\r\n");
        let session = node.exec(id, "main", Exec::new(["echo", "hi"])).unwrap();
        assert_eq!(end(node, session).1.stdout, "hi\n");
    }
    hosted.kill(id);
    hosted.end();
}

/// A tree that no signal to its first process, session or group reaches.
fn scattered(word: &str) -> String {
    format!(
        "(setsid sh -c 'setsid sleep {word} & sleep {word} & (sleep {word} &) ; wait' &); \
         sleep {word} & sleep 0.01; echo there; sleep {word}"
    )
}

fn gone(hosted: &mut Hosted, word: &str) {
    let until = Instant::now() + LONG;
    while with_word(word) > 0 {
        assert!(Instant::now() < until, "{} live on", with_word(word));
        hosted.node.turn(Some(Duration::from_millis(2))).unwrap();
    }
}

#[test]
fn dropping_it_ends_its_whole_tree() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let word = format!("{}.5", 100_000 + std::process::id());
    for stop in [drop as fn(Session), closed_streams] {
        let session = hosted.node.exec(id, "main", sh(&scattered(&word))).unwrap();
        Heard::default().until(&mut hosted.node, &session, "there");
        while with_word(&word) < 5 {
            hosted.node.turn(Some(Duration::from_millis(2))).unwrap();
        }
        stop(session);
        gone(&mut hosted, &word);
    }
    // Before anything was heard of it.
    drop(hosted.node.exec(id, "main", sh(&scattered(&word))).unwrap());
    hosted
        .node
        .output(id, "main", Exec::new(["true"]), LONG)
        .unwrap();
    gone(&mut hosted, &word);
    // And at a timeout.
    let late = Duration::from_millis(300);
    let error = hosted
        .node
        .output(id, "main", sh(&scattered(&word)), late)
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    gone(&mut hosted, &word);
    hosted.kill(id);
    hosted.end();
}

fn closed_streams(session: Session) {
    session.close_stdin();
    std::thread::spawn(move || drop(session)).join().unwrap();
}

#[test]
fn a_probe_that_takes_too_long_ends_with_its_whole_tree() {
    let mut hosted = Hosted::ephemeral();
    let word = format!("{}.25", 100_000 + std::process::id());
    let probe = json!({ "exec": { "command": ["/bin/sh", "-c", scattered(&word)] },
        "timeoutSeconds": 1, "periodSeconds": 60, "failureThreshold": 10 });
    let main = with(
        shell("main", "exec sleep 1000"),
        json!({ "readinessProbe": probe }),
    );
    let id = hosted.create(&pod("probed", "Always", json!([main])));
    hosted.until("Unhealthy", "timed out");
    gone(&mut hosted, &word);
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_reader_that_does_not_come_holds_up_nobody_else() {
    let mut hosted = Hosted::ephemeral();
    let id = sleeping(&mut hosted);
    let node = &mut hosted.node;
    let flood = node.exec(id, "main", Exec::new(["yes"])).unwrap();
    let full = node.exec(id, "main", sh("sleep 1000").stdin()).unwrap();
    let bytes = vec![0; 1 << 20];
    let written = full.write(&bytes).unwrap();
    assert!(written < bytes.len(), "{written}");
    let why = full.write(&bytes).unwrap_err();
    assert_eq!(why.kind(), io::ErrorKind::WouldBlock);
    assert!(!full.wait(Some(Duration::ZERO)).unwrap());
    let output = node
        .output(id, "main", Exec::new(["echo", "ok"]), LONG)
        .unwrap();
    assert_eq!(output.stdout, b"ok\n");
    drop((flood, full));
    // Whoever does not read what is written to it: an error, and no signal.
    let closed = node
        .exec(id, "main", sh("exec <&-; echo closed; sleep 1000").stdin())
        .unwrap();
    Heard::default().until(node, &closed, "closed");
    let why = closed.write(b"x").unwrap_err();
    assert_eq!(why.kind(), io::ErrorKind::BrokenPipe);
    drop(closed);
    hosted.kill(id);
    hosted.end();
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut hosted = Hosted::ephemeral();
    let containers = json!([shell("main", "exec sleep 1000"), shell("done", "exit 0")]);
    let id = hosted.create(&pod("exec", "Never", containers));
    let early = hosted
        .node
        .exec(id, "main", Exec::new(["true"]))
        .unwrap_err();
    assert_eq!(early.kind(), Kind::Conflict, "{early}");
    hosted.ended(id, "done");
    let node = &mut hosted.node;
    let refused = |error: podlife::Error, kind, text: &str| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    };
    let nothing = || Exec::new(["true"]);
    refused(
        node.exec(id, "other", nothing()).unwrap_err(),
        Kind::NotFound,
        "no such container",
    );
    refused(
        node.exec(id, "done", nothing()).unwrap_err(),
        Kind::Conflict,
        "it has ended",
    );
    let empty = Exec::new(Vec::<String>::new());
    refused(
        node.exec(id, "main", empty).unwrap_err(),
        Kind::Invalid,
        "the command is empty",
    );
    let session = node
        .exec(id, "main", Exec::new(["no-such-program"]))
        .unwrap();
    refused(
        end(node, session).0.unwrap_err(),
        Kind::NotFound,
        "executable file not found",
    );
    let session = node
        .exec(id, "main", nothing().directory("/no/such"))
        .unwrap();
    refused(
        end(node, session).0.unwrap_err(),
        Kind::NotFound,
        "/no/such",
    );
    let session = node.exec(id, "main", nothing().stdin()).unwrap();
    let error = session.resize(TerminalSize::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    drop(session);

    // The container, the pod and the Node end under their sessions.
    let sleep = || Exec::new(["sleep", "1000"]);
    let session = node.exec(id, "main", sleep()).unwrap();
    hosted.kill(id);
    let end = session.end().unwrap();
    drop(session);
    assert!(end.is_err() || end.is_ok_and(|exit| exit.code() == 137));
    let gone = hosted.node.exec(id, "main", sleep()).unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
    hosted.end();
}

#[test]
fn a_session_outlives_its_node_in_nothing_but_its_end() {
    let before = super::super::before::Before::now();
    let mut node = super::super::before::ephemeral();
    let main = pod("exec", "Always", json!([shell("main", "exec sleep 1000")]));
    let id = node.create(super::super::hosted::valid(&main)).unwrap();
    node.wait(id, Until::Ready, LONG).unwrap();
    let handle = node.handle();
    let pending = handle.exec(id, "main", Exec::new(["cat"]).stdin());
    let mut pending = Some(pending);
    let session = loop {
        node.turn(Some(LONG)).unwrap();
        if let Some(session) = pending.as_mut().and_then(|pending| pending.try_take()) {
            break session.unwrap();
        }
    };
    write_all(&mut node, &session, b"here\n");
    Heard::default().until(&mut node, &session, "here");
    drop(node);
    assert!(session.wait(Some(LONG)).unwrap());
    assert!(session.end().unwrap().is_err());
    drop((session, pending, handle));
    before.no_process();
    // Cgroups are left to the next Node.
    drop(super::super::before::ephemeral());
    drop(before);
}
