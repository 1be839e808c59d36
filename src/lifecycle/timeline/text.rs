//! A life as lines.

use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

use super::{Moment, Timeline, What};
use crate::lifecycle::{
    Cause, ContainerChange, Hook, KillReason, ProbeKind, SandboxChange, Signal,
};

impl Display for Timeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.moments
            .iter()
            .try_for_each(|moment| writeln!(f, "{moment}"))
    }
}

/// When (hours, minutes, seconds), whom, what.
impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (minutes, millis) = (self.at.as_secs() / 60, self.at.as_millis() % 60_000);
        let whom = self.what.container_name().map_or("pod", |name| name);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let (seconds, millis) = (millis / 1000, millis % 1000);
        write!(
            f,
            "{hours}:{minutes:02}:{seconds:02}.{millis:03}  {whom:<16}  {}",
            self.what
        )
    }
}

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            What::Phase(phase) => write!(f, "{phase}"),
            What::Sandbox(change) => f.write_str(match change {
                SandboxChange::Created => "sandbox made",
                SandboxChange::Failed => "sandbox could not be made",
                SandboxChange::Changed => "sandbox lost: everything is made anew",
                SandboxChange::Stopped => "sandbox stopped",
            }),
            What::Container {
                attempt,
                change,
                exit_code,
                detail,
                ..
            } => {
                write_change(f, *attempt, *change, *exit_code)?;
                detail.iter().try_for_each(|why| write!(f, ": {why}"))
            }
            What::Hook(_, Hook::PostStart) => f.write_str("postStart hook"),
            What::Hook(_, Hook::PreStop) => f.write_str("preStop hook"),
            What::Signal(_, Signal::Stop) => f.write_str("stop signal"),
            What::Signal(_, Signal::Kill) => f.write_str("SIGKILL"),
            What::Terminating(cause) => f.write_str(match cause {
                Cause::Finished => "everything it was to do is done",
                Cause::Deleted => "terminating: deleted",
                Cause::Evicted => "terminating: evicted",
                Cause::Deadline => "terminating: activeDeadlineSeconds passed",
            }),
            What::Terminated => f.write_str("nothing of it runs any more"),
            What::Restored => f.write_str("taken up again"),
            What::Deleted => f.write_str("gone"),
        }
    }
}

fn write_change(
    f: &mut Formatter<'_>,
    attempt: u32,
    change: ContainerChange,
    exit_code: Option<i32>,
) -> Result {
    match change {
        ContainerChange::Pulled { fetched: None } => f.write_str("has its image"),
        ContainerChange::Pulled {
            fetched: Some(took),
        } => write!(f, "image pulled in {}", Span(took)),
        ContainerChange::Pulling => f.write_str("pulls its image"),
        ContainerChange::PullFailed => f.write_str("cannot pull its image"),
        ContainerChange::PullBackOff(wait) => write!(f, "back-off {} before a pull", Span(wait)),
        ContainerChange::Started => write!(f, "started, attempt {attempt}"),
        ContainerChange::StartFailed => f.write_str("could not be started"),
        ContainerChange::Exited => match exit_code {
            Some(code) => write!(f, "exited with {code}"),
            None => f.write_str("exited"),
        },
        ContainerChange::Lost => f.write_str("ended, and how is not known"),
        ContainerChange::BackOff(wait) => write!(f, "back-off {} before a start", Span(wait)),
        ContainerChange::Killing(why) => write!(f, "is to end: {}", reason(why)),
        ContainerChange::Killed => f.write_str("its grace period is over"),
        ContainerChange::Unhealthy(probe) => write!(f, "{} probe failed", name(probe)),
        ContainerChange::ProbeErrored(probe) => {
            write!(f, "{} probe could not be made", name(probe))
        }
        ContainerChange::Probed(probe, true) => write!(f, "{} probe: success", name(probe)),
        ContainerChange::Probed(probe, false) => write!(f, "{} probe: failure", name(probe)),
        ContainerChange::HookFailed(Hook::PostStart) => f.write_str("postStart hook failed"),
        ContainerChange::HookFailed(Hook::PreStop) => f.write_str("preStop hook failed"),
        ContainerChange::Ready(true) => f.write_str("ready"),
        ContainerChange::Ready(false) => f.write_str("not ready"),
        ContainerChange::Stray => write!(f, "attempt {attempt} was not on record and is killed"),
    }
}

pub(super) fn name(probe: ProbeKind) -> &'static str {
    match probe {
        ProbeKind::Liveness => "liveness",
        ProbeKind::Readiness => "readiness",
        ProbeKind::Startup => "startup",
    }
}

fn reason(why: KillReason) -> &'static str {
    match why {
        KillReason::PodEnds => "the pod ends",
        KillReason::Liveness => "its liveness probe failed",
        KillReason::Startup => "its startup probe failed",
        KillReason::PostStart => "its postStart hook failed",
        KillReason::Definition => "its definition changed",
        KillReason::Sandbox => "the sandbox goes",
        KillReason::Unknown => "nothing is known of it",
        KillReason::RestartAll => "all containers restart",
        KillReason::Removed => "it was removed",
        KillReason::Resize => "its resources changed",
        KillReason::Restart => "it is to restart",
    }
}

/// A span for people: its two largest units, and milliseconds only where they matter.
pub(super) struct Span(pub(super) Duration);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        const UNITS: [(u128, &str); 5] = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "min"),
            (1_000, "s"),
            (1, "ms"),
        ];
        let mut millis = self.0.as_millis();
        if millis >= 10_000 {
            millis -= millis % 1_000;
        }
        let Some(place) = UNITS.iter().position(|(size, _)| millis >= *size) else {
            return f.write_str("0 s");
        };
        let (size, unit) = UNITS[place];
        write!(f, "{} {unit}", millis / size)?;
        match UNITS.get(place + 1) {
            Some((next, unit)) if millis % size >= *next => {
                write!(f, " {} {unit}", millis % size / next)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        let text = |millis| Span(Duration::from_millis(millis)).to_string();
        assert_eq!(text(0), "0 s");
        assert_eq!(text(999), "999 ms");
        assert_eq!(text(1_500), "1 s 500 ms");
        assert_eq!(text(10_500), "10 s");
        assert_eq!(text(300_000), "5 min");
        assert_eq!(text(310_500), "5 min 10 s");
        assert_eq!(text(90_061_000), "1 d 1 h");
    }
}
