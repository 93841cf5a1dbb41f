//! From JSON to CEL's values and back. With `expression.rs` the only home of `cel`.
//!
//! No number changes on the way. A whole number is an `int` however it is written (`7`, `7.0`, `70e-1`), or a `uint`
//! above that; any other is a `double` if the double is written as the same number again. Other numbers go through
//! unchanged: an expression can pass such a number on and compare it with `==`; every other use of it fails.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map, Opaque};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::{BusEvent, Decimal, numbers};

/// A number that CEL's own types cannot hold.
#[derive(Debug, PartialEq, Eq)]
struct LongNumber {
    number: Decimal,
    /// As written.
    text: Box<str>,
}

impl Opaque for LongNumber {
    fn runtime_type_name(&self) -> &'static str {
        "number"
    }
}

/// An event for expressions, and the first number in its data that CEL cannot hold.
pub(super) fn from_event(event: &BusEvent) -> (cel::Value, Option<String>) {
    let mut fields = HashMap::new();
    let mut put = |name: &str, value| drop(fields.insert(Key::String(Arc::new(name.to_owned())), value));
    let text = |text: &str| cel::Value::String(Arc::new(text.to_owned()));
    put("specversion", text("1.0"));
    put("id", text(&event.id));
    put("source", text(&event.source));
    put("type", text(&event.kind));
    for (name, value) in [("subject", &event.subject), ("time", &event.time)] {
        if let Some(value) = value {
            put(name, text(value));
        }
    }
    for (name, value) in &event.attributes {
        put(name, from_json(&value.to_string(), value).0);
    }
    // Data that cannot be read is not there: an expression that asks for it fails.
    let mut long = None;
    if let Ok(data) = event.data.value() {
        let (data, first_long) = from_json(event.data.as_str(), data);
        put("data", data);
        long = first_long;
    }
    (cel::Value::Map(Map { map: Arc::new(fields) }), long)
}

/// A JSON value as CEL's value, and the first number in it that CEL cannot hold.
fn from_json(text: &str, value: &Value) -> (cel::Value, Option<String>) {
    let mut reader = Reader { numbers: numbers(text), long: None };
    let value = reader.value(value);
    (value, reader.long)
}

/// Walks a tree along with the numbers of its text: no key is repeated and none was moved, so both have the same order.
struct Reader<I> {
    numbers: I,
    long: Option<String>,
}

impl<'a, I: Iterator<Item = &'a str>> Reader<I> {
    fn value(&mut self, value: &Value) -> cel::Value {
        match value {
            Value::Null => cel::Value::Null,
            Value::Bool(bool) => cel::Value::Bool(*bool),
            Value::Number(number) => {
                let text = self.numbers.next();
                match (number.as_i64(), number.as_u64()) {
                    (Some(int), _) => cel::Value::Int(int),
                    (None, Some(uint)) => cel::Value::UInt(uint),
                    (None, None) => self.number(text.unwrap_or_default()),
                }
            }
            Value::String(text) => cel::Value::String(text.clone().into()),
            Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(|item| self.value(item)).collect())),
            Value::Object(fields) => {
                let entry = |(key, value): (&String, &Value)| (Key::String(key.clone().into()), self.value(value));
                cel::Value::Map(Map { map: Arc::new(fields.iter().map(entry).collect::<HashMap<_, _>>()) })
            }
        }
    }

    fn number(&mut self, text: &str) -> cel::Value {
        let number = Decimal::read(text);
        let whole = number.whole();
        if let Some(int) = whole.and_then(|whole| i64::try_from(whole).ok()) {
            return cel::Value::Int(int);
        }
        if let Some(uint) = whole.and_then(|whole| u64::try_from(whole).ok()) {
            return cel::Value::UInt(uint);
        }
        if let Some(double) = number.double() {
            return cel::Value::Float(double);
        }
        self.long.get_or_insert_with(|| text.to_owned());
        cel::Value::Opaque(Arc::new(LongNumber { number, text: text.into() }))
    }
}

/// A value of CEL, to be written as JSON. The keys of a map are sorted, because CEL keeps no order.
pub(super) struct Json<'a>(pub(super) &'a cel::Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let none = || S::Error::custom(format!("a {} is not a JSON value", self.0.type_of()));
        match self.0 {
            cel::Value::List(items) => serializer.collect_seq(items.iter().map(Json)),
            cel::Value::Map(map) => {
                let mut entries: Vec<(String, &cel::Value)> =
                    map.map.iter().map(|(key, value)| (key.to_string(), value)).collect();
                entries.sort_unstable_by(|(one, _), (two, _)| one.cmp(two));
                let mut fields = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    fields.serialize_entry(&key, &Json(value))?;
                }
                fields.end()
            }
            cel::Value::Float(float) if !float.is_finite() => {
                Err(S::Error::custom(format!("{float} is not a JSON number")))
            }
            cel::Value::Opaque(opaque) => {
                let number = opaque.downcast_ref::<LongNumber>().ok_or_else(none)?;
                RawValue::from_string(number.text.to_string()).map_err(S::Error::custom)?.serialize(serializer)
            }
            cel::Value::Function(..) | cel::Value::Struct(_) => Err(none()),
            scalar => scalar.json().map_err(|_| none())?.serialize(serializer),
        }
    }
}
