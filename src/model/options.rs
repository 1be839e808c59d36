//! What the owner of a pod may choose where Kubernetes leaves no choice.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::decode;
use super::errors::{ErrorType, Errors, FieldError};
use super::path::Path;
use super::pod::Pod;

/// Choices for one pod. The default is what the kubelet does.
///
/// In a manifest they are annotations, `podlife.io/` and the option's name; a span of time is written `500ms`, `20s` or
/// `5m`, and what has parts is written as JSON. An option that is not known is an error.
///
/// ```
/// use podlife::model::{Container, Pod, PodOptions};
/// use std::time::Duration;
///
/// let pod = Pod::new("web")
///     .container(Container::new("web", "nginx"))
///     .annotation("podlife.io/strictDeadline", "20s")
///     .annotation("podlife.io/crashBackOff", r#"{"initial": "100ms", "max": "5s"}"#);
/// let options = PodOptions::of(&pod).unwrap();
/// assert_eq!(options.strict_deadline, Some(Duration::from_secs(20)));
/// assert_eq!(options.crash_back_off.initial, Duration::from_millis(100));
///
/// let misspelt = pod.annotation("podlife.io/startTogehter", "true");
/// assert!(misspelt.validate().is_err());
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodOptions {
    /// How long a container that keeps ending is held back.
    pub crash_back_off: Curve,
    /// How long an image that cannot be had is held back.
    pub pull_back_off: Curve,
    /// One total deadline from the decision to end a container to its SIGKILL, hooks and waiting for others included. The
    /// kubelet's own arithmetic can come to more than the grace period.
    #[serde(with = "span::option")]
    pub strict_deadline: Option<Duration>,
    /// Starts containers that do not depend on each other together. The kubelet starts one after another, and a
    /// postStart hook delays those that follow.
    pub start_together: bool,
    /// Runs every probe this often instead of its `periodSeconds`: for periods below a second.
    #[serde(with = "span::option")]
    pub probe_period: Option<Duration>,
    /// The same for single probes, by container.
    pub probe_periods: BTreeMap<String, ProbePeriods>,
    /// Lets an ephemeral container go again: an update without it ends it. Kubernetes keeps it as long as the pod.
    pub removable_ephemeral: bool,
    /// What happens when a limit cannot be set on this host.
    pub enforcement: Option<Enforcement>,
    /// By container: whether running out of memory ends all of its processes (the default) or one.
    pub oom_group: BTreeMap<String, bool>,
    /// Lets the capabilities that a container adds survive the start of a program as another user than root, as ambient
    /// ones. Kubernetes gives such a program none.
    pub ambient_capabilities: bool,
}

/// How the wait before the next try grows: it doubles from `initial` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Curve {
    /// The first window.
    #[serde(with = "span")]
    pub initial: Duration,
    /// The longest window.
    #[serde(with = "span")]
    pub max: Duration,
    /// A try that comes later than this after the one before it is a first try again.
    #[serde(with = "span")]
    pub reset: Duration,
}

impl Curve {
    /// The kubelet's: 10 seconds doubling to 5 minutes, over again after 10 minutes.
    pub const KUBELET: Curve = Curve {
        initial: Duration::from_secs(10),
        max: Duration::from_secs(300),
        reset: Duration::from_secs(600),
    };
}

impl Default for Curve {
    fn default() -> Curve {
        Curve::KUBELET
    }
}

/// How often the probes of one container run; `None` leaves it at `periodSeconds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ProbePeriods {
    /// Of the liveness probe.
    #[serde(with = "span::option")]
    pub liveness: Option<Duration>,
    /// Of the readiness probe.
    #[serde(with = "span::option")]
    pub readiness: Option<Duration>,
    /// Of the startup probe.
    #[serde(with = "span::option")]
    pub startup: Option<Duration>,
}

/// What happens when a limit cannot be set because this host has no controller for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Enforcement {
    /// The pod does not start.
    Required,
    /// It starts, and the event log says what is not enforced.
    BestEffort,
}

/// What every option's annotation starts with.
const PREFIX: &str = "podlife.io/";

/// Whether an annotation is an option.
pub(super) fn is_option(annotation: &str) -> bool {
    annotation.starts_with(PREFIX)
}

impl PodOptions {
    /// The options that a pod's annotations say.
    ///
    /// # Errors
    /// An option that is not known, a value that is none, or a container that is not there.
    pub fn of(pod: &Pod) -> Result<PodOptions, Errors> {
        let annotations = pod.metadata.annotations.iter();
        let said: Map<String, Value> = annotations
            .filter_map(|(key, text)| Some((key.strip_prefix(PREFIX)?.to_owned(), value(text))))
            .collect();
        if said.is_empty() {
            return Ok(PodOptions::default());
        }
        let options: PodOptions = decode::read(Value::Object(said)).map_err(in_annotations)?;
        Errors::check(options.strangers(pod)).map_err(in_annotations)?;
        Ok(options)
    }

    /// These options, and where they say nothing else than the default, those of `annotations`: what is written in Rust
    /// wins.
    #[must_use]
    pub fn or(self, annotations: PodOptions) -> PodOptions {
        fn pick<T: PartialEq>(own: T, other: T, default: T) -> T {
            if own == default { other } else { own }
        }
        let default = PodOptions::default();
        PodOptions {
            crash_back_off: pick(
                self.crash_back_off,
                annotations.crash_back_off,
                default.crash_back_off,
            ),
            pull_back_off: pick(
                self.pull_back_off,
                annotations.pull_back_off,
                default.pull_back_off,
            ),
            strict_deadline: self.strict_deadline.or(annotations.strict_deadline),
            start_together: self.start_together || annotations.start_together,
            probe_period: self.probe_period.or(annotations.probe_period),
            probe_periods: pick(
                self.probe_periods,
                annotations.probe_periods,
                default.probe_periods,
            ),
            removable_ephemeral: self.removable_ephemeral || annotations.removable_ephemeral,
            enforcement: self.enforcement.or(annotations.enforcement),
            oom_group: pick(self.oom_group, annotations.oom_group, default.oom_group),
            ambient_capabilities: self.ambient_capabilities || annotations.ambient_capabilities,
        }
    }

    /// Containers that are named here and not in the pod.
    fn strangers(&self, pod: &Pod) -> Vec<FieldError> {
        let known = |name: &str| {
            let spec = &pod.spec;
            spec.init_containers
                .iter()
                .chain(&spec.containers)
                .any(|container| container.name == name)
        };
        let periods = self.probe_periods.keys().map(|name| ("probePeriods", name));
        let groups = self.oom_group.keys().map(|name| ("oomGroup", name));
        let strangers = periods.chain(groups).filter(|(_, name)| !known(name));
        let error = |(option, name): (&'static str, &String)| {
            let at = Path::Root;
            FieldError::new(
                at.field(option),
                ErrorType::NotFound,
                "the pod has no such container",
            )
            .of_value(name)
        };
        strangers.map(error).collect()
    }
}

/// An annotation's text as JSON: what is written as JSON is, the rest is text.
fn value(text: &str) -> Value {
    match text.trim_start().as_bytes().first() {
        Some(b'{' | b't' | b'f') => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

/// Errors of the options as errors of the annotations they are in.
fn in_annotations(errors: Errors) -> Errors {
    let move_one = |mut error: FieldError| {
        let option = error.field.split(['.', '[']).next().unwrap_or_default();
        let rest = &error.field[option.len()..];
        let within = if rest.is_empty() {
            String::new()
        } else {
            format!("in {}: ", rest.trim_start_matches('.'))
        };
        error.detail = format!("{within}{}", error.detail);
        error.field = format!("metadata.annotations[{PREFIX}{option}]");
        error
    };
    Errors(errors.into_iter().map(move_one).collect())
}

/// Spans of time as text: `1h`, `5m`, `20s`, `1.5s`, `500ms`.
mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        span: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write(*span))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        read(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is no span of time; write 500ms, 20s or 5m"
            ))
        })
    }

    pub(super) fn write(span: Duration) -> String {
        match (span.as_secs(), span.subsec_nanos()) {
            (seconds, 0) => format!("{seconds}s"),
            (0, nanos) if nanos % 1_000_000 == 0 => format!("{}ms", nanos / 1_000_000),
            (seconds, nanos) => format!("{seconds}.{nanos:09}s"),
        }
    }

    /// Decimal digits, at most nine of them a fraction, and a unit. No floating point, so nothing is lost.
    pub(super) fn read(text: &str) -> Option<Duration> {
        let text = text.trim();
        let unit_at = text.find(|letter: char| letter.is_ascii_alphabetic())?;
        let unit: u64 = match &text[unit_at..] {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = text[..unit_at]
            .split_once('.')
            .unwrap_or((&text[..unit_at], ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let nanos = whole.parse::<u64>().ok()?.checked_mul(unit)?;
        let part =
            format!("{fraction:0<9}").parse::<u128>().ok()? * u128::from(unit) / 1_000_000_000;
        Some(Duration::from_nanos(
            nanos.checked_add(u64::try_from(part).ok()?)?,
        ))
    }

    pub(super) mod option {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            span: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match span {
                Some(span) => super::serialize(span, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error>
        where
            D: Deserializer<'de>,
        {
            #[derive(Deserialize)]
            struct Span(#[serde(with = "super")] Duration);
            let span = Option::<Span>::deserialize(deserializer)?;
            Ok(span.map(|Span(span)| span))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Container;

    fn pod(option: &str, text: &str) -> Pod {
        Pod::new("p")
            .container(Container::new("c", "i"))
            .annotation(format!("{PREFIX}{option}"), text)
    }

    #[test]
    fn spans() {
        for (text, nanos) in [
            ("500ms", 500_000_000),
            ("0s", 0),
            ("1.5s", 1_500_000_000),
            ("0.25m", 15_000_000_000),
        ] {
            assert_eq!(
                span::read(text),
                Some(Duration::from_nanos(nanos)),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "5",
            "-1s",
            "1 s",
            "1e3s",
            "1.2.3s",
            "99999999999h",
            "5d",
            "1.0000000000s",
        ] {
            assert_eq!(span::read(text), None, "{text}");
        }
        for span in [
            Duration::ZERO,
            Duration::from_millis(7),
            Duration::new(3, 5),
            Duration::from_secs(600),
        ] {
            assert_eq!(span::read(&span::write(span)), Some(span));
        }
    }

    #[test]
    fn errors_name_the_annotation() {
        let error = |option, text| PodOptions::of(&pod(option, text)).unwrap_err().to_string();
        assert_eq!(
            error("strictDeadlin", "5s"),
            "metadata.annotations[podlife.io/strictDeadlin]: unknown field: did you mean strictDeadline?"
        );
        assert_eq!(
            error("oomGroup", r#"{"d": false}"#),
            "metadata.annotations[podlife.io/oomGroup]: not found \"d\": the pod has no such container"
        );
        assert!(error("strictDeadline", "5 days").contains("\"5 days\" is no span of time"));
        assert!(error("startTogether", "yes").contains("a boolean is expected"));
    }

    #[test]
    fn options_survive_being_stored() {
        let options =
            PodOptions::of(&pod("probePeriods", r#"{"c": {"liveness": "50ms"}}"#)).unwrap();
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<PodOptions>(&text).unwrap(), options);
    }

    #[test]
    fn rust_wins() {
        let annotated = PodOptions {
            start_together: true,
            probe_period: Some(Duration::ZERO),
            ..Default::default()
        };
        let rust = PodOptions {
            probe_period: Some(Duration::from_millis(5)),
            ..Default::default()
        };
        let both = rust.or(annotated);
        assert_eq!(
            (both.start_together, both.probe_period),
            (true, Some(Duration::from_millis(5)))
        );
    }
}
