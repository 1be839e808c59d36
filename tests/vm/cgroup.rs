//! The limits of cgroup v2, seen at work.

use std::time::Duration;

use podlife::cgroup::{
    Bound, CPU_MAX, CPU_WEIGHT, CPUSET_CPUS, Cgroup, CpuList, CpuMax, Delegation, Device,
    Enforcement, IO_MAX, IoMax, Limits, MEMORY_HIGH, MEMORY_MAX, MEMORY_OOM_GROUP, MEMORY_SWAP_MAX,
    PIDS_MAX, Resource,
};

use crate::workload::Workload;

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// A cgroup with `limits`, destroyed and seen gone at the end.
struct Limited(Cgroup);

impl Limited {
    fn new(name: &str, limits: &Limits) -> Limited {
        let root = Delegation::find().unwrap().granted().unwrap();
        root.enable(limits.controllers(), Enforcement::Required)
            .unwrap();
        let group = root.create(name).unwrap();
        group.apply(limits, Enforcement::Required).unwrap();
        Limited(group)
    }

    /// One below it, with limits of its own.
    fn child(&self, name: &str, limits: &Limits) -> Cgroup {
        self.0
            .enable(limits.controllers(), Enforcement::Required)
            .unwrap();
        let child = self.0.create(name).unwrap();
        child.apply(limits, Enforcement::Required).unwrap();
        child
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let gone = self.0.destroy(LONG);
        if !std::thread::panicking() {
            gone.unwrap();
            assert!(
                !self.0.path().exists(),
                "{} is left",
                self.0.path().display()
            );
        }
    }
}

fn memory(mebibytes: u64) -> Limits {
    Limits::new().set(&MEMORY_MAX, Bound::At(mebibytes * MIB))
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn memory_max_kills_and_the_verdict_is_read_from_a_held_descriptor() {
    let group = Limited::new("memory-max", &memory(48));
    let verdict = group.0.memory_events().unwrap().unwrap();
    assert_eq!(verdict.counts().unwrap().oom_kill, 0);
    let mut hog = Workload::start(&group.0, "hog 20");
    hog.go();
    assert_eq!(hog.answer().as_deref(), Some("20"));
    assert!(group.0.memory_stat().unwrap().unwrap().anon >= 20 * MIB);
    hog.go();
    hog.go();
    while hog.answer().is_some() {}
    assert!(hog.was_killed());
    assert_eq!(verdict.counts().unwrap().oom_kill, 1);
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn oom_group_takes_the_neighbours_and_without_it_they_stay() {
    for together in [true, false] {
        let limits = memory(48).set(&MEMORY_OOM_GROUP, together);
        let group = Limited::new("oom-group", &limits);
        let neighbour = Workload::start(&group.0, "sleep");
        let mut hog = Workload::start(&group.0, "hog 64");
        hog.go();
        assert_eq!(hog.answer(), None);
        assert!(hog.was_killed());
        assert_eq!(
            neighbour.was_killed(),
            together,
            "memory.oom.group {together}"
        );
    }
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn memory_max_can_be_raised_while_it_is_used() {
    let group = Limited::new("resize", &memory(32));
    let mut hog = Workload::start(&group.0, "hog 16");
    hog.go();
    assert_eq!(hog.answer().as_deref(), Some("16"));
    group.0.apply(&memory(128), Enforcement::Required).unwrap();
    assert_eq!(group.0.read(&MEMORY_MAX).unwrap(), Bound::At(128 * MIB));
    for held in ["32", "48", "64"] {
        hog.go();
        assert_eq!(hog.answer().as_deref(), Some(held));
    }
    assert!(hog.end().success());
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn memory_high_slows_down_and_never_kills() {
    // Little above it, or the slowing down takes minutes.
    let group = Limited::new(
        "memory-high",
        &Limits::new().set(&MEMORY_HIGH, Bound::At(24 * MIB)),
    );
    let events = group.0.memory_events().unwrap().unwrap();
    let mut hog = Workload::start(&group.0, "hog 25");
    hog.go();
    assert_eq!(hog.answer().as_deref(), Some("25"));
    assert!(hog.end().success());
    let counts = events.counts().unwrap();
    assert!(counts.high > 0 && counts.oom_kill == 0, "{counts:?}");
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn pids_max_ends_a_fork_bomb() {
    let group = Limited::new("pids", &Limits::new().set(&PIDS_MAX, Bound::At(12)));
    let mut bomb = Workload::start(&group.0, "fork 1000");
    // The bomb itself has two threads, libtest's main one among them.
    assert_eq!(bomb.answer().as_deref(), Some("10 Some(11)"), "EAGAIN");
    assert_eq!(group.0.pids_stat().unwrap().unwrap().current, 12);
    group.0.kill().unwrap();
    assert!(bomb.was_killed());
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn cpu_max_throttles_and_cpu_stat_says_so() {
    let limits = Limits::new().set(&CPU_MAX, CpuMax::millicores(100));
    let group = Limited::new("cpu-max", &limits);
    assert!(Workload::start(&group.0, "burn 100").end().success());
    let stat = group.0.cpu_stat().unwrap();
    assert!(stat.usage >= Duration::from_millis(100), "{stat:?}");
    assert!(
        stat.throttled_periods >= 3 && stat.throttled > Duration::ZERO,
        "{stat:?}"
    );
    let pressure = group.0.pressure(Resource::Cpu).unwrap().unwrap();
    assert!(pressure.some.total > Duration::ZERO, "{pressure:?}");
}

/// Four seconds' worth of writing, waited for.
#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn io_max_slows_down_writing() {
    let disk = "/dev/ram0";
    if !std::path::Path::new(disk).exists() {
        return println!("skipped: io.max: there is no {disk}");
    }
    let device = Device::of(disk).unwrap();
    let slow = IoMax {
        wbps: Bound::At(MIB),
        ..IoMax::new(device)
    };
    let group = Limited::new("io", &Limits::new().set(&IO_MAX, vec![slow]));
    assert_eq!(group.0.read(&IO_MAX).unwrap(), [slow]);
    let mut writer = Workload::start(&group.0, "write 4");
    writer.go();
    assert_eq!(writer.answer().as_deref(), Some("4"));
    assert!(writer.end().success());
    let stat = group.0.io_stat().unwrap().unwrap();
    let written = stat.iter().find(|stat| stat.device == device).unwrap();
    assert_eq!(written.wbytes, 4 * MIB, "{stat:?}");
    let waited = group.0.pressure(Resource::Io).unwrap().unwrap().some.total;
    assert!(waited > Duration::from_secs(2), "{waited:?}");
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn cpuset_confines_to_its_processors() {
    let limits = Limits::new().set(&CPUSET_CPUS, CpuList::from_iter([1]));
    let group = Limited::new("cpuset", &limits);
    let mut workload = Workload::start(&group.0, "processors");
    assert_eq!(workload.answer().as_deref(), Some("1"));
    assert!(workload.end().success());
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn cpu_weight_divides_a_processor() {
    let one = Limits::new().set(&CPUSET_CPUS, CpuList::from_iter([1]));
    let parent = Limited::new("weights", &one);
    let [light, heavy] = [("light", 100), ("heavy", 800)]
        .map(|(name, weight)| parent.child(name, &Limits::new().set(&CPU_WEIGHT, weight)));
    let spinners = [&light, &heavy].map(|group| Workload::start(group, "spin"));
    let usage = |group: &Cgroup| group.cpu_stat().unwrap().usage;
    let before = [usage(&light), usage(&heavy)];
    while usage(&heavy) - before[1] < Duration::from_secs(2) {}
    let used = [usage(&light) - before[0], usage(&heavy) - before[1]];
    parent.0.kill().unwrap();
    assert!(spinners.into_iter().all(Workload::was_killed));
    assert!(used[1] > used[0] * 4, "weights 1:8 gave {used:?}");
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn a_frozen_group_uses_no_processor_until_it_thaws() {
    let group = Limited::new("freeze", &Limits::new());
    let spinner = Workload::start(&group.0, "spin");
    let events = group.0.events().unwrap();
    group.0.freeze().unwrap();
    events.wait(LONG, |state| state.frozen).unwrap();
    let frozen = group.0.cpu_stat().unwrap().usage;
    assert!(
        Workload::start(&Limited::new("other", &Limits::new()).0, "burn 100")
            .end()
            .success()
    );
    assert_eq!(group.0.cpu_stat().unwrap().usage, frozen);
    group.0.thaw().unwrap();
    events.wait(LONG, |state| !state.frozen).unwrap();
    while group.0.cpu_stat().unwrap().usage == frozen {}
    group.0.kill().unwrap();
    assert!(spinner.was_killed());
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn kill_reaches_the_bottom_of_a_deep_tree_and_removal_leaves_nothing() {
    let top = Limited::new("deep", &Limits::new());
    let mut workloads = Vec::new();
    let mut groups: Vec<Cgroup> = Vec::new();
    for depth in 0..12 {
        let parent = groups.last().unwrap_or(&top.0);
        let group = parent.create(&format!("level-{depth}")).unwrap();
        workloads.push(Workload::start(&group, "sleep"));
        groups.push(group);
    }
    top.0.kill().unwrap();
    assert!(workloads.into_iter().all(Workload::was_killed));
    top.0
        .events()
        .unwrap()
        .wait(LONG, |state| !state.populated)
        .unwrap();
    top.0.remove_tree().unwrap();
    assert!(!top.0.path().exists());
}

#[test]
#[ignore = "needs the stock kernel: bash tests/vm/run.sh"]
fn swap_is_refused_in_words_where_the_kernel_has_none() {
    let group = Limited::new("swap", &Limits::new());
    let limits = Limits::new().set(&MEMORY_SWAP_MAX, Bound::At(0));
    let missing = group.0.apply(&limits, Enforcement::BestEffort).unwrap();
    let has_swap = group.0.path().join("memory.swap.max").exists();
    assert_eq!(missing.is_empty(), has_swap, "{missing:?}");
}
