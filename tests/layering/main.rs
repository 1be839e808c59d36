//! The house rules that a program can check: who imports whom, words that have no place in a folder, sizes,
//! where `unsafe` may stand, and that every example pod is a valid one.
//!
//! Everything is checked on the sources with comments, strings and test modules blanked out. An exception
//! stands in [`ALLOWED`], with its reason, and must be needed: an unused one fails the test.

#![allow(clippy::unwrap_used)]

mod source;

use std::fs;

use source::{Source, root, sources};

/// `(rule, file, what, why)`: the only exceptions there are.
const ALLOWED: &[(&str, &str, &str, &str)] = &[];

/// Files that may say `unsafe`. A name ending in `/` stands for everything below it.
const UNSAFE: &[(&str, &str)] = &[
    ("src/linux/sys/", "raw system calls, one noun a file"),
    (
        "src/pause/",
        "a freestanding program: no standard library to do it for us",
    ),
];

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;

/// What each room of `src/` may import from the crate: `error, time <- model <- lifecycle <- node -> linux`.
const IMPORTS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("time", &["error"]),
    ("model", &["error", "time"]),
    ("lifecycle", &["error", "time", "model"]),
    ("linux", &["error", "time"]),
    ("node", &["error", "time", "model", "lifecycle", "linux"]),
    ("pause", &[]),
    ("signals", &["error"]),
];

/// Names at the crate root that stand for a room.
const RE_EXPORTS: &[(&str, &str)] = &[
    ("Error", "error"),
    ("Kind", "error"),
    ("Result", "error"),
    ("cgroup", "linux"),
    ("namespace", "linux"),
    ("init", "lifecycle"),
    ("termination", "lifecycle"),
    ("Node", "node"),
];

/// Words banned below a folder: `(folder, word, why)`. A trailing `*` means a prefix.
const BANNED: &[(&str, &str, &str)] = &[
    ("src/", "println!", "a library never prints"),
    ("src/", "eprintln!", "a library never prints"),
    ("src/", "print!", "a library never prints"),
    ("src/", "eprint!", "a library never prints"),
    ("src/", "dbg!", "a library never prints"),
    ("src/", "todo!", "no stub is called done"),
    ("src/", "unimplemented!", "no stub is called done"),
    ("src/", "trace!", "a library never logs"),
    ("src/", "debug!", "a library never logs"),
    ("src/", "info!", "a library never logs"),
    ("src/", "warn!", "a library never logs"),
    ("src/", "error!", "a library never logs"),
    ("src/", "set_var", "the environment is the embedder's"),
    ("src/", "remove_var", "the environment is the embedder's"),
    ("src/", "set_current_dir", "the cwd is the embedder's"),
    ("src/", "thread_local!", "no hidden state"),
    ("src/", "lazy_static!", "no hidden state"),
    ("src/lifecycle/", "libc", "the machine builds on any OS"),
    ("src/lifecycle/", "nix", "the machine builds on any OS"),
    ("src/lifecycle/", "caps", "the machine builds on any OS"),
    ("src/lifecycle/", "procfs", "the machine builds on any OS"),
    ("src/lifecycle/", "pid", "the machine never names a pid"),
    ("src/lifecycle/", "Pid", "the machine never names a pid"),
    ("src/lifecycle/", "pidfd", "the machine never names a pid"),
    ("src/lifecycle/", "Instant", "the machine has no clock"),
    ("src/lifecycle/", "SystemTime", "the machine has no clock"),
    ("src/lifecycle/", "OwnedFd", "the machine has no descriptor"),
    (
        "src/lifecycle/",
        "BorrowedFd",
        "the machine has no descriptor",
    ),
    ("src/lifecycle/", "RawFd", "the machine has no descriptor"),
    ("src/lifecycle/", "thread", "the machine has no thread"),
    ("src/model/", "libc", "the model builds on any OS"),
    ("src/model/", "nix", "the model builds on any OS"),
    ("src/model/", "caps", "the model builds on any OS"),
    ("src/model/", "procfs", "the model builds on any OS"),
    ("src/model/", "Instant", "the model has no clock"),
    ("src/model/", "SystemTime", "the model has no clock"),
    ("src/linux/", "Pod*", "linux never names a Pod"),
    ("src/linux/", "set_hook", "the panic hook is the embedder's"),
    ("src/node/", "waitpid", "only a pidfd is waited for"),
    ("src/linux/", "waitpid", "only a pidfd is waited for"),
];

#[test]
fn imports_point_one_way() {
    let mut wrong = Findings::new("imports");
    for file in sources("src") {
        let room = file.room();
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == room) else {
            continue; // lib.rs and the manual may name every room
        };
        for (line, import) in file.imports() {
            let target = RE_EXPORTS.iter().find(|(name, _)| *name == import);
            let target = target.map_or(import.as_str(), |(_, room)| room);
            let is_room = IMPORTS.iter().any(|(name, _)| *name == target);
            if is_room && target != room && !allowed.contains(&target) {
                wrong.add(
                    &file,
                    line,
                    target,
                    &format!("{room} must not know {target}"),
                );
            }
        }
    }
    wrong.none();
}

#[test]
fn every_room_has_a_rule() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let known = IMPORTS.iter().any(|(room, _)| *room == name);
        assert!(
            known || name == "lib" || name == "manual",
            "src/{name} has no line in IMPORTS: say what it may import"
        );
    }
}

#[test]
fn no_banned_words() {
    let mut wrong = Findings::new("word");
    for file in sources("src") {
        for (line, word) in file.words() {
            for (folder, banned, why) in BANNED {
                if file.name.starts_with(folder) && is(&word, banned) {
                    wrong.add(&file, line, banned, why);
                }
            }
        }
        for banned in ["utils", "common", "helpers", "misc"] {
            if file.name.split(['/', '.']).any(|part| part == banned) {
                wrong.add(&file, 1, banned, "a file is one noun");
            }
        }
    }
    wrong.none();
}

#[test]
fn getters_have_the_name_of_what_they_give() {
    let mut wrong = Findings::new("getter");
    for file in sources("src") {
        for (line, name, _) in file.functions() {
            if name.starts_with("get_") {
                wrong.add(&file, line, &name, "drop the get_");
            }
        }
    }
    wrong.none();
}

#[test]
fn no_statics_with_state() {
    const STATEFUL: &[&str] = &["Atomic", "Mutex", "RwLock", "Once", "Cell<", "Lazy"];
    let mut wrong = Findings::new("static");
    for file in sources("src") {
        for (index, line) in file.code.lines().enumerate() {
            let Some((before, after)) = line.split_once("static ") else {
                continue;
            };
            let item = before.is_empty() || before.ends_with([' ', ')']);
            if item
                && (after.starts_with("mut ") || STATEFUL.iter().any(|word| after.contains(word)))
            {
                wrong.add(
                    &file,
                    index + 1,
                    "static",
                    "a library has no state of its own",
                );
            }
        }
    }
    wrong.none();
}

#[test]
fn functions_fit_on_a_screen() {
    let mut wrong = Findings::new("function");
    for folder in ["src", "examples", "tests", "benches"] {
        for file in sources(folder) {
            for (line, name, lines) in file.functions() {
                if lines > FUNCTION_LINES_MAX {
                    let why =
                        format!("{name} has {lines} lines, {FUNCTION_LINES_MAX} is the limit");
                    wrong.add(&file, line, &name, &why);
                }
            }
        }
    }
    wrong.none();
}

#[test]
fn files_are_one_noun_long() {
    let mut wrong = Findings::new("file");
    for folder in ["src", "examples"] {
        for file in sources(folder) {
            let lines = file.code.trim_end().lines().count();
            if lines > FILE_LINES_MAX {
                let why = format!("{lines} lines without tests, {FILE_LINES_MAX} is the limit");
                wrong.add(&file, lines, "length", &why);
            }
        }
    }
    wrong.none();
}

#[test]
fn unsafe_stands_only_in_named_files() {
    let mut wrong = Findings::new("unsafe");
    for folder in ["src", "examples"] {
        for file in sources(folder) {
            let named = UNSAFE.iter().any(|(name, _)| {
                file.name == *name || name.ends_with('/') && file.name.starts_with(name)
            });
            for (line, word) in file.words() {
                if word == "unsafe" && !named {
                    wrong.add(&file, line, "unsafe", "not one of the named files");
                }
            }
        }
    }
    wrong.none();
}

#[test]
#[cfg(feature = "yaml")]
fn every_example_pod_is_valid() {
    use podlife::model::Documents;
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("examples/pods")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let pods = Documents::read(&text).and_then(|documents| documents.validate(&text));
        let pods = pods.unwrap_or_else(|why| panic!("{}:\n{why}", path.display()));
        let [pod] = &pods[..] else {
            panic!("{}: one pod each", path.display());
        };
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        assert_eq!(
            pod.metadata.name.as_deref(),
            Some(&*name),
            "a pod has its file's name"
        );
        assert!(text.starts_with("# "), "{name} says first what it shows");
        names.push(name);
    }
    assert!(names.len() >= 9, "{names:?}");
}

/// A rule's violations, less what [`ALLOWED`] lists.
struct Findings {
    rule: &'static str,
    lines: Vec<String>,
    used: Vec<usize>,
}

impl Findings {
    fn new(rule: &'static str) -> Findings {
        Findings {
            rule,
            lines: Vec::new(),
            used: Vec::new(),
        }
    }

    fn add(&mut self, file: &Source, line: usize, what: &str, why: &str) {
        let allowed = ALLOWED
            .iter()
            .position(|a| a.0 == self.rule && a.1 == file.name && a.2 == what);
        match allowed {
            Some(index) => self.used.push(index),
            None => self
                .lines
                .push(format!("{}:{line}: `{what}`: {why}", file.name)),
        }
    }

    fn none(self) {
        assert!(self.lines.is_empty(), "\n{}\n", self.lines.join("\n"));
        for (index, (rule, file, what, _)) in ALLOWED.iter().enumerate() {
            assert!(
                *rule != self.rule || self.used.contains(&index),
                "ALLOWED lists `{what}` in {file} for {rule}, but nothing there needs it"
            );
        }
    }
}

fn is(word: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => word.starts_with(prefix),
        None => word == pattern,
    }
}
