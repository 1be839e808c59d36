//! A real pod's life, drawn from the Node's events as a simulated one is from its machine's outputs.

use podlife::lifecycle::history::History;
use podlife::lifecycle::timeline::Timeline;
use podlife::node::{Cursor, Node, Until};
use serde_json::json;

use super::before;
use super::hosted::{Hosted, pod, shell, spec, with};

#[test]
fn a_real_life_is_drawn_like_a_simulated_one() {
    let mut hosted = Hosted::ephemeral();
    let mount = json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v" }] });
    let script = "[ -e /v/x ] || { touch /v/x; exit 7; }";
    let flaky = with(shell("flaky", script), mount);
    let id = hosted.create(&spec(
        pod("drawn", "OnFailure", json!([flaky])),
        json!({ "volumes": [{ "name": "v", "emptyDir": {} }] }),
    ));
    hosted.wait(id, Until::Finished);
    hosted.delete(id);
    let timeline = hosted.node.events(Cursor::START).timeline(id);
    let text = timeline.to_string();
    let mut lines = text.lines();
    for part in [
        "flaky             started, attempt 0",
        "flaky             exited with 7",
        "flaky             started, attempt 1",
        "flaky             exited with 0",
        "pod               Succeeded",
        "pod               gone",
    ] {
        assert!(lines.any(|line| line.ends_with(part)), "{part}\n{text}");
    }
    let svg = timeline.svg();
    for part in [
        ">drawn<",
        ">1 restart<",
        "exit code 7",
        "exit code 0",
        ">Succeeded<",
    ] {
        assert!(svg.contains(part), "{part}\n{svg}");
    }
    hosted.end();
}

/// Told what the Node told it, another machine comes to the same status; also where most of it was folded.
#[test]
fn a_real_life_can_be_lived_again() {
    for kept in [128, 3] {
        let mut hosted = Hosted::with(|| before::open(Node::options().history(kept)));
        let probe = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
        let web = with(
            shell("web", "sleep 1000"),
            json!({ "readinessProbe": probe }),
        );
        let id = hosted.create(&pod("again", "Always", json!([web])));
        hosted.wait(id, Until::Ready);
        let again = hosted.node.pod(id).unwrap();
        let report = serde_json::to_string(&again.history()).unwrap();
        let history: History = serde_json::from_str(&report).unwrap();
        let status = history.replay(|_, _, _| {}).status().clone();
        assert_eq!(status, *again.status(), "{report}");
        assert_eq!(history.entries().count() <= 3, kept == 3, "{report}");
        if kept > 3 {
            let text = Timeline::of(&history).to_string();
            assert!(
                text.contains("web               started, attempt 0"),
                "{text}"
            );
        }
        hosted.delete(id);
        hosted.end();
    }
}
