//! The agent that cgroup v1 runs, as the host's root, when a cgroup becomes empty.

use podlife::linux::Capabilities;
use podlife::linux::mount::mounts;
use podlife::linux::pause::Key;
use podlife::linux::pause::plan::{Plan, Step};

use crate::nobody;
use crate::sandbox::{TestPod, host_with, root_with, shell};

/// A controller that is in a v1 hierarchy, which can be mounted once more without changing anything.
fn old_controller() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cgroups").unwrap();
    let mut lines = text.lines().map(|line| line.split_whitespace());
    lines.find_map(|mut words| {
        let (name, hierarchy) = (words.next()?, words.next()?);
        (!name.starts_with('#') && hierarchy != "0").then(|| name.to_owned())
    })
}

fn container(set: Capabilities, script: &str) -> Plan {
    let mut plan = host_with([Step::CgroupNamespace]);
    plan.drop_to(&root_with(set));
    shell(plan, script)
}

#[test]
fn cve_2022_0492_no_container_reaches_release_agent() {
    let mut pod = TestPod::new();
    let controller = old_controller();
    let name = controller.as_deref().unwrap_or("pids");
    // What is in it is written once more, so that the host's stays as it is.
    let mount = format!(
        "agent=/tmp/old/release_agent; mkdir /tmp/old; mount -t cgroup -o {name} old /tmp/old && \
         value=$(cat $agent) && printf \"%s\\n\" \"$value\" >> $agent && echo reached"
    );
    let namespaces = format!("unshare --user --map-root-user --mount --cgroup sh -c '{mount}'");
    match controller {
        _ if !nobody::is_root() => {
            println!("without the guard: not shown: release_agent is the host's root's alone");
        }
        None => println!("without the guard: not shown: no hierarchy of cgroup v1 is mounted here"),
        Some(_) => {
            // The hole: a privileged container's.
            let all = Capabilities::supported().unwrap();
            let (_, text) = pod.run(Key::container(0, 0), &container(all, &mount));
            assert_eq!(text, "reached\n");
        }
    }
    for (at, script) in [&mount, &namespaces].into_iter().enumerate() {
        let plan = container(Capabilities::CONTAINER, script);
        let (exit, text) = pod.run(Key::container(1, at as u32), &plan);
        assert!(exit.code() != 0 && !text.contains("reached"), "{text}");
    }
    let left = mounts().unwrap();
    assert!(!left.iter().any(|mount| mount.target.ends_with("tmp/old")));
}
