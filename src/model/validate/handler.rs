//! Probes and hooks, and the actions they share.

use super::super::hook::{
    ExecAction, HttpGetAction, Lifecycle, LifecycleHandler, Scheme, SleepAction, TcpSocketAction,
};
use super::super::meta::IntOrString;
use super::super::path::Path;
use super::super::pod::{OsName, PodSpec};
use super::super::probe::{GrpcAction, Probe};
use super::{Findings, name, port, text};

/// Which of a container's probes it is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Which {
    Liveness,
    Readiness,
    Startup,
}

pub(super) fn probe(probe: &Probe, which: Which, at: &Path<'_>, found: &mut Findings) {
    let handlers = Handlers {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    handlers.check(None, at, found);
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (field, number) in numbers {
        if let Some(number) = number.filter(|&number| number < 0) {
            found.invalid(at.field(field), number, "it must not be negative");
        }
    }
    let threshold = probe.success_threshold.unwrap_or(0);
    if which != Which::Readiness && threshold != 1 {
        found.invalid(
            at.field("successThreshold"),
            threshold,
            "it is 1 for all but readiness probes",
        );
    }
    if let Some(grace) = probe.termination_grace_period_seconds {
        if grace <= 0 {
            found.invalid(
                at.field("terminationGracePeriodSeconds"),
                grace,
                "it is greater than 0",
            );
        }
        if which == Which::Readiness {
            let detail = "a readiness probe ends nothing; only liveness and startup probes have it";
            found.invalid(at.field("terminationGracePeriodSeconds"), grace, detail);
        }
    }
}

pub(super) fn lifecycle(
    lifecycle: &Lifecycle,
    spec: &PodSpec,
    at: &Path<'_>,
    found: &mut Findings,
) {
    let grace = spec.termination_grace_period_seconds;
    if let Some(hook) = &lifecycle.post_start {
        handlers_of(hook).check(grace, &at.field("postStart"), found);
    }
    if let Some(hook) = &lifecycle.pre_stop {
        handlers_of(hook).check(grace, &at.field("preStop"), found);
    }
    let Some(signal) = &lifecycle.stop_signal else {
        return;
    };
    let os = spec.os.as_ref().map(|os| &os.name);
    if os.is_none() {
        found.forbidden(
            at.field("stopSignal"),
            "signals differ between systems; set spec.os.name to linux",
        );
    } else if os == Some(&OsName::Windows) {
        found.known(at.field("stopSignal"), signal, &["SIGTERM", "SIGKILL"]);
    } else if !is_signal(signal) {
        found.unsupported(
            at.field("stopSignal"),
            signal,
            &["SIGTERM", "SIGINT", "another signal of Linux"],
        );
    }
}

/// Linux' signals, as the API spells them.
fn is_signal(name: &str) -> bool {
    const NAMES: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT \
        STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX";
    let Some(name) = name.strip_prefix("SIG") else {
        return false;
    };
    let real_time = |start: &str, most: u8| {
        let number = name
            .strip_prefix(start)
            .filter(|digits| !digits.starts_with('0'));
        number
            .and_then(|digits| digits.parse::<u8>().ok())
            .is_some_and(|number| number <= most)
    };
    NAMES.split_whitespace().any(|known| known == name)
        || real_time("RTMIN+", 15)
        || real_time("RTMAX-", 14)
}

fn handlers_of(hook: &LifecycleHandler) -> Handlers<'_> {
    Handlers {
        exec: hook.exec.as_ref(),
        http_get: hook.http_get.as_ref(),
        tcp_socket: hook.tcp_socket.as_ref(),
        grpc: None,
        sleep: hook.sleep.as_ref(),
    }
}

/// What a probe or a hook may do; it does exactly one.
struct Handlers<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HttpGetAction>,
    tcp_socket: Option<&'a TcpSocketAction>,
    grpc: Option<&'a GrpcAction>,
    sleep: Option<&'a SleepAction>,
}

impl Handlers<'_> {
    /// The first is checked, those after it are too many.
    fn check(&self, grace: Option<i64>, at: &Path<'_>, found: &mut Findings) {
        let present = [
            ("exec", self.exec.is_some()),
            ("httpGet", self.http_get.is_some()),
            ("tcpSocket", self.tcp_socket.is_some()),
            ("grpc", self.grpc.is_some()),
            ("sleep", self.sleep.is_some()),
        ];
        let mut present = present
            .iter()
            .filter(|(_, present)| *present)
            .map(|(field, _)| *field);
        let Some(first) = present.next() else {
            return found.required(
                *at,
                "it needs a handler: exec, httpGet, tcpSocket, grpc (probes) or sleep (hooks)",
            );
        };
        self.check_one(first, grace, &at.field(first), found);
        for field in present {
            found.forbidden(
                at.field(field),
                format!("there is a handler already: {first}"),
            );
        }
    }

    fn check_one(&self, field: &str, grace: Option<i64>, at: &Path<'_>, found: &mut Findings) {
        match field {
            "exec" => self.exec.into_iter().for_each(|exec| {
                if exec.command.is_empty() {
                    found.required(at.field("command"), "a program and its arguments");
                }
            }),
            "httpGet" => self
                .http_get
                .into_iter()
                .for_each(|get| http_get(get, at, found)),
            "tcpSocket" => self
                .tcp_socket
                .into_iter()
                .for_each(|tcp| port::port_or_name(&tcp.port, at.field("port"), found)),
            "grpc" => self.grpc.into_iter().for_each(|grpc| {
                port::port_or_name(&IntOrString::Int(grpc.port), at.field("port"), found)
            }),
            _ => self.sleep.into_iter().for_each(|sleep| {
                if let Some(grace) =
                    grace.filter(|&grace| sleep.seconds < 0 || sleep.seconds > grace)
                {
                    let detail =
                        format!("use 0 to {grace}, the pod's terminationGracePeriodSeconds");
                    found.invalid(*at, sleep.seconds, detail);
                }
            }),
        }
    }
}

fn http_get(get: &HttpGetAction, at: &Path<'_>, found: &mut Findings) {
    if text(&get.path).is_empty() {
        found.required(at.field("path"), "a path such as /");
    }
    port::port_or_name(&get.port, at.field("port"), found);
    found.known(
        at.field("scheme"),
        get.scheme.as_ref().map_or("", Scheme::as_str),
        Scheme::KNOWN,
    );
    for header in &get.http_headers {
        found.name(at.field("httpHeaders"), &header.name, name::header);
    }
}
