//! References to container images, and when an image is pulled.
//!
//! Upstream: `pkg/util/parsers/parsers.go`, `github.com/distribution/reference`.

use std::borrow::Cow;
use std::fmt;

use super::PullPolicy;
use crate::error::{Error, Kind, Result};

/// A reference to an image, taken apart and completed. It borrows the text; reading one does not allocate.
///
/// ```
/// use podlife::model::image::ImageReference;
///
/// let image = ImageReference::parse("redis")?;
/// assert_eq!(image.to_string(), "docker.io/library/redis:latest");
/// assert_eq!(image.registry(), "docker.io");
///
/// let image = ImageReference::parse("registry.test:5000/team/app:1.2")?;
/// assert_eq!((image.path().as_ref(), image.tag()), ("team/app", Some("1.2")));
/// assert!(ImageReference::parse("Redis").is_err()); // upper case
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference<'t> {
    registry: &'t str,
    /// The namespace of Docker Hub's own images is left out by people.
    official: bool,
    path: &'t str,
    tag: Option<&'t str>,
    digest: Option<&'t str>,
}

const HUB: &str = "docker.io";
const OFFICIAL: &str = "library/";
const PATH_MAX: usize = 255;

impl<'t> ImageReference<'t> {
    /// Reads a reference as people write them: a name without a registry is Docker Hub's.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`]; a container with such an image waits with the reason `InvalidImageName`.
    pub fn parse(text: &'t str) -> Result<ImageReference<'t>> {
        let refused = |why: &str| {
            let shown: String = text.chars().take(300).collect();
            Error::new(Kind::Invalid, format!("read the image reference {shown:?}"), why)
                .cure("write [registry/]name[:tag][@digest] in lower case, such as registry.example/team/app:1.2")
        };
        if text.len() == 64 && text.bytes().all(is_hex) {
            return Err(refused("64 hex digits are an image id, not a name"));
        }
        let (registry, rest) = split_registry(text);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let official = registry == HUB && !path.contains('/');
        if !is_registry(registry) {
            return Err(refused(
                "its registry is not a host name with an optional port",
            ));
        }
        if !path.split('/').all(is_path_component) {
            return Err(refused(
                "its name is not made of lower-case letters and digits with . _ __ or - between them",
            ));
        }
        if path.len() + if official { OFFICIAL.len() } else { 0 } > PATH_MAX {
            return Err(refused("its name is longer than 255 characters"));
        }
        if !tag.is_none_or(is_tag) {
            return Err(refused("its tag is not 1 to 128 letters, digits, _ . or -"));
        }
        if !digest.is_none_or(is_digest) {
            return Err(refused(
                "its digest is not sha256:, sha384: or sha512: and as many hex digits as that takes",
            ));
        }
        Ok(ImageReference {
            registry,
            official,
            path,
            tag,
            digest,
        })
    }

    /// The registry's host and port.
    pub fn registry(&self) -> &'t str {
        self.registry
    }

    /// The name within the registry.
    pub fn path(&self) -> Cow<'t, str> {
        if self.official {
            Cow::Owned(format!("{OFFICIAL}{}", self.path))
        } else {
            Cow::Borrowed(self.path)
        }
    }

    /// Registry and path.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path())
    }

    /// The tag: as written, else `latest` if there is no digest either.
    pub fn tag(&self) -> Option<&'t str> {
        self.tag.or(if self.digest.is_none() {
            Some("latest")
        } else {
            None
        })
    }

    /// The digest as written. It decides over a tag.
    pub fn digest(&self) -> Option<&'t str> {
        self.digest
    }
}

/// In full, as it would be asked of a registry.
impl fmt::Display for ImageReference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}{}",
            self.registry,
            if self.official { OFFICIAL } else { "" },
            self.path
        )?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// The policy of a container that names none: `Always` for the tag `latest`, which moves, else `IfNotPresent`.
///
/// ```
/// use podlife::model::{PullPolicy, image::default_pull_policy};
///
/// assert_eq!(default_pull_policy("redis"), PullPolicy::Always);
/// assert_eq!(default_pull_policy("redis:7"), PullPolicy::IfNotPresent);
/// ```
pub fn default_pull_policy(image: &str) -> PullPolicy {
    match ImageReference::parse(image) {
        Ok(image) if image.tag() == Some("latest") => PullPolicy::Always,
        _ => PullPolicy::IfNotPresent,
    }
}

/// The text as an image store is asked for it: with `:latest` if it has neither tag nor digest, else as written.
pub fn with_default_tag(image: &str) -> Result<Cow<'_, str>> {
    let read = ImageReference::parse(image)?;
    let bare = read.tag.is_none() && read.digest.is_none();
    Ok(if bare {
        Cow::Owned(format!("{image}:latest"))
    } else {
        Cow::Borrowed(image)
    })
}

/// The first part is a registry if it cannot be a part of a name: it has a dot, a port, an upper-case letter, or is `localhost`.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some(("index.docker.io", rest)) => (HUB, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.contains(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (HUB, text),
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rfind(':') {
        Some(colon) if !registry.ends_with(']') => {
            (&registry[..colon], Some(&registry[colon + 1..]))
        }
        _ => (registry, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(ipv6) => {
            !ipv6.is_empty()
                && ipv6
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
        }
        None => host.split('.').all(is_domain_component),
    };
    is_host && port.is_none_or(is_port)
}

fn is_domain_component(part: &str) -> bool {
    let allowed = part
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !part.is_empty() && allowed && !part.starts_with('-') && !part.ends_with('-')
}

/// Runs of lower-case letters and digits, between them one dot, one or two underscores, or any number of dashes.
fn is_path_component(part: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    part.starts_with(is_plain) && part.ends_with(is_plain) && part.split(is_plain).all(is_separator)
}

fn is_tag(tag: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&tag.len()) && tag.bytes().all(allowed) && !tag.starts_with(['.', '-'])
}

fn is_digest(digest: &str) -> bool {
    let hex = match digest.split_once(':') {
        Some(("sha256", hex)) if hex.len() == 64 => hex,
        Some(("sha384", hex)) if hex.len() == 96 => hex,
        Some(("sha512", hex)) if hex.len() == 128 => hex,
        _ => return false,
    };
    hex.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_255_characters_and_no_more() {
        let longest = format!("registry.test/{}a", "a/".repeat(127));
        assert!(ImageReference::parse(&longest).is_ok());
        assert!(ImageReference::parse(&format!("{longest}b")).is_err());
    }

    #[test]
    fn registries() {
        for good in [
            "[2001:db8::1]:5000/x",
            "[::1]/x",
            "a.b-c:1/x",
            "FOO/x",
            "localhost:80/x",
        ] {
            assert!(ImageReference::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "[::1/x",
            "a_b:5000/x",
            "a.b:/x",
            "-a.b/x",
            ".a/x",
            "[]:5000/x",
            "a.b/",
            "/x",
            "a.b:x/y",
        ] {
            assert!(ImageReference::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
            let _ = ImageReference::parse(&text);
        }

        /// The full form reads as itself.
        #[test]
        fn full_form_is_stable(text in "([a-z.]{1,5}(:[0-9]{1,3})?/)?[a-z0-9._-]{1,8}(/[a-z]{1,3})?(:[a-zA-Z.]{1,4})?") {
            if let Ok(read) = ImageReference::parse(&text) {
                let full = read.to_string();
                prop_assert_eq!(ImageReference::parse(&full).unwrap().to_string(), full.as_str());
            }
        }
    }
}
