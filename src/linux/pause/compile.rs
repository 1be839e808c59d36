//! Each step as a record of the flat form: which number and which string means what.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::flat::{Op, Record};
use super::step::{Propagation, Source, Step};
use crate::linux::namespace::NamespaceKind;
use crate::{Error, Kind, Result};

/// Gives `put` the record of `step`.
pub(super) fn compile(step: &Step, put: impl FnOnce(&Record<'_>)) -> Result<()> {
    if let Step::Exec {
        candidates,
        argv,
        env,
    } = step
    {
        let [candidates, argv, env] = [candidates, argv, env].map(|words| joined(words));
        put(&Record {
            text: [&candidates, &argv, &env],
            ..Record::new(Op::Exec)
        });
        return Ok(());
    }
    if let Step::Groups(groups) = step {
        let groups: Vec<u8> = groups
            .iter()
            .flat_map(|group| group.to_ne_bytes())
            .collect();
        put(&text(Op::Groups, &groups));
        return Ok(());
    }
    if let Step::Sysctl { name, value } = step {
        let name = format!(
            "/proc/sys/{}",
            if name.contains('/') {
                name.clone()
            } else {
                name.replace('.', "/")
            }
        );
        put(&Record {
            text: [path(Path::new(&name))?, value.as_bytes(), &[]],
            ..Record::new(Op::Kernel)
        });
        return Ok(());
    }
    if let Step::TimeNamespace {
        monotonic,
        boottime,
    } = step
    {
        let clocks = format!("monotonic {monotonic} 0\nboottime {boottime} 0\n");
        put(&Record {
            text: [clocks.as_bytes(), &[], &[]],
            ..namespace(NamespaceKind::Time)
        });
        return Ok(());
    }
    if let Step::AppArmor(profile) = step {
        let word = format!("exec {profile}");
        put(&attribute("/proc/self/attr/apparmor/exec", &word));
        return Ok(());
    }
    if let Step::SeLinux(label) = step {
        put(&attribute("/proc/self/attr/exec", label));
        return Ok(());
    }
    put(&mount_record(step)
        .or_else(|| file_record(step))
        .unwrap_or_else(|| Ok(process_record(step)))?);
    Ok(())
}

/// What a security module does at the next `execve`.
fn attribute<'t>(file: &'t str, text: &'t str) -> Record<'t> {
    Record {
        text: [file.as_bytes(), text.as_bytes(), &[]],
        ..Record::new(Op::Kernel)
    }
}

fn mount_record(step: &Step) -> Option<Result<Record<'_>>> {
    let record = match step {
        Step::Propagation(at, how) => {
            const MS_REC: u64 = 0x4000;
            let flag = match how {
                Propagation::Private => 1 << 18,
                Propagation::Slave => 1 << 19,
                Propagation::Shared => 1 << 20,
            };
            path(at).map(|at| Record {
                number: [MS_REC | flag, 0, 0],
                ..text(Op::Propagation, at)
            })
        }
        Step::Root { source, attributes } => sourced(Op::Root, source).map(|record| Record {
            number: [attributes.0, 0, 0],
            ..record
        }),
        Step::EmptyRoot { options } => Ok(Record {
            text: [b"tmpfs", options.as_bytes(), &[]],
            number: [0, 1, 0],
            ..Record::new(Op::Root)
        }),
        Step::Bind {
            source,
            target,
            attributes,
        } => sourced(Op::Bind, source).and_then(|record| {
            let text = [record.text[0], record.text[1], path(target)?];
            Ok(Record {
                text,
                number: [attributes.0, 0, 0],
                ..record
            })
        }),
        Step::Filesystem {
            kind,
            options,
            target,
            attributes,
        } => path(target).map(|target| Record {
            text: [kind.as_bytes(), options.as_bytes(), target],
            number: [attributes.0, 0, 0],
            ..Record::new(Op::Filesystem)
        }),
        Step::Attributes {
            target,
            attributes,
            recursive,
        } => path(target).map(|target| Record {
            number: [attributes.0, u64::from(*recursive), 0],
            ..text(Op::Attributes, target)
        }),
        Step::Mask(at) => path(at).map(|at| text(Op::Mask, at)),
        Step::ReadOnly(at) => path(at).map(|at| text(Op::ReadOnly, at)),
        Step::Pivot => Ok(Record::new(Op::Pivot)),
        _ => return None,
    };
    Some(record)
}

fn file_record(step: &Step) -> Option<Result<Record<'_>>> {
    let with_mode = |op, at, mode: &u32| {
        path(at).map(|at| Record {
            number: [u64::from(*mode), 0, 0],
            ..text(op, at)
        })
    };
    let record = match step {
        Step::Directory { path: at, mode } => with_mode(Op::Directory, at, mode),
        Step::Symlink { path: at, to } => path(at).and_then(|at| {
            Ok(Record {
                text: [at, path(to)?, &[]],
                ..Record::new(Op::Symlink)
            })
        }),
        Step::Device {
            path: at,
            mode,
            major,
            minor,
        } => with_mode(Op::Device, at, mode).map(|record| Record {
            number: [record.number[0], u64::from(*major), u64::from(*minor)],
            ..record
        }),
        Step::File {
            path: at,
            mode,
            bytes,
        } => with_mode(Op::File, at, mode).map(|record| Record {
            text: [record.text[0], bytes, &[]],
            ..record
        }),
        Step::Copy {
            from,
            path: at,
            mode,
        } => with_mode(Op::Copy, at, mode).map(|record| Record {
            handle: from.0,
            ..record
        }),
        Step::Owner {
            path: at,
            uid,
            gid,
            mode,
        } => with_mode(Op::Owner, at, mode).map(|record| Record {
            number: [record.number[0], u64::from(*uid), u64::from(*gid)],
            ..record
        }),
        Step::Chdir(at) => path(at).map(|at| text(Op::Chdir, at)),
        _ => return None,
    };
    Some(record)
}

fn process_record(step: &Step) -> Record<'_> {
    match step {
        Step::CgroupNamespace => namespace(NamespaceKind::Cgroup),
        Step::Join {
            namespace: of,
            kind,
        } => Record {
            handle: of.0,
            ..namespace(*kind)
        },
        Step::Hostname(name) => text(Op::Hostname, name.as_bytes()),
        Step::Domainname(name) => text(Op::Domainname, name.as_bytes()),
        Step::Loopback => Record::new(Op::Loopback),
        Step::Rlimit(limit) => numbers(
            Op::Rlimit,
            [limit.resource.number().into(), limit.soft, limit.hard],
        ),
        Step::OomScoreAdj { score, required } => numbers(
            Op::OomScoreAdj,
            [i64::from(*score) as u64, u64::from(*required), 0],
        ),
        Step::Nice(value) => numbers(Op::Nice, [i64::from(*value) as u64, 0, 0]),
        Step::AllProcessors => Record::new(Op::Affinity),
        Step::Umask(mask) => numbers(Op::Umask, [u64::from(*mask), 0, 0]),
        Step::ParentDeath => Record::new(Op::ParentDeath),
        Step::Terminal { rows, columns, uid } => numbers(
            Op::Terminal,
            [u64::from(*rows), u64::from(*columns), u64::from(*uid)],
        ),
        Step::Subreaper => Record::new(Op::Subreaper),
        Step::OwnStreams { uid, gid } => {
            numbers(Op::OwnStreams, [u64::from(*uid), u64::from(*gid), 0])
        }
        Step::Gid(gid) => numbers(Op::Gid, [u64::from(*gid), 0, 0]),
        Step::Uid(uid) => numbers(Op::Uid, [u64::from(*uid), 0, 0]),
        Step::Bounding(set) => numbers(Op::Bounding, [set.0, 0, 0]),
        Step::Capabilities {
            permitted,
            effective,
            inheritable,
        } => numbers(Op::Capabilities, [permitted.0, effective.0, inheritable.0]),
        Step::Ambient(set) => numbers(Op::Ambient, [set.0, 0, 0]),
        Step::NoNewPrivileges => Record::new(Op::NoNewPrivileges),
        Step::Seccomp(filter) => Record {
            number: [u64::from(filter.profile().flags()), 0, 0],
            ..text(Op::Seccomp, filter.program())
        },
        Step::Reap => Record::new(Op::Reap),
        // The other two functions took these; pause answers EINVAL to a record that does nothing.
        _ => Record::new(Op::Nothing),
    }
}

fn namespace(kind: NamespaceKind) -> Record<'static> {
    numbers(Op::Namespace, [u64::from(kind.flag()), 0, 0])
}

fn text(op: Op, first: &[u8]) -> Record<'_> {
    Record {
        text: [first, &[], &[]],
        ..Record::new(op)
    }
}

fn numbers(op: Op, number: [u64; 3]) -> Record<'static> {
    Record {
        number,
        ..Record::new(op)
    }
}

fn sourced(op: Op, source: &Source) -> Result<Record<'_>> {
    Ok(match source {
        Source::Host(host) => text(op, path(host)?),
        Source::Below { below, path: inner } => Record {
            text: [path(below)?, path(inner)?, &[]],
            ..Record::new(op)
        },
        Source::Mapped(source) => sourced(op, source)?,
    })
}

fn path(path: &Path) -> Result<&[u8]> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&0) {
        let text = path.display().to_string().replace('\0', "\\0");
        return Err(Error::new(
            Kind::Invalid,
            format!("use the path {text:?}"),
            "it has a NUL byte in it",
        ));
    }
    Ok(bytes)
}

/// Words one after another, each with its NUL.
fn joined(words: &[CString]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| word.as_bytes_with_nul())
        .copied()
        .collect()
}
