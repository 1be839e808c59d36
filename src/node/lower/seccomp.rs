//! Which system calls a container may make.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::OFlag;

use super::{Lowering, config_error, create_error};
use crate::lifecycle::Failure;
use crate::linux::Capabilities;
use crate::linux::mount::Beneath;
use crate::linux::pause::plan::Filter;
use crate::linux::seccomp::Profile;
use crate::model::SeccompProfileType;
use crate::{Error, Kind, Result};

/// The longest profile that is read.
const SIZE_MAX: u64 = 1 << 20;

/// What the Node's owner chose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profiles {
    /// Where the files of `Localhost` are.
    pub(crate) directory: Option<PathBuf>,
    /// A pod that says nothing gets `RuntimeDefault`.
    pub(crate) by_default: bool,
    /// `RuntimeDefault` by capabilities, made once.
    made: Arc<Mutex<Vec<(Capabilities, Filter)>>>,
}

impl Profiles {
    fn runtime_default(&self, capabilities: Capabilities) -> Result<Filter> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, filter)) = made.iter().find(|(of, _)| *of == capabilities) {
            return Ok(filter.clone());
        }
        let filter = Filter::try_from(Profile::runtime_default(capabilities))?;
        made.push((capabilities, filter.clone()));
        Ok(filter)
    }

    fn read(&self, name: &str) -> Result<Profile> {
        let attempt = || format!("use the seccomp profile {name}");
        let directory = self.directory.as_ref().ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                attempt(),
                "the Node has no directory of profiles",
            )
            .cure("name one with NodeOptions::seccomp_profiles")
        })?;
        let file = Beneath::open(directory)?.open_file(name, OFlag::O_RDONLY, 0)?;
        let mut text = Vec::new();
        File::from(file)
            .take(SIZE_MAX)
            .read_to_end(&mut text)
            .map_err(|why| Error::io(attempt(), why))?;
        Profile::from_oci(&text)
    }
}

impl Lowering<'_> {
    /// The filter of a container with these capabilities: its own choice, else its pod's, else the Node's. Whoever is
    /// privileged has none, as with every runtime.
    pub(super) fn filter(&self, capabilities: Capabilities) -> Result<Option<Filter>, Failure> {
        let own = self.spec.security_context.as_ref();
        let whole = self.pod.spec.security_context.as_ref();
        let chosen = own
            .and_then(|context| context.seccomp_profile.as_ref())
            .or(whole.and_then(|context| context.seccomp_profile.as_ref()));
        let by_default = self.ground.seccomp.by_default;
        let profile = match chosen.map(|profile| (&profile.type_, &profile.localhost_profile)) {
            _ if self.privileged() => return Ok(None),
            None if by_default => return self.runtime_default(capabilities),
            None | Some((Some(SeccompProfileType::Unconfined), _)) => return Ok(None),
            Some((Some(SeccompProfileType::RuntimeDefault), _)) => {
                return self.runtime_default(capabilities);
            }
            Some((Some(SeccompProfileType::Localhost), Some(name))) => {
                self.ground.seccomp.read(name).map_err(create_error)?
            }
            Some((kind, _)) => {
                let kind = kind.as_ref().map_or("none", SeccompProfileType::as_str);
                return Err(config_error(format!(
                    "no seccomp profile is of the type {kind}"
                )));
            }
        };
        Filter::try_from(profile).map(Some).map_err(create_error)
    }

    fn runtime_default(&self, capabilities: Capabilities) -> Result<Option<Filter>, Failure> {
        let filter = self.ground.seccomp.runtime_default(capabilities);
        filter.map(Some).map_err(create_error)
    }
}
