//! Profiles in the form of the OCI runtime specification: what a `Localhost` profile is.

use serde::Deserialize;

use super::{Action, Architecture, Comparison, Condition, Profile};
use crate::{Error, Kind, Result};

/// `linux.seccomp` of the OCI runtime specification.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    architectures: Vec<String>,
    /// Docker's own.
    #[serde(default)]
    arch_map: Vec<Family>,
    #[serde(default)]
    flags: Vec<String>,
    listener_path: Option<String>,
    #[serde(default)]
    syscalls: Vec<Entry>,
}

/// An architecture, and which others its kernel runs programs of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Family {
    architecture: String,
    #[serde(default)]
    sub_architectures: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    /// Docker's own: rules that depend on capabilities and kernels.
    includes: Option<serde_json::Value>,
    excludes: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

impl Profile {
    /// Reads a profile as `linux.seccomp` of the OCI runtime specification, JSON. The rules hold for the architecture this is
    /// compiled for, listed or not. On x86_64 they hold for 32-bit programs if `SCMP_ARCH_X86` is among the `architectures`, or
    /// the `subArchitectures` of x86_64 in Docker's `archMap`; else those are killed.
    ///
    /// A profile that by default lets calls fail gives ENOSYS for calls newer than all that it names, as runc does, so that
    /// C libraries use the older ones.
    ///
    /// ```
    /// use podlife::linux::seccomp::{Action, Profile};
    ///
    /// let profile = Profile::from_oci(br#"{
    ///     "defaultAction": "SCMP_ACT_ALLOW",
    ///     "syscalls": [{ "names": ["chmod", "fchmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }]
    /// }"#)?;
    /// assert_eq!(profile.answer("fchmod", [0; 6]), Action::Errno(13));
    /// # Ok::<(), podlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::Invalid`] for another form, [`Kind::Unsupported`] for `SCMP_ACT_NOTIFY` and for Docker's `includes` and `excludes`.
    pub fn from_oci(json: &[u8]) -> Result<Profile> {
        let document: Document = serde_json::from_slice(json)
            .map_err(|error| Error::caused(Kind::Invalid, ATTEMPT, error))?;
        if document.listener_path.is_some() {
            return Err(unsupported("listenerPath"));
        }
        let default = action(&document.default_action, document.default_errno_ret)?;
        let mut profile = Profile::new(default);
        if matches!(default, Action::Errno(_)) {
            profile.newer = Action::ENOSYS;
        }
        profile.flags = document
            .flags
            .iter()
            .map(|name| flag(name))
            .sum::<Result<u32>>()?;
        let listed = listed(&document)?.into_iter();
        let profile = listed.fold(profile, Profile::architecture);
        document.syscalls.into_iter().try_fold(profile, add)
    }
}

pub(super) const FLAGS: [(&str, u32); 2] = [
    ("SECCOMP_FILTER_FLAG_LOG", 2),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4),
];

/// What the specification lists, without `SCMP_ARCH_`. Of most of them no program runs where podlife does.
const ARCHITECTURES: &str = "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE \
    S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB";

const ATTEMPT: &str = "read a seccomp profile";

/// Whose programs may run, as far as their numbers are known here.
fn listed(document: &Document) -> Result<Vec<Architecture>> {
    let (list, map) = (&document.architectures, &document.arch_map);
    if !list.is_empty() && !map.is_empty() {
        let why = "it has both architectures and archMap, of which one must go";
        return Err(invalid(why.to_owned()));
    }
    let mut names: Vec<&String> = list.iter().collect();
    for family in map {
        if architecture(&family.architecture)? == Some(Architecture::NATIVE) {
            names.extend(&family.sub_architectures);
        }
    }
    let listed = names.into_iter().map(|name| architecture(name).transpose());
    listed.flatten().collect()
}

fn architecture(name: &str) -> Result<Option<Architecture>> {
    let mut all = ARCHITECTURES.split_whitespace();
    if !all.any(|known| name.strip_prefix("SCMP_ARCH_") == Some(known)) {
        return Err(invalid(format!("no architecture is called {name:?}")));
    }
    let mut ours = Architecture::ALL.into_iter();
    Ok(ours.find(|ours| ours.oci() == name))
}

fn add(profile: Profile, entry: Entry) -> Result<Profile> {
    let not_empty =
        |value: &serde_json::Value| value.as_object().is_some_and(|object| !object.is_empty());
    if entry.includes.as_ref().is_some_and(not_empty)
        || entry.excludes.as_ref().is_some_and(not_empty)
    {
        return Err(unsupported("includes and excludes, which are Docker's,"));
    }
    let action = action(&entry.action, entry.errno_ret)?;
    let arguments = entry.args.unwrap_or_default();
    let conditions = arguments
        .iter()
        .map(condition)
        .collect::<Result<Vec<_>>>()?;
    // Runtimes take two conditions on one argument for two rules.
    let rules: Vec<_> = match Condition::each_has_its_argument(&conditions) {
        true => vec![&*conditions],
        false => conditions.chunks(1).collect(),
    };
    Ok(entry.names.iter().fold(profile, |profile, name| {
        let rules = rules.iter();
        rules.fold(profile, |profile, rule| profile.rule(name, rule, action))
    }))
}

fn action(name: &str, errno: Option<u16>) -> Result<Action> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => errno.map_or(Action::EPERM, Action::Errno),
        "SCMP_ACT_TRACE" => Action::Trace(errno.unwrap_or(libc::EPERM as u16)),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_NOTIFY" => return Err(unsupported(name)),
        other => return Err(invalid(format!("no action is called {other:?}"))),
    })
}

fn condition(argument: &Argument) -> Result<Condition> {
    if argument.index > 5 {
        return Err(invalid(format!(
            "there is no argument {}, they are 0 to 5",
            argument.index
        )));
    }
    let (comparison, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (Comparison::Eq, argument.value),
        "SCMP_CMP_NE" => (Comparison::Ne, argument.value),
        "SCMP_CMP_LT" => (Comparison::Lt, argument.value),
        "SCMP_CMP_LE" => (Comparison::Le, argument.value),
        "SCMP_CMP_GT" => (Comparison::Gt, argument.value),
        "SCMP_CMP_GE" => (Comparison::Ge, argument.value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEq(argument.value), argument.value_two),
        other => return Err(invalid(format!("no comparison is called {other:?}"))),
    };
    Ok(Condition {
        argument: argument.index,
        comparison,
        value,
    })
}

fn flag(name: &str) -> Result<u32> {
    if name == "SECCOMP_FILTER_FLAG_TSYNC" {
        return Ok(0); // the process has one thread
    }
    let found = FLAGS.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, flag)| flag).ok_or_else(|| unsupported(name))
}

fn invalid(why: String) -> Error {
    Error::new(Kind::Invalid, ATTEMPT, why)
        .cure("see the OCI runtime specification, config-linux.md, seccomp")
}

fn unsupported(what: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        ATTEMPT,
        format!("{what} cannot be done here"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Profile> {
        Profile::from_oci(json.as_bytes())
    }

    #[test]
    fn rules_and_arguments_are_read() {
        let profile = read(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],
                "flags":["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]},
                            {"names":["read","set_tls"],"action":"SCMP_ACT_LOG","args":null}]}"#,
        )
        .unwrap();
        assert_eq!(profile.answer("socket", [2, 0, 0, 0, 0, 0]), Action::Allow);
        assert_eq!(
            profile.answer("socket", [3, 0, 0, 0, 0, 0]),
            Action::Errno(38)
        );
        assert_eq!(profile.answer("read", [0; 6]), Action::Log);
        assert_eq!(profile.unknown(), ["set_tls"]);
        assert_eq!(profile.flags(), 2);
    }

    /// As runc has it: of conditions on one argument one must hold, of those on several all.
    #[test]
    fn two_conditions_on_one_argument_are_two_rules() {
        let allows = |index: u8, arguments| {
            let json = format!(
                r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[
                    {{"index":0,"value":2,"op":"SCMP_CMP_EQ"}},{{"index":{index},"value":3,"op":"SCMP_CMP_EQ"}}]}}]}}"#
            );
            read(&json).unwrap().answer("socket", arguments) == Action::Allow
        };
        assert!(allows(0, [2, 0, 0, 0, 0, 0]) && allows(0, [3, 0, 0, 0, 0, 0]));
        assert!(!allows(0, [4, 0, 0, 0, 0, 0]));
        assert!(allows(1, [2, 3, 0, 0, 0, 0]));
        assert!(!allows(1, [2, 2, 0, 0, 0, 0]) && !allows(1, [3, 3, 0, 0, 0, 0]));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn programs_of_32_bits_run_if_they_are_listed() {
        let write = |listed: &str| {
            let json = format!(
                r#"{{{listed} "defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["write","_llseek"],"action":"SCMP_ACT_ALLOW"}}]}}"#
            );
            let profile = read(&json).unwrap();
            assert_eq!(profile.answer("write", [0; 6]), Action::Allow, "{json}");
            assert_eq!(profile.answer("_llseek", [0; 6]), Action::EPERM, "{json}");
            assert!(profile.unknown().is_empty());
            let answers = ["write", "_llseek", "read", "mseal"]
                .map(|name| profile.answer_on(Architecture::I386, name, [0; 6]));
            answers.to_vec()
        };
        let (killed, allow) = (vec![Action::KillProcess; 4], Action::Allow);
        let run = vec![allow, allow, Action::EPERM, Action::ENOSYS];
        assert_eq!(write(""), killed);
        assert_eq!(
            write(r#""architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32","SCMP_ARCH_ARM"],"#),
            killed
        );
        assert_eq!(
            write(
                r#""archMap":[{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_X86"]}],"#
            ),
            killed
        );
        assert_eq!(write(r#""architectures":["SCMP_ARCH_X86"],"#), run);
        assert_eq!(
            write(
                r#""archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]}],"#
            ),
            run
        );
    }

    #[test]
    fn calls_newer_than_the_profile_do_not_exist() {
        let profile = read(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["write"],"action":"SCMP_ACT_ALLOW"}]}"#,
        );
        let profile = profile.unwrap();
        assert_eq!(profile.answer("read", [0; 6]), Action::EPERM);
        assert_eq!(profile.answer("mseal", [0; 6]), Action::ENOSYS);
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (json, word) in [
            ("{", "EOF"),
            ("{}", "defaultAction"),
            (r#"{"defaultAction":"ALLOW"}"#, "\"ALLOW\""),
            (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY"),
            (
                r#"{"defaultAction":"SCMP_ACT_KILL","architectures":["SCMP_ARCH_I386"]}"#,
                "\"SCMP_ARCH_I386\"",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_KILL","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}"#,
                "archMap",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_KILL","flags":["X"]}"#,
                "X cannot",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","includes":{"caps":["X"]}}]}"#,
                "includes",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
                "no argument 6",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.to_string().contains(word), "{json}: {error}");
        }
    }
}
