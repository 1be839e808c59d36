//! Each example does what its name says: its rows, its output, its exit code, and nothing left behind.
//!
//! They run the built binaries as a user would, as whoever runs the tests: tests/run.sh does it as root and as nobody.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod podctl;
mod run;

use run::{ANY, Folder, Run, pod, text};

#[test]
fn auto_client_talks_to_auto_serve_until_ctrl_c() {
    let mut run = Run::start(&[&pod("auto-pod")]);
    run.line("the header", |line| {
        line == "NAME READY STATUS RESTARTS AGE"
    });
    run.row("auto-pod", "2/2", "Running");
    run.line("an answer", |line| {
        line.starts_with("auto-client | answer ") && line.ends_with(" from auto-pod")
    });
    run.interrupt();
    run.row("auto-pod", ANY, "Terminating");
    run.has("auto-serve | SIGTERM: goodbye");
    assert_eq!(run.end().code, 0);
}

#[test]
fn job_succeeds() {
    let mut run = Run::start(&[&pod("job")]);
    run.has("sum | the sum of 1 to 100 is 5050");
    run.row("job", "0/1", "Completed");
    assert_eq!(run.end().code, 0);
}

#[test]
fn failing_job_fails() {
    let mut run = Run::start(&[&pod("failing-job")]);
    run.has("sum | no numbers to add");
    run.row("failing-job", "0/1", "Error");
    assert_eq!(run.end().code, 1);
}

#[test]
fn init_containers_finish_in_order_and_again_after_a_failure() {
    let run = Run::start(&[&pod("init-order")]);
    let end = run.end();
    assert_eq!(end.code, 0, "{}", end.text);
    end.in_order(&[
        "Started container first",
        "first | not this time",
        "Container first ended: Error, exit code 1",
        "Started container first",
        "Container first ended: Completed",
        "Started container second",
        "Container second ended: Completed",
        "Started container main",
        "main | the order was: first second",
        "Completed",
    ]);
}

#[test]
fn a_pod_is_configured_by_the_objects_beside_it() {
    let end = Run::start(&[&pod("configured")]).end();
    assert_eq!(end.code, 0, "{}", end.text);
    for line in ["main | hello", "main | who = world", "by mode 400"] {
        assert!(end.text.contains(line), "{}", end.text);
    }
}

/// Each kind of loop sees a whole life, to its end.
#[test]
fn a_node_is_driven_by_every_kind_of_loop() {
    for name in ["thread", "mio", "tokio", "frames"] {
        let end = Run::example(&format!("embed_{name}"), &[], "").end();
        assert_eq!(end.code, 0, "{name}: {}", end.text);
        for word in ["Started", "Completed, exit code 0", "Terminated"] {
            assert!(end.text.contains(word), "{name}: {}", end.text);
        }
    }
}

#[test]
fn crash_loop_backs_off() {
    let mut run = Run::start(&[&pod("crash-loop")]);
    run.row("crash-loop", "0/1", "CrashLoopBackOff");
    run.interrupt();
    let end = run.end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(
        end.text.matches("crash | here I go").count() >= 2,
        "it was restarted: {}",
        end.text
    );
}

#[test]
fn slow_start_is_given_time() {
    let mut run = Run::start(&[&pod("slow-start")]);
    run.row("slow-start", "0/1", "Running");
    run.has("slow | serving on port 8080");
    let row = run.row("slow-start", "1/1", "Running");
    assert_eq!(
        row.split_whitespace().nth(3),
        Some("0"),
        "liveness waited: {row}"
    );
    run.interrupt();
    assert_eq!(run.end().code, 0);
}

#[test]
fn stubborn_is_killed_after_its_grace() {
    let mut run = Run::start(&[&pod("stubborn")]);
    run.has("stubborn | SIGTERM will not stop me");
    run.interrupt();
    let asked = std::time::Instant::now();
    run.row("stubborn", ANY, "Terminating");
    let end = run.end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(
        asked.elapsed().as_secs_f32() >= 3.0,
        "its grace is 3 s: {}",
        end.text
    );
    assert!(end.text.contains("killed by signal 9"), "{}", end.text);
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let mut run = Run::fed(
        &["-"],
        text("stubborn").replace("Seconds: 3", "Seconds: 600"),
    );
    run.has("stubborn | SIGTERM will not stop me");
    run.interrupt();
    run.row("stubborn", ANY, "Terminating");
    run.interrupt();
    assert_eq!(run.end().code, 130);
}

#[test]
fn the_sidecar_ships_every_line_and_does_not_keep_the_pod() {
    let end = Run::start(&[&pod("sidecar-log")]).end();
    assert_eq!(end.code, 0, "{}", end.text);
    for number in 1..=5 {
        assert!(
            end.text.contains(&format!("shipper | line {number}")),
            "{}",
            end.text
        );
    }
}

#[test]
fn redis_php_is_probed_and_runs() {
    let mut run = Run::start(&[&pod("redis-php")]);
    run.row("redis-php", "2/2", "Running");
    run.interrupt();
    let end = run.end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(!end.text.contains("Unhealthy"), "{}", end.text);
}

#[test]
fn json_is_one_status_a_line() {
    let end = Run::start(&["--json", &pod("job")]).end();
    assert_eq!(end.code, 0);
    let statuses: Vec<serde_json::Value> = end
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let phases: Vec<&str> = statuses
        .iter()
        .map(|status| status["phase"].as_str().unwrap())
        .collect();
    assert_eq!(
        (phases.first(), phases.last()),
        (Some(&"Pending"), Some(&"Succeeded"))
    );
    let last = &statuses.last().unwrap()["containerStatuses"][0];
    assert_eq!(last["state"]["terminated"]["exitCode"], 0);
}

#[test]
fn a_pod_with_a_state_directory_outlives_its_embedder() {
    let state = Folder::new("state");
    let args = ["--state", &state.0.display().to_string(), &pod("auto-pod")];
    let mut first = Run::start(&args);
    first.has("auto-client | answer");
    let mut second = first.again(&args);
    second.row("auto-pod", "2/2", "Running");
    second.has("auto-client | answer");
    second.interrupt();
    let end = second.end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(
        !end.text.contains("Started container"),
        "nothing was started anew: {}",
        end.text
    );
}

#[test]
fn recover_loses_nothing() {
    let end = Run::example("recover", &[], "").end();
    assert_eq!(end.code, 0, "{}", end.text);
    end.in_order(&["the embedder is dead", "a new Node found the pod again"]);
    end.in_order(&[
        "line 1",
        "line 2",
        "line 3",
        "line 4",
        "line 5",
        "line 6",
        "exit code 7",
    ]);
}

#[test]
fn namespace_shows_what_is_shared() {
    let end = Run::example("namespace", &[], "").end();
    assert_eq!(end.code, 0, "{}", end.text);
    end.in_order(&["mount its own", "ipc shared", "pid its own", "net its own"]);
}

#[test]
fn limits_runs_a_command() {
    let end = Run::example("limits", &["sh", "-c", "echo process $$"], "").end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(
        end.text.contains("process 2") || end.text.contains("process 1"),
        "{}",
        end.text
    );
    assert!(end.text.contains("it ended: Some(Code(0))"), "{}", end.text);
}

#[test]
fn simulate_shows_a_life_at_once() {
    let end = Run::example("simulate", &[&pod("stubborn")], "").end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(end.text.contains("stubborn"), "{}", end.text);
}

#[test]
fn init_and_termination_tell_the_order() {
    let end = Run::example("init", &[], "").end();
    assert_eq!(end.text, "1. proxy\n2. migrate\n3. warm\n4. web\n4. cache");
    let end = Run::example("termination", &[], "").end();
    end.in_order(&[
        "proxy: waits for [\"web\", \"logs\"]",
        "logs: waits for [\"web\"]",
        "web: waits for []",
    ]);
}

#[test]
fn cgroup_ends_everything_in_it() {
    let end = Run::example("cgroup", &[], "").end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(
        end.text.contains("all of it is gone") || end.text.contains("no cgroup for this user"),
        "{}",
        end.text
    );
}

#[test]
fn help_and_wrong_usage() {
    let help = Run::start(&["--help"]).end();
    assert_eq!(help.code, 0);
    assert!(help.text.contains("usage: run [OPTIONS] MANIFEST"));
    for (args, text) in [
        (&[][..], "which manifest?"),
        (&["--fast"], "there is no option --fast"),
        (
            &["--image", "busybox"],
            "--image takes NAME=dir:PATH, not \"busybox\"",
        ),
        (&["a", "b"], "one manifest at a time, b is the second"),
        (&["--state"], "--state needs a directory"),
        (
            &["no/such/pod.yaml"],
            "could not read no/such/pod.yaml: No such file or directory",
        ),
    ] {
        let end = Run::start(args).end();
        assert_eq!(end.code, 2, "{args:?}: {}", end.text);
        assert!(end.text.contains(text), "{args:?}: {}", end.text);
    }
}

#[test]
fn an_image_that_is_not_there_is_waited_for() {
    let text = text("job").replace("podlife.local/host", "example.com/absent:1");
    let mut run = Run::fed(&["-"], text);
    run.row("job", "0/1", "ErrImagePull");
    run.interrupt();
    assert_eq!(run.end().code, 0);
}

#[test]
fn a_program_that_is_not_there_fails_the_container() {
    let text = text("job").replace("/bin/sh", "/bin/no-such-shell");
    let end = Run::fed(&["-"], text).end();
    assert_eq!(end.code, 1, "{}", end.text);
    assert!(
        end.text.contains("/bin/no-such-shell"),
        "it is named: {}",
        end.text
    );
}

#[test]
fn an_image_may_be_a_directory() {
    let directory = Folder::with_a_shell();
    let image = format!("mine=dir:{}", directory.0.display());
    let text = text("job").replace("podlife.local/host", "mine");
    let end = Run::fed(&["--image", &image, "-"], text).end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(end.text.contains("5050"), "{}", end.text);
}

#[test]
fn a_manifest_that_cannot_be_used_is_explained() {
    for (name, text, wanted) in [
        ("not-yaml", "a: [b", &[][..]),
        (
            "not-a-pod",
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
            &["Service"],
        ),
        (
            "no-containers",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n",
            &["spec.containers"],
        ),
        (
            "twins",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: b, image: c}\n  - {name: b, image: c}\n",
            &["spec.containers[1].name", "duplicate", "line 7"],
        ),
        (
            "wrong-type",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: b, image: c, command: echo}\n",
            &["command"],
        ),
        (
            "unknown-field",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: b, imge: c}\n",
            &["spec.containers[0].imge", "did you mean image?", "line 6"],
        ),
    ] {
        let end = Run::fed(&["-"], text).end();
        assert_eq!(end.code, 2, "{name}: {}", end.text);
        for word in wanted {
            assert!(
                end.text.contains(word),
                "{name} should say {word}: {}",
                end.text
            );
        }
    }
}

#[test]
fn a_field_without_effect_is_said_and_a_refused_one_is_an_error() {
    let field = |text: &str| {
        self::text("job").replace("  restartPolicy", &format!("  {text}\n  restartPolicy"))
    };
    let end = Run::fed(&["-"], field("nodeName: elsewhere")).end();
    assert_eq!(end.code, 0, "{}", end.text);
    assert!(end.text.contains("spec.nodeName"), "{}", end.text);
    let end = Run::fed(&["-"], field("schedulingGates: [{name: a}]")).end();
    assert_eq!(end.code, 2, "{}", end.text);
    assert!(end.text.contains("spec.schedulingGates"), "{}", end.text);
}

#[test]
fn a_huge_manifest_is_refused_quickly() {
    let end = Run::fed(&["-"], vec![b' '; 100 << 20]).end();
    assert_eq!(end.code, 2, "{}", end.text);
}
