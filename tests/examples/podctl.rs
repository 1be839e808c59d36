//! One pass through podctl's verbs, against a Node in another process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Folder, Run, binary};

const POD: &str = r#"{ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" }, "spec": {
    "terminationGracePeriodSeconds": 1, "containers": [{ "name": "main", "image": "podlife.local/host",
    "stdin": true, "command": ["/bin/sh", "-c", "echo ready; while read line; do echo got $line; done"] }] } }"#;

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

#[test]
fn podctl_does_what_kubectl_does() {
    let folder = Folder::new("podctl");
    let socket = shown(&folder.0.join("socket"));
    let mut server = Run::example("podctl", &["serve", "--socket", &socket], "");
    server.has("serving at");
    let client = Client(socket);
    assert_eq!(client.says(&["apply", "-"], POD), "pod/web created\n");
    client.until(&["get", "web"], "Running");
    client.until(&["logs", "web"], "ready");
    assert!(client.says(&["get", "-o", "wide"], "").contains("NODE"));
    assert!(
        client
            .says(&["get", "-o", "json"], "")
            .contains("\"phase\": \"Running\"")
    );
    assert!(client.says(&["describe", "web"], "").contains("web"));
    assert!(client.says(&["events"], "").contains("SandboxCreated"));
    assert!(client.says(&["top"], "").contains("web"));

    streams(&client);
    files(&client, &folder);
    forward(&client);

    let gone = client.run(&["exec", "none", "--", "true"], "");
    assert!(!gone.status.success());
    assert!(String::from_utf8_lossy(&gone.stderr).contains("none of that name"));
    let deleted = client.says(&["delete", "web", "--grace-period", "1"], "");
    assert_eq!(deleted, "pod \"web\" deleted\n");
    let until = Instant::now() + Duration::from_secs(60);
    while client.says(&["get"], "").contains("web") {
        assert!(Instant::now() < until);
    }
    server.interrupt();
    assert_eq!(server.end().code, 0);
}

fn streams(client: &Client) {
    let said = client.says(&["exec", "-i", "web", "--", "tr", "a-z", "A-Z"], "hello");
    assert_eq!(said, "HELLO");
    let failed = client.run(
        &["exec", "web", "--", "/bin/sh", "-c", "echo no >&2; exit 3"],
        "",
    );
    assert_eq!(
        (failed.status.code(), &*failed.stderr),
        (Some(3), &b"no\n"[..])
    );
    let terminal = client.says(&["exec", "-t", "web", "--", "tty"], "");
    assert_eq!(terminal, "/dev/pts/0\r\n");
    // The container goes on: it is the client that is ended.
    let mut attached = client
        .command(&["attach", "-i", "web"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    attached
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"this\n")
        .unwrap();
    let mut line = String::new();
    BufReader::new(attached.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "got this\n");
    attached.kill().unwrap();
    attached.wait().unwrap();
    client.until(&["logs", "web", "--tail", "1"], "got this");
}

fn files(client: &Client, folder: &Folder) {
    let (to, back) = (folder.0.join("to"), folder.0.join("back"));
    std::fs::write(&to, "text").unwrap();
    client.says(&["cp", &shown(&to), "web:/tmp/file"], "");
    assert_eq!(
        client.says(&["exec", "web", "--", "cat", "/tmp/file"], ""),
        "text"
    );
    client.says(&["cp", "web:/tmp/file", &shown(&back)], "");
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "text");
}

fn forward(client: &Client) {
    let mut listening = client
        .command(&["port-forward", "web", "0:1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(listening.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.split_whitespace().nth(2).unwrap();
    // Nobody listens in the pod: the connection ends, and the client says why.
    let mut stream = TcpStream::connect(address).unwrap();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    let mut why = String::new();
    BufReader::new(listening.stderr.as_mut().unwrap())
        .read_line(&mut why)
        .unwrap();
    assert!(why.contains("Connection refused"), "{why}");
    listening.kill().unwrap();
    listening.wait().unwrap();
}

fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}
