//! An httpGet probe, and the same request without anything around it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use podlife::model::probe_target::ProbeVerdict;
use podlife::model::{Container, Probe};

use crate::container::{self, PORT};
use crate::exec::{PERIOD, Probing};
use crate::turns::{self, Turn};

pub(crate) fn run(whole: bool) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || container::serve(listener, 200));
    let probe = Probe::http("/healthz", i32::from(address.port()));
    let (nowhere, ip) = (Container::default(), address.ip());
    let failing = Probe::http("/healthz", i32::from(PORT));
    let mut probing = Probing::new(container::server(500).readiness(failing));
    while !probing.found().contains("statuscode: 500") {}
    let turns = vec![
        Turn::new("TcpStream: connect, ask, read", || rested(|| bare(address))),
        Turn::new("node::probe", || {
            rested(|| {
                let found = podlife::node::probe(&probe, &nowhere, ip);
                assert_eq!(found.verdict, ProbeVerdict::Success);
            })
        }),
        Turn::new("httpGet probe in a pod's network", || probing.once()),
    ];
    turns::take(if whole { 300 } else { 3 }, turns);
}

/// Everybody has slept before, as between probes.
fn rested(run: impl FnOnce()) -> Duration {
    std::thread::sleep(PERIOD);
    let begin = Instant::now();
    run();
    begin.elapsed()
}

fn bare(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bare\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}
