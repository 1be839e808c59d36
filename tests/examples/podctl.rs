//! podctl's verbs, against a Node in another process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use crate::run::{Folder, Run, binary};

const LONG: Duration = Duration::from_secs(60);

const FILE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { colour: red }
---
apiVersion: v1
kind: Secret
metadata: { name: keys }
stringData: { key: secret }
---
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  terminationGracePeriodSeconds: 1
  hostNetwork: true
  containers:
    - name: main
      image: podlife.local/host
      stdin: true
      command: [/bin/sh, -c, 'echo ready $COLOUR; while read line; do echo got $line; done']
      env: [{ name: COLOUR, valueFrom: { configMapKeyRef: { name: settings, key: colour } } }]
---
apiVersion: v1
kind: Pod
metadata: { name: ended }
spec:
  restartPolicy: Never
  containers: [{ name: main, image: podlife.local/host, command: [/bin/sh, -c, exit 4] }]
"#;

struct Client(String);

impl Client {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary("podctl"));
        command.args(["--socket", &self.0]).args(words);
        command
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        let pipe = Stdio::piped;
        let mut command = self.command(words);
        let mut child = command
            .stdin(pipe())
            .stdout(pipe())
            .stderr(pipe())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// It fails, and says why.
    fn fails(&self, words: &[&str], why: &str) {
        let output = self.run(words, "");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(why),
            "{words:?}: {error}"
        );
    }

    /// Goes on until it is ended.
    fn goes_on(&self, words: &[&str]) -> Going {
        let mut command = self.command(words);
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Going { child, lines }
    }

    fn says(&self, words: &[&str], input: &str) -> String {
        let output = self.run(words, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn until(&self, words: &[&str], wanted: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let output = self.run(words, "");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if said.contains(wanted) {
                return said;
            }
            assert!(Instant::now() < until, "{words:?}: no {wanted:?} in {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A client that runs.
struct Going {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Going {
    /// The next line that has this in it.
    fn line(&mut self, wanted: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.lines.read_line(&mut line).unwrap(),
                0,
                "no {wanted:?} in {seen}"
            );
            if line.contains(wanted) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    /// Not by SIGINT: who runs the tests in the background has it ignored.
    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn podctl_does_what_kubectl_does() {
    let folder = Folder::new("podctl");
    let socket = shown(&folder.0.join("socket"));
    let mut server = Run::example("podctl", &["serve", "--socket", &socket], "");
    server.has("serving at");
    let client = Client(socket);
    client.fails(&["serve"], "somebody serves at");
    client.fails(&["--bogus"], "there is no flag");
    client.fails(&["fly"], "there is no verb");

    apply(&client, &folder);
    lists(&client);
    logs(&client);
    exec(&client);
    terminal(&client);
    attach(&client);
    debug(&client);
    files(&client, &folder);
    forward(&client, &server);
    ends(&client);
    server.interrupt();
    assert_eq!(server.end().code, 0);
}

fn apply(client: &Client, folder: &Folder) {
    let made = "configmap/settings configured\nsecret/keys configured\npod/web created\npod/ended created\n";
    assert_eq!(client.says(&["apply", "-"], FILE), made);
    let file = shown(&folder.0.join("file.yaml"));
    std::fs::write(&file, FILE).unwrap();
    client.until(&["get", "ended"], "Error");
    let again = made.replace("created", "unchanged");
    assert_eq!(client.says(&["apply", "-f", &file], ""), again);
    // What is wrong with one does not keep the others.
    let changed = FILE
        .replace("exit 4", "exit 5")
        .replace("{ name: web }", "{ name: web, labels: { a: b } }");
    let output = client.run(&["apply", "-"], &changed);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("pod/web configured\n"), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("pod default/ended"));
    client.fails(&["apply", "/no/file"], "/no/file");
}

fn lists(client: &Client) {
    client.until(&["get", "web"], "Running");
    let table = client.says(&["get", "-o", "wide"], "");
    assert!(
        table.starts_with("NAME    READY   STATUS    RESTARTS   AGE"),
        "{table}"
    );
    assert!(
        table.lines().next().unwrap().ends_with("READINESS GATES"),
        "{table}"
    );
    let json = client.says(&["get", "pod", "web", "-ojson"], "");
    let pod: podlife::model::Pod = serde_json::from_str(&json).unwrap();
    assert_eq!(pod.metadata.labels["a"], "b");
    client.fails(&["get", "-o", "yaml"], "wide and json");
    client.fails(&["get", "none"], "none of that name");
    let nothing = client.run(&["get", "-n", "other"], "");
    assert_eq!(nothing.stderr, b"No resources found in other namespace.\n");

    let page = client.says(&["describe", "pod/web"], "");
    for part in [
        "Labels:       a=b\n",
        "Events:\n",
        "to the key 'colour' of config map 'settings'>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let events = client.says(&["events", "--for", "ended"], "");
    assert!(events.starts_with("LAST SEEN"), "{events}");
    assert!(
        events.contains("exit code 4") && !events.contains("pod/web"),
        "{events}"
    );
    let top = client.says(&["top"], "");
    assert!(
        top.contains("CPU(cores)") && top.contains("\nweb "),
        "{top}"
    );
    assert!(
        client
            .says(&["metrics"], "")
            .contains("kubelet_running_pods 1")
    );
}

fn logs(client: &Client) {
    client.until(&["logs", "web"], "ready red");
    client.fails(&["logs", "-p", "web"], "it has not run before");
    client.fails(&["logs", "web", "--tail", "x"], "not a number");
    client.fails(&["logs", "web", "--since", "1y"], "say 90s");
    let mut rows = client.goes_on(&["get", "web", "-w"]);
    let mut events = client.goes_on(&["events", "-w"]);
    assert_eq!(
        client.says(&["restart", "web", "-c", "main"], ""),
        "pod/web restarted\n"
    );
    rows.line("1 (");
    rows.stop();
    events.line("restarted on request");
    events.stop();
    assert_eq!(client.until(&["logs", "-p", "web"], "ready"), "ready red\n");
    let stamped = client.until(&["logs", "web", "--since=1h", "--timestamps"], "ready");
    assert!(stamped.contains("Z ready red\n"), "{stamped}");
    let mut following = client.goes_on(&["logs", "-f", "web", "--tail", "1"]);
    following.line("ready");
    following.stop();
}

fn exec(client: &Client) {
    let said = client.says(&["exec", "-i", "web", "--", "tr", "a-z", "A-Z"], "hello");
    assert_eq!(said, "HELLO");
    let words = ["exec", "web", "--", "/bin/sh", "-c", "echo no >&2; exit 3"];
    let failed = client.run(&words, "");
    assert_eq!(failed.status.code(), Some(3));
    assert_eq!(failed.stderr, b"no\ncommand terminated with exit code 3\n");
    client.fails(&["exec", "none", "--", "true"], "none of that name");
    client.fails(&["exec", "ended", "--", "true"], "it has ended");
    client.fails(
        &["exec", "web", "-c", "none", "--", "true"],
        "no such container",
    );
    client.fails(&["exec", "web", "--", "/no/program"], "/no/program");
    client.fails(&["exec", "web"], "say podctl exec");
    // Its end is that of what runs in the container.
    let mut going = client.goes_on(&[
        "exec",
        "web",
        "--",
        "/bin/sh",
        "-c",
        "echo up; exec sleep 4321",
    ]);
    going.line("up");
    let sleeps =
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done | grep -c '^sleep 4321'";
    let count = ["exec", "web", "--", "/bin/sh", "-c", sleeps];
    assert_eq!(client.until(&count, "1"), "1\n");
    going.stop();
    assert_eq!(client.until(&count, "0"), "0\n");
}

/// A client at a terminal of its own.
fn terminal(client: &Client) {
    let size = |rows, columns| Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size(40, 100), None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = client.command(&["exec", "-it", "web", "--", "/bin/sh"]);
    let command = command.stdin(slave()).stdout(slave()).stderr(slave());
    let mut child = command.spawn().unwrap();
    let mut screen = Screen::of(pty.master.try_clone().unwrap());
    screen.until("stty size\n", "40 100");
    let resized = Command::new("stty")
        .args(["rows", "20", "cols", "90"])
        .stdin(slave())
        .status();
    assert!(resized.unwrap().success());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGWINCH).unwrap();
    screen.until("stty size\n", "20 90");
    // Ctrl-C is for the program, not for the client.
    screen.until("echo be''gun; sleep 1000\n", "begun");
    screen.until("\u{3}", "^C");
    // What was typed before a Ctrl-C is thrown away by the terminal.
    let until = Instant::now() + LONG;
    let ended = loop {
        screen.keys("exit 5\n");
        std::thread::sleep(Duration::from_millis(300));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        assert!(Instant::now() < until, "it does not end");
        screen.keys("\u{3}");
    };
    assert_eq!(ended.code(), Some(5));
    let flags = tcgetattr(&pty.slave).unwrap().local_flags;
    assert!(
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO),
        "it is what it was"
    );
}

struct Screen {
    keyboard: std::fs::File,
    pieces: std::sync::mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn of(master: OwnedFd) -> Screen {
        let keyboard = std::fs::File::from(master);
        let mut display = keyboard.try_clone().unwrap();
        let (sender, pieces) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = display.read(&mut piece) {
                if sender.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Screen {
            keyboard,
            pieces,
            seen: String::new(),
        }
    }

    fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Types it now and again, until the answer is on the screen.
    fn until(&mut self, keys: &str, wanted: &str) {
        let until = Instant::now() + LONG;
        self.seen.clear();
        while !self.seen.contains(wanted) {
            assert!(Instant::now() < until, "no {wanted:?} in {:?}", self.seen);
            self.keys(keys);
            while let Ok(piece) = self.pieces.recv_timeout(Duration::from_millis(300)) {
                self.seen.push_str(&String::from_utf8_lossy(&piece));
                if self.seen.contains(wanted) {
                    return;
                }
            }
        }
    }
}

/// The container goes on: it is the client that is ended.
fn attach(client: &Client) {
    let mut attached = client.goes_on(&["attach", "-i", "web"]);
    attached
        .child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"this\n")
        .unwrap();
    assert_eq!(attached.line("got"), "got this\n");
    attached.stop();
    client.until(&["logs", "web", "--tail", "1"], "got this");
    client.fails(&["attach", "ended"], "it has ended");
    client.fails(&["attach", "-t", "web"], "no terminal");
}

fn debug(client: &Client) {
    let look = [
        "debug",
        "web",
        "-c",
        "eye",
        "--target",
        "main",
        "--",
        "/bin/sh",
        "-c",
        "cat /proc/1/comm",
    ];
    client.says(&look, "");
    client.until(&["logs", "web", "-c", "eye"], "sh");
    client.fails(&look, "duplicate value");
    let mut talk = client.goes_on(&["debug", "web", "-i", "--", "/bin/sh"]);
    let mut stdin = talk.child.stdin.take().unwrap();
    stdin.write_all(b"echo $((6 * 7)); exit 6\n").unwrap();
    talk.line("42");
    assert_eq!(talk.child.wait().unwrap().code(), Some(6));
    let mut told = String::new();
    talk.child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    let wanted =
        "Defaulting debug container name to debugger-1.\ncommand terminated with exit code 6\n";
    assert_eq!(told, wanted);
    client.fails(&["debug", "web", "--target", "none", "--", "true"], "none");
    // They are not in the file, and stay.
    let again = FILE.replace("{ name: web }", "{ name: web, labels: { a: b } }");
    let output = client.run(&["apply", "-"], &again);
    assert!(String::from_utf8_lossy(&output.stdout).contains("pod/web unchanged"));
}

fn files(client: &Client, folder: &Folder) {
    let path = |name: &str| shown(&folder.0.join(name));
    std::fs::write(path("to"), "text").unwrap();
    assert_eq!(client.says(&["cp", &path("to"), "web:/tmp/file"], ""), "");
    let cat = ["exec", "web", "--", "cat", "/tmp/file"];
    assert_eq!(client.says(&cat, ""), "text");
    client.says(&["cp", "web:/tmp/file", &path("back")], "");
    assert_eq!(std::fs::read_to_string(path("back")).unwrap(), "text");
    // Neither way through a symbolic link.
    std::os::unix::fs::symlink(path("to"), path("link")).unwrap();
    client.fails(&["cp", "web:/tmp/file", &path("link")], "symbolic link");
    client.says(&["exec", "web", "--", "ln", "-s", "file", "/tmp/link"], "");
    client.fails(&["cp", &path("to"), "web:/tmp/link"], "symbolic link");
    client.fails(&["cp", &path("none"), "web:/tmp/x"], "No such file");
    client.fails(&["cp", &path("to"), "ended:/tmp/x"], "it has ended");
    client.fails(&["cp", "one", "two"], "pod:path");
}

/// The pod has the host's network: its servers are ours.
fn forward(client: &Client, server: &Run) {
    let threads = server.threads();
    let served = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = served.local_addr().unwrap().port().to_string();
    let mut listening = client.goes_on(&["port-forward", "web", &format!("0:{port}"), "0:1"]);
    let line = listening.line("Forwarding from");
    let mut outside = TcpStream::connect(line.split_whitespace().nth(2).unwrap()).unwrap();
    let (mut inside, _) = served.accept().unwrap();
    inside.set_read_timeout(Some(LONG)).unwrap();
    outside.write_all(b"ping").unwrap();
    inside.read_exact(&mut [0; 4]).unwrap();
    inside.write_all(b"pong").unwrap();
    outside.read_exact(&mut [0; 4]).unwrap();
    // Nobody listens at the other: the connection ends, and the client says why.
    let line = listening.line("Forwarding from");
    let mut nobody = TcpStream::connect(line.split_whitespace().nth(2).unwrap()).unwrap();
    assert_eq!(nobody.read(&mut [0; 8]).unwrap(), 0);
    let mut why = String::new();
    let stderr = listening.child.stderr.take().unwrap();
    BufReader::new(stderr).read_line(&mut why).unwrap();
    assert!(why.contains("Connection refused"), "{why}");
    // Its end is that of a connection that says nothing, too, and of whoever served it.
    listening.stop();
    assert_eq!(inside.read(&mut [0; 8]).unwrap(), 0);
    let until = Instant::now() + LONG;
    while server.threads() > threads {
        assert!(Instant::now() < until, "a connection is still served");
        std::thread::sleep(Duration::from_millis(20));
    }

    client.fails(
        &["port-forward", "web", &format!("{port}:1")],
        "Address already in use",
    );
    client.fails(&["port-forward", "web", "99999"], "not a port");
    client.fails(&["port-forward", "none", "0:1"], "none of that name");
    client.fails(&["port-forward", "ended", "0:1"], "it is Failed");
}

fn ends(client: &Client) {
    client.fails(&["delete"], "no pod is named");
    client.fails(&["delete", "none"], "none of that name");
    client.fails(&["delete", "web", "--grace-period", "soon"], "not a number");
    let deleted = client.says(&["delete", "pod", "web", "--grace-period", "1"], "");
    assert_eq!(deleted, "pod \"web\" deleted\n");
    assert!(
        !client.says(&["get"], "").contains("web"),
        "it waits for that"
    );
    let forced = client.says(&["delete", "ended", "--force"], "");
    assert_eq!(forced, "pod \"ended\" force deleted\n");
}

/// The first Ctrl-C waits for a pod that does not care, the second does not.
#[test]
fn a_second_ctrl_c_ends_podctl_serve_at_once() {
    let folder = Folder::new("podctl-stubborn");
    let socket = shown(&folder.0.join("socket"));
    let mut server = Run::example("podctl", &["serve", "--socket", &socket], "");
    server.has("serving at");
    let client = Client(socket);
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.1; done";
    let file = FILE.replace("exit 4", &format!("\"{stubborn}\""));
    client.says(&["apply", "-"], &file);
    client.until(&["logs", "ended"], "up");
    let asked = Instant::now();
    server.interrupt();
    client.until(&["get", "ended"], "Terminating");
    server.interrupt();
    assert_eq!(server.end().code, 0);
    assert!(
        asked.elapsed() < Duration::from_secs(25),
        "its grace is 30 s"
    );
}

fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}
