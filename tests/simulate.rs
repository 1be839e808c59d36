//! The example `simulate`, its scenarios, and what is drawn of them.
#![cfg(feature = "yaml")]
#![allow(clippy::unwrap_used)]

#[path = "../examples/simulate/scenario.rs"]
mod scenario;
#[path = "../examples/simulate/world.rs"]
mod world;

use std::fs;
use std::path::PathBuf;

use podlife::lifecycle::PodOptions;
use podlife::lifecycle::history::History;
use podlife::lifecycle::timeline::{Timeline, What};
use podlife::model::{Phase, Pod, Valid};
use podlife::time::Now;
use scenario::Scenario;
use serde::Serialize;
use serde_json::Value;
use world::World;

const SCENARIOS: [&str; 4] = ["bad-day", "crash-loop", "init-and-sidecar", "slow-start"];

#[test]
fn a_crash_loop_backs_off_up_to_five_minutes() {
    let life = life("crash-loop");
    let waits: Vec<String> = life
        .text()
        .lines()
        .filter_map(|line| Some(line.split_once("back-off ")?.1.to_owned()))
        .collect();
    let expected = [
        "10 s",
        "20 s",
        "40 s",
        "1 min 20 s",
        "2 min 40 s",
        "5 min",
        "5 min",
        "5 min",
    ];
    assert_eq!(waits, expected.map(|wait| format!("{wait} before a start")));
    life.in_order(&[
        "0:00:20.020  crash             exited with 1",
        "0:00:20.035  crash             started, attempt 1",
        "0:00:50.050  crash             started, attempt 2",
        "0:23:00.000  pod               terminating: deleted",
        "pod               Failed",
        "pod               gone",
    ]);
}

#[test]
fn sidecars_start_before_the_others_and_end_after_them_in_reverse() {
    life("init-and-sidecar").in_order(&[
        "migrate           started, attempt 0",
        "migrate           exited with 1",
        "migrate           started, attempt 1",
        "migrate           exited with 0",
        "proxy             started, attempt 0",
        "proxy             startup probe: success",
        "shipper           started, attempt 0",
        "web               started, attempt 0",
        "pod               Running",
        "web               ready",
        "web               not ready",
        "web               ready",
        "0:00:50.000  pod               terminating: deleted",
        "0:00:50.000  web               stop signal",
        "0:00:56.000  web               exited with 0",
        "0:00:56.000  shipper           stop signal",
        "0:00:59.000  shipper           exited with 0",
        "0:00:59.000  proxy             stop signal",
        "0:01:00.000  proxy             exited with 0",
        "pod               Succeeded",
    ]);
}

#[test]
fn a_slow_start_is_given_time_and_a_hang_is_not() {
    life("slow-start").in_order(&[
        "slow              started, attempt 0",
        "slow              startup probe failed",
        "0:00:08.025  slow              startup probe: success",
        "slow              ready",
        "0:00:30.030  slow              liveness probe failed",
        "slow              is to end: its liveness probe failed",
        "0:00:30.030  slow              stop signal",
        "0:00:35.030  slow              its grace period is over",
        "0:00:35.030  slow              SIGKILL",
        "slow              exited with 137",
        "slow              not ready",
        "slow              started, attempt 1",
        "slow              startup probe: success",
        "slow              ready",
        "0:01:10.000  pod               terminating: deleted",
        "0:01:12.000  slow              exited with 0",
    ]);
}

#[test]
fn a_bad_day_ends_within_the_grace_period() {
    life("bad-day").in_order(&[
        "migrate           exited with 1",
        "migrate           exited with 0",
        "web               ready",
        "web               is to end: its liveness probe failed",
        "web               preStop hook",
        "web               stop signal",
        "web               SIGKILL",
        "web               exited with 137",
        "0:01:15.000  pod               terminating: deleted",
        "pod               gone",
    ]);
}

#[test]
fn what_the_machine_was_told_tells_the_same_life_again() {
    for name in SCENARIOS {
        let Life(world) = life(name);
        let mut outputs = Vec::new();
        let machine = world.history.replay(|_, output, _| outputs.push(output));
        assert_eq!(machine.status(), world.machine.status(), "{name}");
        assert_eq!(Timeline::of(&world.history), world.timeline);
        let mut folded = world.history.clone();
        for keep in (0..world.history.entries().count()).rev() {
            folded.fold(keep);
            let text = serde_json::to_string(&folded).unwrap();
            let read: History = serde_json::from_str(&text).unwrap();
            let mut later = Vec::new();
            let again = read.replay(|_, output, _| later.push(output));
            assert_eq!(json(&again), json(&machine), "{name}, {keep}");
            assert!(outputs.ends_with(&later), "{name}, {keep}: {later:?}");
        }
    }
}

/// What is read may have been written by anybody: a machine that has not all its parts is not taken.
#[test]
fn a_history_with_parts_missing_is_refused() {
    let Life(world) = life("bad-day");
    let whole = json(&world.history);
    assert!(serde_json::from_value::<History>(whole.clone()).is_ok());
    for part in [
        "/base/containers",
        "/base/record/containers",
        "/base/shape/containers",
        "/base/timers/all",
    ] {
        let mut value = whole.clone();
        let list = value.pointer_mut(part).and_then(Value::as_array_mut);
        list.unwrap().pop();
        let error = serde_json::from_value::<History>(value).unwrap_err();
        assert!(
            error.to_string().contains("not all of one machine"),
            "{part}: {error}"
        );
    }
    let mut value = whole.clone();
    *value.pointer_mut("/base/shape/regular/0").unwrap() = 99.into();
    assert!(serde_json::from_value::<History>(value).is_err());
}

#[test]
fn the_picture_in_the_readme_is_what_is_drawn_now() {
    let committed = read("examples/scenarios/crash-loop.svg");
    assert!(
        life("crash-loop").0.timeline.svg() == committed,
        "the drawing changed. If it should: cargo run --example simulate -- examples/pods/crash-loop.yaml \
         examples/scenarios/crash-loop.yaml --svg examples/scenarios/crash-loop.svg"
    );
    assert!(read("README.md").contains("(examples/scenarios/crash-loop.svg)"));
}

#[test]
fn pictures_are_well_formed() {
    for name in SCENARIOS {
        let svg = life(name).0.timeline.svg();
        let elements = xml::check(&svg).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(elements > 20, "{name}: {elements} elements");
    }
    let mut odd = Timeline::new("<a> & \"b\" ' \u{0} \u{1b}[1m ]]> \u{ffff} ä");
    let phase = Phase::from("<&\">");
    odd.tell(Now::default(), What::Phase(phase));
    xml::check(&odd.svg()).unwrap();
    for broken in [
        "<a>",
        "<a></b>",
        "<a b=c/>",
        "<a>&x;</a>",
        "<a>\u{1}</a>",
        "<a/><a/>",
    ] {
        assert!(xml::check(broken).is_err(), "{broken}");
    }
}

#[test]
fn a_long_life_is_a_small_picture() {
    let pod = "slow-start";
    let probed = lived(pod, "until: 24h\n");
    assert!(probed.0.timeline.svg().len() < 60_000);
    let crashes = lived(
        "crash-loop",
        "until: 720h\ncontainers:\n  crash:\n    - exits: { after: 1s, code: 1 }\n",
    );
    let svg = crashes.0.timeline.svg();
    assert!(svg.contains("8615 restarts"));
    assert!(svg.len() < 500_000, "{} bytes", svg.len());
}

#[test]
fn a_failing_start_image_or_hook_is_tried_again() {
    let life = lived(
        "crash-loop",
        "deleted: 2m\ncontainers:\n  crash:\n    - image: fails\n    - image: 3s\n      start: fails\n    - start: 1s\n",
    );
    life.in_order(&[
        "0:00:00.010  crash             pulls its image",
        "crash             cannot pull its image: ",
        "crash             image pulled in 3 s",
        "crash             could not be started: it cannot be made",
        "crash             started, attempt",
        "0:02:00.000  pod               terminating: deleted",
        "crash             exited with 143",
    ]);
}

#[test]
fn a_wrong_scenario_is_told_by_field_and_line() {
    let pod = pod("crash-loop");
    let wrong = |text: &str| Scenario::parse(text, &pod).unwrap_err();
    let cases = [
        (
            "until: 5m\ndeleted: soon\n",
            ["line 2", "\"soon\" is not a time"],
        ),
        (
            "containers:\n  crash:\n    - exit: 1s\n",
            ["line 3", "unknown field `exit`"],
        ),
        (
            "containers:\n  crash:\n    - exits: { code: 1 }\n",
            ["line 3", "missing field `after`"],
        ),
        (
            "containers:\n  crash:\n    - stops: no\n",
            ["line 3", "nor `never`"],
        ),
        (
            "containers:\n  crush: [{ start: fails }]\n",
            [
                "line 2",
                "containers.crush: the pod has no such container, but crash",
            ],
        ),
    ];
    for (text, expected) in cases {
        let why = wrong(text);
        assert!(expected.iter().all(|part| why.contains(part)), "{why}");
    }
}

/// As the API shows it: times are whole seconds there, and in what was read back.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

/// A life that is over.
struct Life(World);

impl Life {
    fn text(&self) -> String {
        self.0.timeline.to_string()
    }

    /// Each is in a line, and that line comes after the line of the one before.
    fn in_order(&self, expected: &[&str]) {
        let text = self.text();
        let mut lines = text.lines();
        for part in expected {
            assert!(
                lines.any(|line| line.contains(part)),
                "no {part:?}, or not in its place, in\n{text}"
            );
        }
    }
}

fn life(name: &str) -> Life {
    lived(name, &read(&format!("examples/scenarios/{name}.yaml")))
}

/// What is told as it comes is what the timeline holds.
fn lived(name: &str, scenario: &str) -> Life {
    let pod = pod(name);
    let scenario = Scenario::parse(scenario, &pod).unwrap();
    let options = PodOptions::of(&pod).unwrap();
    let mut world = World::new(pod, options, scenario);
    let mut told = String::new();
    world.live(|moment| told += &format!("{moment}\n"));
    assert_eq!(told, world.timeline.to_string());
    Life(world)
}

fn pod(name: &str) -> Valid<Pod> {
    let path = match name {
        "bad-day" => "examples/scenarios/web.yaml".to_owned(),
        _ => format!("examples/pods/{name}.yaml"),
    };
    let text = read(&path);
    Valid::<Pod>::try_from(&*text).unwrap()
}

fn read(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// As much of XML as a drawing needs: elements that nest, quoted attributes, known entities, legal characters.
mod xml {
    /// The number of elements.
    pub(crate) fn check(text: &str) -> Result<usize, String> {
        let (mut open, mut elements, mut rest) = (Vec::new(), 0, text.trim());
        while let Some(tag) = rest.strip_prefix('<') {
            let (tag, after) = tag.split_once('>').ok_or("a tag that does not end")?;
            if let Some(name) = tag.strip_prefix('/') {
                let opened = open.pop();
                if opened != Some(name) {
                    return Err(format!("</{name}> ends {opened:?}"));
                }
            } else {
                elements += 1;
                let name = element(tag)?;
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
            let (text, next) = after.split_at(after.find('<').unwrap_or(after.len()));
            characters(text)?;
            if open.is_empty() {
                return match after.is_empty() {
                    true => Ok(elements),
                    false => Err(format!("after the end: {after}")),
                };
            }
            rest = next;
        }
        Err(format!("{open:?} do not end"))
    }

    /// Its name; its attributes are looked at.
    fn element(tag: &str) -> Result<&str, String> {
        let tag = tag.trim_end_matches('/');
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut seen = Vec::new();
        while !rest.trim().is_empty() {
            let (key, value) = rest.split_once("=\"").ok_or_else(|| format!("<{tag}>"))?;
            let (value, after) = value.split_once('"').ok_or_else(|| format!("<{tag}>"))?;
            characters(value)?;
            if value.contains('<') || seen.contains(&key.trim()) || key.trim().contains(' ') {
                return Err(format!("{key} in <{tag}>"));
            }
            seen.push(key.trim());
            rest = after;
        }
        let is_letter = |letter: char| letter.is_ascii_alphanumeric();
        match name.chars().all(is_letter) && !name.is_empty() {
            true => Ok(name),
            false => Err(format!("<{tag}>")),
        }
    }

    fn characters(text: &str) -> Result<(), String> {
        let is_illegal =
            |c: char| c.is_control() && c != '\n' || c == '\u{ffff}' || c == '\u{fffe}';
        let known = ["amp;", "lt;", "gt;", "quot;"];
        let mut entities = text.split('&').skip(1);
        match text.contains(is_illegal)
            || text.contains("]]>")
            || !entities.all(|entity| known.iter().any(|known| entity.starts_with(known)))
        {
            true => Err(format!("illegal: {text:?}")),
            false => Ok(()),
        }
    }
}
