//! Enums whose values are words of the API, open to words not known here.

/// Defines one. It is written as its word, reads any word, and compares by it.
macro_rules! text_enum {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $( $(#[$note:meta])* $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[$note])* $variant, )+
            /// A word that is not known here.
            Other(Box<str>),
        }

        impl $name {
            /// Every word that is known here.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The word, as the API spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $( $name::$variant => $text, )+
                    $name::Other(word) => word,
                }
            }

            /// Whether the word is known here.
            pub fn is_known(&self) -> bool {
                !matches!(self, $name::Other(_))
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> $name {
                match word {
                    $( $text => $name::$variant, )+
                    _ => $name::Other(word.into()),
                }
            }
        }

        /// The empty word: nothing was said.
        impl Default for $name {
            fn default() -> $name {
                $name::from("")
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                super::text_enum::word(deserializer, |word| $name::from(word))
            }
        }
    };
}

pub(super) use text_enum;

use serde::de::{Deserializer, Error, Visitor};

/// Reads a word without keeping its text.
pub(super) fn word<'de, D, T, F>(deserializer: D, make: F) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    F: FnOnce(&str) -> T,
{
    struct Word<F>(F);
    impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Word<F> {
        type Value = T;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }
        fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
            Ok((self.0)(word))
        }
    }
    deserializer.deserialize_str(Word(make))
}
