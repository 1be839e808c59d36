//! What fields a type has, asked of its `Deserialize`: a reader that answers every question with the shortest way down.
//! For tests: no table of fields can then miss one, or keep one that is gone.

use std::cell::RefCell;
use std::rc::Rc;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

/// Every path of `T`, without indexes; keys of maps are `*`.
pub(super) fn fields<T: DeserializeOwned>() -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        for name in below::<T>(&path) {
            let mut path = path.clone();
            path.push(name);
            all.push(path.join("."));
            open.push(path);
        }
    }
    all.sort();
    all
}

/// The fields of what is at `path`.
fn below<T: DeserializeOwned>(path: &[String]) -> Vec<String> {
    let found = Rc::new(RefCell::new(Vec::new()));
    // It never succeeds: what is built on the way is of no interest.
    let _ = T::deserialize(Asker {
        path,
        found: Rc::clone(&found),
    });
    found.take()
}

struct Asker<'p> {
    path: &'p [String],
    found: Rc<RefCell<Vec<String>>>,
}

type Never = serde::de::value::Error;

impl Asker<'_> {
    fn stop<T>(self, names: &[&str]) -> Result<T, Never> {
        self.found
            .borrow_mut()
            .extend(names.iter().map(|&name| name.to_owned()));
        Err(Never::custom("asked enough"))
    }
}

impl<'de> Deserializer<'de> for Asker<'_> {
    type Error = Never;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Never> {
        self.stop(&[])
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Never> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_seq(Only(Some(self)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        match self.path {
            [] => self.stop(&["*"]),
            _ => visitor.visit_map(Only(Some(self))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        match self.path {
            [] => self.stop(fields),
            _ => visitor.visit_map(Only(Some(self))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

/// One element, or one field: the next of the path.
struct Only<'p>(Option<Asker<'p>>);

impl<'de> SeqAccess<'de> for Only<'_> {
    type Error = Never;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Never> {
        self.0
            .take()
            .map(|asker| seed.deserialize(asker))
            .transpose()
    }
}

impl<'de> MapAccess<'de> for Only<'_> {
    type Error = Never;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Never> {
        let Some(asker) = &self.0 else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Never> = asker
            .path
            .first()
            .map_or("", String::as_str)
            .into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Never> {
        let asker = self.0.take().ok_or_else(|| Never::custom("asked twice"))?;
        seed.deserialize(Asker {
            path: asker.path.get(1..).unwrap_or_default(),
            found: asker.found,
        })
    }
}
