//! A start that fails, at each of its steps in turn: what was made for it is gone, and the sentence names the step.

use std::collections::BTreeSet;
use std::time::Instant;

use podlife::Node;
use podlife::linux::pause::plan::{Plan, Step};
use podlife::linux::pause::{Key, Report, Request, Sandbox, Start, spawn};
use podlife::linux::process::Process;
use podlife::model::{Pod, Valid};
use podlife::node::PodPlan;

use crate::sandbox::{PATIENCE, TestPod};

/// Of the plans that the Node makes, for a pod with a bit of everything.
fn planned() -> PodPlan {
    let manifest = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "steps" },
        "spec": {
            "securityContext": { "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }] },
            "volumes": [
                { "name": "disk", "emptyDir": {} },
                { "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
                { "name": "host", "hostPath": { "path": "/" } }],
            "containers": [{
                "name": "main", "image": "podlife.local/host", "command": ["/bin/sh", "-c", "exit 7"],
                "workingDir": "/usr",
                "securityContext": { "capabilities": { "drop": ["ALL"] }, "allowPrivilegeEscalation": false },
                "volumeMounts": [
                    { "name": "disk", "mountPath": "/disk" },
                    { "name": "memory", "mountPath": "/memory" },
                    { "name": "host", "mountPath": "/host", "readOnly": true, "subPath": "bin" }]
            }]
        }
    });
    let pod = Valid::<Pod>::try_from(&*manifest.to_string()).unwrap();
    Node::ephemeral().unwrap().plan(&pod).unwrap()
}

/// The first `at` steps of `plan`, and then one that cannot be done.
fn failing_at(plan: &Plan, at: usize) -> Plan {
    let mut failing = Plan::new(plan.namespaces());
    failing.extend(plan.steps()[..at].iter().cloned());
    failing.push(Step::Chdir("/no/such/place".into()));
    failing
}

fn sandbox(plan: &PodPlan) -> Sandbox<'_> {
    Sandbox {
        namespaces: plan.namespaces,
        user: podlife::linux::pause::User::of(plan.users.as_ref()),
        ephemeral: true,
        ..Sandbox::new(&plan.sandbox)
    }
}

/// What pause holds: its children, its mounts, its descriptors.
fn held(pause: &Process) -> BTreeSet<String> {
    let pid = pause.pid().unwrap().unwrap();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let mut held: BTreeSet<_> = read("mountinfo").lines().map(String::from).collect();
    let children = read(&format!("task/{pid}/children"));
    held.extend(
        children
            .split_whitespace()
            .map(|child| format!("child {child}")),
    );
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
    {
        let number = entry.file_name().into_string().unwrap();
        // One that was closed in between.
        if let Ok(target) = std::fs::read_link(entry.path()) {
            held.insert(format!("descriptor {number} {}", target.display()));
        }
    }
    held
}

#[track_caller]
fn comes_to(expected: &BTreeSet<String>, now: impl Fn() -> BTreeSet<String>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = now();
        if now == *expected {
            return;
        }
        let more: Vec<_> = now.symmetric_difference(expected).collect();
        assert!(Instant::now() < until, "{more:#?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_container_that_fails_at_any_step_leaves_nothing_behind() {
    let planned = planned();
    let plan = planned.container("main").unwrap();
    let mut pod = TestPod::of(&sandbox(&planned));
    let before = held(&pod.pause.process);
    for at in 0..plan.steps().len() {
        let key = Key::container(0, at as u32);
        let error = pod.failure(key, &failing_at(plan, at));
        assert_eq!(
            error.to_string(),
            "could not change to the working directory /no/such/place: No such file or directory (errno 2); \
             make the directory in the image, or correct workingDir",
            "before step {at}: {}",
            plan.steps()[at]
        );
        pod.send(Request::Acknowledge(key));
        comes_to(&before, || held(&pod.pause.process));
    }
    // All of them together are a container.
    let key = Key::container(1, 0);
    pod.start(Start::new(key, plan));
    assert_eq!(pod.exit(key).code(), 7);
}

/// What runs beside a container: in its namespaces, with a terminal, and as confined as it is.
fn beside(container: &Plan) -> Plan {
    let steps = container.steps();
    let inside = steps.iter().position(|step| *step == Step::Pivot).unwrap() + 1;
    let mut plan = Plan::inside(container);
    plan.push(Step::OomScoreAdj {
        score: 1000,
        required: false,
    })
    .push(Step::Subreaper)
    .push(Step::Terminal {
        rows: 24,
        columns: 80,
        uid: 0,
    })
    .extend(steps[inside..].iter().cloned());
    plan
}

/// A probe, a hook or a session: the container does not notice.
#[test]
fn a_process_inside_that_fails_at_any_step_leaves_nothing_behind() {
    let planned = planned();
    let plan = planned.container("main").unwrap();
    let own = plan.steps().len() - 1;
    let mut sleeping = Plan::new(plan.namespaces());
    sleeping.extend(plan.steps()[..own].iter().cloned());
    sleeping
        .execute(["/bin/sleep", "1000"], [] as [&str; 0])
        .unwrap();
    let mut pod = TestPod::of(&sandbox(&planned));
    let container = Key::container(0, 0);
    let running = pod.start(Start::new(container, &sleeping));
    let before = held(&pod.pause.process);

    let inside = beside(plan);
    fn start(key: Key, plan: &Plan) -> Start<'_> {
        Start {
            target: Some(Key { exec: 0, ..key }),
            terminal: true,
            ..Start::new(key, plan)
        }
    }
    for at in 0..inside.steps().len() {
        let key = container.exec(1 + at as u32);
        let mut failing = Plan::inside(plan);
        failing.extend(inside.steps()[..at].iter().cloned());
        failing.push(Step::Chdir("/no/such/place".into()));
        let error = pod.refusal(start(key, &failing)).to_string();
        let step = &inside.steps()[at];
        assert!(
            error.contains("/no/such/place: No such file"),
            "{step}: {error}"
        );
        pod.send(Request::Acknowledge(key));
        comes_to(&before, || held(&pod.pause.process));
    }
    let key = container.exec(1000);
    pod.start(start(key, &inside));
    assert_eq!(pod.exit(key).code(), 7);
    assert!(running.is_running().unwrap());
}

/// Those of the program that embeds it.
fn descriptors() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.display().to_string())
        .collect()
}

fn mounts() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().map(String::from).collect()
}

#[test]
fn a_sandbox_that_fails_at_any_step_leaves_nothing_behind() {
    if !crate::sandbox::alone("steps::a_sandbox_that_fails_at_any_step_leaves_nothing_behind") {
        return;
    }
    let planned = planned();
    let before = (descriptors(), mounts());
    for at in 0..=planned.sandbox.steps().len() {
        let set_up = failing_at(&planned.sandbox, at);
        let mut pause = spawn(&Sandbox {
            set_up: &set_up,
            ..sandbox(&planned)
        })
        .unwrap();
        assert!(pause.process.wait(Some(PATIENCE)).unwrap(), "step {at}");
        let Some(Report::SetUpFailed(failure)) = pause.connection.receive().unwrap() else {
            panic!("step {at}: it did not say why");
        };
        let error = set_up.explain(failure).to_string();
        assert!(error.contains("/no/such/place: No such file"), "{error}");
        drop(pause);
        comes_to(&before.0, descriptors);
        comes_to(&before.1, mounts);
    }
}

/// Every kind of failure says what helps, and no sentence is without its object.
#[test]
fn every_step_of_a_plan_says_what_it_is_and_what_helps() {
    use podlife::linux::pause::Failure;
    let planned = planned();
    let plans = [&planned.sandbox, planned.container("main").unwrap()];
    for plan in plans {
        for (step, what) in plan.steps().iter().enumerate() {
            for errno in [libc::EPERM, libc::ENOSPC, libc::ENOSYS, libc::ENOMEM] {
                let failure = Failure {
                    step: step as u32,
                    errno,
                };
                let text = plan.explain(failure).to_string();
                assert!(text.starts_with(&format!("could not {what}: ")), "{text}");
                assert!(text.contains("); "), "no cure: {text}");
            }
        }
    }
}
