//! The grammars of names. Each answers with what a name has to be, if it is not.

use std::net::IpAddr;

/// A DNS label (RFC 1123).
pub(in super::super) fn label(name: &str) -> Option<&'static str> {
    let right = name.len() <= 63 && is_label(name, |byte| byte == b'-');
    (!right).then_some(
        "use at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends",
    )
}

/// A DNS subdomain (RFC 1123).
pub(in super::super) fn subdomain(name: &str) -> Option<&'static str> {
    let right = name.len() <= 253
        && name
            .split('.')
            .all(|part| is_label(part, |byte| byte == b'-'));
    (!right).then_some(
        "use at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends of each part",
    )
}

/// A search domain: underscores are found in the wild.
pub(super) fn search_domain(name: &str) -> Option<&'static str> {
    let part = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        is_label(part, |byte| matches!(byte, b'-' | b'_'))
    };
    let absolute = name.strip_suffix('.').unwrap_or(name);
    let right = name == "." || absolute.len() <= 253 && absolute.split('.').all(part);
    (!right)
        .then_some("use a domain name of lower-case letters, digits, dashes, underscores and dots")
}

fn is_label(name: &str, inside: fn(u8) -> bool) -> bool {
    let outer = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    ends_and_middle(name, outer, |byte| outer(byte) || inside(byte))
}

fn ends_and_middle(name: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|&byte| outer(byte))
        && bytes.last().is_some_and(|&byte| outer(byte))
        && bytes.iter().all(|&byte| inner(byte))
}

/// The key of a label or annotation: a name, after an optional domain and a slash.
pub(in super::super) fn qualified(name: &str) -> Option<&'static str> {
    let (domain, own) = match name.split_once('/') {
        Some((domain, own)) => (Some(domain), own),
        None => (None, name),
    };
    let right =
        own.len() <= 63 && is_value(own) && domain.is_none_or(|domain| subdomain(domain).is_none());
    (!right).then_some("use letters, digits, -, _ and dots, at most 63, with an optional domain and a slash before them")
}

/// The value of a label.
pub(super) fn label_value(value: &str) -> Option<&'static str> {
    let right = value.is_empty() || value.len() <= 63 && is_value(value);
    (!right).then_some(
        "use at most 63 letters, digits, -, _ and dots, with a letter or digit at both ends",
    )
}

fn is_value(value: &str) -> bool {
    let outer = |byte: u8| byte.is_ascii_alphanumeric();
    ends_and_middle(value, outer, |byte| {
        outer(byte) || matches!(byte, b'-' | b'_' | b'.')
    })
}

/// A port's name (RFC 6335).
pub(super) fn port(name: &str) -> Option<&'static str> {
    let right = name.len() <= 15
        && is_label(name, |byte| byte == b'-')
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.contains("--");
    (!right).then_some(
        "use at most 15 lower-case letters, digits and single dashes, with at least one letter",
    )
}

/// The name of an environment variable.
pub(super) fn variable(name: &str) -> Option<&'static str> {
    let right = name
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    (!right || name.is_empty()).then_some("use printable ASCII without =")
}

/// A key of a ConfigMap or Secret.
pub(super) fn config_key(key: &str) -> Option<&'static str> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let right = !key.is_empty()
        && key.len() <= 253
        && key.bytes().all(letter)
        && key != "."
        && !key.starts_with("..");
    (!right).then_some("use at most 253 letters, digits, -, _ and dots, not starting with ..")
}

/// The name of an HTTP header.
pub(super) fn header(name: &str) -> Option<&'static str> {
    let right = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (!right).then_some("use letters, digits and dashes")
}

/// An IP address.
pub(super) fn address(text: &str) -> Option<&'static str> {
    text.parse::<IpAddr>()
        .is_err()
        .then_some("use an IPv4 or IPv6 address")
}

/// A path that stays below where it starts.
pub(super) fn descending_path(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        Some("use a relative path")
    } else {
        path_without_backsteps(path)
    }
}

/// A path that never goes up.
pub(super) fn path_without_backsteps(path: &str) -> Option<&'static str> {
    path.split('/')
        .any(|part| part == "..")
        .then_some("it must not contain ..")
}

/// A path of a file in a volume whose own names start with two dots.
pub(super) fn file_path(path: &str) -> Option<&'static str> {
    descending_path(path).or_else(|| {
        path.starts_with("..")
            .then_some("it must not start with ..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammars() {
        type Grammar = fn(&str) -> Option<&'static str>;
        let cases: [(Grammar, &[&str], &[&str]); 8] = [
            (
                label,
                &["a", "0", "a-b"],
                &["", "-a", "a-", "a.b", "A", "é"],
            ),
            (
                subdomain,
                &["a", "a.b-c.0"],
                &["", ".", "a..b", "a.", "a_b"],
            ),
            (
                search_domain,
                &["a.b.", ".", "_tcp.a", "a_b.c"],
                &["", "a?", "a..b", "A"],
            ),
            (
                qualified,
                &["a", "A_b.c-d", "x.io/A"],
                &["", "/a", "a/", "a/b/c", "X.io/a", "-a"],
            ),
            (label_value, &["", "A", "a.b_c-d"], &["a b", "-a", "a/b"]),
            (
                port,
                &["a", "do-re-me", "8080x"],
                &["", "80", "a--b", "1234567890123456"],
            ),
            (
                variable,
                &["a", "1.2", "!\"#$%&'()"],
                &["", "a=b", "é", "a\tb"],
            ),
            (
                file_path,
                &["a", "a/b", ".a", "a..b/..c"],
                &["/a", "a/../b", "..", "..a", "../a"],
            ),
        ];
        for (grammar, good, bad) in cases {
            for name in good {
                assert_eq!(grammar(name), None, "{name}");
            }
            for name in bad {
                assert!(grammar(name).is_some(), "{name}");
            }
        }
    }
}
