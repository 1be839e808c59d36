//! User namespaces: the way to file systems and sockets of the kernel that an ordinary container cannot reach.

use podlife::linux::Capabilities;
use podlife::linux::pause::Key;
use podlife::linux::pause::plan::{Credentials, Filter, Plan};

use crate::sandbox::{TestPod, host_with, root_with, shell};

/// Root in a user namespace of its own mounts, which reaches the parsers of `fsconfig(2)`.
const REACH: &str = "unshare --user --map-root-user --mount mount -t tmpfs none /tmp 2>/dev/null && echo reached; true";

fn confined(credentials: &Credentials) -> Plan {
    let mut plan = host_with([]);
    plan.drop_to(credentials);
    shell(plan, REACH)
}

#[test]
fn cve_2022_0185_runtime_default_gives_no_user_namespace() {
    use podlife::linux::seccomp::Profile;
    let mut pod = TestPod::new();
    let open = root_with(Capabilities::CONTAINER);
    // The hole: unconfined, as Kubernetes has it unless the manifest says otherwise.
    let (_, text) = pod.run(Key::container(0, 0), &confined(&open));
    if text.is_empty() {
        return println!("skipped: CVE-2022-0185: this host gives nobody a user namespace");
    }
    assert_eq!(text, "reached\n");

    let filter = Filter::try_from(Profile::runtime_default(Capabilities::CONTAINER)).unwrap();
    for no_new_privileges in [false, true] {
        let closed = Credentials {
            seccomp: Some(filter.clone()),
            no_new_privileges,
            ..open.clone()
        };
        let key = Key::container(1, u32::from(no_new_privileges));
        assert_eq!(pod.run(key, &confined(&closed)).1, "");
    }
}

/// Nor by `clone`, or by `clone3`, whose flags no filter can see: it answers that there is no such call.
#[test]
fn cve_2022_0185_nor_does_any_other_call_give_one() {
    use podlife::linux::seccomp::{Action, Profile};
    let profile = Profile::runtime_default(Capabilities::CONTAINER);
    let new_user = 0x1000_0000;
    let call = |name, flags| profile.answer(name, [flags, 0, 0, 0, 0, 0]);
    assert_eq!(call("unshare", new_user), Action::Errno(1));
    assert_eq!(call("clone", new_user), Action::Errno(1));
    assert_eq!(call("clone", 0x11), Action::Allow); // a fork's
    assert_eq!(call("clone3", 0), Action::Errno(38));
    assert_eq!(call("setns", 0), Action::Errno(1));
    assert_eq!(call("fsopen", 0), Action::Errno(1));
}
