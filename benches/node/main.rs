//! What a Node costs, each figure beside the bare way in the same run, in which they take turns.
//!
//! `cargo bench --bench node`, as root or as an ordinary user; `-- start exec http logs idle` chooses some. A host that does
//! other things too makes medians long and says little by the longest: the fastest tenth is what it costs undisturbed.
#![allow(unsafe_code, clippy::unwrap_used)]

#[cfg(target_os = "linux")]
mod container;
#[cfg(target_os = "linux")]
mod exec;
#[cfg(target_os = "linux")]
mod http;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod logs;
#[cfg(target_os = "linux")]
mod runtime;
#[cfg(target_os = "linux")]
mod start;
#[cfg(target_os = "linux")]
mod turns;

/// By its name; true asks for all of it.
#[cfg(target_os = "linux")]
type Section = (&'static str, fn(bool));

#[cfg(target_os = "linux")]
fn main() {
    const SECTIONS: [Section; 5] = [
        ("start", start::run),
        ("exec", exec::run),
        ("http", http::run),
        ("logs", logs::run),
        ("idle", idle::run),
    ];
    if container::has_run() {
        return;
    }
    // `cargo test --benches` runs it too: a little is then enough.
    let whole = std::env::args().any(|word| word == "--bench");
    let chosen: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for (name, run) in SECTIONS {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            println!("\n{name}");
            run(whole);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
