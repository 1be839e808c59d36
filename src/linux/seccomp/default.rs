//! The profile `RuntimeDefault`.

use super::syscalls::{self, Call};
use super::{Action, Architecture, Comparison, Condition, Profile};
use crate::linux::Capabilities;

/// Families of sockets that reach beyond the container: the kernel's crypto (`AF_ALG`) has been a way in more than once and
/// nothing needs it; `AF_VSOCK` talks to the hypervisor, whatever the network namespace.
const FORBIDDEN_FAMILIES: [u64; 2] = [38, 40];

/// Personalities that do no harm: Linux, BSD, UNAME26 with either, and the question which one it is.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// `CLONE_NEW*` except time, which `clone` cannot do: its bit means another thing there.
const NAMESPACES: u64 = 0x7e02_0000;

impl Profile {
    /// What `seccompProfile: RuntimeDefault` stands for: the calls that programs use, without those that reach out of a
    /// container, as far as its capabilities do not allow them anyway. In the spirit of what other runtimes do; the table is
    /// `syscalls.txt` beside this file.
    ///
    /// What is forbidden fails with EPERM. What the kernel may have and this library does not know fails with ENOSYS, so
    /// that C libraries use the older call; so does `clone3`, whose arguments a filter cannot see.
    ///
    /// On x86_64 the same holds for 32-bit programs, with one hole that other runtimes have, too: their C libraries make sockets
    /// through `socketcall`, so it is allowed, and with it families that `socket` refuses (`AF_ALG`, `AF_VSOCK`). Any program can
    /// make that call. Where this matters use a `Localhost` profile that does not list `SCMP_ARCH_X86`.
    pub fn runtime_default(capabilities: Capabilities) -> Profile {
        let profile = Profile::new(Action::ENOSYS).architecture(Architecture::I386);
        syscalls::table().fold(profile, |profile, call| add(profile, call, capabilities))
    }
}

fn add(profile: Profile, call: Call, capabilities: Capabilities) -> Profile {
    let has =
        |name: &str| Capabilities::named(name).is_ok_and(|named| capabilities.contains(named));
    match call.allowed {
        "always" => profile.rule_for(call, &[], Action::Allow),
        "never" => profile.rule_for(call, &[], Action::EPERM),
        "arguments" => by_arguments(profile, call, has("SYS_ADMIN")),
        names if names.split(',').any(has) => profile.rule_for(call, &[], Action::Allow),
        _ => profile.rule_for(call, &[], Action::EPERM),
    }
}

fn by_arguments(profile: Profile, call: Call, admin: bool) -> Profile {
    let first = |mask, value| {
        [Condition {
            argument: 0,
            comparison: Comparison::MaskedEq(mask),
            value,
        }]
    };
    // An int: bits above would hide it from a wider comparison.
    let int = |value| first(0xffff_ffff, value);
    match call.name {
        "clone" | "clone3" if admin => profile.rule_for(call, &[], Action::Allow),
        "clone3" => profile.rule_for(call, &[], Action::ENOSYS),
        "clone" => {
            let profile = profile.rule_for(call, &first(NAMESPACES, 0), Action::Allow);
            profile.rule_for(call, &[], Action::EPERM)
        }
        "personality" => {
            let allow =
                |profile: Profile, value| profile.rule_for(call, &int(value), Action::Allow);
            PERSONALITIES
                .into_iter()
                .fold(profile, allow)
                .rule_for(call, &[], Action::EPERM)
        }
        "socket" => {
            let forbid =
                |profile: Profile, family| profile.rule_for(call, &int(family), Action::EPERM);
            FORBIDDEN_FAMILIES
                .into_iter()
                .fold(profile, forbid)
                .rule_for(call, &[], Action::Allow)
        }
        _ => profile.rule_for(call, &[], Action::EPERM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, first: u64) -> Action {
        Profile::runtime_default(Capabilities::CONTAINER).answer(name, [first, 0, 0, 0, 0, 0])
    }

    #[test]
    fn what_reaches_out_of_a_container_is_forbidden() {
        let names = "mount umount2 pivot_root setns unshare bpf keyctl add_key request_key kexec_load init_module \
            open_by_handle_at perf_event_open userfaultfd io_uring_setup reboot swapon process_madvise quotactl";
        for name in names.split_whitespace() {
            assert_eq!(answer(name, 0), Action::EPERM, "{name}");
        }
        assert_eq!(answer("clone3", 0), Action::ENOSYS);
    }

    #[test]
    fn what_setting_up_a_container_still_needs_is_allowed() {
        for name in [
            "capset",
            "prctl",
            "execveat",
            "execve",
            "write",
            "sendmsg",
            "exit_group",
            "close_range",
            "chroot",
        ] {
            assert_eq!(answer(name, 0), Action::Allow, "{name}");
        }
    }

    #[test]
    fn arguments_decide() {
        assert_eq!(answer("clone", 0x11), Action::Allow);
        for kind in [
            0x0002_0000,
            0x0200_0000,
            0x0400_0000,
            0x0800_0000,
            0x1000_0000,
            0x2000_0000,
            0x4000_0000_u64,
        ] {
            assert_eq!(answer("clone", kind | 0x11), Action::EPERM, "{kind:x}");
        }
        assert_eq!(answer("socket", 2), Action::Allow);
        assert_eq!(answer("socket", 40), Action::EPERM);
        assert_eq!(answer("socket", 1 << 32 | 38), Action::EPERM);
        assert_eq!(answer("personality", 0x2_0008), Action::Allow);
        assert_eq!(answer("personality", 0x004_0000), Action::EPERM);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn programs_of_32_bits_have_the_same_rules() {
        let answer = |name: &str, first: u64| {
            let profile = Profile::runtime_default(Capabilities::CONTAINER);
            profile.answer_on(Architecture::I386, name, [first, 0, 0, 0, 0, 0])
        };
        for call in syscalls::table().filter(|call| call.number(Architecture::I386).is_some()) {
            let wanted = match call.allowed {
                "always" => Action::Allow,
                "never" | "sys_admin" => Action::EPERM,
                _ => continue,
            };
            assert_eq!(answer(call.name, 0), wanted, "{}", call.name);
        }
        for name in [
            "umount", "umount2", "mount", "unshare", "setns", "vm86", "stime",
        ] {
            assert_eq!(answer(name, 0), Action::EPERM, "{name}");
        }
        for first in 0..24 {
            assert_eq!(answer("socketcall", first), Action::Allow);
            assert_eq!(answer("ipc", first), Action::Allow);
        }
        let high = 0xdead_beef_0000_0000;
        for (name, first, wanted) in [
            ("clone", 0x11, Action::Allow),
            ("clone", 0x1000_0011, Action::EPERM),
            ("clone3", 0, Action::ENOSYS),
            ("socket", 2, Action::Allow),
            ("socket", 38, Action::EPERM),
            ("socket", 40, Action::EPERM),
            ("personality", 8, Action::Allow),
            ("personality", 0xffff_ffff, Action::Allow),
            ("personality", 0x4_0000, Action::EPERM),
        ] {
            assert_eq!(answer(name, first), wanted, "{name} {first:x}");
            assert_eq!(answer(name, high | first), wanted, "{name} {first:x}");
        }
    }

    #[test]
    fn capabilities_unlock_their_calls() {
        let admin = Capabilities::named("SYS_ADMIN").unwrap();
        let profile = Profile::runtime_default(admin);
        for name in ["mount", "setns", "clone3", "bpf"] {
            assert_eq!(profile.answer(name, [u64::MAX; 6]), Action::Allow, "{name}");
        }
        assert_eq!(profile.answer("reboot", [0; 6]), Action::EPERM);
        assert_eq!(
            Profile::runtime_default(Capabilities::NONE).answer("chroot", [0; 6]),
            Action::EPERM
        );
    }

    #[test]
    fn every_word_of_the_table_means_something() {
        for call in syscalls::table()
            .filter(|call| !["always", "never", "arguments"].contains(&call.allowed))
        {
            assert!(
                call.allowed
                    .split(',')
                    .all(|name| Capabilities::named(name).is_ok()),
                "{call:?}"
            );
        }
        let arguments = syscalls::table()
            .filter(|call| call.allowed == "arguments")
            .map(|call| call.name);
        assert_eq!(
            arguments.collect::<Vec<_>>(),
            ["socket", "clone", "personality", "clone3"]
        );
    }
}
