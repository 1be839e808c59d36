//! To and from the types of the `k8s-openapi` crate (feature `k8s-openapi`), by way of the JSON both are made for.
//!
//! Nothing is lost: both have the same fields, which a test asks of both. Amounts come out in their canonical form
//! (`1024Mi` as `1Gi`), times in whole seconds as the API has them, and empty lists as absent ones.

use k8s_openapi::api::core::v1;

use super::config::{ConfigMap, PersistentVolumeClaim, Secret};
use super::decode;
use super::errors::{ErrorType, Errors, FieldError};
use super::pod::Pod;

macro_rules! conversions {
    ($($ours:ident),+) => {$(
        /// # Errors
        /// Text that the API's types cannot hold, such as an amount that is none.
        impl TryFrom<&v1::$ours> for $ours {
            type Error = Errors;

            fn try_from(theirs: &v1::$ours) -> Result<$ours, Errors> {
                decode::read(tree(theirs)?)
            }
        }

        /// # Errors
        /// A volume source that podlife holds as it came, and that is not what the API describes.
        impl TryFrom<&$ours> for v1::$ours {
            type Error = Errors;

            fn try_from(ours: &$ours) -> Result<v1::$ours, Errors> {
                decode::read(tree(ours)?)
            }
        }
    )+};
}

conversions!(Pod, ConfigMap, Secret, PersistentVolumeClaim);

fn tree(object: &impl serde::Serialize) -> Result<serde_json::Value, Errors> {
    let tree = serde_json::to_value(object);
    tree.map_err(|why| FieldError::new("", ErrorType::Invalid, why.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shape;
    use std::collections::BTreeSet;

    /// Below these podlife keeps what came.
    const AS_IT_CAME: [&str; 24] = [
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "csi",
        "dataSource",
        "dataSourceRef",
        "ephemeral",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "gitRepo",
        "glusterfs",
        "iscsi",
        "photonPersistentDisk",
        "portworxVolume",
        "quobyte",
        "rbd",
        "scaleIO",
        "storageos",
        "vsphereVolume",
        "status",
    ];

    fn typed(fields: Vec<String>, claim: bool) -> Vec<String> {
        let opaque = |step: &str| AS_IT_CAME.contains(&step) && (claim || step != "status");
        let below = |field: &String| {
            field
                .rsplit_once('.')
                .is_some_and(|(above, _)| above.split('.').any(opaque))
        };
        fields.into_iter().filter(|field| !below(field)).collect()
    }

    #[track_caller]
    fn same(ours: Vec<String>, theirs: Vec<String>) {
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
            (ours.into_iter().collect(), theirs.into_iter().collect());
        let differing: Vec<_> = ours.symmetric_difference(&theirs).collect();
        assert!(!ours.is_empty() && differing.is_empty(), "{differing:?}");
    }

    #[test]
    fn both_have_the_same_fields() {
        same(
            typed(shape::fields::<Pod>(), false),
            typed(shape::fields::<v1::Pod>(), false),
        );
        same(
            shape::fields::<ConfigMap>(),
            shape::fields::<v1::ConfigMap>(),
        );
        same(shape::fields::<Secret>(), shape::fields::<v1::Secret>());
        let claims = (
            shape::fields::<PersistentVolumeClaim>(),
            shape::fields::<v1::PersistentVolumeClaim>(),
        );
        same(typed(claims.0, true), typed(claims.1, true));
    }
}
