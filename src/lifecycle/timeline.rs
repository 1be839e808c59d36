//! A pod's life as a picture: its containers as bars, its probes as ticks, its phases as bands.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::history::History;
use super::machine::PodMachine;
use super::output::{Action, Change, ContainerChange, Output, ProbeKind};
use super::state::State;
use crate::error::Result;
use crate::model::Phase;
use crate::time::Now;

/// What a life looked like. [`Timeline::of`] draws it from a [`History`], so a simulated life and a real one look alike.
///
/// ```
/// use podlife::lifecycle::history::History;
/// use podlife::lifecycle::timeline::Timeline;
/// use podlife::lifecycle::PodOptions;
/// use podlife::model::{Pod, Valid};
/// use podlife::time::Now;
///
/// let pod: Valid<Pod> = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
///     "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#.try_into().unwrap();
/// let history = History::begin(pod, PodOptions::default(), Now::default());
/// let svg = Timeline::of(&history).unwrap().to_svg();
/// assert!(svg.starts_with("<svg") && svg.contains("web"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    name: String,
    lanes: Vec<Lane>,
    phases: Vec<(Duration, Phase)>,
    end: Duration,
}

/// One container's.
#[derive(Clone, Debug, Default, PartialEq)]
struct Lane {
    name: String,
    /// From when it was in which sort of state.
    bars: Vec<(Duration, Sort)>,
    ticks: Vec<Tick>,
}

/// A run of a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tick {
    at: Duration,
    probe: ProbeKind,
    failed: bool,
}

/// States that look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Idle,
    Starting,
    Running,
    Ready,
    Ending,
}

impl Sort {
    fn of(state: State, ready: bool) -> Sort {
        match state {
            State::Waiting => Sort::Idle,
            State::Inspecting | State::Pulling | State::Starting | State::PostStart => {
                Sort::Starting
            }
            // One that waits for its turn to end still serves.
            State::Running | State::InOrder if ready => Sort::Ready,
            State::Running | State::InOrder => Sort::Running,
            State::PreStop | State::Stopping | State::Killing => Sort::Ending,
        }
    }

    fn color(self) -> Option<&'static str> {
        match self {
            Sort::Idle => None,
            Sort::Starting => Some("#e8c468"),
            Sort::Running => Some("#8fb8de"),
            Sort::Ready => Some("#6aaa7c"),
            Sort::Ending => Some("#d9826c"),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Sort::Idle => "waiting",
            Sort::Starting => "starting",
            Sort::Running => "running",
            Sort::Ready => "ready",
            Sort::Ending => "ending",
        }
    }
}

impl Timeline {
    /// Lives the history again and looks on.
    ///
    /// # Errors
    /// Those of [`History::replay`].
    pub fn of(history: &History) -> Result<Timeline> {
        let mut timeline = Timeline {
            name: String::new(),
            lanes: Vec::new(),
            phases: Vec::new(),
            end: Duration::ZERO,
        };
        let begin = history
            .entries()
            .first()
            .map_or(Now::default(), |entry| entry.at);
        let since =
            |at: Now| Duration::from_nanos(at.wall.as_nanos().abs_diff(begin.wall.as_nanos()));
        let machine =
            history.replay(|at, output, machine| timeline.see(since(at), output, machine))?;
        timeline.name = machine.pod.metadata.name.clone().unwrap_or_default();
        Ok(timeline)
    }

    fn see(&mut self, at: Duration, output: Output, machine: &PodMachine) {
        match output {
            Output::Perform(
                _,
                Action::Probe {
                    container, probe, ..
                },
            ) => {
                let tick = Tick {
                    at,
                    probe,
                    failed: false,
                };
                self.lane(container.as_usize(), machine).ticks.push(tick);
            }
            Output::Notify(Change::Container {
                container,
                change: ContainerChange::Unhealthy(probe),
                ..
            }) => {
                let ticks = &mut self.lane(container.as_usize(), machine).ticks;
                if let Some(tick) = ticks.iter_mut().rev().find(|tick| tick.probe == probe) {
                    tick.failed = true;
                }
            }
            Output::Wait(_) => self.look(at, machine),
            _ => {}
        }
    }

    /// Everything has its state now.
    fn look(&mut self, at: Duration, machine: &PodMachine) {
        self.end = self.end.max(at);
        for index in 0..machine.record().containers().len() {
            let state = machine.containers[index].state;
            let sort = Sort::of(state, machine.shows_ready(index));
            let bars = &mut self.lane(index, machine).bars;
            if bars.last().is_none_or(|(_, last)| *last != sort) {
                bars.push((at, sort));
            }
        }
        if let Some(phase) = &machine.status().phase
            && self.phases.last().is_none_or(|(_, last)| last != phase)
        {
            self.phases.push((at, phase.clone()));
        }
    }

    fn lane(&mut self, index: usize, machine: &PodMachine) -> &mut Lane {
        while self.lanes.len() <= index {
            let record = machine.record().containers().get(self.lanes.len());
            let name = record.map_or("", |record| record.name()).to_owned();
            self.lanes.push(Lane {
                name,
                ..Lane::default()
            });
        }
        &mut self.lanes[index]
    }

    /// As a picture that stands alone.
    pub fn to_svg(&self) -> String {
        let mut drawing = Drawing::new(self);
        drawing.frame(&self.name);
        drawing.phases(&self.phases);
        for (row, lane) in self.lanes.iter().enumerate() {
            drawing.lane(row, lane);
        }
        drawing.axis();
        drawing.finish()
    }
}

/// As lines: when, whom, what.
impl Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pod = self
            .phases
            .iter()
            .map(|(at, phase)| (*at, "pod", phase.to_string()));
        let lanes = self.lanes.iter().flat_map(|lane| {
            lane.bars
                .iter()
                .map(|(at, sort)| (*at, lane.name.as_str(), sort.text().to_owned()))
        });
        let mut lines: Vec<(Duration, &str, String)> = pod.chain(lanes).collect();
        lines.sort_by_key(|(at, ..)| *at);
        for (at, whom, what) in lines {
            writeln!(f, "{:>10.3}s  {whom:<16} {what}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

const LEFT: f64 = 120.0;
const WIDTH: f64 = 760.0;
const TOP: f64 = 58.0;
const ROW: f64 = 34.0;

struct Drawing {
    svg: String,
    rows: usize,
    end: f64,
}

impl Drawing {
    fn new(timeline: &Timeline) -> Drawing {
        Drawing {
            svg: String::new(),
            rows: timeline.lanes.len(),
            end: timeline.end.as_secs_f64().max(0.001),
        }
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + WIDTH * at.as_secs_f64() / self.end
    }

    fn bottom(&self) -> f64 {
        TOP + ROW * self.rows as f64
    }

    /// Writing to a String cannot fail.
    fn put(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.svg.write_fmt(text);
        self.svg.push('\n');
    }

    fn frame(&mut self, name: &str) {
        let (width, height) = (LEFT + WIDTH + 20.0, self.bottom() + 40.0);
        self.put(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">"#
        ));
        self.put(format_args!(
            r##"<rect width="{width}" height="{height}" fill="#ffffff"/>"##
        ));
        let name = escape(name);
        self.put(format_args!(
            r##"<text x="12" y="24" font-size="15" font-weight="bold" fill="#222">{name}</text>"##
        ));
        let sorts = [Sort::Starting, Sort::Running, Sort::Ready, Sort::Ending];
        for (place, sort) in sorts.into_iter().enumerate() {
            let x = LEFT + WIDTH - 320.0 + 80.0 * place as f64;
            let (color, text) = (sort.color().unwrap_or("none"), sort.text());
            self.put(format_args!(
                r#"<rect x="{x:.1}" y="13" width="12" height="12" rx="2" fill="{color}"/>"#
            ));
            self.put(format_args!(
                r##"<text x="{:.1}" y="23" fill="#555">{text}</text>"##,
                x + 17.0
            ));
        }
    }

    /// Bands behind everything.
    fn phases(&mut self, phases: &[(Duration, Phase)]) {
        let height = self.bottom() - 34.0;
        for (place, (at, phase)) in phases.iter().enumerate() {
            let from = self.x(*at);
            let to = phases
                .get(place + 1)
                .map_or(LEFT + WIDTH, |(next, _)| self.x(*next));
            let color = match phase {
                Phase::Running => "#f1f7f2",
                Phase::Succeeded => "#e3f1e6",
                Phase::Failed => "#fae9e5",
                _ => "#f6f4ee",
            };
            let width = to - from;
            self.put(format_args!(
                r#"<rect x="{from:.1}" y="34" width="{width:.1}" height="{height:.1}" fill="{color}"/>"#
            ));
            if width > 55.0 {
                self.put(format_args!(
                    r##"<text x="{:.1}" y="49" fill="#777" font-size="11">{phase}</text>"##,
                    from + 5.0
                ));
            }
        }
    }

    fn lane(&mut self, row: usize, lane: &Lane) {
        let y = TOP + ROW * row as f64;
        let name = escape(&lane.name);
        self.put(format_args!(
            r##"<text x="12" y="{:.1}" fill="#222">{name}</text>"##,
            y + 16.0
        ));
        for (place, (at, sort)) in lane.bars.iter().enumerate() {
            let Some(color) = sort.color() else { continue };
            let from = self.x(*at);
            let to = lane
                .bars
                .get(place + 1)
                .map_or(LEFT + WIDTH, |(next, _)| self.x(*next));
            let (width, title) = ((to - from).max(1.0), sort.text());
            self.put(format_args!(
                r#"<rect x="{from:.1}" y="{:.1}" width="{width:.1}" height="18" rx="3" fill="{color}"><title>{title}</title></rect>"#,
                y + 3.0
            ));
        }
        for tick in &lane.ticks {
            let (x, color) = (
                self.x(tick.at),
                if tick.failed { "#b03a2e" } else { "#4a4a4a" },
            );
            let (from, to) = (y + 23.0, y + if tick.failed { 31.0 } else { 28.0 });
            self.put(format_args!(
                r#"<line x1="{x:.1}" y1="{from:.1}" x2="{x:.1}" y2="{to:.1}" stroke="{color}"/>"#
            ));
        }
    }

    /// Round numbers below.
    fn axis(&mut self) {
        let y = self.bottom() + 12.0;
        let steps = [
            0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0, 21600.0,
            86400.0,
        ];
        let step = steps
            .into_iter()
            .find(|step| self.end / step <= 12.0)
            .unwrap_or(self.end / 8.0);
        let mut at = 0.0;
        while at <= self.end {
            let x = LEFT + WIDTH * at / self.end;
            self.put(format_args!(
                r##"<line x1="{x:.1}" y1="34" x2="{x:.1}" y2="{y:.1}" stroke="#00000012"/>"##
            ));
            self.put(format_args!(
                r##"<text x="{x:.1}" y="{:.1}" fill="#777" font-size="11" text-anchor="middle">{} s</text>"##,
                y + 14.0,
                round(at)
            ));
            at += step;
        }
    }

    fn finish(mut self) -> String {
        self.put(format_args!("</svg>"));
        self.svg
    }
}

/// Without the noise of binary fractions.
fn round(at: f64) -> f64 {
    (at * 1000.0).round() / 1000.0
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
