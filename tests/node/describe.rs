//! The page about a pod, from a Node that runs it.

use podlife::linux::Clock;
use podlife::node::{Delete, Node};
use serde_json::json;

use super::hosted::{Hosted, LONG, pod, shell, spec, with};

#[test]
fn a_running_pod_is_described_with_its_events() {
    let mut hosted = Hosted::ephemeral();
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" }, "data": { "colour": "red" } });
    let config: podlife::model::ConfigMap = serde_json::from_value(config).unwrap();
    hosted.node.put(config).unwrap();
    let more = json!({
        "env": [{ "name": "COLOUR", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "colour" } } }],
        "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
        "readinessProbe": { "exec": { "command": ["true"] } }
    });
    let script = "[ -e /v/x ] || { touch /v/x; exit 7; }; trap '' TERM; while :; do sleep 1; done";
    let main = with(shell("main", script), more);
    let id = hosted.create(&spec(
        pod("described", "OnFailure", json!([main])),
        json!({ "volumes": [{ "name": "v", "emptyDir": {} }] }),
    ));
    let again = |node: &Node| {
        let status = &node.pod(id).unwrap().status().container_statuses;
        status
            .iter()
            .any(|main| main.restart_count == 1 && main.ready)
    };
    hosted.node.run_until(LONG, |node, _| again(node)).unwrap();
    let now = Clock::wall();
    let text = hosted.node.pod(id).unwrap().describe(now).to_string();
    for part in [
        "Name:         described\n",
        "Status:       Running\n",
        "    State:          Running\n      Started:      ",
        "    Last State:     Terminated\n      Reason:       Error\n      Exit Code:    7\n",
        "    Restart Count:  1\n    Readiness:      exec [true] delay=0s timeout=1s period=10s #success=1 #failure=3\n",
        "      COLOUR:  <set to the key 'colour' of config map 'settings'>  Optional: false\n",
        "      /v from v (rw)\n",
        "    Type:        EmptyDir (a temporary directory that shares a pod's lifetime)\n",
        "Events:\n  Type ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // Twice the same is one row with its count.
    let starts: Vec<_> = text
        .lines()
        .filter(|line| line.contains("Started container main"))
        .collect();
    assert!(
        matches!(starts[..], [one] if one.contains(" (x2 over ")),
        "{starts:?}"
    );
    // What the page shows above is not repeated.
    assert!(!text.contains("Pod is Running"), "{text}");

    hosted.node.delete(id, Delete::default()).unwrap();
    let text = hosted
        .node
        .pod(id)
        .unwrap()
        .describe(Clock::wall())
        .to_string();
    assert!(
        text.contains("Status:                    Terminating (lasts "),
        "{text}"
    );
    assert!(text.contains("Termination Grace Period:  5s\n"), "{text}");
    hosted.kill(id);
    hosted.end();
}
