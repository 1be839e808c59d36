//! A small kubectl for a Node on this host: `podctl serve` in one terminal, everything else in another.
//!
//! It shows how the library is used from several threads, and is how to try it:
//!
//! ```sh
//! cargo run --example podctl -- serve &
//! cargo run --example podctl -- apply examples/pods/auto-pod.yaml
//! cargo run --example podctl -- exec -it auto-pod -- /bin/sh
//! ```

mod apply;
mod client;
mod copy;
mod debug;
mod forward;
mod list;
mod logs;
mod server;
mod streams;
mod top;
mod verbs;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use server::Outcome;
use wire::Request;

const HELP: &str = "\
podctl serve [--state DIRECTORY]           runs a Node, until Ctrl-C
podctl apply [-f] FILE                     its pods, ConfigMaps and Secrets; - is standard input
podctl get [POD…] [-w] [-o wide|json]      rows, as kubectl shows them
podctl describe POD…                       everything about one
podctl events [-w] [--for POD]             what happened
podctl top [POD…]                          what pods use
podctl metrics                             the Node's figures for Prometheus
podctl logs POD [-c NAME] [-f] [-p] [--tail N] [--since 5m] [--timestamps]
podctl exec [-i] [-t] POD [-c NAME] -- COMMAND…
podctl attach [-i] [-t] POD [-c NAME]
podctl debug POD [--image IMAGE] [--target NAME] [-c NAME] [-i] [-t] [-- COMMAND…]
podctl cp FROM TO [-c NAME]                one of them is POD:PATH
podctl port-forward POD [LOCAL:]PORT…
podctl restart POD [-c NAME]               all its containers, or one
podctl delete POD… [--grace-period SECONDS] [--force] [--wait=false]
  -n NAMESPACE    other than default
  --socket PATH   other than the user's own";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code.into(),
        Err(why) => {
            eprintln!("podctl: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let request = Request::parse(std::env::args().skip(1))?;
    let socket = socket(&request);
    match &*request.verb {
        "" | "help" => {
            println!("{HELP}");
            Ok(0)
        }
        _ if request.has("help") => {
            println!("{HELP}");
            Ok(0)
        }
        "serve" => server::serve(&socket, &request),
        "port-forward" => forward::listen(&socket, &request),
        _ => client::run(&socket, request),
    }
}

fn socket(request: &Request) -> PathBuf {
    if let Some(path) = request.flags.get("socket") {
        return path.into();
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let uid = nix::unistd::geteuid();
    let runtime = runtime.unwrap_or_else(|| std::env::temp_dir().join(format!("podctl-{uid}")));
    runtime.join("podctl.sock")
}
