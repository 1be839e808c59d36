//! What every runtime makes in a container's `/dev`, and a config.json need not say.

use std::path::Path;

use crate::linux::pause::plan::Step;

/// Links that every runtime makes there.
pub(super) const LINKS: [(&str, &str); 5] = [
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Devices that every runtime makes there.
pub(super) const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// Does every runtime make it?
pub(super) fn is_usual(step: &Step) -> bool {
    let Step::Symlink { path, to } = step else {
        return false;
    };
    let mut links = LINKS.iter();
    links.any(|(link, target)| path == Path::new(link) && to == Path::new(target))
}
