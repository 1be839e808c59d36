//! `/proc/<pid>/mountinfo` as typed entries. `proc_pid_mountinfo(5)`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::{Error, Kind, Result};

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// The mount's number, reused after it is unmounted.
    pub id: u64,
    /// The number of the mount it lies on.
    pub parent: u64,
    /// `major` and `minor` of the file system, `st_dev` of its files.
    pub device: (u32, u32),
    /// The directory (or file) of the file system that is the root of this mount.
    pub root: PathBuf,
    /// Where it is, seen from the process's root.
    pub target: PathBuf,
    /// Options of this mount: `ro`, `nosuid`, `relatime` …
    pub options: Vec<String>,
    /// Peer group it shares mount events with.
    pub shared: Option<u64>,
    /// Peer group it receives mount events from.
    pub master: Option<u64>,
    /// It can be neither bound elsewhere nor receives events.
    pub unbindable: bool,
    /// `ext4`, `cgroup2`, `fuse.sshfs` …
    pub fs_type: String,
    /// A device, or whatever the one who mounted it wrote there.
    pub source: OsString,
    /// Options of the file system.
    pub super_options: Vec<String>,
}

impl MountEntry {
    /// Has this mount the option (`ro`, say)? Those of the file system are [`MountEntry::super_options`].
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|ours| ours == option)
    }
}

/// The mounts that the caller sees, in the order in which they were made: of two on one place the later one covers.
///
/// No privilege. With thousands of mounts this costs milliseconds.
///
/// ```
/// let root = podlife::linux::mount::mounts()?;
/// assert!(root.iter().any(|mount| mount.target == std::path::Path::new("/")));
/// # Ok::<(), podlife::Error>(())
/// ```
pub fn mounts() -> Result<Vec<MountEntry>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read(path)
        .map_err(|error| Error::io(format!("read {path}"), error).cure("mount /proc"))?;
    parse(&text)
}

/// Mountinfo read elsewhere.
///
/// ```
/// let line = br"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
/// let mount = &podlife::linux::mount::parse(line)?[0];
/// assert_eq!(mount.target, std::path::Path::new("/mnt 2"));
/// assert_eq!((mount.device, mount.master), ((98, 0), Some(1)));
/// assert!(mount.has("noatime"));
/// # Ok::<(), podlife::Error>(())
/// ```
pub fn parse(mountinfo: &[u8]) -> Result<Vec<MountEntry>> {
    let lines = mountinfo
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let entries = lines.map(|line| entry(line).ok_or(line));
    entries.collect::<Result<_, _>>().map_err(|line| {
        let line = String::from_utf8_lossy(line);
        Error::new(
            Kind::Protocol,
            "read mountinfo",
            format!("the line {line:?} has another form"),
        )
    })
}

fn entry(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut mount = MountEntry {
        id: number(fields.next()?)?,
        parent: number(fields.next()?)?,
        device: device(fields.next()?)?,
        root: path(fields.next()?),
        target: path(fields.next()?),
        options: words(fields.next()?),
        shared: None,
        master: None,
        unbindable: false,
        fs_type: String::new(),
        source: OsString::new(),
        super_options: Vec::new(),
    };
    for tag in fields.by_ref().take_while(|field| *field != b"-") {
        match halves(tag) {
            Some((b"shared", group)) => mount.shared = number(group),
            Some((b"master", group)) => mount.master = number(group),
            None if tag == b"unbindable" => mount.unbindable = true,
            _ => {} // propagate_from, and what later kernels may add
        }
    }
    mount.fs_type = String::from_utf8(fields.next()?.to_vec()).ok()?;
    mount.source = OsString::from_vec(unescape(fields.next()?));
    mount.super_options = words(fields.next()?);
    Some(mount)
}

/// What stands before and after the first colon.
fn halves(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = field.iter().position(|byte| *byte == b':')?;
    Some((&field[..at], &field[at + 1..]))
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn device(field: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = halves(field)?;
    Some((number(major)?, number(minor)?))
}

fn path(field: &[u8]) -> PathBuf {
    OsString::from_vec(unescape(field)).into()
}

fn words(field: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(&unescape(field)).into_owned();
    text.split(',').map(str::to_owned).collect()
}

/// Space, tab, newline, backslash and `#` are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'\\')
            .then(|| tail.get(..3).and_then(octal))
            .flatten();
        plain.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    plain
}

fn octal(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_and_escape_is_read() {
        let text = br"1 0 8:1 / /a\011b\134c rw,nosuid shared:3 master:2 propagate_from:1 unbindable - tmpfs no\040name rw
2 1 0:31 /../.. /x ro - cgroup2 none rw,nsdelegate
";
        let mounts = parse(text).unwrap();
        assert_eq!(mounts[0].target, std::path::Path::new("/a\tb\\c"));
        assert_eq!(
            (mounts[0].shared, mounts[0].master, mounts[0].unbindable),
            (Some(3), Some(2), true)
        );
        assert_eq!(mounts[0].source, "no name");
        assert_eq!(mounts[1].root, std::path::Path::new("/../.."));
        assert_eq!(mounts[1].super_options, ["rw", "nsdelegate"]);
    }

    #[test]
    fn a_backslash_that_is_no_escape_stays() {
        assert_eq!(unescape(br"a\9b\04"), br"a\9b\04");
        assert_eq!(unescape(b"\\"), b"\\");
    }

    #[test]
    fn a_short_line_is_refused_and_quoted() {
        let error = parse(b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1\n").unwrap_err();
        assert!(error.to_string().contains("36 35 98:0"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_path_survives_the_kernels_escapes(path in "/[a-z \\t\\\\#0-9]{0,20}") {
            let escape = |c: char| match c {
                ' ' | '\t' | '\\' | '#' => format!("\\{:03o}", c as u32),
                c => c.to_string(),
            };
            let escaped: String = path.chars().map(escape).collect();
            let line = format!("1 2 0:3 / {escaped} rw shared:9 - tmpfs x rw");
            proptest::prop_assert_eq!(&parse(line.as_bytes()).unwrap()[0].target, std::path::Path::new(&path));
        }
    }
}
