//! The page for Prometheus.

use podlife::node::Until;
use serde_json::json;

use super::hosted::{Hosted, pod, shell, with};

#[test]
fn a_running_pod_has_figures() {
    let mut hosted = Hosted::ephemeral();
    let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo done; exec sleep 1000";
    let main = with(
        shell("main", busy),
        json!({ "resources": { "limits": { "memory": "64Mi" } } }),
    );
    let id = hosted.create(&pod(
        "busy",
        "Never",
        json!([main, shell("other", "exit 0")]),
    ));
    hosted.printed(id, "main", "done");
    hosted.until("Exited", "other");
    let page = hosted.node.metrics().to_string();
    let value = |start: &str| {
        let line = page.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no {start} in\n{page}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("kubelet_running_pods "), 1.0);
    assert_eq!(
        value("kubelet_running_containers{container_state=\"running\"}"),
        1.0
    );
    assert_eq!(
        value("kubelet_running_containers{container_state=\"exited\"}"),
        1.0
    );
    let name = "namespace=\"default\",pod=\"busy\"";
    for (phase, is) in [("Running", 1.0), ("Pending", 0.0), ("Succeeded", 0.0)] {
        let line = format!("kube_pod_status_phase{{{name},phase=\"{phase}\"}}");
        assert_eq!(value(&line), is, "{line}");
    }
    for (container, ready) in [("main", 1.0), ("other", 0.0)] {
        let labels = format!("{{container=\"{container}\",{name}}}");
        let restarts = format!("kube_pod_container_status_restarts_total{labels}");
        let line = format!("kube_pod_container_status_ready{labels}");
        assert_eq!((value(&line), value(&restarts)), (ready, 0.0), "{labels}");
    }
    let labels = format!("{{container=\"main\",image=\"podlife.local/host\",{name}}}");
    let started = value(&format!("container_start_time_seconds{labels}"));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!(
        (0.0..100.0).contains(&(now.as_secs_f64() - started)),
        "{started}"
    );
    // Where there is a cgroup at all, processor time is counted.
    if page.contains("pod_cpu_usage_seconds_total{") {
        let container = value(&format!("container_cpu_usage_seconds_total{labels}"));
        assert!(container > 0.001, "{container}");
        assert!(value(&format!("pod_cpu_usage_seconds_total{{{name}}}")) >= container);
    }
    let types = page
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .count();
    let helps = page
        .lines()
        .filter(|line| line.starts_with("# HELP"))
        .count();
    assert!(types == helps && types >= 5, "{page}");
    hosted.delete(id);
    hosted.end();
}

#[test]
fn restarts_are_counted() {
    let mut hosted = Hosted::ephemeral();
    let id = hosted.create(&pod(
        "again",
        "Never",
        json!([shell("main", "exec sleep 1000")]),
    ));
    hosted.wait(id, Until::Ready);
    hosted.node.restart(id, Some("main")).unwrap();
    hosted.until("Exited", "main");
    hosted.seen.clear();
    hosted.until("Started", "main");
    let labels = "{container=\"main\",namespace=\"default\",pod=\"again\"}";
    let line = format!("kube_pod_container_status_restarts_total{labels} 1\n");
    let page = hosted.node.metrics().to_string();
    assert!(page.contains(&line), "no {line} in\n{page}");
    hosted.kill(id);
    hosted.end();
}
