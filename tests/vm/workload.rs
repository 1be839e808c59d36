//! What runs in the cgroups under test: this same program, told by its environment what to do.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use podlife::cgroup::Cgroup;

const CGROUP: &str = "PODLIFE_VM_CGROUP";
const WORK: &str = "PODLIFE_VM_WORK";

/// A process in a cgroup, which does one thing each time it is told to.
pub(crate) struct Workload {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Workload {
    /// Starts it in `group`; it is there when this returns, and waits.
    pub(crate) fn start(group: &Cgroup, work: &str) -> Workload {
        let mut child = Command::new("/proc/self/exe")
            .args([
                "workload::acts",
                "--exact",
                "--nocapture",
                "--include-ignored",
            ])
            .env(CGROUP, group.path())
            .env(WORK, work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut workload = Workload {
            child,
            orders,
            answers,
        };
        assert_eq!(
            workload.answer().as_deref(),
            Some("here"),
            "{work} in {}",
            group.path().display()
        );
        workload
    }

    /// Tells it to go on.
    pub(crate) fn go(&mut self) {
        writeln!(self.orders.as_mut().unwrap()).unwrap();
    }

    /// What it says next; `None` once it has ended.
    pub(crate) fn answer(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // libtest writes to the same stream, and does not end its own line first.
            if let Some((_, answer)) = line.trim_end().split_once("answer: ") {
                return Some(answer.to_owned());
            }
        }
    }

    /// Waits for its end. Nobody tells it anything any more.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.orders.take());
        self.child.wait().unwrap()
    }

    /// Was it ended by SIGKILL?
    pub(crate) fn was_killed(self) -> bool {
        self.end().signal() == Some(9)
    }
}

/// The other side.
#[test]
#[ignore = "not a test: what the tests in the machine run"]
fn acts() {
    let (Ok(group), Ok(work)) = (std::env::var(CGROUP), std::env::var(WORK)) else {
        return;
    };
    std::fs::write(format!("{group}/cgroup.procs"), "0").unwrap();
    say("here");
    let (what, amount) = work.split_once(' ').unwrap_or((&work, "0"));
    let amount: usize = amount.parse().unwrap();
    match what {
        "sleep" => while ordered() {},
        "hog" => hog(amount),
        "burn" => burn(Duration::from_millis(amount as u64)),
        "spin" => loop {
            std::hint::black_box(0);
        },
        "fork" => fork(amount),
        "write" => write(amount),
        "processors" => processors(),
        _ => panic!("{what}?"),
    }
}

fn say(answer: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "answer: {answer}").unwrap();
    out.flush().unwrap();
}

fn ordered() -> bool {
    std::io::stdin().read_line(&mut String::new()).unwrap() > 0
}

/// Takes `mebibytes` more at each order.
fn hog(mebibytes: usize) {
    let mut held = Vec::new();
    while ordered() {
        held.push(vec![1u8; mebibytes << 20]);
        say(&format!("{}", held.len() * mebibytes));
    }
}

/// Uses `amount` of processor time.
fn burn(amount: Duration) {
    let used = || {
        let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
        Duration::from(nix::time::clock_gettime(clock).unwrap())
    };
    let start = used();
    let began = Instant::now();
    while used() - start < amount {
        assert!(began.elapsed() < Duration::from_secs(60), "starved");
    }
}

/// Starts processes until it cannot, or has `most`.
fn fork(most: usize) {
    let mut children = Vec::new();
    let refused = loop {
        match Command::new("sleep").arg("1000").spawn() {
            Ok(child) => children.push(child),
            Err(error) => break error.raw_os_error(),
        }
        if children.len() == most {
            break None;
        }
    };
    say(&format!("{} {refused:?}", children.len()));
    ordered();
}

/// Writes `mebibytes` to the machine's disk, past every cache.
fn write(mebibytes: usize) {
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    #[repr(align(4096))]
    struct Block([u8; 1 << 20]);
    static BLOCK: Block = Block([1; 1 << 20]);
    ordered();
    let mut options = std::fs::OpenOptions::new();
    let disk = options.write(true).custom_flags(libc::O_DIRECT);
    let disk = disk.open("/dev/ram0").unwrap();
    for place in 0..mebibytes {
        disk.write_all_at(&BLOCK.0, (place << 20) as u64).unwrap();
    }
    say(&format!("{mebibytes}"));
}

fn processors() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    say(line.unwrap().trim());
}
