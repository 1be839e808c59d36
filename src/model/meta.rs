//! What every object has: apiVersion, kind, metadata. And the number-or-name that ports use.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::absent::absent;
use crate::time::Wall;

/// Name, namespace, labels and the rest of what every object has.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Free text by key; keys of `podlife.io/` are options.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Wall>,
    /// Seconds it was given to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// When it has to be gone; set once it is being deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Wall>,
    /// Who has to agree before it is gone.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// The start of a name that a server completes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate_name: Option<String>,
    /// Counts changes of the spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Labels by key.
    #[serde(
        deserialize_with = "absent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Who set which field.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub managed_fields: Vec<ManagedFieldsEntry>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace; `default` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What it belongs to.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// The server's version of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// Its old address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_link: Option<String>,
    /// Its identity: names repeat over time, uids do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// An object that this one belongs to.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct OwnerReference {
    /// Its API version.
    #[serde(deserialize_with = "absent")]
    pub api_version: String,
    /// Whether it waits for this object to be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
    /// Whether it is the one that manages this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Its kind.
    #[serde(deserialize_with = "absent")]
    pub kind: String,
    /// Its name.
    #[serde(deserialize_with = "absent")]
    pub name: String,
    /// Its uid.
    #[serde(deserialize_with = "absent")]
    pub uid: String,
}

/// Who set which fields.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ManagedFieldsEntry {
    /// The API version it was written in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// How `fields_v1` is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields_type: Option<String>,
    /// The fields.
    #[serde(rename = "fieldsV1", skip_serializing_if = "Option::is_none")]
    pub fields_v1: Option<Value>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Apply or Update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The part of the object it was written through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Wall>,
}

/// The `kind` of an object.
pub(super) trait Noun {
    /// As written in a manifest.
    const KIND: &'static str;
}

/// The apiVersion `v1`; nothing else is read.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct V1;

/// The one kind that `T` has; nothing else is read. Knows whether it was read at all.
pub(super) struct KindOf<T> {
    said: bool,
    of: PhantomData<fn() -> T>,
}

impl<T> KindOf<T> {
    pub(super) fn said(&self) -> bool {
        self.said
    }
}

impl fmt::Debug for V1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v1")
    }
}

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("v1")
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<V1, D::Error> {
        expect_word(deserializer, "v1").map(|()| V1)
    }
}

impl<T> Clone for KindOf<T> {
    fn clone(&self) -> KindOf<T> {
        KindOf { ..*self }
    }
}

impl<T> Default for KindOf<T> {
    fn default() -> KindOf<T> {
        KindOf {
            said: false,
            of: PhantomData,
        }
    }
}

impl<T> PartialEq for KindOf<T> {
    fn eq(&self, _: &KindOf<T>) -> bool {
        true
    }
}

impl<T: Noun> fmt::Debug for KindOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::KIND)
    }
}

impl<T: Noun> Serialize for KindOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(T::KIND)
    }
}

impl<'de, T: Noun> Deserialize<'de> for KindOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KindOf<T>, D::Error> {
        expect_word(deserializer, T::KIND).map(|()| KindOf {
            said: true,
            of: PhantomData,
        })
    }
}

fn expect_word<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<(), D::Error> {
    let right = super::text_enum::word(deserializer, |word| {
        if word == expected {
            Ok(())
        } else {
            Err(word.to_owned())
        }
    })?;
    right.map_err(|word| D::Error::custom(format!("`{word}` instead of `{expected}`")))
}

/// A number or a name: a port by either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrString {
    /// The number.
    Int(i32),
    /// The name.
    String(Box<str>),
}

impl Default for IntOrString {
    fn default() -> IntOrString {
        IntOrString::Int(0)
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntOrString::Int(number) => fmt::Display::fmt(number, f),
            IntOrString::String(name) => f.pad(name),
        }
    }
}

impl From<i32> for IntOrString {
    fn from(number: i32) -> IntOrString {
        IntOrString::Int(number)
    }
}

impl From<u16> for IntOrString {
    fn from(number: u16) -> IntOrString {
        IntOrString::Int(number.into())
    }
}

impl From<&str> for IntOrString {
    fn from(name: &str) -> IntOrString {
        IntOrString::String(name.into())
    }
}

impl From<String> for IntOrString {
    fn from(name: String) -> IntOrString {
        IntOrString::String(name.into())
    }
}

impl Serialize for IntOrString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            IntOrString::Int(number) => serializer.serialize_i32(*number),
            IntOrString::String(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IntOrString, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = IntOrString;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a name")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<IntOrString, E> {
                let number =
                    i32::try_from(number).map_err(|_| E::custom("the number is too large"))?;
                Ok(IntOrString::Int(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<IntOrString, E> {
                let number =
                    i32::try_from(number).map_err(|_| E::custom("the number is too large"))?;
                Ok(IntOrString::Int(number))
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<IntOrString, E> {
                Ok(IntOrString::String(name.into()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
