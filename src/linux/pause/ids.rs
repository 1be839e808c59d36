//! Mapping the ids of a user namespace from outside of it.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::linux::process::Process;
use crate::linux::sys::clone::{Orphan, Users};
use crate::linux::user::IdMaps;
use crate::{Error, Kind, Result};

/// So long a helper may take; it is done in a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maps the ids of a process that waits for it in a fresh user namespace.
pub(super) fn map(process: &Process, maps: &IdMaps) -> Result<()> {
    let attempt = "map the ids of the pod's user namespace";
    let gone = || Error::new(Kind::Os, attempt, "its pause process has ended");
    let pid = process.pid()?.ok_or_else(gone)?;
    match maps.helpers(pid) {
        Some(commands) => commands.iter().try_for_each(|command| help(command))?,
        None => {
            for (file, text) in [("uid_map", maps.uid_map()), ("gid_map", maps.gid_map())] {
                std::fs::write(format!("/proc/{pid}/{file}"), text).map_err(|why| {
                    Error::io(format!("{attempt}: write its {file}"), why)
                        .cure("run as root of the host, with ids that are not another namespace's")
                })?;
            }
        }
    }
    for (file, count) in [
        ("uid_map", maps.uids().len()),
        ("gid_map", maps.gids().len()),
    ] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        let text = text.map_err(|why| Error::io(attempt, why))?;
        if text.lines().count() != count {
            return Err(Error::new(Kind::Permission, attempt, format!("its {file} was not written"))
                .cure("see that newuidmap and newgidmap are set-uid root, and what /etc/subuid and /etc/subgid allow"));
        }
    }
    // Only if the process has its number still were those its maps.
    process.pid()?.map(drop).ok_or_else(gone)
}

/// Runs a helper to its end. It is nobody's child, so only what it did tells whether it worked.
fn help(command: &[OsString]) -> Result<()> {
    let program = PathBuf::from(&command[0]);
    let attempt = || format!("run {}", program.display());
    let file = File::open(&program).map_err(|why| Error::io(attempt(), why))?;
    let words: Vec<_> = command
        .iter()
        .filter_map(|word| CString::new(word.clone().into_vec()).ok())
        .collect();
    let argv: Vec<_> = words.iter().map(CString::as_c_str).collect();
    let orphan = Orphan {
        program: file.as_fd(),
        argv: &argv,
        fds: &[],
        namespaces: 0,
        cgroup: None,
        users: Users::Host,
    };
    let failed = |(_, errno)| Error::os(attempt(), errno as i32);
    let helper = Process::from(orphan.spawn().map_err(failed)?);
    if helper.wait(Some(PATIENCE))? {
        // An embedder that is PID 1 or a subreaper has become its parent.
        let _ = helper.reap();
        return Ok(());
    }
    helper.signal(crate::linux::Signal::KILL)?;
    Err(Error::new(Kind::Timeout, attempt(), "it does not end"))
}
