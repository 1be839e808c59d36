//! Mounts, by descriptor.

use core::ffi::CStr;

use super::{AT_EMPTY_PATH, Fd, O_CLOEXEC, Result, Text, brief, call, number, opened};

const EMPTY: &CStr = c"";
const AT_RECURSIVE: usize = 0x8000;

/// `mount(2)` with nothing but flags: a change of propagation.
pub fn change_propagation(path: Text<'_>, flags: u64) -> Result<()> {
    call(number::MOUNT, [0, path.pointer(), 0, flags as usize, 0, 0]).map(drop)
}

/// A detached copy of the mounts at a path and below; of the descriptor itself, without a path.
pub fn open_tree(directory: i32, path: Option<Text<'_>>) -> Result<Fd> {
    const OPEN_TREE_CLONE: usize = 1;
    let flags = OPEN_TREE_CLONE | O_CLOEXEC as usize | AT_RECURSIVE;
    let (path, flags) = match path {
        Some(path) => (path.pointer(), flags),
        None => (EMPTY.as_ptr() as usize, flags | AT_EMPTY_PATH),
    };
    opened(brief(number::OPEN_TREE, directory as usize, path, flags))
}

/// Attaches a detached mount over what a descriptor is of; over what has a name in there, with one.
pub fn move_mount(mount: i32, target: i32, name: Option<Text<'_>>) -> Result<()> {
    const MOUNT_BY_DESCRIPTOR: usize = 0x4;
    const TARGET_BY_DESCRIPTOR: usize = 0x40;
    let empty = EMPTY.as_ptr() as usize;
    let (name, flags) = match name {
        Some(name) => (name.pointer(), MOUNT_BY_DESCRIPTOR),
        None => (empty, MOUNT_BY_DESCRIPTOR | TARGET_BY_DESCRIPTOR),
    };
    call(
        number::MOVE_MOUNT,
        [mount as usize, empty, target as usize, name, flags, 0],
    )
    .map(drop)
}

pub fn mount_setattr(mount: i32, set: u64, recursive: bool) -> Result<()> {
    let attributes = [set, 0, 0, 0];
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let (empty, pointer) = (EMPTY.as_ptr() as usize, attributes.as_ptr() as usize);
    call(
        number::MOUNT_SETATTR,
        [
            mount as usize,
            empty,
            flags,
            pointer,
            size_of_val(&attributes),
            0,
        ],
    )
    .map(drop)
}

pub fn fsopen(kind: Text<'_>) -> Result<Fd> {
    const FSOPEN_CLOEXEC: usize = 1;
    opened(brief(number::FSOPEN, kind.pointer(), FSOPEN_CLOEXEC, 0))
}

/// `None`: an option without a value.
pub fn fsconfig_set(context: i32, key: Text<'_>, value: Option<Text<'_>>) -> Result<()> {
    const FSCONFIG_SET_FLAG: usize = 0;
    const FSCONFIG_SET_STRING: usize = 1;
    let (command, value) = match value {
        Some(value) => (FSCONFIG_SET_STRING, value.pointer()),
        None => (FSCONFIG_SET_FLAG, 0),
    };
    call(
        number::FSCONFIG,
        [context as usize, command, key.pointer(), value, 0, 0],
    )
    .map(drop)
}

pub fn fsconfig_create(context: i32) -> Result<()> {
    const FSCONFIG_CMD_CREATE: usize = 6;
    call(
        number::FSCONFIG,
        [context as usize, FSCONFIG_CMD_CREATE, 0, 0, 0, 0],
    )
    .map(drop)
}

pub fn fsmount(context: i32, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: usize = 1;
    opened(brief(
        number::FSMOUNT,
        context as usize,
        FSMOUNT_CLOEXEC,
        attributes as usize,
    ))
}

/// `pivot_root(".", ".")`, and lets go of the old root, which is then on top.
pub fn pivot() -> Result<()> {
    const MNT_DETACH: usize = 2;
    let here = c".".as_ptr() as usize;
    brief(number::PIVOT_ROOT, here, here, 0)?;
    brief(number::UMOUNT2, here, MNT_DETACH, 0).map(drop)
}
