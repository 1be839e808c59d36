//! The kernel's security modules that label processes.

use std::path::Path;

/// Is AppArmor switched on? Linux 2.6.36.
///
/// ```
/// use podlife::linux::security::{has_apparmor, has_selinux};
/// println!("AppArmor: {}, SELinux: {}", has_apparmor(), has_selinux());
/// ```
pub fn has_apparmor() -> bool {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|text| text.starts_with(b"Y"))
}

/// Is SELinux switched on, enforcing or not? Linux 2.6.
pub fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}
