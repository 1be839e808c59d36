//! What an image says of its users: `/etc/passwd` and `/etc/group`, as far as a container's identity depends on them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::linux::mount::Beneath;
use crate::node::rootfs::Base;

/// So much of each file is read.
const SIZE_MAX: u64 = 1 << 20;

/// The two files; empty where the image has none.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Those below a root, which may be hostile.
    pub(super) fn of(base: &Base) -> Accounts {
        let root = match base {
            Base::Host => Path::new("/"),
            Base::Directory(directory) => directory,
        };
        let read = |path: &str| {
            let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
            let file = Beneath::open(root).ok()?.open_file(path, flags, 0).ok()?;
            let mut bytes = Vec::new();
            File::from(file)
                .take(SIZE_MAX)
                .read_to_end(&mut bytes)
                .ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        Accounts {
            passwd: read("etc/passwd").unwrap_or_default(),
            group: read("etc/group").unwrap_or_default(),
        }
    }

    /// The primary group of a user.
    pub(super) fn group(&self, uid: u32) -> Option<u32> {
        self.user(uid)?.get(3)?.parse().ok()
    }

    /// The home directory of a user.
    pub(super) fn home(&self, uid: u32) -> Option<&str> {
        self.user(uid)?
            .get(5)
            .copied()
            .filter(|home| !home.is_empty())
    }

    /// The groups that list a user as a member.
    pub(super) fn groups(&self, uid: u32) -> Vec<u32> {
        let Some(name) = self.user(uid).and_then(|user| user.first().copied()) else {
            return Vec::new();
        };
        let lines = self.group.lines().filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let is_member = fields
                .get(3)?
                .split(',')
                .any(|member| member.trim() == name);
            is_member.then(|| fields[2].parse().ok())?
        });
        lines.collect()
    }

    /// The fields of a user's first line.
    fn user(&self, uid: u32) -> Option<Vec<&str>> {
        let mut lines = self
            .passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd:
                "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34:::\nweb2:x:33:99::/other:\n"
                    .into(),
            group:
                "root:x:0:\nadm:x:4:syslog,web\nx:x:nonsense:web\nweb:x:34:\nlog:x:7:web2, web\n"
                    .into(),
        }
    }

    #[test]
    fn the_first_line_of_a_user_decides() {
        let accounts = accounts();
        assert_eq!(accounts.group(33), Some(34));
        assert_eq!(accounts.home(33), None);
        assert_eq!(accounts.home(0), Some("/root"));
        assert_eq!(accounts.group(1000), None);
    }

    #[test]
    fn members_are_listed_by_name() {
        assert_eq!(accounts().groups(33), [4, 7]);
        assert!(accounts().groups(0).is_empty() && accounts().groups(1000).is_empty());
    }
}
