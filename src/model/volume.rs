//! Volumes and their sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::absent::absent;
use super::container::PullPolicy;
use super::env::{ObjectFieldSelector, ResourceFieldSelector};
use super::quantity::Quantity;
use super::scheduling::LabelSelector;
use super::text_enum::text_enum;

text_enum! {
    /// What an emptyDir is made of.
    pub enum StorageMedium {
        /// A tmpfs.
        Memory = "Memory",
        /// Huge pages of the only size the pod asks for.
        HugePages = "HugePages",
    }
}

text_enum! {
    /// What must be at a hostPath before it is mounted.
    pub enum HostPathType {
        /// Nothing is checked.
        Unset = "",
        /// A directory; made (0755) if missing.
        DirectoryOrCreate = "DirectoryOrCreate",
        /// A directory.
        Directory = "Directory",
        /// A file; made (0644) if missing.
        FileOrCreate = "FileOrCreate",
        /// A file.
        File = "File",
        /// A Unix socket.
        Socket = "Socket",
        /// A character device.
        CharDevice = "CharDevice",
        /// A block device.
        BlockDevice = "BlockDevice",
    }
}

/// A volume of the pod; exactly one source is set. Sources that one host can never serve are held as they came.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Volume {
    /// An AWS disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_elastic_block_store: Option<Value>,
    /// An Azure disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_disk: Option<Value>,
    /// An Azure share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_file: Option<Value>,
    /// A CephFS mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cephfs: Option<Value>,
    /// An OpenStack disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cinder: Option<Value>,
    /// The keys of a ConfigMap as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A volume of a CSI driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi: Option<Value>,
    /// Fields of the pod as files.
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardApiVolumeSource>,
    /// An empty directory that lives as long as the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claim made for the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Value>,
    /// A Fibre Channel disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fc: Option<Value>,
    /// A volume of an exec driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flex_volume: Option<Value>,
    /// A Flocker volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flocker: Option<Value>,
    /// A Google disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gce_persistent_disk: Option<Value>,
    /// A git checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_repo: Option<Value>,
    /// A Gluster mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glusterfs: Option<Value>,
    /// A path of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostPathVolumeSource>,
    /// The contents of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageVolumeSource>,
    /// An iSCSI disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iscsi: Option<Value>,
    /// Its name, unique in the pod.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// An NFS mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nfs: Option<NfsVolumeSource>,
    /// A claimed volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A Photon disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photon_persistent_disk: Option<Value>,
    /// A Portworx volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portworx_volume: Option<Value>,
    /// Several sources in one directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolumeSource>,
    /// A Quobyte mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quobyte: Option<Value>,
    /// A Ceph block device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rbd: Option<Value>,
    /// A ScaleIO volume.
    #[serde(rename = "scaleIO", skip_serializing_if = "Option::is_none")]
    pub scale_io: Option<Value>,
    /// The keys of a Secret as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// A StorageOS volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storageos: Option<Value>,
    /// A vSphere disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsphere_volume: Option<Value>,
}

/// One key and the file it becomes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct KeyToPath {
    /// The key.
    #[serde(deserialize_with = "absent")]
    pub key: String,
    /// The file's mode; else the volume's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<i32>,
    /// The file, relative to the volume.
    #[serde(deserialize_with = "absent")]
    pub path: String,
}

/// The keys of a ConfigMap as files.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfigMapVolumeSource {
    /// The mode of the files; 0644.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// Which keys; else all.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<KeyToPath>,
    /// The ConfigMap.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// The keys of a Secret as files.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretVolumeSource {
    /// The mode of the files; 0644.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// Which keys; else all.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<KeyToPath>,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// The Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// Fields of the pod as files.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DownwardApiVolumeSource {
    /// The mode of the files; 0644.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// The files.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<DownwardApiVolumeFile>,
}

/// One field of the pod and the file it becomes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DownwardApiVolumeFile {
    /// A field of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<ObjectFieldSelector>,
    /// The file's mode; else the volume's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<i32>,
    /// The file, relative to the volume.
    #[serde(deserialize_with = "absent")]
    pub path: String,
    /// A request or limit of a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_field_ref: Option<ResourceFieldSelector>,
}

/// An empty directory.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct EmptyDirVolumeSource {
    /// What it is made of; a plain directory unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<StorageMedium>,
    /// How much it may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Quantity>,
}

/// A path of the host.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HostPathVolumeSource {
    /// The path.
    #[serde(deserialize_with = "absent")]
    pub path: String,
    /// What must be there.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<HostPathType>,
}

/// The contents of an image, read-only.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageVolumeSource {
    /// When the image is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// The image reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// An NFS mount.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NfsVolumeSource {
    /// The exported path.
    #[serde(deserialize_with = "absent")]
    pub path: String,
    /// Whether it can only be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// The server.
    #[serde(deserialize_with = "absent")]
    pub server: String,
}

/// A claimed volume.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PersistentVolumeClaimVolumeSource {
    /// The claim.
    #[serde(deserialize_with = "absent")]
    pub claim_name: String,
    /// Whether it can only be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// Several sources in one directory.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ProjectedVolumeSource {
    /// The mode of the files; 0644.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// The sources, later over earlier.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<VolumeProjection>,
}

/// One source of a projected volume; exactly one is set.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeProjection {
    /// Trust anchors of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_trust_bundle: Option<ClusterTrustBundleProjection>,
    /// The keys of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapProjection>,
    /// Fields of the pod.
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardApiProjection>,
    /// A certificate for the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_certificate: Option<PodCertificateProjection>,
    /// The keys of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretProjection>,
    /// A token of the pod's service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountTokenProjection>,
}

/// The keys of a ConfigMap.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfigMapProjection {
    /// Which keys; else all.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<KeyToPath>,
    /// The ConfigMap.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// The keys of a Secret.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretProjection {
    /// Which keys; else all.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<KeyToPath>,
    /// The Secret.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// Fields of the pod.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DownwardApiProjection {
    /// The files.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<DownwardApiVolumeFile>,
}

/// A token of the pod's service account.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ServiceAccountTokenProjection {
    /// Who the token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// How long it is good for; 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
    /// The file, relative to the volume.
    #[serde(deserialize_with = "absent")]
    pub path: String,
}

/// Trust anchors of a cluster.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterTrustBundleProjection {
    /// Which bundles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Which bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// The file, relative to the volume.
    #[serde(deserialize_with = "absent")]
    pub path: String,
    /// Whose bundles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer_name: Option<String>,
}

/// A private key and certificate chain for the pod.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodCertificateProjection {
    /// The file of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_chain_path: Option<String>,
    /// The file of key and chain together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_bundle_path: Option<String>,
    /// The file of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    /// The sort of key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// How long it may be good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_expiration_seconds: Option<i32>,
    /// Who signs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer_name: Option<String>,
    /// Told to the signer.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub user_annotations: BTreeMap<String, String>,
}

impl Volume {
    /// The fields of its sources, in the order Kubernetes looks at them. A pod that is valid has exactly one.
    pub fn sources(&self) -> impl Iterator<Item = &'static str> + use<> {
        let foreign = |source: &Option<Value>| source.is_some();
        let present = [
            ("emptyDir", self.empty_dir.is_some()),
            ("hostPath", self.host_path.is_some()),
            ("gitRepo", foreign(&self.git_repo)),
            ("gcePersistentDisk", foreign(&self.gce_persistent_disk)),
            (
                "awsElasticBlockStore",
                foreign(&self.aws_elastic_block_store),
            ),
            ("secret", self.secret.is_some()),
            ("nfs", self.nfs.is_some()),
            ("iscsi", foreign(&self.iscsi)),
            ("glusterfs", foreign(&self.glusterfs)),
            ("flocker", foreign(&self.flocker)),
            (
                "persistentVolumeClaim",
                self.persistent_volume_claim.is_some(),
            ),
            ("rbd", foreign(&self.rbd)),
            ("cinder", foreign(&self.cinder)),
            ("cephfs", foreign(&self.cephfs)),
            ("quobyte", foreign(&self.quobyte)),
            ("downwardAPI", self.downward_api.is_some()),
            ("fc", foreign(&self.fc)),
            ("flexVolume", foreign(&self.flex_volume)),
            ("configMap", self.config_map.is_some()),
            ("azureFile", foreign(&self.azure_file)),
            ("vsphereVolume", foreign(&self.vsphere_volume)),
            (
                "photonPersistentDisk",
                foreign(&self.photon_persistent_disk),
            ),
            ("portworxVolume", foreign(&self.portworx_volume)),
            ("azureDisk", foreign(&self.azure_disk)),
            ("storageos", foreign(&self.storageos)),
            ("projected", self.projected.is_some()),
            ("scaleIO", foreign(&self.scale_io)),
            ("csi", foreign(&self.csi)),
            ("ephemeral", foreign(&self.ephemeral)),
            ("image", self.image.is_some()),
        ];
        present
            .into_iter()
            .filter(|(_, present)| *present)
            .map(|(field, _)| field)
    }
}
