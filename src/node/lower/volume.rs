//! Volumes, as a container mounts them.

use std::path::{Path, PathBuf};

use super::{Ground, Lowering, config_error};
use crate::lifecycle::Failure;
use crate::linux::pause::Plan;
use crate::linux::pause::plan::{Attributes, Source, Step};
use crate::model::environment::sub_path;
use crate::model::{Volume, VolumeMount};
use crate::node::volumes::{Place, in_scratch};

/// A volume, or a part of it, and where a container sees it.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Where the volume is, as pause sees it.
    pub(crate) place: PathBuf,
    /// Which part of it; all if none.
    pub(crate) sub_path: Option<String>,
    target: PathBuf,
    attributes: Attributes,
}

impl Ground {
    /// Files of the host as the pod sees them. What pause mounts belongs to the pod already.
    pub(super) fn shown(&self, source: Source, place: &Path) -> Source {
        match self.separate && !place.starts_with(&self.scratch) {
            true => Source::Mapped(Box::new(source)),
            false => source,
        }
    }

    /// Where a volume is, as pause sees it; none for a kind that cannot be had.
    pub(crate) fn volume(&self, volume: &Volume) -> Option<PathBuf> {
        Some(match (Place::of(volume)?, &self.volumes) {
            (Place::Host(path), _) => path.into(),
            (Place::Empty, Some(volumes)) => volumes.join(&volume.name),
            _ => in_scratch(&self.scratch, &volume.name),
        })
    }
}

impl Lowering<'_> {
    /// What the container mounts, in its order.
    pub(crate) fn mounts(&self) -> Result<Vec<Mount>, Failure> {
        let mounts = self.spec.volume_mounts.iter();
        mounts.map(|mount| self.mount(mount)).collect()
    }

    fn mount(&self, mount: &VolumeMount) -> Result<Mount, Failure> {
        let mut volumes = self.pod.spec.volumes.iter();
        let volume = volumes.find(|volume| volume.name == mount.name);
        let volume =
            volume.ok_or_else(|| config_error(format!("there is no volume {}", mount.name)))?;
        let place = self.ground.volume(volume).ok_or_else(|| {
            let name = &volume.name;
            config_error(format!(
                "volumes of the kind of {name} are not supported yet"
            ))
        })?;
        // What is written for the container is not its to write.
        let only_read = Place::of(volume) == Some(Place::Content);
        let attributes = match mount.read_only == Some(true) || only_read {
            true => Attributes::READ_ONLY | self.nodev(),
            false => self.nodev(),
        };
        Ok(Mount {
            place,
            sub_path: self.sub_path(mount)?,
            target: PathBuf::from(&mount.mount_path),
            attributes,
        })
    }

    fn sub_path(&self, mount: &VolumeMount) -> Result<Option<String>, Failure> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let Some(expression) = given(&mount.sub_path_expr) else {
            return Ok(given(&mount.sub_path));
        };
        let path = sub_path(&expression, &self.environment("/", self.own_environment()?))
            .map_err(|error| config_error(error.to_string()))?;
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            let why = format!("the subPathExpr {expression:?} leads out of the volume: {path:?}");
            return Err(config_error(why));
        }
        Ok(Some(path).filter(|path| !path.is_empty()))
    }
}

impl Mount {
    /// Where its process finds it itself.
    fn source(&self) -> Source {
        match &self.sub_path {
            Some(path) => Source::Below {
                below: self.place.clone(),
                path: path.into(),
            },
            None => Source::Host(self.place.clone()),
        }
    }
}

/// Adds the container's mounts.
pub(super) fn push(plan: &mut Plan, container: &Lowering<'_>) -> Result<(), Failure> {
    for mount in container.mounts()? {
        plan.push(Step::Bind {
            source: container.ground.shown(mount.source(), &mount.place),
            target: mount.target,
            attributes: mount.attributes,
        });
    }
    Ok(())
}
