//! What a container runs.
//!
//! Upstream: `pkg/kubelet/container/helpers.go`; containerd's `WithProcessArgs`.

use serde::{Deserialize, Serialize};

use super::absent::absent;
use super::environment::Environment;
use super::expansion::expand;
use super::{Container, EnvVar};
use crate::error::{Error, Kind, Result};

/// What an image says about the process it runs; in JSON as in an OCI image config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageCommand {
    /// The program and its first arguments.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Further arguments, or the program if there is no entrypoint.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
}

/// The full argument vector. A container's `command` takes the place of the image's entrypoint and of its cmd, `args` only of its cmd.
///
/// ```
/// use podlife::model::{Container, command::{ImageCommand, argv}};
///
/// let image = ImageCommand { entrypoint: vec!["/ep".into()], cmd: vec!["-x".into()] };
/// let container: Container = serde_json::from_str(r#"{"args":["$(MODE)"]}"#).unwrap();
/// let environment = [("MODE".to_owned(), "-y".to_owned())].into();
/// assert_eq!(argv(&container, &image, &environment)?, ["/ep", "-y"]);
/// # Ok::<(), podlife::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Invalid`] if there is nothing left to run.
pub fn argv(
    container: &Container,
    image: &ImageCommand,
    environment: &Environment,
) -> Result<Vec<String>> {
    let mut command = expand_all(&container.command, environment);
    let mut args = expand_all(&container.args, environment);
    if command.is_empty() {
        if args.is_empty() {
            args.clone_from(&image.cmd);
        }
        // An entrypoint of one empty string is how an image says that it has none.
        if image.entrypoint != [""] {
            command.clone_from(&image.entrypoint);
        }
    }
    command.append(&mut args);
    if command.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            format!("find what the container {:?} runs", container.name),
            "neither it nor its image names a command",
        )
        .cure("set command"));
    }
    Ok(command)
}

/// Words of a command with their `$(NAME)` expanded against the container's whole environment.
pub fn expand_all(words: &[String], environment: &Environment) -> Vec<String> {
    words
        .iter()
        .map(|word| expand(word, |name| environment.get(name)).into_owned())
        .collect()
}

/// The command of an exec probe or hook. Only what `env` has literally is known there: a variable from elsewhere is empty.
///
/// ```
/// use podlife::model::{Container, command::expand_literal};
///
/// let container: Container = serde_json::from_str(r#"{"env":[
///     {"name":"A","value":"1"},
///     {"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}"#).unwrap();
/// assert_eq!(expand_literal(&["$(A)-$(B)-$(C)".to_owned()], &container.env), ["1--$(C)"]);
/// ```
pub fn expand_literal(words: &[String], env: &[EnvVar]) -> Vec<String> {
    let literal = |name: &str| {
        let variable = env.iter().rev().find(|variable| variable.name == name)?;
        Some(variable.value.as_deref().unwrap_or_default())
    };
    words
        .iter()
        .map(|word| expand(word, literal).into_owned())
        .collect()
}
