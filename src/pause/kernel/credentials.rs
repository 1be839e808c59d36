//! Who a process is and what it may.

use super::{Errno, Result, brief, number};

pub fn setgroups(groups: &[u8]) -> Result<()> {
    brief(
        number::SETGROUPS,
        groups.len() / 4,
        groups.as_ptr() as usize,
        0,
    )
    .map(drop)
}

pub fn setresgid(gid: u32) -> Result<()> {
    brief(number::SETRESGID, gid as usize, gid as usize, gid as usize).map(drop)
}

pub fn setresuid(uid: u32) -> Result<()> {
    brief(number::SETRESUID, uid as usize, uid as usize, uid as usize).map(drop)
}

const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// Effective, permitted, inheritable.
pub fn capget() -> Result<[u64; 3]> {
    let mut data = [0u32; 6];
    brief(
        number::CAPGET,
        CAPABILITY_HEADER.as_ptr() as usize,
        data.as_mut_ptr() as usize,
        0,
    )?;
    Ok([0, 1, 2].map(|set| u64::from(data[set]) | u64::from(data[set + 3]) << 32))
}

/// Effective, permitted, inheritable.
pub fn capset(sets: [u64; 3]) -> Result<()> {
    let mut data = [0u32; 6];
    for (index, set) in sets.into_iter().enumerate() {
        data[index] = set as u32;
        data[index + 3] = (set >> 32) as u32;
    }
    brief(
        number::CAPSET,
        CAPABILITY_HEADER.as_ptr() as usize,
        data.as_ptr() as usize,
        0,
    )
    .map(drop)
}

pub fn seccomp(flags: u32, program: &[u8]) -> Result<()> {
    #[repr(C)]
    struct Program {
        count: u16,
        filter: *const u8,
    }
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let count = u16::try_from(program.len() / 8).map_err(|_| Errno::EINVAL)?;
    let program = Program {
        count,
        filter: program.as_ptr(),
    };
    brief(
        number::SECCOMP,
        SECCOMP_SET_MODE_FILTER,
        flags as usize,
        &raw const program as usize,
    )
    .map(drop)
}
