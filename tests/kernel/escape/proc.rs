//! Files of `/proc`: those that are hidden from containers, and those that are written while a container is set up.

use podlife::linux::pause::Key;
use podlife::linux::pause::plan::{Attributes, Namespaces, Plan, Propagation, Source, Step};

use super::Folder;
use crate::sandbox::{TestPod, host_with, shell};

const FIRST: Key = Key::container(0, 0);

fn bind(source: &str, target: &str) -> Step {
    Step::Bind {
        source: Source::Host(source.into()),
        target: target.into(),
        attributes: Attributes::NONE,
    }
}

fn tmpfs(target: &str) -> Step {
    Step::Filesystem {
        kind: "tmpfs".into(),
        options: "mode=755".into(),
        target: target.into(),
        attributes: Attributes::NONE,
    }
}

fn file(path: &str, text: &str) -> Step {
    Step::File {
        path: path.into(),
        mode: 0o644,
        bytes: text.into(),
    }
}

/// A root whose `/dev/null` is a link to something that the container shall not write, and a file to be masked.
fn hostile_root() -> Vec<Step> {
    vec![
        tmpfs("/dev"),
        file("/run/precious", "precious\n"),
        file("/run/hidden", "hidden\n"),
        Step::Symlink {
            path: "/dev/null".into(),
            to: "/run/precious".into(),
        },
    ]
}

#[test]
fn cve_2025_31133_what_masks_a_path_is_not_the_containers() {
    let look = "stat -c '%F %t:%T' /run/hidden; cat /run/hidden";
    let mut pod = TestPod::new();
    // The hole: /dev/null as the container has it is bound over the path.
    let mut plan = host_with(hostile_root());
    plan.push(bind("/dev/null", "/run/hidden"));
    let (_, text) = pod.run(FIRST, &shell(plan, look));
    assert_eq!(text, "regular file 0:0\nprecious\n");

    let masked = hostile_root()
        .into_iter()
        .chain([Step::Mask("/run/hidden".into())]);
    let plan = shell(host_with(masked), look);
    let (_, text) = pod.run(Key::container(0, 1), &plan);
    assert_eq!(text, "character special file 1:3\n");
}

/// Before the root is the container's nothing of it is followed, and after that nothing is mounted any more. So the console, which
/// runc bound after it, is not podlife's to bind: a container's terminal is its standard input.
#[test]
fn cve_2025_52565_nothing_is_mounted_once_the_root_is_the_containers() {
    let hostile = || {
        vec![
            tmpfs("/dev"),
            file("/run/precious", "precious\n"),
            Step::Symlink {
                path: "/dev/pts/0".into(),
                to: "/run/precious".into(),
            },
        ]
    };
    let mut pod = TestPod::new();
    // The hole: a terminal that is bound by its name in the container, to where the container can write.
    let mut plan = host_with(hostile());
    plan.push(bind("/dev/pts/0", "/dev/console"));
    let (_, text) = pod.run(FIRST, &shell(plan, "cat /dev/console"));
    assert_eq!(text, "precious\n");

    for plan in podlife_plans() {
        let root = plan.steps().iter().position(|step| *step == Step::Pivot);
        for step in &plan.steps()[root.unwrap() + 1..] {
            let mounts = matches!(
                step,
                Step::Bind { .. } | Step::Filesystem { .. } | Step::Mask(_) | Step::ReadOnly(_)
            );
            assert!(!mounts, "{step}");
        }
        assert!(!plan.to_string().contains("/dev/console"), "{plan}");
    }
}

/// What the Node does for a container with a terminal, and for a privileged one.
fn podlife_plans() -> Vec<Plan> {
    use podlife::model::{Container, Pod};
    let node = podlife::Node::ephemeral().unwrap();
    let terminal = Container::new("terminal", "podlife.local/host").with(|container| {
        container.command = vec!["true".into()];
        (container.tty, container.stdin) = (Some(true), Some(true));
    });
    let plain = Container::new("plain", "podlife.local/host").command(["true"]);
    let pod = Pod::new("planned").container(terminal).container(plain);
    let plans = node.plan(&pod.validate().unwrap()).unwrap();
    let containers = plans.containers.into_iter();
    containers.map(|container| container.plan).collect()
}

/// Where a value for the kernel is written, a container sharing the mounts could have put something else.
#[test]
fn cve_2025_52881_values_for_the_kernel_reach_the_kernel_only() {
    let folder = Folder::new("redirected");
    let precious = folder.join("precious");
    let sysctl = || Step::Sysctl {
        name: "net.ipv4.ip_unprivileged_port_start".into(),
        value: "1017".into(),
    };
    let path = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let mut pod = TestPod::new();
    // Another file system in the place of /proc, or of a directory of it.
    for (attempt, place) in ["/proc", "/proc/sys", "/proc/sys/net"]
        .into_iter()
        .enumerate()
    {
        let redirecting = |last: Step| {
            std::fs::write(&precious, "precious").unwrap();
            let mut plan = Plan::new(Namespaces::MOUNT);
            plan.push(Step::Propagation("/".into(), Propagation::Private))
                .push(tmpfs(place))
                .push(file(path, ""))
                .push(bind(precious.to_str().unwrap(), path))
                .push(last);
            plan
        };
        // The hole: a plain write by that path changes what it was redirected to.
        let attempt = attempt as u32;
        pod.start(podlife::linux::pause::Start::new(
            Key::container(1, attempt),
            &redirecting(file(path, "1017")),
        ));
        pod.exit(Key::container(1, attempt));
        assert_eq!(std::fs::read(&precious).unwrap(), b"1017");

        let key = Key::container(2, attempt);
        let error = pod.failure(key, &redirecting(sysctl()));
        assert_eq!(error.errno(), Some(libc::EXDEV), "{error}");
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
    }
    // Without all that it is set.
    let mut plan = Plan::new(Namespaces::MOUNT);
    plan.push(sysctl());
    let (_, text) = pod.run(FIRST, &shell(plan, &format!("cat {path}")));
    assert_eq!(text, "1017\n");
}
