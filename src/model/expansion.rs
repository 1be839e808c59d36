//! `$(NAME)` in commands, arguments, environment values and sub-paths.
//!
//! Upstream: `third_party/forked/golang/expansion/expand.go`.

use std::borrow::Cow;

/// Replaces each `$(NAME)` in `text` by what `lookup` knows of NAME.
///
/// A name that is not known stays as it was written, and so does a `$(` without an end. `$$` is one `$`, and what follows it is
/// no reference. Nothing is expanded twice, there is no nesting, and a backslash is an ordinary character.
///
/// ```
/// use podlife::model::expansion::expand;
///
/// let lookup = |name: &str| (name == "HOME").then_some("/root");
/// assert_eq!(expand("$(HOME)/bin:$(OTHER):$$(HOME)", lookup), "/root/bin:$(OTHER):$(HOME)");
/// ```
pub fn expand<'t, V: AsRef<str>>(
    text: &'t str,
    mut lookup: impl FnMut(&str) -> Option<V>,
) -> Cow<'t, str> {
    if !text.contains('$') {
        return Cow::Borrowed(text);
    }
    // Known once, so that many unterminated references do not each search the rest of the text.
    let last_close = text.rfind(')').unwrap_or(0);
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let closed = text.len() - rest.len() < last_close;
        if let Some(after) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if closed
            && let Some((name, after)) = rest
                .strip_prefix("$(")
                .and_then(|open| open.split_once(')'))
        {
            match lookup(name) {
                Some(value) => expanded.push_str(value.as_ref()),
                None => expanded.push_str(&rest[..rest.len() - after.len()]),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Cow::Owned(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn characters_of_several_bytes_are_kept() {
        assert_eq!(expand("$é$(x)ü", |_| Some("ä")), "$éäü");
    }

    #[test]
    fn unterminated_references_take_linear_time() {
        let text = "$(".repeat(1 << 20);
        assert_eq!(expand(&text, |_| Some("x")), text);
    }

    proptest! {
        /// With nothing known, only the escapes change.
        #[test]
        fn unknown_names_change_nothing(text in "([$]?[()ab]{1,3}){0,20}") {
            prop_assert_eq!(expand(&text, |_| None::<&str>), text.as_str());
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            expand(&text, |_| Some("x"));
        }
    }
}
