//! Servers, hooks and programs that behave badly: each is told, and everything else goes on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use podlife::Kind;
use podlife::node::{Delete, Exec, LogOptions, PodId, Streams, Until};
use serde_json::{Value, json};

use super::hosted::{Hosted, LONG, container, exit_code, pod, shell, spec, with};
use super::session::{Heard, with_word};
use super::volumes::Directory;

/// What a server does with each connection, until the other side has enough.
type Manners = fn(TcpStream) -> std::io::Result<()>;

fn hang(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).map(drop)
}

fn drip(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
    loop {
        stream.write_all(b"x")?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn garbage(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"\x00\xff\x17 what? \n\n\x80\xfe\n\n")?;
    hang(stream)
}

/// More than anybody would take; it ends when the other side hangs up.
fn endless(mut stream: TcpStream, head: &[u8], piece: &[u8]) -> std::io::Result<()> {
    stream.write_all(head)?;
    let pieces = piece.repeat((64 << 10) / piece.len());
    (0..10_000_000_000_u64 / (64 << 10)).try_for_each(|_| stream.write_all(&pieces))?;
    panic!("10 GB were taken");
}

fn endless_head(stream: TcpStream) -> std::io::Result<()> {
    endless(stream, b"HTTP/1.1 200 OK\r\nX: ", b"x")
}

fn endless_body(stream: TcpStream) -> std::io::Result<()> {
    endless(stream, b"HTTP/1.1 500 Oh\r\n\r\n", b"x")
}

fn endless_promises(stream: TcpStream) -> std::io::Result<()> {
    endless(stream, b"", b"HTTP/1.1 100 Continue\r\n\r\n")
}

fn redirect(mut stream: TcpStream) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096])?;
    stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
}

/// A server that has such manners, until it is told to stop.
struct Server {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    fn new(manners: Manners) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let _ = manners(stream);
            }
        });
        Server { port, stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.thread.join().unwrap();
    }
}

const BAD: &[(&str, Manners, &str)] = &[
    ("hangs", hang, "/\": context deadline exceeded"),
    ("drips", drip, "/\": context deadline exceeded"),
    ("garbage", garbage, "/\": malformed HTTP response"),
    (
        "head",
        endless_head,
        "/\": server response headers exceeded 65536 bytes",
    ),
    (
        "body",
        endless_body,
        "HTTP probe failed with statuscode: 500",
    ),
    (
        "promises",
        endless_promises,
        "/\": net/http: too many 1xx informational responses",
    ),
    (
        "redirects",
        redirect,
        "/again\": stopped after 10 redirects",
    ),
];

#[test]
fn a_server_that_behaves_badly_fails_its_own_probe_only() {
    let mut hosted = Hosted::ephemeral();
    let servers: Vec<_> = BAD
        .iter()
        .map(|(_, manners, _)| Server::new(*manners))
        .collect();
    let asked = |(name, port): (&str, u16)| {
        let probe =
            json!({ "httpGet": { "port": port }, "failureThreshold": 1, "periodSeconds": 1 });
        with(
            shell(name, "exec sleep 1000"),
            json!({ "readinessProbe": probe }),
        )
    };
    let ports = servers.iter().map(|server| server.port);
    let containers: Vec<_> = BAD
        .iter()
        .map(|(name, ..)| *name)
        .zip(ports)
        .map(asked)
        .collect();
    let bad = spec(
        pod("bad", "Always", json!(containers)),
        json!({ "hostNetwork": true }),
    );
    let bad = hosted.create(&bad);
    let good = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
    let main = with(
        shell("main", "exec sleep 1000"),
        json!({ "readinessProbe": good }),
    );
    let good = hosted.create(&pod("good", "Always", json!([main])));
    for ((name, _, text), server) in BAD.iter().zip(&servers) {
        let text = match text.starts_with('/') {
            true => format!("Get \"http://127.0.0.1:{}{text}", server.port),
            false => (*text).to_owned(),
        };
        let event = hosted.until("Unhealthy", &text);
        assert!(
            event.message().starts_with("Readiness probe failed: "),
            "{name}: {event}"
        );
    }
    hosted.wait(good, Until::Ready);
    let output = hosted
        .node
        .output(good, "main", Exec::new(["echo", "ok"]), LONG);
    assert_eq!(output.unwrap().stdout, b"ok\n");
    let unwell = |event: &podlife::node::Event| event.pod == good && event.reason() == "Unhealthy";
    assert!(!hosted.seen.iter().any(unwell), "{}", hosted.story(good));
    hosted.kill(bad);
    hosted.kill(good);
    servers.into_iter().for_each(Server::stop);
    hosted.end();
}

#[test]
fn a_name_that_is_not_known_fails_the_probe_and_a_port_that_is_not_there_is_an_error_of_it() {
    let mut hosted = Hosted::ephemeral();
    let probe = |get: Value| json!({ "httpGet": get, "failureThreshold": 1, "periodSeconds": 1 });
    let nowhere = probe(json!({ "port": 80, "host": "no-such-name.invalid" }));
    let portless = probe(json!({ "port": "none" }));
    let main = shell("main", "exec sleep 1000");
    let main = with(
        main,
        json!({ "readinessProbe": nowhere, "livenessProbe": portless }),
    );
    let id = hosted.create(&pod("names", "Always", json!([main])));
    hosted.until(
        "Unhealthy",
        "Readiness probe failed: Get \"http://no-such-name.invalid:80/\": dial tcp: lookup no-such-name.invalid: no such host",
    );
    hosted.until(
        "Unhealthy",
        "Liveness probe errored and resulted in unknown state: ",
    );
    // What says nothing ends nobody.
    assert!(!hosted.reasons().contains(&"Killing".to_owned()));
    hosted.kill(id);
    hosted.end();
}

/// A shell that has children of children, of which this word tells.
fn scattered(word: &str) -> String {
    format!("echo begun; (sleep {word} & setsid sleep {word} &) ; sleep {word}")
}

fn gone(hosted: &mut Hosted, word: &str) {
    let until = std::time::Instant::now() + LONG;
    while with_word(word) > 0 {
        assert!(
            std::time::Instant::now() < until,
            "{} are left",
            with_word(word)
        );
        hosted.node.turn(Some(Duration::from_millis(2))).unwrap();
    }
}

fn hooked(name: &str, script: &str, hooks: Value) -> Value {
    let main = with(shell("main", script), json!({ "lifecycle": hooks }));
    pod(name, "Always", json!([main]))
}

#[test]
fn a_post_start_hook_that_never_returns_holds_up_its_container_only() {
    let mut hosted = Hosted::ephemeral();
    let word = format!("{}.125", 100_000 + std::process::id());
    let hook =
        json!({ "postStart": { "exec": { "command": ["/bin/sh", "-c", scattered(&word)] } } });
    let mut stuck = hooked("stuck", "exec sleep 1000", hook);
    // Before the hook has returned nobody asks whether the container lives.
    let dead = json!({ "tcpSocket": { "port": 7 }, "periodSeconds": 1, "failureThreshold": 1 });
    stuck["spec"]["containers"][0]["livenessProbe"] = dead;
    let stuck = hosted.create(&stuck);
    let other = hosted.create(&pod("other", "Never", json!([shell("main", "sleep 1.5")])));
    while with_word(&word) < 3 {
        hosted.node.turn(Some(Duration::from_millis(5))).unwrap();
    }
    hosted.wait(other, Until::Finished);
    let state = container(hosted.node.pod(stuck).unwrap().status(), "main").clone();
    assert!(!state.ready && state.restart_count == 0, "{state:?}");
    assert!(
        !hosted
            .reasons()
            .iter()
            .any(|reason| reason == "Unhealthy" || reason == "Killing")
    );
    hosted
        .node
        .delete(stuck, Delete::within(Duration::from_secs(1)))
        .unwrap();
    hosted.wait(stuck, Until::Deleted);
    gone(&mut hosted, &word);
    hosted.kill(other);
    hosted.end();
}

#[test]
fn a_pre_stop_hook_that_never_returns_ends_with_the_grace_period_and_all_its_children() {
    let mut hosted = Hosted::ephemeral();
    let word = format!("{}.375", 100_000 + std::process::id());
    let (start, end) = word.split_at(3);
    // Asked to end, it waits until nothing of the hook is left.
    let script = format!(
        "trap 'while grep -qs \"{start}[{}]{}\" /proc/[0-9]*/cmdline; do sleep 0.01; done; echo alone; exit 0' TERM; \
         while :; do sleep 0.01; done",
        &end[..1],
        &end[1..]
    );
    let hook = json!({ "preStop": { "exec": { "command": ["/bin/sh", "-c", scattered(&word)] } } });
    let mut manifest = hooked("stuck", &script, hook);
    manifest["spec"]["restartPolicy"] = "Never".into();
    let id = hosted.create(&manifest);
    hosted.wait(id, Until::Ready);
    hosted.node.delete(id, Delete::within(LONG)).unwrap();
    while with_word(&word) < 3 {
        hosted.node.turn(Some(Duration::from_millis(5))).unwrap();
    }
    let shorter = Delete::within(Duration::from_secs(2));
    hosted.node.delete(id, shorter).unwrap();
    hosted.until(
        "FailedPreStopHook",
        "PreStopHook failed: command timed out: begun",
    );
    let event = hosted.until("Exited", "main");
    assert!(event.message().ends_with("exit code 0"), "{event}");
    hosted.wait(id, Until::Deleted);
    gone(&mut hosted, &word);
    hosted.end();
}

#[test]
fn what_a_failed_hook_printed_is_told_and_cut() {
    let mut hosted = Hosted::ephemeral();
    let flood = json!({ "exec": { "command": ["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exit 7"] } });
    let refused = json!({ "httpGet": { "port": 7 } });
    let manifest = hooked(
        "hooks",
        "exec sleep 1000",
        json!({ "postStart": flood, "preStop": refused }),
    );
    let id = hosted.create(&manifest);
    let event = hosted.until(
        "FailedPostStartHook",
        "PostStartHook failed: command exited with 7: xxx",
    );
    let printed = event.message().matches('x').count();
    assert!((10 << 10..(10 << 10) + 10).contains(&printed), "{printed}");
    hosted.until("FailedPreStopHook", "connect: connection refused");
    hosted.kill(id);
    hosted.end();
}

#[test]
fn no_cgroup_is_left_of_what_was_killed() {
    let mut hosted = Hosted::ephemeral();
    let id = hosted.create(&pod(
        "execs",
        "Always",
        json!([shell("main", "exec sleep 1000")]),
    ));
    hosted.wait(id, Until::Ready);
    let Some(hierarchy) = podlife::cgroup::Hierarchy::find().unwrap() else {
        println!("skipped: node: cgroups of commands: there is no cgroup v2 here");
        hosted.kill(id);
        return hosted.end();
    };
    let word = format!("{}.625", 100_000 + std::process::id());
    for _ in 0..30 {
        let late = Exec::new(["/bin/sh", "-c", &scattered(&word)]);
        let error = hosted
            .node
            .output(id, "main", late, Duration::from_millis(20));
        assert_eq!(error.unwrap_err().kind(), Kind::Timeout);
    }
    gone(&mut hosted, &word);
    // The next one takes along what could not be removed before.
    let last = hosted.node.output(id, "main", Exec::new(["true"]), LONG);
    assert!(last.unwrap().success());
    let left = find(&hierarchy.mount, &format!("pod{id}"), &mut |path| {
        let names = std::fs::read_dir(path).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().into_string().unwrap());
        names
            .filter(|name| name.contains(".exec-"))
            .collect::<Vec<_>>()
    });
    match left {
        Some(left) => assert_eq!(left, Vec::<String>::new()),
        None => println!("skipped: node: cgroups of commands: the pod has none here"),
    }
    hosted.kill(id);
    hosted.end();
}

/// What is to be seen in the first directory of that name, if there is one.
fn find<T>(
    directory: &std::path::Path,
    name: &str,
    look: &mut impl FnMut(&std::path::Path) -> T,
) -> Option<T> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    let mut below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.find_map(|entry| match entry.file_name() == *name {
        true => Some(look(&entry.path())),
        false => find(&entry.path(), name, look),
    })
}

#[test]
fn a_line_without_an_end_and_bytes_that_are_no_text_are_logged_as_they_are() {
    const LONG_LINE: usize = 20_000_000;
    let mut hosted = Hosted::ephemeral();
    let line = format!("head -c {LONG_LINE} /dev/zero | tr '\\0' x");
    let bytes = "for high in 0 1 2 3; do for middle in 0 1 2 3 4 5 6 7; do for low in 0 1 2 3 4 5 6 7; do \
                 printf \"\\\\$high$middle$low\"; done; done; done";
    let containers = json!([shell("line", &line), shell("bytes", bytes)]);
    let flood = hosted.create(&pod("flood", "Never", containers));
    let other = hosted.create(&pod("other", "Never", json!([shell("main", "echo hi")])));
    hosted.wait(other, Until::Finished);
    hosted.wait(flood, Until::Finished);
    let read = |name: &str| {
        let mut bytes = Vec::new();
        let mut logs = hosted
            .node
            .logs(flood, name, LogOptions::default())
            .unwrap();
        logs.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(read("bytes"), all);
    let line = read("line");
    assert_eq!(line.len(), LONG_LINE);
    assert!(line.iter().all(|byte| *byte == b'x'));
    hosted.kill(flood);
    hosted.kill(other);
    hosted.end();
}

#[test]
fn a_reader_that_hangs_up_in_a_flood_ends_only_what_it_read() {
    let mut hosted = Hosted::ephemeral();
    let main = shell("main", "while :; do echo flood; done");
    let id = hosted.create(&pod("flood", "Always", json!([main])));
    hosted.wait(id, Until::Ready);
    let node = &mut hosted.node;
    let attached = node.attach(id, "main", Streams::default()).unwrap();
    Heard::default().until(node, &attached, "flood");
    drop(attached);
    let yes = node.exec(id, "main", Exec::new(["yes"])).unwrap();
    Heard::default().until(node, &yes, "y");
    drop(yes);
    let output = node.output(id, "main", Exec::new(["echo", "ok"]), LONG);
    assert_eq!(output.unwrap().stdout, b"ok\n");
    let status = container(node.pod(id).unwrap().status(), "main").clone();
    assert!(status.ready && status.restart_count == 0, "{status:?}");
    hosted.kill(id);
    hosted.end();
}

/// Everything that can be asked of a container, and of which kind the error is.
fn asked(
    hosted: &mut Hosted,
    id: PodId,
    name: &str,
    file: &std::path::Path,
) -> Vec<(&'static str, Kind)> {
    let node = &mut hosted.node;
    let kind = |error: Option<podlife::Error>| error.expect("it cannot be done").kind();
    vec![
        ("exec", kind(node.exec(id, name, Exec::new(["true"])).err())),
        (
            "attach",
            kind(node.attach(id, name, Streams::default()).err()),
        ),
        (
            "copy_in",
            kind(node.copy_in(id, name, file, "/tmp/file").err()),
        ),
        (
            "copy_out",
            kind(node.copy_out(id, name, "/etc/passwd", file).err()),
        ),
    ]
}

#[test]
fn nothing_can_be_asked_of_what_does_not_run() {
    let mut hosted = Hosted::ephemeral();
    let scratch = Directory::new("asked");
    let file = scratch.0.join("file");
    std::fs::write(&file, "text").unwrap();
    let late = json!({ "name": "late", "image": "no.such/image", "command": ["true"] });
    let id = hosted.create(&pod(
        "asked",
        "Never",
        json!([shell("done", "exit 3"), late]),
    ));
    hosted.until("Exited", "done");
    hosted.until("Failed", "no image store");
    assert_eq!(
        exit_code(&container(hosted.node.pod(id).unwrap().status(), "done").state),
        Some(3)
    );
    for (name, wanted) in [
        ("done", Kind::Conflict),
        ("late", Kind::Conflict),
        ("none", Kind::NotFound),
    ] {
        for (what, kind) in asked(&mut hosted, id, name, &file) {
            assert_eq!(kind, wanted, "{what} of {name}");
        }
    }
    assert!(hosted.node.logs(id, "done", LogOptions::default()).is_ok());
    assert!(hosted.node.logs(id, "none", LogOptions::default()).is_err());
    hosted.kill(id);
    for (what, kind) in asked(&mut hosted, id, "done", &file) {
        assert_eq!(kind, Kind::NotFound, "{what} of a pod that is gone");
    }
    let node = &mut hosted.node;
    let gone = [
        node.forward(id, 80).err(),
        node.restart(id, None).err(),
        node.delete(id, Delete::now()).err(),
        node.logs(id, "done", LogOptions::default()).err(),
        node.stats(id).err(),
    ];
    for error in gone {
        let error = error.expect("the pod is gone");
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
    }
    drop(scratch);
    hosted.end();
}
