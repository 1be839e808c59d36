//! One run of an example, watched line by line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// In place of the READY column.
pub(crate) const ANY: &str = "*";

/// No event takes longer unless something is broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// One at a time: what is left behind can then only be from the run that just ended.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Run {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    turn: Option<Turn>,
}

/// Nobody else runs an example while it is held.
type Turn = MutexGuard<'static, ()>;

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Run {
    /// Starts the example `run`.
    pub(crate) fn start(args: &[&str]) -> Run {
        Run::example("run", args, "")
    }

    /// The same, with something on its standard input.
    pub(crate) fn fed(args: &[&str], input: impl Into<Vec<u8>>) -> Run {
        Run::example("run", args, input)
    }

    /// Starts any example.
    pub(crate) fn example(name: &str, args: &[&str], input: impl Into<Vec<u8>>) -> Run {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Run::in_turn(turn, name, args, input)
    }

    fn in_turn(turn: Turn, name: &str, args: &[&str], input: impl Into<Vec<u8>>) -> Run {
        // Orphans of the run become this process's children, so that they can be counted.
        prctl::set_child_subreaper(true).unwrap();
        let mut child = Command::new(binary(name))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.into());
        // Who stops reading half-way has seen enough.
        thread::spawn(move || stdin.write_all(&input).ok());
        let (sender, lines) = mpsc::channel();
        read(child.stdout.take().unwrap(), sender.clone());
        read(child.stderr.take().unwrap(), sender);
        Run {
            child,
            lines,
            seen: Vec::new(),
            turn: Some(turn),
        }
    }

    /// Waits for a line, and gives it.
    pub(crate) fn line(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push(line);
                    if is_it(self.seen.last().unwrap()) {
                        return self.seen.last().unwrap().clone();
                    }
                }
                Err(why) => {
                    let why = if why == RecvTimeoutError::Timeout {
                        "in time"
                    } else {
                        "before its end"
                    };
                    panic!("{what} did not come {why}:\n{}", self.seen.join("\n"));
                }
            }
        }
    }

    /// Waits until `text` is in a line, or finds that it came already.
    pub(crate) fn has(&mut self, text: &str) {
        if !self.seen.iter().any(|line| line.contains(text)) {
            self.line(text, |line| line.contains(text));
        }
    }

    /// Waits for the pod's row to be so.
    pub(crate) fn row(&mut self, name: &str, ready: &str, status: &str) -> String {
        let is_it = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            [a, b, c, ..] => a == name && c == status && (b == ready || ready == ANY),
            _ => false,
        };
        self.line(&format!("the row {name} {ready} {status}"), is_it)
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.child.id());
        fs::read_dir(tasks).unwrap().count()
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        signal::kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
    }

    /// SIGKILL, and the example `run` again. What the first started lives on, so nobody has a turn in between.
    pub(crate) fn again(mut self, args: &[&str]) -> Run {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Run::in_turn(self.turn.take().unwrap(), "run", args, "")
    }

    /// Waits for the end, and that nothing is left.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line);
        }
        let text = self.seen.join("\n");
        let Some(status) = wait(deadline, || self.child.try_wait().unwrap()) else {
            panic!("it does not end:\n{text}");
        };
        nothing_is_left(&text);
        Ended {
            code: status.code().unwrap_or(-1),
            text,
        }
    }
}

/// A failed test leaves nothing running either.
impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Each text comes after the one before it.
    pub(crate) fn in_order(&self, texts: &[&str]) {
        let mut rest = self.text.as_str();
        for text in texts {
            let Some(at) = rest.find(text) else {
                panic!("{text:?} does not come in its turn:\n{}", self.text);
            };
            rest = &rest[at + text.len()..];
        }
    }
}

/// An example's pod.
pub(crate) fn pod(name: &str) -> String {
    root()
        .join(format!("examples/pods/{name}.yaml"))
        .display()
        .to_string()
}

/// Its text.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(pod(name)).unwrap()
}

/// A directory, until it is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let name = format!("podlife-{name}-{}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    /// A container's root: `/bin/sh` and the libraries it needs.
    pub(crate) fn with_a_shell() -> Folder {
        let root = Folder::new("root");
        // A child too: who waits for what a run left must not take it.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = Command::new("ldd").arg("/bin/sh").output().unwrap().stdout;
        drop(turn);
        let listed = String::from_utf8(listed).unwrap();
        let libraries = listed
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        for file in libraries.chain(["/bin/sh"]) {
            let copy = root.0.join(&file[1..]);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(file, copy).unwrap();
        }
        root
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> PathBuf {
    // As at run time: the binary may have been copied to where another user can reach it.
    std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// `cargo test` builds the examples next to the tests.
pub(crate) fn binary(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        path.exists(),
        "{} is not built: cargo build --examples",
        path.display()
    );
    path
}

fn read(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Columns are padded: one space will do.
            let words: Vec<&str> = line.split_whitespace().collect();
            if to.send(words.join(" ")).is_err() {
                return;
            }
        }
    });
}

/// Whatever the run started is gone, or goes now.
fn nothing_is_left(text: &str) {
    let deadline = Instant::now() + PATIENCE;
    let none = wait(deadline, || {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => Some(()),
            Ok(WaitStatus::StillAlive) => None,
            _ => None,
        }
    });
    if none.is_none() {
        let left: Vec<String> = children();
        panic!("left behind: {}\n{text}", left.join(", "));
    }
}

fn children() -> Vec<String> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok());
    let me = format!(" {} ", std::process::id());
    pids.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter(|stat| {
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest[2..].starts_with(&me))
        })
        .collect()
}

/// Asks again and again until there is an answer: for what no descriptor tells.
fn wait<T>(deadline: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        match ask() {
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            answer => return answer,
        }
    }
}
