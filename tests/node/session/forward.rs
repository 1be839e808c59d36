//! Connections into a pod's network.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use podlife::Kind;
use podlife::node::{PortForward, Until};
use serde_json::json;

use super::super::hosted::{Hosted, LONG, pod, shell};

/// Answers each connection with what it got, in upper case, once the other side has said all.
const SERVER: &str = "import socket\n\
    server = socket.socket(); server.bind(('127.0.0.1', 8080)); server.listen(16)\n\
    print('listens', flush=True)\n\
    while True:\n\
    \x20   stream, _ = server.accept(); data = b''\n\
    \x20   while (piece := stream.recv(65536)): data += piece\n\
    \x20   stream.sendall(data.upper()); stream.close()\n";

fn serving(hosted: &mut Hosted) -> Option<podlife::node::PodId> {
    let python = "/usr/bin/python3";
    if !std::path::Path::new(python).exists() {
        println!("skipped: connections into a pod: {python} is missing");
        return None;
    }
    let mut main = shell("main", "");
    main["command"] = json!([python, "-c", SERVER]);
    let id = hosted.create(&pod("serve", "Always", json!([main])));
    hosted.wait(id, Until::Ready);
    hosted.printed(id, "main", "listens");
    Some(id)
}

#[test]
fn a_stream_into_a_pod_needs_no_address() {
    let mut hosted = Hosted::ephemeral();
    let Some(id) = serving(&mut hosted) else {
        return hosted.end();
    };
    let pending = hosted.node.forward(id, 8080).unwrap();
    let mut stream = TcpStream::from(hosted.node.finish(pending, LONG).unwrap());
    stream.write_all(b"hello").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HELLO");
    drop(stream);

    let pending = hosted.node.forward(id, 8081).unwrap();
    let error = hosted.node.finish(pending, LONG).unwrap_err();
    assert_eq!(error.errno(), Some(111), "{error}");
    assert!(
        error
            .to_string()
            .contains("connect to port 8081 of the pod default/serve")
    );

    // One that is never asked for, and one whose pod ends first.
    drop(hosted.node.forward(id, 8080).unwrap());
    let pending = hosted.node.forward(id, 8080).unwrap();
    hosted.kill(id);
    drop(hosted.node.finish(pending, LONG));
    assert_eq!(
        hosted.node.forward(id, 8080).unwrap_err().kind(),
        Kind::NotFound
    );
    hosted.end();
}

#[test]
fn a_listener_copies_both_ways() {
    let mut hosted = Hosted::ephemeral();
    let Some(id) = serving(&mut hosted) else {
        return hosted.end();
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients = std::thread::spawn(move || {
        let talk = |size: usize| {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut other = stream.try_clone().unwrap();
            let writer = std::thread::spawn(move || {
                other.write_all(&vec![b'a'; size]).unwrap();
                other.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            writer.join().unwrap();
            assert!(answer == vec![b'A'; size], "{} of {size}", answer.len());
        };
        // More than all buffers on the way hold, nothing at all, and several.
        [20 << 20, 0, 1, 100].into_iter().for_each(talk);
    });
    let mut forward = PortForward::new(listener).unwrap();
    let until = Instant::now() + LONG;
    while !clients.is_finished() {
        assert!(
            Instant::now() < until,
            "{} connections",
            forward.connections()
        );
        let node = &mut hosted.node;
        node.turn_or(&forward, Some(Duration::from_millis(50)))
            .unwrap();
        let errors = forward.serve(|| node.forward(id, 8080)).unwrap();
        assert!(errors.is_empty(), "{errors:?}");
    }
    clients.join().unwrap();
    // Nobody listens there: the connection is closed, and the error told.
    let mut stream = TcpStream::connect(address).unwrap();
    let error = loop {
        let node = &mut hosted.node;
        node.turn_or(&forward, Some(LONG)).unwrap();
        let mut errors = forward.serve(|| node.forward(id, 8081)).unwrap();
        if let Some(error) = errors.pop() {
            break error;
        }
    };
    assert_eq!(error.errno(), Some(111), "{error}");
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    drop((stream, forward));
    hosted.kill(id);
    hosted.end();
}
