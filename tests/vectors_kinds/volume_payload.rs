//! The files of volumes, in real directories.

use podlife::model::empty_dir::{memory_size, tmpfs_options};
use podlife::model::payload::{PayloadSources, TokenReader, removed_paths, validate_path};
use podlife::model::{Pod, Quantity, Volume};
use serde_json::{Map, Value, json};

use super::{Answer, Case, directories};

pub(crate) fn run(case: &Case) -> Answer {
    match case.op() {
        "payload" => payload(case),
        "tokenFileMode" => {
            let reader = TokenReader {
                user: case.read("fsUser"),
                fs_group: case.read("fsGroup"),
            };
            let file = reader.file(Vec::new(), case.read("defaultMode"));
            Answer::Covers(json!({ "mode": file.mode, "owner": file.owner }))
        }
        "validatePath" => Answer::Is(json!({ "valid": validate_path(case.text("path")).is_ok() })),
        "pathsToRemove" => {
            let (before, after): (Vec<String>, Vec<String>) =
                (case.read("before"), case.read("after"));
            let paths = removed_paths(
                before.iter().map(String::as_str),
                after.iter().map(String::as_str),
            );
            Answer::Is(json!({ "paths": paths }))
        }
        "emptyDirMemorySize" => {
            let pod: Pod = case.gated_pod();
            let size = memory_size(
                &pod.spec,
                case.read("sizeLimit"),
                case.read("nodeAllocatableMemory"),
            );
            let expect: Quantity = serde_json::from_value(case.expect["size"].clone()).unwrap();
            Answer::Judged(size == expect, json!({ "size": size }))
        }
        "tmpfsOptions" => {
            let options = tmpfs_options(
                case.read("sizeLimit"),
                case.read_or_default("noswapSupported"),
            );
            let holds = |part: &Value| options.contains(part.as_str().unwrap());
            let list = |key: &str| case.expect[key].as_array().into_iter().flatten();
            let asserts = list("contains").chain(list("lacks")).next().is_some();
            let right = list("contains").all(holds) && !list("lacks").any(holds);
            Answer::Judged(asserts && right, json!(options))
        }
        op => directories::run(op, case),
    }
}

fn payload(case: &Case) -> Answer {
    let volume: Volume = case.read("volume");
    let sources = PayloadSources {
        pod: &case.read_or_default("pod"),
        objects: &case.objects(),
        allocatable: &case.read_or_default("nodeAllocatable"),
        token_reader: TokenReader::default(),
    };
    let Ok(files) = sources.payload(&volume) else {
        return Answer::Is(json!({ "error": true }));
    };
    let files: Map<String, Value> = files
        .unwrap()
        .into_iter()
        .map(|(path, file)| {
            (
                path,
                json!({ "content": String::from_utf8_lossy(&file.content), "mode": file.mode }),
            )
        })
        .collect();
    Answer::Is(json!({ "files": files }))
}
