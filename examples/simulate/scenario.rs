//! How the containers of a pod behave.
//!
//! ```yaml
//! until: 1h                     # how long to look on; an hour if left out
//! deleted: 20m                  # when the pod is deleted, if it is
//! containers:
//!   web:                        # what each attempt to run it does; the last one stands for all that follow
//!     - image: 2s               # the image is not here: fetching it takes this long, or `fails`
//!       start: 300ms            # starting it takes this long, or `fails`
//!       ready: 4s               # its probes fail before that, counted from its start ...
//!       hangs: 40s              # ... and from then on
//!       readiness: [4s, 9s]     # one probe apart: it fails, and turns at these times; `liveness` and `startup` too
//!       exits: { after: 1m, code: 1 }   # or `0` if no code is said; otherwise it runs for ever
//!       stops: 2s               # after the stop signal it exits with 0 in this time, or `never`; otherwise it dies of it
//!       postStart: 1s           # the hook takes this long, or `fails`; `preStop` too
//! ```
//!
//! A container that is not named is started at once, answers all probes and runs until it is stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use podlife::lifecycle::{Hook, ProbeKind};
use podlife::model::Pod;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// A whole scenario.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) until: Option<Span>,
    pub(crate) deleted: Option<Span>,
    containers: BTreeMap<String, Spanned<Vec<Attempt>>>,
}

/// What one attempt to run a container does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Attempt {
    pub(crate) image: Option<Step>,
    pub(crate) start: Option<Step>,
    ready: Option<Span>,
    hangs: Option<Span>,
    liveness: Option<Vec<Span>>,
    readiness: Option<Vec<Span>>,
    startup: Option<Vec<Span>>,
    pub(crate) exits: Option<End>,
    pub(crate) stops: Option<Stop>,
    post_start: Option<Step>,
    pre_stop: Option<Step>,
}

/// An exit of its own accord.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) after: Span,
    #[serde(default)]
    pub(crate) code: i32,
}

/// Something that takes its time, or does not succeed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Step {
    Takes(Span),
    Fails,
}

/// What a stop signal comes to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Stop {
    After(Span),
    Never,
}

/// `300ms`, `10s`, `5m`, `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl Scenario {
    /// Reads one that is for this pod.
    pub(crate) fn parse(text: &str, pod: &Pod) -> Result<Scenario, String> {
        let scenario: Scenario = serde_saphyr::from_str(text).map_err(|why| why.to_string())?;
        let names = names(pod);
        for (name, attempts) in &scenario.containers {
            if !names.contains(&&**name) {
                let line = attempts.referenced.line();
                return Err(format!(
                    "at line {line}: containers.{name}: the pod has no such container, but {}",
                    names.join(", ")
                ));
            }
        }
        Ok(scenario)
    }

    /// What a container does at its `tries`-th attempt, counted from 0.
    pub(crate) fn attempt(&self, container: &str, tries: usize) -> Attempt {
        let attempts = self.containers.get(container);
        let own = attempts.and_then(|all| all.value.get(tries).or(all.value.last()));
        own.cloned().unwrap_or_default()
    }
}

fn names(pod: &Pod) -> Vec<&str> {
    let (spec, mut names) = (&pod.spec, Vec::new());
    names.extend(
        spec.init_containers
            .iter()
            .map(|container| &*container.name),
    );
    names.extend(spec.containers.iter().map(|container| &*container.name));
    names
}

impl Attempt {
    /// Whether a probe succeeds at this age.
    pub(crate) fn answers(&self, probe: ProbeKind, age: Duration) -> bool {
        let turns = match probe {
            ProbeKind::Liveness => &self.liveness,
            ProbeKind::Readiness => &self.readiness,
            ProbeKind::Startup => &self.startup,
        };
        match turns {
            Some(turns) => turns.iter().filter(|turn| turn.0 <= age).count() % 2 == 1,
            None => {
                self.ready.is_none_or(|ready| ready.0 <= age)
                    && self.hangs.is_none_or(|hangs| age < hangs.0)
            }
        }
    }

    pub(crate) fn hook(&self, hook: Hook) -> Step {
        let own = match hook {
            Hook::PostStart => self.post_start,
            Hook::PreStop => self.pre_stop,
        };
        own.unwrap_or(Step::Takes(Span(Duration::ZERO)))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        let wrong = || format!("{text:?} is not a time like 300ms, 10s, 5m or 2h");
        let unit = text.find(|letter: char| !letter.is_ascii_digit());
        let (number, unit) = text.split_at(unit.ok_or_else(wrong)?);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = number.checked_mul(millis).ok_or_else(wrong)?;
        Ok(Span(Duration::from_millis(millis)))
    }
}

impl TryFrom<String> for Step {
    type Error = String;

    fn try_from(text: String) -> Result<Step, String> {
        if text == "fails" {
            return Ok(Step::Fails);
        }
        let span = Span::try_from(text).map_err(|why| format!("{why}, nor `fails`"))?;
        Ok(Step::Takes(span))
    }
}

impl TryFrom<String> for Stop {
    type Error = String;

    fn try_from(text: String) -> Result<Stop, String> {
        if text == "never" {
            return Ok(Stop::Never);
        }
        let span = Span::try_from(text).map_err(|why| format!("{why}, nor `never`"))?;
        Ok(Stop::After(span))
    }
}
