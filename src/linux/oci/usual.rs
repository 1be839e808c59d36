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
pub(super) const DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Does every runtime make it?
pub(super) fn is_usual(step: &Step) -> bool {
    match step {
        Step::Symlink { path, to } => {
            let same =
                |(link, target): &(&str, &str)| path == Path::new(link) && to == Path::new(target);
            LINKS.iter().any(same)
        }
        Step::Device {
            path, major, minor, ..
        } => DEVICES
            .iter()
            .any(|(name, a, b)| path == Path::new(name) && (a, b) == (major, minor)),
        _ => false,
    }
}
