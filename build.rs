//! Builds the pause program, src/pause: a freestanding static ELF, with the toolchain's own rustc and linker.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/pause");
    for shared in [
        "pause/wire.rs",
        "pause/words.rs",
        "pause/flat.rs",
        "sys/raw.rs",
    ] {
        println!("cargo::rerun-if-changed=src/linux/{shared}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    if variable("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    assert!(
        ["x86_64", "aarch64"].contains(&architecture.as_str()),
        "podlife runs pods on x86_64 and aarch64 only, not on {architecture}"
    );
    let output = Path::new(&variable("OUT_DIR")).join("pause");
    let mut compiler = compiler(&output);
    let done = compiler
        .status()
        .unwrap_or_else(|error| panic!("cannot run {compiler:?}: {error}"));
    assert!(
        done.success(),
        "the pause program could not be built: {done}, by {compiler:?}"
    );
}

fn compiler(output: &Path) -> Command {
    let target = variable("TARGET");
    // Neither RUSTC_WRAPPER nor the user's RUSTFLAGS: this is another kind of program than theirs.
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args([
        "--edition=2024",
        "--crate-name=podlife_pause",
        "--crate-type=bin",
        "--target",
        &target,
    ]);
    rustc.args([
        "-Copt-level=z",
        "-Cpanic=abort",
        "-Crelocation-model=static",
        "-Ccodegen-units=1",
        "-Clto=fat",
    ]);
    rustc.args([
        "-Cstrip=symbols",
        "-Cdebuginfo=0",
        "-Cforce-unwind-tables=no",
        "-Ctarget-feature=+crt-static",
    ]);
    if target.contains("musl") {
        rustc.arg("-Clink-self-contained=no");
    }
    match rust_lld() {
        Some(lld) => {
            rustc
                .arg(option("-Clinker=", &lld))
                .arg("-Clinker-flavor=ld.lld");
            rustc.args(["-Clink-arg=--build-id=none", "-Clink-arg=--gc-sections"]);
        }
        None => {
            let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
            rustc.arg(option("-Clinker=", Path::new(&linker)));
            rustc.args([
                "-Clink-arg=-nostartfiles",
                "-Clink-arg=-nostdlib",
                "-Clink-arg=-static",
            ]);
            rustc.args([
                "-Clink-arg=-Wl,--build-id=none",
                "-Clink-arg=-Wl,--gc-sections",
            ]);
        }
    }
    rustc.arg("src/pause/main.rs").arg("-o").arg(output);
    rustc
}

/// The linker in the sysroot of the host's toolchain; distributions often leave it out.
fn rust_lld() -> Option<PathBuf> {
    let sysroot = Command::new(variable("RUSTC"))
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let sysroot = String::from_utf8(sysroot.stdout).ok()?;
    let lld = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(variable("HOST"))
        .join("bin/rust-lld");
    lld.exists().then_some(lld)
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
