//! Probes, and commands in containers.

use std::time::Duration;

use podlife::Kind;
use podlife::model::{ConditionStatus, ConditionType};
use podlife::node::{Exec, Until};
use serde_json::{Value, json};

use super::hosted::{Hosted, LONG, container, pod, shell, with};

fn probe(kind: &str, handler: Value) -> Value {
    // A second, as it is by itself, may be too short for a machine that is busy.
    let base = json!({ "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 60 });
    json!({ kind: with(base, handler) })
}

fn ready(hosted: &Hosted, id: podlife::PodId) -> bool {
    let pod = hosted.node.pod(id).unwrap();
    let mut conditions = pod.status().conditions.iter();
    conditions.any(|condition| {
        condition.type_ == ConditionType::Ready && condition.status == ConditionStatus::True
    })
}

#[test]
fn an_exec_probe_decides_readiness() {
    let mut hosted = Hosted::ephemeral();
    let handler = json!({ "exec": { "command": ["/bin/sh", "-c", "test -e /tmp/up || { echo not yet; exit 1; }"] } });
    let id = hosted.create(&pod(
        "slow",
        "Always",
        json!([with(
            shell("main", "exec sleep 1000"),
            probe("readinessProbe", handler)
        )]),
    ));
    let event = hosted.until("Unhealthy", "Readiness probe failed");
    assert!(event.message().ends_with("not yet"), "{event}");
    assert!(!ready(&hosted, id));
    let touch = Exec::new(["touch", "/tmp/up"]);
    hosted.node.output(id, "main", touch, LONG).unwrap();
    hosted.wait(id, Until::Ready);
    let output = hosted
        .node
        .output(
            id,
            "main",
            Exec::new(["sh", "-c", "echo out; echo err >&2; exit 4"]),
            LONG,
        )
        .unwrap();
    assert_eq!(
        (output.code, &*output.stdout, &*output.stderr),
        (4, &b"out\n"[..], &b"err\n"[..])
    );
    hosted
        .node
        .output(id, "main", Exec::new(["rm", "/tmp/up"]), LONG)
        .unwrap();
    hosted.until("Condition", "Ready is False");
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_failing_liveness_probe_restarts() {
    let mut hosted = Hosted::ephemeral();
    let handler = json!({ "tcpSocket": { "port": 7 } });
    let id = hosted.create(&pod(
        "dead",
        "Always",
        json!([with(
            shell("main", "exec sleep 1000"),
            probe("livenessProbe", handler)
        )]),
    ));
    hosted.until(
        "Unhealthy",
        "Liveness probe failed: dial tcp 127.0.0.1:7: connect: connection refused",
    );
    hosted.until(
        "Killing",
        "Container main failed liveness probe, will be restarted",
    );
    hosted.until("Exited", "main");
    hosted.seen.clear();
    hosted.until("Started", "main");
    assert_eq!(
        container(hosted.node.pod(id).unwrap().status(), "main").restart_count,
        1
    );
    hosted.kill(id);
    hosted.end();
}

#[test]
fn http_and_tcp_probes_reach_into_the_pod() {
    let mut hosted = Hosted::ephemeral();
    let server = "import http.server as s\nclass H(s.BaseHTTPRequestHandler):\n def do_GET(self):\n  \
                  self.send_response(200 if self.path == '/ok' else 500)\n  self.end_headers()\n def log_message(self, *a): pass\n\
                  s.HTTPServer(('127.0.0.1', 8080), H).serve_forever()";
    if !std::path::Path::new("/usr/bin/python3").exists() {
        println!("skipped: node: no python3 on this host");
        return;
    }
    let main = json!({ "name": "main", "image": "podlife.local/host", "command": ["/usr/bin/python3", "-c", server],
        "ports": [{ "name": "web", "containerPort": 8080 }],
        "startupProbe": { "tcpSocket": { "port": "web" }, "periodSeconds": 1, "failureThreshold": 30 },
        "readinessProbe": { "httpGet": { "path": "/ok", "port": "web" }, "periodSeconds": 1 },
        "livenessProbe": { "httpGet": { "path": "/bad", "port": 8080 }, "periodSeconds": 1, "failureThreshold": 2 } });
    let id = hosted.create(&pod("web", "Always", json!([main])));
    hosted.wait(id, Until::Ready);
    hosted.until(
        "Unhealthy",
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
    );
    hosted.kill(id);
    hosted.end();
}

/// One answer of a gRPC server's health service, as bytes of HTTP/2: settings, headers, the message, trailers.
fn health(status: u8) -> Vec<u8> {
    let trailer = b"\x00\x0bgrpc-status\x010";
    let frames: [(u8, u8, u8, &[u8]); 4] = [
        (4, 0, 0, &[]),
        (1, 4, 1, &[0x88]),
        (0, 0, 1, &[0, 0, 0, 0, 2, 8, status]),
        (1, 5, 1, trailer),
    ];
    let mut bytes = Vec::new();
    for (kind, flags, stream, payload) in frames {
        bytes.extend([0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream]);
        bytes.extend(payload);
    }
    bytes
}

#[test]
fn a_grpc_probe_asks_for_health() {
    use std::io::{Read, Write};
    let mut hosted = Hosted::ephemeral();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        for status in [2, 1] {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&health(status)).unwrap();
            let mut asked = Vec::new();
            stream.read_to_end(&mut asked).unwrap();
            assert!(
                asked.windows(3).any(|piece| piece == b"web"),
                "the service is named"
            );
        }
    });
    let handler = json!({ "grpc": { "port": port, "service": "web" } });
    let main = with(
        shell("main", "exec sleep 1000"),
        probe("startupProbe", handler),
    );
    let mut manifest = pod("grpc", "Never", json!([main]));
    manifest["spec"]["hostNetwork"] = true.into();
    manifest["spec"]["containers"][0]["startupProbe"]["failureThreshold"] = 5.into();
    let id = hosted.create(&manifest);
    hosted.until(
        "Unhealthy",
        "Startup probe failed: service unhealthy (responded with \"NOT_SERVING\")",
    );
    hosted.wait(id, Until::Ready);
    server.join().unwrap();
    hosted.kill(id);
    hosted.end();
}

/// A server made by gRPC's own library: well as a whole, not the service `sick`, and without others.
const HEALTH: &str = "import grpc, concurrent.futures as f
def check(request, context):
    name = request[2:].decode()
    if name == 'none': context.abort(grpc.StatusCode.NOT_FOUND, 'unknown service')
    return bytes([8, 2 if name == 'sick' else 1])
def handlers(*names):
    check_ = grpc.unary_unary_rpc_method_handler(check)
    return [grpc.method_handlers_generic_handler(name, {'Check': check_}) for name in names]
servers = []
for port, names in [(8080, ['grpc.health.v1.Health']), (8081, ['other.Service'])]:
    server = grpc.server(f.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(handlers(*names))
    server.add_insecure_port(f'127.0.0.1:{port}')
    server.start()
    servers.append(server)
servers[0].wait_for_termination()";

#[test]
fn a_grpc_server_of_the_library_is_understood() {
    let mut hosted = Hosted::ephemeral();
    let look = ["-c", "import grpc, sys; print(sys.executable)"];
    let python = std::process::Command::new("python3").args(look).output();
    let python = python.map(|found| String::from_utf8(found.stdout).unwrap());
    let python = python.unwrap_or_default().trim().to_owned();
    if python.is_empty() {
        println!("skipped: node: a real gRPC server: there is no python3 with grpc here");
        return hosted.end();
    }
    let asked = |port: u16, service: &str| json!({ "grpc": { "port": port, "service": service }, "periodSeconds": 1, "failureThreshold": 60 });
    let main = json!({ "name": "main", "image": "podlife.local/host", "command": [python, "-c", HEALTH],
        "startupProbe": asked(8080, ""), "readinessProbe": asked(8080, "sick"), "livenessProbe": asked(8080, "none") });
    let other = with(
        shell("other", "exec sleep 1000"),
        json!({ "startupProbe": asked(8080, "well"), "readinessProbe": asked(8081, "") }),
    );
    let id = hosted.create(&pod("health", "Always", json!([main, other])));
    hosted.until(
        "Unhealthy",
        "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")",
    );
    hosted.until(
        "Unhealthy",
        "Liveness probe failed: error: health rpc probe failed: rpc error: code = 5",
    );
    hosted.until(
        "Unhealthy",
        "Readiness probe failed: error: this server does not implement the grpc health protocol",
    );
    let status = hosted.node.pod(id).unwrap().status();
    for name in ["main", "other"] {
        assert_eq!(container(status, name).started, Some(true), "{name}");
    }
    hosted.kill(id);
    hosted.end();
}

/// Not in the container's own, whose limits are for the container.
#[test]
fn probes_and_hooks_have_cgroups_beside_the_containers() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: node: cgroups of probes: an ordinary user may have none");
        return;
    }
    let mut hosted = Hosted::ephemeral();
    let told =
        json!({ "exec": { "command": ["/bin/sh", "-c", "grep ^0: /proc/self/cgroup; exit 1"] } });
    let main = with(
        shell("main", "exec sleep 1000"),
        json!({ "lifecycle": { "preStop": told.clone() } }),
    );
    let main = with(main, probe("readinessProbe", told));
    let id = hosted.create(&pod("cgroups", "Always", json!([main])));
    let first = hosted.until("Unhealthy", "0::").message();
    let own = hosted.node.output(
        id,
        "main",
        Exec::new(["grep", "^0:", "/proc/1/cgroup"]),
        LONG,
    );
    let own = String::from_utf8(own.unwrap().stdout).unwrap();
    assert!(first.contains("/main.0.exec-"), "{first}");
    assert!(
        own.trim_end().ends_with("/main.0") || own.trim_end() == "0::/",
        "{own}"
    );
    hosted
        .node
        .delete(id, podlife::node::Delete::within(LONG))
        .unwrap();
    let last = hosted.until("FailedPreStopHook", "0::").message();
    assert!(last.contains("/main.0.exec-") && last != first, "{last}");
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_probe_that_takes_too_long_is_killed() {
    let mut hosted = Hosted::ephemeral();
    let handler = json!({ "exec": { "command": ["/bin/sh", "-c", "sleep 1000 & sleep 1000"] }, "timeoutSeconds": 1 });
    let id = hosted.create(&pod(
        "hang",
        "Always",
        json!([with(
            shell("main", "exec sleep 1000"),
            probe("readinessProbe", handler)
        )]),
    ));
    hosted.until("Unhealthy", "Readiness probe failed: command timed out");
    // Of the probe's own children none is left: the container's process, and the ps that looks.
    let output = hosted
        .node
        .output(
            id,
            "main",
            Exec::new([
                "sh",
                "-c",
                "grep -L State:.Z /proc/[0-9]*/status 2>/dev/null | wc -l",
            ]),
            LONG,
        )
        .unwrap();
    let count: usize = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    // Without a cgroup only the probe's own process can be found.
    if nix::unistd::geteuid().is_root() {
        assert!(count <= 4 + 3, "{count} processes");
    } else {
        println!("skipped: node: there is no cgroup to kill the probe's children with");
    }
    hosted.kill(id);
    hosted.end();
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    let mut hosted = Hosted::ephemeral();
    let id = hosted.create(&pod(
        "exec",
        "Always",
        json!([shell("main", "exec sleep 1000")]),
    ));
    hosted.wait(id, Until::Ready);
    let error = hosted
        .node
        .output(
            id,
            "main",
            Exec::new(["sleep", "1000"]),
            Duration::from_millis(100),
        )
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    let error = hosted
        .node
        .output(id, "main", Exec::new(["no-such-program"]), LONG)
        .unwrap_err();
    assert!(
        error.to_string().contains("executable file not found"),
        "{error}"
    );
    let error = hosted
        .node
        .output(id, "other", Exec::new(["true"]), LONG)
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    hosted.kill(id);
    hosted.end();
}
