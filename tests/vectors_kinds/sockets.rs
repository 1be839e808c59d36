//! Probes against real servers.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;

use podlife::model::{Container, Probe};
use podlife::node::{Probed, probe};
use serde_json::{Value, json};

use super::{Answer, Case};

pub(crate) fn run(op: &str, case: &Case) -> Answer {
    match op {
        "httpStatus" => {
            let server = Server::new(case.integer("statusCode"));
            Answer::Is(json!({ "result": server.probed(&json!([])).verdict.as_str() }))
        }
        "httpTimeout" => timeout(case),
        "httpRedirect" => redirect(case),
        "httpBody" => body(case),
        "httpRequestHeaders" => request_headers(case),
        "httpProxy" => proxy(case),
        "tcp" => tcp(case),
        "grpc" => grpc(case),
        _ => Answer::UnknownOp,
    }
}

fn found(address: SocketAddr, handler: Value) -> Probed {
    let probe_: Probe = serde_json::from_value(handler).unwrap();
    probe(&probe_, &Container::default(), address.ip())
}

fn listener() -> TcpListener {
    TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).unwrap()
}

/// An address where nobody listens.
fn deserted() -> SocketAddr {
    listener().local_addr().unwrap()
}

/// A server that answers each request, one a connection, as it is told, and tells what it was asked.
struct Server {
    address: SocketAddr,
    asked: Receiver<String>,
}

impl Server {
    fn new(status: i64) -> Server {
        Server::answering(move |_| format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n"))
    }

    fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> Server {
        let listener = listener();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = channel();
        spawn(move || {
            // Ends when nobody wants to know any more.
            while let Ok((mut stream, _)) = listener.accept() {
                let request = head(&mut stream);
                let answer = answer(&request);
                if tell.send(request).is_err() || stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Server { address, asked }
    }

    fn probed(&self, headers: &Value) -> Probed {
        let get = json!({ "path": "/", "port": self.address.port(), "httpHeaders": headers });
        found(self.address, json!({ "httpGet": get }))
    }

    fn requests(self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

fn head(stream: &mut TcpStream) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 1024]);
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => text.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    String::from_utf8(text).unwrap()
}

/// The values of a header of a request.
fn header<'r>(request: &'r str, name: &str) -> Vec<&'r str> {
    let lines = request
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    lines
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

fn timeout(case: &Case) -> Answer {
    assert!(case.integer("serverDelaySeconds") > case.integer("timeoutSeconds"));
    let listener = listener();
    let address = listener.local_addr().unwrap();
    // It takes the connection and the request, and never says anything.
    let silent = spawn(move || head(&mut listener.accept().unwrap().0));
    let get = json!({ "port": address.port() });
    let probed = found(
        address,
        json!({ "httpGet": get, "timeoutSeconds": case.integer("timeoutSeconds") }),
    );
    drop(silent);
    Answer::Is(json!({ "result": probed.verdict.as_str() }))
}

/// `{otherPort}` in the location is where a second server answers.
fn redirect(case: &Case) -> Answer {
    let (target, endless) = (
        case.input["targetStatus"].as_i64(),
        case.input["loop"] == true,
    );
    let other = Server::new(target.unwrap_or(500));
    let port = other.address.port().to_string();
    let status = case.integer("statusCode");
    let location = case.text("location").replace("{otherPort}", &port);
    let server = Server::answering(move |request| {
        let first = request.starts_with("GET / ");
        match target {
            Some(target) if !first && !endless => {
                format!("HTTP/1.1 {target} Said\r\nContent-Length: 0\r\n\r\n")
            }
            _ => format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            ),
        }
    });
    let headers = case.input.get("httpHeaders").cloned().unwrap_or(json!([]));
    let probed = server.probed(&headers);
    let mut requests = server.requests();
    requests.extend(other.requests());
    Answer::Covers(json!({
        "result": probed.verdict.as_str(),
        "followed": requests.len() > 1,
        "maxHops": requests.len(),
        "hostAtTarget": requests.last().and_then(|request| header(request, "Host").first().copied()),
    }))
}

fn body(case: &Case) -> Answer {
    let size = usize::try_from(case.integer("bodyBytes")).unwrap();
    let status = case.integer("statusCode");
    let server = Server::answering(move |_| {
        format!(
            "HTTP/1.1 {status} Said\r\nContent-Length: {size}\r\n\r\n{}",
            "a".repeat(size)
        )
    });
    let probed = server.probed(&json!([]));
    Answer::Is(json!({ "result": probed.verdict.as_str(), "recordedBytes": probed.output.len() }))
}

fn request_headers(case: &Case) -> Answer {
    let server = Server::new(200);
    server.probed(&case.input["httpHeaders"]);
    let request = server.asked.try_recv().expect("no request was made");
    let fits = |got: &str, wanted: &Value| match wanted {
        Value::String(wanted) => got == wanted,
        pattern => got.starts_with(pattern["prefix"].as_str().unwrap()),
    };
    let right = case.expect["headers"]
        .as_object()
        .unwrap()
        .iter()
        .all(|(name, wanted)| {
            let (got, wanted) = (header(&request, name), wanted.as_array().unwrap());
            got.len() == wanted.len()
                && got
                    .iter()
                    .zip(wanted)
                    .all(|(got, wanted)| fits(got, wanted))
        });
    let absent = case.expect["absent"].as_array().into_iter().flatten();
    let mut absent = absent.map(|name| header(&request, name.as_str().unwrap()));
    let absent = absent.all(|values| values.is_empty());
    let host = case.expect["host"]
        .as_str()
        .is_none_or(|host| header(&request, "Host") == [host]);
    Answer::Judged(right && absent && host, json!(request))
}

/// Set in the process that has a proxy in its environment.
const PROXIED: &str = "PODLIFE_VECTORS_PROXIED";

/// The environment of this process is not changed; this program is run again with another.
fn proxy(case: &Case) -> Answer {
    if std::env::var_os(PROXIED).is_some() {
        let server = Server::new(200);
        let probed = server.probed(&json!([]));
        assert!(std::env::var_os("http_proxy").is_some());
        let used = probed.verdict.as_str() != "success" || server.requests().len() != 1;
        return Answer::Is(json!({ "proxyUsed": used }));
    }
    let proxy = listener();
    proxy.set_nonblocking(true).unwrap();
    let port = proxy.local_addr().unwrap().port().to_string();
    let env = case.input["env"].as_object().unwrap().iter();
    let env = env.map(|(name, value)| (name, value.as_str().unwrap().replace("9098", &port)));
    let again = Command::new(std::env::current_exe().unwrap())
        .arg(format!("http-probe/{}", case.name))
        .env(PROXIED, "1")
        .envs(env)
        .output()
        .unwrap();
    let untouched = proxy
        .accept()
        .is_err_and(|why| why.kind() == ErrorKind::WouldBlock);
    let passed = String::from_utf8_lossy(&again.stdout).contains("    1 passed    0 failed");
    Answer::Is(json!({ "proxyUsed": !(again.status.success() && passed && untouched) }))
}

fn tcp(case: &Case) -> Answer {
    let listener = listener();
    let address = match case.input["connects"] == true {
        true => listener.local_addr().unwrap(),
        false => deserted(),
    };
    let probed = found(address, json!({ "tcpSocket": { "port": address.port() } }));
    Answer::Is(json!({ "result": probed.verdict.as_str() }))
}

fn grpc(case: &Case) -> Answer {
    let address = match case.input["connects"] == false {
        true => deserted(),
        false => health_server(case),
    };
    let probed = found(address, json!({ "grpc": { "port": address.port() } }));
    Answer::Is(json!({ "result": probed.verdict.as_str() }))
}

/// The codes of gRPC, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A server of `grpc.health.v1.Health` that answers one call.
fn health_server(case: &Case) -> SocketAddr {
    let status = case.input["status"].as_str().map(|status| match status {
        "UNKNOWN" => 0,
        "SERVING" => 1,
        "NOT_SERVING" => 2,
        "SERVICE_UNKNOWN" => 3,
        other => panic!("{other}"),
    });
    let code = match case.input["rpcCode"].as_str() {
        None => "0".to_owned(),
        Some(name) => {
            let number = CODES.iter().position(|code| *code == name);
            number.unwrap_or_else(|| panic!("{name}")).to_string()
        }
    };
    let listener = listener();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_call(&mut stream);
        stream.write_all(&answer(status, &code)).unwrap();
        // The client hangs up first.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    address
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The preface, and frames up to the one that ends the request.
fn read_call(stream: &mut TcpStream) {
    stream.read_exact(&mut [0; 24]).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; size as usize]).unwrap();
        if head[3] == DATA && head[4] & END_STREAM != 0 {
            return;
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = size[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, stream]);
    frame.extend(payload);
    frame
}

/// A header that is not indexed, in plain letters.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut text = vec![0];
    for part in [name, value] {
        text.push(u8::try_from(part.len()).unwrap());
        text.extend(part.as_bytes());
    }
    text
}

fn answer(status: Option<u8>, code: &str) -> Vec<u8> {
    // `:status: 200` is number 8 of the static table.
    let mut head = vec![0x88];
    head.extend(literal("content-type", "application/grpc"));
    let mut all = frame(SETTINGS, 0, 0, &[]);
    all.extend(frame(SETTINGS, 1, 0, &[]));
    let end = literal("grpc-status", code);
    match status {
        None => {
            head.extend(end);
            all.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
        }
        Some(status) => {
            all.extend(frame(HEADERS, END_HEADERS, 1, &head));
            // One message, not compressed: field 1 is the status; 0 is left out.
            let message: &[u8] = if status == 0 { &[] } else { &[8, status] };
            let mut data = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
            data.extend(message);
            all.extend(frame(DATA, 0, 1, &data));
            all.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &end));
        }
    }
    all
}
