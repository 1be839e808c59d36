//! What the user sees: rows as `kubectl get pods -w`, events, and the containers' output.

use std::io::{self, IsTerminal, Write};

use podlife::model::PodStatus;
use podlife::node::{ContainerChange, Event, EventKind, EventType, Row};

const GREY: &str = "90";
const YELLOW: &str = "33";
const BOLD: &str = "1";
/// Of the containers, in turn.
const COLOURS: [&str; 6] = ["36", "35", "32", "34", "31", "33"];

pub(crate) struct Screen {
    json: bool,
    colours: bool,
    /// Set when nobody reads any more.
    pub(crate) closed: bool,
    containers: Vec<String>,
    last: String,
}

impl Screen {
    pub(crate) fn new(json: bool, containers: Vec<String>) -> Screen {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let mut screen = Screen {
            json,
            colours,
            closed: false,
            containers,
            last: String::new(),
        };
        if !json {
            screen.print(BOLD, Row::HEADER);
        }
        screen
    }

    /// The pod's row or its status, if there is something new to it: a higher age alone is not.
    pub(crate) fn pod(&mut self, row: &Row, status: &PodStatus) {
        let (news, text) = if self.json {
            let json = serde_json::to_string(status).unwrap_or_default();
            (json.clone(), json)
        } else {
            // "2 (10s ago)": only the count is news.
            let restarts = row.restarts.split(' ').next().unwrap_or_default();
            (
                format!("{} {} {restarts}", row.ready, row.status),
                row.to_string(),
            )
        };
        if news != self.last {
            self.last = news;
            self.write(&text);
        }
    }

    /// An event, unless the rows say the same.
    pub(crate) fn event(&mut self, event: &Event) {
        let in_the_row = match &event.kind {
            EventKind::Phase(_) | EventKind::Condition(..) => true,
            EventKind::Container(event) => matches!(event.change, ContainerChange::Ready(_)),
            _ => false,
        };
        if in_the_row {
            return;
        }
        let colour = match event.event_type() {
            EventType::Normal => GREY,
            EventType::Warning => YELLOW,
        };
        self.print(
            colour,
            &format!("  {}: {}", event.reason(), event.message()),
        );
    }

    /// A line of a container's output.
    pub(crate) fn output(&mut self, container: &str, line: &str) {
        let width = self.containers.iter().map(String::len).max().unwrap_or(0);
        let place = self
            .containers
            .iter()
            .position(|name| name == container)
            .unwrap_or(0);
        let name = self.painted(COLOURS[place % COLOURS.len()], container);
        let space = " ".repeat(width - container.len().min(width));
        if !self.json {
            self.write(&format!("{name}{space} | {line}"));
        }
    }

    /// What the example itself has to say.
    pub(crate) fn note(&mut self, text: &str) {
        self.print(YELLOW, text);
    }

    fn print(&mut self, colour: &str, text: &str) {
        if !self.json {
            self.write(&self.painted(colour, text));
        }
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_string(),
        }
    }

    fn write(&mut self, line: &str) {
        self.closed |= writeln!(io::stdout(), "{line}").is_err();
    }
}
