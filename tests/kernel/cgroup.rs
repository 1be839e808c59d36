//! cgroup v2 on whatever this host has of it.

use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use podlife::Kind;
use podlife::cgroup::layout::{Layout, Member, Tier};
use podlife::cgroup::{
    Bound, Controller, Controllers, Delegation, Enforcement, Hierarchy, Limits, MEMORY_MAX,
    PIDS_MAX, Resource, State,
};
use podlife::linux::reactor::{Interest, Reactor, Token};

use crate::nobody;
use crate::scratch::{LONG, Scratch, run_in};

const EMPTY: State = State {
    populated: false,
    frozen: false,
};

#[test]
fn a_group_is_populated_until_its_last_process_is_killed() {
    let Some(scratch) = Scratch::new("populated") else {
        return;
    };
    let group = scratch.0.create("a").unwrap();
    assert_eq!(group.state().unwrap(), EMPTY);

    let mut child = run_in(&group, "sleep 600");
    assert!(group.processes().unwrap().contains(&child.id()));
    assert!(
        scratch.0.state().unwrap().populated,
        "what lives below counts"
    );
    assert_eq!(group.remove().unwrap_err().kind(), Kind::Conflict);

    let events = group.events().unwrap();
    group.kill().unwrap();
    assert!(
        !events
            .wait(LONG, |state| !state.populated)
            .unwrap()
            .populated
    );
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    group.remove().unwrap();
    group.remove().unwrap();
}

#[test]
fn a_reactor_sees_the_end_of_a_group() {
    let Some(scratch) = Scratch::new("reactor") else {
        return;
    };
    let mut child = run_in(&scratch.0, "sleep 600");
    let events = scratch.0.events().unwrap();
    let mut reactor = Reactor::new().unwrap();
    reactor.add(&events, Interest::Change, Token(1)).unwrap();
    assert!(events.state().unwrap().populated);

    let mut ready = Vec::new();
    reactor
        .wait(Some(std::time::Duration::ZERO), &mut ready)
        .unwrap();
    assert!(
        ready.is_empty(),
        "nothing has changed since the read: {ready:?}"
    );

    scratch.0.kill().unwrap();
    while events.state().unwrap().populated {
        reactor.wait(Some(LONG), &mut ready).unwrap();
        assert!(ready[0].changed(), "{ready:?}");
    }
    child.wait().unwrap();
}

#[test]
fn a_frozen_group_stands_still_and_can_be_killed() {
    let Some(scratch) = Scratch::new("freeze") else {
        return;
    };
    let mut child = run_in(&scratch.0, "while :; do :; done");
    let events = scratch.0.events().unwrap();

    scratch.0.freeze().unwrap();
    assert!(events.wait(LONG, |state| state.frozen).unwrap().frozen);
    let before = scratch.0.cpu_stat().unwrap().usage;
    std::thread::yield_now();
    assert_eq!(scratch.0.cpu_stat().unwrap().usage, before);

    scratch.0.thaw().unwrap();
    assert!(!events.wait(LONG, |state| !state.frozen).unwrap().frozen);
    scratch.0.freeze().unwrap();
    assert!(events.wait(LONG, |state| state.frozen).unwrap().frozen);
    scratch.0.kill().unwrap();
    assert!(
        !events
            .wait(LONG, |state| !state.populated)
            .unwrap()
            .populated
    );
    child.wait().unwrap();
}

#[test]
fn destroy_ends_a_deep_tree_of_forking_processes() {
    let Some(scratch) = Scratch::new("destroy") else {
        return;
    };
    let mut group = scratch.0.create("deep").unwrap();
    let mut children = Vec::new();
    for depth in 0..10 {
        group = group.create(&format!("d{depth}")).unwrap();
        children.push(run_in(
            &group,
            "trap '' TERM HUP; while :; do (sleep 600 &) ; sleep 0.01; done",
        ));
    }
    scratch.0.child("deep").unwrap().destroy(LONG).unwrap();
    assert!(scratch.0.children().unwrap().is_empty());
    for mut child in children {
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
    group.destroy(LONG).unwrap(); // gone already
}

#[test]
fn names_that_are_no_names_make_nothing() {
    let Some(scratch) = Scratch::new("names") else {
        return;
    };
    for name in ["", ".", "..", "a/b", "a\nb", &"n".repeat(300)] {
        assert_eq!(
            scratch.0.create(name).unwrap_err().kind(),
            Kind::Invalid,
            "{name:?}"
        );
    }
    assert_eq!(scratch.0.child("../..").unwrap_err().kind(), Kind::Invalid);
    assert_eq!(scratch.0.child("no").unwrap_err().kind(), Kind::NotFound);
    scratch.0.create("twice").unwrap();
    assert_eq!(
        scratch.0.create("twice").unwrap_err().kind(),
        Kind::AlreadyExists
    );
    assert_eq!(scratch.0.children().unwrap(), ["twice"]);
    let error = podlife::cgroup::Cgroup::open("/proc").unwrap_err();
    assert!(
        error.to_string().contains("not in a cgroup2 file system"),
        "{error}"
    );
}

/// Holds on every host: a limit is either in the file, or told.
#[test]
fn a_limit_is_set_or_told() {
    let Some(scratch) = Scratch::new("limits") else {
        return;
    };
    let limits = Limits::new()
        .set(&PIDS_MAX, Bound::At(99))
        .set(&MEMORY_MAX, Bound::At(64 << 20));
    let available = scratch.0.controllers().unwrap();
    let told = scratch.0.apply(&limits, Enforcement::BestEffort).unwrap();
    for controller in limits.controllers().iter() {
        let named = told
            .iter()
            .find(|degraded| degraded.controller == controller);
        assert_eq!(
            named.is_none(),
            available.contains(controller),
            "{controller}: {told:?}"
        );
    }
    if available.contains(Controller::Pids) {
        assert_eq!(scratch.0.read(&PIDS_MAX).unwrap(), Bound::At(99));
        assert!(scratch.0.pids_stat().unwrap().is_some());
    } else {
        let error = scratch.0.apply(&limits, Enforcement::Required).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(
            error
                .to_string()
                .contains("limit pids with a cgroup: pids.max: "),
            "{error}"
        );
        assert_eq!(
            scratch.0.read(&PIDS_MAX).unwrap_err().kind(),
            Kind::NotFound
        );
        assert!(scratch.0.pids_stat().unwrap().is_none());
        println!("skipped: pids.max is set: {}", told[0]);
    }
    if !available.contains(Controller::Memory) {
        assert!(scratch.0.memory_events().unwrap().is_none());
        assert!(scratch.0.memory_stat().unwrap().is_none());
    }
}

#[test]
fn a_controller_that_v1_has_is_named_with_its_cure() {
    let Some(scratch) = Scratch::new("v1") else {
        return;
    };
    let table = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let taken = table
        .lines()
        .any(|line| line.starts_with("memory\t") && !line.starts_with("memory\t0\t"));
    if !taken
        || scratch
            .0
            .controllers()
            .unwrap()
            .contains(Controller::Memory)
    {
        return println!("skipped: v1: cgroup v1 has not taken the memory controller here");
    }
    let told = scratch
        .0
        .enable(Controller::Memory.into(), Enforcement::BestEffort)
        .unwrap();
    assert!(told[0].what.contains("cgroup v1 has taken"), "{told:?}");
    assert!(
        told[0].cure.contains("systemd.unified_cgroup_hierarchy=1"),
        "{told:?}"
    );
}

#[test]
fn usage_and_pressure_are_counted_without_any_controller() {
    let Some(scratch) = Scratch::new("usage") else {
        return;
    };
    let mut child = run_in(
        &scratch.0,
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done",
    );
    child.wait().unwrap();
    let stat = scratch.0.cpu_stat().unwrap();
    assert!(stat.usage > std::time::Duration::from_millis(1), "{stat:?}");
    assert!(stat.usage >= stat.user);
    if let Some(pressure) = scratch.0.pressure(Resource::Cpu).unwrap() {
        assert!((0.0..=100.0).contains(&pressure.some.avg10));
    }
}

#[test]
fn the_layout_is_made_and_removed_without_a_trace() {
    let Some(scratch) = Scratch::new("layout") else {
        return;
    };
    let root = scratch.0.create("podlife").unwrap();
    let layout = Layout::new(root).unwrap();
    for tier in [Tier::Guaranteed, Tier::Burstable] {
        let (group, told) = layout
            .create(tier, "1f", &Limits::new(), Enforcement::Required)
            .unwrap();
        assert!(told.is_empty());
        let pause = layout
            .member(&group, Member::Pause, &Limits::new(), Enforcement::Required)
            .unwrap()
            .0;
        assert!(pause.path().ends_with("pod1f/pause"));
        assert!(layout.find(tier, "1f").unwrap().is_some());
        assert!(layout.find(tier, "2f").unwrap().is_none());
        layout.remove_if_unused().unwrap();
        assert!(group.path().exists());
        group.destroy(LONG).unwrap();
    }
    layout.remove_if_unused().unwrap();
    assert!(scratch.0.children().unwrap().is_empty());
}

#[test]
fn a_tier_made_by_an_earlier_program_gets_the_controllers() {
    let Some(scratch) = Scratch::new("earlier tier") else {
        return;
    };
    let root = scratch.0.create("root").unwrap();
    root.create("burstable").unwrap();
    let layout = Layout::new(root).unwrap();
    let made = layout.create(Tier::Burstable, "1f", &Limits::new(), Enforcement::Required);
    assert_eq!(made.unwrap().0.enabled().unwrap(), layout.controllers());
    if layout.controllers().is_empty() {
        println!("skipped: controllers of an earlier tier: there are none here");
    }
}

#[test]
fn a_refused_limit_leaves_no_group_behind() {
    let Some(scratch) = Scratch::new("refused") else {
        return;
    };
    let layout = Layout::new(scratch.0.create("root").unwrap()).unwrap();
    let impossible = if layout.controllers().contains(Controller::Pids) {
        Limits::new().set(&PIDS_MAX, Bound::At(u64::MAX))
    } else {
        Limits::new().set(&PIDS_MAX, Bound::At(1))
    };
    let error = layout
        .create(Tier::BestEffort, "1f", &impossible, Enforcement::Required)
        .unwrap_err();
    assert!(error.to_string().contains("pids.max"), "{error}");
    assert!(layout.find(Tier::BestEffort, "1f").unwrap().is_none());
}

/// Making a sandbox's cgroups is a part of a container's start: a few hundred microseconds.
#[test]
fn making_a_sandbox_is_quick() {
    let Some(scratch) = Scratch::new("quick") else {
        return;
    };
    let layout = Layout::new(scratch.0.create("root").unwrap()).unwrap();
    let limits = Limits::new()
        .set(&PIDS_MAX, Bound::At(99))
        .set(&MEMORY_MAX, Bound::At(64 << 20));
    let mut spans = Vec::new();
    for uid in 0..50 {
        let start = Instant::now();
        let (group, _) = layout
            .create(
                Tier::Burstable,
                &uid.to_string(),
                &limits,
                Enforcement::BestEffort,
            )
            .unwrap();
        let container = Member::Container {
            name: "web",
            attempt: 1,
        };
        layout
            .member(
                &group,
                Member::Pause,
                &Limits::new(),
                Enforcement::BestEffort,
            )
            .unwrap();
        layout
            .member(&group, container, &limits, Enforcement::BestEffort)
            .unwrap();
        spans.push(start.elapsed());
        group.remove_tree().unwrap();
    }
    spans.sort();
    println!(
        "a sandbox, pause and one container: median {:?}, highest {:?}",
        spans[25], spans[49]
    );
}

/// The only test that says what an ordinary user without a delegated cgroup gets: a state, not an error.
#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    if !nobody::stands_here("cgroup::an_ordinary_user_is_told_what_is_missing") {
        return;
    }
    let Delegation::Missing(missing) = Delegation::find().unwrap() else {
        return println!("skipped: missing delegation: this user has a delegated cgroup");
    };
    let limits = Limits::new()
        .set(&MEMORY_MAX, Bound::At(1 << 20))
        .set(&PIDS_MAX, Bound::At(3));
    let told = missing.limits(&limits, Enforcement::BestEffort).unwrap();
    assert_eq!(
        told.iter()
            .map(|told| told.controller)
            .collect::<Controllers>(),
        limits.controllers()
    );
    assert!(told.iter().all(|told| !told.cure.is_empty()));
    let error = missing.limits(&limits, Enforcement::Required).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("could not limit memory with a cgroup: memory.max: "),
        "{error}"
    );

    if let Some(hierarchy) = Hierarchy::find().unwrap() {
        let Delegation::Missing(missing) = Delegation::at(&hierarchy.mount).unwrap() else {
            panic!("granted the top")
        };
        assert!(
            missing.what.contains("may not make cgroups in"),
            "{missing}"
        );
        let own = podlife::cgroup::Cgroup::own().unwrap();
        assert_eq!(own.create("x").unwrap_err().kind(), Kind::Permission);
    }
}
