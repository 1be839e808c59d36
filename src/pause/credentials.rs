//! The steps that take rights away.

use crate::kernel::{self, Errno, Result};

pub fn uid(uid: u32) -> Result<()> {
    const PR_SET_KEEPCAPS: usize = 8;
    kernel::prctl(PR_SET_KEEPCAPS, 1, 0)?;
    kernel::setresuid(uid)
}

/// Drops all but `keep` from the bounding set.
pub fn bounding(keep: u64) -> Result<()> {
    const PR_CAPBSET_READ: usize = 23;
    const PR_CAPBSET_DROP: usize = 24;
    for capability in (0..64).filter(|capability| keep >> capability & 1 == 0) {
        match kernel::prctl(PR_CAPBSET_DROP, capability, 0) {
            Ok(_) => {}
            // Beyond the last one this kernel has.
            Err(Errno::EINVAL) => return Ok(()),
            // It takes CAP_SETPCAP to drop even what is not there.
            Err(_) if kernel::prctl(PR_CAPBSET_READ, capability, 0) == Ok(0) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Sets the three sets, as far as pause has them to give: a host may be without some.
pub fn capabilities([permitted, effective, inheritable]: [u64; 3]) -> Result<()> {
    let [_, held, _] = kernel::capget()?;
    kernel::capset([effective & held, permitted & held, inheritable & held])
}

/// Exactly these, as far as they are both permitted and inheritable.
pub fn ambient(set: u64) -> Result<()> {
    const PR_CAP_AMBIENT: usize = 47;
    const RAISE: usize = 2;
    const CLEAR_ALL: usize = 4;
    kernel::prctl(PR_CAP_AMBIENT, CLEAR_ALL, 0)?;
    let [_, permitted, inheritable] = kernel::capget()?;
    let set = set & permitted & inheritable;
    for capability in (0..64).filter(|capability| set >> capability & 1 == 1) {
        kernel::prctl(PR_CAP_AMBIENT, RAISE, capability)?;
    }
    Ok(())
}

pub fn no_new_privileges() -> Result<()> {
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    kernel::prctl(PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

pub fn subreaper() -> Result<()> {
    const PR_SET_CHILD_SUBREAPER: usize = 36;
    kernel::prctl(PR_SET_CHILD_SUBREAPER, 1, 0).map(drop)
}

pub fn die_with_parent() -> Result<()> {
    const PR_SET_PDEATHSIG: usize = 1;
    const SIGKILL: usize = 9;
    kernel::prctl(PR_SET_PDEATHSIG, SIGKILL, 0).map(drop)
}
