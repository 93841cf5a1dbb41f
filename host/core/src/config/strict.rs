//! A tree for serde, but with structs read only from mappings: serde itself accepts a list for a struct, with its items
//! for the fields in their order. And with a value for every key: serde itself accepts `null` for a missing `Option`.

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, Unexpected, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::{Error, Value};

use super::nothing::NOTHING_BEHIND;
use super::{Node, OrNull, Shape, way_out};

/// Reads structs, and variants with named fields, only from mappings, however deep they are. Only [`Value`] and
/// [`OrNull`] accept a written `null`, and no type accepts a missing value.
#[derive(Clone, Copy)]
pub(super) struct Strict<'de> {
    node: &'de Node,
    /// Whether a written `null` is one of the values, as in [`OrNull`].
    or_null: bool,
    /// Whether a written `null` counts as missing.
    is_nothing: bool,
    /// Whether its key may be left out.
    is_optional: bool,
}

/// A key of a mapping.
struct Key<'de>(&'de str);

/// One of an enum's variants, with its content.
struct Choice<'de> {
    variant: &'de str,
    content: Option<&'de Node>,
}

impl<'de> Strict<'de> {
    pub(super) const fn of(node: &'de Node) -> Self {
        Self { node, or_null: false, is_nothing: false, is_optional: false }
    }

    /// Its kind, in the words of serde's messages.
    fn unexpected(self) -> Unexpected<'de> {
        match &self.node.shape {
            Shape::Nothing | Shape::Scalar(Value::Null) => Unexpected::Unit,
            Shape::Scalar(Value::Bool(value)) => Unexpected::Bool(*value),
            Shape::Scalar(Value::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(whole), ..) => Unexpected::Unsigned(whole),
                (None, Some(whole), _) => Unexpected::Signed(whole),
                (None, None, Some(number)) => Unexpected::Float(number),
                (None, None, None) => Unexpected::Other("number"),
            },
            Shape::Scalar(Value::String(text)) => Unexpected::Str(text),
            Shape::List(_) | Shape::Scalar(Value::Array(_)) => Unexpected::Seq,
            Shape::Map(_) | Shape::Scalar(Value::Object(_)) => Unexpected::Map,
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for Strict<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> IntoDeserializer<'de, Error> for Key<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.shape {
            _ if self.is_nothing => Err(Error::invalid_type(Unexpected::Unit, &visitor)),
            Shape::Nothing => Err(Error::invalid_type(Unexpected::Unit, &visitor)),
            Shape::List(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(Self::of));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Shape::Map(entries) => {
                let fields = entries.iter().map(|entry| (Key(&entry.key), Self::of(&entry.value)));
                let mut fields = MapDeserializer::new(fields);
                let value = visitor.visit_map(&mut fields)?;
                fields.end()?;
                Ok(value)
            }
            Shape::Scalar(scalar) => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.node.is_null() || matches!(self.node.shape, Shape::Map(_)) {
            return self.deserialize_any(visitor);
        }
        let mistake = Error::invalid_type(self.unexpected(), &visitor);
        Err(way_out::with_hint(mistake, &way_out::of_mapping(fields, self.node, self.is_optional)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.shape {
            Shape::Scalar(Value::Null) if self.or_null => visitor.visit_none(),
            // An optional key should be left out: the message about the expected value says that it is missing.
            Shape::Scalar(Value::Null) => visitor.visit_some(Self { is_nothing: true, ..self }),
            _ => visitor.visit_some(Self { is_optional: true, ..self }),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(Self { or_null: name == OrNull::<()>::NAME, ..self })
    }

    /// A part that is read later from the tree: it must not be missing.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { Err(Error::invalid_type(Unexpected::Unit, &visitor)) } else { visitor.visit_unit() }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let choice = match &self.node.shape {
            Shape::Scalar(Value::String(variant)) => Choice { variant, content: None },
            Shape::Map(entries) => {
                let [entry] = entries.as_slice() else {
                    return Err(Error::invalid_value(Unexpected::Map, &"map with a single key"));
                };
                Choice { variant: &entry.key, content: Some(&entry.value) }
            }
            _ => return Err(Error::invalid_type(self.unexpected(), &way_out::one_of(variants).as_str())),
        };
        visitor.visit_enum(choice)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier
    }
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        BorrowedStrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((seed.deserialize(Key(self.variant))?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            Some(content) if content.is_null() => Err(Error::invalid_type(Unexpected::Unit, &NOTHING_BEHIND)),
            Some(content) => Deserialize::deserialize(Strict::of(content)),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        match self.content {
            Some(content) => seed.deserialize(Strict::of(content)),
            None => Err(Error::invalid_type(Unexpected::UnitVariant, &"newtype variant")),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Some(content) => Strict::of(content).deserialize_any(visitor),
            None => Err(Error::invalid_type(Unexpected::UnitVariant, &"tuple variant")),
        }
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Some(content) => Strict::of(content).deserialize_struct("", fields, visitor),
            None => Err(Error::invalid_type(Unexpected::UnitVariant, &"struct variant")),
        }
    }
}
