//! A life as a picture: a ruler, and what it measures.

use std::fmt::{Arguments, Display, Formatter, Result, Write};
use std::time::Duration;

use super::Timeline;
use super::bars::{Band, Bar, End, Lane, Look, Tick, bands};
use super::text::{Span, name};
use crate::model::Phase;

/// Pixels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 148.0;
const RIGHT: f64 = 24.0;
const BAND: f64 = 60.0;
const TOP: f64 = 90.0;
const LANE: f64 = 50.0;
const BAR: f64 = 20.0;
/// Nothing is narrower.
const LEAST: f64 = 1.5;
/// Ticks are no closer.
const APART: f64 = 3.0;
/// Of a letter of the small text, about.
const LETTER: f64 = 6.0;

const INK: &str = "#24292f";
const SOFT: &str = "#6a737d";
const GOOD: &str = "#4f9d69";
const BAD: &str = "#c4473a";

/// Draws it.
pub(super) fn draw(timeline: &Timeline) -> String {
    let lanes: Vec<Lane> = (0..timeline.lanes.len())
        .map(|place| Lane::of(timeline, place))
        .collect();
    let bands = bands(timeline);
    let mut picture = Picture::new(timeline.end, lanes.len());
    picture.begin();
    picture.title(timeline, &lanes, &bands);
    picture.bands(&bands);
    picture.axis();
    for (row, (name, lane)) in timeline.lanes.iter().zip(&lanes).enumerate() {
        picture.lane(TOP + LANE * row as f64, name, lane);
    }
    picture.legend(&lanes);
    picture.put(format_args!("</svg>"));
    picture.svg
}

/// An image that is being drawn.
struct Picture {
    svg: String,
    /// In seconds; never nothing.
    span: f64,
    /// Where the lanes end and the axis is.
    bottom: f64,
}

impl Picture {
    fn new(end: Duration, lanes: usize) -> Picture {
        Picture {
            svg: String::new(),
            span: end.as_secs_f64().max(0.001),
            bottom: TOP + LANE * lanes as f64,
        }
    }

    fn put(&mut self, text: Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.svg.write_fmt(text);
        self.svg.push('\n');
    }

    /// Where a point in time is.
    fn x(&self, at: Duration) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * at.as_secs_f64() / self.span
    }

    fn begin(&mut self) {
        let height = self.bottom + 72.0;
        self.put(format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', Helvetica, Arial, sans-serif" font-size="11">"##
        ));
        self.put(format_args!(
            r##"<defs><pattern id="wait" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#f3e6d0"/><rect width="2" height="6" fill="#e6cfa5"/></pattern></defs>"##
        ));
        self.put(format_args!(
            r##"<rect width="{WIDTH}" height="{height}" rx="8" fill="#fdfdfc"/>"##
        ));
    }

    fn title(&mut self, timeline: &Timeline, lanes: &[Lane], bands: &[Bar<Band>]) {
        let pod = Escaped(&timeline.name);
        self.put(format_args!(
            r##"<text x="16" y="30" font-size="17" font-weight="600" fill="{INK}">{pod}</text>"##
        ));
        let restarts: usize = lanes.iter().map(|lane| lane.starts.saturating_sub(1)).sum();
        let last = bands.last().map_or("", |band| band.look.name());
        let (x, span) = (WIDTH - RIGHT, Span(timeline.end));
        self.put(format_args!(
            r##"<text x="{x}" y="30" font-size="12" text-anchor="end" fill="{SOFT}">{span} · {} · {last}</text>"##,
            Restarts(restarts),
            last = Escaped(last),
        ));
    }

    /// The phases, behind everything.
    fn bands(&mut self, bands: &[Bar<Band>]) {
        for band in bands {
            let (x, width) = self.stretch(band);
            let (strong, pale) = band.look.colors();
            let (height, title) = (self.bottom - BAND, Escaped(band.look.name()));
            self.put(format_args!(
                r##"<rect x="{x:.1}" y="{BAND}" width="{width:.1}" height="{height}" fill="{pale}"/>"##
            ));
            self.put(format_args!(
                r##"<rect x="{x:.1}" y="{BAND}" width="{width:.1}" height="18" fill="{strong}"><title>{title}</title></rect>"##
            ));
            if fits(band.look.name(), width) {
                let (x, y) = (x + 6.0, BAND + 13.0);
                self.put(format_args!(
                    r##"<text x="{x:.1}" y="{y}" fill="{INK}">{title}</text>"##
                ));
            }
        }
    }

    /// Where a bar begins, and how wide it is.
    fn stretch<L>(&self, bar: &Bar<L>) -> (f64, f64) {
        let x = self.x(bar.from);
        (x, (self.x(bar.to) - x).max(LEAST))
    }

    /// What is too short to be drawn to scale is left out, but never that a container ran.
    fn is_seen(&self, bar: &Bar<Look>) -> bool {
        let is_short = self.x(bar.to) - self.x(bar.from) < 0.5;
        bar.look.fill().is_some()
            && (!is_short || matches!(bar.look, Look::Running | Look::Ready) && bar.from < bar.to)
    }

    /// Round times, through all lanes.
    fn axis(&mut self) {
        let step = step(self.span);
        let mut at = 0.0;
        while at <= self.span {
            let x = LEFT + (WIDTH - LEFT - RIGHT) * at / self.span;
            let (from, to, y) = (BAND + 18.0, self.bottom + 4.0, self.bottom + 18.0);
            let label = Span(Duration::from_secs_f64(at)).to_string();
            // The last one stays inside.
            let middle = x.min(WIDTH - 8.0 - LETTER * label.len() as f64 / 2.0);
            self.put(format_args!(
                r##"<path d="M{x:.1} {from}V{to}" stroke="#000" stroke-opacity=".07"/>"##
            ));
            self.put(format_args!(
                r##"<text x="{middle:.1}" y="{y}" text-anchor="middle" fill="{SOFT}">{label}</text>"##
            ));
            at += step;
        }
    }

    fn lane(&mut self, top: f64, name: &str, lane: &Lane) {
        let y = top + 22.0;
        let (name, below) = (Escaped(name), y + 14.0);
        self.put(format_args!(
            r##"<text x="16" y="{y}" font-size="13" fill="{INK}">{name}</text>"##
        ));
        let restarts = lane.starts.saturating_sub(1);
        if restarts > 0 {
            self.put(format_args!(
                r##"<text x="16" y="{below}" fill="{SOFT}">{}</text>"##,
                Restarts(restarts)
            ));
        }
        let mut drawn = f64::MIN;
        for bar in &lane.bars {
            // What ends within the same pixel as the one before is hidden by it.
            if self.is_seen(bar) && self.x(bar.to) >= drawn + 0.5 {
                drawn = self.x(bar.to);
                self.bar(top + 8.0, bar);
            }
        }
        self.ticks(top + 31.0, &lane.ticks);
        self.ends(top + 8.0, &lane.ends);
    }

    fn bar(&mut self, y: f64, bar: &Bar<Look>) {
        let Some(fill) = bar.look.fill() else { return };
        let (x, width) = self.stretch(bar);
        let (text, span) = (bar.look.text(), Span(bar.to - bar.from));
        self.put(format_args!(
            r##"<rect x="{x:.1}" y="{y}" width="{width:.1}" height="{BAR}" rx="2" fill="{fill}"><title>{text}, {span}</title></rect>"##
        ));
        if let Look::BackOff(wait) = bar.look {
            let label = Span(wait).to_string();
            if fits(&label, width) {
                let (x, y) = (x + width / 2.0, y + 14.0);
                self.put(format_args!(
                    r##"<text x="{x:.1}" y="{y}" text-anchor="middle" fill="#7a5f2c">{label}</text>"##
                ));
            }
        }
    }

    /// A short tick for a success, a long one for a failure; successes make room.
    fn ticks(&mut self, y: f64, ticks: &[Tick]) {
        let (mut last, mut last_failed) = (f64::MIN, f64::MIN);
        for tick in ticks {
            let x = self.x(tick.at);
            let before = if tick.failed {
                last_failed
            } else {
                last.max(last_failed)
            };
            if x < before + if tick.failed { LEAST } else { APART } {
                continue;
            }
            let (color, length, result) = if tick.failed {
                last_failed = x;
                (BAD, 10, "failed")
            } else {
                last = x;
                ("#8c959f", 5, "run")
            };
            self.put(format_args!(
                r##"<path d="M{x:.1} {y}v{length}" stroke="{color}" stroke-width="1.2"><title>{} probe {result}</title></path>"##,
                name(tick.probe)
            ));
        }
    }

    /// A mark where an attempt ended, and its code where there is room.
    fn ends(&mut self, y: f64, ends: &[End]) {
        let mut written = f64::MIN;
        let mut drawn = f64::MIN;
        for end in ends {
            let x = self.x(end.at);
            if x < drawn + LEAST {
                continue;
            }
            drawn = x;
            let color = if end.code == Some(0) { GOOD } else { BAD };
            let code = end.code.map_or("?".to_owned(), |code| code.to_string());
            let from = y - 3.0;
            self.put(format_args!(
                r##"<path d="M{x:.1} {from}v26" stroke="{color}" stroke-width="2"><title>exit code {code}</title></path>"##
            ));
            let half = LETTER * code.len() as f64 / 2.0;
            if x - half > written + 2.0 {
                written = x + half;
                self.put(format_args!(
                    r##"<text x="{x:.1}" y="{}" font-size="10" text-anchor="middle" fill="{color}">{code}</text>"##,
                    y - 5.0
                ));
            }
        }
    }

    /// Names of what there is.
    fn legend(&mut self, lanes: &[Lane]) {
        let y = self.bottom + 40.0;
        let mut x = LEFT;
        let looks = [
            Look::Waiting,
            Look::Starting,
            Look::Running,
            Look::Ready,
            Look::BackOff(Duration::ZERO),
            Look::Ending,
        ];
        for look in looks {
            let is_same = |bar: &Bar<Look>| bar.look.text() == look.text() && self.is_seen(bar);
            let Some(fill) = look.fill() else { continue };
            if !lanes.iter().any(|lane| lane.bars.iter().any(is_same)) {
                continue;
            }
            self.put(format_args!(
                r##"<rect x="{x}" y="{y}" width="14" height="12" rx="2" fill="{fill}"/>"##
            ));
            x = self.word(x + 20.0, y, look.text());
        }
        let ticks = || lanes.iter().flat_map(|lane| &lane.ticks);
        if ticks().next().is_some() {
            self.stroke(x, y + 4.0, 5, "#8c959f", 1.2);
            x = self.word(x + 8.0, y, "probe");
        }
        if ticks().any(|tick| tick.failed) {
            self.stroke(x, y + 1.0, 10, BAD, 1.2);
            x = self.word(x + 8.0, y, "failed probe");
        }
        let ends = || lanes.iter().flat_map(|lane| &lane.ends);
        for (is_good, color, text) in [(true, GOOD, "exit 0"), (false, BAD, "other exit")] {
            if ends().any(|end| (end.code == Some(0)) == is_good) {
                self.stroke(x, y - 1.0, 14, color, 2.0);
                x = self.word(x + 8.0, y, text);
            }
        }
    }

    fn stroke(&mut self, x: f64, y: f64, length: u32, color: &str, width: f64) {
        self.put(format_args!(
            r##"<path d="M{x:.1} {y}v{length}" stroke="{color}" stroke-width="{width}"/>"##
        ));
    }

    /// A word of the legend; gives where the next thing may begin.
    fn word(&mut self, x: f64, y: f64, text: &str) -> f64 {
        let y = y + 10.0;
        self.put(format_args!(
            r##"<text x="{x:.1}" y="{y}" fill="{SOFT}">{text}</text>"##
        ));
        x + LETTER * text.len() as f64 + 18.0
    }
}

impl Look {
    fn text(self) -> &'static str {
        match self {
            Look::Waiting => "waiting",
            Look::Starting => "starting",
            Look::BackOff(_) => "back-off",
            Look::Running => "running",
            Look::Ready => "ready",
            Look::Ending => "terminating",
            Look::Over => "ended",
        }
    }

    fn fill(self) -> Option<&'static str> {
        match self {
            Look::Waiting => Some("#e7e9ec"),
            Look::Starting => Some("#e3c565"),
            Look::BackOff(_) => Some("url(#wait)"),
            Look::Running => Some("#9dc0e3"),
            Look::Ready => Some("#86bf98"),
            Look::Ending => Some("#df9f8a"),
            Look::Over => None,
        }
    }
}

impl Band {
    fn name(&self) -> &str {
        match self {
            Band::Phase(phase) => phase.as_str(),
            Band::Terminating => "Terminating",
        }
    }

    /// Of the strip, and of what is below it.
    fn colors(&self) -> (&'static str, &'static str) {
        match self {
            Band::Phase(Phase::Pending) => ("#ece9df", "#faf9f5"),
            Band::Phase(Phase::Running) => ("#dcebf7", "#f6fafd"),
            Band::Phase(Phase::Succeeded) => ("#d8ecdd", "#f5fbf6"),
            Band::Phase(Phase::Failed) => ("#f6d9d4", "#fdf5f3"),
            Band::Phase(_) => ("#e7e9ec", "#f8f9fa"),
            Band::Terminating => ("#f3e0d8", "#fcf7f4"),
        }
    }
}

fn fits(text: &str, width: f64) -> bool {
    LETTER * text.len() as f64 + 8.0 <= width
}

/// The seconds between two labels: round, and few enough.
fn step(span: f64) -> f64 {
    const ROUND: [f64; 22] = [
        0.001, 0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0,
        900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0,
    ];
    let fitting = ROUND.into_iter().find(|step| span / step <= 10.0);
    fitting.unwrap_or_else(|| (span / 864_000.0).ceil() * 86400.0)
}

/// `3 restarts`.
struct Restarts(usize);

impl Display for Restarts {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            0 => f.write_str("no restart"),
            1 => f.write_str("1 restart"),
            many => write!(f, "{many} restarts"),
        }
    }
}

/// Text as XML may have it.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            // XML has no way to write these.
            '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}'),
            letter if letter.is_control() => f.write_char('\u{fffd}'),
            letter => f.write_char(letter),
        })
    }
}
