//! Probes and hooks over https, asked of real TLS servers.
#![cfg(feature = "tls")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};

use podlife::model::probe_target::ProbeVerdict;
use podlife::model::{Container, Probe};
use podlife::node::{Probed, Until};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion, version};
use serde_json::{Value, json};

use super::before::Before;
use super::hosted::{Hosted, pod, shell, spec, with};

/// Of `elsewhere.example`, signed by nobody but itself, for the first day of 2020: `openssl ca -selfsign`.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBMDCB46ADAgECAgEBMAUGAytlcDAcMRowGAYDVQQDDBFlbHNld2hlcmUuZXhh
bXBsZTAeFw0yMDAxMDEwMDAwMDBaFw0yMDAxMDIwMDAwMDBaMBwxGjAYBgNVBAMM
EWVsc2V3aGVyZS5leGFtcGxlMCowBQYDK2VwAyEATpkxE1ETs1g+2BHgo5VJypWA
pu/ckOXTzM+1PwQBfYSjSjBIMBwGA1UdEQQVMBOCEWVsc2V3aGVyZS5leGFtcGxl
MAkGA1UdEwQCMAAwHQYDVR0OBBYEFDZVl+MHRioItO+YVe88bdD3nbE0MAUGAytl
cANBABo5sf3IXSav39kXMz/QO5suH6uOqRhcEEqJRWCKmMSW/lfH69TsY+PNoCh2
DYubww35ib/W2rbLkeLuFJdeqQw=
-----END CERTIFICATE-----
";
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIMh3LvRZDx/Tkwl1JfXmSz/X8hcrFVn9Z8Qmb/0Zs/Ef
-----END PRIVATE KEY-----
";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// A listener whose connections are served one after another, so many of them.
struct Server<T> {
    port: u16,
    thread: JoinHandle<Vec<T>>,
}

impl<T: Send + 'static> Server<T> {
    fn new(times: usize, serve: impl Fn(TcpStream) -> T + Send + 'static) -> Server<T> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = spawn(move || {
            let streams = (0..times).map(|_| listener.accept().unwrap().0);
            streams.map(serve).collect()
        });
        Server { port, thread }
    }

    fn served(self) -> Vec<T> {
        self.thread.join().unwrap()
    }

    fn probed(&self) -> Probed {
        probed(json!({ "port": self.port, "scheme": "HTTPS" }))
    }
}

fn probed(get: Value) -> Probed {
    let handler = json!({ "httpGet": get, "timeoutSeconds": 2 });
    let probe: Probe = serde_json::from_value(handler).unwrap();
    podlife::node::probe(&probe, &Container::default(), "127.0.0.1".parse().unwrap())
}

/// What a TLS server was asked, and the name by which it was called.
struct Asked {
    request: String,
    name: Option<String>,
}

fn config(versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_protocol_versions(versions).unwrap();
    let config = config.with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

/// Serves one request over TLS, and hangs up without a word.
fn answer(mut stream: TcpStream, config: &Arc<ServerConfig>, answer: &str) -> Asked {
    let mut connection = ServerConnection::new(config.clone()).unwrap();
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let request = head(&mut tls);
    tls.write_all(answer.as_bytes()).unwrap();
    let name = connection.server_name().map(str::to_owned);
    Asked { request, name }
}

fn head(stream: &mut impl Read) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 1024]);
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => text.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn secure(answered: &'static str) -> Server<Asked> {
    let config = config(BOTH);
    Server::new(1, move |stream| answer(stream, &config, answered))
}

#[test]
fn nobody_asks_who_the_server_is() {
    let _before = Before::now();
    for version in BOTH {
        let config = config(&[version]);
        let server = Server::new(2, move |stream| answer(stream, &config, OK));
        let found = server.probed();
        assert_eq!(
            (found.verdict, &*found.output),
            (ProbeVerdict::Success, "hi")
        );
        let get =
            json!({ "port": server.port, "scheme": "HTTPS", "host": "localhost", "path": "/x?y" });
        assert_eq!(probed(get).verdict, ProbeVerdict::Success);
        let port = server.port;
        let asked = server.served();
        assert!(asked[0].request.starts_with("GET / HTTP/1.1\r\n"));
        assert!(asked[1].request.starts_with("GET /x?y HTTP/1.1\r\n"));
        assert!(
            asked[1]
                .request
                .contains(&format!("Host: localhost:{port}\r\n"))
        );
        // An address is no name to call a server by.
        let names = asked.iter().map(|asked| asked.name.as_deref());
        assert!(names.eq([None, Some("localhost")]));
    }
}

#[test]
fn a_status_over_tls_is_a_status() {
    let _before = Before::now();
    let server = secure("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    let found = server.probed();
    let text = "HTTP probe failed with statuscode: 500";
    assert_eq!(
        (found.verdict, &*found.output),
        (ProbeVerdict::Failure, text)
    );
    server.served();
}

/// What comes of a server that does this with a connection.
fn failed(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let server = Server::new(1, serve);
    let (found, port) = (server.probed(), server.port);
    server.served();
    assert_eq!(found.verdict, ProbeVerdict::Failure, "{found:?}");
    let start = format!("Get \"https://127.0.0.1:{port}/\": ");
    found
        .output
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{found:?}"))
        .to_owned()
}

#[test]
fn what_is_no_tls_is_told() {
    let _before = Before::now();
    let plain = failed(|mut stream| {
        stream.read_exact(&mut [0; 100]).unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    assert_eq!(plain, "http: server gave HTTP response to HTTPS client");
    let garbage = failed(|mut stream| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(
        garbage,
        "tls: first record does not look like a TLS handshake"
    );
    let gone = failed(|mut stream| stream.read_exact(&mut [0; 100]).unwrap());
    assert!(
        gone == "EOF" || gone == "Connection reset by peer",
        "{gone}"
    );
    let silent = failed(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    assert!(silent.starts_with("context deadline exceeded"), "{silent}");
    let refusal = failed(|mut stream| {
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(refusal, "remote error: tls: HandshakeFailure");
}

#[test]
fn any_bytes_of_a_server_are_survived() {
    let _before = Before::now();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    println!("seed {seed}");
    for round in 0..200 {
        let mut bytes = Vec::new();
        for _ in 0..round {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.push((seed >> 33) as u8);
        }
        // Every other time in a record of the handshake, of an alert or of data.
        if round % 2 == 0 {
            let kind = [22, 21, 23, 20][round / 2 % 4];
            bytes.splice(..0, [kind, 3, 3, 0, u8::try_from(round).unwrap()]);
        }
        failed(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
        });
    }
}

/// Passes single bytes on in both directions.
fn drip(stream: TcpStream, config: &Arc<ServerConfig>) {
    struct Drip(TcpStream);
    impl Read for Drip {
        fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(&mut piece[..1])
        }
    }
    impl Write for Drip {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(&bytes[..1])
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    stream.set_nodelay(true).unwrap();
    let (mut connection, mut stream) =
        (ServerConnection::new(config.clone()).unwrap(), Drip(stream));
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    head(&mut tls);
    tls.write_all(OK.as_bytes()).unwrap();
}

#[test]
fn a_server_may_drip_and_need_not_end() {
    let _before = Before::now();
    let own = config(BOTH);
    let server = Server::new(1, move |stream| drip(stream, &own));
    assert_eq!(server.probed().output, "hi");
    server.served();
    let own = config(BOTH);
    let server = Server::new(1, move |mut stream| {
        let mut connection = ServerConnection::new(own.clone()).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        head(&mut tls);
        tls.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        // Up to 10 GB, or until nobody listens any more.
        (0..10_000_u64).find(|_| tls.write_all(&[b'x'; 1_000_000]).is_err())
    });
    let found = server.probed();
    assert_eq!(
        (found.verdict, found.output.len()),
        (ProbeVerdict::Success, 10 << 10)
    );
    let given = server.served()[0].expect("it was cut short");
    assert!(given < 50, "{given} MB were taken");
}

#[test]
fn redirects_lead_from_one_to_the_other() {
    let _before = Before::now();
    let moved =
        |to: String| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let last = secure(OK);
    let to = moved(format!("https://127.0.0.1:{}/last", last.port));
    let middle = Server::new(1, move |mut stream| {
        let asked = head(&mut stream);
        stream.write_all(to.as_bytes()).unwrap();
        asked
    });
    let (own, to) = (
        config(BOTH),
        moved(format!("http://127.0.0.1:{}/middle", middle.port)),
    );
    let first = Server::new(1, move |stream| answer(stream, &own, &to));
    let found = first.probed();
    assert_eq!(
        (found.verdict, &*found.output),
        (ProbeVerdict::Success, "hi")
    );
    first.served();
    assert!(middle.served()[0].starts_with("GET /middle "));
    assert!(last.served()[0].request.starts_with("GET /last "));

    let (own, away) = (config(BOTH), moved("https://elsewhere.example/".into()));
    let server = Server::new(1, move |stream| answer(stream, &own, &away));
    assert_eq!(server.probed().verdict, ProbeVerdict::Warning);
    server.served();
    let (own, round) = (config(BOTH), moved("/again".into()));
    let server = Server::new(10, move |stream| answer(stream, &own, &round));
    let found = server.probed();
    assert!(
        found
            .output
            .ends_with("/again\": stopped after 10 redirects"),
        "{found:?}"
    );
    server.served();
}

#[test]
fn a_pod_is_asked_over_https_in_its_own_network() {
    if !std::path::Path::new("/usr/bin/python3").exists() {
        println!("skipped: node: no python3 on this host");
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let server = "import http.server as s, os, ssl\nclass H(s.BaseHTTPRequestHandler):\n def do_GET(self):\n  \
                  self.send_response(200 if self.path == '/ok' else 500)\n  self.end_headers()\n def log_message(self, *a): pass\n\
                  open('/tmp/both', 'w').write(os.environ['PEM'])\n\
                  c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain('/tmp/both')\n\
                  h = s.ThreadingHTTPServer(('127.0.0.1', 8443), H)\n\
                  h.socket = c.wrap_socket(h.socket, server_side=True)\nh.serve_forever()";
    let get = |path: &str| json!({ "httpGet": { "path": path, "port": 8443, "scheme": "HTTPS" }, "periodSeconds": 1 });
    let main = json!({ "name": "main", "image": "podlife.local/host", "command": ["/usr/bin/python3", "-c", server],
        "env": [{ "name": "PEM", "value": format!("{CERTIFICATE}{KEY}") }],
        "startupProbe": with(get("/ok"), json!({ "failureThreshold": 30 })),
        "readinessProbe": get("/ok"), "livenessProbe": with(get("/bad"), json!({ "failureThreshold": 5 })) });
    let id = hosted.create(&pod("web", "Always", json!([main])));
    hosted.wait(id, Until::Ready);
    hosted.until(
        "Unhealthy",
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
    );
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_handshake_that_hangs_holds_up_nobody_else() {
    let mut hosted = Hosted::ephemeral();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let probe = json!({ "httpGet": { "port": port, "scheme": "HTTPS" }, "failureThreshold": 1, "timeoutSeconds": 2 });
    let asked = with(
        shell("main", "exec sleep 1000"),
        json!({ "readinessProbe": probe }),
    );
    let stuck = spec(
        pod("stuck", "Always", json!([asked])),
        json!({ "hostNetwork": true }),
    );
    let stuck = hosted.create(&stuck);
    let other = hosted.create(&pod("other", "Never", json!([shell("main", "echo hi")])));
    hosted.wait(other, Until::Finished);
    let event = hosted.until("Unhealthy", "context deadline exceeded");
    assert!(
        event
            .message()
            .contains(&format!("Get \"https://127.0.0.1:{port}/\"")),
        "{event}"
    );
    hosted.kill(stuck);
    hosted.kill(other);
    drop(silent);
    hosted.end();
}

#[test]
fn a_hook_that_meets_plain_http_is_asked_without_tls() {
    let mut hosted = Hosted::ephemeral();
    let plain = Server::new(2, |mut stream| {
        let mut first = [0; 4];
        stream.read_exact(&mut first).unwrap();
        match &first {
            b"GET " => {
                let asked = head(&mut stream);
                stream
                    .write_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
                    .unwrap();
                asked
            }
            _ => {
                stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .unwrap();
                String::new()
            }
        }
    });
    let own = config(BOTH);
    let secure = Server::new(1, move |stream| answer(stream, &own, OK).request);
    let hook = |port: u16| {
        let secret = json!([{ "name": "Authorization", "value": "secret" }, { "name": "X-Own", "value": "yes" }]);
        json!({ "httpGet": { "port": port, "path": "/hook", "scheme": "HTTPS", "httpHeaders": secret } })
    };
    let hooks =
        json!({ "lifecycle": { "postStart": hook(plain.port), "preStop": hook(secure.port) } });
    let main = with(
        shell("main", "trap 'exit 0' TERM; while :; do sleep 0.01; done"),
        hooks,
    );
    let id = hosted.create(&spec(
        pod("hooks", "Never", json!([main])),
        json!({ "hostNetwork": true }),
    ));
    let event = hosted.until(
        "LifecycleHTTPFallback",
        "got HTTP response, retry with HTTP succeeded",
    );
    assert_eq!(event.event_type(), podlife::node::EventType::Warning);
    hosted.wait(id, Until::Ready);
    let is_kept = {
        let mut kept = hosted.node.pod(id).unwrap().events();
        kept.any(|series| series.event.reason() == event.reason())
    };
    assert!(is_kept, "it is not among the pod's own events");
    let asked = plain.served();
    assert!(
        asked[1].contains("X-Own: yes") && asked[1].contains("kube-lifecycle/"),
        "{asked:?}"
    );
    assert!(!asked[1].contains("Authorization"), "{asked:?}");
    hosted.delete(id);
    assert!(secure.served()[0].contains("Authorization: secret"));
    assert!(
        !hosted
            .reasons()
            .iter()
            .any(|reason| reason.starts_with("FailedP"))
    );
    hosted.end();
}
