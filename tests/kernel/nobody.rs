//! The same test once more, as an ordinary user.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

const NOBODY: u32 = 65534;

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// True if the caller is an ordinary user. As root it runs the named test again as `nobody`, and gives false.
///
/// The program is handed over as a memfd, as an ordinary user need not be able to reach the build folder.
pub(crate) fn stands_here(test: &str) -> bool {
    if !is_root() {
        return true;
    }
    let program = copy_of_this_program();
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let mut command = Command::new(path);
    command
        .args([test, "--exact", "--nocapture"])
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "as nobody: {text}"
    );
    false
}

fn copy_of_this_program() -> OwnedFd {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    // Not close-on-exec: /proc/self/fd/N is opened by the exec in the child.
    let memory = memfd_create(c"test", MFdFlags::empty()).unwrap();
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let mut file = std::fs::File::from(memory);
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    file.into()
}
