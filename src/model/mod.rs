//! WHAT: `v1.Pod` and the objects beside it, as Rust types.
//!
//! The types are *open*: plain public fields in the API's shape, with its names in snake_case. Lists and maps that are
//! absent are empty, everything else that may be absent is an `Option`, and each enum holds words it does not know as
//! `Other`. So whatever the API's JSON can say can be held and printed again.
//!
//! Beside them stand the calculations that follow from a pod alone, each a module of pure functions over these types:
//! amounts ([`quantity`], [`resource_sum`], [`qos`], [`oom_score`], [`cpu_share`], [`cgroup_values`], [`cgroup_name`],
//! [`empty_dir`]), what a container runs ([`image`], [`command`], [`environment`], [`expansion`], [`field_path`],
//! [`sysctl`], [`probe_target`]), its files ([`payload`] from [`objects`], [`hosts`], [`hostname`], [`dns`]) and its
//! [`log`]. They are the kubelet's rules, and agree with its own test tables.

mod absent;
mod builder;
mod bytes;
pub mod cgroup_name;
pub mod cgroup_values;
pub mod command;
mod config;
mod container;
pub mod cpu_share;
mod decode;
mod defaults;
pub mod dns;
mod document;
pub mod empty_dir;
mod env;
pub mod environment;
mod errors;
pub mod expansion;
pub mod field_path;
mod hook;
pub mod hostname;
pub mod hosts;
pub mod image;
#[cfg(feature = "k8s-openapi")]
mod k8s;
pub mod log;
mod meta;
mod network;
pub mod objects;
pub mod oom_score;
mod options;
mod path;
pub mod payload;
mod pod;
mod probe;
pub mod probe_target;
pub mod qos;
pub mod quantity;
pub mod report;
mod resource_list;
pub mod resource_sum;
mod resources;
mod scheduling;
mod security;
#[cfg(test)]
mod shape;
mod status;
pub mod sysctl;
mod text;
mod text_enum;
mod tree;
mod update;
mod valid;
mod validate;
mod volume;
#[cfg(feature = "yaml")]
mod yaml;

pub use builder::QuantityText;
pub use bytes::*;
pub use config::*;
pub use container::*;
pub use document::Documents;
pub use env::*;
pub use errors::{ErrorType, Errors, FieldError, Position};
pub use hook::*;
pub use meta::{IntOrString, ManagedFieldsEntry, ObjectMeta, OwnerReference};
pub use network::*;
pub use options::{Curve, Enforcement, PodOptions, ProbePeriods};
pub use pod::*;
pub use probe::*;
pub use quantity::Quantity;
pub use report::{Effect, FieldLine, FieldReport};
pub use resource_list::ResourceList;
pub use resources::*;
pub use scheduling::*;
pub use security::*;
pub use status::*;
pub use text::Limits;
pub use valid::Valid;
pub use volume::*;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_absent_and_unknown_words_are_kept() {
        let pod: Pod = serde_json::from_str(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":null,"spec":{"containers":null,"hostIPC":true,
                "restartPolicy":"Sometimes","nodeSelector":null,"hostname":null},"status":null}"#,
        )
        .unwrap();
        assert_eq!(pod.spec.host_ipc, Some(true));
        assert_eq!(
            pod.spec.restart_policy,
            Some(RestartPolicy::Other("Sometimes".into()))
        );
        assert_eq!(
            serde_json::to_string(&pod).unwrap(),
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"hostIPC":true,"restartPolicy":"Sometimes"}}"#
        );
    }
}
