//! A real pod's life, drawn from the Node's events as a simulated one is from its machine's outputs.

use podlife::node::{Cursor, Until};
use serde_json::json;

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
