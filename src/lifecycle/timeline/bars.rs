//! What is drawn of a life: bands, bars and ticks, without a ruler yet.

use std::time::Duration;

use super::{Moment, Timeline, What};
use crate::lifecycle::{Cause, ContainerChange, Hook, ProbeKind};
use crate::model::Phase;

/// A stretch of time of one look.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar<L> {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) look: L,
}

/// How a container is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Look {
    /// For its turn, its image, its sandbox.
    Waiting,
    Starting,
    /// To be started again.
    BackOff(Duration),
    Running,
    Ready,
    Ending,
    /// It has ended and is not started again.
    Over,
}

/// How the pod is: its phase, or that it is being ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Band {
    Phase(Phase),
    Terminating,
}

/// How an attempt ended: the code, where one is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct End {
    pub(super) at: Duration,
    pub(super) code: Option<i32>,
}

/// A run of a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: Duration,
    pub(super) probe: ProbeKind,
    pub(super) failed: bool,
}

/// Everything of one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lane {
    pub(super) bars: Vec<Bar<Look>>,
    pub(super) ends: Vec<End>,
    pub(super) ticks: Vec<Tick>,
    pub(super) starts: usize,
    /// See [`Timeline`].
    sees_actions: bool,
}

/// The pod's bands, from its first phase on.
pub(super) fn bands(timeline: &Timeline) -> Vec<Bar<Band>> {
    let mut bands = Vec::new();
    for moment in &timeline.moments {
        match &moment.what {
            What::Phase(phase) => turn(&mut bands, moment.at, Band::Phase(phase.clone())),
            What::Terminating(cause) if *cause != Cause::Finished => {
                turn(&mut bands, moment.at, Band::Terminating);
            }
            _ => {}
        }
    }
    end(&mut bands, timeline.end);
    bands
}

impl Lane {
    pub(super) fn of(timeline: &Timeline, place: usize) -> Lane {
        let mut lane = Lane {
            sees_actions: timeline.sees_actions,
            ..Lane::default()
        };
        turn(&mut lane.bars, Duration::ZERO, Look::Waiting);
        let mut runs = timeline
            .runs
            .iter()
            .filter(|run| run.lane == place)
            .peekable();
        for moment in &timeline.moments {
            while let Some(run) = runs.next_if(|run| run.at <= moment.at) {
                lane.tick(run.at, run.probe, false);
            }
            if moment.what.container_name() == Some(&timeline.lanes[place]) {
                lane.see(moment);
            } else if moment.what == What::Terminated {
                // What nobody saw start will not start any more.
                turn(&mut lane.bars, moment.at, Look::Over);
            }
        }
        runs.for_each(|run| lane.tick(run.at, run.probe, false));
        end(&mut lane.bars, timeline.end);
        lane
    }

    fn see(&mut self, moment: &Moment) {
        match &moment.what {
            What::Container {
                change, exit_code, ..
            } => self.change(moment.at, *change, *exit_code),
            What::Hook(_, Hook::PreStop) | What::Signal(..) => {
                turn(&mut self.bars, moment.at, Look::Ending);
            }
            _ => {}
        }
    }

    fn change(&mut self, at: Duration, change: ContainerChange, code: Option<i32>) {
        let look = self.bars.last().map_or(Look::Waiting, |bar| bar.look);
        let next = match change {
            ContainerChange::Pulling | ContainerChange::Pulled { .. } => Look::Starting,
            ContainerChange::PullFailed | ContainerChange::StartFailed => Look::Over,
            ContainerChange::PullBackOff(wait) | ContainerChange::BackOff(wait) => {
                Look::BackOff(wait)
            }
            ContainerChange::Started => {
                self.starts += 1;
                Look::Running
            }
            ContainerChange::Ready(true) if look == Look::Running => Look::Ready,
            ContainerChange::Ready(false) if look == Look::Ready => Look::Running,
            // One that waits for others to end first still serves.
            ContainerChange::Killing(_) if self.sees_actions => return,
            ContainerChange::Killing(_) | ContainerChange::Killed => Look::Ending,
            ContainerChange::Exited | ContainerChange::Lost => {
                self.ends.push(End { at, code });
                Look::Over
            }
            ContainerChange::Unhealthy(probe) => return self.failed(at, probe),
            ContainerChange::Probed(probe, true) if !self.sees_actions => {
                return self.tick(at, probe, false);
            }
            _ => return,
        };
        turn(&mut self.bars, at, next);
    }

    /// The last run has failed; where runs are not told, this is all that is known of it.
    fn failed(&mut self, at: Duration, probe: ProbeKind) {
        let mut ticks = self.ticks.iter_mut().rev();
        match ticks.find(|tick| self.sees_actions && tick.probe == probe) {
            Some(tick) => tick.failed = true,
            None => self.tick(at, probe, true),
        }
    }

    fn tick(&mut self, at: Duration, probe: ProbeKind, failed: bool) {
        self.ticks.push(Tick { at, probe, failed });
    }
}

/// The last bar ends and another begins, unless it looks the same.
fn turn<L: PartialEq>(bars: &mut Vec<Bar<L>>, at: Duration, look: L) {
    if bars.last().is_some_and(|last| last.look == look) {
        return;
    }
    end(bars, at);
    bars.push(Bar {
        from: at,
        to: at,
        look,
    });
}

fn end<L>(bars: &mut [Bar<L>], at: Duration) {
    if let Some(last) = bars.last_mut() {
        last.to = at;
    }
}
