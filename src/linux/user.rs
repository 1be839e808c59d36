//! Ids in user namespaces: maps, and the ranges an ordinary user may map. `user_namespaces(7)`, `subuid(5)`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, getegid, geteuid};

use crate::{Error, Result};

/// A run of ids of a user namespace and what they are outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdMap {
    /// The first id inside.
    pub inside: u32,
    /// The first id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl IdMap {
    /// What an id inside is outside, if this run has it.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        let offset = inside
            .checked_sub(self.inside)
            .filter(|offset| *offset < self.count)?;
        self.outside.checked_add(offset)
    }
}

/// As in `/proc/<pid>/uid_map`.
impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.inside, self.outside, self.count)
    }
}

/// The maps of a user namespace.
///
/// ```
/// use podlife::linux::user::{IdMap, IdMaps};
///
/// let maps = IdMaps::single();
/// assert_eq!(maps.uid_map(), format!("0 {} 1", nix::unistd::geteuid()));
/// assert!(maps.missing_uid(1000).unwrap().contains("only the user 0"));
///
/// let range = IdMap { inside: 0, outside: 100_000, count: 65_536 };
/// let maps = IdMaps::new([range], [range]);
/// assert_eq!(maps.missing_uid(1000), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdMaps {
    uids: Vec<IdMap>,
    gids: Vec<IdMap>,
    writer: Writer,
}

/// Who writes the maps of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Writer {
    /// The process itself, without any privilege.
    Own,
    /// `newuidmap` and `newgidmap`.
    Helper,
    /// Somebody outside who is privileged.
    Root,
}

impl IdMaps {
    /// These runs, for root to write.
    pub fn new(
        uids: impl IntoIterator<Item = IdMap>,
        gids: impl IntoIterator<Item = IdMap>,
    ) -> IdMaps {
        IdMaps {
            uids: uids.into_iter().collect(),
            gids: gids.into_iter().collect(),
            writer: Writer::Root,
        }
    }

    /// The caller's own user and group, as root: all that an ordinary user may map without help. There is no other user and no
    /// supplementary group in such a namespace.
    pub fn single() -> IdMaps {
        let own = |id| {
            [IdMap {
                inside: 0,
                outside: id,
                count: 1,
            }]
        };
        IdMaps {
            writer: Writer::Own,
            ..IdMaps::new(own(geteuid().as_raw()), own(getegid().as_raw()))
        }
    }

    /// The caller as root, and the ranges that `/etc/subuid` and `/etc/subgid` give the caller from 1 on. They are written by
    /// `newuidmap` and `newgidmap`. `None`, in words, if something for it is missing.
    pub fn ranges() -> Result<Result<IdMaps, String>> {
        let uids = SubIds::read("/etc/subuid")?;
        let gids = SubIds::read("/etc/subgid")?;
        let user = nix::unistd::User::from_uid(geteuid());
        let name = user.ok().flatten().map_or(String::new(), |user| user.name);
        let (uids, gids) = (
            uids.of(&name, geteuid().as_raw()),
            gids.of(&name, geteuid().as_raw()),
        );
        if uids.is_empty() || gids.is_empty() {
            let why = format!(
                "/etc/subuid and /etc/subgid have no ranges for {name} (usermod --add-subuids, --add-subgids)"
            );
            return Ok(Err(why));
        }
        if helper("newuidmap").is_none() || helper("newgidmap").is_none() {
            return Ok(Err(
                "newuidmap and newgidmap are not installed (package uidmap or shadow-utils)".into(),
            ));
        }
        let single = IdMaps::single();
        let (uids, gids) = (stack(single.uids, uids), stack(single.gids, gids));
        Ok(Ok(IdMaps {
            uids,
            gids,
            writer: Writer::Helper,
        }))
    }

    /// What to write to `/proc/<pid>/uid_map`.
    pub fn uid_map(&self) -> String {
        lines(&self.uids)
    }

    /// What to write to `/proc/<pid>/gid_map`.
    pub fn gid_map(&self) -> String {
        lines(&self.gids)
    }

    /// The runs of users.
    pub fn uids(&self) -> &[IdMap] {
        &self.uids
    }

    /// The runs of groups.
    pub fn gids(&self) -> &[IdMap] {
        &self.gids
    }

    /// Must `deny` be written to `/proc/<pid>/setgroups` first? Whoever writes the map without privilege must; then no
    /// process inside can change its supplementary groups.
    pub fn denies_groups(&self) -> bool {
        self.writer == Writer::Own
    }

    /// Are they written by `newuidmap` and `newgidmap`?
    pub fn by_helper(&self) -> bool {
        self.writer == Writer::Helper
    }

    /// The commands that write the maps of the process `pid`, if helpers must do it.
    pub fn helpers(&self, pid: u32) -> Option<[Vec<OsString>; 2]> {
        let command = |program: &str, maps: &[IdMap]| {
            let numbers = maps
                .iter()
                .flat_map(|map| [map.inside, map.outside, map.count]);
            let words = [pid]
                .into_iter()
                .chain(numbers)
                .map(|number| OsString::from(number.to_string()));
            Some(
                [helper(program)?.into_os_string()]
                    .into_iter()
                    .chain(words)
                    .collect(),
            )
        };
        self.by_helper()
            .then(|| {
                Some([
                    command("newuidmap", &self.uids)?,
                    command("newgidmap", &self.gids)?,
                ])
            })
            .flatten()
    }

    /// Why the user `uid` cannot be had inside. `None`: it can.
    pub fn missing_uid(&self, uid: u32) -> Option<String> {
        missing("user", &self.uids, uid)
    }

    /// Why the group `gid` cannot be had inside. `None`: it can.
    pub fn missing_gid(&self, gid: u32) -> Option<String> {
        missing("group", &self.gids, gid)
    }
}

fn lines(maps: &[IdMap]) -> String {
    maps.iter()
        .map(IdMap::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn missing(what: &str, maps: &[IdMap], id: u32) -> Option<String> {
    if maps.iter().any(|map| map.outside(id).is_some()) {
        return None;
    }
    let spans = maps.iter().map(|map| match map.count {
        1 => map.inside.to_string(),
        count => format!(
            "{} to {}",
            map.inside,
            u64::from(map.inside) + u64::from(count) - 1
        ),
    });
    let spans = spans.collect::<Vec<_>>().join(", ");
    Some(format!(
        "the {what} {id} is not mapped: there is only the {what} {spans} (more need ranges in /etc/sub{} and newuidmap, or root)",
        if what == "user" { "uid" } else { "gid" }
    ))
}

/// Ranges one after another, inside from where the first runs end.
fn stack(mut maps: Vec<IdMap>, ranges: Vec<(u32, u32)>) -> Vec<IdMap> {
    let mut inside = maps
        .iter()
        .map(|map| map.inside + map.count)
        .max()
        .unwrap_or(0);
    for (outside, count) in ranges {
        let count = count.min(u32::MAX - inside).min(u32::MAX - outside);
        maps.push(IdMap {
            inside,
            outside,
            count,
        });
        inside += count;
    }
    maps
}

/// `/etc/subuid` or `/etc/subgid`.
///
/// ```
/// use podlife::linux::user::SubIds;
///
/// let file = SubIds::parse("alice:100000:65536\n# bob has none\n1001:300000:10\n");
/// assert_eq!(file.of("alice", 1000), [(100_000, 65_536)]);
/// assert_eq!(file.of("carol", 1001), [(300_000, 10)]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubIds(Vec<(String, u32, u32)>);

impl SubIds {
    /// The file at `path`; one that is not there has no ranges.
    pub fn read(path: impl AsRef<Path>) -> Result<SubIds> {
        match std::fs::read_to_string(path.as_ref()) {
            Ok(text) => Ok(SubIds::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(SubIds::default()),
            Err(error) => Err(Error::io(
                format!("read {}", path.as_ref().display()),
                error,
            )),
        }
    }

    /// Its text. Lines that are none are left out, as `newuidmap` does.
    pub fn parse(text: &str) -> SubIds {
        SubIds(text.lines().filter_map(range).collect())
    }

    /// First id and count of each range of a user, who is named by name or number.
    pub fn of(&self, name: &str, uid: u32) -> Vec<(u32, u32)> {
        let number = uid.to_string();
        let ours = self
            .0
            .iter()
            .filter(|(owner, _, _)| owner == name || *owner == number);
        ours.map(|(_, first, count)| (*first, *count)).collect()
    }
}

fn range(line: &str) -> Option<(String, u32, u32)> {
    let mut parts = line.split(':');
    let owner = parts
        .next()
        .filter(|owner| !owner.is_empty() && !owner.starts_with('#'))?;
    let (first, count): (u32, u32) = (
        parts.next()?.parse().ok()?,
        parts.next()?.trim().parse().ok()?,
    );
    (parts.next().is_none() && count > 0).then(|| (owner.to_owned(), first, count))
}

/// Where a setuid helper is. Not looked up in `PATH`, which is the embedder's.
fn helper(name: &str) -> Option<PathBuf> {
    let places = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"]
        .map(|place| Path::new(place).join(name));
    places
        .into_iter()
        .find(|path| access(path, AccessFlags::X_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stand_behind_the_own_id() {
        let own = vec![IdMap {
            inside: 0,
            outside: 1000,
            count: 1,
        }];
        let maps = stack(own, vec![(100_000, 65_536), (300_000, 10)]);
        assert_eq!(lines(&maps), "0 1000 1\n1 100000 65536\n65537 300000 10");
        assert_eq!(maps[1].outside(1), Some(100_000));
        assert_eq!(maps[1].outside(0), None);
        assert_eq!(maps[2].outside(65_547), None);
    }

    #[test]
    fn a_range_at_the_end_of_all_ids_does_not_overflow() {
        let maps = stack(Vec::new(), vec![(u32::MAX - 5, u32::MAX)]);
        assert_eq!(maps[0].count, 5);
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        assert_eq!(
            SubIds::parse("a:b:c\na:1\n:1:2\na:1:0\na:1:2:3\n#a:1:2\n"),
            SubIds::default()
        );
    }

    #[test]
    fn what_is_not_mapped_is_told_in_words() {
        let maps = IdMaps::new(
            [IdMap {
                inside: 0,
                outside: 1,
                count: 1,
            }],
            [IdMap {
                inside: 0,
                outside: 1,
                count: 10,
            }],
        );
        assert!(
            maps.missing_uid(7)
                .unwrap()
                .starts_with("the user 7 is not mapped: there is only the user 0 (")
        );
        assert!(
            maps.missing_gid(10)
                .unwrap()
                .contains("only the group 0 to 9")
        );
        assert_eq!(maps.missing_gid(9), None);
        assert!(!maps.denies_groups() && maps.helpers(1).is_none());
        assert!(IdMaps::single().denies_groups());
    }
}
