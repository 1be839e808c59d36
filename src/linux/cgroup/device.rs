//! Numbers of devices.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{Error, Kind, Result};

/// A device by its numbers, as io.max, io.weight and io.stat name it, block devices all of them: `8:16`.
///
/// ```
/// use podlife::cgroup::Device;
///
/// let device: Device = "8:16".parse()?;
/// assert_eq!((device.major, device.minor), (8, 16));
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The driver's number.
    pub major: u32,
    /// The driver's number for this device.
    pub minor: u32,
}

impl Device {
    /// The device node at `path`, or else the device that the file at `path` is stored on.
    pub fn of(path: impl AsRef<Path>) -> Result<Device> {
        let path = path.as_ref();
        let stat = nix::sys::stat::stat(path).map_err(|errno| {
            Error::os(
                format!("look up the device of {}", path.display()),
                errno as i32,
            )
        })?;
        let node = stat.st_mode & libc::S_IFMT == libc::S_IFBLK;
        let number = if node { stat.st_rdev } else { stat.st_dev };
        Ok(Device {
            major: libc::major(number),
            minor: libc::minor(number),
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Device> {
        let numbers = text
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        numbers
            .map(|(major, minor)| Device { major, minor })
            .ok_or_else(|| {
                Error::new(
                    Kind::Invalid,
                    format!("read the device {text:?}"),
                    "it is not two numbers like 8:16",
                )
            })
    }
}
