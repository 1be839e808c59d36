//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Runs the pod of a manifest on this host until it ends, and shows what happens to it.
ConfigMaps and Secrets may stand beside it in the file.

usage: run [OPTIONS] MANIFEST

MANIFEST is a v1.Pod in YAML or JSON; - reads it from standard input.

options:
  --image NAME=dir:PATH  containers with the image NAME get the root file system in the directory PATH
  --state DIR            keep the pod's state in DIR: it outlives this program, and the same command finds it again
  --json                 print the v1.PodStatus, one line of JSON for each change, and nothing else
  --help                 this text

images that are always there:
  podlife.local/host     this host's own files, read-only
  podlife.local/demo     the same, and a program of small servers and clients as /run/demo

Ctrl-C deletes the pod gracefully, a second Ctrl-C kills it.

exit codes: 0 the pod succeeded or was deleted on request, 1 it failed, 2 wrong usage or manifest,
3 the node failed, 130 it was killed by the second Ctrl-C.
";

pub(crate) enum Command {
    Help,
    Run(Options),
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) manifest: String,
    pub(crate) images: Vec<(String, PathBuf)>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) json: bool,
}

/// Parses the arguments behind the program's name. An error is a sentence.
pub(crate) fn parse(args: &[String]) -> Result<Command, String> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = |what: &str| args.next().ok_or(format!("{arg} needs {what}"));
        match arg.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--json" => options.json = true,
            "--state" => options.state = Some(value("a directory")?.into()),
            "--image" => options.images.push(image(value("NAME=dir:PATH")?)?),
            flag if flag.starts_with('-') && flag != "-" => {
                return Err(format!("there is no option {flag}"));
            }
            manifest if options.manifest.is_empty() => options.manifest = manifest.to_string(),
            more => return Err(format!("one manifest at a time, {more} is the second")),
        }
    }
    if options.manifest.is_empty() {
        return Err("which manifest?".to_string());
    }
    Ok(Command::Run(options))
}

fn image(text: &str) -> Result<(String, PathBuf), String> {
    text.split_once("=dir:")
        .filter(|(name, path)| !name.is_empty() && !path.is_empty())
        .map(|(name, path)| (name.to_string(), PathBuf::from(path)))
        .ok_or(format!("--image takes NAME=dir:PATH, not {text:?}"))
}
