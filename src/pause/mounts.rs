//! The steps that mount. All by descriptor: between looking and mounting nobody can put another path in place.

use crate::files::Root;
use crate::flat::{NO_HANDLE, Record};
use crate::kernel::{
    self, AT_FDCWD, Errno, Fd, O_DIRECTORY, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, Result,
    Text,
};
use crate::walk::{Walk, text};

const READ_ONLY: u64 = 1;

pub fn propagation(record: &Record<'_>) -> Result<()> {
    kernel::change_propagation(text(record, 0)?, record.number[0])
}

/// The new root lies over the old one's `/`, so that it needs no directory of its own; paths of ours that begin at `/`
/// do not see it until the pivot.
pub fn root(walk: &mut Walk, record: &Record<'_>) -> Result<()> {
    let mount = if record.number[1] == 1 {
        filesystem_mount(text(record, 0)?, text(record, 1)?, record.number[0])?
    } else {
        source_mount(walk, record)?
    };
    let over = Root::OWN.find(c"/".into())?;
    kernel::move_mount(mount.raw(), over.raw(), None)?;
    walk.enter(mount);
    Ok(())
}

pub fn bind(walk: &Walk, record: &Record<'_>) -> Result<()> {
    let mount = source_mount(walk, record)?;
    let directory = kernel::is_directory(mount.raw())?;
    walk.root().attach(&mount, text(record, 2)?, directory)
}

pub fn filesystem(walk: &Walk, record: &Record<'_>) -> Result<()> {
    let mount = if record.handle == NO_HANDLE {
        filesystem_mount(text(record, 0)?, text(record, 1)?, record.number[0])?
    } else {
        handed_over(walk, record)?
    };
    walk.root().attach(&mount, text(record, 2)?, true)
}

pub fn attributes(walk: &Walk, record: &Record<'_>) -> Result<()> {
    let target = walk.root().find(text(record, 0)?)?;
    kernel::mount_setattr(target.raw(), record.number[0], record.number[1] != 0)
}

pub fn mask(walk: &mut Walk, record: &Record<'_>) -> Result<()> {
    let Some(target) = existing(walk, record)? else {
        return Ok(());
    };
    if kernel::is_directory(target.raw())? {
        // One for all of them: there is nothing in it, and nobody can write to it.
        let empty = match &walk.empty {
            Some(empty) => kernel::open_tree(empty.raw(), None)?,
            None => filesystem_mount(c"tmpfs".into(), c"size=0,nr_inodes=1".into(), READ_ONLY)?,
        };
        kernel::move_mount(empty.raw(), target.raw(), None)?;
        walk.empty = Some(empty);
        return Ok(());
    }
    let null = kernel::open_tree(AT_FDCWD, Some(c"/dev/null".into()))?;
    // Something else in its place would be shown instead of hiding anything (CVE-2025-31133).
    if !kernel::is_null(null.raw())? {
        return Err(Errno::EINVAL);
    }
    kernel::move_mount(null.raw(), target.raw(), None)
}

pub fn read_only(walk: &Walk, record: &Record<'_>) -> Result<()> {
    let Some(target) = existing(walk, record)? else {
        return Ok(());
    };
    let copy = kernel::open_tree(target.raw(), None)?;
    kernel::mount_setattr(copy.raw(), READ_ONLY, true)?;
    kernel::move_mount(copy.raw(), target.raw(), None)
}

pub fn pivot(walk: &mut Walk) -> Result<()> {
    let root = walk.leave().ok_or(Errno::EINVAL)?;
    kernel::fchdir(root.raw())?;
    kernel::pivot()?;
    kernel::chdir(c"/".into())
}

fn existing(walk: &Walk, record: &Record<'_>) -> Result<Option<Fd>> {
    match walk.root().find(text(record, 0)?) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        found => found.map(Some),
    }
}

/// A detached mount of the record's source, with its attributes on all of it.
fn source_mount(walk: &Walk, record: &Record<'_>) -> Result<Fd> {
    let mount = if record.handle != NO_HANDLE {
        handed_over(walk, record)?
    } else if record.text[1].is_empty() {
        kernel::open_tree(AT_FDCWD, Some(text(record, 0)?))?
    } else {
        let below = kernel::openat2(AT_FDCWD, text(record, 0)?, O_PATH | O_DIRECTORY, 0, 0)?;
        let resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
        let source = kernel::openat2(below.raw(), text(record, 1)?, O_PATH, 0, resolve)?;
        kernel::open_tree(source.raw(), None)?
    };
    if record.number[0] != 0 {
        kernel::mount_setattr(mount.raw(), record.number[0], true)?;
    }
    Ok(mount)
}

/// Attached once and then gone, whoever else holds the descriptor: our copy will do.
fn handed_over(walk: &Walk, record: &Record<'_>) -> Result<Fd> {
    kernel::duplicate(walk.handle(record.handle)?)
}

fn filesystem_mount(kind: Text<'_>, options: Text<'_>, attributes: u64) -> Result<Fd> {
    let context = kernel::fsopen(kind)?;
    for option in options
        .bytes()
        .split(|byte| *byte == b',')
        .filter(|option| !option.is_empty())
    {
        set_option(context.raw(), option)?;
    }
    kernel::fsconfig_create(context.raw())?;
    kernel::fsmount(context.raw(), attributes)
}

/// `key=value`, or a lone key; both need a NUL behind them.
fn set_option(context: i32, option: &[u8]) -> Result<()> {
    let mut copy = [0; 512];
    copy.get_mut(..option.len())
        .filter(|_| option.len() < 512)
        .ok_or(Errno::ENAMETOOLONG)?
        .copy_from_slice(option);
    let copy = &mut copy[..=option.len()];
    let Some(equals) = option.iter().position(|byte| *byte == b'=') else {
        return kernel::fsconfig_set(context, Text::new(copy).ok_or(Errno::EINVAL)?, None);
    };
    copy[equals] = 0;
    let (key, value) = copy.split_at(equals + 1);
    let key = Text::new(key).ok_or(Errno::EINVAL)?;
    kernel::fsconfig_set(context, key, Some(Text::new(value).ok_or(Errno::EINVAL)?))
}
