//! A pod's whole life in virtual time, at once: what would this manifest do, if its containers behaved like that?
//!
//! `cargo run --example simulate -- examples/pods/crash-loop.yaml examples/scenarios/crash-loop.yaml --svg life.svg`
//!
//! What a scenario can say stands in scenario.rs. world.rs plays it, and shows how a `PodMachine` is driven.

mod scenario;
mod world;

use std::process::ExitCode;

use podlife::lifecycle::PodOptions;
use podlife::model::{Pod, Valid};
use scenario::Scenario;
use world::World;

const USAGE: &str = "usage: simulate POD.yaml [SCENARIO.yaml] [--svg FILE]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("simulate: {}", why.trim_end());
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut files, mut svg) = (Vec::new(), None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--svg" => svg = Some(arguments.next().ok_or("--svg needs a file")?),
            option if option.starts_with('-') => return Err(USAGE.into()),
            _ => files.push(argument),
        }
    }
    let (manifest, scenario) = match &files[..] {
        [manifest] => (manifest, None),
        [manifest, scenario] => (manifest, Some(scenario)),
        _ => return Err(USAGE.into()),
    };
    let pod = Valid::<Pod>::try_from(&*read(manifest)?)
        .map_err(|errors| format!("{manifest}:\n{errors}"))?;
    let options = PodOptions::of(&pod).map_err(|errors| format!("{manifest}:\n{errors}"))?;
    let scenario = match scenario {
        Some(path) => {
            Scenario::parse(&read(path)?, &pod).map_err(|why| format!("{path}: {why}"))?
        }
        None => Scenario::default(),
    };
    let mut world = World::new(pod, options, scenario);
    world.live(|moment| println!("{moment}"));
    if let Some(path) = svg {
        std::fs::write(&path, world.timeline.svg())
            .map_err(|why| format!("write {path}: {why}"))?;
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("read {path}: {why}"))
}
