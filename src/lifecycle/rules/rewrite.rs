//! Rewriting a status in place: nothing is allocated, and nothing counts as changed, where the new value is the old one.

use std::fmt::{self, Display, Write};

/// Writes over what is there and remembers whether that changed anything.
#[derive(Default)]
pub(super) struct Pen {
    pub(super) changed: bool,
}

impl Pen {
    /// Writes a value.
    pub(super) fn set<T: PartialEq>(&mut self, place: &mut T, value: T) {
        if *place != value {
            *place = value;
            self.changed = true;
        }
    }

    /// Writes a text, or removes it.
    pub(super) fn text(&mut self, place: &mut Option<String>, text: Option<&str>) {
        match (place.as_mut(), text) {
            (None, None) => {}
            (Some(old), Some(text)) if old == text => {}
            (Some(old), Some(text)) => {
                old.clear();
                old.push_str(text);
                self.changed = true;
            }
            (_, text) => {
                *place = text.map(str::to_owned);
                self.changed = true;
            }
        }
    }

    /// Writes a text that is put together on the way; an empty one is none.
    pub(super) fn display(&mut self, place: &mut Option<String>, text: &impl Display) {
        if is_text(place.as_deref().unwrap_or_default(), text) {
            return;
        }
        let written = place.get_or_insert_with(|| String::with_capacity(64));
        written.clear();
        let _ = write!(written, "{text}"); // a String takes everything
        self.changed = true;
        if written.is_empty() {
            *place = None;
        }
    }
}

/// Whether `text` would be printed as `old`, without printing it anywhere.
fn is_text(old: &str, text: &impl Display) -> bool {
    struct Rest<'a>(&'a str);
    impl Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(old);
    write!(rest, "{text}").is_ok() && rest.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_a_change() {
        let mut pen = Pen::default();
        let mut place = Some("a b".to_owned());
        pen.text(&mut place, Some("a b"));
        pen.display(&mut place, &format_args!("{} {}", "a", "b"));
        assert!(!pen.changed);
        pen.display(&mut place, &format_args!("{}", "a"));
        assert!(pen.changed);
        assert_eq!(place.as_deref(), Some("a"));
        pen.display(&mut place, &"");
        assert_eq!(place, None);
        let mut pen = Pen::default();
        pen.display(&mut place, &"");
        pen.text(&mut place, None);
        assert!(!pen.changed);
    }
}
