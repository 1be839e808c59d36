//! Objects at random: a reader that answers every question of a `Deserialize` by throwing dice. So it makes every field
//! there is, of any type, and stays right when fields come.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

/// SplitMix64: small, and good enough to choose.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'s>(&mut self, words: &[&'s str]) -> &'s str {
        words[self.below(words.len())]
    }
}

/// A `T`. One in `rarity` of the fields that may be absent is there.
pub(crate) fn thrown<T: DeserializeOwned>(dice: &mut Dice, rarity: usize) -> T {
    T::deserialize(Maker {
        dice,
        rarity,
        field: "",
        depth: 0,
    })
    .expect("every answer is a right one")
}

type Never = serde::de::value::Error;

/// Words of the API, and words that are trouble in YAML or JSON.
const WORDS: [&str; 34] = [
    "a",
    "web",
    "Always",
    "Never",
    "OnFailure",
    "TCP",
    "HTTP",
    "Memory",
    "File",
    "ClusterFirst",
    "None",
    "Localhost",
    "RuntimeDefault",
    "In",
    "Exists",
    "True",
    "Running",
    "Bidirectional",
    "",
    " ",
    "yes",
    "0644",
    "1e3",
    "null",
    "~",
    "a: b",
    "- a",
    "#a",
    "\"",
    "\\n",
    "two\nlines",
    "é→",
    "$(A)",
    "/a/../b",
];
const TIMES: [&str; 2] = ["2026-01-02T03:04:05Z", "1970-01-01T00:00:00Z"];
const AMOUNTS: [&str; 7] = ["0", "100m", "1", "1.5", "64Mi", "-2", "1e3"];
const BYTES: [&str; 3] = ["", "aGk=", "AAECAw=="];
const KEYS: [&str; 6] = ["cpu", "memory", "a.b/c", "hugepages-2Mi", "Key_1", "é"];

struct Maker<'d> {
    dice: &'d mut Dice,
    rarity: usize,
    /// The field that is being made: it says what sort of text is right.
    field: &'static str,
    depth: usize,
}

impl Maker<'_> {
    fn text(&mut self) -> &'static str {
        let field = self.field;
        let is_time = ["Time", "Timestamp", "At"]
            .iter()
            .any(|end| field.ends_with(end))
            || field == "time";
        let is_amounts = [
            "limits",
            "requests",
            "overhead",
            "allocatedResources",
            "resources",
        ]
        .contains(&field);
        if is_time {
            self.dice.of(&TIMES)
        } else if is_amounts || ["sizeLimit", "divisor"].contains(&field) {
            self.dice.of(&AMOUNTS)
        } else if ["data", "binaryData"].contains(&field) {
            self.dice.of(&BYTES)
        } else {
            self.dice.of(&WORDS)
        }
    }

    fn fewer(&self) -> usize {
        self.rarity + self.depth / 3
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $number:ty),+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
            let choices = [0, 1, 2, 30, 80, 65536, <$number>::MAX, <$number>::MIN];
            visitor.$visit(choices[self.dice.below(choices.len())])
        }
    )+};
}

impl<'de> Deserializer<'de> for Maker<'_> {
    type Error = Never;

    numbers!(deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64, deserialize_u32 visit_u32 u32);

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Never> {
        if self.field == "port" && self.dice.one_in(2) {
            return visitor.visit_i64(8080);
        }
        visitor.visit_str(self.text())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_bool(self.dice.one_in(2))
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_str(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_str(self.text())
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
        let left = 1 + self.dice.below(2);
        visitor.visit_seq(Items { maker: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let keys = (0..=self.dice.below(2))
            .map(|_| self.dice.of(&KEYS))
            .collect();
        let field = self.field;
        visitor.visit_map(Fields {
            maker: self,
            names: keys,
            value_field: Some(field),
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        let rarity = self.fewer();
        // apiVersion and kind have one right value each, which they also have if they are not there.
        let chosen = fields
            .iter()
            .filter(|field| !["apiVersion", "kind"].contains(field));
        let always = |field: &str| ["metadata", "spec"].contains(&field);
        let names = chosen
            .filter(|field| always(field) || self.dice.one_in(rarity))
            .copied()
            .collect();
        visitor.visit_map(Fields {
            maker: self,
            names,
            value_field: None,
        })
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
        ignored_any
    }
}

struct Items<'d> {
    maker: Maker<'d>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Never;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Never> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let Maker {
            dice,
            rarity,
            field,
            depth,
        } = &mut self.maker;
        seed.deserialize(Maker {
            dice,
            rarity: *rarity,
            field,
            depth: *depth,
        })
        .map(Some)
    }
}

struct Fields<'d> {
    maker: Maker<'d>,
    names: Vec<&'static str>,
    /// In a map, values are what the map's own field says.
    value_field: Option<&'static str>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Never;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Never> {
        let Some(name) = self.names.last() else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Never> = name.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Never> {
        let name = self.names.pop().unwrap_or_default();
        let Maker {
            dice,
            rarity,
            depth,
            ..
        } = &mut self.maker;
        let field = self.value_field.unwrap_or(name);
        seed.deserialize(Maker {
            dice,
            rarity: *rarity,
            field,
            depth: *depth + 1,
        })
    }
}
