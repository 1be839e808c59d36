//! Field paths, as Kubernetes writes them: `spec.containers[0].name`, `metadata.labels[app]`.

use std::fmt;

/// A path while it is being walked: a chain on the stack, written out only when there is something to say about it.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'static str),
    Index(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a str),
}

impl<'a> Path<'a> {
    pub(super) fn field(&'a self, name: &'static str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub(super) fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }

    pub(super) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Key(parent, key) => write!(f, "{parent}[{key}]"),
        }
    }
}

/// One step of a written path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A field, or a key that reads like one.
    Name(String),
    Index(usize),
}

/// Writes steps as a path. What does not read like a field is a key of a map.
pub(super) fn write_steps(steps: &[Step]) -> String {
    let mut text = String::new();
    let mut in_map = false;
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Name(key) if in_map || !reads_like_field(key) => {
                text.push_str(&format!("[{key}]"))
            }
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.push_str(&format!(".{name}")),
        }
        in_map = matches!(step, Step::Name(name) if MAPS.contains(&name.as_str()));
    }
    text
}

/// Reads a written path.
pub(super) fn read_steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (key, after) = bracketed.split_once(']').unwrap_or((bracketed, ""));
            let index = key.parse().map(Step::Index);
            steps.push(index.unwrap_or_else(|_| Step::Name(key.to_owned())));
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Name(rest[..end].to_owned()));
            rest = &rest[end..];
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
    }
    steps
}

/// Fields whose keys are not fields.
const MAPS: [&str; 10] = [
    "annotations",
    "binaryData",
    "data",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "overhead",
    "requests",
    "stringData",
];

fn reads_like_field(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_kubernetes_writes_it() {
        let root = Path::Root;
        let spec = root.field("spec");
        let containers = spec.field("containers");
        let container = containers.index(2);
        let resources = container.field("resources");
        let limits = resources.field("limits");
        let text = limits.key("example.com/gpu").to_string();
        assert_eq!(text, "spec.containers[2].resources.limits[example.com/gpu]");
    }

    #[test]
    fn steps_survive_being_written() {
        for text in [
            "",
            "spec",
            "spec.containers[2].resources.limits[example.com/gpu]",
            "metadata.labels[a-b].x[0][1]",
        ] {
            assert_eq!(write_steps(&read_steps(text)), text);
        }
    }
}
